"""The file: what was appended is there when it is opened again, and nobody else may have it meanwhile."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from besmart_async import JournalError, SignalData, SignalKey
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.tracker import Tracker
from tests.batching.journal.entries import KEY, single

OTHER = SignalKey(12, 122, 33)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def opened(path: Path) -> JournalFile:
    file = JournalFile(path)
    file.open()
    return file


def readings(path: Path) -> list[tuple[SignalKey, float, float]]:
    file = JournalFile(path)
    found = file.open()
    file.close()
    assert found.damage is None
    flat: list[tuple[SignalKey, float, float]] = []
    for entry in found.entries:
        if isinstance(entry, SignalData):
            flat += [(entry.key, t, v) for t, v in zip(entry.time.tolist(), entry.value.tolist(), strict=True)]
        else:
            flat.append((entry.key, entry.time, entry.value))  # type: ignore[arg-type]
    return flat


def test_what_was_appended_is_there_in_order_when_it_is_opened_again(path: Path) -> None:
    file = opened(path)
    file.append([single(1, 1.0), SignalData(OTHER, [1, 2], [2.0, 3.0])])
    file.append([single(1, 4.0)])
    file.close()
    assert readings(path) == [(KEY, 1, 1.0), (OTHER, 1, 2.0), (OTHER, 2, 3.0), (KEY, 1, 4.0)]


def test_what_is_done_is_not_there_any_more_whatever_is_older(path: Path) -> None:
    file, tracker = opened(path), Tracker(0)
    for number in range(4):
        tracker.add(file.append([single(number, float(number))]), number)
    tracker.done([(1, 2), (3, 4)])
    file.append([], tracker.take())
    file.close()
    assert readings(path) == [(KEY, 0, 0.0), (KEY, 2, 2.0)]


def test_of_a_column_what_is_not_done_is_there(path: Path) -> None:
    file, tracker = opened(path), Tracker(0)
    tracker.add(file.append([SignalData(KEY, range(5), [0.5] * 5)]), 0)
    tracker.done([(0, 1), (2, 4)])
    file.append([], tracker.take())
    file.close()
    assert readings(path) == [(KEY, 1, 0.5), (KEY, 4, 0.5)]


def test_rows_are_rewritten_without_what_is_done(path: Path) -> None:
    file, tracker = opened(path), Tracker(0, waste_bytes=0)
    for number in range(2):
        columns = SignalData(KEY, range(1000), np.arange(1000) + 1000.0 * number)
        tracker.add(file.append([single(1, 0.5, OTHER), columns]), 1001 * number)
    tracker.done([(2, 1000), (1001, 2001)])
    plan = tracker.plan(large=True)
    rows = file.compact(plan)
    assert [after.size < before.size / 5 for (before, _), after in zip(plan, rows, strict=True)] == [True, True]
    tracker.compacted(plan, rows)
    assert not tracker.plan(large=True)
    file.append([], tracker.take())
    file.close()
    assert readings(path) == [(OTHER, 1, 0.5), (KEY, 0, 0.0), (KEY, 999, 999.0), (KEY, 999, 1999.0)]


def test_only_its_owner_may_read_it(path: Path) -> None:
    file = opened(path)
    file.append([single(1, 1.0)])
    modes = {name.name: stat.S_IMODE(name.stat().st_mode) for name in path.parent.iterdir()}
    file.close()
    assert modes == {"journal": 0o600, "journal-wal": 0o600}


def test_a_second_writer_of_this_process_is_refused_and_told_who_has_it(path: Path) -> None:
    file = opened(path)
    with pytest.raises(JournalError, match=rf"journal: process {os.getpid()} has it open"):
        JournalFile(path).open()
    file.append([single(1, 1.0)])
    file.close()
    opened(path).close()


def test_a_second_process_is_refused_until_the_first_is_gone(path: Path) -> None:
    script = """
import sys
from pathlib import Path
from besmart_async.batching.journal.file import JournalFile
JournalFile(Path(sys.argv[1])).open()
print("open", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(JournalError, match=f"process {other.pid} has it open"):
            JournalFile(path).open()
        other.kill()
        other.wait()
    opened(path).close()


@pytest.mark.parametrize("content", [b"time;value\n2024-01-01;1\n", b"\x00\x01" * 5000])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match="not the journal of a writer"):
        JournalFile(path).open()
    assert path.read_bytes() == content


def test_a_database_of_somebody_else_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, body BLOB)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not the journal of a writer"):
        JournalFile(path).open()
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file or directory; give a path in a folder that exists"):
        JournalFile(tmp_path / "nowhere" / "journal").open()


def test_a_closed_file_says_so(path: Path) -> None:
    file = opened(path)
    file.close()
    file.close()
    with pytest.raises(JournalError, match="closed"):
        file.append([single(1, 1.0)])
