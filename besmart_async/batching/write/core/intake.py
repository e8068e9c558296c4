"""The way in: accepting readings within a memory budget, into lanes.

Theory of operation. The fast path, `append_one`, appends to two lists and counts down a grant. Only when the grant is
used up, once in `QUANTUM` readings, is anything else looked at: memory, full batches, and whether the caller should let
others run (`breathe`). So readings accepted on the fast path are counted late: `reconcile` brings `used` and `accepted`
up to date.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.credit import NO_REF, Credit
from besmart_async.batching.write.core.grids import Grid, Grids
from besmart_async.batching.write.core.lanes import Lane
from besmart_async.batching.write.core.report import Ledger
from besmart_async.batching.write.core.segments import (
    READING_BYTES,
    SEGMENT_BYTES,
    VALUE_BYTES,
    Columns,
    Segment,
    Tail,
    columns_cost,
)
from besmart_async.batching.write.core.stock import Stock
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


class Intake(Stock):
    """Accepts what there is room for.

    Attributes:
        crowded: others stand in line: no more single readings than were granted already.
        grids: knows columns of times again.
    """

    def __init__(self, policy: BatchPolicy, ledger: Ledger) -> None:
        super().__init__(policy, ledger)
        self.crowded = False
        self.grids = Grids()
        self._credit = Credit(0, None, NO_REF, 0)
        self._memory = policy.max_memory_bytes * 3 // 4  # the rest is for bodies under way
        self._dealt = self._owed = 0
        self._closed = False

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
        self._admit(data, ref, now, cost)
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
        credit = self._credit_of(rows, ref)
        self._add(Columns(key, grid, value, type_, origin, unit, credit, cost), key, now)
        return True

    def admit(self, data: SignalData, ref: int | NDArray[Any], now: float, *, recovered: bool = False) -> None:
        """Accept columns for which there is room, or was; `recovered`: an earlier writer may have sent them."""
        self._admit(data, ref, now, columns_cost(data), recovered=recovered)

    def _admit(
        self, data: SignalData, ref: int | NDArray[Any], now: float, cost: int, *, recovered: bool = False
    ) -> None:
        credit = self._credit_of(len(data), ref)
        grid = self._grid_of(data) if not recovered else None
        if grid is None:
            segment = Segment(data, credit, cost, recovered=recovered)
        else:
            segment = Columns(data.key, grid, data.value, data.type, data.origin, data.unit, credit, cost)  # type: ignore[arg-type]
        self._add(segment, data.key, now)

    def _credit_of(self, rows: int, ref: int | NDArray[Any]) -> Credit:
        """Return the credit of columns: the last one, if it is the same again, which it is for most of them."""
        credit, epoch = self._credit, self.flushes.epoch
        if credit.rows != rows or credit.ref is not ref or credit.epoch != epoch:
            credit = self._credit = Credit(rows, None, ref, epoch)
        return credit

    def _grid_of(self, data: SignalData) -> Grid | None:
        """Return the times' grid if the columns are plain; see `Columns`."""
        plain = (
            len(data) > 0
            and data.time.dtype == np.int64
            and data.value.dtype == np.float64
            and isinstance(data.type, str)
            and isinstance(data.origin, int)
            and data.value.flags.c_contiguous
        )
        return self.grids.of(data.time) if plain else None

    def _add(self, part: Segment, key: SignalKey, now: float) -> None:
        rows = part.rows
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, now)
        elif not lane.rows:
            lane.since = now
        lane.add(part, rows)
        self.used += part.cost
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
