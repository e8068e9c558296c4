"""What a writer has accepted and not settled, and the memory it takes: lanes, their queue, what they must wait for.

Every signal with something pending has a `Lane`; lanes without a frozen item stand in the `LaneQueue`, first come first
served, so no signal starves. A lane that becomes free again goes to the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from besmart_async.batching.write.core.credit import Credit
from besmart_async.batching.write.core.flushes import Flushes
from besmart_async.batching.write.core.holds import Holds, withheld_apart
from besmart_async.batching.write.core.lane_queue import LaneQueue, Limits
from besmart_async.batching.write.core.lanes import Lane
from besmart_async.batching.write.core.packing import merge
from besmart_async.batching.write.core.report import Ledger
from besmart_async.batching.write.core.segments import READING_BYTES, Segment
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey


class Stock:
    """The lanes, and the memory they take.

    Attributes:
        attention: look at `due` and `breathe`; whoever does so resets it.
        due: `next_wakeup` may have moved forward; whoever looks resets it.
        breathe: many readings were accepted in a row; whoever lets others run resets it.
        used: bytes buffered, frozen and in flight (an estimate).
        limits: what a batch may hold at most.
        queue: the lanes that may send.
        flushes: who waits for what.
        holds: readings that must wait.
        recovered_until: until then the service may store what an earlier writer sent before it ended.
    """

    def __init__(self, policy: BatchPolicy, ledger: Ledger) -> None:
        self.attention = False
        self.due = False
        self.breathe = False
        self.used = 0
        self.limits = Limits.of(policy)
        self.queue = LaneQueue(self.limits, policy.linger_s)
        self.flushes = Flushes()
        self.holds = Holds()
        self.recovered_until = -math.inf
        self._ledger = ledger
        self._quick = self._granted = 0  # see `Intake`
        self._reserved = 0
        self._lanes: dict[SignalKey, Lane] = {}

    def reconcile(self) -> None:
        """Count what the fast path has accepted since the last time."""
        accepted = self._granted - self._quick
        self._granted = self._quick
        self._ledger.accepted += accepted
        self.used += accepted * READING_BYTES
        self.queue.count(accepted)

    def _stand(self, lane: Lane) -> None:
        if self.queue.append(lane):
            self.attention = self.due = True

    def _enqueue(self, lane: Lane) -> None:
        if lane.queued or lane.busy:
            return
        if lane.rows:
            self._stand(lane)
        elif not lane.holds and not lane.withheld:
            del self._lanes[lane.key]  # it is there: what is queued, busy or holds is never forgotten

    # -- flushes and outcomes ----------------------------------------------------------------------------------------

    def flush(self) -> int:
        """Make everything accepted so far due; return a ticket for `flushes.done`."""
        self.reconcile()
        if self.flushes.begin(self._ledger.open):
            for lane in self._lanes.values():
                lane.seal()
                if lane.rows:
                    self.queue.hurry(lane)
            self.attention = self.due = True
        return self.flushes.last_ticket

    def settle(self, segments: Sequence[Segment]) -> None:
        """Note that accepted readings have their final outcome."""
        self.used -= sum([segment.cost for segment in segments])
        if not self.holds:
            self.reconcile()
            if not self._ledger.open:
                self.used = self._reserved  # costs are divided in whole bytes: here the remainders go
        self.flushes.settle(segment.credit for segment in segments)

    # -- for the packer ----------------------------------------------------------------------------------------------

    def take_first(self, rows: int, now: float) -> tuple[Lane, list[Segment]]:
        """Take the first lane from the queue, and from it what it may send of its first `rows` readings, merged."""
        lane = self.queue.popleft()
        if lane.holds:
            lane.release(now)
        segments = lane.take(rows)
        if lane.urgent:
            lane.urgent = lane.rows > 0
        if len(segments) == 1 and segments[0].distinct:
            self.queue.count(-segments[0].rows)
        else:
            self.queue.count(-sum(segment.rows for segment in segments))
            recovered = segments[0].recovered
            segments = merge(segments)
            if recovered and now < self.recovered_until:
                segments = self._latest_withheld(lane, segments)
        if lane.holds:
            segments = withheld_apart(lane, segments)
            if not segments:
                self._enqueue(lane)
        return lane, segments

    def _latest_withheld(self, lane: Lane, segments: list[Segment]) -> list[Segment]:
        """Withhold those recovered readings that were written more than once: the service may yet store the first."""
        free: list[Segment] = []
        for segment in segments:
            segment.recovered = True
            written = np.bincount(segment.credit.places, minlength=segment.rows)
            if (written > 1).any():
                latest = segment.take(written > 1)
                lane.withheld = [*lane.withheld, latest]
                self.used += self.holds.begin([(lane, latest.data)], self.recovered_until)
            free += [] if (written > 1).all() else [segment.take(written == 1)]
        return free

    def put_back(self, lane: Lane, segment: Segment) -> None:
        """Put what could not be sent now to the front of its lane."""
        lane.put_back([segment])
        self.queue.count(segment.rows)

    # -- after sending -----------------------------------------------------------------------------------------------

    def release(self, items: Iterable[Segment]) -> None:
        """Note that frozen items have their outcome."""
        for item in items:
            lane = item.lane
            lane.busy -= 1
            if not lane.busy:
                self._enqueue(lane)

    def hold(self, items: Sequence[Segment], until: float) -> None:
        """Let newer values of these readings wait until then."""
        self.used += self.holds.begin([(item.lane, item.data) for item in items], until)

    def end_holds(self, now: float) -> None:
        """Let the lanes go on whose holds are over."""
        for cost, lanes in self.holds.end(now):
            self.used -= cost
            for lane in lanes:
                rows = lane.rows
                lane.release(now)
                if lane.rows > rows:
                    self.queue.count(lane.rows - rows)
                    self.queue.hurry(lane)
                if self._lanes.get(lane.key) is lane:
                    self._enqueue(lane)

    def drain(self) -> list[tuple[Lane, Segment]]:
        """Give up everything that waits; holds and frozen items are not affected."""
        self.reconcile()
        drained: list[tuple[Lane, Segment]] = []
        for lane in self._lanes.values():
            waiting = [*lane.withheld]
            while lane.rows:  # recovered ones are taken by themselves
                waiting += lane.take(lane.rows)
            lane.withheld = ()
            lane.queued = lane.urgent = False
            drained += [(lane, segment) for segment in merge(waiting)] if waiting else []
        self.queue.clear()
        self._lanes = {lane.key: lane for lane in self._lanes.values() if lane.busy or lane.holds}
        return drained

    def pending(self) -> Iterator[tuple[SignalKey, Credit]]:
        """Yield what waits here."""
        for lane in self._lanes.values():
            tail = [lane.tail] if lane.tail else []
            for part in [*lane.withheld, *lane.parts, *tail]:
                yield lane.key, part.credit if isinstance(part, Segment) else part.segment().credit
