"""What a job notes as it goes: how far it is, what was rejected, and why it must end.

The way of a page: to signals, apart from what is done already, and on to the sender.

One ingest from files to report.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.cancellation import unless
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.ingest.checkpoint.committer import Recorder
from besmart_async.ingest.checkpoint.resume import Overlaps, Start, look_up
from besmart_async.ingest.checkpoint.store import Checkpoint
from besmart_async.ingest.mapping.meters import KnownMeters, Meters
from besmart_async.ingest.mapping.signals import Mapper, Resolved, SignalTypes
from besmart_async.ingest.pages import Feed, Pages, Share, Step, fresh
from besmart_async.ingest.parse.parser import Reading
from besmart_async.ingest.rejects import TOLD, recorded
from besmart_async.ingest.report import (
    LISTED_REJECTS,
    IngestReport,
    OnProgress,
    Progress,
    Reject,
    State,
    Verification,
    unobserved,
)
from besmart_async.ingest.send.bundling import Bundler
from besmart_async.ingest.send.in_flight import MAX_READINGS
from besmart_async.ingest.send.items import items_of
from besmart_async.ingest.send.sender import OpenWriter, RateLimit, RejectLimit, Sender, SignalService, SignalTally
from besmart_async.ingest.sources import Source, SourceError
from besmart_async.ingest.verify.archive import Archive
from besmart_async.ingest.verify.readback import verify
from besmart_async.models.keys import SignalKey


class Account:
    """The state of a job.

    Args:
        on_progress: told of every change of `progress`.
        on_reject: told of every reject; None for nobody.
        max_rejects: how many there may be.

    Attributes:
        progress: how far it is.
        rejected_before: rows that earlier runs have rejected.
        failure: what ended the job.
        stop: set when nothing more is to be read.
        abandon: set when nothing is to be waited for either.
    """

    def __init__(
        self, on_progress: OnProgress, on_reject: Callable[[Reject], object] | None, max_rejects: RejectLimit | None
    ) -> None:
        self.progress = Progress()
        self.rejected_before = 0
        self.failure: Exception | None = None
        self.stop = asyncio.Event()
        self.abandon = asyncio.Event()
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._max_rejects = max_rejects
        self._rejects: list[Reject] = []

    def show(self, **changes: Any) -> None:
        """Change the progress, and tell it."""
        self.progress = attrs.evolve(self.progress, **changes)
        self._on_progress(self.progress)

    def count(self, sender: Sender) -> None:
        """Take over the numbers of sending."""
        sent = sender.report
        self.show(
            accepted=sent.delivered,
            in_flight=sent.in_flight,
            requests=sent.requests,
            retries=sent.retries,
            paused=sender.paused,
        )

    def reject(self, reject: Reject) -> None:
        """Note a rejected row."""
        if len(self._rejects) < LISTED_REJECTS:
            self._rejects.append(reject)
        self.show(rejected=self.progress.rejected + 1)
        self.tell(reject)

    def tell(self, reject: Reject) -> None:
        """Tell of a rejected row, without counting it."""
        if self._on_reject is not None:
            self._on_reject(reject)

    def judge(self, *, end: bool = False) -> None:
        """Judge the rejects so far.

        Raises:
            TooManyRejectsError: there are too many.
        """
        if self._max_rejects is not None:
            self._max_rejects.check(self.progress.rejected + self.rejected_before, self.progress.rows_read, end=end)

    def fail(self, error: Exception) -> None:
        """End the sending, unless that has begun already."""
        if self.failure is None and not self.stop.is_set():
            self.failure = error
            self.stop.set()

    def report(
        self,
        state: State,
        files: tuple[str, ...],
        unused_columns: tuple[str, ...],
        seconds: float,
        sender: Sender,
        archive: Archive | None,
        verification: Verification | None,
        *,
        dry: bool,
    ) -> IngestReport:
        """Say what was done."""
        sent, seen = sender.report, self.progress
        counted = None if verification is None or verification.sample else archive
        return IngestReport(
            state="failed" if self.failure is not None else state,
            dry=dry,
            files=files,
            rows_read=seen.rows_read,
            skipped=seen.skipped,
            accepted=sent.delivered,
            distinct=None if counted is None else counted.distinct,
            repeats_equal=None if counted is None else counted.repeats_equal,
            repeats_conflicting=None if counted is None else counted.repeats_conflicting,
            rejected=seen.rejected,
            rejected_before=self.rejected_before,
            in_doubt=sender.in_doubt,
            not_sent=seen.rows_read - seen.skipped - sent.delivered - seen.rejected - sender.in_doubt,
            meters=sender.tally.meters,
            signals=sender.tally.signals,
            requests=sent.requests,
            retries=sent.retries,
            body_bytes=sent.bytes,
            seconds=seconds,
            rejects=tuple(self._rejects),
            unused_columns=unused_columns,
            verification=verification,
            error=self.failure,
        )


class Router:
    """Routes pages, in their order.

    Args:
        mapper: finds the signals.
        sender: sends; None to send nothing.
        recorder: where rows are noted that are done without being sent.
        archive: where readings are kept that earlier runs have sent; None to keep none.
        on_reject: told of rows that are refused here.
        judge: called when those of a page are told, before the page is sent; what it raises ends the job.
        resuming: earlier runs have done some rows.

    Attributes:
        zones: the time zone of each signal's meter, where rows told one.
    """

    def __init__(
        self,
        mapper: Mapper,
        sender: Sender | None,
        recorder: Recorder,
        archive: Archive | None,
        on_reject: Callable[[Reject, Start], object],
        judge: Callable[[], object],
        *,
        resuming: bool,
    ) -> None:
        self._mapper = mapper
        self._sender = sender
        self._recorder = recorder
        self._archive = archive
        self._on_reject = on_reject
        self._judge = judge
        self._overlaps = Overlaps() if resuming else None
        self.zones: dict[SignalKey, str] = {}

    async def route(self, step: Step) -> int:
        """Send a page, waiting while too much is under way; return how many of its rows need not be sent.

        Raises:
            BesmartError: a sensor had to be made and that failed, too much was rejected, or nothing more can be sent.
        """
        readings = step.handed_over()
        if readings is None:
            return step.rows
        resolved, unresolved = await self._mapper.resolve(readings)
        rejects = [*step.rejects, *recorded(fresh(unresolved, step.start), step.chunk)]
        for reject in sorted(rejects, key=lambda reject: reject.row):
            self._on_reject(reject, step.start)
        self._note_zones(resolved)
        resolved = self._fresh(resolved, step)
        skipped = step.rows - len(resolved.readings) - len(rejects)
        if rejects:  # a wide row may hold rejects and readings: it is done with its readings
            rows = np.unique(np.array([reject.row for reject in rejects], np.int64))
            self._recorder.done(step.start, np.setdiff1d(rows, resolved.readings.rows))
        self._judge()
        items = items_of(resolved)
        del readings, resolved
        if self._sender is not None:
            await self._sender.send(step.source, step.chunk, items)
        return skipped

    def _fresh(self, resolved: Resolved, step: Step) -> Resolved:
        """Leave out what an earlier run has sent, except where it must be sent again."""
        if self._overlaps is None:
            return resolved
        rows = resolved.readings.rows
        sent = self._overlaps.widen(resolved, step.start.done.holds(rows))
        if sent.all():
            return resolved
        if self._archive is not None:
            stored = ~sent & ~np.isin(rows, step.start.refused)
            self._archive.add(step.source, items_of(_taken(resolved, stored)))
        return _taken(resolved, sent)

    def _note_zones(self, resolved: Resolved) -> None:
        zone = resolved.readings.zone
        if zone is None:
            return
        places, first = np.unique(resolved.places, return_index=True)
        for place, row in zip(places.tolist(), first.tolist(), strict=True):
            self.zones.setdefault(resolved.targets[place].key, zone.text(row))


def _taken(resolved: Resolved, rows: NDArray[np.bool_]) -> Resolved:
    return Resolved(resolved.readings.take(rows), resolved.targets, resolved.places[rows])


RESUMABLE_READINGS = 20_000
"""Readings in one bulk write where a checkpoint is kept."""
RESUMABLE_UNDER_WAY = 30_000
"""Readings under way where a checkpoint is kept: so many may be sent twice when the process dies.

One call, and half of the next one: that is gathered meanwhile, and is on its way less often when the process dies.
"""


class IngestJob:
    """Reads files and sends their readings in bulk. It runs once.

    Args:
        signals: the service, such as `client.signals`.
        writer: makes the writer that sends, such as `client.writer`.
        sources: what to read, in this order; of readings that come twice the last one holds.
        meters: who knows the sensors of meters; by default a meter's name must be a sensor key, such as `12.122`.
        reading: how times and values are written.
        signal_type: OBIS code, symbol or id of the signal type where neither the row nor the meter tells it.
        policy: limits and durations of the writer; it never gives up waiting for room, though. With a checkpoint, and
            unless given, calls are smaller: what is under way when the process dies is sent twice.
        verify: read back afterwards and compare all that is in the files, what earlier runs have sent included; or a
            sample of it, one in 100 days of each signal.
        checkpoint: where to keep what is done, and to find what earlier runs have done. The caller closes it.
        starts: what the checkpoint knows of each source, where that was looked up already.
        dry_run: do everything but send. What is done is looked up, nothing is recorded.
        rate_limit: readings a second that are handed to the writer at most; repeated requests are not counted.
        max_rejects: end when more rows are rejected.
        share: send the readings of some meters only, since others send the rest.
        on_start: told of each source what the checkpoint knows of it.
        on_progress: told how far it is, often.
        on_reject: told of every rejected row, at once; first of those that earlier runs have rejected.
        clock: seconds that only go forward.
        sleep: waits for seconds; for the rate limit.
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
        verify: bool | Literal["sample"] = False,
        checkpoint: Checkpoint | None = None,
        starts: Sequence[Start] | None = None,
        dry_run: bool = False,
        rate_limit: float | None = None,
        max_rejects: RejectLimit | None = None,
        share: Share | None = None,
        on_start: Callable[[Start], object] | None = None,
        on_progress: OnProgress = unobserved,
        on_reject: Callable[[Reject], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._max_under_way = MAX_READINGS
        if policy is None:
            policy = BatchPolicy()
            if checkpoint is not None and not dry_run:
                policy = BatchPolicy(max_readings=RESUMABLE_READINGS)
                self._max_under_way = RESUMABLE_UNDER_WAY
        self._signals = signals
        self._open_writer = writer
        self._policy = policy
        self._sources = sources
        self._meters = meters or KnownMeters()
        self._reading = reading or Reading()
        self._signal_type = signal_type
        self._verify: bool | Literal["sample"] = verify
        self._checkpoint = checkpoint
        self._starts = starts
        self._dry_run = dry_run
        self._rate = None if rate_limit is None else RateLimit(rate_limit, clock, sleep)
        self._share = share
        self._on_start = on_start
        self._account = Account(on_progress, on_reject, max_rejects)
        self._clock = clock
        self._unused: dict[str, None] = {}
        self._zones: Mapping[SignalKey, str] = {}
        self._largest: SignalTally | None = None

    def stop(self, *, now: bool = False) -> None:
        """End early: nothing more is read, what was read is delivered or recorded as not done, and `run` returns.

        Args:
            now: what is under way is given up. It is sent again by the next run.
        """
        self._account.stop.set()
        if now:
            self._account.abandon.set()

    def zone(self, key: SignalKey) -> str | None:
        """The time zone of a signal's meter, where its rows or `reading` told one."""
        return self._zones.get(key) or self._reading.time_zone

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._account.progress

    @property
    def largest(self) -> SignalTally | None:
        """The signal that got the most readings; None before `run` has sent everything, or if it sent nothing."""
        return self._largest

    async def run(self) -> IngestReport:
        """Do it, and tell what was done.

        A failure on the way ends the run, and the report's `error` tells it. Cancelling abandons requests in flight;
        what was acknowledged is recorded all the same.

        Raises:
            SourceError: a file cannot be opened or has the wrong header; nothing was sent.
            CheckpointError: the checkpoint cannot be used; nothing was sent.
            BesmartError: the signal types could not be read; nothing was sent.
        """
        starts = await self._begin()
        mapper = Mapper(self._meters, SignalTypes(await self._signals.types()), self._signal_type)
        self._tell_earlier_rejects(starts)
        with ExitStack() as stack:
            archive = None
            if self._verify and not self._dry_run:
                archive = stack.enter_context(Archive(sample=self._verify == "sample"))
            recorder = Recorder(None if self._dry_run else self._checkpoint, self._account.fail)

            def on_reject(reject: Reject, start: Start) -> None:
                recorder.reject(start, reject)
                self._account.reject(reject)

            sender = Sender(
                self._open_writer,
                self._policy,
                starts,
                recorder,
                archive,
                self._rate,
                self._max_under_way,
                on_reject=on_reject,
                on_failure=self._account.fail,
                on_change=lambda: self._account.count(sender),
            )
            resuming = any(start.done for start in starts)
            target = None if self._dry_run else sender
            router = Router(mapper, target, recorder, archive, on_reject, self._account.judge, resuming=resuming)
            self._zones = router.zones
            started = self._clock()
            state = await self._send(starts, router, sender, recorder)
            seconds = self._clock() - started
            self._largest = sender.tally.largest
            verification = None
            if archive is not None and state == "completed" and self._account.failure is None:
                verification = await self._read_back(archive)
                state = "completed" if verification is not None else "interrupted"
            files, unused = tuple(source.name for source in self._sources), tuple(self._unused)
            return self._account.report(state, files, unused, seconds, sender, archive, verification, dry=self._dry_run)

    # -- before ------------------------------------------------------------------------------------------------------

    async def _begin(self) -> Sequence[Start]:
        self._account.show(phase="checking")
        self._account.show(bytes_total=await asyncio.to_thread(self._check))
        starts = self._starts
        if starts is None:
            starts = await asyncio.to_thread(look_up, self._checkpoint, self._sources)
        if self._on_start is not None:
            for start in starts:
                self._on_start(start)
        return starts

    def _check(self) -> int | None:
        """Look at the headers; return the bytes of all sources, where that is known."""
        for source in self._sources:
            unused = (title for title in source.check() if title not in TOLD)
            self._unused |= dict.fromkeys(unused)
        sizes = [source.size_bytes for source in self._sources]
        return None if None in sizes else sum(filter(None, sizes))

    def _tell_earlier_rejects(self, starts: Sequence[Start]) -> None:
        if self._share is not None and self._share.number > 0:
            return  # one of the workers is enough
        self._account.rejected_before = sum(start.rejected for start in starts)
        if self._checkpoint is not None:
            for reject in chain.from_iterable(map(self._checkpoint.rejects, starts)):
                self._account.tell(reject)

    # -- sending -----------------------------------------------------------------------------------------------------

    async def _send(self, starts: Sequence[Start], router: Router, sender: Sender, recorder: Recorder) -> State:
        """Send, and settle what was sent, however it ends."""
        state: State = "completed"
        self._account.show(phase="sending")
        try:
            try:
                if not await unless(self._account.stop, self._send_all(starts, router, sender)):
                    state = "interrupted"
            except BesmartError as error:
                self._account.fail(error)
            if state == "interrupted" and self._account.failure is None:
                self._account.show(phase="draining")
                await unless(self._account.abandon, sender.drain())
            await unless(self._account.abandon, sender.end())
        except BaseException:
            await sender.abandon()
            raise
        finally:
            await recorder.aclose()
        self._account.count(sender)
        return state

    async def _send_all(self, starts: Sequence[Start], router: Router, sender: Sender) -> None:
        parsed = bool(self._verify) and not self._dry_run
        pages = Pages(self._sources, starts, self._reading, self._share, all_parsed=parsed)
        try:
            await self._route_all(pages, router)
        except SourceError:
            await sender.flush()  # what could be read is not lost
            raise
        await sender.flush()
        self._account.judge(end=True)

    async def _route_all(self, pages: Pages, router: Router) -> None:
        bundler = Bundler()
        try:
            async with Feed(pages.steps, ahead=0) as feed:
                async for page in feed:
                    await self._route(bundler.take(page), router)
        except SourceError:
            await self._route(bundler.rest(), router)
            raise
        await self._route(bundler.rest(), router)

    async def _route(self, steps: Iterator[Step], router: Router) -> None:
        for step in steps:
            rows_read = self._account.progress.rows_read + step.rows
            self._account.show(file=step.start.file, rows_read=rows_read, bytes_read=step.bytes_read)
            skipped = await router.route(step)
            if skipped:
                self._account.show(skipped=self._account.progress.skipped + skipped)
            self._account.judge()

    # -- after -------------------------------------------------------------------------------------------------------

    async def _read_back(self, archive: Archive) -> Verification | None:
        """Compare everything; None if that was stopped."""
        self._account.show(phase="verifying", to_verify=archive.readings)
        outcome: list[Verification] = []

        async def work() -> None:
            outcome.append(await verify(self._signals.read_bulk, archive.signals(), self._compared))

        try:
            await unless(self._account.stop, work())
        except BesmartError as error:
            self._account.failure = error
        return attrs.evolve(outcome[0], sample=archive.sample) if outcome else None

    def _compared(self, readings: int) -> None:
        self._account.show(verified=self._account.progress.verified + readings)
