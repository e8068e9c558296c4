"""Damaged journals: what can be read is delivered, what cannot is counted, the file is kept, the next start is well.

The files are those of a process that was killed: database and write-ahead log as they lay on disk at that moment.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest

from besmart_async import JournalError, SignalData, SignalKey
from besmart_async.batching.journal import database
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.opening import Found
from besmart_async.batching.journal.records import Entry
from besmart_async.batching.journal.salvage import read_log
from besmart_async.batching.journal.tracker import Tracker
from besmart_async.batching.write.validation import Reading
from tests.faults.failing_disk import FULL, FailingDisk, sqlite_library

FRAME_BYTES = 4096 + 24
SECTOR_BYTES = 512
FLIPS = 60
LIBRARY = sqlite_library()


@attrs.frozen
class Killed:
    """A journal as a killed process left it, and what it had acknowledged, commit by commit."""

    folder: Path
    commits: list[list[Entry]]

    def values(self) -> set[float]:
        return {value for commit in self.commits for value in values_of(commit)}


def values_of(entries: list[Entry]) -> list[float]:
    return [
        value
        for entry in entries
        for value in (entry.columns() if isinstance(entry, Reading) else entry).value.tolist()
    ]


def found_values(found: Found) -> list[float]:
    return values_of(found.entries)


def killed(folder: Path, seed: int, commits: int = 24, checkpointed: int = 11) -> Killed:
    """Write commits, every value another; some lie in the database, the others in the log."""
    rng = random.Random(seed)
    live, copy = folder / "live", folder / "killed"
    live.mkdir()
    file = JournalFile(live / "journal")
    file.open()
    value, written = 0.0, list[list[Entry]]()
    for number in range(commits):
        entries: list[Entry] = []
        for _ in range(rng.randint(1, 4)):
            rows = rng.choice([1, 1, 3, 40, 600])
            key = SignalKey(12, rng.randint(1, 5), 32)
            times = 1577836800000 + np.arange(rows) * 900_000
            entries.append(
                Reading(key, int(times[0]), value, "DBL", 1, None)
                if rows == 1
                else SignalData(key, times, value + np.arange(rows))
            )
            value += rows
        file.append(entries)
        written.append(entries)
        if number == checkpointed:
            file.close()
            file = JournalFile(live / "journal")
            file.open()
    shutil.copytree(live, copy)
    file.close()
    return Killed(copy, written)


@pytest.fixture
def journal(tmp_path: Path) -> Killed:
    return killed(tmp_path, 1)


def opened(folder: Path) -> Found:
    file = JournalFile(folder / "journal")
    try:
        return file.open()
    finally:
        file.close()


def copied(journal: Killed, to: Path) -> Path:
    shutil.copytree(journal.folder, to)
    return to


def flipped(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def damage(journal: Killed) -> None:
    log = journal.folder / "journal-wal"
    flipped(log, log.stat().st_size * 4)


def test_a_killed_process_leaves_all_it_acknowledged(journal: Killed) -> None:
    found = opened(journal.folder)
    assert found.damage is None
    assert not found.torn
    assert found_values(found) == [value for commit in journal.commits for value in values_of(commit)]


def test_a_log_cut_at_any_byte_of_its_last_page_is_no_damage(tmp_path: Path) -> None:
    journal = killed(tmp_path, 1, commits=3, checkpointed=1)
    content = (journal.folder / "journal-wal").read_bytes()
    for size in range(len(content) - FRAME_BYTES, len(content)):
        log = read_log(content[:size])
        assert log is not None
        assert not log.damaged
        assert not log.torn  # what is cut off was being written, and was not acknowledged
        assert log.sound == len(content) // FRAME_BYTES - 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("losses", [64, pytest.param(1280, marks=pytest.mark.long)])
def test_a_power_loss_during_a_commit_loses_nothing_that_was_acknowledged(
    tmp_path: Path, seed: int, losses: int
) -> None:
    """Of a commit that was not yet synced any sectors may be on the disk, and the log may have any length."""
    rng = random.Random(seed)
    commits = 16
    logs, acknowledged = [b""], list[list[float]]()
    live = tmp_path / "live"
    live.mkdir()
    file, value = JournalFile(live / "journal"), 0
    file.open()
    base = (live / "journal").read_bytes()
    logs[0] = (live / "journal-wal").read_bytes()
    for _ in range(commits):
        rows = rng.choice([1, 3, 40, 600, 3000])
        times = 1577836800000 + np.arange(rows) * 900_000
        file.append([SignalData(SignalKey(12, rng.randint(1, 5), 32), times, value + np.arange(rows))])
        acknowledged.append([float(value + row) for row in range(rows)])
        value += rows
        logs.append((live / "journal-wal").read_bytes())
    assert (live / "journal").read_bytes() == base  # all of it is in the log
    for number in range(losses):
        done = rng.randrange(commits)
        folder = tmp_path / f"lost-{number}"
        folder.mkdir()
        (folder / "journal").write_bytes(base)
        (folder / "journal-wal").write_bytes(torn(logs[done], logs[done + 1], rng))
        found = opened(folder)
        before = [value for commit in acknowledged[:done] for value in commit]
        # With a hole in the commit and its end on the disk it may be called damage, in which nothing was lost.
        assert found.damage is None or not found.damage.lost
        assert found_values(found) in (before, before + acknowledged[done])
        assert found_values(opened(folder)) == found_values(found)
        shutil.rmtree(folder)
    file.close()


def torn(before: bytes, after: bytes, rng: random.Random) -> bytes:
    """A log to which some sectors of a commit were written, the others having zeros, up to some length."""
    content = bytearray(after[: rng.randint(len(before), len(after))])
    share = rng.choice([0.0, 0.1, 0.5, 1.0])
    for start in range(len(before), len(content), SECTOR_BYTES):
        if rng.random() < share:
            end = min(start + SECTOR_BYTES, len(content))
            content[start:end] = bytes(end - start)
    return bytes(content)


@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.long)])
def test_a_journal_cut_at_the_last_page_loses_the_last_commit_at_most(
    journal: Killed, tmp_path: Path, step: int
) -> None:
    size = (journal.folder / "journal-wal").stat().st_size
    before_last = [value for commit in journal.commits[:-1] for value in values_of(commit)]
    for cut in range(1, FRAME_BYTES + 1, step):
        folder = copied(journal, tmp_path / "cut")
        with (folder / "journal-wal").open("r+b") as log:
            log.truncate(size - cut)
        found = opened(folder)
        assert found.damage is None
        assert found_values(found) == before_last
        shutil.rmtree(folder)


@pytest.mark.parametrize("flips", [FLIPS, pytest.param(3000, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["journal-wal", "journal"])
def test_a_flipped_bit_never_goes_unnoticed(journal: Killed, tmp_path: Path, name: str, flips: int, seed: int) -> None:
    rng = random.Random(seed)
    bits = (journal.folder / name).stat().st_size * 8
    for _ in range(flips):
        bit = rng.randrange(bits)
        folder = copied(journal, tmp_path / "flipped")
        flipped(folder / name, bit)
        found = opened(folder)
        values = found_values(found)
        assert set(values) <= journal.values(), bit
        assert len(values) == len(set(values)), bit
        missing = len(journal.values()) - len(values)
        if found.damage is not None:
            assert found.damage.salvaged == len(values), bit
            assert found.damage.lost + found.damage.unreadable or not missing, bit
            assert found.damage.lost <= missing, bit
            assert found.damage.aside.exists(), bit
        else:
            assert not missing or found.torn, bit
        assert found_values(opened(folder)) == values, bit  # and not salvaged a second time
        assert len(list(folder.glob("*.damaged-*[0-9Z]"))) == (found.damage is not None), bit
        shutil.rmtree(folder)


@pytest.mark.parametrize("flips", [FLIPS, pytest.param(3000, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["journal-wal", "journal"])
def test_what_is_done_does_not_come_back_from_an_intact_journal_and_the_rest_never_goes_unnoticed(
    tmp_path: Path, name: str, flips: int, seed: int
) -> None:
    journal, done = half_done(tmp_path)
    left = journal.values() - done
    assert set(found_values(opened(copied(journal, tmp_path / "intact")))) == left
    rng = random.Random(seed)
    bits = (journal.folder / name).stat().st_size * 8
    for _ in range(flips):
        bit = rng.randrange(bits)
        folder = copied(journal, tmp_path / "flipped")
        flipped(folder / name, bit)
        found = opened(folder)
        values = found_values(found)
        assert len(values) == len(set(values)), bit
        assert set(values) <= journal.values(), bit
        if found.damage is None:
            assert set(values) >= left or found.torn, bit
            assert found.torn or set(values) == left, bit
        elif left - set(values):
            assert found.damage.lost + found.damage.unreadable, bit
        assert found_values(opened(folder)) == values, bit
        shutil.rmtree(folder)


def half_done(folder: Path) -> tuple[Killed, set[float]]:
    """Write commits, and record outcomes of single readings of them, some in the database and some in the log."""
    rng = random.Random(2)
    live, copy = folder / "live", folder / "killed"
    live.mkdir()
    file, tracker = JournalFile(live / "journal"), Tracker(0)
    file.open()
    written, done, top = list[list[Entry]](), set[float](), 0
    for number in range(30):
        rows = rng.choice([1, 3, 40, 600])
        entries: list[Entry] = [SignalData(SignalKey(12, rng.randint(1, 5), 32), range(rows), top + np.arange(rows))]
        tracker.add(file.append(entries), top)
        written.append(entries)
        top += rows
        for _ in range(3):
            start = rng.randrange(top)
            stop = min(top, start + rng.choice([1, 20, 500]))
            tracker.done([(start, stop)])
            done.update(range(start, stop))
        file.append((), changes := tracker.take())
        assert changes.top == top
        if number == 14:
            database.begin_log_anew(file._connection())
    shutil.copytree(live, copy)
    file.close()
    return Killed(copy, written), {float(value) for value in done}


@pytest.mark.skipif(LIBRARY is None, reason="this Python has its SQLite inside, where nobody reaches it")
def test_what_a_failed_commit_left_in_the_log_is_no_damage(tmp_path: Path) -> None:
    """A commit that the disk has no room for, then a shorter one, then kill -9."""
    assert LIBRARY is not None
    live, copy = tmp_path / "live", tmp_path / "killed"
    live.mkdir()
    with FailingDisk(LIBRARY).installed() as disk:
        file = JournalFile(live / "journal")
        file.open()
        disk.write_after(FULL, 40)
        with pytest.raises(JournalError, match="full"):
            file.append([SignalData(SignalKey(1, 1, 1), range(100_000), np.arange(100_000) + 1000.0)])
        disk.write_after(0, 0)
        file.append([SignalData(SignalKey(1, 1, 1), [1], [7.0])])
        shutil.copytree(live, copy)
        file.close()
    found = opened(copy)
    assert (found.damage, found.torn, found_values(found)) == (None, False, [7.0])


def test_a_flipped_bit_in_the_header_of_the_last_frame_never_goes_unnoticed(journal: Killed, tmp_path: Path) -> None:
    header = ((journal.folder / "journal-wal").stat().st_size - FRAME_BYTES) * 8
    for bit in range(header, header + 24 * 8):
        folder = copied(journal, tmp_path / "flipped")
        flipped(folder / "journal-wal", bit)
        found = opened(folder)
        missing = len(journal.values()) - len(found_values(found))
        assert found.damage is not None or found.torn, bit
        assert found.torn or not missing, bit
        shutil.rmtree(folder)


def test_most_is_salvaged_where_one_page_is_gone(journal: Killed, tmp_path: Path) -> None:
    pages = (journal.folder / "journal").stat().st_size // 4096
    for page in range(pages):
        folder = copied(journal, tmp_path / "page")
        with (folder / "journal").open("r+b") as database:
            database.seek(page * 4096)
            database.write(b"\xff" * 4096)
        found = opened(folder)
        assert len(found_values(found)) > 0.5 * len(journal.values()), page
        shutil.rmtree(folder)


def test_a_database_cut_anywhere_gives_what_is_in_its_rest_and_in_the_log(journal: Killed, tmp_path: Path) -> None:
    size = (journal.folder / "journal").stat().st_size
    in_log = {value for commit in journal.commits[12:] for value in values_of(commit)}
    for left in range(0, size, size // 12):
        folder = copied(journal, tmp_path / "cut")
        with (folder / "journal").open("r+b") as database:
            database.truncate(left)
        found = opened(folder)
        assert set(found_values(found)) >= in_log
        assert found.damage is not None or set(found_values(found)) == journal.values()
        shutil.rmtree(folder)


def test_a_journal_without_its_database_gives_what_is_in_the_log(journal: Killed) -> None:
    (journal.folder / "journal").unlink()
    found = opened(journal.folder)
    assert found.damage is not None
    assert {value for commit in journal.commits[12:] for value in values_of(commit)} <= set(found_values(found))


def test_a_journal_of_zeros_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes(20_000))
    found = opened(tmp_path)
    assert found.damage is not None
    assert not found.left
    assert opened(tmp_path).damage is None


def test_a_salvage_that_was_interrupted_is_finished(journal: Killed) -> None:
    damage(journal)
    (journal.folder / "journal-salvaged").write_bytes(b"half written")
    found = opened(journal.folder)
    assert found.damage is not None
    (journal.folder / "journal").rename(journal.folder / "journal-salvaged")  # killed between the two renames
    assert found_values(opened(journal.folder)) == found_values(found)


def test_damage_names_where_the_file_is_kept_and_what_is_lost(journal: Killed) -> None:
    damage(journal)
    told = opened(journal.folder).damage
    assert told is not None
    assert str(told.aside) in str(told)
    assert f"{told.salvaged} readings were salvaged" in str(told)


def test_a_read_only_folder_is_refused_before_anything_is_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "journal").mkdir()  # not even the superuser can write to that
    with pytest.raises(JournalError):
        JournalFile(folder / "journal").open()
