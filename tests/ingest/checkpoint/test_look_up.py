"""Resume points: what is known of each source before it is sent."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from besmart_async.ingest import Checkpoint, CsvSource, SourceError
from besmart_async.ingest.checkpoint.store import PendingCommit, look_up


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Checkpoint]:
    with Checkpoint(tmp_path / "c.sqlite3") as made:
        yield made


def test_files_are_looked_up_and_standard_input_never_is(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    sources = [CsvSource(path), CsvSource(None)]
    number = look_up(checkpoint, sources)[0].number
    assert number is not None
    checkpoint.commit(PendingCommit([(number, np.arange(2, 12))]))
    assert [(one.known, one.rows) for one in look_up(checkpoint, sources)] == [("resumed", 10), ("new", 0)]
    assert [one.known for one in look_up(None, sources)] == ["new", "new"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv.*cannot be read: No such file"):
        look_up(checkpoint, [CsvSource(tmp_path / "gone.csv")])
