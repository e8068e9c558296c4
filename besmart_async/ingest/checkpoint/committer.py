"""Commits what is done to the checkpoint while the job runs.

A commit does not wait for a disk and takes about 0.1 ms: less than switching between a thread and the event loop, and
what is recorded sooner is not sent twice. So it runs in the event loop as long as the last one was quick. Otherwise,
and the first time, it runs in a thread, since another process or the system may delay it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.checkpoint.store import Checkpoint, CheckpointError, PendingCommit
from besmart_async.ingest.report import Reject

QUICK_S = 0.01
"""After a commit that took longer, the next one runs in a thread."""


class Committer:
    """Gathers what is done and commits it as soon as the last commit has ended.

    Args:
        checkpoint: where to commit; None to record nothing.
        on_failure: called once if a commit fails; nothing is recorded after that.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        on_failure: Callable[[CheckpointError], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoint = checkpoint
        self._on_failure = on_failure
        self._pending = PendingCommit()
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        self._clock = clock
        self._quick = False
        self._lock = threading.Lock()

    def done(self, resume: ResumePoint, rows: NDArray[np.int64]) -> None:
        """Record rows of a source that are done."""
        if resume.number is not None and len(rows):
            self._pending.rows.append((resume.number, rows))
            self._begin()

    def reject(self, resume: ResumePoint, reject: Reject) -> None:
        """Record a reject. Call `done` for its row before the event loop continues."""
        if resume.number is not None:
            self._pending.rejects.append((resume.number, reject))
            self._begin()

    async def aclose(self) -> None:
        """Commit the rest. If this is cancelled, the rest is committed all the same."""
        try:
            if self._task is not None:
                await asyncio.wait({self._task})
        finally:
            if (error := self._commit(self._take())) is not None:
                self._on_failure(error)

    def _begin(self) -> None:
        if self._task is None and self._checkpoint is not None and not self._failed:
            self._task = asyncio.get_running_loop().create_task(self._work(), name="besmart checkpoint")

    def _take(self) -> PendingCommit:
        pending, self._pending = self._pending, PendingCommit()
        pending.pack()  # not in the thread: it would switch with the event loop at every step, which costs more
        return pending

    async def _work(self) -> None:
        try:
            while self._pending:
                pending, begun = self._take(), self._clock()
                error = self._commit(pending) if self._quick else await asyncio.to_thread(self._commit, pending)
                self._quick = self._clock() - begun < QUICK_S
                if error is not None:
                    self._on_failure(error)
        finally:
            self._task = None

    def _commit(self, pending: PendingCommit) -> CheckpointError | None:
        with self._lock:  # a commit whose task was cancelled may still run in its thread
            if self._checkpoint is None or self._failed or not pending:
                return None
            try:
                self._checkpoint.commit(pending)
            except CheckpointError as error:
                self._failed = True
                return error
        return None
