"""What an ingest needs of a client.

Which signals got readings, and how many: what a report needs where the readings themselves are not kept.

What a job is told not to exceed: readings a second, and rejects.

Pages to the writer, and what became of them: stored, refused row by row, or lost with the whole job.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, Self

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
    Writer,
    WriterEvent,
    WriterHook,
)
from besmart_async.batching.verdicts import Verdict, verdict
from besmart_async.batching.write.dead_letters import OnReject
from besmart_async.config import BatchPolicy
from besmart_async.errors import ApiError, BesmartError, WriterTimeoutError
from besmart_async.ingest.checkpoint.committer import Recorder
from besmart_async.ingest.checkpoint.resume import Start
from besmart_async.ingest.mapping.signals import Target
from besmart_async.ingest.report import Reject
from besmart_async.ingest.send.in_flight import Ledger, Sheet
from besmart_async.ingest.send.items import Items
from besmart_async.ingest.sources.columns import Chunk
from besmart_async.ingest.verify.archive import Archive
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType


class SignalService(Protocol):
    """What an ingest needs of the service: `BesmartClient.signals`."""

    async def types(self) -> list[SignalType]:
        """All signal types."""
        ...

    async def read_bulk(self, queries: Sequence[SignalQuery]) -> list[SignalData]:
        """Read several signals: one answer per query, in their order."""
        ...


class OpenWriter(Protocol):
    """Makes the writer of an ingest: `BesmartClient.writer`."""

    def __call__(self, policy: BatchPolicy, *, on_reject: OnReject, hooks: Sequence[WriterHook]) -> Writer:
        """Return a new writer."""
        ...


@attrs.frozen
class SignalTally:
    """What one signal got.

    Attributes:
        key: the signal.
        meter: its meter's name in the files.
        readings: readings that were stored, repeats included.
        first: the earliest, UTC unix milliseconds.
        last: the latest.
    """

    key: SignalKey
    meter: str
    readings: int
    first: float
    last: float


class Tally:
    """What every signal got, by its number."""

    def __init__(self) -> None:
        self._targets: dict[int, Target] = {}
        self._readings = np.empty(0, np.int64)
        self._first = np.empty(0, np.float64)
        self._last = np.empty(0, np.float64)

    @property
    def signals(self) -> int:
        """How many signals got readings."""
        return int(np.count_nonzero(self._readings))

    @property
    def meters(self) -> int:
        """How many meters got readings."""
        keys = [self._targets[number].key for number in np.flatnonzero(self._readings).tolist()]
        return len({(key.client_cid, key.sensor_mid) for key in keys})

    @property
    def largest(self) -> SignalTally | None:
        """The signal that got the most."""
        number = int(self._readings.argmax()) if len(self._readings) else 0
        if not self.signals:
            return None
        target = self._targets[number]
        first, last = float(self._first[number]), float(self._last[number])
        return SignalTally(target.key, target.meter, int(self._readings[number]), first, last)

    def add(self, items: Items, arrived: NDArray[np.bool_]) -> None:
        """Count the readings of a page.

        Args:
            items: what was written of it.
            arrived: which of its readings were stored, shape (all of them,).
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


JUDGED_FROM_ROWS = 1_000
"""A share of rejects is judged once so many rows were read, and at the end."""

_LIMIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")


class TooManyRejectsError(BesmartError):
    """More rows were rejected than the job was told to accept; it has ended."""


@attrs.frozen
class RejectLimit:
    """How many rows may be rejected.

    Attributes:
        most: rows; or percent of the rows read.
        percent: `most` is a percentage.
    """

    most: float
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `100` or `0.5%`.

        Raises:
            ValueError: it is neither.
        """
        found = _LIMIT.fullmatch(text.strip())
        if found is None or (not found[2] and "." in found[1]) or (found[2] and float(found[1]) > 100):
            raise ValueError(f"{text!r} is neither a number of rows, such as 100, nor a share, such as 0.5%")
        return cls(float(found[1]), bool(found[2]))

    def check(self, rejected: int, rows: int, *, end: bool = False) -> None:
        """Judge the rows so far.

        Args:
            rejected: rows rejected.
            rows: rows read.
            end: there are no more.

        Raises:
            TooManyRejectsError: it is exceeded.
        """
        if self.percent:
            exceeded = (end or rows >= JUDGED_FROM_ROWS) and rejected * 100 > self.most * rows
        else:
            exceeded = rejected > self.most
        if exceeded:
            limit = f"{self.most:g}{' %' if self.percent else ''}"
            raise TooManyRejectsError(f"{rejected:,} of {rows:,} rows were rejected, more than the {limit} allowed")


class RateLimit:
    """Lets so many readings a second pass, evenly; what was not used up is saved for a quarter of a second at most.

    Args:
        readings_per_s: how many.
        clock: seconds that only go forward.
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
        """So many readings should be let pass at a time at most, so that they come evenly."""
        return max(1, int(self._per_s * self.SAVED_S))

    async def take(self, readings: int) -> None:
        """Wait until these readings may pass."""
        self._at = max(self._at, self._clock() - self.SAVED_S) + readings / self._per_s
        wait_s = self._at - self._clock()
        if wait_s > 0:
            await self._sleep(wait_s)


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
