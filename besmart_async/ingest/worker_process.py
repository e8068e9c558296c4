"""What runs in the process of a worker: an `IngestJob` of its own, which tells its parent what happens."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import attrs

from besmart_async.client import BesmartClient
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.ingest.checkpoint import Checkpoint
from besmart_async.ingest.job import IngestJob
from besmart_async.ingest.meters import KnownMeters
from besmart_async.ingest.parsing import Reading
from besmart_async.ingest.progress import Progress
from besmart_async.ingest.report import IngestReport, Reject
from besmart_async.ingest.shares import Share
from besmart_async.ingest.sources import Source
from besmart_async.ingest.starts import Start
from besmart_async.ingest.tally import SignalTally

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
