"""Delivering what a journal holds: a writer on it, a flush, and when to give up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import attrs

from besmart_async.batching.write.core.events import BatchAcknowledged, BatchRetried, SendingPaused, WriterEvent
from besmart_async.batching.write.dead_letters import OnReject
from besmart_async.batching.write.writer import Writer
from besmart_async.client import BesmartClient
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, UndeliveredError
from besmart_async.models.delivery import DeliveryReport

_LOOK_S = 0.2
"""How often progress is shown."""
_PATIENCE_S = 60.0
"""So long the service may be away before a run without a time limit gives up."""
_CLOSE_S = 5.0
"""So long calls under way may take after giving up."""


@attrs.frozen
class Drained:
    """How it ended.

    Attributes:
        report: the writer's numbers.
        left: readings that stay in the journal.
        error: why some stay; None: nobody gave up.
        interrupted: somebody did (Ctrl-C).
    """

    report: DeliveryReport
    left: int
    error: BesmartError | None
    interrupted: bool


class GaveUpError(BesmartError):
    """The service was away, or the time was over; its cause is what went wrong last."""


class Draining:
    """One run.

    Args:
        client: a client of the service.
        path: the journal.
        timeout_s: gives up after so long; None: when the service has been away for a minute.
        on_reject: called with what is refused; it is not in the journal any more afterwards.
        show: called with the numbers now and then.
    """

    def __init__(
        self,
        client: BesmartClient,
        path: Path,
        timeout_s: float | None,
        on_reject: OnReject,
        show: Callable[[DeliveryReport], object],
    ) -> None:
        self._trouble: BesmartError | None = None
        self._timeout_s = timeout_s
        self._show = show
        self._gave_up: GaveUpError | None = None
        self._interrupted = False
        self._writer = client.writer(
            BatchPolicy(close_timeout_s=_CLOSE_S), journal=path, on_reject=on_reject, hooks=[self._hear]
        )

    def stop(self) -> None:
        """Send nothing more; what is under way is waited for, for a moment."""
        self._interrupted = True
        self._give_up("interrupted")

    def _give_up(self, why: str) -> None:
        if self._gave_up is None:
            self._gave_up = GaveUpError(why)
            self._gave_up.__cause__ = self._trouble
            self._writer.stop(self._gave_up)

    async def run(self) -> Drained:
        """Deliver everything, or give up.

        Raises:
            JournalError: the journal cannot be opened.
        """
        error: BesmartError | None = None
        left = 0
        try:
            async with self._writer:
                error = await self._flushed(self._writer)
        except UndeliveredError as undelivered:
            left = undelivered.journaled
        except GaveUpError:
            raise KeyboardInterrupt from None  # before the journal was open: nothing has happened
        self._show(self._writer.report)
        return Drained(self._writer.report, left, error, self._interrupted)

    async def _flushed(self, writer: Writer) -> BesmartError | None:
        time = asyncio.get_running_loop().time
        flushing = asyncio.ensure_future(writer.flush())
        begun = moved = time()
        delivered = 0
        while not flushing.done() and self._gave_up is None:
            await asyncio.wait([flushing], timeout=_LOOK_S)
            report = writer.report
            self._show(report)
            if report.delivered > delivered or report.state == "open":
                delivered, moved = report.delivered, time()
            if self._timeout_s is not None and time() - begun > self._timeout_s:
                self._give_up(f"not everything was delivered within {self._timeout_s:g} s")
            elif self._timeout_s is None and time() - moved > _PATIENCE_S:
                self._give_up(f"the service has been away for {_PATIENCE_S:g} s")
        if not flushing.done():
            flushing.cancel()  # calls under way are waited for when the writer is closed
        try:
            await flushing
        except BesmartError as error:
            return error
        except asyncio.CancelledError:
            if self._gave_up is None:
                raise
        return self._gave_up

    def _hear(self, event: WriterEvent) -> None:
        if isinstance(event, SendingPaused | BatchRetried):
            self._trouble = event.error
        elif isinstance(event, BatchAcknowledged):
            self._trouble = None
