"""Several processes for one ingest: each reads all files and sends its own meters (see `Partition`)."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import attrs

from besmart_async.client import BesmartClient
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.checkpoint.store import Checkpoint, look_up
from besmart_async.ingest.job import PAGE_TIMEOUT_S, IngestJob
from besmart_async.ingest.mapping.meters import KnownMeters
from besmart_async.ingest.pages import Partition
from besmart_async.ingest.parse.parser import ParseOptions
from besmart_async.ingest.report import (
    IngestReport,
    OnProgress,
    Progress,
    Reject,
    RejectLimit,
    merged_progress,
    merged_report,
    unobserved,
)
from besmart_async.ingest.send.sender import SignalSummary
from besmart_async.ingest.sources import Source, SourceError, file_of
from besmart_async.models.keys import SignalKey

Connect = Callable[[], AbstractAsyncContextManager[BesmartClient]]
"""Opens a client in each process; it must be importable there, such as a function of a module."""

PROGRESS_EVERY_S = 0.1
"""How often a worker reports its progress."""


@attrs.frozen
class WorkerOrder:
    """What one worker does; it is sent to the worker's process.

    Attributes:
        connect: opens the client.
        job: creates the job, given the client, the checkpoint and what to call.
        checkpoint: path and scope of the checkpoint; None to keep none.
        name: the worker's name in messages.
    """

    connect: Connect
    job: partial[IngestJob]
    checkpoint: tuple[Path, str] | None
    name: str


@attrs.frozen
class WorkerResult:
    """How a worker ended."""

    report: IngestReport
    progress: Progress
    largest: SignalSummary | None
    zone: str | None


Message = Progress | Reject | WorkerResult | BesmartError


class WorkerPool:
    """Does what an `IngestJob` does, with several processes. It runs once.

    The readings of a signal are sent in the order of the files, as with one process: each signal belongs to one
    worker. Workers cannot create sensors: meters must be known.

    Args:
        connect: opens a client in each process.
        sources: as for `IngestJob`, like all arguments below; limits hold for all workers together. Each worker reads
            each source.
        workers: the number of processes.
    """

    def __init__(
        self,
        connect: Connect,
        sources: Sequence[Source],
        workers: int,
        *,
        meters: KnownMeters | None = None,
        reading: ParseOptions | None = None,
        signal_type: str | None = None,
        policy: BatchPolicy | None = None,
        verify: bool | Literal["sample"] = False,
        checkpoint: Checkpoint | None = None,
        dry_run: bool = False,
        rate_limit: float | None = None,
        max_rejects: RejectLimit | None = None,
        page_timeout_s: float = PAGE_TIMEOUT_S,
        on_start: Callable[[ResumePoint], object] | None = None,
        on_progress: OnProgress = unobserved,
        on_reject: Callable[[Reject], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        known = meters or KnownMeters()
        self._connect = connect
        self._sources = sources
        self._partitions = [Partition(number, workers, known.table) for number in range(workers)]
        self._checkpoint = checkpoint
        self._max_rejects = max_rejects
        self._on_start = on_start
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._clock = clock
        self._job = partial(
            IngestJob,
            sources=sources,
            meters=known,
            reading=reading,
            signal_type=signal_type,
            policy=policy,
            verify=verify,
            dry_run=dry_run,
            rate_limit=None if rate_limit is None else rate_limit / workers,
            page_timeout_s=page_timeout_s,
        )
        self._team: list[_Worker] = []
        self._failure: Exception | None = None
        self._zones: dict[SignalKey, str | None] = {}
        self._largest: SignalSummary | None = None

    @property
    def largest(self) -> SignalSummary | None:
        """As for `IngestJob`."""
        return self._largest

    def zone(self, key: SignalKey) -> str | None:
        """The time zone of the meter of a worker's largest signal, if its rows or `reading` name one."""
        return self._zones.get(key)

    def stop(self, *, now: bool = False) -> None:
        """End early; as for `IngestJob`."""
        for worker in self._team:
            worker.send("now" if now else "stop")

    async def run(self) -> IngestReport:
        """Run the workers and return one report; as for `IngestJob`. Cancelling ends the processes.

        Raises:
            SourceError: a file cannot be opened or has the wrong header; nothing was sent.
            CheckpointError: the checkpoint cannot be used; nothing was sent.
            BesmartError: no worker could begin.
        """
        resume_points = await asyncio.to_thread(self._begin)
        if self._on_start is not None:
            for point in resume_points:
                self._on_start(point)
        began = self._clock()
        record = None if self._checkpoint is None else (self._checkpoint.path, self._checkpoint.scope)
        jobs = [partial(self._job, resume_points=resume_points, partition=one) for one in self._partitions]
        names = [f"besmart-worker-{one.number}" for one in self._partitions]
        self._team = [
            _Worker(WorkerOrder(self._connect, job, record, name)) for job, name in zip(jobs, names, strict=True)
        ]
        try:
            await asyncio.gather(*(self._follow(worker) for worker in self._team))
        finally:
            await asyncio.to_thread(_end, self._team)
        return self._result(self._clock() - began)

    def _begin(self) -> Sequence[ResumePoint]:
        for source in self._sources:
            if hasattr(source, "path") and file_of(source) is None:
                raise SourceError(source.name, "workers cannot share standard input or a pipe; name a file")
            source.check()
        return look_up(self._checkpoint, self._sources)

    async def _follow(self, worker: _Worker) -> None:
        """Handle the messages of a worker until it ends."""
        async for message in worker.messages():
            if isinstance(message, Progress):
                worker.progress = message
                self._on_progress(self._merged())
                self._check_rejects()
            elif isinstance(message, Reject):
                if self._on_reject is not None:
                    self._on_reject(message)
            elif isinstance(message, WorkerResult):
                worker.result, worker.progress = message, message.progress
                self._on_progress(self._merged())
                if message.report.error is not None:
                    self._fail(message.report.error)
            else:
                self._fail(message)

    def _merged(self) -> Progress:
        return merged_progress([worker.progress for worker in self._team])

    def _check_rejects(self, *, end: bool = False) -> None:
        if self._max_rejects is None or self._failure is not None:
            return
        seen = self._merged()
        try:
            self._max_rejects.check(seen.rejected, seen.rows_read, end=end)
        except BesmartError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
            self.stop()

    def _result(self, seconds: float) -> IngestReport:
        self._check_rejects(end=True)
        results = [worker.result for worker in self._team if worker.result is not None]
        if not results and self._failure is not None:
            raise self._failure
        largest = {one.largest: one.zone for one in results if one.largest is not None}
        self._zones = {summary.key: zone for summary, zone in largest.items()}
        self._largest = max(largest, key=lambda summary: summary.readings, default=None)
        report = merged_report([one.report for one in results], seconds)
        if self._failure is None:
            return report
        return attrs.evolve(report, state="failed", error=self._failure)


class _Worker:
    """A worker's process, seen from its parent."""

    def __init__(self, order: WorkerOrder) -> None:
        self.progress = Progress()
        self.result: WorkerResult | None = None
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=work, args=(theirs, order), name=order.name, daemon=True
        )
        self._process.start()
        theirs.close()

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield its messages until it has ended; a `BesmartError` if the process died."""
        while True:
            try:
                message: Message = await asyncio.to_thread(self._pipe.recv)
            except (EOFError, OSError):
                break
            yield message
        await asyncio.to_thread(self._process.join)
        if self.result is None and self._process.exitcode:
            yield BesmartError(f"{self._process.name} died (exit code {self._process.exitcode}); start it again")

    def send(self, word: str) -> None:
        """Send it "stop" or "now"."""
        with contextlib.suppress(OSError):  # it has ended
            self._pipe.send(word)

    def end(self, timeout_s: float = 10.0) -> None:
        """Make sure that it has ended."""
        if self._process.is_alive():
            self.send("now")
            self._process.join(timeout_s)
            self._process.kill()
        self._process.join()


def _end(team: Sequence[_Worker]) -> None:
    for worker in team:
        worker.end()


def work(pipe: Connection, order: WorkerOrder) -> None:
    """Do the work of one worker, in its process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent gets these signals too, and says what to do
    with contextlib.suppress(BrokenPipeError):  # the parent has died
        try:
            pipe.send(asyncio.run(_work(pipe, order)))
        except BesmartError as error:
            pipe.send(error)


async def _work(pipe: Connection, order: WorkerOrder) -> WorkerResult:
    sent_at = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal sent_at
        if time.monotonic() - sent_at >= PROGRESS_EVERY_S:
            sent_at = time.monotonic()
            send(progress)

    def send(message: Message) -> None:
        with contextlib.suppress(OSError):  # the parent has died, as `_obey` finds out
            pipe.send(message)

    with nullcontext() if order.checkpoint is None else Checkpoint(*order.checkpoint) as checkpoint:
        async with order.connect() as client:
            job = order.job(
                client.signals, client.writer, checkpoint=checkpoint, on_progress=on_progress, on_reject=send
            )
            listener = threading.Thread(target=_obey, args=(pipe, job, asyncio.get_running_loop()), daemon=True)
            listener.start()
            report = await job.run()
            largest = job.largest
            return WorkerResult(report, job.progress, largest, None if largest is None else job.zone(largest.key))


def _obey(pipe: Connection, job: IngestJob, loop: asyncio.AbstractEventLoop) -> None:
    """Stop the job when the parent says so, and at once when the parent has died."""
    while True:
        try:
            now = pipe.recv() == "now"
        except (EOFError, OSError):
            now = True
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(partial(job.stop, now=now))
        if now:
            return
