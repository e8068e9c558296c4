"""Writing what is done to the checkpoint while the job goes on, one commit after the other.

A commit waits for no disk, and takes some 0.1 ms: less than a thread and the event loop need to take turns, and what is
recorded sooner is not sent twice. So it is done at once as long as the one before was quick. Else, and the first time,
a thread does it, since another process or the system may keep it waiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.checkpoint.resume import Start
from besmart_async.ingest.checkpoint.store import Checkpoint, CheckpointError, Marks
from besmart_async.ingest.report import Reject

QUICK_S = 0.01
"""After a commit that took longer the next one is a thread's."""


class Recorder:
    """Gathers marks and commits them as soon as the commit before has ended.

    Args:
        checkpoint: where to; None to record nothing.
        on_failure: told once if a commit fails; nothing is recorded after that.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        on_failure: Callable[[CheckpointError], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoint = checkpoint
        self._on_failure = on_failure
        self._marks = Marks()
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        self._clock = clock
        self._quick = False
        self._lock = threading.Lock()

    def done(self, start: Start, rows: NDArray[np.int64]) -> None:
        """Note rows that are done."""
        if start.number is not None and len(rows):
            self._marks.rows.append((start.number, rows))
            self._begin()

    def reject(self, start: Start, reject: Reject) -> None:
        """Note a reject. Its row is noted with `done`, before the event loop has its turn."""
        if start.number is not None:
            self._marks.rejects.append((start.number, reject))
            self._begin()

    async def aclose(self) -> None:
        """Commit what is left. Cancelled, it is committed all the same."""
        try:
            if self._task is not None:
                await asyncio.wait({self._task})
        finally:
            if (error := self._commit(self._taken())) is not None:
                self._on_failure(error)

    def _begin(self) -> None:
        if self._task is None and self._checkpoint is not None and not self._failed:
            self._task = asyncio.get_running_loop().create_task(self._work(), name="besmart checkpoint")

    def _taken(self) -> Marks:
        marks, self._marks = self._marks, Marks()
        marks.pack()  # not in a thread: it would take turns with the event loop at every step, which costs more
        return marks

    async def _work(self) -> None:
        try:
            while self._marks:
                marks, begun = self._taken(), self._clock()
                error = self._commit(marks) if self._quick else await asyncio.to_thread(self._commit, marks)
                self._quick = self._clock() - begun < QUICK_S
                if error is not None:
                    self._on_failure(error)
        finally:
            self._task = None

    def _commit(self, marks: Marks) -> CheckpointError | None:
        with self._lock:  # a commit whose task was cancelled may still be under way in its thread
            if self._checkpoint is None or self._failed or not marks:
                return None
            try:
                self._checkpoint.commit(marks)
            except CheckpointError as error:
                self._failed = True
                return error
        return None
