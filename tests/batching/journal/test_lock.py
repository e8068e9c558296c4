"""Who may have a journal open: one writer, by whatever name; other programs that read it are waited for."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from besmart_async import JournalError
from besmart_async.batching.journal.database import owner_of
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.inspection import inspect
from tests.batching.journal.entries import single

WRITER = """
import sys
from besmart_async import SignalKey
from besmart_async.batching.journal.file import JournalFile
from besmart_async.errors import JournalError

file = JournalFile(sys.argv[1])
file.open()
count = 0
print("open", flush=True)
for line in sys.stdin:
    try:
        file.append([(SignalKey(12, 122, 32), count, 0.5, "DBL", 1, None)])
        count += 1
        print("appended", flush=True)
    except JournalError as error:
        print(error, flush=True)
"""


class Other:
    """A writer in another process, which appends a reading at each call."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child
        self.pid = child.pid

    def append(self) -> str:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()


@contextmanager
def other_writer(path: Path) -> Iterator[Other]:
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=PIPE, stdout=PIPE, text=True)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        yield Other(child)
        child.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def opened(path: Path, busy_s: float = 0.0) -> JournalFile:
    file = JournalFile(path, busy_s)
    file.open()
    return file


def symlink(path: Path) -> Path:
    path.with_name("link").symlink_to("journal")
    return path.with_name("link")


def hard_link(path: Path) -> Path:
    path.with_name("link").hardlink_to(path)
    return path.with_name("link")


def linked_folder(path: Path) -> Path:
    folder = path.with_name("folder")
    folder.symlink_to(path.parent)
    return folder / "journal"


@pytest.mark.parametrize("second_name", [symlink, hard_link, linked_folder])
def test_a_second_writer_is_refused_by_whatever_name(path: Path, second_name: object) -> None:
    with other_writer(path) as other:
        assert other.append() == "appended"
        name = second_name(path)  # type: ignore[operator]
        with pytest.raises(JournalError, match=f"process {other.pid} has it open"):
            opened(name)
        assert owner_of(name) == other.pid
        assert other.append() == "appended"
    assert inspect(path).readings == 2
    assert not list(path.parent.glob("*damaged*"))


def test_a_symlink_leads_to_the_log_of_a_killed_writer(path: Path) -> None:
    with other_writer(path) as other:
        other.append()
    file = JournalFile(symlink(path))
    assert file.open().readings == 1
    file.close()


def test_a_hard_link_does_not_lead_to_the_log_of_a_killed_writer(path: Path) -> None:
    with other_writer(path) as other:
        other.append()
    name = hard_link(path)
    with pytest.raises(JournalError, match="its log is beside another name of the file"):
        opened(name)
    file = JournalFile(path)
    assert file.open().readings == 1
    file.close()
    opened(name).close()  # after that there is no log


@pytest.mark.parametrize("change", ["moved", "deleted", "replaced", "log moved", "log deleted"])
def test_a_file_that_is_not_where_it_was_is_written_no_further(path: Path, change: str) -> None:
    log = path.with_name("journal-wal")
    with other_writer(path) as other:
        assert other.append() == "appended"
        if change == "moved":
            path.rename(path.with_name("elsewhere"))
        elif change == "deleted":
            path.unlink()
        elif change == "replaced":
            path.with_name("new").touch()
            path.with_name("new").rename(path)
        elif change == "log moved":
            log.rename(path.with_name("elsewhere"))
        else:
            log.unlink()
        assert "moved or deleted while a writer had it open; nothing was accepted" in other.append()


def test_a_writer_whose_file_was_moved_does_not_delete_the_log_of_the_next_one(path: Path) -> None:
    first = opened(path)
    first.append([single(1, 0.5)])
    path.rename(path.with_name("elsewhere"))
    path.with_name("journal-wal").rename(path.with_name("elsewhere-wal"))
    second = opened(path)
    second.append([single(2, 1.5)])
    first.close()
    second.append([single(3, 2.5)])
    second.close()
    assert inspect(path).readings == 2
    assert inspect(path.with_name("elsewhere")).readings == 1


@contextmanager
def reader_of(path: Path) -> Iterator[None]:
    """Another program that reads the database, a backup for example."""
    script = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("BEGIN")
db.execute("SELECT count(*) FROM entries").fetchone()
print("reading", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=PIPE, stdout=PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"reading\n"
        yield
        child.kill()


def test_a_database_that_another_program_reads_is_in_use_and_not_damaged(path: Path) -> None:
    file = opened(path)
    file.append([single(1, 0.5)])
    file.close()
    with reader_of(path), pytest.raises(JournalError, match=r"database is locked.*another program has it open"):
        opened(path)
    assert owner_of(path) is None
    assert not list(path.parent.glob("*damaged*"))
    assert inspect(path).readings == 1


def test_a_program_that_reads_the_database_is_waited_for(path: Path) -> None:
    opened(path).close()
    waiting = JournalFile(path, busy_s=60.0)
    with reader_of(path):
        thread = threading.Thread(target=waiting.open)
        thread.start()
        while owner_of(path) is None:
            pass
        assert thread.is_alive()
    thread.join(60)
    waiting.append([single(1, 0.5)])
    waiting.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "its path is empty"),
        (":memory:", "would not survive the process"),
        ("a\0b", "NUL"),
        (os.fsdecode(b"journal\xff"), "not UTF-8"),
        (b"journal", "not text"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_before_anything_is_opened(name: str, words: str) -> None:
    with pytest.raises(JournalError, match=words) as told:
        JournalFile(name)
    str(told.value).encode()


def test_a_path_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "none" / "journal", tmp_path / ("x" * 300), Path(__file__) / "journal"):
        with pytest.raises(JournalError):
            JournalFile(name).open()


def test_a_process_without_file_descriptors_is_told_so(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = os.open(os.devnull, os.O_RDONLY)
    os.close(used)
    file = JournalFile(path)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
    try:
        with pytest.raises(JournalError, match=r"Too many open files.*ulimit -n"):
            file.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    file.open()
    file.close()


def test_a_forked_child_does_not_keep_the_lock_beyond_its_parent(path: Path) -> None:
    script = """
import os, sys, time
from besmart_async.batching.journal.file import JournalFile
file = JournalFile(sys.argv[1])
file.open()
if os.fork() == 0:
    print("forked", flush=True)
    sys.stdin.read()
    sys.exit()
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=PIPE, stdout=PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"forked\n"
        assert owner_of(path) == parent.pid
        parent.kill()
        parent.wait()
        opened(path).close()


def test_a_forked_child_that_ends_leaves_the_log_and_the_lock_to_its_parent(path: Path) -> None:
    script = """
import os, sys
from besmart_async import SignalKey
from besmart_async.batching.journal.file import JournalFile
file = JournalFile(sys.argv[1])
file.open()
reading = (SignalKey(1, 1, 1), 0, 0.5, "DBL", 1, None)
file.append([reading])
child = os.fork()
if child == 0:
    sys.exit()  # all that is left of the journal in the child is cleared away, as Python does at the end
os.waitpid(child, 0)
file.append([reading])
print("appended", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=PIPE, stdout=PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"appended\n"
        with pytest.raises(JournalError, match=f"process {parent.pid} has it open"):
            opened(path)
        parent.kill()
    file = JournalFile(path)
    found = file.open()
    assert (found.readings, found.damage) == (2, None)
    file.close()


def test_a_database_of_another_program_with_our_table_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA application_id = 7")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not the journal"):
        opened(path)
    assert path.read_bytes() == before
