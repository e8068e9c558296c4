"""The accumulator: an append-only log of accepted readings, within a memory budget.

Theory of operation. Accepting a reading appends it to the last entry of the log and counts down a grant. Everything
else (memory, full batches, whether the caller should let other tasks run) is checked only when the grant is used up,
once in `QUANTUM` readings. Readings accepted under a grant are counted later: `reconcile` updates the counters.

Readings leave when a batch is formed (`form`), in the order of acceptance. Readings that must wait are set aside
(`Fences`), and return to the front of the log.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.batch import Payload
from besmart_async.batching.write.core.fences import Fences
from besmart_async.batching.write.core.grids import Grid, Grids
from besmart_async.batching.write.core.grouping import Grouping, grouped
from besmart_async.batching.write.core.limits import Limits
from besmart_async.batching.write.core.log import (
    READING_BYTES,
    Block,
    Entry,
    Form,
    Run,
    Strip,
    columns_cost,
    strip_cost,
    value_cost,
)
from besmart_async.batching.write.core.provenance import NO_REF, Ranges, Watermark
from besmart_async.batching.write.core.report import Ledger
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.values import JsonValue

QUANTUM = 512
"""Readings accepted between two checks of everything else: about 0.4 ms."""
TURN = 32
"""The same while memory is scarce, so that every caller gets a turn soon."""
STRIP_ROWS = 2_000
"""Longer columns become separate blocks."""
_LOOK_AGAIN_S = 0.005
"""If everything in the log had to wait, it is looked at again after the linger, but not sooner than this: else readings
of signals under way would be set aside one by one. A signal that is released ends the wait."""


class Accumulator:
    """Accepts readings while there is room, and forms batches of them.

    Attributes:
        attention: `due` or `breathe` needs a look; the code that looks resets it.
        due: a batch may be due earlier than before; the code that looks resets it.
        breathe: many readings were accepted in a row; the code that lets other tasks run resets it.
        crowded: callers wait in line: only what was already granted is accepted.
        used: bytes buffered, frozen and in flight (an estimate).
        limits: how much a batch may hold.
        fences: readings that must wait.
        settled: all readings below this number have their final outcome.
        next_number: number of the next reading; up to date after `reconcile`.
        grids: recognizes columns of times that were used before.
        recovered_until: until this time the service may apply what an earlier writer sent before it ended.
    """

    def __init__(self, policy: BatchPolicy, ledger: Ledger) -> None:
        self.attention = self.due = self.breathe = self.crowded = False
        self.used = 0
        self.limits = Limits.of(policy)
        self.fences = Fences()
        self.settled = Watermark()
        self.next_number = 0
        self.grids = Grids()
        self.recovered_until = -math.inf
        self._ledger = ledger
        self._linger_s = policy.linger_s
        self._memory = policy.max_memory_bytes * 3 // 4  # the rest is for bodies in flight
        self._log: deque[Entry] = deque()
        self._run: Run | None = None  # the last entry of the log, if single readings are appended to it
        self._strip: Strip | None = None
        self._quick = self._granted = self._dealt = 0
        self._owed = 0
        self._rows = self._entries = 0  # in the log
        self._enough_rows = self._full_rows = self.limits.rows
        self._look_at = self.limits.items.value
        self._is_full = False
        self._counted: set[SignalKey] = set()
        self._counted_to = 0, 0  # the place in the log, and in that entry, up to which signals were counted
        self._urgent_below = 0
        self._not_before = -math.inf
        self._reserved = 0
        self._closed = False

    # -- in ----------------------------------------------------------------------------------------------------------

    def append_one(self, key: Any, time: Any, value: Any, type_: Any, origin: Any, unit: Any) -> bool:
        """Accept a reading of the same form as the one before; its key, time and value are checked already.

        Its type, origin and unit were checked with an earlier reading if they are the same objects. False: no room, or
        another form; call `accept_one`.
        """
        run = self._run
        if self._quick <= 0 or run is None or run.type is not type_ or run.origin is not origin or run.unit is not unit:
            return False
        run.keys.append(key)
        run.times.append(time)
        run.values.append(value)
        self._quick -= 1
        return True

    def accept_one(
        self, key: SignalKey, time: int | float, value: JsonValue, form: Form, now: float, *, plain: bool
    ) -> bool:
        """Accept a checked reading; `plain` means an int time and a finite float value. False: no room now."""
        if self._quick <= 0 and not self._grant(now):
            return False
        run = self._run
        if run is None:
            run = self._begin_run(form, now)
        same = run.type is form.type and run.origin is form.origin and run.unit is form.unit
        if not same and (run.forms is not None or form != run.form()):
            run.note(form)
        run.keys.append(key)
        run.times.append(time)
        run.values.append(value)
        self._quick -= 1
        if not plain:
            run.plain = False
            extra = value_cost(value)
            run.extra += extra
            self.used += extra
        return True

    def accept_columns(self, key: SignalKey, grid: Grid, value: NDArray[np.float64], form: Form, now: float) -> bool:
        """Accept plain, checked columns; `value` is kept, not copied. False: no room now."""
        cost = strip_cost(len(value))
        if self._granted != self._quick:
            self.reconcile()
        if self._closed or self.crowded or (self.used + cost > self._memory and self.used > 0):
            return False
        if len(value) > STRIP_ROWS:
            self._add_block(Block.plain(key, grid, value, form, self.next_number, now))
        else:
            self._add_column(key, grid, value, form, NO_REF, now)
        return True

    def accept(self, data: SignalData, ref: int, now: float) -> bool:
        """Accept columns, all or nothing. False: no room now. An empty writer accepts more than its whole budget."""
        if not len(data):
            return True
        self.reconcile()
        cost = columns_cost(data)
        if self._closed or (self.used + cost > self._memory and self.used > 0):
            return False
        self.admit(data, ref, now)
        return True

    def admit(self, data: SignalData, ref: int, now: float, *, recovered: bool = False) -> None:
        """Accept columns without checking for room; `recovered`: an earlier writer may have sent them."""
        self.reconcile()
        grid = None if recovered else self._grid_of(data)
        if grid is not None and len(data) <= STRIP_ROWS:
            form = Form(data.type, data.origin, data.unit)  # type: ignore[arg-type]  # constants, see `_grid_of`
            self._add_column(data.key, grid, data.value, form, ref, now)
            return
        self._add_block(Block(data, self.next_number, ref, now, columns_cost(data), recovered=recovered))

    def begin_with(self, left: Ranges) -> None:
        """Number the next reading after those that an earlier writer left; `adopt` takes these over."""
        number = self.next_number
        for start, stop in left:
            self.settled.settle([(number, start)] if start > number else [])
            number = stop
        self.next_number = number

    def adopt(self, data: SignalData, numbers: NDArray[np.int64], now: float) -> None:
        """Accept readings that an earlier writer accepted under these numbers, and may have sent."""
        self._run = self._strip = None
        block = Block(data, numbers, NO_REF, now, columns_cost(data), recovered=True)
        self._put(block)
        self._ledger.accepted += block.rows
        self.used += block.cost
        self._rows += block.rows
        self._entries += 1

    def skip_to(self, number: int) -> None:
        """Give the next reading this number; the numbers in between are not used."""
        self.reconcile()
        if number > self.next_number:
            self.settled.settle([(self.next_number, number)])
            self.next_number = number
            self._run = self._strip = None

    def reserve(self, cost: int) -> None:
        """Reserve memory for readings that are being journaled; a negative cost releases it."""
        self._reserved += cost
        self.used += cost

    def room(self, cost: int) -> bool:
        """Whether something of this cost would be accepted."""
        self.reconcile()
        return not self._closed and (self.used + cost <= self._memory or self.used <= 0)

    def close(self) -> None:
        """Accept nothing more."""
        self.reconcile()
        self._closed = True
        self._quick = self._granted = 0

    def reopen(self) -> None:
        """Accept readings again."""
        self._closed = False

    def reconcile(self) -> None:
        """Count the readings accepted under the grant since the last call."""
        accepted = self._granted - self._quick
        if accepted:
            self._granted = self._quick
            self._ledger.accepted += accepted
            self.next_number += accepted
            self.used += accepted * READING_BYTES
            self._rows += accepted
            self._entries += accepted

    def _grant(self, now: float) -> bool:
        self.reconcile()
        if self._dealt in (QUANTUM, TURN):
            self.attention = self.breathe = True
        room = 0 if self._closed or self.crowded else max(0, (self._memory - self.used) // READING_BYTES)
        turn = QUANTUM if 2 * self.used < self._memory else TURN
        self._quick = self._granted = self._dealt = min(turn, room)
        if self._run is not None:
            self._run.marks.append((len(self._run.keys), now))
        if self._filled():
            self.attention = self.due = True
        return self._quick > 0

    def _begin_run(self, form: Form, now: float) -> Run:
        self.reconcile()
        run = self._run = Run(form, self.next_number, now)
        self._strip = None
        self._put(run)
        return run

    def _add_column(
        self, key: SignalKey, grid: Grid, value: NDArray[np.float64], form: Form, ref: int, now: float
    ) -> None:
        strip = self._strip
        if strip is None or strip.form != form:
            strip = self._strip = Strip(form, self.next_number, now)
            self._run = None
            self._put(strip)
        strip.keys.append(key)
        strip.grids.append(grid)
        strip.values.append(value)
        strip.refs.append(ref)
        rows = len(value)
        strip.rows += rows
        self._count(rows, strip_cost(rows))

    def _add_block(self, block: Block) -> None:
        self._run = self._strip = None
        self._put(block)
        self._count(block.rows, block.cost)

    def _put(self, entry: Entry) -> None:
        if not self._log:
            self.attention = self.due = True
        self._log.append(entry)

    def _count(self, rows: int, cost: int) -> None:
        self.next_number += rows
        self._ledger.accepted += rows
        self.used += cost
        self._rows += rows
        self._entries += 1
        self._owed += 5 + rows // 25  # of single readings in the same time
        if self._owed >= QUANTUM:
            self._owed = 0
            self.attention = self.breathe = True
        if (self._rows >= self._full_rows or self._entries >= self._look_at) and self._filled():
            self.attention = self.due = True

    def _grid_of(self, data: SignalData) -> Grid | None:
        """Return the times of plain columns if they ascend: such columns need no separate block."""
        plain = (
            data.time.dtype == np.int64
            and data.value.dtype == np.float64
            and not isinstance(data.type, np.ndarray)
            and not isinstance(data.origin, np.ndarray)
            and data.time.flags.c_contiguous
            and data.value.flags.c_contiguous
        )
        return self.grids.of(data.time) if plain else None

    # -- when --------------------------------------------------------------------------------------------------------

    def flush(self) -> int:
        """Make everything accepted so far due; return a ticket for `flushed`."""
        self.reconcile()
        self._not_before = -math.inf
        if self.next_number > self._urgent_below:
            self._urgent_below = self.next_number
            self.attention = self.due = True
        return self.next_number

    def flushed(self, ticket: int) -> bool:
        """Whether everything accepted before that flush has its final outcome."""
        return self.settled.low >= ticket

    def due_at(self) -> float | None:
        """When the next batch is due; minus infinity: now, None: there is nothing to send."""
        self.reconcile()
        if not self._log:
            return None
        first = self._log[0]
        if (self._urgent_below > self.settled.low and first.number < self._urgent_below) or self._full():
            return self._not_before
        return max(first.since + self._linger_s, self._not_before)

    def _filled(self) -> bool:
        """Whether the log has filled up to a full batch since the last check."""
        if self._rows < self._full_rows and self._entries < self._look_at:
            return False
        filled = not self._is_full and self._full()
        if filled:
            self._full_rows = self._look_at = 1 << 62  # the caller knows now, and sends it as soon as possible
        return filled

    def _full(self) -> bool:
        """Whether the log holds a full batch."""
        if self._is_full:
            return True
        most = self.limits.items.value
        if self._rows >= self._enough_rows:
            self._is_full = True
        elif self._entries >= max(most, self._look_at):
            signals = self._signals()
            self._is_full = signals >= most
            self._look_at = self._entries + max(most - signals, 1)
        return self._is_full

    def _look_anew(self) -> None:
        """Reset what is known about how full the log is."""
        self._counted.clear()
        self._counted_to = 0, 0
        self._is_full = False
        self._enough_rows = self._full_rows = self.limits.rows
        self._look_at = self.limits.items.value

    def _signals(self) -> int:
        """Count the signals in the log; only what was appended since the last time is looked at."""
        at, start = self._counted_to
        for entry in islice(self._log, at, None):
            if isinstance(entry, Block):
                self._counted.add(entry.key)
            else:
                self._counted.update(entry.keys[max(start, entry.start) :])
            start = 0
        last = self._log[-1]
        self._counted_to = len(self._log) - 1, 0 if isinstance(last, Block) else len(last.keys)
        return len(self._counted)

    def oldest(self, now: float) -> float:
        """When the first reading of the log was accepted, or a little earlier; `now` if nobody knows."""
        since = self._log[0].since if self._log else now
        return since if math.isfinite(since) else now

    # -- out ---------------------------------------------------------------------------------------------------------

    def form(self, now: float) -> Payload | None:
        """Freeze the next batch, in the order of acceptance; None if everything that was looked at must wait."""
        self.reconcile()
        self._run = self._strip = None  # later readings go to a new entry: this one is being consumed
        grouping = Grouping(self.limits.room(), self.fences)
        left: Sequence[Entry] = ()
        while self._log and not left and not grouping.full:
            entry = self._log.popleft()
            self._rows -= len(entry)
            self._entries -= entry.entries
            left = grouping.take(entry)
            self._put_back(left)
        self._look_anew()
        repeated: list[Block] | None = [] if grouping.recovered and now < self.recovered_until else None
        payload = grouping.payload(repeated)
        if repeated:
            self._withhold(repeated)
        if payload is None:
            self._not_before = now + max(self._linger_s, _LOOK_AGAIN_S)
        else:
            self.fences.fence(payload.signals, payload.keys)
        return payload

    def _withhold(self, blocks: Sequence[Block]) -> None:
        """Withhold recovered readings that were written more than once: the service may still store the first one."""
        for block in blocks:
            self.fences.withhold_rows(block)
        self.used += self.fences.hold([(b.key, b.time, b.origin) for b in blocks], self.recovered_until)

    # -- back in -----------------------------------------------------------------------------------------------------

    def release(self, payload: Payload) -> None:
        """Record that frozen items are settled: readings that waited for them may be sent."""
        self._not_before = -math.inf
        self._return(self.fences.release(payload.signals, payload.keys))

    def end_holds(self, now: float) -> None:
        """Release readings whose holds are over."""
        if not self.fences.holds:
            return
        freed, blocks = self.fences.end_holds(now)
        self.used -= freed
        self._return(blocks)

    def hold(self, payload: Payload, until: float) -> None:
        """Withhold newer values of these readings until then."""
        self.used += self.fences.hold(payload.held(), until)

    def charge(self, payload: Payload, size: int) -> None:
        """Count the memory of a body."""
        payload.cost += size
        self.used += size

    def settle(self, ranges: Ranges, cost: int) -> None:
        """Record accepted readings that have their final outcome, and release their memory."""
        self.settled.settle(ranges)
        self.used -= cost
        if not self.fences.holds:
            self.reconcile()
            if not self._ledger.open:
                self.used = self._reserved  # costs are divided into whole bytes: this drops the remainders

    def _return(self, waiting: Sequence[Entry]) -> None:
        if waiting:
            self._put_back(waiting)
            self._look_anew()
            self.attention = self.due = True

    def _put_back(self, entries: Sequence[Entry]) -> None:
        """Put entries at the front of the log: they are older than other entries of their signals."""
        self._log.extendleft(reversed(entries))
        for entry in entries:
            self._rows += len(entry)
            self._entries += entry.entries

    # -- the end -----------------------------------------------------------------------------------------------------

    def drain(self) -> list[Payload]:
        """Give up everything that waits."""
        self.reconcile()
        entries = [*self.fences.waiting(), *self._log]
        self.fences.forget()
        self._log.clear()
        self._run = self._strip = None
        self._rows = self._entries = 0
        self._look_anew()
        return grouped(entries)

    def waiting(self) -> Iterator[Entry]:
        """Yield everything that waits."""
        yield from self.fences.waiting()
        yield from self._log
