"""Files in the shapes that portals, operators and loggers deliver: what is stored of them, and what is refused.

The shapes are after files that users posted in public; each test names the source. All values are made up.
"""

import gzip
from pathlib import Path

import pytest

from besmart_async.ingest import SourceError
from tests.ingest.file_readings import FileReadings, readings_of

T0 = 1_719_792_000_000  # 2024-07-01T00:00Z
QUARTER, HOUR = 900_000, 3_600_000


def read(tmp_path: Path, text: str | bytes, mapping: str = "", name: str = "readings.csv") -> FileReadings:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return readings_of(path, mapping)


def refused(tmp_path: Path, text: str | bytes, mapping: str = "", name: str = "readings.csv") -> str:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, text, mapping, name)
    return caught.value.problem


ONE = "time;value\n2024-07-01T00:00Z;1.5\n2024-07-01T01:00Z;2.5\n"
TWO = [(T0, 1.5), (T0 + HOUR, 2.5)]


# -- the meter of a whole file --------------------------------------------------------------------------------------


def test_the_meter_of_a_file_is_said_in_the_mapping(tmp_path: Path) -> None:
    assert read(tmp_path, ONE, '[file]\nmeter = "M1"').by_meter == {"M1": TWO}


@pytest.mark.parametrize(
    ("pattern", "name", "meter"),
    [
        ("{meter}_{date}.csv", "DE0001_20240701.csv", "DE0001"),
        ("{meter}_{date}.csv", "DE_0001_2024-07-01.csv", "DE_0001"),
        ("{meter}_{date}", "AT001_2024-07.csv", "AT001"),
        ("Lastgang {meter} Juli *", "lastgang  AT001 Juli 2024.csv", "AT001"),
        ("{meter}.csv", "541448000000000017.csv", "541448000000000017"),
    ],
)
def test_the_meter_of_a_file_is_in_its_name(tmp_path: Path, pattern: str, name: str, meter: str) -> None:
    """After the Austrian operators in awattar-backtesting, eleven of fourteen of which have no column for the meter."""
    assert read(tmp_path, ONE, f'[file]\nname = "{pattern}"', name).by_meter == {meter: TWO}


def test_the_name_of_a_file_may_have_the_register_and_its_folder_the_meter(tmp_path: Path) -> None:
    (tmp_path / "M7").mkdir()
    path = tmp_path / "M7" / "1.8.0_2024-07-01.csv"
    path.write_text(ONE, encoding="utf-8")
    found = readings_of(path, '[file]\nname = "{meter}/{signal}_{date}.csv"')
    assert found.readings == {("M7", "1.8.0", ""): TWO}


@pytest.mark.parametrize(
    ("pattern", "name", "words"),
    [
        ("{meter}_{date}.csv", "DE0001.csv", "the name does not fit file.name = '{meter}_{date}.csv'"),
        ("{meter}_*.csv", "a_b_c.csv", "in several ways: meter is 'a' or 'a_b'; make it more specific"),
    ],
)
def test_a_name_without_a_certain_meter_is_an_error(tmp_path: Path, pattern: str, name: str, words: str) -> None:
    assert words in refused(tmp_path, ONE, f'[file]\nname = "{pattern}"', name)


@pytest.mark.parametrize(
    ("above", "cell"),
    [
        ("Meter;1234567\nExport;01.07.2024\n\n", '"Meter"'),
        ('Export vom 01.07.2024\nKunde;Muster\n"POD: IT001E00000001";;\n', '"POD"'),
        ("Zählpunkt;;AT0010000000000000001000000000001\n", '"zählpunkt"'),
        ('a\n\nEAN;="541448000000000017"\n', "{ row = 3, column = 2 }"),
        ("Bericht für Zähler 4711 (Strom)\n\n", '"Bericht für Zähler {meter} (*)"'),
        ("Zähler: 4711\nZähler: 4711\n", '"Zähler"'),
    ],
)
def test_the_meter_of_a_file_is_in_a_cell_above_its_table(tmp_path: Path, above: str, cell: str) -> None:
    """After exports of Enel (POD), Wiener Netze (Zählpunkt) and Fluvius (EAN) in Home-Assistant-Import-Energy-Data."""
    [(meter, readings)] = read(tmp_path, above + ONE, f"[preamble]\nmeter = {cell}").by_meter.items()
    assert meter in {"1234567", "IT001E00000001", "AT0010000000000000001000000000001", "541448000000000017", "4711"}
    assert readings == TWO


@pytest.mark.parametrize(
    ("above", "words"),
    [
        ("Kunde;1\n", "a cell 'Meter', after which a cell has the meter of the file: it is not there"),
        ("Meter;\n", "it is not there"),
        ("Meter;1\nMeter;2\n", "there are several: 1, 2"),
    ],
)
def test_a_cell_that_is_not_there_or_is_ambiguous_is_an_error(tmp_path: Path, above: str, words: str) -> None:
    assert words in refused(tmp_path, above + ONE, '[preamble]\nmeter = "Meter"')


def test_a_second_table_below_is_never_taken_for_the_first_meters(tmp_path: Path) -> None:
    text = f"Meter;M1\n{ONE}\nMeter;M2\n{ONE}"
    with pytest.raises(SourceError, match="row 6, 'Meter;M2', is about the whole file"):
        read(tmp_path, text, '[preamble]\nmeter = "Meter"')


@pytest.mark.parametrize("between", ["", "\n", ";\n"], ids=["nothing", "a blank line", "delimiters"])
@pytest.mark.parametrize("said", ['meter = "M1"', 'name = "{meter}.csv"'])
def test_the_same_table_again_below_may_be_of_another_meter(tmp_path: Path, said: str, between: str) -> None:
    text = f"{ONE}{between}{ONE}"
    with pytest.raises(SourceError, match=r"is the header again, and the rows do not name their meter: .* file\.skip"):
        read(tmp_path, text, f"[file]\n{said}")
    told = read(tmp_path, text, f"[file]\n{said}\nskip = ['^time']")
    assert len(told.by_meter) == 1


def test_a_file_with_a_column_for_the_meter_does_not_take_another(tmp_path: Path) -> None:
    text = "meter;time;value\nM1;2024-07-01T00:00Z;1.5\n"
    assert "the column 'meter' has the meter, which is 'M2' for the whole file" in refused(
        tmp_path, text, '[file]\nmeter = "M2"'
    )


def test_a_wide_file_may_have_its_meter_in_its_name(tmp_path: Path) -> None:
    """After Enel Distribuzione (Giorno;00:00-00:15;…), which has no column for the meter."""
    quarters = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 15, 30, 45)]
    titles = ";".join(f"{start}-{end}" for start, end in zip(quarters, [*quarters[1:], "24:00"], strict=True))
    text = f"Giorno;{titles}\n" + '"01/07/2024";' + ";".join(f'"0,{n:03}"' for n in range(96)) + "\n"
    mapping = """
        file.name = "{meter}_*"
        columns.date = "Giorno"
        time = { zone = "Europe/Rome", format = "%d/%m/%Y" }
        values.decimal = ","
    """
    [(meter, readings)] = read(tmp_path, text, mapping, "IT001_export.csv").by_meter.items()
    assert meter == "IT001"
    assert readings == [(T0 - 2 * HOUR + n * QUARTER, n / 1000) for n in range(96)]


# -- several readings in a row ---------------------------------------------------------------------------------------

REGISTERS = """
time,Import T1 kWh,Import T2 kWh,Export T1 kWh
2024-07-01T00:00Z,8350.274,4650.277,3095.077
2024-07-01T00:15Z,8350.374,,3095.177
"""


def test_a_column_for_each_register_by_title(tmp_path: Path) -> None:
    """After HomeWizard, patrickvorgers/Home-Assistant-Import-Energy-Data#114."""
    mapping = """
        file.meter = "P1"
        [[series]]
        column = "Import T1 kWh"
        signal = "1.8.1"
        unit = "kWh"
        [[series]]
        column = 4
        signal = "2.8.1"
        origin = "estimated"
        [[series]]
        column = "Import T9 kWh"
        signal = "1.8.9"
        optional = true
    """
    assert read(tmp_path, REGISTERS, mapping).readings == {
        ("P1", "1.8.1", "kWh"): [(T0, 8350.274), (T0 + QUARTER, 8350.374)],
        ("P1", "2.8.1", ""): [(T0, 3095.077), (T0 + QUARTER, 3095.177)],
    }


def test_a_column_for_each_register_by_a_pattern_and_empty_cells_hold_nothing(tmp_path: Path) -> None:
    mapping = """
        file.meter = "P1"
        [[series]]
        pattern = "{signal} {unit}"
        [signals.names]
        "Import T1" = "1.8.1"
    """
    assert read(tmp_path, REGISTERS, mapping).readings == {
        ("P1", "1.8.1", "kWh"): [(T0, 8350.274), (T0 + QUARTER, 8350.374)],
        ("P1", "Import T2", "kWh"): [(T0, 4650.277)],
        ("P1", "Export T1", "kWh"): [(T0, 3095.077), (T0 + QUARTER, 3095.177)],
    }


@pytest.mark.parametrize(
    ("title", "pattern"), [("A+ [kWh]", "{signal} [{unit}]"), ("1-1:1.8.0 (kWh)", "{signal} ({unit})")]
)
def test_units_in_brackets(tmp_path: Path, title: str, pattern: str) -> None:
    text = f"meter;time;{title}\nM1;2024-07-01T00:00Z;1.5\n"
    [(key, readings)] = read(tmp_path, text, f'[[series]]\npattern = "{pattern}"').readings.items()
    assert (key, readings) == (("M1", title.split(maxsplit=1)[0], "kWh"), [(T0, 1.5)])


def test_a_column_for_each_meter(tmp_path: Path) -> None:
    """After UCI ElectricityLoadDiagrams20112014: 370 clients, one column each, semicolons and decimal commas."""
    text = '"";"MT_001";"MT_002";"Total"\n"2024-07-01 00:00:00";2,00;3,50;5,50\n"2024-07-01 00:15:00";2,10;;2,10\n'
    mapping = """
        columns.time = 1
        time.zone = "UTC"
        values = { decimal = ",", unit = "kW" }
        [[series]]
        pattern = "{meter}"
        except = ["Total"]
    """
    assert read(tmp_path, text, mapping).by_meter == {
        "MT_001": [(T0, 2.0), (T0 + QUARTER, 2.1)],
        "MT_002": [(T0, 3.5)],
    }


def test_values_with_a_status_beside_each(tmp_path: Path) -> None:
    text = "time;Value;Status;Value;Status\n2024-07-01T00:00Z;1.5;W;2.5;E\n2024-07-01T01:00Z;1.6;E;2.6;?\n"
    mapping = """
        file.meter = "M1"
        origins = { W = "measured", E = "estimated" }
        [[series]]
        column = 2
        signal = "1.29.0"
        origin_column = "+1"
        [[series]]
        column = 4
        signal = "2.29.0"
        origin_column = 5
    """
    found = read(tmp_path, text, mapping)
    assert found.readings == {
        ("M1", "1.29.0", ""): [(T0, 1.5), (T0 + HOUR, 1.6)],
        ("M1", "2.29.0", ""): [(T0, 2.5)],
    }
    [reject] = found.rejects
    assert (reject.row, reject.column, reject.value) == (3, "origin", "?")
    assert ("value", "value", "2.6") in reject.record
    assert ("signal", "signal", "2.29.0") in reject.record


def test_statuses_are_found_by_the_titles_of_their_values(tmp_path: Path) -> None:
    text = "time;A value;B value;A status;B status\n2024-07-01T00:00Z;1;2;estimated;measured\n"
    mapping = '[[series]]\npattern = "{meter} value"\norigin_column = "{meter} status"'
    assert read(tmp_path, text, mapping).by_meter == {"A": [(T0, 1.0)], "B": [(T0, 2.0)]}


def test_blocks_side_by_side_have_times_of_their_own(tmp_path: Path) -> None:
    text = "Tag;Zeit;kWh;;Tag;Zeit;kWh\n2024-07-01;00:00;1;;2024-08-01;00:00;3\n2024-07-01;01:00;2;;;;\n"
    mapping = """
        file.meter = "M1"
        time.zone = "UTC"
        [[series]]
        column = 3
        date = "-2"
        time = "-1"
        [[series]]
        column = 7
        date = 5
        time = 6
    """
    found = read(tmp_path, text, mapping)
    assert found.by_meter == {"M1": [(T0, 1.0), (T0 + HOUR, 2.0), (T0 + 31 * 24 * HOUR, 3.0)]}
    assert found.rejects == []


def test_moments_as_titles(tmp_path: Path) -> None:
    text = "Meter;OBIS;2024-07-01 00:00;2024-07-01 01:00;Summe\nM1;1.29.0;1.5;2.5;4\nM2;1.29.0;3;;3\n"
    assert read(tmp_path, text, '[time]\nzone = "UTC"').by_meter == {"M1": TWO, "M2": [(T0, 3.0)]}
    days = "Meter;01.07.2024;02.07.2024\nM1;1.5;2.5\n"
    mapping = '[wide]\nslots = "moments"\nfirst = 2\n[time]\nzone = "UTC"\nformat = "%d.%m.%Y"'
    assert read(tmp_path, days, mapping).by_meter == {"M1": [(T0, 1.5), (T0 + 24 * HOUR, 2.5)]}


def test_titles_in_several_rows_are_joined(tmp_path: Path) -> None:
    text = ";M1;;M2\nZeit;A+;A-;A+\n;kWh;kWh;kWh\n2024-07-01T00:00Z;1;2;3\n"
    mapping = """
        file.header_row = [1, 2, 3]
        columns.time = "Zeit"
        [[series]]
        pattern = "{meter} | {signal} | {unit}"
    """
    assert read(tmp_path, text, mapping).readings == {
        ("M1", "A+", "kWh"): [(T0, 1.0)],
        ("M1", "A-", "kWh"): [(T0, 2.0)],
        ("M2", "A+", "kWh"): [(T0, 3.0)],
    }


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ('[[series]]\ncolumn = "A"', "no column 'A' for the series; the header is"),
        ('[[series]]\npattern = "{meter} W"', "no column fits the pattern '{meter} W'; the header is"),
        (
            "[[series]]\ncolumn = 2\n[[series]]\ncolumn = 3",
            "are the same meter and signal type; say series.signal of each",
        ),
        ('[[series]]\ncolumn = 2\norigin_column = "+9"', "no column +9 from column 2"),
    ],
)
def test_series_that_do_not_fit_the_header_are_errors(tmp_path: Path, mapping: str, words: str) -> None:
    assert words in refused(tmp_path, REGISTERS, f'file.meter = "P1"\n{mapping}')


# -- what is in files besides rows ------------------------------------------------------------------------------------


def test_totals_footers_and_repeated_headers(tmp_path: Path) -> None:
    """After gridstatus#546 and concatenated monthly exports (PowerwallCompanion#32)."""
    text = (
        "# export of a portal\n\nmeter;time;value\nM1;2024-07-01T00:00Z;1.5\n;;\nSumme;;4,0\n\ufeffmeter;time;value\n"
        "M1;2024-07-01T01:00Z;2.5\nErstellt am 01.07.2024\n\x1a"
    )
    found = read(tmp_path, text, '[file]\nskip = ["^Summe", "^Erstellt"]')
    assert (found.by_meter, found.rejects) == ({"M1": TWO}, [])
    assert sorted(reject.row for reject in read(tmp_path, text).rejects) == [6, 9]


@pytest.mark.parametrize("footer", ["2", '"^Summe"'])
def test_a_footer_by_its_length_or_its_first_line(tmp_path: Path, footer: str) -> None:
    text = "meter;time;value\nM1;2024-07-01T00:00Z;1.5\nM1;2024-07-01T01:00Z;2.5\nSumme;;4\n\nMittel;;2\n\n"
    found = read(tmp_path, text, f"[file]\nfooter = {footer}")
    assert (found.by_meter, found.rejects) == ({"M1": TWO}, [])


def test_a_table_after_the_footer_is_an_error(tmp_path: Path) -> None:
    text = f"{ONE}Summe;4\n{ONE}Summe;4\n"
    with pytest.raises(SourceError, match=r"row 5 is the header again, after file.footer = '\^Summe' in row 4"):
        read(tmp_path, text, 'file = { meter = "M1", footer = "^Summe" }')


@pytest.mark.parametrize("rows", [":;", ";:", ";:;"], ids=["rows", "header", "both"])
def test_delimiters_at_the_end_of_rows_or_header(tmp_path: Path, rows: str) -> None:
    header, row = ("meter;time;value", "M1;2024-07-01T00:00Z;1.5")
    head, tail = rows.split(":")
    text = f"{header}{head}\n{row}{tail}\n{row.replace('00:00Z;1.5', '01:00Z;2.5')}{tail}\n"
    found = read(tmp_path, text)
    assert (found.by_meter, found.rejects) == ({"M1": TWO}, [])


def test_a_text_in_a_field_without_a_title_is_a_reject(tmp_path: Path) -> None:
    text = "meter;time;value\nM1;2024-07-01T00:00Z;1.5;\nM1;2024-07-01T01:00Z;1;5\nM1;2024-07-01T01:00Z;2.5;\n"
    found = read(tmp_path, text)
    assert found.by_meter == {"M1": TWO}
    assert [(reject.row, reject.reason) for reject in found.rejects] == [(3, "has 4 fields where the header has 3")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig", "utf-32"])
def test_unicode_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, ONE.encode(encoding), '[file]\nmeter = "M1"').by_meter == {"M1": TWO}


def test_zero_bytes_around_fields_are_padding_and_within_a_field_they_are_damage(tmp_path: Path) -> None:
    text = (
        "meter;time;value\nM1\0\0;2024-07-01T00:00Z;1.5\0\n\0\0\0\nM1;2024-07-01T\0\0:00Z;9\nM1;2024-07-01T01:00Z;2.5\n"
    )
    found = read(tmp_path, text + "\0" * 5000)
    assert found.by_meter == {"M1": TWO}
    assert [(reject.row, reject.reason) for reject in found.rejects] == [
        (4, "has zero bytes (NUL) within a field, so part of it may be lost")
    ]


def test_texts_as_formulas(tmp_path: Path) -> None:
    """After Fluvius, patrickvorgers/Home-Assistant-Import-Energy-Data#98: the EAN is written as ="…"."""
    text = '="meter";time;value\n="0012";2024-07-01T00:00Z;="1.5"\n"=""0012""";2024-07-01T01:00Z;2.5\n'
    assert read(tmp_path, text).by_meter == {"0012": TWO}


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_a_header_is_found_by_its_titles_below_blank_lines_and_text(tmp_path: Path, end: str) -> None:
    lines = [
        "",
        "Report, of July",
        "",
        "a;b;c",
        "meter;value;time",
        "M1;1.5;2024-07-01T00:00Z",
        "M1;2.5;2024-07-01T01:00Z",
    ]
    found = read(tmp_path, end.join(lines))
    assert (found.by_meter, found.rejects) == ({"M1": TWO}, [])


def test_equal_titles_are_told_apart_by_number_only(tmp_path: Path) -> None:
    text = "meter;time;Value;Value\nM1;2024-07-01T00:00Z;9;1.5\nM1;2024-07-01T01:00Z;9;2.5\n"
    assert refused(tmp_path, text) == (
        "columns 3 and 4 both are titled 'Value'; give the number of the one that is the value: columns.value = 3"
    )
    assert read(tmp_path, text, "[columns]\nvalue = 4").by_meter == {"M1": TWO}


@pytest.mark.parametrize(
    ("text", "mapping", "words"),
    [
        (
            "M1;2024-07-01T00:00Z;1,5\nmeter;time;value\n",
            "",
            "row 1 looks like readings, but stands above the header in row 2",
        ),
        (
            "M1;2024-07-01T00:00Z;1.5\n",
            "columns = { meter = 1, time = 2, value = 3 }",
            "row 1 looks like readings, but is not",
        ),
        (
            "2024-07-01T00:00Z;1;2\n",
            '[columns]\ntime = 1\n[[series]]\npattern = "{meter}"',
            "row 1 looks like readings",
        ),
    ],
)
def test_rows_are_not_lost_by_being_taken_for_a_header_or_text_above_it(
    tmp_path: Path, text: str, mapping: str, words: str
) -> None:
    assert words in refused(tmp_path, text, mapping)


def test_titles_may_have_line_breaks(tmp_path: Path) -> None:
    header = 'meter;time;"value\n[kWh]"\n'
    text = f"Export\n{header}M1;2024-07-01T00:00Z;1.5\n{header}M1;2024-07-01T01:00Z;2.5\n"
    found = read(tmp_path, text, '[columns]\nvalue = "value [kWh]"')
    assert (found.by_meter, found.rejects) == ({"M1": TWO}, [])


def test_another_header_further_down_is_an_error(tmp_path: Path) -> None:
    text = "time;In;Out\n2024-07-01T00:00Z;1;2\ntime;Out;In\n2024-07-01T01:00Z;2;1\n"
    mapping = (
        'file.meter = "M1"\n[[series]]\ncolumn = "In"\nsignal = "1.8.0"\n[[series]]\ncolumn = "Out"\nsignal = "2.8.0"'
    )
    with pytest.raises(SourceError, match="row 3, 'time;Out;In', is a header with other columns"):
        read(tmp_path, text, mapping)


@pytest.mark.parametrize(
    ("pattern", "name", "meter"),
    [
        ("{meter}", "4711.csv", "4711"),
        ("{meter}", "4711.csv.gz", "4711"),
        ("{meter}_{date}", "M1_01.07.2024", "M1"),
        ("{meter}.csv", "M.1.csv", "M.1"),
    ],
)
def test_a_suffix_is_not_part_of_a_meter(tmp_path: Path, pattern: str, name: str, meter: str) -> None:
    content = gzip.compress(ONE.encode()) if name.endswith(".gz") else ONE.encode()
    assert read(tmp_path, content, f'[file]\nname = "{pattern}"', name).by_meter == {meter: TWO}


def test_a_text_above_a_repeated_header_may_be_about_another_meter(tmp_path: Path) -> None:
    text = "time;value\n2024-07-01T00:00Z;1.5\nPage 2\n\ntime;value\n2024-07-01T01:00Z;2.5\n"
    with pytest.raises(SourceError, match="row 5 is the header again, below row 3, 'Page 2': if the rows below are of"):
        read(tmp_path, text, '[file]\nmeter = "M1"')
    assert read(tmp_path, text, 'file = { meter = "M1", skip = ["^Page "] }').by_meter == {"M1": TWO}


def test_a_value_that_may_be_cut_at_its_decimal_comma_is_a_reject(tmp_path: Path) -> None:
    text = "meter,time,value,\nM1,2024-07-01T00:00Z,1.5,\nM1,2024-07-01T00:30Z,1,5\nM1,2024-07-01T01:00Z,2.5,W\n"
    found = read(tmp_path, text)
    assert found.by_meter == {"M1": TWO}
    [reject] = found.rejects
    assert (reject.row, reject.reason.partition(":")[0]) == (
        3,
        "has a number in a field without a title, right of a value",
    )
