"""Looking into journals that are open, closed, damaged or none at all: nothing on disk changes."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from besmart_async import BatchPolicy, JournalError, SignalKey, UndeliveredError
from besmart_async.batching.journal.database import JournalLock
from besmart_async.batching.journal.inspection import inspect
from besmart_async.batching.write.writer import Writer

START = 1_577_836_800_000

OWNER = """
import asyncio, sys
from besmart_async import BatchPolicy, SignalKey
from besmart_async.batching.write.writer import Writer

async def never(body, /):
    await asyncio.Event().wait()

async def main():
    async with Writer(never, BatchPolicy(linger_s=60), journal=sys.argv[1]) as writer:
        for n in range(300):
            await writer.write(SignalKey(1, n % 7, 32), 1577836800000 + n, float(n))
        print("written", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
LOOK = """
import sys
from pathlib import Path
from besmart_async.batching.journal.database import JournalLock
print(JournalLock(Path(sys.argv[1])).owner())
"""


async def never(_: bytes, /) -> None:
    await asyncio.Event().wait()


def written(path: Path, *, readings: int = 20) -> Path:
    """A journal that a writer has left."""

    async def write() -> None:
        async with Writer(never, BatchPolicy(linger_s=60, close_timeout_s=0), journal=path) as writer:
            await writer.write(SignalKey(1, 1, 32), START + readings, 0.5)
            times = [START + n for n in range(readings - 1)]
            await writer.write(SignalKey(1, 2, 32), times, [1.5] * len(times))

    with pytest.raises(UndeliveredError):
        asyncio.run(write())
    return path


def on_disk(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """All about the files beside a journal, but that of the lock: reading it here would let go of the lock."""
    return {
        file.name: (file.stat().st_mtime_ns, file.stat().st_size, file.read_bytes())
        for file in path.parent.iterdir()
        if not file.name.endswith("-lock")
    }


@pytest.fixture
def open_elsewhere(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    path = tmp_path / "journal"
    child = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True)
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
        (lambda path: path.write_text("readings, but not ours"), "no journal of a writer"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, make: object, words: str) -> None:
    make(tmp_path / "journal")  # type: ignore[operator]
    with pytest.raises(JournalError, match=words):
        inspect(tmp_path / "journal")


def test_a_lock_holds_although_its_own_process_was_refused_a_second_one(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = JournalLock(path)
    first.take()
    with pytest.raises(JournalError, match="has it open"):
        JournalLock(path).take()
    owner = subprocess.run([sys.executable, "-c", LOOK, str(path)], capture_output=True, text=True, check=True)
    assert owner.stdout.strip() != "None"
    first.release()
    assert first.owner() is None
