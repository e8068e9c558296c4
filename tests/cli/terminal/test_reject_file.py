"""The file of rejects."""

import csv
from pathlib import Path

import pytest

from besmart_async.cli.exits import UsageError
from besmart_async.cli.ingest_inputs import Inputs
from besmart_async.cli.terminal.reject_file import reject_file
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
