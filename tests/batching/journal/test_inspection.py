"""Looking into journals that are open, closed, damaged or none at all: nothing on disk changes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from besmart_async import JournalError, SignalData, SignalKey
from besmart_async.batching.journal.database import owner_of
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.inspection import inspect
from besmart_async.batching.journal.tracker import Tracker
from tests.batching.journal.entries import single

START = 1_577_836_800_000

OWNER = """
import sys
from besmart_async import SignalKey
from besmart_async.batching.journal.file import JournalFile

file = JournalFile(sys.argv[1])
file.open()
for n in range(300):
    file.append([(SignalKey(1, n % 7, 32), 1577836800000 + n, float(n), "DBL", 1, None)])
print("written", flush=True)
sys.stdin.read()
"""
LOOK = """
import sys
from pathlib import Path
from besmart_async.batching.journal.database import owner_of
print(owner_of(Path(sys.argv[1])))
"""


def written(path: Path, *, readings: int = 20) -> Path:
    """A journal that a writer has left."""
    file = JournalFile(path)
    file.open()
    file.append([single(START + readings, 0.5, SignalKey(1, 1, 32))])
    times = [START + n for n in range(readings - 1)]
    file.append([SignalData(SignalKey(1, 2, 32), times, [1.5] * len(times))])
    file.close()
    return path


def on_disk(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """All about the files of a journal."""
    return {
        file.name: (file.stat().st_mtime_ns, file.stat().st_size, file.read_bytes()) for file in path.parent.iterdir()
    }


@pytest.fixture
def open_elsewhere(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    path = tmp_path / "journal"
    child = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdin=PIPE, stdout=PIPE, text=True)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        yield path, child
        child.kill()


def test_what_waits_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "journal")
    found = inspect(path)
    assert (found.readings, found.signals, found.commits) == (20, 2, 2)
    assert (found.oldest, found.newest) == (START, START + 20)
    assert (found.owner, found.problem, found.set_aside) == (None, None, {})
    assert found.files == {"journal": path.stat().st_size}


def test_a_journal_that_is_open_is_looked_into_with_its_log_and_its_owner(
    open_elsewhere: tuple[Path, subprocess.Popen[str]],
) -> None:
    path, owner = open_elsewhere
    before = on_disk(path)
    found = inspect(path)
    assert (found.readings, found.signals, found.problem) == (300, 7, None)
    assert found.owner == owner.pid
    assert set(found.files) == {"journal", "journal-wal"}
    assert on_disk(path) == before


def test_the_log_that_a_killed_process_left_is_read_and_left_alone(
    open_elsewhere: tuple[Path, subprocess.Popen[str]],
) -> None:
    path, owner = open_elsewhere
    owner.kill()
    owner.wait()
    before = on_disk(path)
    found = inspect(path)
    assert (found.readings, found.owner) == (300, None)
    assert on_disk(path) == before


def test_a_damaged_journal_says_what_can_be_read_of_it_and_stays_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "journal", readings=5_000)
    broken = bytearray(path.read_bytes())
    broken[-3_000] ^= 1
    path.write_bytes(broken)
    before = on_disk(path)
    found = inspect(path)
    assert found.problem is not None
    assert (found.readings, found.unreadable) == (1, 1)
    assert on_disk(path) == before


def test_what_was_set_aside_is_listed(tmp_path: Path) -> None:
    path = written(tmp_path / "jour[n]al")
    path.with_name("jour[n]al.damaged-20240101T000000Z").write_bytes(b"x" * 100)
    path.with_name("journal.damaged-20240101T000000Z").write_bytes(b"of another journal")
    assert inspect(path).set_aside == {"jour[n]al.damaged-20240101T000000Z": 100}


def test_a_salvage_that_was_cut_off_is_looked_into_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path).rename(tmp_path / "journal-salvaged")
    assert inspect(path).readings == 20
    assert not path.exists()


def test_an_empty_file_is_an_empty_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.touch()
    assert (inspect(path).readings, path.stat().st_size) == (0, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_text("readings, but not ours"), "not the journal of a writer"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, make: object, words: str) -> None:
    make(tmp_path / "journal")  # type: ignore[operator]
    with pytest.raises(JournalError, match=words):
        inspect(tmp_path / "journal")


def test_what_is_done_is_not_counted(tmp_path: Path) -> None:
    file, tracker = JournalFile(tmp_path / "journal"), Tracker(0)
    file.open()
    tracker.add(file.append([SignalData(SignalKey(1, 2, 32), range(10), [1.5] * 10)]), 0)
    tracker.done([(0, 3)])
    tracker.refused([(9, 10)])
    file.append((), tracker.take())
    file.close()
    found = inspect(tmp_path / "journal")
    assert (found.readings, found.refused, found.oldest, found.newest) == (6, 1, 3, 9)


def test_a_journal_is_looked_into_by_any_name(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    (tmp_path / "link").symlink_to("journal")
    found = inspect(tmp_path / "link")
    assert (found.path, found.readings, set(found.files)) == (tmp_path / "link", 20, {"journal"})


def test_looking_into_a_journal_of_this_process_lets_go_of_no_lock(tmp_path: Path) -> None:
    """To close any descriptor of a file drops the POSIX locks of its process, and SQLite's are such."""
    path = tmp_path / "journal"
    file = JournalFile(path)
    file.open()
    file.append([single(1, 0.5)])
    found = inspect(path)
    assert (found.readings, found.owner) == (1, os.getpid())
    assert locked_by_sqlite(path)
    with pytest.raises(JournalError, match="has it open"):
        JournalFile(path).open()
    assert locked_by_sqlite(path)
    seen = subprocess.run([sys.executable, "-c", LOOK, str(path)], capture_output=True, text=True, check=True)
    assert seen.stdout == f"{os.getpid()}\n"
    file.close()
    assert owner_of(path) is None


def locked_by_sqlite(path: Path) -> bool:
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM entries')"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    return "locked" in done.stderr
