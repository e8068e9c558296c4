"""One ingest from files to report."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Protocol

import attrs
import numpy as np

from besmart_async.batching import BatchAcknowledged, BatchRetried, Rejection, Writer, WriterEvent, WriterHook
from besmart_async.batching.outbox import OnReject
from besmart_async.batching.outcomes import Verdict, verdict
from besmart_async.config import BatchPolicy
from besmart_async.errors import ApiError, BesmartError
from besmart_async.ingest.feeding import Feed
from besmart_async.ingest.items import items_of
from besmart_async.ingest.ledger import Delivered, Ledger
from besmart_async.ingest.mapping import Mapper, Resolved, SignalTypes
from besmart_async.ingest.meters import KnownMeters, Meters
from besmart_async.ingest.parsing import Parser, Reading, Readings
from besmart_async.ingest.progress import OnProgress, Progress, unobserved
from besmart_async.ingest.report import IngestReport, Reject, State, Verification
from besmart_async.ingest.sources import Source, SourceError
from besmart_async.ingest.verify import verify
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType

LISTED_REJECTS = 20
"""Rejects kept in the report; all go to `on_reject`."""


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
class _Step:
    file: str
    bytes_read: int
    rows: int
    readings: Readings
    rejects: list[Reject]


class IngestJob:
    """Reads files and sends their readings in bulk. It runs once.

    Args:
        signals: the service, such as `client.signals`.
        writer: makes the writer that sends, such as `client.writer`.
        sources: what to read, in this order; of readings that come twice the last one holds.
        meters: who knows the sensors of meters; by default a meter's name must be a sensor key, such as `12.122`.
        reading: how times and values are written.
        signal_type: OBIS code, symbol or id of the signal type where neither the row nor the meter tells it.
        policy: limits and durations of the writer; it never gives up waiting for room, though.
        verify: read everything back afterwards and compare.
        on_progress: told how far it is, often.
        on_reject: told of every rejected row, at once.
        clock: seconds that only go forward.

    Attributes:
        delivered: the distinct readings that were delivered, signal by signal; filled when `run` has sent everything.
    """

    def __init__(
        self,
        signals: SignalService,
        writer: OpenWriter,
        sources: Sequence[Source],
        *,
        meters: Meters | None = None,
        reading: Reading | None = None,
        signal_type: str | None = None,
        policy: BatchPolicy | None = None,
        verify: bool = False,
        on_progress: OnProgress = unobserved,
        on_reject: Callable[[Reject], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signals = signals
        self._sources = sources
        self._meters = meters or KnownMeters()
        self._reading = reading or Reading()
        self._signal_type = signal_type
        self._verify = verify
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._clock = clock
        self.delivered: list[Delivered] = []
        self._ledger = Ledger()
        # A service that does not answer ends the job by `delivery_timeout_s`, not by a write that finds no room.
        patient = attrs.evolve(policy or BatchPolicy(), admission_timeout_s=math.inf)
        self._writer = writer(patient, on_reject=self._lost, hooks=[self._noted])
        self._in_doubt = 0
        self._failure: Exception | None = None
        self._stop = asyncio.Event()
        self._progress = Progress()
        self._rejects: list[Reject] = []
        self._unused: dict[str, None] = {}
        self._zones: dict[SignalKey, str] = {}

    def stop(self) -> None:
        """End early: nothing more is read or queued, what is in flight gets its outcome, and `run` returns."""
        self._stop.set()

    def zone(self, key: SignalKey) -> str | None:
        """The time zone of a signal's meter, where its rows or `reading` told one."""
        return self._zones.get(key) or self._reading.time_zone

    async def run(self) -> IngestReport:
        """Do it, and tell what was done.

        A failure on the way ends the run, and the report's `error` tells it. Cancelling abandons requests in flight.

        Raises:
            SourceError: a file cannot be opened or has the wrong header; nothing was sent.
            BesmartError: the signal types could not be read; nothing was sent.
        """
        await asyncio.to_thread(self._check)
        mapper = Mapper(self._meters, SignalTypes(await self._signals.types()), self._signal_type)
        started = self._clock()
        state: State = "completed"
        try:
            if not await self._unless_stopped(self._send_all(mapper)):
                state = "interrupted"
        except BesmartError as error:
            self._failure = self._failure or error
        except BaseException:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await self._writer.aclose()
            raise
        await self._end_sending()
        seconds = self._clock() - started
        verification = None
        if self._verify and state == "completed" and self._failure is None:
            try:
                verification = await self._read_back()
                state = "completed" if verification else "interrupted"
            except BesmartError as error:
                self._failure = error
        return self._report(state, seconds, verification)

    def _check(self) -> None:
        for source in self._sources:
            self._unused |= dict.fromkeys(source.check())
        sizes = [source.size_bytes for source in self._sources]
        total = None if None in sizes else sum(filter(None, sizes))
        self._show(attrs.evolve(self._progress, bytes_total=total))

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> bool:
        """Await `work`, or abandon it when `stop` is called; tell whether it was done."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            done = task.done()
            task.cancel()
            await asyncio.wait({task})
        if done:
            task.result()
        return done

    async def _send_all(self, mapper: Mapper) -> None:
        try:
            async with Feed(self._steps) as feed:
                async for step in feed:
                    await self._send(step, mapper)
        except SourceError:
            await self._writer.flush()  # what could be read is not lost
            raise
        await self._writer.flush()

    async def _end_sending(self) -> None:
        """Let what is under way have its outcome, and drop what is not."""
        self._writer.stop(BesmartError("the ingest has ended"))
        await self._writer.aclose()
        self.delivered = self._ledger.settle(self._writer.report.accepted)

    def _steps(self) -> Generator[_Step, None, None]:
        """Read and parse; runs in the feed's thread."""
        before = 0
        for source in self._sources:
            parser = Parser(self._reading)
            for page in source.pages():
                readings, rejects = parser.parse(page.chunk)
                rejects = [*page.rejects, *rejects]
                rows = len(readings) + len(rejects)  # what is left out as missing or ignored is no reading
                yield _Step(source.name, before + page.position, rows, readings, rejects)
            before += source.size_bytes or 0

    async def _send(self, step: _Step, mapper: Mapper) -> None:
        rows_read = self._progress.rows_read + step.rows
        self._show(attrs.evolve(self._progress, file=step.file, rows_read=rows_read, bytes_read=step.bytes_read))
        resolved, rejects = await mapper.resolve(step.readings)
        for reject in sorted([*step.rejects, *rejects], key=lambda reject: reject.row):
            self._reject(reject)
        self._note_zones(resolved)
        for item in items_of(resolved):
            await self._writer.write_data(item.data, labels=self._ledger.add(item))

    def _note_zones(self, resolved: Resolved) -> None:
        zone = resolved.readings.zone
        if zone is None:
            return
        places, first = np.unique(resolved.places, return_index=True)
        for place, row in zip(places.tolist(), first.tolist(), strict=True):
            self._zones.setdefault(resolved.targets[place].key, zone.text(row))

    def _reject(self, reject: Reject) -> None:
        if len(self._rejects) < LISTED_REJECTS:
            self._rejects.append(reject)
        self._show(attrs.evolve(self._progress, rejected=self._progress.rejected + 1))
        if self._on_reject:
            self._on_reject(reject)

    def _noted(self, event: WriterEvent) -> None:
        if isinstance(event, BatchAcknowledged):
            self._show(attrs.evolve(self._progress, accepted=self._writer.report.delivered))
        elif isinstance(event, BatchRetried) and self._locked_out(event.error):
            self._fail(event.error)

    def _locked_out(self, error: BesmartError) -> bool:
        """Whether the writer would wait, for ever, until the service accepts the credentials again."""
        return verdict(error) is Verdict.FORBIDDEN and self._writer.report.state == "paused"

    def _lost(self, rejection: Rejection) -> None:
        error = rejection.error
        places = self._ledger.lose(rejection.refs)
        if rejection.outcome == "in_doubt":
            self._in_doubt += rejection.readings
        if self._ending or rejection.outcome != "rejected" or not isinstance(error, ApiError):
            self._fail(error)  # what was not searched to the end counts as not sent
            return
        reason = f"refused by the service: {error.message or f'status {error.status}'}"
        try:
            for item, place in places:
                self._reject(item.reject(place, reason))
        except Exception as failed:
            self._fail(failed)

    def _fail(self, error: Exception) -> None:
        """End the sending, unless that has begun already."""
        if not self._ending:
            self._failure = error
            self._stop.set()

    @property
    def _ending(self) -> bool:
        return self._stop.is_set() or self._failure is not None

    def _show(self, progress: Progress) -> None:
        self._progress = progress
        self._on_progress(progress)

    async def _read_back(self) -> Verification | None:
        self._show(attrs.evolve(self._progress, phase="verifying", to_verify=sum(map(len, self.delivered))))
        outcome: list[Verification] = []

        async def work() -> None:
            outcome.append(await verify(self._signals.read_bulk, self.delivered, self._compared))

        await self._unless_stopped(work())
        return outcome[0] if outcome else None

    def _compared(self, readings: int) -> None:
        self._show(attrs.evolve(self._progress, verified=self._progress.verified + readings))

    def _report(self, state: State, seconds: float, verification: Verification | None) -> IngestReport:
        delivered, sent, error = self.delivered, self._writer.report, self._failure
        rejected, rows_read = self._progress.rejected, self._progress.rows_read
        return IngestReport(
            state="failed" if error is not None else state,
            files=tuple(source.name for source in self._sources),
            rows_read=rows_read,
            accepted=sent.delivered,
            distinct=sum(map(len, delivered)),
            repeats_equal=sum(signal.repeats_equal for signal in delivered),
            repeats_conflicting=sum(signal.repeats_conflicting for signal in delivered),
            rejected=rejected,
            in_doubt=self._in_doubt,
            not_sent=rows_read - sent.delivered - rejected - self._in_doubt,
            meters=len({signal.key.sensor for signal in delivered}),
            signals=len(delivered),
            requests=sent.requests,
            body_bytes=sent.bytes,
            seconds=seconds,
            rejects=tuple(self._rejects),
            unused_columns=tuple(self._unused),
            verification=verification,
            error=error,
        )
