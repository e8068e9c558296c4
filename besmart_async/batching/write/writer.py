"""`Writer`: many writes in few calls. The asyncio shell around `core.WriteCore`, which makes all decisions.

Rules:
- The shell keeps time, sends, and wakes waiters; it decides nothing about batches.
- A write that finds room creates no task, future or lock and does not suspend, except that one in some hundred writes
  lets other tasks run. This path compares types by `__class__`, which is fastest.
- Each caller that waits (for room, for an acknowledgement, for a flush) has its own future; cancelling it only detaches
  that caller. What was accepted stays accepted; calls in flight belong to the writer and continue.
- No task group or cancel scope is open across a yield: another task may close a writer than the one that opened it.
- Whatever happens to the core, every waiter gets a result or its own exception. Nothing hangs.
- A writer belongs to the process and event loop that use it first.

Theory of operation: `write` appends a plain reading to the log of the core. Everything else goes through `Admission`,
which waits if there is no room. `Sender` sends what is due, and settles it. `DeadLetters` hands rejections to
`on_reject`, or keeps them until they are raised. With a journal, readings are on disk before they are accepted.
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
    checked_items,
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
        """Create a writer that sends through `put`; nothing happens before the first write.

        Args:
            put: makes one attempt of a bulk write.
            policy: limits and durations.
            journal: a file that keeps accepted readings until their outcome is known, even if the process ends.
            on_reject: called with each `Rejection`, one at a time; may be async. Without it, `flush` or the exit raises
                them, with the data.
            hooks: called with every event; an exception of a hook is logged and has no other effect.
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
        # Imported here: SQLite and the rest would add 15 ms to the start of every program.
        from besmart_async.batching.journal.admission import JournaledAdmission  # noqa: PLC0415

        journaled = self._journaled = JournaledAdmission(policy, core, sender, path)
        self._dead_letters.told = lambda rejection: journaled.journal.told(rejection.numbers)
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

        It waits only while there is no room; if it is cancelled then, nothing was accepted. With a journal it also
        waits for the disk; if it is cancelled then, the readings may be accepted nevertheless.

        Args:
            key: which signal.
            time: UTC unix ms or an aware datetime; or a column of them.
            value: the value; or a column of the same length.
            type: type name of the reading, or of all rows, or one per row.
            origin: origin of the reading, or of all rows, or one per row.
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
        """Write columns, all or nothing. Waits and can be cancelled like `write`.

        Returns:
            The numbers of these readings: the writer numbers readings from 0 in the order of acceptance; with a journal
            the number is the position in the journal. `Rejection.numbers` tells which readings were rejected,
            `BatchAcknowledged.numbers` which are stored.

        Raises:
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            BesmartError: as `write`.
        """
        data = checked_data(data)
        self._home_again()
        return await self._admission.accept(data)

    async def write_many(self, items: Iterable[SignalData]) -> range:
        """Write columns of many signals: all of them are accepted, or none is. For webhooks and messages.

        Waits and can be cancelled like `write`. With a journal all of them are in one commit.

        Args:
            items: the columns. An iterator may make them one by one; an `InvalidInputError` that it raises says which
                item it was.

        Returns:
            The numbers of the readings, as `write_data` returns them.

        Raises:
            InvalidInputError: an item is refused: its `field` is `items[3].value`, say. Nothing was accepted.
            WriterTimeoutError: no room for all of them within `admission_timeout_s`; nothing was accepted.
            BesmartError: as `write`.
        """
        checked = list(checked_items(items))
        self._home()
        return await self._admission.accept_all(checked)

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
        """Write columns of many signals with the same times. Faster than a `write` for each signal.

        Everything is checked before anything is accepted. Then the signals are accepted one by one, waiting for room if
        necessary. If it raises after that, or is cancelled, the first signals were accepted; writing everything again
        does no harm.

        Args:
            keys: the signals.
            time: their times, as for `write`, shape (rows,).
            values: their values, shape (signals, rows); `frame.to_numpy().T` of a frame with a column per signal.
                Do not change them before this returns.
            type: type name of all readings.
            origin: origin of all readings.
            unit: unit symbol, sent only if given.

        Raises:
            InvalidInputError: an argument is refused, such as NaN; nothing was accepted.
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
            time: one time, or a column of times.
            origin: origin of the readings to delete; a reading is identified by signal, time and origin.

        Raises:
            BesmartError: as `write`.
        """
        what = removal(key, time, origin)
        self._home()
        await self._admission.accept(what)

    async def deliver(self, data: SignalData) -> None:
        """Write columns and wait until the service has stored them.

        Cancelling ends only the wait: readings that were accepted are delivered nevertheless.

        Raises:
            UnprocessableError: the service refuses some of them; a note counts those that were delivered.
            BesmartError: they could not be delivered (see its `outcome`), or as `write`.
        """
        data = checked_data(data)
        if not len(data):
            return
        ref, delivery = self._new_ref(), Delivery(len(data), self._home_again().create_future())
        self._sender.deliveries[ref] = delivery
        try:
            if self._journaled is not None:
                await self._journaled.accept(data, ref)
            else:
                self._admission.hand_in(data, ref, delivery)
                if self._accumulator.attention:
                    await self._admission.attend()
            await delivery.future
        except TimeoutError:
            if delivery.in_line:
                raise self._admission.no_room() from None
            raise
        finally:
            del self._sender.deliveries[ref]
            if delivery.in_line:
                self._admission.withdraw(delivery)

    # -- flushing ----------------------------------------------------------------------------------------------------

    async def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Send everything now, and wait until everything accepted so far has its final outcome.

        Cancelling ends only the wait.

        Args:
            timeout: seconds to wait at most; None: no limit.

        Raises:
            WriterTimeoutError: the time is over; the readings will still be delivered.
            UndeliveredError: readings could not be delivered since this was last raised (not with `on_reject`, which
                gets them instead).
            BesmartError: the writer has stopped, or belongs to another process or event loop.
        """
        if self._loop is None:
            self._home()
        loop = self._home(closing=True)
        deadline = None if timeout is None else loop.time() + timeout
        in_time = self._journaled is None or self._sender.closing or await self._journaled.recover(timeout)
        ticket = self._core.flush()
        self._sender.pump()
        if in_time and not self._core.flushed(ticket):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._sender.flushes.join(ticket)
            except TimeoutError:
                in_time = False
        if not in_time:
            raise WriterTimeoutError(f"not everything was delivered within {timeout:g} s; the rest will still be sent")
        report = self.report
        undelivered, dropped = self._dead_letters.take()
        if undelivered or dropped:
            raise UndeliveredError(report, undelivered, dropped=dropped) from self._core.failure
        if self._core.failure is not None:
            raise self._core.failure.clone()
        return report

    @property
    def report(self) -> DeliveryReport:
        """A snapshot of the numbers."""
        report = self._core.report(self._time())
        return attrs.evolve(report, memory_bytes=report.memory_bytes + self._dead_letters.bytes)

    @property
    def is_open(self) -> bool:
        """Whether it was used, and is not closed."""
        return self._loop is not None and not self._sender.closing

    # -- closing -----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Accept nothing more, deliver what was accepted for up to `close_timeout_s`, and give up the rest.

        Any task may call it. A cancelled anyio scope does not stop it; `task.cancel` makes it give up the rest at once.
        A second call does nothing.

        Raises:
            UndeliveredError: some readings did not arrive (without `on_reject`).
            ExceptionGroup: what `on_reject` raised.
        """
        undelivered = await self._close()
        errors = self._dead_letters.take_errors()
        if undelivered is not None:
            for error in errors:
                undelivered.add_note(f"on_reject raised as well: {error!r}")
            raise undelivered from self._core.failure
        if errors:
            raise ExceptionGroup("on_reject raised while the writer continued", errors)

    def stop(self, error: BesmartError) -> None:
        """Send nothing more: what is not in flight is handed back with this error, as if the writer had given up.

        Calls in flight get their outcome; `aclose` waits for them. From now on, writes and flushes raise the error. A
        second call does nothing.

        Raises:
            BesmartError: the writer belongs to another process or event loop.
        """
        self._home(closing=True)
        self._core.stop(error, self._time())
        self._sender.tell()

    def resume(self) -> bool:
        """Continue now, if the writer stopped because the service refused everything.

        Without this call it continues after `BatchPolicy.refusal_window_s`.

        Readings that were handed back are not sent again.

        Returns:
            Whether the writer had stopped for that reason.
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
            error.add_note(f"and on_reject raised: {failed!r}")

    def __del__(self) -> None:
        if getattr(self, "_loop", None) is not None and not self._sender.closing and self._sender.pid == os.getpid():
            left = self._log_unclosed()
            told = f"a besmart writer was never closed ({left} readings pending); use 'async with'"
            warnings.warn(told, ResourceWarning, 2, source=self)

    def _log_unclosed(self) -> int:
        """Log what is lost with a writer that was never closed; return the number of readings."""
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
        with anyio.CancelScope(shield=True):  # a cancelled scope must not interrupt the delivery
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

    def _home_again(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop; whether the writer is open is checked when readings are offered."""
        if self._loop is not None and self._sender.thread == get_ident() and self._sender.loop_runs():
            return self._loop
        return self._home()

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
