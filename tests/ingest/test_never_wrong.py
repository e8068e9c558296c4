"""Files that once were stored wrong without a word: they are read as meant, or refused with what to set.

The shapes are after files and reports that users posted in public; each test names the source. Values are made up.
"""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async.ingest import SourceError
from besmart_async.ingest.mapping.toml import MappingError
from tests.ingest.file_readings import FileReadings, readings_of

HOUR, QUARTER = 3_600_000, 900_000


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def read(tmp_path: Path, rows: str, mapping: str = "", header: str = "meter;time;value") -> FileReadings:
    path = tmp_path / "readings.csv"
    path.write_text(f"{header}\n{rows}", encoding="utf-8")
    return readings_of(path, mapping)


def times(found: FileReadings) -> list[int]:
    return [time for readings in found.by_meter.values() for time, _ in readings]


def values(found: FileReadings) -> list[float]:
    return [value for readings in found.by_meter.values() for _, value in readings]


def rows_of(labels: list[str], start: int = 0) -> str:
    return "".join(f"M;{label};{number}\n" for number, label in enumerate(labels, start=start))


# -- columns that are not there -------------------------------------------------------------------------------------


def test_a_column_that_the_mapping_names_must_be_there(tmp_path: Path) -> None:
    """After awattar-backtesting#32: the operator renamed a column, and values in Wh were taken for kWh."""
    header, rows = "meter;time;value;Masseinheit", "M;2024-07-01T00:00Z;500;Wh\n"
    with pytest.raises(SourceError, match="no column for the unit"):
        read(tmp_path, rows, '[columns]\nunit = "Einheit"', header)
    found = read(tmp_path, rows, '[columns]\nunit = "Einheit"\noptional = ["unit"]', header)
    assert found.readings == {("M", "", ""): [(ms("2024-07-01"), 500.0)]}
    with pytest.raises(MappingError, match="names 'zone', which is no column"):
        read(tmp_path, rows, '[columns]\nunit = "Einheit"\noptional = ["zone"]', header)


# -- digits that are a date -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [("202406010015", "%Y%m%d%H%M"), ("20240601001500", "%Y%m%d%H%M%S"), ("20240601", "%Y%m%d")],
)
def test_digits_that_read_as_a_date_are_not_unix_milliseconds(tmp_path: Path, text: str, written: str) -> None:
    """After FACTUR-CHE/edifactur#9: as milliseconds they are in 1976 or 2611."""
    [reject] = read(tmp_path, f"M;{text};1\n").rejects
    assert f'say time.format = "{written}"' in reject.reason
    mapping = f'[time]\nformat = "{written}"\nzone = "Europe/Berlin"'
    moment = datetime.strptime(text, written).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert times(read(tmp_path, f"M;{text};1\n", mapping)) == [round(moment.timestamp() * 1000)]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_a_format_holds_for_columns_of_numbers_too(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "profile.parquet"
    column = pa.array([202406010015, 202406010030], pa.int64()).cast(kind)
    pq.write_table(pa.table({"meter": ["M", "M"], "time": column, "value": [1.0, 2.0]}), path)
    if kind != pa.string():
        assert {reject.reason[-38:] for reject in readings_of(path).rejects} == {
            'YYYYMMDDHHMM; say time.format = "%Y%m%d%H%M"'[-38:]
        }
    start = ms("2024-06-01T00:15", "Europe/Berlin")
    mapping = '[time]\nformat = "%Y%m%d%H%M"\nzone = "Europe/Berlin"'
    assert times(readings_of(path, mapping)) == [start, start + QUARTER]


@pytest.mark.parametrize("text", ["20240601015", "2024060100", "2024060100151"])
def test_digits_without_separators_need_their_full_width(tmp_path: Path, text: str) -> None:
    [reject] = read(tmp_path, f"M;{text};1\n", '[time]\nformat = "%Y%m%d%H%M"\nzone = "UTC"').rejects
    assert reject.reason == "is not written as %Y%m%d%H%M"


def test_unix_seconds_and_days_of_a_spreadsheet_are_formats(tmp_path: Path) -> None:
    moment = ms("2024-07-01T00:15")
    assert times(read(tmp_path, f"M;{moment // 1000};1\n", '[time]\nformat = "unix-seconds"')) == [moment]
    mapping = '[time]\nformat = "excel"\nzone = "Europe/Warsaw"'
    found = read(tmp_path, "M;45474.0104166667;1\nM;45474,5;1\nM;45474.01;1\n", mapping)
    assert times(found) == [ms("2024-07-01T00:15", "Europe/Warsaw"), ms("2024-07-01T00:14:24", "Europe/Warsaw")]
    assert [reject.value for reject in found.rejects] == ["45474,5"]
    assert "too few digits" in read(tmp_path, "M;45474.0104;1\n", mapping).rejects[0].reason


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("1999-12-31T23:00Z", "time.earliest"),
        ("2000-01-01T00:00Z", "time.earliest"),
        ("1970-01-01T00:00Z", "time.earliest"),
        ("2100-01-01T00:00Z", "time.latest"),
    ],
)
def test_times_that_cannot_be_are_refused_unless_the_user_says_so(tmp_path: Path, time: str, said: str) -> None:
    """After dsmrreader/dsmr-reader#811: a meter whose clock is not set says 2000-01-01 in every telegram."""
    [reject] = read(tmp_path, f"M;{time};1\n").rejects
    assert "is not plausible" in reject.reason
    assert said in reject.reason
    allowed = '[time]\nearliest = "1970-01-01"\nlatest = "2200-01-01"'
    assert times(read(tmp_path, f"M;{time};1\n", allowed)) == [ms(time[:-1])]


def test_predictions_may_be_ahead(tmp_path: Path) -> None:
    found = read(tmp_path, "M;2090-01-01T00:00Z;1;predicted\n", header="meter;time;value;origin")
    assert times(found) == [ms("2090-01-01")]


# -- formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("%m/%d/%Y %H:%M:%S %p", "needs the hour of 12: write %I"),
        ("%m/%d/%Y %I:%M", "needs %p"),
        ("%d.%m.%Y %z %Z", "has the zone twice"),
    ],
)
def test_a_format_that_reads_wrong_times_is_refused(tmp_path: Path, written: str, words: str) -> None:
    """After corruptbear/my_sdge#1: with %H and %p, afternoons fall on the mornings."""
    with pytest.raises(MappingError, match=words):
        read(tmp_path, "", f'[time]\nformat = "{written}"')


def test_a_format_may_have_the_offset_or_the_abbreviation_of_the_zone(tmp_path: Path) -> None:
    """After JC144/EDF_Simulateur_Prix#82: offsets tell the two passes of the repeated hour apart."""
    expected = [ms("2024-10-27T00:00"), ms("2024-10-27T01:00")]
    rows = "M;27.10.2024 02:00 +0200;1\nM;27.10.2024 02:00 +0100;2\n"
    assert times(read(tmp_path, rows, '[time]\nformat = "%d.%m.%Y %H:%M %z"')) == expected
    rows = "M;27.10.2024 02:00 MESZ;1\nM;27.10.2024 02:00 MEZ;2\n"
    for zone in ("", 'zone = "Europe/Berlin"'):
        assert times(read(tmp_path, rows, f'[time]\nformat = "%d.%m.%Y %H:%M %Z"\n{zone}')) == expected
    iso = "M;2024-10-27 02:00 CEST;1\nM;2024-10-27 02:00 CET;2\n"
    assert times(read(tmp_path, iso, '[time]\nzone = "Europe/Berlin"')) == expected


def test_an_abbreviation_that_contradicts_the_zone_is_refused(tmp_path: Path) -> None:
    rows = "M;2024-11-03T01:30;1;EDT\nM;2024-11-03T01:30;2;EST\nM;2024-07-01T00:00;3;EST\nM;2024-07-01T00:00;4;EDT\n"
    found = read(tmp_path, rows, '[time]\nzone = "America/New_York"', "meter;time;value;tz")
    first = ms("2024-11-03T05:30")
    assert times(found) == [first, first + HOUR, ms("2024-07-01T04:00")]
    assert "is said to be EST, and America/New_York has EDT then" in found.rejects[0].reason
    assert "no time zone" in read(tmp_path, rows, "", "meter;time;value;tz").rejects[0].reason  # CST is in China, too


@pytest.mark.parametrize(
    ("names", "flags"),
    [
        ('N = "first"\nY = "second"', "NNYN"),
        ('S = "summer"\nW = "winter"', "SSWW"),
        ('0 = "+02:00"\n1 = "+01:00"', "0011"),
    ],
)
def test_a_column_may_say_the_pass_or_that_it_is_summer_time(tmp_path: Path, names: str, flags: str) -> None:
    """After gridstatus/gridstatus#469 (DSTFlag N and Y), and loggers that write S and W."""
    labels = ["01:00", "02:00", "02:00", "03:00"]
    rows = "".join(f"M;2024-10-27 {label};1;{flag}\n" for label, flag in zip(labels, flags, strict=True))
    mapping = f'[columns]\nzone = "DSTFlag"\n[time]\nzone = "Europe/Berlin"\n[time.zones]\n{names}'
    start = ms("2024-10-26T23:00")
    assert times(read(tmp_path, rows, mapping, "meter;time;value;DSTFlag")) == [start + n * HOUR for n in range(4)]


# -- marks, 24:00 and counted hours ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        ["01:45:00", "02a:00:00", "02b:00:00", "03:00:00"],
        ["01:45", "02A:00", "02B:00", "03:00"],
        ["01:45", "02:00A", "02:00B", "03:00"],
        ["01:45", "02:00", "02:00*", "03:00"],
        ["01:45", "02:00", "02X:00", "03:00"],
    ],
)
@pytest.mark.parametrize("written", [None, "%Y-%m-%d %H:%M"])
def test_a_mark_names_the_pass_of_a_repeated_hour(tmp_path: Path, labels: list[str], written: str | None) -> None:
    """After mmm752/produkcja-energii (PSE: 02a:15, 02b:15), electricitymaps-contrib#6832 (1A:00) and ISO-NE (02X)."""
    if written and len(labels[0]) > 5:
        written += ":%S"
    mapping = '[time]\nzone = "Europe/Warsaw"\ndst = "infer"\n' + (f'format = "{written}"' if written else "")
    found = read(tmp_path, rows_of([f"2025-10-26 {label}" for label in labels]), mapping)
    start = ms("2025-10-26T00:00")
    assert times(found) == [start - QUARTER, start, start + HOUR, start + 2 * HOUR]
    [reject] = read(tmp_path, rows_of(["2025-10-25 02b:00:00"]), '[time]\nzone = "Europe/Warsaw"').rejects
    assert "does not come twice" in reject.reason


@pytest.mark.parametrize(("written", "text"), [(None, "2024-07-01 24:00"), ("%Y/%m/%d %H:%M", "2024/07/01 24:00")])
def test_24_00_is_the_next_midnight(tmp_path: Path, written: str | None, text: str) -> None:
    """After uvejota/python-edata#21: Datadis writes 24:00 of the same day for the last hour."""
    mapping = '[time]\nzone = "Europe/Madrid"\n' + (f'format = "{written}"' if written else "")
    assert times(read(tmp_path, f"M;{text};1\n", mapping)) == [ms("2024-07-02T00:00", "Europe/Madrid")]
    assert read(tmp_path, f"M;{text[:-2]}15;1\n", mapping).rejects


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25), ("2024-06-01", 24)])
@pytest.mark.parametrize("tail", ["", ":00"])
def test_counted_hours_are_the_time_since_midnight(tmp_path: Path, day: str, hours: int, tail: str) -> None:
    """After the Iberian market operator's files: hours 1 to 23, 24 or 25."""
    written = "%Y-%m-%d %H" + (":%M" if tail else "")
    mapping = (
        f'[time]\nzone = "Europe/Madrid"\nformat = "{written}"\nhours = "elapsed"\ninterval = "end"\nresolution = "1h"'
    )
    found = read(tmp_path, rows_of([f"{day} {hour}{tail}" for hour in range(1, hours + 2)], start=1), mapping)
    start = ms(f"{day}T00:00", "Europe/Madrid")
    assert times(found) == [start + hour * HOUR for hour in range(1, hours + 1)]  # the mapper takes an hour off them
    assert [reject.row for reject in found.rejects] == [hours + 2]
    assert f"has {hours} hours in Europe/Madrid" in found.rejects[0].reason


@pytest.mark.parametrize(
    ("zone", "day", "extra"), [("Europe/Warsaw", "2024-10-27", "2A"), ("America/New_York", "2024-11-03", "02X")]
)
def test_numbered_columns_may_have_one_for_the_additional_hour(tmp_path: Path, zone: str, day: str, extra: str) -> None:
    """After ISO New England's 02X, and Polish files with 2A."""
    numbers = [f"{n:02}" if extra[0] == "0" else str(n) for n in range(1, 25)]
    header = ";".join(["meter", "date", *numbers[:2], extra, *numbers[2:]])
    long = ";".join(["M", day, *map(str, range(25))])
    plain = ";".join(["M", "2024-06-01", "0", "1", "", *map(str, range(2, 24))])
    found = read(tmp_path, f"{long}\n{plain}\n", f'[time]\nzone = "{zone}"', header)
    readings = sorted(zip(times(found), values(found), strict=True))
    june, autumn = ms("2024-06-01T00:00", zone), ms(f"{day}T00:00", zone)
    assert readings == [(june + n * HOUR, n) for n in range(24)] + [(autumn + n * HOUR, n) for n in range(25)]
    wrong = ";".join(["M", "2024-06-01", *map(str, range(25))])
    [reject] = read(tmp_path, f"{wrong}\n", f'[time]\nzone = "{zone}"', header).rejects
    assert "does not come twice" in reject.reason


# -- rule "infer" ---------------------------------------------------------------------------------------------------

INFER = '[time]\nzone = "Europe/Paris"\ndst = "infer"\n'
START = ms("2024-10-26T23:30")  # 01:30 in Paris
HALF = HOUR // 2


def autumn(*labels: str) -> str:
    return rows_of([f"2024-10-27 {label}" for label in labels])


@pytest.mark.parametrize(
    ("labels", "steps"),
    [
        (["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"], [0, 1, 2, 3, 4, 5]),
        (["03:00", "02:30", "02:00", "02:30", "02:00", "01:30"], [5, 4, 3, 2, 1, 0]),  # newest first
        (["01:30", "02:00", "02:00", "02:30", "03:00"], [0, 1, 3, 4, 5]),  # a gap in the first pass
        (["01:30", "02:00", "02:30", "02:30", "03:00"], [0, 1, 2, 4, 5]),  # in the second pass
        (["03:00", "02:30", "02:00", "02:00", "01:30"], [5, 4, 3, 1, 0]),
        (
            [
                "01:30",
                "01:30",
                "02:00",
                "02:00",
                "02:30",
                "02:30",
                "02:00",
                "02:00",
                "02:30",
                "02:30",
                "03:00",
                "03:00",
            ],
            [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
        ),
        (
            ["01:30"] * 3 + ["02:00"] * 6 + ["02:30"] * 3 + ["03:00"] * 3,
            [0] * 3 + [1] * 3 + [3] * 3 + [4] * 3 + [5] * 3,
        ),
        (["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"] * 2, [0, 1, 2, 3, 4, 5] * 2),  # the export twice
        (["01:30", "02:00", "02:00", "02:30", "02:00", "02:30", "03:00"], [0, 1, 1, 2, 3, 4, 5]),  # one row twice
        (["01:00", "01:30", "02:00", "02:30"], [-1, 0, 1, 2]),  # the file ends in the first pass
        (["02:00", "02:30", "03:00", "03:30"], [3, 4, 5, 6]),  # the file begins in the second pass
    ],
)
def test_infer_looks_at_the_rows_around(tmp_path: Path, labels: list[str], steps: list[int]) -> None:
    """After solar-plan#19 (gaps), Home-Assistant-Import-Energy-Data#68 (doubled rows), lowatt-enedis#29."""
    assert times(read(tmp_path, autumn(*labels), INFER)) == [START + step * HALF for step in steps]


@pytest.mark.parametrize(
    "labels",
    [
        ["01:30", "02:00", "02:30", "03:00"],  # one pass is missing: which one?
        ["01:30", "02:00", "02:00", "02:00", "03:00"],
        ["01:30", "02:00", "02:30", "02:00", "02:30", "02:00", "03:00"],
        ["01:30", "02:30", "03:00"],
        ["02:00"],
    ],
)
def test_infer_refuses_what_stays_uncertain(tmp_path: Path, labels: list[str]) -> None:
    found = read(tmp_path, autumn(*labels), INFER)
    assert len(found.rejects) == sum(label.startswith("02") for label in labels)
    assert all("the rows around it do not say which" in reject.reason for reject in found.rejects)


def test_infer_looks_at_each_signal_by_itself(tmp_path: Path) -> None:
    labels = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    rows = "".join(
        f"{meter};2024-10-27 {label};{signal};1\n"
        for label in labels
        for meter in "AB"
        for signal in ("1.8.0", "2.8.0")
    )
    found = read(tmp_path, rows, INFER, "meter;time;obis;value")
    assert len(found.readings) == 4
    assert all([time for time, _ in one] == [START + n * HALF for n in range(6)] for one in found.readings.values())


# -- labels at the ends of periods ----------------------------------------------------------------------------------


def ends(zone: str, reading: str, resolution: str = "1h") -> str:
    return (
        f'[time]\nzone = "{zone}"\ndst = "infer"\ninterval = "end"\nresolution = "{resolution}"\nends = "{reading}"\n'
    )


@pytest.mark.parametrize(
    ("reading", "day", "labels"),
    [
        ("clock", "2024-11-03", ["01:00", "02:00", "02:00", "03:00", "04:00"]),
        ("elapsed", "2024-11-03", ["01:00", "01:00", "02:00", "03:00", "04:00"]),
        ("clock", "2024-03-10", ["01:00", "02:00", "04:00", "05:00", "06:00"]),
        ("elapsed", "2024-03-10", ["01:00", "03:00", "04:00", "05:00", "06:00"]),
    ],
)
def test_labels_at_ends_are_the_start_plus_the_step_or_the_end(
    tmp_path: Path, reading: str, day: str, labels: list[str]
) -> None:
    """After gridstatus/gridstatus#469 and #766: the repeated hour is labelled 02:00 twice, and 01:00 stands once."""
    zone = "America/Chicago"
    rows = rows_of([f"{day} 00:00", *(f"{day} {label}" for label in labels)])
    found = read(tmp_path, rows, ends(zone, reading))
    assert times(found) == [ms(f"{day}T00:00", zone) + n * HOUR for n in range(6)]
    other = read(tmp_path, rows, ends(zone, "elapsed" if reading == "clock" else "clock"))
    assert other.rejects
    assert f"time.ends = '{reading}'" in other.rejects[0].reason


def test_titles_at_ends_are_asked_for_their_start(tmp_path: Path) -> None:
    """Found over a clock change: the quarter from 01:45 to 02:00 exists, though 02:00 does not."""
    titles = [f"{n // 4:02}:{n % 4 * 15:02}" for n in range(1, 97)]
    cells = ["" if "02:00" < title <= "03:00" else "1" for title in titles]
    rows = ";".join(["M", "2024-03-31", *cells]) + "\n"
    mapping = '[file]\nlayout = "wide"\n[time]\nzone = "Europe/Warsaw"\ninterval = "end"\n'
    found = read(tmp_path, rows, mapping, ";".join(["meter", "date", *titles]))
    start = ms("2024-03-31T00:00", "Europe/Warsaw")
    assert sorted(times(found)) == [start + n * QUARTER for n in range(1, 93)]


# -- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["-9999", "-9999.0", "-9999.00", "-9.999e3"])
@pytest.mark.parametrize("named", ["-9999", "-9999.0"])
def test_a_missing_value_is_known_by_its_value(tmp_path: Path, value: str, named: str) -> None:
    """After Chrismarsh/CHM#32 and ropensci/nasapower#36."""
    found = read(
        tmp_path, f"M;2024-07-01T00:00Z;1.5\nM;2024-07-01T01:00Z;{value}\n", f'[values]\nmissing = ["{named}"]'
    )
    assert (values(found), found.rejects) == ([1.5], [])


@pytest.mark.parametrize(
    ("kind", "named"),
    [(pa.float64(), "-9999"), (pa.float32(), "-999.9"), (pa.int32(), "-9999.0"), (pa.float64(), "NaN")],
)
def test_a_missing_value_is_known_in_parquet(tmp_path: Path, kind: pa.DataType, named: str) -> None:
    path = tmp_path / "profile.parquet"
    number = float(named)
    cells = pa.array([1, int(number) if pa.types.is_integer(kind) else number], kind)
    start = datetime(2024, 7, 1, tzinfo=ZoneInfo("UTC"))
    stamps = pa.array([start, start + timedelta(hours=1)], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"meter": ["M", "M"], "time": stamps, "value": cells}), path)
    found = readings_of(path, f'[values]\nmissing = ["{named}"]')
    assert (values(found), found.rejects) == ([1.0], [])


@pytest.mark.parametrize(
    ("said", "texts", "numbers"),
    [
        ('thousands = ","', ["998", "1,012", "12,345.5", "1,234,567"], [998.0, 1012.0, 12345.5, 1234567.0]),
        ('thousands = "."\ndecimal = ","', ["998", "1.012", "12.345,5"], [998.0, 1012.0, 12345.5]),
        ('thousands = " "\ndecimal = ","', ["998", "1 012", "12\u00a0345,5"], [998.0, 1012.0, 12345.5]),
        ('thousands = "\'"', ["998", "1'012", "-12'345.5"], [998.0, 1012.0, -12345.5]),
        ('thousands = "none"\ndecimal = ","', ["998", "1,012"], [998.0, 1.012]),
        ('decimal = ","', ["0,998", "1,012", "5"], [0.998, 1.012, 5.0]),
    ],
)
def test_thousands_may_be_separated(tmp_path: Path, said: str, texts: list[str], numbers: list[float]) -> None:
    """After emoncms/emoncms#222: the export writes a comma into values above 1000."""
    rows = "".join(f"M;2024-07-01T{hour:02}:00Z;{text}\n" for hour, text in enumerate(texts))
    found = read(tmp_path, rows, f"[values]\n{said}")
    assert (values(found), found.rejects) == (numbers, [])


@pytest.mark.parametrize("said", ["", 'decimal = ","'])
def test_what_may_separate_thousands_is_refused(tmp_path: Path, said: str) -> None:
    """After ha_washdata#392: 1,234 became 1.234 in silence."""
    found = read(tmp_path, "M;2024-07-01T00:00Z;998\nM;2024-07-01T01:00Z;1,012\n", f"[values]\n{said}")
    assert values(found) == [998.0]
    assert "values.thousands = ','" in found.rejects[0].reason


def test_wrong_groups_are_refused(tmp_path: Path) -> None:
    found = read(tmp_path, "M;2024-07-01T00:00Z;1,01\nM;2024-07-01T01:00Z;1234,567\n", '[values]\nthousands = ","')
    assert len(found.rejects) == 2
    with pytest.raises(MappingError, match="is the decimal point as well"):
        read(tmp_path, "", '[values]\nthousands = "."')


def test_values_of_past_billing_periods_can_be_left_out(tmp_path: Path) -> None:
    """After scs/smartmeter-datacollector#68, and read-outs with 1.8.0 and 1.8.0*01 one below the other."""
    rows = "".join(f"M;2024-07-01T00:00Z;{code};1\n" for code in ("1-0:1.8.0*255", "1-0:1.8.0*01", "1.8.0&02"))
    found = read(tmp_path, rows, '[signals]\nhistory = "ignore"', "meter;time;obis;value")
    assert [signal for _, signal, _ in found.readings] == ["1-0:1.8.0*255"]
