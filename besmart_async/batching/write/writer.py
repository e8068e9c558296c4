"""`Writer`: many writes in few calls. The asyncio shell around `coalescer.Coalescer`, which decides everything.

Rules:
- The shell keeps time, sends, and tells the waiters; it decides nothing about batches.
- A write that has room makes no task, future or lock and does not suspend; but once in some hundred writes one lets
  others run. Types are compared as `__class__` on this way, which is the fastest.
- Whoever waits (for room, for an acknowledgement, for a flush) waits on a future of its own; cancelling it only
  detaches it. What was accepted stays accepted; the calls on the wire belong to the writer and go on.
- No task group and no cancel scope is held open across a yield: a writer may be closed by another task than opened it.
- Whatever happens to the engine, every waiter hears of it, each with an exception of its own. Nothing hangs.
- A writer belongs to the process and event loop that use it first.

Theory of operation: `write` appends a reading to those of its signal that are open; whatever is no plain reading, or
the first of its signal, goes through `Admission`. `Engine` sends what the core says is due, and settles it. `Line`,
`Watches` and `Delivery` are those who wait; `Outbox` hands rejections to whoever wants them. `Lifetime` opens, flushes
and closes; this module is the doors: what callers may write, and raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import get_ident
from typing import Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.credit import NO_REF
from besmart_async.batching.write.door import OriginColumn, TypeColumn, admitted, checked_data, is_plain, removal
from besmart_async.batching.write.lifetime import Lifetime
from besmart_async.batching.write.matrices import ManyColumns
from besmart_async.batching.write.sender import Delivery
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import MAX_MS, MIN_MS, TimeColumn, TimeLike
from besmart_async.models.values import DOUBLE, JsonValue, ValueColumn


class Writer(Lifetime):
    """Gathers writes into bulk calls. Made by `client.writer()`; one serves a whole application.

    Use it as `async with client.writer() as writer`, or call `aclose()` when done.
    """

    async def write(
        self,
        key: SignalKey,
        time: TimeLike | TimeColumn,
        value: JsonValue | ValueColumn,
        *,
        type: TypeColumn = DOUBLE,  # noqa: A002 - the API's name
        origin: OriginColumn = 1,
        unit: str | None = None,
    ) -> None:
        """Write one reading, or columns of readings, of one signal. Returns when it is accepted, not when it is stored.

        It waits only while there is no room; cancelled then, nothing of it was accepted. With a journal it waits for
        the disk as well; cancelled then, it may be accepted all the same.

        Args:
            key: which signal.
            time: UTC unix ms or an aware datetime; or a column of them.
            value: the value; or a column of as many.
            type: type name of the reading, or of all, or one per row.
            origin: origin of the reading, or of all, or one per row.
            unit: unit symbol, sent only if given.

        Raises:
            InvalidInputError: an argument is refused; nothing was accepted.
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            JournalError: the journal cannot be written; nothing was accepted.
            BesmartError: the writer is closed, has stopped, or belongs to another process or event loop.
        """
        at_home = self._engine.thread == get_ident() and self._engine.loop_runs()
        if at_home and self._journaled is None:
            if (
                time.__class__ is int
                and value.__class__ is float
                and key.__class__ is SignalKey
                and value - value == 0.0  # pyright: ignore[reportOperatorIssue]  # neither NaN nor infinite
                and MIN_MS <= time <= MAX_MS  # pyright: ignore[reportOperatorIssue]
                and self._append_one(key, time, value, type, origin, unit)
            ):
                return
            if self._admission.took(key, time, value, type, origin, unit):
                if self._intake.attention:
                    await self._admission.attend()
                return
        elif at_home and time.__class__ is int and is_plain(key, time, value, type, origin, unit):
            assert self._journaled is not None  # noqa: S101 - the other case
            joined = self._journaled.join_one((key, time, value, type, origin, unit))  # type: ignore[arg-type]
            if joined is not None:
                await self._journaled.written(joined)
                return
        what = admitted(key, time, value, type, origin, unit)
        self._home()
        await self._admission.accept(what)

    async def write_data(self, data: SignalData, *, labels: NDArray[np.int64] | None = None) -> None:
        """Write columns; as `write`, all or nothing.

        Args:
            data: the readings.
            labels: a number below -1 for each reading, shape (n,). A `Rejection` tells in `refs` those of its
                readings, and of those that they replaced while queued; `LabelsStored` those of the stored ones. Not
                with a journal.

        Raises:
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            BesmartError: as `write`.
        """
        data = checked_data(data)
        if self._engine.thread != get_ident() or not self._engine.loop_runs():
            self._home()
        await self._admission.accept(data, NO_REF if labels is None else labels)

    async def write_matrix(
        self,
        keys: Iterable[SignalKey],
        time: TimeColumn,
        values: NDArray[Any] | Sequence[ValueColumn],
        *,
        type: str = DOUBLE,  # noqa: A002 - the API's name
        origin: int = 1,
        unit: str | None = None,
    ) -> None:
        """Write columns of many signals read at the same times, for less than a `write` of each takes.

        All of it is checked before anything is accepted; then it is accepted signal by signal, waiting for room. So if
        it raises after that, or is cancelled, the first signals were accepted; to write all of it again does no harm.

        Args:
            keys: the signals.
            time: their times, as for `write`, shape (rows,).
            values: their values, shape (signals, rows): of a frame with a column for each signal `frame.to_numpy().T`.
                Must not be changed before this returns.
            type: type name of all readings.
            origin: origin of all readings.
            unit: unit symbol, sent only if given.

        Raises:
            InvalidInputError: an argument is refused; nothing was accepted. NaN is: it is no missing reading.
            WriterTimeoutError: no room within `admission_timeout_s`.
            BesmartError: as `write`.
        """
        many = ManyColumns.checked(keys, time, values, type, origin, unit)
        self._home()
        await self._admission.accept_many(many)

    async def remove(self, key: SignalKey, time: TimeLike | TimeColumn, *, origin: int = 1) -> None:
        """Mark readings as deleted, by writing readings of type "RM" at their times.

        Args:
            key: which signal.
            time: one moment, or a column of them.
            origin: origin of the readings to delete: readings of different origins are different.

        Raises:
            BesmartError: as `write`.
        """
        what = removal(key, time, origin)
        self._home()
        await self._admission.accept(what)

    async def deliver(self, data: SignalData) -> None:
        """Write columns and wait until the service has stored them.

        Cancelling gives up the wait only: once accepted, the readings are delivered all the same.

        Raises:
            UnprocessableError: the service refuses some of them; a note counts those that were delivered.
            BesmartError: they could not be delivered (its `outcome` tells what became of them), or as `write`.
        """
        data = checked_data(data)
        if not len(data):
            return
        loop = self._home()
        ref, delivery = self._new_ref(), Delivery(len(data), loop.create_future())
        self._engine.deliveries[ref] = delivery
        try:
            await self._admission.accept(data, ref)
            await delivery.future
        finally:
            del self._engine.deliveries[ref]
