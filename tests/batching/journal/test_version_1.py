"""A journal that the first version of the format left: what is in it is delivered, and it goes on in the new version.

The files of `version_1` were made by the code of that version, in a process that did not close them. Of five commits
the first has its outcome; the second and third were rewritten without the signals that had theirs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.inspection import inspect
from besmart_async.batching.journal.opening import Found
from besmart_async.batching.journal.records import Entry
from besmart_async.batching.journal.tracker import Tracker
from besmart_async.batching.write.validation import Reading

FILES = Path(__file__).parent / "version_1"
A, B, C = (SignalKey(12, 122, moid) for moid in (32, 33, 34))
LEFT: list[Entry] = [
    SignalData(A, [0, 1, 2], [10.5, 11.5, 12.5], unit="kW.h"),
    SignalData(C, [1, 2, 3], ["a", None, {"b": 1}], ["DBL", "RM", "DBL"], [1, 2, 3]),
    SignalData(B, [10, 11], [100, 110]),
    Reading(A, 12, True, "DBL", 1, None),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for name in ("journal", "journal-wal"):
        shutil.copy(FILES / name, tmp_path / name)
    return tmp_path / "journal"


def opened(path: Path) -> tuple[JournalFile, Found]:
    file = JournalFile(path)
    return file, file.open()


def test_what_was_left_is_found_in_order(path: Path) -> None:
    assert inspect(path).readings == 9
    file, found = opened(path)
    assert (found.entries, found.readings, found.damage, found.torn) == (LEFT, 9, None, False)
    file.close()
    file, found = opened(path)
    assert (found.entries, found.damage) == (LEFT, None)
    file.close()


def test_its_outcomes_are_recorded_as_those_of_the_new_version(path: Path) -> None:
    file, found = opened(path)
    tracker = Tracker(found.top, found.useless, 0)
    for remainder, row in zip(found.left, found.rows, strict=True):
        held, noted = remainder.record.readings, row.seq in found.noted
        tracker.add(row, row.start, remainder.outcomes, held, noted=noted)
    pieces = [piece for remainder in found.left for piece in remainder.pieces()]
    tracker.done([(pieces[0].start, pieces[0].start + 2), (pieces[1].start, pieces[1].start + 3)])
    file.append([SignalData(C, [99], [9.5])], tracker.take())
    plan = tracker.plan(large=True)
    tracker.compacted(plan, file.compact(plan))
    file.close()
    file, found = opened(path)
    file.close()
    assert found.damage is None
    assert found.entries == [
        SignalData(A, [2], [12.5], unit="kW.h"),
        *LEFT[2:],
        SignalData(C, [99], [9.5]),
    ]


def test_what_can_be_read_of_it_is_salvaged(path: Path) -> None:
    path.write_bytes(b"x" * 100 + path.read_bytes()[100:])
    file, found = opened(path)
    file.close()
    assert found.damage is not None
    assert (found.entries, found.damage.lost) == (LEFT, 0)
