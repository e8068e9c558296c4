"""At any moment, delivering what is in the file, in its order, gives every reading the last value that was accepted.

The file and the tracker are the real ones; what is random is who writes what, what has its outcome when, when outcomes
are recorded or rows rewritten, which commits fail, and when the process dies.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from besmart_async import SignalData, SignalKey
from besmart_async.batching.journal.database import connect
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.opening import Found, read_records
from besmart_async.batching.journal.records import Entry
from besmart_async.batching.journal.tracker import Changes, Tracker

KEYS = [SignalKey(1, 1, moid) for moid in range(2)]
Place = tuple[SignalKey, int]

writes = st.lists(
    st.tuples(st.sampled_from(KEYS), st.lists(st.integers(0, 1), min_size=1, max_size=2, unique=True)),
    min_size=1,
    max_size=3,
)


def tracker_of(found: Found, waste: int) -> Tracker:
    tracker = Tracker(found.top, found.useless, waste)
    for remainder, row in zip(found.left, found.rows, strict=True):
        held, noted = remainder.record.readings, row.seq in found.noted
        tracker.add(row, row.start, remainder.outcomes, held, noted=noted)
    return tracker


class JournalMachine(RuleBasedStateMachine):
    @initialize(waste=st.sampled_from([0, 500, 10**9]))
    def begin(self, waste: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.waste = waste
        self.value = 0.0
        self.stored: dict[Place, float] = {}  # what the service has
        self.accepted: dict[Place, float] = {}
        self.pending: dict[SignalKey, deque[tuple[int, Place, float]]] = defaultdict(deque)
        self.untold: set[int] = set()  # refused readings
        self.recorded: set[int] = set()  # readings whose outcome is on disk
        self.known: set[int] = set()  # readings that have an outcome
        self.open()

    def teardown(self) -> None:
        self.file.close()
        shutil.rmtree(self.folder)

    def open(self) -> None:
        self.file = JournalFile(self.folder / "journal")
        found = self.file.open()
        assert found.damage is None
        self.tracker = tracker_of(found, self.waste)
        self.pending.clear()
        self.untold.clear()
        for remainder in found.left:
            for piece in remainder.pieces():
                if piece.refused:
                    self.untold.update(range(piece.start, piece.start + sum(map(len, piece.entries))))
                else:
                    self.remember(piece.start, piece.entries)
        waiting = {position for left in self.pending.values() for position, _, _ in left}
        assert not waiting & self.recorded, "what has a recorded outcome is not delivered again"
        self.known = set(range(found.top)) - waiting

    def remember(self, position: int, entries: Sequence[Entry]) -> None:
        for entry in entries:
            assert isinstance(entry, SignalData)
            for time, value in zip(entry.time.tolist(), entry.value.tolist(), strict=True):
                self.pending[entry.key].append((position, (entry.key, time), value))
                position += 1

    def take(self) -> Changes:
        self.recorded |= self.known
        return self.tracker.take()

    @rule(written=writes, record=st.booleans(), key=st.sampled_from(KEYS))
    def write(self, written: list[tuple[SignalKey, list[int]]], record: bool, key: SignalKey) -> None:
        entries: list[Entry] = []
        for signal, times in written:
            self.value += 1
            entries.append(SignalData(signal, times, [self.value] * len(times)))
            self.accepted.update({(signal, time): self.value for time in times})
        changes = self.take() if record else None
        self.settle(key, 2, "delivered")  # outcomes come in while the disk is at work
        row = self.file.append(entries, changes)
        self.tracker.add(row, row.start if changes is None else changes.since)
        self.remember(row.start, entries)

    @rule(
        key=st.sampled_from(KEYS),
        most=st.integers(1, 6),
        outcome=st.sampled_from(["delivered", "delivered", "rejected", "refused"]),
    )
    def settle(self, key: SignalKey, most: int, outcome: str) -> None:
        """The oldest readings of a signal have their outcome: that is the order of a lane."""
        for _ in range(min(most, len(self.pending[key]))):
            position, place, value = self.pending[key].popleft()
            self.known.add(position)
            if outcome == "delivered":
                self.stored[place] = value
                self.tracker.done([(position, position + 1)])
                continue
            self.accepted.pop(place, None)  # a refused value: what holds then is not for the journal to say
            self.stored.pop(place, None)
            if outcome == "refused":
                self.untold.add(position)
                self.tracker.refused([(position, position + 1)])
            else:
                self.tracker.done([(position, position + 1)])

    @precondition(lambda self: self.untold)
    @rule()
    def tell(self) -> None:
        self.tracker.done([(position, position + 1) for position in self.untold])
        self.untold.clear()

    @precondition(lambda self: self.tracker.changed)
    @rule()
    def record(self) -> None:
        changes = self.take()
        self.tracker.add(self.file.append((), changes), changes.since)

    @precondition(lambda self: self.tracker.changed)
    @rule()
    def fail_to_record(self) -> None:
        self.tracker.put_back(self.tracker.take())

    @precondition(lambda self: self.tracker.plan(large=True))
    @rule(key=st.sampled_from(KEYS))
    def rewrite(self, key: SignalKey) -> None:
        plan = self.tracker.plan(large=True)
        self.settle(key, 2, "delivered")  # outcomes come in while the disk is at work
        self.tracker.compacted(plan, self.file.compact(plan))

    @precondition(lambda self: self.value % 5 == 4)
    @rule()
    def crash(self) -> None:
        self.file.close()
        self.open()

    @precondition(lambda self: self.value % 5 == 3)
    @rule(key=st.sampled_from(KEYS))
    def close(self, key: SignalKey) -> None:
        """The last commit is under way while the writer closes: its callback comes too late."""
        changes = self.take()
        self.value += 1
        self.accepted[key, 0] = self.value
        self.file.append([SignalData(key, [0], [self.value])])
        self.file.append((), changes)
        self.file.close()
        self.open()

    @invariant()
    def what_is_left_suffices(self) -> None:
        delivered = dict(self.stored)
        for remainder in self.on_disk().left:
            for piece in remainder.pieces():
                for entry in piece.entries if not piece.refused else ():
                    assert isinstance(entry, SignalData)
                    values = zip(entry.time.tolist(), entry.value.tolist(), strict=True)
                    delivered.update({(entry.key, time): value for time, value in values})
        assert {place: delivered.get(place) for place in self.accepted} == self.accepted

    def on_disk(self) -> Found:
        copy = self.folder / "copy"
        for suffix in ("", "-wal"):
            if (source := self.folder / f"journal{suffix}").exists():
                shutil.copy(source, f"{copy}{suffix}")
        with closing(connect(copy)) as db:
            return read_records(db, copy)

    @invariant()
    def what_is_left_is_counted(self) -> None:
        assert self.tracker.left == sum(map(len, self.pending.values()))


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=20, stateful_step_count=40)
