"""One ingest from files to report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Literal

import attrs

from besmart_async.cancellation import unless
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.ingest.accounts import Account
from besmart_async.ingest.archive import Archive
from besmart_async.ingest.bundling import Bundler
from besmart_async.ingest.checkpoint import Checkpoint
from besmart_async.ingest.feeding import Feed
from besmart_async.ingest.ledger import MAX_READINGS
from besmart_async.ingest.limits import RateLimit, RejectLimit
from besmart_async.ingest.mapping import Mapper, SignalTypes
from besmart_async.ingest.meters import KnownMeters, Meters
from besmart_async.ingest.pages import Pages
from besmart_async.ingest.parsing import Reading
from besmart_async.ingest.progress import OnProgress, Progress, unobserved
from besmart_async.ingest.recorder import Recorder
from besmart_async.ingest.rejected_rows import TOLD
from besmart_async.ingest.report import IngestReport, Reject, State, Verification
from besmart_async.ingest.routing import Router
from besmart_async.ingest.sending import Sender
from besmart_async.ingest.service import OpenWriter, SignalService
from besmart_async.ingest.shares import Share
from besmart_async.ingest.sources import Source, SourceError
from besmart_async.ingest.starts import Start, look_up
from besmart_async.ingest.steps import Step
from besmart_async.ingest.tally import SignalTally
from besmart_async.ingest.verify import verify
from besmart_async.models.keys import SignalKey

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
