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
`Watches` and `Delivery` are those who wait; `Outbox` hands rejections to whoever wants them. This module is the doors:
what callers may call, and raises.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import random
import warnings
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.admission import Admission
from besmart_async.batching.callers import Delivery
from besmart_async.batching.coalescer import Coalescer
from besmart_async.batching.credit import NO_REF
from besmart_async.batching.door import OriginColumn, TypeColumn, admitted, checked_data, is_plain, removal
from besmart_async.batching.engine import Engine, Put, WriterHook
from besmart_async.batching.matrices import ManyColumns
from besmart_async.batching.outbox import OnReject, Outbox
from besmart_async.batching.outcomes import Rejection
from besmart_async.batching.report import DeliveryReport
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, UndeliveredError, WriterTimeoutError
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import MAX_MS, MIN_MS, TimeColumn, TimeLike
from besmart_async.models.values import DOUBLE, JsonValue, ValueColumn

if TYPE_CHECKING:
    from besmart_async.batching.journaling import JournaledAdmission


class Writer:
    """Gathers writes into bulk calls. Made by `client.writer()`; one serves a whole application.

    Use it as `async with client.writer() as writer`, or call `aclose()` when done.
    """

    def __init__(
        self,
        put: Put,
        policy: BatchPolicy | None = None,
        *,
        journal: str | PathLike[str] | None = None,
        on_reject: OnReject | None = None,
        hooks: Sequence[WriterHook] = (),
        rng: random.Random | None = None,
    ) -> None:
        """Prepare a writer that sends through `put`; nothing happens before the first write.

        Args:
            put: makes one attempt of a bulk write.
            policy: limits and durations.
            journal: a file that keeps what is accepted until its outcome is known, beyond the end of the process.
            on_reject: called with each `Rejection`, one at a time; may be async. Without it they are raised, with the
                data, by `flush` or at the end.
            hooks: called with every event; an exception of a hook is logged and goes no further.
            rng: source of jitter.
        """
        policy = policy if policy is not None else BatchPolicy()
        self._policy = policy if journal is None else attrs.evolve(policy, delivery_timeout_s=math.inf)
        self._outbox = Outbox(on_reject)
        rng = rng if rng is not None else random.Random()  # noqa: S311 - jitter
        self._core = Coalescer(self._policy, rng.random, journaled=journal is not None)
        self._engine = Engine(put, self._core, self._outbox, hooks)
        self._intake = self._core.intake
        self._append_one = self._core.intake.append_one
        self._new_ref = itertools.count(1).__next__
        self._journaled: JournaledAdmission | None = None
        parts = self._policy, self._core, self._engine
        self._admission = Admission(*parts) if journal is None else self._journaling(*parts, Path(journal))
        self._time = self._engine.time
        self._loop: asyncio.AbstractEventLoop | None = None

    def _journaling(self, policy: BatchPolicy, core: Coalescer, engine: Engine, path: Path) -> JournaledAdmission:
        # Loaded here, since SQLite and the rest of it would take everybody's start 15 ms.
        from besmart_async.batching.journaling import JournaledAdmission  # noqa: PLC0415

        self._journaled = JournaledAdmission(policy, core, engine, path, self._new_ref)
        self._outbox.told = self._journaled.journal.told
        return self._journaled

    # -- writing -----------------------------------------------------------------------------------------------------

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

    async def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Send at once what waits, and wait until everything accepted so far has its final outcome.

        Cancelling gives up the wait only.

        Args:
            timeout: seconds to wait at most; None for no end.

        Raises:
            WriterTimeoutError: the time is over; the readings are still on their way.
            UndeliveredError: some readings could not be delivered since the last time this was raised (without
                `on_reject`, which gets them instead).
            BesmartError: the writer has stopped, or belongs to another process or event loop.
        """
        if self._loop is None:
            self._home()
        loop = self._home(closing=True)
        deadline = math.inf if timeout is None else loop.time() + timeout
        fed = self._journaled is None or self._engine.closing or await self._journaled.recover(timeout)
        ticket = self._core.flush()
        self._engine.pump()
        left = None if timeout is None else max(0.0, deadline - loop.time())
        if not fed or not await self._engine.watches.until(lambda: self._core.flushed(ticket), left):
            raise WriterTimeoutError(f"not everything was delivered within {timeout:g} s; it is still on its way")
        report = self._core.report(loop.time())
        if undelivered := self._outbox.take():
            raise UndeliveredError(report, undelivered) from self._core.failure
        if self._core.failure is not None:
            raise self._core.failure.clone()
        return report

    @property
    def report(self) -> DeliveryReport:
        """The numbers as they stand."""
        return self._core.report(self._time())

    # -- closing -----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Accept nothing more, deliver what was accepted for up to `close_timeout_s`, and give the rest up.

        Any task may do it. Cancelled, it gives the rest up at once. A second time does nothing.

        Raises:
            UndeliveredError: some readings did not arrive (without `on_reject`).
            ExceptionGroup: what `on_reject` raised.
        """
        undelivered = await self._close()
        errors = self._outbox.take_errors()
        if undelivered is not None:
            for error in errors:
                undelivered.add_note(f"on_reject failed as well: {error!r}")
            raise undelivered from self._core.failure
        if errors:
            raise ExceptionGroup("on_reject failed while the writer went on", errors)

    def stop(self, error: BesmartError) -> None:
        """Send nothing more: what is not under way is handed back with this error, as if the writer had given up.

        Calls under way get their outcome; `aclose` waits for them. Writes and flushes raise the error from now on. A
        second time does nothing.

        Raises:
            BesmartError: the writer belongs to another process or event loop.
        """
        self._home(closing=True)
        self._core.stop(error, self._time())
        self._engine.tell()

    async def __aenter__(self) -> Self:
        self._home()
        if self._journaled is not None:
            try:
                await self._journaled.open()
            except BaseException:
                self._engine.closing = True
                await self._journaled.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.aclose()
            return
        undelivered = await self._close()
        if undelivered is not None:
            error.add_note(f"and the besmart writer: {undelivered}")
        for failed in self._outbox.take_errors():
            error.add_note(f"and on_reject failed: {failed!r}")

    def __del__(self) -> None:
        if getattr(self, "_loop", None) is not None and not self._engine.closing and self._engine.pid == os.getpid():
            pending = self._core.report(0.0).pending
            told = f"a besmart writer was never closed ({pending} readings pending); use 'async with'"
            warnings.warn(told, ResourceWarning, 2, source=self)

    async def _close(self) -> UndeliveredError | None:
        undelivered: list[Rejection] = []
        journaled = 0
        try:
            if not await self._engine.close(self._policy.close_timeout_s):
                return None
            undelivered = self._outbox.take()
        finally:
            if self._journaled is not None:
                journaled = await self._journaled.close()
        return UndeliveredError(self.report, undelivered, journaled) if undelivered or journaled else None

    def _home(self, *, closing: bool = False) -> asyncio.AbstractEventLoop:
        loop = self._loop = self._engine.home(closing=closing)
        self._time = self._engine.time
        return loop
