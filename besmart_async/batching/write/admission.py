"""Admission: readings are accepted at once if there is room, otherwise first come, first served.

Readings in the line block everybody behind them, single readings too (`Accumulator.crowded`). Otherwise small writes
could overtake large columns forever. If a caller is cancelled or times out in the line, nothing was accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from besmart_async.batching.write.core.accumulator import TURN
from besmart_async.batching.write.core.core import WriteCore
from besmart_async.batching.write.core.log import READING_BYTES, Form, columns_cost
from besmart_async.batching.write.core.provenance import NO_REF
from besmart_async.batching.write.sender import Sender
from besmart_async.batching.write.validation import ManyColumns, Reading, is_plain, plain_values
from besmart_async.batching.write.waiting import Delivery
from besmart_async.config import BatchPolicy
from besmart_async.errors import WriterTimeoutError
from besmart_async.models.series import SignalData


class Admission:
    """Offers checked readings to the core, and waits if there is no room."""

    def __init__(self, policy: BatchPolicy, core: WriteCore, sender: Sender) -> None:
        self._policy = policy
        self._core = core
        self._sender = sender
        self._accumulator = core.accumulator
        self._line = sender.line
        self._form = Form("", 0, None)

    def took(self, key: Any, time: Any, value: Any, type_: Any, origin: Any, unit: Any) -> bool:
        """Accept the arguments of `write` unchanged if they are plain and there is room; False: take the slow path."""
        if not is_plain(key, time, value, type_, origin, unit):
            return False
        now = self._sender.time()
        form = self._form
        if form.type is not type_ or form.origin is not origin or form.unit is not unit:
            form = self._form = Form(type_, origin, unit)
        if time.__class__ is int:
            return self._accumulator.accept_one(key, time, value, form, now, plain=True)
        values = plain_values(time, value)
        grid = None if values is None else self._accumulator.grids.of(time)
        if values is None or grid is None:
            return False
        return self._accumulator.accept_columns(key, grid, values, form, now)

    async def accept(self, what: Reading | SignalData, ref: int = NO_REF) -> range:
        """Return the numbers of the readings once all of them are accepted.

        Raises:
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            BesmartError: the writer is closed or has stopped.
        """
        out_of_turn = isinstance(what, SignalData) and len(self._line)
        if out_of_turn or not self._offered(what, ref):
            deadline = self._sender.time() + self._policy.admission_timeout_s
            cost = columns_cost(what) if isinstance(what, SignalData) else READING_BYTES * TURN
            await self._stand_in_line(partial(self._offered, what, ref), cost, deadline)
        numbers = self._numbers(len(what))
        if self._accumulator.attention:
            await self.attend()
        return numbers

    def hand_in(self, data: SignalData, ref: int, delivery: Delivery) -> None:
        """Accept readings now, or when their turn comes: then an error becomes the exception of the delivery.

        The caller must call `withdraw` if it ends while they are in line.

        Raises:
            BesmartError: the writer is closed or has stopped.
        """
        if not len(self._line) and self._offered(data, ref):
            return

        delivery.in_line = self._accumulator.crowded = True
        deadline = self._sender.time() + self._policy.admission_timeout_s
        cost = self._place_cost(columns_cost(data))
        self._line.leave_behind(partial(self._enter, data, ref, delivery), cost, deadline, delivery.future)

    def _enter(self, data: SignalData, ref: int, delivery: Delivery) -> bool:
        delivery.in_line = not self._offered(data, ref)
        return not delivery.in_line

    def withdraw(self, delivery: Delivery) -> None:
        """Take readings out of the line, whose delivery nobody waits for any more."""
        self._line.withdraw(delivery.future)
        self._sender.let_in()

    async def accept_all(self, items: Sequence[SignalData]) -> range:
        """Return the numbers of the readings once all items are accepted: all of them at the same moment.

        Raises:
            WriterTimeoutError: no room for all within `admission_timeout_s`; nothing was accepted.
            BesmartError: the writer is closed or has stopped.
        """
        cost = sum(map(columns_cost, items))
        if len(self._line) or not self._all_offered(items, cost):
            deadline = self._sender.time() + self._policy.admission_timeout_s
            await self._stand_in_line(partial(self._all_offered, items, cost), cost, deadline)
        numbers = self._numbers(sum(map(len, items)))
        if self._accumulator.attention:
            await self.attend()
        return numbers

    def _all_offered(self, items: Sequence[SignalData], cost: int) -> bool:
        self._sender.check_open()
        if not self._accumulator.room(cost):
            return False
        now = self._sender.time()
        for data in items:
            if len(data):
                self._accumulator.admit(data, NO_REF, now)
        return True

    async def accept_many(self, many: ManyColumns) -> None:
        """Return once all signals are accepted, one by one, in their order.

        Raises:
            WriterTimeoutError: no room within `admission_timeout_s`; the signals before this one were accepted.
            BesmartError: the writer is closed or has stopped; the signals before this one were accepted.
        """
        accepted, accumulator = self._accumulator.accept_columns, self._accumulator
        form = Form(many.type, many.origin, many.unit)
        for keys, values in many.blocks():
            grid = accumulator.grids.of(many.time) if many.plain else None
            now = self._sender.time()
            for key, value in zip(keys, values, strict=True):
                if grid is None or not accepted(key, grid, value, form, now):
                    await self.accept(many.columns(key, value))
                elif accumulator.attention:
                    await self.attend()

    async def attend(self) -> None:
        """Send what is due, and let other tasks run after many readings in a row."""
        accumulator = self._accumulator
        accumulator.attention = False
        if accumulator.due:
            accumulator.due = False
            self._sender.pump()
        if accumulator.breathe:
            accumulator.breathe = False
            await asyncio.sleep(0)

    async def _stand_in_line(self, offered: Callable[[], bool], cost: int, deadline: float) -> None:
        cost = self._place_cost(cost)
        accepted, waited = False, False
        try:
            while not accepted:
                self._accumulator.crowded = True
                place = self._line.join(cost, deadline, first=waited)
                try:
                    await place
                finally:
                    self._line.leave(place, cost)
                self._sender.check_open()
                self._accumulator.crowded = False
                accepted, waited = offered(), True
        except TimeoutError:
            raise self.no_room() from None
        finally:
            self._sender.let_in()  # room that was reserved for this caller and not used

    def _place_cost(self, cost: int) -> int:
        return min(cost, self._policy.max_memory_bytes // 2)

    def _offered(self, what: Reading | SignalData, ref: int) -> bool:
        self._sender.check_open()
        now = self._sender.time()
        if isinstance(what, SignalData):
            return self._accumulator.accept(what, ref, now)
        form = Form(what.type, what.origin, what.unit)
        return self._accumulator.accept_one(what.key, what.time, what.value, form, now, plain=what.plain)

    def _numbers(self, readings: int) -> range:
        self._accumulator.reconcile()
        stop = self._accumulator.next_number
        return range(stop - readings, stop)

    def no_room(self) -> WriterTimeoutError:
        """Return the error for a caller that waited too long."""
        report = self._core.report(self._sender.time())
        error = WriterTimeoutError(
            f"no room for this write within {self._policy.admission_timeout_s:g} s: {report.pending} readings "
            f"({report.memory_bytes} bytes) wait for the service; the writer is {report.state}"
        )
        error.outcome = "not_sent"
        return error
