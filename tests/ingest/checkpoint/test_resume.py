"""Starts: what is known of each source before it is sent."""

from pathlib import Path

import pytest

from besmart_async.ingest import CsvSource, SourceError
from besmart_async.ingest.checkpoint.resume import Start, look_up


class Memory:
    """Knows of every file that ten rows were sent, if it can be read."""

    def begin(self, path: Path, name: str) -> Start:
        path.stat()
        return Start(name, "resumed", rows=10)


def test_files_are_looked_up_and_standard_input_never_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    sources = [CsvSource(path), CsvSource(None)]
    assert [(start.known, start.rows) for start in look_up(Memory(), sources)] == [("resumed", 10), ("new", 0)]
    assert [start.known for start in look_up(None, sources)] == ["new", "new"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv.*cannot be read: No such file"):
        look_up(Memory(), [CsvSource(tmp_path / "gone.csv")])
