"""Workbooks: sheets are tables like CSV, and cells that are numbers or dates stay so."""

import datetime as dt
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import xlsxwriter

from besmart_async.ingest import SourceError
from besmart_async.ingest.sources import sources_of, workbook
from tests.ingest.file_readings import FileReadings, readings_of

T0 = 1_719_792_000_000  # 2024-07-01T00:00Z
HOUR = 3_600_000
UTC = '[time]\nzone = "UTC"\n'
START = dt.datetime(2024, 7, 1)
HEADER = ("meter", "time", "value")
ROWS = (HEADER, ("M1", START, 1.5), ("M1", START + dt.timedelta(hours=1), 2.0))
READ = {"M1": [(T0, 1.5), (T0 + HOUR, 2.0)]}


def book(path: Path, sheets: dict[str, Sequence[Sequence[object]]], options: dict[str, object] | None = None) -> Path:
    with xlsxwriter.Workbook(str(path), options or {}) as made:
        when, day, clock = (
            made.add_format({"num_format": text}) for text in ("yyyy-mm-dd hh:mm", "yyyy-mm-dd", "hh:mm")
        )
        for name, rows in sheets.items():
            sheet = made.add_worksheet(name)
            for row, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    if isinstance(cell, dt.datetime):
                        sheet.write_datetime(row, column, cell, when)
                    elif isinstance(cell, dt.date):
                        sheet.write_datetime(row, column, cell, day)
                    elif isinstance(cell, dt.time):
                        sheet.write_datetime(row, column, cell, clock)
                    elif cell is not None:
                        sheet.write(row, column, cell)
    return path


def read(tmp_path: Path, rows: Sequence[Sequence[object]], mapping: str = UTC) -> FileReadings:
    return readings_of(book(tmp_path / "export.xlsx", {"Data": rows}), mapping)


def test_a_plain_table_with_real_dates(tmp_path: Path) -> None:
    """After ha-linky#99: the portal gives only XLSX."""
    found = read(tmp_path, ROWS)
    assert found.by_meter == READ
    assert found.rejects == []


def test_a_decimal_comma_and_a_format_of_times_do_not_change_cells_that_are_numbers_and_dates(tmp_path: Path) -> None:
    mapping = '[time]\nzone = "UTC"\nformat = "%d.%m.%Y %H:%M"\n[values]\ndecimal = ","\n'
    assert read(tmp_path, ROWS, mapping).by_meter == READ


def test_numbers_and_dates_as_text_are_read_as_in_csv(tmp_path: Path) -> None:
    mapping = '[time]\nzone = "UTC"\nformat = "%d.%m.%Y %H:%M"\n[values]\ndecimal = ","\n'
    rows = (HEADER, ("M1", "01.07.2024 00:00", "1,5"), ("M1", "01.07.2024 01:00", "2"))
    assert read(tmp_path, rows, mapping).by_meter == READ


def test_a_column_with_numbers_and_texts_keeps_the_numbers_as_they_are(tmp_path: Path) -> None:
    rows = (HEADER, ("M1", START, 1.012), ("M1", START + dt.timedelta(hours=1), "1,5"))
    found = read(tmp_path, rows, f'{UTC}[values]\ndecimal = ","\n')
    assert found.by_meter == {"M1": [(T0, 1.012), (T0 + HOUR, 1.5)]}


def test_a_preamble_and_empty_rows_keep_the_numbers_of_rows(tmp_path: Path) -> None:
    rows = (("Export",), (), ("Customer", 4711), (), *ROWS, (), ("M1", "soon", 7.0))
    found = read(tmp_path, rows)
    assert found.by_meter == READ
    assert [(reject.row, reject.value) for reject in found.rejects] == [(9, "soon")]


def test_a_table_that_does_not_begin_in_the_first_column_keeps_the_numbers_of_columns(tmp_path: Path) -> None:
    rows = [(None, None, *row) for row in ROWS]
    mapping = f"{UTC}[columns]\nmeter = 3\ntime = 4\nvalue = 5\n[file]\nheader_row = 1\n"
    assert read(tmp_path, rows, mapping).by_meter == READ


def test_days_and_clock_times_in_two_columns(tmp_path: Path) -> None:
    rows = [
        ("meter", "date", "time", "value"),
        ("M1", START.date(), dt.time(0), 1.5),
        ("M1", START.date(), dt.time(1), 2),
    ]
    assert read(tmp_path, rows).by_meter == READ


def test_wide_tables_titled_with_clock_times(tmp_path: Path) -> None:
    rows = [("meter", "date", *(dt.time(hour) for hour in range(24))), ("M1", START.date(), *range(24))]
    found = read(tmp_path, rows)
    assert found.by_meter == {"M1": [(T0 + hour * HOUR, float(hour)) for hour in range(24)]}


def test_numbers_of_days_in_a_column_of_times_are_dates_and_1904_counts(tmp_path: Path) -> None:
    rows = (HEADER, ("M1", 45_474.0, 1.5), ("M1", 45_474 + 1 / 24, 2.0))
    assert read(tmp_path, rows).by_meter == READ
    since_1904 = (HEADER, ("M1", 45_474.0 - 1462, 1.5), ("M1", 45_474 - 1462 + 1 / 24, 2.0))
    path = book(tmp_path / "mac.xlsx", {"Data": since_1904}, {"date_1904": True})
    assert readings_of(path, UTC).by_meter == READ
    dates = book(tmp_path / "mac2.xlsx", {"Data": ROWS}, {"date_1904": True})
    assert readings_of(dates, UTC).by_meter == READ


def test_quarters_of_an_hour_stored_as_fractions_of_days_are_exact(tmp_path: Path) -> None:
    quarters = [("M1", 45_474 + number / 96, float(number)) for number in range(96)]
    found = read(tmp_path, (HEADER, *quarters)).by_meter["M1"]
    assert [time for time, _ in found] == [T0 + number * 900_000 for number in range(96)]


def test_formulas_count_by_their_stored_values_and_errors_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    with xlsxwriter.Workbook(str(path)) as made:
        sheet = made.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        for row, stored in enumerate((2.5, "#DIV/0!"), start=1):
            sheet.write(row, 0, "M1")
            sheet.write(row, 1, f"2024-07-01T0{row - 1}:00")
            sheet.write_formula(row, 2, "=1+1", None, stored)
    found = readings_of(path, UTC)
    assert found.by_meter == {"M1": [(T0, 2.5)]}
    assert [(reject.row, reject.reason) for reject in found.rejects] == [(3, "is empty")]


def test_meters_that_are_numbers_are_named_without_a_fraction(tmp_path: Path) -> None:
    assert list(read(tmp_path, (HEADER, (1012, START, 1.0), (12.122, START, 1.0))).by_meter) == ["1012", "12.122"]


def test_titles_in_two_rows_of_merged_cells(tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    with xlsxwriter.Workbook(str(path)) as made:
        sheet = made.add_worksheet()
        sheet.write(1, 0, "time")
        sheet.merge_range(0, 1, 0, 2, "M1")
        sheet.write_row(1, 1, ("1.8.0", "2.8.0"))
        sheet.write_row(2, 0, ("2024-07-01T00:00", 1.5, 2.5))
    mapping = f'{UTC}[file]\nheader_row = [1, 2]\n[[series]]\npattern = "{{meter}} | {{signal}}"\n'
    found = readings_of(path, mapping).readings
    assert found == {("M1", "1.8.0", ""): [(T0, 1.5)], ("M1", "2.8.0", ""): [(T0, 2.5)]}


def test_each_sheet_with_a_table_is_a_file_of_its_own_and_others_are_named(tmp_path: Path) -> None:
    info = (("Info",), ("Created by a portal",))
    june = (HEADER, ("M2", START, 3.0))
    path = book(tmp_path / "export.xlsx", {"Info": info, "Juni": june, "Juli": ROWS, "Leer": ()})
    sources = sources_of([str(path)])
    assert [source.name for source in sources] == [f"{path}!Juni", f"{path}!Juli"]
    assert sources[0].check() == ("(sheet Info: no table)",)
    assert readings_of(path, UTC).by_meter == {"M2": [(T0, 3.0)], **READ}


SUMS = (HEADER, ("M1", START, 30.0))


def test_sheets_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = book(tmp_path / "export.xlsx", {"Data": ROWS, "Days": SUMS})
    with pytest.raises(SourceError, match=r"sheets 'Data' and 'Days' both have a value for M1 2024-07-01.*file.sheet"):
        readings_of(path, UTC)


def test_a_contradiction_in_the_last_row_of_long_sheets_is_found(tmp_path: Path) -> None:
    rows = [("M1", f"2024-07-01T00:00:00.{number:06}Z", number) for number in range(9_000)]
    other = [("M1", f"2024-07-01T00:00:00.{number:06}Z", 1.5) for number in range(8_999, 8_997, -1)]
    path = book(tmp_path / "export.xlsx", {"Data": (HEADER, *rows), "Late": (HEADER, *other)})
    with pytest.raises(SourceError, match=r"both have a value for M1 2024-07-01T00:00:00\.008999Z: 8999\.0 and 1\.5"):
        readings_of(path, UTC)


def test_sheets_that_say_the_same_twice_are_read(tmp_path: Path) -> None:
    path = book(tmp_path / "export.xlsx", {"Data": ROWS, "Copy": ROWS})
    assert readings_of(path, UTC).by_meter == {"M1": [*READ["M1"], *READ["M1"]]}


@pytest.mark.parametrize("chosen", ["Data", "da*", "[Dd]ata"])
def test_the_mapping_file_chooses_sheets(tmp_path: Path, chosen: str) -> None:
    path = book(tmp_path / "export.xlsx", {"Sums": SUMS, "Data": ROWS})
    assert readings_of(path, f'{UTC}[file]\nsheet = "{chosen}"').by_meter == READ


def test_a_sheet_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = book(tmp_path / "export.xlsx", {"Data": ROWS})
    with pytest.raises(SourceError, match=r"has no sheet 'Juli', which file.sheet names; there are 'Data'"):
        readings_of(path, f'{UTC}[file]\nsheet = "Juli"')


def test_hidden_sheets_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    with xlsxwriter.Workbook(str(path)) as made:
        for name, value in (("Data", 1.0), ("Raw", 9.0)):
            sheet = made.add_worksheet(name)
            sheet.write_row(0, 0, HEADER)
            sheet.write_row(1, 0, ("M1", "2024-07-01T00:00", value))
        sheet.hide()
    assert readings_of(path, UTC).by_meter == {"M1": [(T0, 1.0)]}


def test_a_workbook_without_a_table_says_what_its_sheets_lack(tmp_path: Path) -> None:
    path = book(tmp_path / "export.xlsx", {"A": (("x", "y"),), "B": (("z",),)})
    with pytest.raises(SourceError, match="is a workbook without a table that fits: sheet A no column for the"):
        sources_of([str(path)])
    with pytest.raises(SourceError, match="whose visible sheets are empty"):
        sources_of([str(book(tmp_path / "empty.xlsx", {"A": ()}))])


def test_an_opendocument_sheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "export.ods"
    kinds = {"string": "", "float": 'office:value="{}"', "date": 'office:date-value="{}"'}

    def cell(kind: str, text: str) -> str:
        said = kinds[kind].format(text)
        return f'<table:table-cell office:value-type="{kind}" {said}><text:p>{text}</text:p></table:table-cell>'

    rows = [
        "".join(cell("string", title) for title in HEADER),
        cell("string", "M1") + cell("date", "2024-07-01T00:00:00") + cell("float", "1.5"),
        cell("string", "M1") + cell("date", "2024-07-01T01:00:00") + cell("float", "2"),
    ]
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    lines = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    body = f'<office:spreadsheet><table:table table:name="D">{lines}</table:table></office:spreadsheet>'
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        made.writestr(
            "content.xml",
            f"<office:document-content{spaces}><office:body>{body}</office:body></office:document-content>",
        )
        made.writestr("META-INF/manifest.xml", "<manifest/>")
    assert readings_of(path, UTC).by_meter == READ


def test_a_workbook_in_an_archive_is_read(tmp_path: Path) -> None:
    inner = book(tmp_path / "export.xlsx", {"Data": ROWS})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as made:
        made.write(inner, "x/export.xlsx")
    assert readings_of(tmp_path / "all.zip", UTC).by_meter == READ


def test_two_cells_that_span_too_much_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    with xlsxwriter.Workbook(str(path)) as made:
        sheet = made.add_worksheet()
        sheet.write(0, 0, "meter")
        sheet.write(1_048_575, 16_383, 1.0)
    with pytest.raises(SourceError, match="spans 17,179,869,184 cells, more than"):
        sources_of([str(path)])


def test_parts_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MOST_BYTES", 1000)
    with pytest.raises(SourceError, match=r"would unpack to .* bytes, more than 1,000"):
        sources_of([str(book(tmp_path / "export.xlsx", {"Data": ROWS}))])


def test_a_damaged_workbook_is_named(tmp_path: Path) -> None:
    path = tmp_path / "export.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(SourceError, match="is a workbook that cannot be read"):
        sources_of([str(path)])


def test_without_python_calamine_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(SourceError, match=r"is an Excel .* pip install 'besmart-async\[excel\]'"):
        sources_of([str(book(tmp_path / "export.xlsx", {"Data": ROWS}))])
