"""Pages to the writer, and the outcome of each reading: stored, refused, or lost with the whole job."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching import (
    BatchAcknowledged,
    BatchRetried,
    BatchSent,
    DeliveryReport,
    Rejection,
    SendingPaused,
    SendingResumed,
    Writer,
    WriterEvent,
    WriterHook,
)
from besmart_async.batching.verdicts import Verdict, is_page, verdict
from besmart_async.batching.write.dead_letters import OnReject
from besmart_async.config import BatchPolicy
from besmart_async.errors import ApiError, BesmartError, WriterTimeoutError
from besmart_async.ingest.checkpoint.committer import Committer
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.mapping.signals import Target
from besmart_async.ingest.report import Reject
from besmart_async.ingest.send.in_flight import InFlight, InFlightPage
from besmart_async.ingest.send.items import Items
from besmart_async.ingest.sources.columns import Chunk
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType

OnSettled = Callable[[int, Items, NDArray[np.bool_]], object]
"""Called with the source, the items of a page, and which of their readings were stored."""


class SignalService(Protocol):
    """What an ingest needs of the service: `BesmartClient.signals`."""

    async def types(self) -> list[SignalType]:
        """All signal types."""
        ...

    async def read_bulk(self, queries: Sequence[SignalQuery]) -> list[SignalData]:
        """Read several signals: one answer per query, in order."""
        ...


class OpenWriter(Protocol):
    """Creates the writer of an ingest: `BesmartClient.writer`."""

    def __call__(self, policy: BatchPolicy, *, on_reject: OnReject, hooks: Sequence[WriterHook]) -> Writer:
        """Return a new writer."""
        ...


@attrs.frozen
class SignalSummary:
    """The readings that one signal got.

    Attributes:
        key: the signal.
        meter: its meter's name in the files.
        readings: readings that were stored, repeats included.
        first: time of the earliest, UTC unix milliseconds.
        last: time of the latest.
    """

    key: SignalKey
    meter: str
    readings: int
    first: float
    last: float


SignalTally = SignalSummary
"""The former name of `SignalSummary`."""


class SignalCounts:
    """Counts the readings that each signal got, by its number."""

    def __init__(self) -> None:
        self._targets: dict[int, Target] = {}
        self._readings = np.empty(0, np.int64)
        self._first = np.empty(0, np.float64)
        self._last = np.empty(0, np.float64)

    @property
    def signals(self) -> int:
        """The number of signals that got readings."""
        return int(np.count_nonzero(self._readings))

    @property
    def meters(self) -> int:
        """The number of meters that got readings."""
        keys = [self._targets[number].key for number in np.flatnonzero(self._readings).tolist()]
        return len({(key.client_cid, key.sensor_mid) for key in keys})

    @property
    def largest(self) -> SignalSummary | None:
        """The signal that got the most readings."""
        number = int(self._readings.argmax()) if len(self._readings) else 0
        if not self.signals:
            return None
        target = self._targets[number]
        first, last = float(self._first[number]), float(self._last[number])
        return SignalSummary(target.key, target.meter, int(self._readings[number]), first, last)

    def add(self, items: Items, arrived: NDArray[np.bool_]) -> None:
        """Count the readings of a page.

        Args:
            items: what was written.
            arrived: which of the readings were stored, shape (n,).
        """
        for target in items.targets:
            self._targets.setdefault(target.number, target)
        signals, counts, time = items.signals, items.sizes, items.time
        if not arrived.all():
            counts = np.add.reduceat(arrived.astype(np.int64), items.starts)
            signals, counts, time = signals[counts > 0], counts[counts > 0], time[arrived]
        if not len(time):
            return
        self._grow(int(signals.max()) + 1)
        starts = np.cumsum(counts) - counts
        np.add.at(self._readings, signals, counts)
        np.minimum.at(self._first, signals, np.minimum.reduceat(time, starts))
        np.maximum.at(self._last, signals, np.maximum.reduceat(time, starts))

    def _grow(self, signals: int) -> None:
        missing = signals - len(self._readings)
        if missing > 0:
            self._readings = np.append(self._readings, np.zeros(missing, np.int64))
            self._first = np.append(self._first, np.full(missing, np.inf))
            self._last = np.append(self._last, np.full(missing, -np.inf))


class RateLimit:
    """Lets a number of readings per second pass, evenly; at most a quarter of a second of unused time is saved.

    Args:
        readings_per_s: the rate.
        clock: monotonic seconds.
        sleep: waits for seconds.
    """

    SAVED_S = 0.25

    def __init__(
        self, readings_per_s: float, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._per_s = readings_per_s
        self._clock = clock
        self._sleep = sleep
        self._at = clock()

    @property
    def at_once(self) -> int:
        """The most readings to pass at a time, so that they are spread evenly."""
        return max(1, int(self._per_s * self.SAVED_S))

    async def take(self, readings: int) -> None:
        """Wait until these readings may pass."""
        self._at = max(self._at, self._clock() - self.SAVED_S) + readings / self._per_s
        wait_s = self._at - self._clock()
        if wait_s > 0:
            await self._sleep(wait_s)


class PageSender:
    """Writes pages, and records the outcome of their readings.

    Args:
        open_writer: creates the writer.
        policy: its limits and durations; its admission timeout is not used.
        resume_points: what earlier runs have done of each source.
        committer: records rows that are done, and rejects.
        rate: bounds the readings per second.
        on_reject: called for every reading that the service refuses.
        on_settled: called for every page that has its outcome.
        on_failure: called with an error that must end the job.
        on_change: called when counts have changed.
        page_timeout_s: how long pages of a proxy or portal may come instead of the service's answers, before that is a
            failure. What they answered stays not sent.

    Attributes:
        counts: the readings that each signal got.
        in_doubt: readings that the service may have stored.
        paused: why sending is paused; None if it is not.
        stopped: nothing more is sent; what is lost from now on counts as not sent.
    """

    def __init__(
        self,
        open_writer: OpenWriter,
        policy: BatchPolicy,
        resume_points: Sequence[ResumePoint],
        committer: Committer,
        rate: RateLimit | None,
        on_reject: Callable[[Reject], object],
        on_settled: OnSettled | None,
        on_failure: Callable[[Exception], object],
        on_change: Callable[[], object],
        page_timeout_s: float = math.inf,
    ) -> None:
        # If the service does not answer, `delivery_timeout_s` ends the job, not a write that waits for room.
        self._close_timeout_s = policy.close_timeout_s
        self._writer = open_writer(
            attrs.evolve(policy, admission_timeout_s=math.inf), on_reject=self._handle_rejection, hooks=[self._handle]
        )
        self._resume_points = resume_points
        self._committer = committer
        self._rate = rate
        self._on_reject = on_reject
        self._on_settled = on_settled
        self._on_failure = on_failure
        self._on_change = on_change
        self._page_timeout_s = page_timeout_s
        self._page_timer: asyncio.TimerHandle | None = None
        self._pages_due = False
        self._in_flight = InFlight()
        self._stored: list[tuple[int, int]] = []
        self.counts = SignalCounts()
        self.in_doubt = 0
        self.paused: str | None = None
        self.stopped = False

    @property
    def report(self) -> DeliveryReport:
        """The writer's report."""
        return self._writer.report

    async def send(self, source: int, chunk: Chunk, items: Items) -> None:
        """Write the items of a page, waiting while too much is under way.

        If this is cancelled, the remaining items are not written.
        """
        if not len(items):
            return
        in_flight = self._in_flight
        number = in_flight.add(source, chunk, items).first
        for data in items:
            if in_flight.full:
                await in_flight.wait_for_room()
            in_flight.start(len(data))
            if self._rate is None:
                await self._write(data, number)
            else:
                await self._write_slowly(data, number, self._rate)
            number += len(data)

    async def _write_slowly(self, data: SignalData, number: int, rate: RateLimit) -> None:
        for start in range(0, len(data), rate.at_once):
            part = data.take(slice(start, start + rate.at_once))
            await rate.take(len(part))
            await self._write(part, number + start)

    async def _write(self, data: SignalData, number: int) -> None:
        numbers = await self._writer.write_data(data)
        if numbers.start != number:  # outcomes would be recorded for other rows
            raise BesmartError(
                f"somebody else writes to the writer of this ingest: number {numbers.start}, not {number}"
            )

    async def flush(self) -> None:
        """Wait until everything written has its outcome."""
        await self._writer.flush()

    async def drain(self) -> None:
        """Deliver what was written for up to `close_timeout_s`; give up at once if the service is away."""
        if self._writer.report.state == "open":
            with contextlib.suppress(BesmartError, WriterTimeoutError):  # `on_reject` has reported what was lost
                await self._writer.flush(self._close_timeout_s)

    async def end(self) -> None:
        """Send nothing more, wait for the outcome of what is under way, and record everything.

        If this is cancelled, what is under way is given up, and everything is recorded all the same.
        """
        self.stopped = True
        self._forget_pages()
        try:
            self._writer.stop(BesmartError("the ingest has ended"))
            await self._writer.aclose()
        finally:
            self._record_stored()
            self._settle(self._in_flight.take_all())

    async def abandon(self) -> None:
        """End at once, giving up what is under way."""
        self.stopped = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await self.end()

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def _handle(self, event: WriterEvent) -> None:
        if isinstance(event, BatchAcknowledged):
            if not self._stored:
                asyncio.get_running_loop().call_soon(self._record_stored)  # once for the parts of a batch
            self._stored += event.numbers
        if isinstance(event, BatchAcknowledged | BatchRetried):
            self._note_pages(event.error if isinstance(event, BatchRetried) else None)
        if isinstance(event, SendingPaused):
            self.paused = str(event.error)
        elif isinstance(event, SendingResumed | BatchAcknowledged):
            self.paused = None
        elif isinstance(event, BatchRetried) and self._is_locked_out(event.error):
            self._on_failure(event.error)
        if isinstance(event, BatchSent | BatchAcknowledged | BatchRetried | SendingPaused | SendingResumed):
            self._on_change()

    def _note_pages(self, error: BesmartError | None) -> None:
        """Fail when nothing but pages has come for `page_timeout_s`: they change less often than a service restarts.

        Unless the writer has paused by then, because so many of its calls met a page, one more call must meet one.
        """
        if error is None or not is_page(error):
            self._forget_pages()
        elif self._page_timer is None:
            if self._page_timeout_s < math.inf:
                self._page_timer = asyncio.get_running_loop().call_later(
                    self._page_timeout_s, self._page_overdue, error
                )
        elif self._pages_due:
            self._on_failure(error)

    def _page_overdue(self, error: BesmartError) -> None:
        self._pages_due = True
        if self.paused is not None:
            self._on_failure(error)

    def _forget_pages(self) -> None:
        if self._page_timer is not None:
            self._page_timer.cancel()
            self._page_timer, self._pages_due = None, False

    def _is_locked_out(self, error: BesmartError) -> bool:
        """Whether the writer would wait forever for the service to accept the credentials again."""
        return verdict(error) is Verdict.FORBIDDEN and self._writer.report.state == "paused"

    def _record_stored(self) -> None:
        stored, self._stored = self._stored, []
        for page, rows in self._in_flight.stored(stored):
            self._committer.done(self._resume_points[page.source], rows)
        self._settle(self._in_flight.take_finished())

    def _settle(self, pages: Sequence[InFlightPage]) -> None:
        for page in pages:
            self.counts.add(page.items, page.arrived)
            if self._on_settled is not None:
                self._on_settled(page.source, page.items, page.arrived)

    def _handle_rejection(self, rejection: Rejection) -> None:
        error = rejection.error
        if rejection.outcome == "in_doubt":
            self.in_doubt += rejection.readings
        if self.stopped or rejection.outcome != "rejected" or not isinstance(error, ApiError):
            self._on_failure(error)  # if the search for refused readings did not finish, they count as not sent
            return
        reason = f"refused by the service: {error.message or f'status {error.status}'}"
        try:
            self._refuse(rejection, reason)
        except Exception as failed:
            self._on_failure(failed)

    def _refuse(self, rejection: Rejection, reason: str) -> None:
        for page, numbers, rows in self._in_flight.refused(rejection.numbers):
            resume = self._resume_points[page.source]
            for number in numbers.tolist():
                item, index = page.find(number)
                reject = page.records.add_to(item.reject(index, reason))
                self._committer.reject(resume, reject)
                self._on_reject(reject)
            self._committer.done(resume, rows)
        self._settle(self._in_flight.take_finished())
