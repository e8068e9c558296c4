"""Opening, flushing and closing a writer: everything but what it is for.

`flush` waits for what was accepted before it; closing delivers what it can within a time, gives the rest up, and says
what did not arrive. Both may be called by any task. With a journal, opening it comes first and closing it last.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import random
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from besmart_async.batching.write.admission import Admission
from besmart_async.batching.write.core.core import Coalescer
from besmart_async.batching.write.dead_letters import OnReject, Outbox
from besmart_async.batching.write.sender import Engine, Put, WriterHook
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, UndeliveredError, WriterTimeoutError
from besmart_async.models.delivery import DeliveryReport, Rejection

if TYPE_CHECKING:
    from besmart_async.batching.journal.admission import JournaledAdmission


class Lifetime:
    """What a `Writer` is made of, and its way from first use to its end."""

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
        from besmart_async.batching.journal.admission import JournaledAdmission  # noqa: PLC0415

        self._journaled = JournaledAdmission(policy, core, engine, path, self._new_ref)
        self._outbox.told = self._journaled.journal.told
        return self._journaled

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
