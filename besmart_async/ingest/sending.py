"""Pages to the writer, and what became of them: stored, refused row by row, or lost with the whole job."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching import (
    BatchAcknowledged,
    BatchRetried,
    BatchSent,
    DeliveryReport,
    LabelsStored,
    Rejection,
    SendingPaused,
    SendingResumed,
    WriterEvent,
)
from besmart_async.batching.verdicts import Verdict, verdict
from besmart_async.config import BatchPolicy
from besmart_async.errors import ApiError, BesmartError, WriterTimeoutError
from besmart_async.ingest.archive import Archive
from besmart_async.ingest.columns import Chunk
from besmart_async.ingest.items import Items
from besmart_async.ingest.ledger import Ledger, Sheet
from besmart_async.ingest.limits import RateLimit
from besmart_async.ingest.recorder import Recorder
from besmart_async.ingest.report import Reject
from besmart_async.ingest.service import OpenWriter
from besmart_async.ingest.starts import Start
from besmart_async.ingest.tally import Tally
from besmart_async.models.series import SignalData

Report = Callable[[Reject, Start], object]


class Sender:
    """Sends items, and books their outcomes.

    Args:
        open_writer: makes the writer.
        policy: its limits and durations; it never gives up waiting for room, though.
        starts: what is known of each source.
        recorder: where rows that are done are noted.
        archive: where readings that were stored are kept; None to keep none.
        rate: bounds the readings a second.
        max_under_way: readings under way at which no more are written.
        on_reject: told of every reading that the service refuses.
        on_failure: told of what must end the job.
        on_change: called when counts have changed.

    Attributes:
        tally: which signals got readings.
        in_doubt: readings of which nobody knows whether they were stored.
        paused: why nothing is sent at present.
        stopped: nothing more is sent; what is lost from now on counts as not sent.
    """

    def __init__(
        self,
        open_writer: OpenWriter,
        policy: BatchPolicy,
        starts: Sequence[Start],
        recorder: Recorder,
        archive: Archive | None,
        rate: RateLimit | None,
        max_under_way: int,
        on_reject: Report,
        on_failure: Callable[[Exception], object],
        on_change: Callable[[], object],
    ) -> None:
        # A service that does not answer ends the job by `delivery_timeout_s`, not by a write that finds no room.
        self._close_timeout_s = policy.close_timeout_s
        self._writer = open_writer(
            attrs.evolve(policy, admission_timeout_s=math.inf), on_reject=self._lost, hooks=[self._noted]
        )
        self._starts = starts
        self._recorder = recorder
        self._archive = archive
        self._rate = rate
        self._on_reject = on_reject
        self._on_failure = on_failure
        self._on_change = on_change
        self._ledger = Ledger(max_under_way)
        self._stored: list[NDArray[np.int64]] = []
        self.tally = Tally()
        self.in_doubt = 0
        self.paused: str | None = None
        self.stopped = False

    @property
    def report(self) -> DeliveryReport:
        """The writer's numbers."""
        return self._writer.report

    async def send(self, source: int, chunk: Chunk, items: Items) -> None:
        """Write the items of a page, waiting while too much is under way.

        Cancelled, the rest of them is not written.
        """
        if not len(items):
            return
        ledger, write = self._ledger, self._writer.write_data
        for data, labels in ledger.add(source, chunk, items).writes:
            if ledger.full:
                await ledger.room()
            ledger.begin(len(labels))
            if self._rate is None:
                await write(data, labels=labels)
            else:
                await self._send_slowly(data, labels, self._rate)

    async def _send_slowly(self, data: SignalData, labels: NDArray[np.int64], rate: RateLimit) -> None:
        for start in range(0, len(labels), rate.at_once):
            part = np.arange(start, min(start + rate.at_once, len(labels)))
            await rate.take(len(part))
            await self._writer.write_data(data.take(part), labels=labels[part])

    async def flush(self) -> None:
        """Wait until everything written has its outcome."""
        await self._writer.flush()

    async def drain(self) -> None:
        """Deliver what was written for as long as closing may take; at once give up on a service that is away."""
        if self._writer.report.state == "open":
            with contextlib.suppress(BesmartError, WriterTimeoutError):  # whoever lost readings has been told
                await self._writer.flush(self._close_timeout_s)

    async def end(self) -> None:
        """Send nothing more, let what is under way have its outcome, and book everything.

        Cancelled, what is under way is given up, and all is booked the same.
        """
        self.stopped = True
        try:
            self._writer.stop(BesmartError("the ingest has ended"))
            await self._writer.aclose()
        finally:
            self._book()
            for sheet in self._ledger.clear():
                self._file(sheet)

    async def abandon(self) -> None:
        """End at once; what is under way is given up."""
        self.stopped = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await self.end()

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def _noted(self, event: WriterEvent) -> None:
        if isinstance(event, LabelsStored):
            if not self._stored:
                asyncio.get_running_loop().call_soon(self._book)  # once for all items of a batch
            self._stored.append(event.labels)
            return
        if isinstance(event, SendingPaused):
            self.paused = str(event.error)
        elif isinstance(event, SendingResumed | BatchAcknowledged):
            self.paused = None
        elif isinstance(event, BatchRetried) and self._locked_out(event.error):
            self._on_failure(event.error)
        if isinstance(event, BatchSent | BatchAcknowledged | BatchRetried | SendingPaused | SendingResumed):
            self._on_change()

    def _locked_out(self, error: BesmartError) -> bool:
        """Whether the writer would wait, for ever, until the service accepts the credentials again."""
        return verdict(error) is Verdict.FORBIDDEN and self._writer.report.state == "paused"

    def _book(self) -> None:
        stored, self._stored = self._stored, []
        for sheet, rows in self._ledger.stored(stored):
            self._recorder.done(self._starts[sheet.source], rows)
        for sheet in self._ledger.let_go():
            self._file(sheet)

    def _file(self, sheet: Sheet) -> None:
        self.tally.add(sheet.items, sheet.arrived)
        if self._archive is not None:
            self._archive.add(sheet.source, sheet.items, sheet.arrived)

    def _lost(self, rejection: Rejection) -> None:
        error = rejection.error
        if rejection.outcome == "in_doubt":
            self.in_doubt += rejection.readings
        if self.stopped or rejection.outcome != "rejected" or not isinstance(error, ApiError):
            self._on_failure(error)  # what was not searched to the end counts as not sent
            return
        reason = f"refused by the service: {error.message or f'status {error.status}'}"
        try:
            self._refuse(rejection, reason)
        except Exception as failed:
            self._on_failure(failed)

    def _refuse(self, rejection: Rejection, reason: str) -> None:
        for sheet, numbers, rows in self._ledger.refused(rejection.refs):
            start = self._starts[sheet.source]
            for number in numbers.tolist():
                item, place = sheet.find(number)
                self._on_reject(sheet.places.recorded(item.reject(place, reason)), start)
            self._recorder.done(start, rows)
        for sheet in self._ledger.let_go():
            self._file(sheet)
