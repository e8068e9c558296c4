"""The checkpoint file: what is known of a file that is seen again."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from besmart_async.batching import Writer
from besmart_async.ingest import Checkpoint, CheckpointError, Reject
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.checkpoint.store import PendingCommit


def rows(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


def mark(checkpoint: Checkpoint, start: ResumePoint, *numbers: int, rejects: tuple[Reject, ...] = ()) -> None:
    assert start.number is not None
    checkpoint.commit(PendingCommit([(start.number, rows(*numbers))], [(start.number, reject) for reject in rejects]))


def done(start: ResumePoint, upto: int = 20) -> list[int]:
    return np.flatnonzero(start.done.holds(np.arange(upto))).tolist()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "readings.csv"
    path.write_text("meter,time,value\nM,1,1\n")
    return path


def test_what_was_committed_is_there_when_it_is_opened_again(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "state" / "c.sqlite3") as checkpoint:
        start = checkpoint.begin(file, "readings.csv")
        assert (start.known, start.rows) == ("new", 0)
        mark(checkpoint, start, 2, 3, 9_000)
        mark(checkpoint, start, 4)
    with Checkpoint(tmp_path / "state" / "c.sqlite3") as checkpoint:
        start = checkpoint.begin(file, "readings.csv")
    assert (start.known, start.rows, done(start)) == ("resumed", 4, [2, 3, 4])
    assert start.done.holds(rows(9_000, 9_001)).tolist() == [True, False]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "state" / "c.sqlite3") as checkpoint:
        assert stat.S_IMODE(checkpoint.path.stat().st_mode) == 0o600


def test_a_file_is_what_it_holds_not_its_name_or_date(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c.sqlite3") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2)
        other = file.rename(tmp_path / "renamed.csv")
        os.utime(other, (1, 1))
        start = checkpoint.begin(other, "renamed.csv")
    assert (start.file, start.known, done(start)) == ("renamed.csv", "resumed", [2])


def test_a_changed_file_of_the_same_size_and_date_is_noticed_and_starts_over(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c.sqlite3") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2)
        before = file.stat()
        file.write_text(file.read_text().replace("M,1,1", "M,1,2"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert file.stat().st_size == before.st_size
        start = checkpoint.begin(file, "readings.csv")
        assert (start.known, bool(start.done)) == ("changed", False)
        assert checkpoint.begin(file, "readings.csv").known == "new"


def test_a_file_that_grew_keeps_what_is_done_but_its_last_row(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c.sqlite3") as checkpoint:
        reject = Reject("readings.csv", 4, "value", "", "is empty")
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2, 3, 4, rejects=(reject,))
        with file.open("a") as more:
            more.write("M,2,2\n")
        start = checkpoint.begin(file, "readings.csv")
        assert (start.known, done(start), start.rejected) == ("grown", [2, 3], 0)
        again = checkpoint.begin(file, "readings.csv")
    assert (again.known, done(again)) == ("resumed", [2, 3])


def test_another_scope_knows_nothing_of_it(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c.sqlite3", "one service") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2)
    with Checkpoint(tmp_path / "c.sqlite3", "another") as checkpoint:
        assert checkpoint.begin(file, "readings.csv").known == "new"


def test_rejects_are_kept_with_what_their_rows_hold(tmp_path: Path, file: Path) -> None:
    late = Reject("readings.csv", 9, "time", "x", "is no time", (("time", "when", "x"), ("value", "kWh", "1,5")))
    early = Reject("readings.csv", 3, None, "M,1", "has 2 fields")
    with Checkpoint(tmp_path / "c.sqlite3") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 3, 9, rejects=(late, early))
        start = checkpoint.begin(file, "readings.csv")
        assert list(checkpoint.rejects(start)) == [early, late]
    assert (start.rejected, start.refused.tolist()) == (2, [3, 9])


def test_restarting_forgets_a_file(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c.sqlite3") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2)
        checkpoint.restart(file)
        assert checkpoint.begin(file, "readings.csv").known == "new"
        checkpoint.restart(tmp_path / "c.sqlite3")  # of a file that it never saw, there is nothing to forget


def test_two_processes_may_mark_the_same_file(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c.sqlite3") as one, Checkpoint(tmp_path / "c.sqlite3") as other:
        first, second = one.begin(file, "readings.csv"), other.begin(file, "readings.csv")
        mark(one, first, *range(2, 8_192, 2))
        mark(other, second, *range(1, 8_192, 2))
        mark(one, first, 0)
        start = one.begin(file, "readings.csv")
    assert start.rows == 8_192
    with sqlite3.connect(tmp_path / "c.sqlite3") as raw:
        assert raw.execute("SELECT bits FROM blocks").fetchall() == [(None,)]
    raw.close()


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path, file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"readings\.csv: cannot be used as a checkpoint .*--checkpoint"):
        Checkpoint(file)
    assert file.read_text().startswith("meter")


def unchanged(folder: Path, before: dict[str, bytes]) -> bool:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("still_open", [False, True])
def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path, mode: str, still_open: bool) -> None:
    path = tmp_path / "other.sqlite3"
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("CREATE TABLE files (name TEXT)")
        other.execute("CREATE TABLE mine (name TEXT)")
        other.commit()
        if not still_open:
            other.close()
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        with pytest.raises(CheckpointError, match="it is something else, and is left as it is"):
            Checkpoint(path)
        changing = {"other.sqlite3-shm"}  # of which every reader writes the locks
        now = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert {name: now.get(name) for name in before if name not in changing} == {
            name: content for name, content in before.items() if name not in changing
        }
        assert now.keys() == before.keys()


async def test_a_journal_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal"

    async def put(body: bytes, /) -> None:
        raise AssertionError("nothing is sent")

    async with Writer(put, journal=path):
        pass
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match="something else"):
        Checkpoint(path)
    assert unchanged(tmp_path, before)


@pytest.mark.parametrize(
    "content", [b"meter,time,value\n", b"[columns]\n", b"PAR1", b"S", b"SQLite format 3", b"\0" * 200]
)
def test_any_other_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="something else"):
        Checkpoint(path)
    assert unchanged(tmp_path, {"file": content})


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(CheckpointError, match="it is not a file"):
            Checkpoint(path)
    (tmp_path / "text").touch()
    with pytest.raises(CheckpointError, match="cannot be used as a checkpoint"):
        Checkpoint(tmp_path / "text" / "c")


def test_by_a_symbolic_link_it_is_the_same_checkpoint_with_the_same_locks(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c.sqlite3") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2)
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "link"
    link.symlink_to(tmp_path / "c.sqlite3")
    with Checkpoint(link) as checkpoint:
        assert done(checkpoint.begin(file, "readings.csv")) == [2]
        assert [path.name for path in (tmp_path / "other").iterdir()] == ["link"]


def test_a_hard_link_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c.sqlite3").close()
    os.link(tmp_path / "c.sqlite3", tmp_path / "link")
    with pytest.raises(CheckpointError, match="a hard link"):
        Checkpoint(tmp_path / "link")


def test_a_checkpoint_of_an_earlier_version_goes_on(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c", "production") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2)
    with closing(sqlite3.connect(tmp_path / "c")) as raw:
        raw.execute("DROP TABLE meta")
        raw.execute("PRAGMA application_id = 0")
        raw.commit()
    with Checkpoint(tmp_path / "c", "production") as checkpoint:
        assert done(checkpoint.begin(file, "readings.csv")) == [2]
        assert len(checkpoint.salt) == 16


def test_what_is_done_in_the_former_scope_does_not_count_and_is_told_once(tmp_path: Path, file: Path) -> None:
    with Checkpoint(tmp_path / "c", "login") as checkpoint:
        mark(checkpoint, checkpoint.begin(file, "readings.csv"), 2)
    with Checkpoint(tmp_path / "c", "account", former_scope="login") as checkpoint:
        start = checkpoint.begin(file, "readings.csv")
        assert (start.known, start.rows) == ("former", 0)
        mark(checkpoint, start, 2)
        assert checkpoint.begin(file, "readings.csv").known == "resumed"


def test_each_checkpoint_has_a_salt_of_its_own_that_stays(tmp_path: Path) -> None:
    salts: list[bytes] = []
    for name in ("one", "one", "two"):
        with Checkpoint(tmp_path / name) as checkpoint:
            salts.append(checkpoint.salt)
    assert salts[0] == salts[1] != salts[2]
