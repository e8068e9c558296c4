"""What runs in the process of a worker: an `IngestJob` of its own, which tells its parent what happens.

Several processes for one ingest: each reads all files and sends its own meters (see `shares`).
"""

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
from besmart_async.ingest.checkpoint.resume import Start, look_up
from besmart_async.ingest.checkpoint.store import Checkpoint
from besmart_async.ingest.job import IngestJob
from besmart_async.ingest.mapping.meters import KnownMeters
from besmart_async.ingest.pages import Share
from besmart_async.ingest.parse.parser import Reading
from besmart_async.ingest.report import IngestReport, OnProgress, Progress, Reject, added, merged, unobserved
from besmart_async.ingest.send.sender import RejectLimit, SignalTally
from besmart_async.ingest.sources import Source
from besmart_async.models.keys import SignalKey

Connect = Callable[[], AbstractAsyncContextManager[BesmartClient]]
"""Opens a client in each process; it must be importable there, such as a function of a module."""

TELL_EVERY_S = 0.1


@attrs.frozen(kw_only=True)
class WorkerOrder:
    """What one worker does; it goes to the worker's process."""

    connect: Connect
    sources: Sequence[Source]
    share: Share
    starts: Sequence[Start]
    meters: KnownMeters
    reading: Reading
    signal_type: str | None
    policy: BatchPolicy | None
    verify: bool | Literal["sample"]
    checkpoint: Path | None
    scope: str
    dry_run: bool
    rate_limit: float | None


@attrs.frozen
class Ended:
    """How a worker ended."""

    report: IngestReport
    progress: Progress
    largest: SignalTally | None
    zone: str | None


Message = Progress | Reject | Ended | BesmartError


def work(pipe: Connection, order: WorkerOrder) -> None:
    """Do what a worker does, in its process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent hears it as well, and tells what to do
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        try:
            pipe.send(asyncio.run(_work(pipe, order)))
        except BesmartError as error:
            pipe.send(error)


async def _work(pipe: Connection, order: WorkerOrder) -> Ended:
    record = nullcontext() if order.checkpoint is None else Checkpoint(order.checkpoint, order.scope)
    with record as checkpoint:
        async with order.connect() as client:
            told_at = 0.0

            def tell(step: Progress) -> None:
                nonlocal told_at
                if time.monotonic() - told_at >= TELL_EVERY_S:
                    told_at = time.monotonic()
                    send(step)

            def send(message: Message) -> None:
                with contextlib.suppress(OSError):  # the parent is gone, as `_obey` finds out
                    pipe.send(message)

            job = IngestJob(
                client.signals,
                client.writer,
                order.sources,
                meters=order.meters,
                reading=order.reading,
                signal_type=order.signal_type,
                policy=order.policy,
                verify=order.verify,
                checkpoint=checkpoint,
                starts=order.starts,
                dry_run=order.dry_run,
                rate_limit=order.rate_limit,
                share=order.share,
                on_progress=tell,
                on_reject=send,
            )
            listener = threading.Thread(target=_obey, args=(pipe, job, asyncio.get_running_loop()), daemon=True)
            listener.start()
            report = await job.run()
            largest = job.largest
            return Ended(report, job.progress, largest, None if largest is None else job.zone(largest.key))


def _obey(pipe: Connection, job: IngestJob, loop: asyncio.AbstractEventLoop) -> None:
    """Do what the parent says; without a parent, end at once."""
    while True:
        try:
            now = pipe.recv() == "now"
        except (EOFError, OSError):
            now = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(partial(job.stop, now=now))
        if now:
            return


class WorkerPool:
    """Does what an `IngestJob` does, with several processes. It runs once.

    The order of a signal's readings is that of the files, as with one process: no signal is of two workers. Workers
    cannot make sensors: meters must be known.

    Args:
        connect: opens a client in each process.
        sources: as for `IngestJob`, as are the arguments below, all workers together. Each is read by each worker.
        workers: how many processes.
    """

    def __init__(
        self,
        connect: Connect,
        sources: Sequence[Source],
        workers: int,
        *,
        meters: KnownMeters | None = None,
        reading: Reading | None = None,
        signal_type: str | None = None,
        policy: BatchPolicy | None = None,
        verify: bool | Literal["sample"] = False,
        checkpoint: Checkpoint | None = None,
        dry_run: bool = False,
        rate_limit: float | None = None,
        max_rejects: RejectLimit | None = None,
        on_start: Callable[[Start], object] | None = None,
        on_progress: OnProgress = unobserved,
        on_reject: Callable[[Reject], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        known = meters or KnownMeters()
        self._sources = sources
        self._workers = workers
        self._checkpoint = checkpoint
        self._max_rejects = max_rejects
        self._on_start = on_start
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._clock = clock
        self._order = WorkerOrder(
            connect=connect,
            sources=sources,
            share=Share(0, workers, known.table),
            starts=(),
            meters=known,
            reading=reading or Reading(),
            signal_type=signal_type,
            policy=policy,
            verify=verify,
            checkpoint=None if checkpoint is None else checkpoint.path,
            scope="" if checkpoint is None else checkpoint.scope,
            dry_run=dry_run,
            rate_limit=None if rate_limit is None else rate_limit / workers,
        )
        self._team: list[_Worker] = []
        self._failure: Exception | None = None
        self._zones: dict[SignalKey, str | None] = {}
        self._largest: SignalTally | None = None

    @property
    def largest(self) -> SignalTally | None:
        """As for `IngestJob`."""
        return self._largest

    def zone(self, key: SignalKey) -> str | None:
        """The time zone of the meter of a worker's largest signal, where its rows or `reading` told one."""
        return self._zones.get(key)

    def stop(self, *, now: bool = False) -> None:
        """End early; as for `IngestJob`."""
        for worker in self._team:
            worker.tell("now" if now else "stop")

    async def run(self) -> IngestReport:
        """Do it, and tell what was done; as for `IngestJob`. Cancelling ends the processes.

        Raises:
            SourceError: a file cannot be opened or has the wrong header; nothing was sent.
            CheckpointError: the checkpoint cannot be used; nothing was sent.
            BesmartError: no worker could begin; nothing was sent.
        """
        starts = await asyncio.to_thread(self._begin)
        for start in starts:
            if self._on_start is not None:
                self._on_start(start)
        began = self._clock()
        order = attrs.evolve(self._order, starts=starts)
        self._team = [_Worker(attrs.evolve(order, share=order.share.other(n))) for n in range(self._workers)]
        try:
            await asyncio.gather(*(self._follow(worker) for worker in self._team))
        finally:
            await asyncio.to_thread(_end, self._team)
        return self._result(self._clock() - began)

    def _begin(self) -> Sequence[Start]:
        for source in self._sources:
            source.check()
        return look_up(self._checkpoint, self._sources)

    async def _follow(self, worker: _Worker) -> None:
        """Start a worker and listen to it until it ends."""
        async for message in worker.messages():
            if isinstance(message, Progress):
                worker.progress = message
                self._on_progress(added([one.progress for one in self._team]))
                self._judge()
            elif isinstance(message, Reject):
                if self._on_reject is not None:
                    self._on_reject(message)
            elif isinstance(message, Ended):
                worker.ended, worker.progress = message, message.progress
                self._on_progress(added([one.progress for one in self._team]))
                if message.report.error is not None:
                    self._fail(message.report.error)
            else:
                self._fail(message)

    def _judge(self, *, end: bool = False) -> None:
        if self._max_rejects is None or self._failure is not None:
            return
        seen = added([one.progress for one in self._team])
        try:
            self._max_rejects.check(seen.rejected, seen.rows_read, end=end)
        except BesmartError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
            self.stop()

    def _result(self, seconds: float) -> IngestReport:
        self._judge(end=True)
        ended = [worker.ended for worker in self._team if worker.ended is not None]
        if not ended and self._failure is not None:
            raise self._failure
        tallies = [one.largest for one in ended if one.largest is not None]
        self._zones = {one.largest.key: one.zone for one in ended if one.largest is not None}
        self._largest = max(tallies, key=lambda one: one.readings, default=None)
        report = merged([one.report for one in ended], seconds)
        if self._failure is None:
            return report
        return attrs.evolve(report, state="failed", error=self._failure)


class _Worker:
    """One process, seen from its parent."""

    def __init__(self, order: WorkerOrder) -> None:
        self.progress = Progress()
        self.ended: Ended | None = None
        self._pipe, theirs = multiprocessing.Pipe()
        name = f"besmart-worker-{order.share.number}"
        self._process = multiprocessing.get_context("spawn").Process(
            target=work, args=(theirs, order), name=name, daemon=True
        )
        self._process.start()
        theirs.close()

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield what it tells until it has ended; a `BesmartError` if that was not its own doing."""
        while True:
            try:
                message: Message = await asyncio.to_thread(self._pipe.recv)
            except (EOFError, OSError):
                break
            yield message
        await asyncio.to_thread(self._process.join)
        if self.ended is None and self._process.exitcode:
            yield BesmartError(f"{self._process.name} died (exit code {self._process.exitcode}); start it again")

    def tell(self, word: str) -> None:
        """Tell it something."""
        with contextlib.suppress(OSError):  # it has ended
            self._pipe.send(word)

    def end(self, timeout_s: float = 10.0) -> None:
        """See to it that it has ended."""
        if self._process.is_alive():
            self.tell("now")
            self._process.join(timeout_s)
            self._process.kill()
        self._process.join()


def _end(team: Sequence[_Worker]) -> None:
    for worker in team:
        worker.end()
