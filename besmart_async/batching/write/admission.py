"""Letting readings in: at once if there is room, else in turn, first come first served.

Readings that stand in line hold up everybody behind them, single readings on the fast path too (`Intake.crowded`), so
that large columns are not overtaken for ever by small ones. Cancelled or timed out in line, nothing was accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.core import Coalescer
from besmart_async.batching.write.core.credit import NO_REF
from besmart_async.batching.write.core.intake import TURN
from besmart_async.batching.write.core.segments import READING_BYTES, columns_cost
from besmart_async.batching.write.door import Reading, is_plain, plain_values
from besmart_async.batching.write.matrices import ManyColumns
from besmart_async.batching.write.sender import Engine
from besmart_async.config import BatchPolicy
from besmart_async.errors import WriterTimeoutError
from besmart_async.models.series import SignalData


class Admission:
    """Offers checked readings to the core, and waits for room where there is none."""

    def __init__(self, policy: BatchPolicy, core: Coalescer, engine: Engine) -> None:
        self._policy = policy
        self._core = core
        self._engine = engine
        self._intake = core.intake
        self._line = engine.line

    def took(self, key: Any, time: Any, value: Any, type_: Any, origin: Any, unit: Any) -> bool:
        """Accept what `write` was given as it is, if it is plain and there is room; False: go the long way."""
        if not is_plain(key, time, value, type_, origin, unit):
            return False
        now = self._engine.time()
        if time.__class__ is int:
            return self._intake.offer_one(key, time, value, type_, origin, unit, NO_REF, now)
        values = plain_values(time, value)
        grid = None if values is None else self._intake.grids.of(time)
        if values is None or grid is None:
            return False
        return self._intake.offer_columns(key, grid, values, type_, origin, unit, NO_REF, now)

    async def accept(self, what: Reading | SignalData, ref: int | NDArray[np.int64] = NO_REF) -> None:
        """Return once all of it is accepted.

        Raises:
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            BesmartError: the writer is closed or has stopped.
        """
        out_of_turn = isinstance(what, SignalData) and self._line.waiting
        if out_of_turn or not self._offered(what, ref):
            deadline = self._engine.time() + self._policy.admission_timeout_s
            await self._stand_in_line(partial(self._offered, what, ref), what, deadline)
        if self._intake.attention:
            await self.attend()

    async def accept_many(self, many: ManyColumns) -> None:
        """Return once all signals are accepted, each for itself, in their order.

        Raises:
            WriterTimeoutError: no room within `admission_timeout_s`; the signals before that were accepted.
            BesmartError: the writer is closed or has stopped, likewise.
        """
        offered, intake = self._intake.offer_columns, self._intake
        for keys, values in many.blocks():
            grid = intake.grids.of(many.time) if many.plain else None
            now = self._engine.time()
            for key, value in zip(keys, values, strict=True):
                if grid is None or not offered(key, grid, value, many.type, many.origin, many.unit, NO_REF, now):
                    await self.accept(many.columns(key, value))
                elif intake.attention:
                    await self.attend()

    async def attend(self) -> None:
        """Send what has become due, and after many readings in a row let others run."""
        intake = self._intake
        intake.attention = False
        if intake.due:
            intake.due = False
            self._engine.pump()
        if intake.breathe:
            intake.breathe = False
            await asyncio.sleep(0)

    async def _stand_in_line(self, offered: Callable[[], bool], what: Reading | SignalData, deadline: float) -> None:
        cost = columns_cost(what) if isinstance(what, SignalData) else READING_BYTES * TURN
        cost = min(cost, self._policy.max_memory_bytes // 2)
        waited = False
        try:
            while True:
                self._intake.crowded = True
                await self._line.wait(cost, deadline, first=waited)
                self._engine.home()
                self._intake.crowded = False
                if offered():
                    return
                waited = True
        except TimeoutError:
            raise self._no_room() from None
        finally:
            self._intake.crowded = bool(self._line.waiting)
            self._line.let_in(self._core.room)  # what was cleared for us and not used

    def _offered(self, what: Reading | SignalData, ref: int | NDArray[np.int64]) -> bool:
        self._engine.check_open()
        now = self._engine.time()
        if isinstance(what, SignalData):
            return self._intake.offer(what, ref, now)
        return self._offered_one(what, ref, now)  # type: ignore[arg-type]  # a reading has one ref

    def _offered_one(self, what: Reading, ref: int, now: float) -> bool:
        offer = self._core.offer_one if what.plain else self._core.offer_odd
        return offer(what.key, what.time, what.value, what.type, what.origin, what.unit, ref, now)  # type: ignore[arg-type]

    def _no_room(self) -> WriterTimeoutError:
        report = self._core.report(self._engine.time())
        error = WriterTimeoutError(
            f"no room for this write within {self._policy.admission_timeout_s:g} s: {report.pending} readings "
            f"({report.memory_bytes} bytes) wait for the service; the writer is {report.state}"
        )
        error.outcome = "not_sent"
        return error
