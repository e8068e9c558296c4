"""The way in: accepting readings within a memory budget, into lanes, and taking them out again.

Theory of operation. Every signal with something pending has a `Lane`; lanes without a frozen item stand in the
`LaneQueue`, first come first served, so no signal starves. A lane that becomes free again goes to the end.

The fast path, `append_one`, appends to two lists and counts down a grant. Only when the grant is used up, once in
`QUANTUM` readings, is anything else looked at: memory, full batches, and whether the caller should let others run
(`breathe`). So readings accepted on the fast path are counted late: `reconcile` brings `used` and `accepted` up to
date.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from sys import getsizeof
from typing import Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.credit import NO_REF, Credit
from besmart_async.batching.flushes import Flushes
from besmart_async.batching.grids import Grid
from besmart_async.batching.holds import Holds, withheld_apart
from besmart_async.batching.lane_queue import LaneQueue, Limits
from besmart_async.batching.lanes import Lane
from besmart_async.batching.packing import merge
from besmart_async.batching.report import Ledger
from besmart_async.batching.segments import (
    READING_BYTES,
    SEGMENT_BYTES,
    VALUE_BYTES,
    Columns,
    Segment,
    Tail,
    columns_cost,
)
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.values import JsonValue

QUANTUM = 512
"""Readings accepted between two looks at everything else: some 0.4 ms."""
TURN = 32
"""The same while memory is scarce, so that everybody has a turn soon."""
ONE_BYTES = READING_BYTES + SEGMENT_BYTES
"""Cost of a single reading on its own."""


class Intake:
    """The lanes, and the memory they take.

    Attributes:
        attention: look at `due` and `breathe`; whoever does so resets it.
        due: `next_wakeup` may have moved forward; whoever looks resets it.
        breathe: many readings were accepted in a row; whoever lets others run resets it.
        crowded: others stand in line: no more single readings than were granted already.
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
        self.crowded = False
        self.used = 0
        self.limits = Limits.of(policy)
        self.queue = LaneQueue(self.limits, policy.linger_s)
        self.flushes = Flushes()
        self.holds = Holds()
        self.recovered_until = -math.inf
        self._memory = policy.max_memory_bytes * 3 // 4  # the rest is for encoded items and bodies under way
        self._ledger = ledger
        self._quick = self._granted = self._dealt = 0
        self._owed = self._reserved = 0
        self._closed = False
        self._lanes: dict[SignalKey, Lane] = {}

    # -- accepting ---------------------------------------------------------------------------------------------------

    def append_one(self, key: Any, time: Any, value: Any, type_: Any, origin: Any, unit: Any) -> bool:
        """Accept one reading like the last ones of its signal, its time and value checked already; else `offer_one`.

        That its type, origin and unit are the very objects which came with those says that they were checked then.
        """
        lane = self._lanes.get(key)
        if (
            self._quick <= 0
            or lane is None
            or (tail := lane.tail) is None
            or tail.type is not type_
            or tail.origin is not origin
            or tail.unit is not unit
            or tail.ref is not NO_REF
        ):
            return False
        tail.times.append(time)
        tail.values.append(value)
        self._quick -= 1
        return True

    def offer_one(
        self,
        key: SignalKey,
        time: int,
        value: float,
        type_: str,
        origin: int,
        unit: str | None,
        ref: int,
        now: float,
    ) -> bool:
        """Accept one reading, checked already: an int time and a finite float value. False: no room now."""
        if self._quick <= 0 and not self._grant():
            return False
        lane = self._lanes.get(key)
        if lane is None or (tail := lane.tail) is None:
            tail = self._open(key, type_, origin, unit, ref, now)
        elif tail.type is not type_ or tail.origin is not origin or tail.unit is not unit or tail.ref is not ref:
            tail = self._reopen(tail, key, type_, origin, unit, ref, now)
        tail.times.append(time)
        tail.values.append(value)
        self._quick -= 1
        return True

    def offer_odd(
        self,
        key: SignalKey,
        time: int | float,
        value: JsonValue,
        type_: str,
        origin: int,
        unit: str | None,
        ref: int,
        now: float,
    ) -> bool:
        """Accept one reading with a fractional time or a value that is no float; checked already."""
        if not self.offer_one(key, time, value, type_, origin, unit, ref, now):  # type: ignore[arg-type]
            return False
        tail = self._lanes[key].tail
        assert tail is not None  # noqa: S101 - just appended to
        tail.plain = False
        extra = getsizeof(value) if not isinstance(value, list | dict) else len(repr(value)) * 4
        tail.extra += extra
        self.used += extra
        return True

    def offer(self, data: SignalData, ref: int | NDArray[Any] = NO_REF, now: float = 0.0) -> bool:
        """Accept columns, all or nothing. False: no room now. More than the whole budget is taken when all is empty."""
        rows = len(data)
        if not rows:
            return True
        self.reconcile()
        cost = columns_cost(data)
        if self._closed or (self.used + cost > self._memory and self.used > 0):
            return False
        self.admit(data, ref, now)
        return True

    def offer_columns(
        self,
        key: SignalKey,
        grid: Grid,
        value: NDArray[np.float64],
        type_: str,
        origin: int,
        unit: str | None,
        ref: int,
        now: float,
    ) -> bool:
        """Accept plain columns, checked already, of which `value` is ours to keep. False: no room now."""
        rows = len(value)
        cost = SEGMENT_BYTES + VALUE_BYTES * rows
        if self._granted != self._quick:
            self.reconcile()
        if self._closed or self.crowded or (self.used + cost > self._memory and self.used > 0):
            return False
        credit = Credit(rows, None, ref, self.flushes.epoch, cost)
        self._add(key, Columns(key, grid, value, type_, origin, unit, credit), rows, cost, now)
        return True

    def admit(self, data: SignalData, ref: int | NDArray[Any], now: float, *, recovered: bool = False) -> None:
        """Accept columns for which there is room, or was; `recovered`: an earlier writer may have sent them."""
        rows, cost = len(data), columns_cost(data)
        segment = Segment(data, Credit(rows, None, ref, self.flushes.epoch, cost), recovered=recovered)
        self._add(data.key, segment, rows, cost, now)

    def _add(self, key: SignalKey, part: Segment, rows: int, cost: int, now: float) -> None:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
            lane.since = now
        elif not lane.rows:
            lane.since = now
        lane.add(part, rows)
        self.used += cost
        self._ledger.accepted += rows
        self._owed += 5 + rows // 25  # of single readings in the same time
        if self._owed >= QUANTUM:
            self._owed = 0
            self.attention = self.breathe = True
        if self.queue.add(lane, rows):
            self.attention = self.due = True

    def reserve(self, cost: int) -> None:
        """Set memory aside for readings that are on their way to the journal; a negative cost gives it back."""
        self._reserved += cost
        self.used += cost

    def reserve_one(self) -> bool:
        """Set memory aside for one single reading; False if there is no room, or others stand in line."""
        if self.crowded or self._closed or self.used + ONE_BYTES > self._memory:
            return False
        self._reserved += ONE_BYTES
        self.used += ONE_BYTES
        return True

    def room(self, cost: int) -> bool:
        """Whether something of this cost would be accepted."""
        self.reconcile()
        return self.used + cost <= self._memory or self.used <= 0

    def close(self) -> None:
        """Accept nothing more."""
        self.reconcile()
        self._closed = True
        self._quick = self._granted = 0

    def reconcile(self) -> None:
        """Count what the fast path has accepted since the last time."""
        accepted = self._granted - self._quick
        self._granted = self._quick
        self._ledger.accepted += accepted
        self.used += accepted * READING_BYTES
        self.queue.count(accepted)

    def _grant(self) -> bool:
        self.reconcile()
        if self._dealt in (QUANTUM, TURN):
            self.attention = self.breathe = True
        room = 0 if self._closed or self.crowded else max(0, (self._memory - self.used) // READING_BYTES)
        turn = QUANTUM if 2 * self.used < self._memory else TURN
        self._quick = self._granted = self._dealt = min(turn, room)
        if self.queue.filled():
            self.attention = self.due = True
        return self._quick > 0

    def _open(self, key: SignalKey, type_: str, origin: int, unit: str | None, ref: int, now: float) -> Tail:
        lane = self._lanes.get(key) or self._new_lane(key)
        lane.seal()
        if not lane.rows:
            lane.since = now
        tail = lane.tail = Tail(key, type_, origin, unit, ref, self.flushes.epoch)
        tail.extra = SEGMENT_BYTES
        self.used += SEGMENT_BYTES
        if not lane.queued and not lane.busy:
            self._stand(lane)
        return tail

    def _reopen(
        self, tail: Tail, key: SignalKey, type_: str, origin: int, unit: str | None, ref: int, now: float
    ) -> Tail:
        if tail.unit != unit:
            return self._open(key, type_, origin, unit, ref, now)
        if tail.type != type_ or tail.origin != origin or tail.ref != ref:
            tail.note(type_, origin, ref)
        return tail

    def _new_lane(self, key: SignalKey) -> Lane:
        lane = self._lanes[key] = Lane(key)
        return lane

    def _stand(self, lane: Lane) -> None:
        if self.queue.append(lane):
            self.attention = self.due = True

    def _enqueue(self, lane: Lane) -> None:
        if lane.queued or lane.busy:
            return
        if lane.rows:
            self._stand(lane)
        elif not lane.holds and not lane.withheld and self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]

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

    def settle(self, credits_: Sequence[Credit]) -> None:
        """Note that accepted readings have their final outcome."""
        self.used -= sum([credit.cost for credit in credits_])
        if not self.holds:
            self.reconcile()
            if not self._ledger.open:
                self.used = self._reserved  # costs are divided in whole bytes: here the remainders go
        self.flushes.settle(credits_)

    # -- for the packer ----------------------------------------------------------------------------------------------

    def take_first(self, rows: int, now: float) -> tuple[Lane, list[Segment]]:
        """Take the first lane from the queue, and from it what it may send of its first `rows` readings, merged."""
        lane = self.queue.popleft()
        if lane.holds:
            lane.release(now)
        before = lane.rows
        segments = lane.take(rows)
        if len(segments) > 1 or not segments[0].distinct:
            recovered = segments[0].recovered
            segments = merge(segments)
            if recovered and now < self.recovered_until:
                segments = self._latest_withheld(lane, segments)
        left = lane.rows
        self.queue.count(left - before)
        lane.urgent = lane.urgent and left > 0
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
            written = np.bincount(segment.credit.places, minlength=segment.credit.rows)
            if (written > 1).any():
                latest = segment.take(written > 1)
                lane.withheld = [*lane.withheld, latest]
                self.used += self.holds.begin([(lane, latest.data)], self.recovered_until)
            free += [] if (written > 1).all() else [segment.take(written == 1)]
        return free

    def put_back(self, lane: Lane, segment: Segment) -> None:
        """Put what could not be sent now to the front of its lane."""
        lane.put_back([segment])
        self.queue.count(segment.credit.rows)

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
