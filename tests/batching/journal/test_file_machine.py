"""At any moment, delivering what is in the file, in its order, gives every reading the last value that was accepted.

The file and the tracker are the real ones; what is random is who writes what, what has its outcome when, when rows are
forgotten or rewritten, and when the process dies.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict, deque
from contextlib import closing
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from besmart_async import SignalData, SignalKey
from besmart_async.batching.journal.database import connect
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.opening import read_records
from besmart_async.batching.journal.records import Entry, count
from besmart_async.batching.journal.tracker import Tracker

KEYS = [SignalKey(1, 1, moid) for moid in range(2)]
Place = tuple[SignalKey, int]

writes = st.lists(
    st.tuples(st.sampled_from(KEYS), st.lists(st.integers(0, 1), min_size=1, max_size=2, unique=True)),
    min_size=1,
    max_size=3,
)


class JournalMachine(RuleBasedStateMachine):
    @initialize(waste=st.sampled_from([0, 500, 10**9]))
    def begin(self, waste: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.waste = waste
        self.value = 0.0
        self.stored: dict[Place, float] = {}  # what the service has
        self.accepted: dict[Place, float] = {}
        self.pending: dict[SignalKey, deque[tuple[int, Place, float]]] = defaultdict(deque)
        self.refs = 0
        self.open()

    def teardown(self) -> None:
        self.file.close()
        shutil.rmtree(self.folder)

    def open(self) -> None:
        self.file = JournalFile(self.folder / "journal")
        found = self.file.open()
        assert found.damage is None
        self.tracker = Tracker(found.top, found.settled, self.waste)
        self.pending.clear()
        for row, record in found.rows:
            self.refs += 1
            self.tracker.add(row, (self.refs,), record.readings)
            self.remember(record.entries)

    def remember(self, entries: list[Entry]) -> None:
        for entry in entries:
            assert isinstance(entry, SignalData)
            for time, value in zip(entry.time.tolist(), entry.value.tolist(), strict=True):
                self.pending[entry.key].append((self.refs, (entry.key, time), value))

    @rule(written=writes)
    def write(self, written: list[tuple[SignalKey, list[int]]]) -> None:
        entries: list[Entry] = []
        for key, times in written:
            self.value += 1
            entries.append(SignalData(key, times, [self.value] * len(times)))
            self.accepted.update({(key, time): self.value for time in times})
        row = self.file.append(entries, self.tracker.done, self.forgotten())
        self.refs += 1
        self.tracker.add(row, (self.refs,), count(entries))
        self.remember(entries)

    @rule(key=st.sampled_from(KEYS), most=st.integers(1, 6), rejected=st.sampled_from([False, False, True]))
    def settle(self, key: SignalKey, most: int, rejected: bool) -> None:
        """The oldest readings of a signal have their outcome: that is the order of a lane."""
        for _ in range(min(most, len(self.pending[key]))):
            ref, place, value = self.pending[key].popleft()
            if rejected:
                self.accepted.pop(place, None)  # a refused value: what holds then is not for the journal to say
                self.stored.pop(place, None)
                self.tracker.settle(ref, 1, untold=True)
                self.tracker.tell(ref, 1)
            else:
                self.stored[place] = value
                self.tracker.settle(ref, 1)

    @precondition(lambda self: self.tracker.settled)
    @rule()
    def forget(self) -> None:
        row = self.file.append((), self.tracker.done, self.forgotten())
        self.tracker.settled.append(row.seq)

    @precondition(lambda self: self.tracker.wasteful)
    @rule(key=st.sampled_from(KEYS))
    def rewrite(self, key: SignalKey) -> None:
        unsettled: dict[int, set[SignalKey]] = defaultdict(set)
        for one, left in self.pending.items():
            for ref, _, _ in left:
                unsettled[ref].add(one)
        plan = self.tracker.plan(unsettled)
        done = self.tracker.done
        self.settle(key, 2, rejected=False)  # outcomes come in while the disk is at work
        self.tracker.moved(self.file.compact(plan, done))

    @precondition(lambda self: self.value % 5 == 4)
    @rule()
    def crash(self) -> None:
        self.file.close()
        self.open()

    def forgotten(self) -> list[int]:
        forget, self.tracker.settled = self.tracker.settled, []
        return forget

    @invariant()
    def what_is_left_suffices(self) -> None:
        copy = self.folder / "copy"
        for suffix in ("", "-wal"):
            if (source := self.folder / f"journal{suffix}").exists():
                shutil.copy(source, f"{copy}{suffix}")
        delivered = dict(self.stored)
        with closing(connect(copy)) as db:
            for _, record in read_records(db, copy).rows:
                for entry in record.entries:
                    assert isinstance(entry, SignalData)
                    values = zip(entry.time.tolist(), entry.value.tolist(), strict=True)
                    delivered.update({(entry.key, time): value for time, value in values})
        assert {place: delivered.get(place) for place in self.accepted} == self.accepted

    @invariant()
    def what_is_left_is_counted(self) -> None:
        assert self.tracker.left == sum(map(len, self.pending.values()))


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=20, stateful_step_count=40)
