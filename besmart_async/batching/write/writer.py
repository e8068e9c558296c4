"""`Writer`: many writes in few calls. The asyncio shell around `core.WriteCore`, which decides everything.

Rules:
- The shell keeps time, sends, and tells the waiters; it decides nothing about batches.
- A write that has room makes no task, future or lock and does not suspend; but once in some hundred writes one lets
  others run. Types are compared as `__class__` on this way, which is the fastest.
- Whoever waits (for room, for an acknowledgement, for a flush) waits on a future of its own; cancelling it only
  detaches it. What was accepted stays accepted; the calls on the wire belong to the writer and go on.
- No task group and no cancel scope is held open across a yield: a writer may be closed by another task than opened it.
- Whatever happens to the core, every waiter hears of it, each with an exception of its own. Nothing hangs.
- A writer belongs to the process and event loop that use it first.

Theory of operation: `write` appends a plain reading to the log of the core; everything else goes through `Admission`,
which waits for room where there is none. `Sender` sends what the core says is due, and settles it. `DeadLetters` hands
rejections to whoever wants them. With a journal, readings are on disk before they are accepted.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import math
import os
import random
import warnings
from collections.abc import Iterable, Sequence
from os import PathLike
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

import anyio
import attrs
from numpy.typing import NDArray

from besmart_async.batching.write.admission import Admission
from besmart_async.batching.write.core.core import WriteCore
from besmart_async.batching.write.dead_letters import DeadLetters, OnReject
from besmart_async.batching.write.sender import Put, Sender, WriterHook
from besmart_async.batching.write.validation import (
    ManyColumns,
    OriginColumn,
    TypeColumn,
    admitted,
    checked_data,
    is_plain,
    removal,
)
from besmart_async.batching.write.waiting import Delivery
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartConfigError, BesmartError, UndeliveredError, WriterTimeoutError
from besmart_async.logs import logger
from besmart_async.models.delivery import DeliveryReport, Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import MAX_MS, MIN_MS, TimeColumn, TimeLike
from besmart_async.models.values import DOUBLE, JsonValue, ValueColumn

if TYPE_CHECKING:
    from besmart_async.batching.journal.admission import JournaledAdmission

_open: WeakSet[Writer] = WeakSet()
"""Writers that were used and not closed."""


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

        Raises:
            BesmartConfigError: `policy` is not a `BatchPolicy`, or a hook is not a plain function of one event.
        """
        if policy is not None and not isinstance(policy, BatchPolicy):
            raise BesmartConfigError(f"policy={policy!r}: give BatchPolicy(...)")
        policy = policy if policy is not None else BatchPolicy()
        self._policy = policy if journal is None else attrs.evolve(policy, delivery_timeout_s=math.inf)
        self._dead_letters = DeadLetters(on_reject, self._policy.max_memory_bytes)
        rng = rng if rng is not None else random.SystemRandom()  # a child process has jitter of its own
        self._core = WriteCore(self._policy, rng.random, journaled=journal is not None)
        self._sender = Sender(put, self._core, self._dead_letters, hooks)
        self._accumulator = self._core.accumulator
        self._append_one = self._accumulator.append_one
        self._new_ref = itertools.count(1).__next__
        self._journaled: JournaledAdmission | None = None
        parts = self._policy, self._core, self._sender
        self._admission = Admission(*parts) if journal is None else self._journaling(*parts, journal)
        self._time = self._sender.time
        self._loop: asyncio.AbstractEventLoop | None = None
        self._said_unclosed = False

    def _journaling(
        self, policy: BatchPolicy, core: WriteCore, sender: Sender, path: str | PathLike[str]
    ) -> JournaledAdmission:
        # Loaded here, since SQLite and the rest of it would take everybody's start 15 ms.
        from besmart_async.batching.journal.admission import JournaledAdmission  # noqa: PLC0415

        journaled = self._journaled = JournaledAdmission(policy, core, sender, path)
        self._dead_letters.told = lambda rejection: journaled.journal.done(rejection.numbers)
        return journaled

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
        at_home = self._sender.thread == get_ident() and self._sender.loop_runs()
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
                if self._accumulator.attention:
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

    async def write_data(self, data: SignalData) -> range:
        """Write columns; as `write`, all or nothing.

        Returns:
            The numbers of these readings: the writer counts readings from 0 as it accepts them. `Rejection.numbers` and
            `BatchAcknowledged.numbers` tell which were refused and which are stored.

        Raises:
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            BesmartError: as `write`.
        """
        data = checked_data(data)
        if self._sender.thread != get_ident() or not self._sender.loop_runs():
            self._home()
        return await self._admission.accept(data)

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
        self._sender.deliveries[ref] = delivery
        try:
            await self._admission.accept(data, ref)
            await delivery.future
        finally:
            del self._sender.deliveries[ref]

    # -- flushing ----------------------------------------------------------------------------------------------------

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
        fed = self._journaled is None or self._sender.closing or await self._journaled.recover(timeout)
        ticket = self._core.flush()
        self._sender.pump()
        if not fed or not await self._flushed(ticket, deadline):
            raise WriterTimeoutError(f"not everything was delivered within {timeout:g} s; it is still on its way")
        report = self.report
        undelivered, dropped = self._dead_letters.take()
        if undelivered or dropped:
            raise UndeliveredError(report, undelivered, dropped=dropped) from self._core.failure
        if self._core.failure is not None:
            raise self._core.failure.clone()
        return report

    async def _flushed(self, ticket: int, deadline: float) -> bool:
        if self._core.flushed(ticket):
            return True
        left = None if deadline == math.inf else max(0.0, deadline - self._time())
        return await self._sender.flushes.wait(ticket, left)

    @property
    def report(self) -> DeliveryReport:
        """The numbers as they stand."""
        report = self._core.report(self._time())
        return attrs.evolve(report, memory_bytes=report.memory_bytes + self._dead_letters.bytes)

    # -- closing -----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Accept nothing more, deliver what was accepted for up to `close_timeout_s`, and give the rest up.

        Any task may do it. Cancelled, it gives the rest up at once. A second time does nothing.

        Raises:
            UndeliveredError: some readings did not arrive (without `on_reject`).
            ExceptionGroup: what `on_reject` raised.
        """
        undelivered = await self._close()
        errors = self._dead_letters.take_errors()
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
        self._sender.tell()

    def resume(self) -> bool:
        """Go on now, if the writer stopped because the service refused everything; else it does so after a pause.

        Readings that were handed back are not sent again.

        Returns:
            Whether it had stopped for that reason.
        """
        return self._sender.resume(at_once=True)

    async def __aenter__(self) -> Self:
        self._home()
        if self._journaled is not None:
            try:
                await self._journaled.open()
            except BaseException:
                self._sender.closing = True
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
        for failed in self._dead_letters.take_errors():
            error.add_note(f"and on_reject failed: {failed!r}")

    def __del__(self) -> None:
        if getattr(self, "_loop", None) is not None and not self._sender.closing and self._sender.pid == os.getpid():
            left = self._log_unclosed()
            told = f"a besmart writer was never closed ({left} readings pending); use 'async with'"
            warnings.warn(told, ResourceWarning, 2, source=self)

    def _log_unclosed(self) -> int:
        """Say what is lost with a writer that nobody closed; return how many readings."""
        _open.discard(self)
        report = self._core.report(0.0)
        if report.pending and self._journaled is None and not self._said_unclosed:
            self._said_unclosed = True
            logger.error(
                "a besmart writer was never closed: %d of %d accepted readings were not delivered and are lost; use "
                "'async with client.writer()', or call aclose()",
                report.pending,
                report.accepted,
            )
        return report.pending

    async def _close(self) -> UndeliveredError | None:
        undelivered: list[Rejection] = []
        journaled = dropped = 0
        with anyio.CancelScope(shield=True):  # a scope that is cancelled must not take the time to deliver away
            try:
                if not await self._sender.close(self._policy.close_timeout_s):
                    return None
                undelivered, dropped = self._dead_letters.take()
            finally:
                _open.discard(self)
                if self._journaled is not None:
                    journaled = await self._journaled.close()
        if not (undelivered or journaled or dropped):
            return None
        return UndeliveredError(self.report, undelivered, journaled, dropped)

    def _home(self, *, closing: bool = False) -> asyncio.AbstractEventLoop:
        loop = self._sender.home(closing=closing)
        if self._loop is None:
            self._loop, self._time = loop, self._sender.time
            _open.add(self)
        return loop


def _log_all_unclosed() -> None:
    for writer in list(_open):
        if writer.report.pending:
            writer._log_unclosed()  # pyright: ignore[reportPrivateUsage]


atexit.register(_log_all_unclosed)
