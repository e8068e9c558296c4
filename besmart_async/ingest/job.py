"""One ingest from files to report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Literal

import attrs
import numpy as np

from besmart_async.cancellation import unless
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.ingest.checkpoint.committer import Committer
from besmart_async.ingest.checkpoint.resume import ResumePoint, SentSpans
from besmart_async.ingest.checkpoint.store import Checkpoint, look_up
from besmart_async.ingest.mapping.meters import KnownMeters, Meters
from besmart_async.ingest.mapping.signals import Mapper, Resolved, SignalTypes
from besmart_async.ingest.pages import PageReader, ParsedPage, Partition, Prefetch, not_done
from besmart_async.ingest.parse.parser import ParseOptions
from besmart_async.ingest.rejects import RowRecords
from besmart_async.ingest.report import (
    IngestReport,
    ListedRejects,
    OnProgress,
    Progress,
    Reject,
    RejectLimit,
    State,
    Verification,
    unobserved,
)
from besmart_async.ingest.send.bundling import Bundler
from besmart_async.ingest.send.items import items_of
from besmart_async.ingest.send.sender import OpenWriter, PageSender, RateLimit, SignalService, SignalSummary
from besmart_async.ingest.sources import Source, SourceError
from besmart_async.ingest.sources.layout import TOLD
from besmart_async.ingest.verify.archive import Archive
from besmart_async.ingest.verify.readback import verify
from besmart_async.models.keys import SignalKey

PAGE_TIMEOUT_S = 4.0
"""How long pages of a proxy or portal are waited out: such a page stays for minutes or until somebody acts, so that the
next run is a better time to try than a minute later."""


class IngestJob:
    """Reads files and sends their readings in bulk. It runs once.

    Args:
        signals: the service, such as `client.signals`.
        writer: creates the writer, such as `client.writer`.
        sources: what to read, in this order; of repeated readings the last one wins.
        meters: finds the sensors of meters; by default a meter's name must be a sensor key, such as `12.122`.
        reading: how to parse times and values.
        signal_type: OBIS code, symbol or id of the signal type if neither the row nor the meter names one.
        policy: limits and durations of the writer, except that it never gives up waiting for room. What is in flight
            when the process dies is sent again by the next run, which changes nothing.
        verify: read back afterwards and compare everything in the files, including what earlier runs have sent; or
            "sample": one in 100 days of each signal.
        checkpoint: records what is done, and knows what earlier runs have done. The caller closes it.
        resume_points: what earlier runs have done of each source, if that was looked up already.
        dry_run: do everything but send. The checkpoint is read but not written.
        rate_limit: the most readings per second that are passed to the writer; repeated requests are not counted.
        max_rejects: end when more rows are rejected.
        page_timeout_s: end, with what was not sent left for the next run, when a proxy or portal has answered in place
            of the service for so long. Other failures are tried again for `policy.delivery_timeout_s`.
        partition: send the readings of these meters only, because other workers send the rest.
        on_start: called for each source with what earlier runs have done of it.
        on_progress: called often with the progress.
        on_reject: called at once for every rejected row, first for those that earlier runs have rejected.
        clock: monotonic seconds.
        sleep: waits for seconds; for the rate limit.
    """

    def __init__(
        self,
        signals: SignalService,
        writer: OpenWriter,
        sources: Sequence[Source],
        *,
        meters: Meters | None = None,
        reading: ParseOptions | None = None,
        signal_type: str | None = None,
        policy: BatchPolicy | None = None,
        verify: bool | Literal["sample"] = False,
        checkpoint: Checkpoint | None = None,
        resume_points: Sequence[ResumePoint] | None = None,
        dry_run: bool = False,
        rate_limit: float | None = None,
        max_rejects: RejectLimit | None = None,
        page_timeout_s: float = PAGE_TIMEOUT_S,
        partition: Partition | None = None,
        on_start: Callable[[ResumePoint], object] | None = None,
        on_progress: OnProgress = unobserved,
        on_reject: Callable[[Reject], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._policy = policy or BatchPolicy()
        self._signals = signals
        self._open_writer = writer
        self._sources = sources
        self._meters = meters or KnownMeters()
        self._options = reading or ParseOptions()
        self._signal_type = signal_type
        self._verify: bool | Literal["sample"] = verify
        self._checkpoint = checkpoint
        self._resume_points = resume_points
        self._dry_run = dry_run
        self._rate = None if rate_limit is None else RateLimit(rate_limit, clock, sleep)
        self._page_timeout_s = page_timeout_s
        self._partition = partition
        self._on_start = on_start
        self._state = JobState(on_progress, on_reject, max_rejects)
        self._clock = clock
        self._unused: dict[str, None] = {}
        self._zones: Mapping[SignalKey, str] = {}
        self._largest: SignalSummary | None = None

    def stop(self, *, now: bool = False) -> None:
        """End early: nothing more is read, what was read is delivered or left for the next run, and `run` returns.

        Args:
            now: give up what is under way; the next run sends it again.
        """
        self._state.stop.set()
        if now:
            self._state.abandon.set()

    def zone(self, key: SignalKey) -> str | None:
        """The time zone of a signal's meter, if its rows or `reading` name one."""
        return self._zones.get(key) or self._options.time_zone

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        return self._state.progress

    @property
    def largest(self) -> SignalSummary | None:
        """The signal that got the most readings; None before `run` has sent everything, or if it sent nothing."""
        return self._largest

    async def run(self) -> IngestReport:
        """Run the job and return its report.

        A failure on the way ends the run and is the report's `error`. If this is cancelled, requests in flight are
        abandoned; what was acknowledged is recorded all the same.

        Raises:
            SourceError: a file cannot be opened or has the wrong header; nothing was sent.
            CheckpointError: the checkpoint cannot be used; nothing was sent.
            BesmartError: the signal types could not be read; nothing was sent.
        """
        resume_points = await self._begin()
        mapper = Mapper(self._meters, SignalTypes(await self._signals.types()), self._signal_type)
        self._report_earlier_rejects(resume_points)
        with ExitStack() as stack:
            archive = None
            if self._verify and not self._dry_run:
                archive = stack.enter_context(Archive(sample=self._verify == "sample"))
            committer = Committer(None if self._dry_run else self._checkpoint, self._state.fail)
            sender = self._sender(resume_points, committer, archive)
            target = None if self._dry_run else sender
            resuming = any(point.done for point in resume_points)
            router = Router(mapper, target, committer, archive, self._state, resuming=resuming)
            self._zones = router.zones
            started = self._clock()
            state = await self._send(resume_points, router, sender, committer)
            seconds = self._clock() - started
            self._largest = sender.counts.largest
            verification = None
            if archive is not None and state == "completed" and self._state.failure is None:
                verification = await self._read_back(archive)
                state = "completed" if verification is not None else "interrupted"
            report = self._state.report(state, seconds, sender, archive, verification)
            files = tuple(source.name for source in self._sources)
            return attrs.evolve(report, dry=self._dry_run, files=files, unused_columns=tuple(self._unused))

    # -- before ------------------------------------------------------------------------------------------------------

    async def _begin(self) -> Sequence[ResumePoint]:
        self._state.update(phase="checking")
        self._state.update(bytes_total=await asyncio.to_thread(self._check))
        found = self._resume_points
        if found is None:
            found = await asyncio.to_thread(look_up, self._checkpoint, self._sources)
        if self._on_start is not None:
            for point in found:
                self._on_start(point)
        return found

    def _check(self) -> int | None:
        """Check the headers; return the bytes of all sources, or None if unknown."""
        for source in self._sources:
            unused = (title for title in source.check() if title not in TOLD)
            self._unused |= dict.fromkeys(unused)
        sizes = [source.size_bytes for source in self._sources]
        return None if None in sizes else sum(filter(None, sizes))

    def _report_earlier_rejects(self, resume_points: Sequence[ResumePoint]) -> None:
        if self._partition is not None and self._partition.number > 0:
            return  # one of the workers is enough
        self._state.rejected_before = sum(point.rejected for point in resume_points)
        if self._checkpoint is not None:
            for reject in chain.from_iterable(map(self._checkpoint.rejects, resume_points)):
                self._state.report_reject(reject)

    def _sender(
        self, resume_points: Sequence[ResumePoint], committer: Committer, archive: Archive | None
    ) -> PageSender:
        sender = PageSender(
            self._open_writer,
            self._policy,
            resume_points,
            committer,
            self._rate,
            on_reject=self._state.reject,
            on_settled=None if archive is None else archive.add,
            on_failure=self._state.fail,
            on_change=lambda: self._state.count_sent(sender),
            page_timeout_s=self._page_timeout_s,
        )
        return sender

    # -- sending -----------------------------------------------------------------------------------------------------

    async def _send(
        self, resume_points: Sequence[ResumePoint], router: Router, sender: PageSender, committer: Committer
    ) -> State:
        """Send everything, and record the outcome however sending ends."""
        state: State = "completed"
        self._state.update(phase="sending")
        try:
            try:
                if not await unless(self._state.stop, self._send_all(resume_points, router, sender)):
                    state = "interrupted"
            except BesmartError as error:
                self._state.fail(error)
            if state == "interrupted" and self._state.failure is None:
                self._state.update(phase="draining")
                await unless(self._state.abandon, sender.drain())
            await unless(self._state.abandon, sender.end())
        except BaseException:
            await sender.abandon()
            raise
        finally:
            await committer.aclose()
        self._state.count_sent(sender)
        return state

    async def _send_all(self, resume_points: Sequence[ResumePoint], router: Router, sender: PageSender) -> None:
        all_parsed = bool(self._verify) and not self._dry_run
        reader = PageReader(self._sources, resume_points, self._options, self._partition, all_parsed=all_parsed)
        try:
            await self._route_all(reader, router)
        except SourceError:
            await sender.flush()  # what was read before the error is not lost
            raise
        await sender.flush()
        self._state.check_rejects(end=True)

    async def _route_all(self, reader: PageReader, router: Router) -> None:
        bundler = Bundler()
        try:
            async with Prefetch(reader.pages, ahead=0) as pages:
                async for page in pages:
                    await self._route(bundler.take(page), router)
        except SourceError:
            await self._route(bundler.rest(), router)
            raise
        await self._route(bundler.rest(), router)

    async def _route(self, pages: Iterator[ParsedPage], router: Router) -> None:
        for page in pages:
            rows_read = self._state.progress.rows_read + page.rows
            self._state.update(file=page.resume.file, rows_read=rows_read, bytes_read=page.bytes_read)
            skipped = await router.route(page)
            if skipped:
                self._state.update(skipped=self._state.progress.skipped + skipped)
            self._state.check_rejects()

    # -- after -------------------------------------------------------------------------------------------------------

    async def _read_back(self, archive: Archive) -> Verification | None:
        """Compare everything; None if that was stopped."""
        self._state.update(phase="verifying", to_verify=archive.readings)
        outcome: list[Verification] = []

        async def work() -> None:
            outcome.append(await verify(self._signals.read_bulk, archive.signals(), self._compared))

        try:
            await unless(self._state.stop, work())
        except BesmartError as error:
            self._state.failure = error
        return attrs.evolve(outcome[0], sample=archive.sample) if outcome else None

    def _compared(self, readings: int) -> None:
        self._state.update(verified=self._state.progress.verified + readings)


class JobState:
    """The state of a job: its progress, its rejects, and whether it must end.

    Args:
        on_progress: called with every change of `progress`.
        on_reject: called with every reject; None for no call.
        max_rejects: the limit of rejected rows.

    Attributes:
        progress: how far the job is.
        rejected_before: rows that earlier runs have rejected.
        failure: what ended the job.
        stop: set when nothing more is to be read.
        abandon: set when what is under way is to be given up as well.
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
        self._rejects = ListedRejects()

    def update(self, **changes: Any) -> None:
        """Change the progress and report it."""
        self.progress = attrs.evolve(self.progress, **changes)
        self._on_progress(self.progress)

    def count_sent(self, sender: PageSender) -> None:
        """Update the progress with the sender's numbers."""
        sent = sender.report
        self.update(
            accepted=sent.delivered,
            in_flight=sent.in_flight,
            requests=sent.requests,
            retries=sent.retries,
            paused=sender.paused,
        )

    def reject(self, reject: Reject) -> None:
        """Count a rejected row and report it."""
        self._rejects.add(reject)
        self.update(rejected=self.progress.rejected + 1)
        self.report_reject(reject)

    def report_reject(self, reject: Reject) -> None:
        """Report a rejected row without counting it."""
        if self._on_reject is not None:
            self._on_reject(reject)

    def check_rejects(self, *, end: bool = False) -> None:
        """Check the rejects so far against the limit.

        Raises:
            TooManyRejectsError: there are too many.
        """
        if self._max_rejects is not None:
            self._max_rejects.check(self.progress.rejected + self.rejected_before, self.progress.rows_read, end=end)

    def fail(self, error: Exception) -> None:
        """End the sending, unless it is ending already."""
        if self.failure is None and not self.stop.is_set():
            self.failure = error
            self.stop.set()

    def report(
        self,
        state: State,
        seconds: float,
        sender: PageSender,
        archive: Archive | None,
        verification: Verification | None,
    ) -> IngestReport:
        """Return the report of a job that has ended."""
        sent, seen = sender.report, self.progress
        counted = None if verification is None or verification.sample else archive
        return IngestReport(
            state="failed" if self.failure is not None else state,
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
            meters=sender.counts.meters,
            signals=sender.counts.signals,
            requests=sent.requests,
            retries=sent.retries,
            body_bytes=sent.bytes,
            seconds=seconds,
            rejects=self._rejects.all,
            verification=verification,
            error=self.failure,
        )


class Router:
    """Maps pages to signals, leaves out what is done, and passes the rest to the sender.

    Args:
        mapper: finds the signals.
        sender: sends; None to send nothing.
        committer: records rows that are done without being sent.
        archive: keeps readings that earlier runs have sent; None to keep none.
        state: counts rejects, and ends the job before the page is sent that has too many of them.
        resuming: earlier runs have done some rows.

    Attributes:
        zones: the time zone of each signal's meter, if rows name one.
    """

    def __init__(
        self,
        mapper: Mapper,
        sender: PageSender | None,
        committer: Committer,
        archive: Archive | None,
        state: JobState,
        *,
        resuming: bool,
    ) -> None:
        self._mapper = mapper
        self._sender = sender
        self._committer = committer
        self._archive = archive
        self._state = state
        self._sent = SentSpans() if resuming else None
        self.zones: dict[SignalKey, str] = {}

    async def route(self, page: ParsedPage) -> int:
        """Send a page, waiting while too much is under way; return the number of its rows that need not be sent.

        Raises:
            BesmartError: creating a sensor failed, too many rows were rejected, or nothing more can be sent.
        """
        readings = page.release_readings()
        if readings is None:
            return page.rows
        resolved, unresolved = await self._mapper.resolve(readings)
        rejects = [*page.rejects]
        if unresolved:
            rejects += map(RowRecords(page.chunk).add_to, not_done(unresolved, page.resume))
        for reject in sorted(rejects, key=lambda reject: reject.row):
            self._committer.reject(page.resume, reject)
            self._state.reject(reject)
        self._note_zones(resolved)
        resolved = self._not_sent_before(resolved, page)
        skipped = page.rows - len(resolved.readings) - len(rejects)
        if rejects:  # a wide row may have both rejects and readings: it is done when its readings are
            rows = np.unique(np.array([reject.row for reject in rejects], np.int64))
            self._committer.done(page.resume, np.setdiff1d(rows, resolved.readings.rows))
        self._state.check_rejects()
        items = items_of(resolved)
        del readings, resolved
        if self._sender is not None:
            await self._sender.send(page.source, page.chunk, items)
        return skipped

    def _not_sent_before(self, resolved: Resolved, page: ParsedPage) -> Resolved:
        """Leave out what an earlier run has sent, unless it must be sent again."""
        if self._sent is None:
            return resolved
        rows = resolved.readings.rows
        needed = self._sent.widen(resolved, page.resume.done.holds(rows))
        if needed.all():
            return resolved
        if self._archive is not None:
            stored = ~needed & ~np.isin(rows, page.resume.refused)
            self._archive.add(page.source, items_of(resolved.take(stored)))
        return resolved.take(needed)

    def _note_zones(self, resolved: Resolved) -> None:
        zone = resolved.readings.zone
        if zone is None:
            return
        targets, first = np.unique(resolved.target, return_index=True)
        for target, row in zip(targets.tolist(), first.tolist(), strict=True):
            self.zones.setdefault(resolved.targets[target].key, zone.text(row))
