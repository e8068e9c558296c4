"""The way in: accepting readings within a memory budget, and saying which lanes are due to be sent.

Theory of operation. Every signal with something pending has a `Lane`; lanes without a frozen item stand in the queue,
first come first served, so no signal starves. A lane that becomes free again goes to the end. The queue is due when the
first lane's linger is over, when it holds a full batch, or when a flush waits for a lane in it.

The fast path, `offer_one`, appends to two lists and counts down a grant. Only when the grant is used up, once in
`QUANTUM` readings, is anything else looked at: memory, full batches, and whether the caller should let others run
(`breathe`). So readings accepted on the fast path are counted late: `reconcile` brings `used` and `accepted` up to
date.
"""

from __future__ import annotations

import heapq
from collections import deque
from sys import getsizeof
from typing import Any

from numpy.typing import NDArray

from besmart_async.batching.credit import NO_REF, Credit
from besmart_async.batching.lanes import READING_BYTES, SEGMENT_BYTES, Hold, Lane, Segment, Tail, columns_cost
from besmart_async.batching.pacing import LearnedLimit
from besmart_async.batching.packing import Item, merge, withheld_apart
from besmart_async.batching.report import Ledger
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.values import JsonValue

QUANTUM = 128
"""Readings accepted between two looks at everything else: some 0.1 ms."""
TURN = 32
"""The same while memory is scarce, so that everybody has a turn soon."""


class Intake:
    """Lanes, their queue, and the memory they take.

    Attributes:
        attention: look at `breathe` and `next_wakeup`, which may have moved forward; whoever does so resets it.
        breathe: many readings were accepted in a row; whoever lets others run resets it.
        crowded: others stand in line: no more single readings than were granted already.
        used: bytes buffered, frozen and in flight (an estimate).
        items: limit of items in a batch, and so `readings` and `bytes`.
        carried: a frozen item waits to begin the next batch.
        bytes_per_row: how wide an encoded reading is, as far as known.
    """

    def __init__(self, policy: BatchPolicy, ledger: Ledger) -> None:
        self.attention = False
        self.breathe = False
        self.crowded = False
        self.used = 0
        self.items = LearnedLimit(policy.max_items)
        self.readings = LearnedLimit(policy.max_readings)
        self.bytes = LearnedLimit(policy.max_bytes)
        self._linger_s = policy.linger_s
        self._memory = policy.max_memory_bytes
        self._ledger = ledger
        self._quick = self._granted = self._dealt = 0
        self._owed = 0
        self._closed = False
        self._lanes: dict[SignalKey, Lane] = {}
        self._queue: deque[Lane] = deque()
        self._urgent = 0
        self._queued_rows = 0  # an upper bound; recounted when it matters
        self._recount_at = 0
        self.carried = False
        self.bytes_per_row = 26.0
        self._epoch = 0
        self._unflushed: dict[int, int] = {}
        self._holds: list[tuple[float, int, int, list[Lane]]] = []
        self._hold_number = 0

    # -- accepting ---------------------------------------------------------------------------------------------------

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
        lane = self._lanes.get(data.key) or self._new_lane(data.key)
        fresh = not lane.rows
        lane.add(Segment(data, Credit(rows, None, ref, self._epoch, cost)))
        if fresh:
            lane.since = now
        self.used += cost
        self._ledger.accepted += rows
        self._owed += 1 + rows // 100
        if self._owed >= QUANTUM:
            self._owed = 0
            self.attention = self.breathe = True
        self._queued_rows += rows
        self._enqueue(lane)
        self._notice_full()
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
        self._queued_rows += accepted

    def _grant(self) -> bool:
        self.reconcile()
        if self._dealt in (QUANTUM, TURN):
            self.attention = self.breathe = True
        room = 0 if self._closed or self.crowded else max(0, (self._memory - self.used) // READING_BYTES)
        turn = QUANTUM if 2 * self.used < self._memory else TURN
        self._quick = self._granted = self._dealt = min(turn, room)
        self._notice_full()
        return self._quick > 0

    def _open(self, key: SignalKey, type_: str, origin: int, unit: str | None, ref: int, now: float) -> Tail:
        lane = self._lanes.get(key) or self._new_lane(key)
        lane.seal()
        if not lane.rows:
            lane.since = now
        tail = lane.tail = Tail(key, type_, origin, unit, ref, self._epoch)
        tail.extra = SEGMENT_BYTES
        self.used += SEGMENT_BYTES
        self._enqueue(lane, filling=True)
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

    # -- the queue ---------------------------------------------------------------------------------------------------

    def _enqueue(self, lane: Lane, *, filling: bool = False) -> None:
        if lane.queued or lane.busy:
            return
        if not filling and not lane.rows:
            if not lane.holds and not lane.withheld and self._lanes.get(lane.key) is lane:
                del self._lanes[lane.key]
            return
        lane.queued = True
        self._queue.append(lane)
        self._urgent += lane.urgent
        if lane.urgent or len(self._queue) == 1 or len(self._queue) == self.items.value:
            self.attention = True

    def due_at(self) -> float | None:
        """When the next batch is due; minus infinity: at once, None: there is nothing to send."""
        if self.carried or self._urgent or len(self._queue) >= self.items.value or (self._queue and self._full()):
            return float("-inf")
        return self._queue[0].since + self._linger_s if self._queue else None

    def _full(self) -> bool:
        enough = min(self.readings.value, int(self.bytes.value / self.bytes_per_row))
        if self._queued_rows < max(enough, self._recount_at):
            return False
        if len(self._queue) >= self.items.value:
            return True
        self._queued_rows = sum(lane.rows for lane in self._queue)
        self._recount_at = self._queued_rows + enough // 16 if self._queued_rows < enough else 0
        return self._queued_rows >= enough

    def _notice_full(self) -> None:
        if self._queue and self._full():
            self.attention = True

    # -- flushes -----------------------------------------------------------------------------------------------------

    def flush(self) -> int:
        """Make everything accepted so far due; return a ticket for `flushed`."""
        self.reconcile()
        fresh = self._ledger.pending - sum(self._unflushed.values())
        if fresh:
            self._unflushed[self._epoch] = fresh
            self._epoch += 1
            for lane in self._lanes.values():
                lane.seal()
                if lane.rows:
                    self._hurry(lane)
            self.attention = True
        return self._epoch - 1

    def _hurry(self, lane: Lane) -> None:
        if not lane.urgent:
            lane.urgent = True
            self._urgent += lane.queued

    def flushed(self, ticket: int) -> bool:
        """Whether everything that the flush waited for has its final outcome."""
        return next(iter(self._unflushed), ticket + 1) > ticket

    def settle(self, credit: Credit) -> None:
        """Note that accepted readings have their final outcome."""
        self.used -= credit.cost
        if not self._holds:
            self.reconcile()
            if not self._ledger.pending:
                self.used = 0  # costs are divided in whole bytes: here the remainders go
        if self._unflushed:
            for epoch, readings in credit.by_epoch():
                if epoch in self._unflushed:
                    self._unflushed[epoch] -= readings
                    if not self._unflushed[epoch]:
                        del self._unflushed[epoch]

    # -- for the packer ----------------------------------------------------------------------------------------------

    @property
    def first(self) -> Lane | None:
        """The first lane of the queue."""
        return self._queue[0] if self._queue else None

    def take_first(self, rows: int, now: float) -> tuple[Lane, list[Segment]]:
        """Take the first lane from the queue, and from it what it may send of its first `rows` readings, merged."""
        lane = self._queue.popleft()
        lane.queued = False
        self._urgent -= lane.urgent
        if lane.holds:
            lane.release(now)
        before = lane.rows
        segments = merge(lane.take(rows))
        left = lane.rows
        self._queued_rows = max(0, self._queued_rows - (before - left))
        lane.urgent = lane.urgent and left > 0
        if lane.holds:
            segments = withheld_apart(lane, segments)
            if not segments:
                self._enqueue(lane)
        return lane, segments

    def put_back(self, lane: Lane, segment: Segment) -> None:
        """Put what could not be sent now to the front of its lane."""
        lane.put_back([segment])
        self._queued_rows += segment.credit.rows

    # -- after sending -----------------------------------------------------------------------------------------------

    def release(self, lane: Lane) -> None:
        """Note that one frozen item of the lane has its outcome."""
        lane.busy -= 1
        self._enqueue(lane)

    def hold(self, items: tuple[Item, ...], until: float) -> None:
        """Let newer values of these readings wait until then."""
        cost = 0
        for item in items:
            hold = Hold(until, item.data.time, item.data.origin)
            item.lane.holds.append(hold)
            cost += hold.cost
        self.used += cost
        self._hold_number += 1
        heapq.heappush(self._holds, (until, self._hold_number, cost, [item.lane for item in items]))

    def next_hold_end(self) -> float | None:
        """When the next hold ends."""
        return self._holds[0][0] if self._holds else None

    def end_holds(self, now: float) -> None:
        """Let the lanes go on whose holds are over."""
        while self._holds and self._holds[0][0] <= now:
            _, _, cost, lanes = heapq.heappop(self._holds)
            self.used -= cost
            for lane in lanes:
                rows = lane.rows
                lane.release(now)
                if lane.rows > rows:
                    self._queued_rows += lane.rows - rows
                    self._hurry(lane)
                if self._lanes.get(lane.key) is lane:
                    self._enqueue(lane)

    def drain(self) -> list[tuple[Lane, Segment]]:
        """Give up everything that waits; holds and frozen items are not affected."""
        self.reconcile()
        drained: list[tuple[Lane, Segment]] = []
        for lane in self._lanes.values():
            waiting = [*lane.withheld, *lane.take(lane.rows)]
            lane.withheld = []
            lane.queued = lane.urgent = False
            drained += [(lane, segment) for segment in merge(waiting)] if waiting else []
        self._queue.clear()
        self._urgent = self._queued_rows = 0
        self._lanes = {lane.key: lane for lane in self._lanes.values() if lane.busy or lane.holds}
        return drained

    def pending_readings(self) -> int:
        """Count the accepted readings that wait here, the slow way; for tests."""
        return sum(
            sum(segment.credit.readings for segment in lane.withheld)
            + sum(part.credit.readings if isinstance(part, Segment) else len(part) for part in lane.parts)
            + (len(lane.tail) if lane.tail is not None else 0)
            for lane in self._lanes.values()
        )
