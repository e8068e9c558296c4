"""The file of rejects."""

import csv
from io import FileIO
from pathlib import Path

import pytest
from typing_extensions import Buffer

from besmart_async.cli.exits import UsageError
from besmart_async.cli.ingest_inputs import Inputs
from besmart_async.cli.terminal.reject_file import RejectFile, reject_file
from besmart_async.ingest import CsvSource, FileForm, MeterRules, Reading, Reject

RECORD = (("meter", "Zähler", "M1"), ("time", "Zeit", "nie"), ("value", "kWh", "1,5"))


def inputs(*files: Path | str, encoding: str = "utf-8", delimiter: str | None = None) -> Inputs:
    form = FileForm(encoding=encoding, delimiter=delimiter)
    sources = [CsvSource(Path(file)) for file in files]
    return Inputs(sources=sources, reading=Reading(), signal_type=None, rules=MeterRules(), form=form)


def test_rows_stand_in_the_columns_and_encoding_of_the_files_they_are_from(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with reject_file(path, inputs("a.csv", encoding="cp1252", delimiter=";")) as file:
        assert file is not None
        file.add(Reject("a.csv", 2, "Zeit", "nie", "is no time", RECORD))
        file.add(Reject("b.csv", 9, None, "M1", "has 1 fields", (("meter", "Meter", ""), ("line", "", "M1;x"))))
        assert path.stat().st_size  # whoever kills the process finds them
    with path.open(encoding="cp1252", newline="") as written:
        first, second = csv.DictReader(written, delimiter=";")
    assert (first["Zähler"], first["Zeit"], first["kWh"], first["unit"]) == ("M1", "nie", "1,5", "")
    assert (first["rejected_row"], first["rejected_column"], first["rejected_reason"]) == ("2", "Zeit", "is no time")
    assert (second["rejected_file"], second["rejected_line"], second["Zähler"]) == ("b.csv", "M1;x", "")


def test_cells_that_a_spreadsheet_would_run_may_be_escaped(tmp_path: Path) -> None:
    formula = "=HYPERLINK(0)"
    record = (("meter", "@meter", formula), ("time", "time", "-1"), ("value", "value", "+1+1"))
    for escape, mark in ((False, ""), (True, "'")):
        path = tmp_path / f"{escape}.csv"
        with reject_file(path, inputs("a.csv"), escape_formulas=escape) as file:
            assert file is not None
            file.add(Reject("=a.csv", 2, None, formula, "is unknown", record))
        with path.open(newline="", encoding="utf-8") as written:
            (row,) = csv.DictReader(written)
        assert row[f"{mark}@meter"] == mark + formula
        assert (row["rejected_file"], row["rejected_value"]) == (f"{mark}=a.csv", mark + formula)
        assert (row["time"], row["value"]) == ("-1", f"{mark}+1+1")


def test_a_file_that_is_read_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    path.write_text("precious")
    read = inputs(f"{tmp_path}/./rejects.csv")
    with pytest.raises(UsageError, match="being read"), reject_file(path, read):
        pass
    assert path.read_text() == "precious"


def test_without_a_path_there_is_none() -> None:
    with reject_file(None, inputs()) as file:
        assert file is None


@pytest.mark.parametrize("encoding", ["ascii", "cp1250", "iso8859-2", "utf-16"])
def test_what_the_encoding_lacks_is_escaped(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "r.csv"
    with reject_file(path, inputs("a.csv", encoding=encoding)) as file:
        assert file is not None
        for row in (2, 3):
            file.add(Reject("a.csv", row, "value", "x…", "refused: \U0001f600 Ω", (("meter", "meter", "M"),)))
        assert file.error is None
    lines = path.read_text(encoding).splitlines()
    assert [line.split(",")[:2] for line in lines] == [
        ["rejected_file", "rejected_row"],
        ["a.csv", "2"],
        ["a.csv", "3"],
    ]
    if encoding == "ascii":
        assert lines[1].split(",")[3:5] == [r"x\u2026", r"refused: \U0001f600 \u03a9"]
    with reject_file(path, inputs("a.csv", encoding=encoding)):
        pass  # of an earlier run
    assert path.read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_on_a_full_disk_the_rows_that_are_missing_are_counted() -> None:
    with reject_file(Path("/dev/full"), inputs("a.csv")) as file:
        assert file is not None
        for row in range(3):
            file.add(Reject("a.csv", row, "value", "x", "no", ()))
        assert file.lost == 3
        assert "/dev/full: 3 rejected rows are missing from this file (No space left on device)" in str(file.error)


def test_no_half_row_stays_and_writing_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    class Failing(FileIO):
        full = False

        def write(self, content: Buffer, /) -> int:
            super().write(bytes(content)[:3])
            if not self.full:
                return super().write(bytes(content)[3:]) + 3
            raise OSError(28, "No space left on device")

    with Failing(tmp_path / "r.csv", "wb") as raw:
        file = RejectFile(raw, "r.csv")
        for row, full in enumerate([True, False, True, False]):
            raw.full = full
            file.add(Reject("a.csv", row, "value", "x", "no", ()))
    rows = [line.split(",")[1] for line in (tmp_path / "r.csv").read_text().splitlines()]
    assert (rows, file.lost) == (["rejected_row", "1", "3"], 2)


@pytest.mark.parametrize("name", ["r.csv.gz", "r.zst", "r.parquet", "r.xlsx"])
def test_a_name_that_is_read_as_something_else_than_text_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="rejects are plain CSV"), reject_file(tmp_path / name, inputs("a.csv")):
        pass
    assert not (tmp_path / name).exists()
