"""`Journal`: writes onto the disk, many at a time, without the event loop ever waiting for it.

Theory of operation. Writes of the same turn of the event loop, and all that come while a commit is under way, go to
disk as one record with one fsync, in a thread of the journal's own; each write has a future of its own. What has had
its outcome is forgotten along with a later commit, or soon after if none follows. The thread does one thing at a time.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from besmart_async.batching.journal.database import Row
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.opening import Found
from besmart_async.batching.journal.records import Write, count
from besmart_async.batching.journal.recovery import Recovered, in_columns
from besmart_async.batching.journal.tracker import Tracker
from besmart_async.batching.write.core.credit import NO_REF
from besmart_async.batching.write.core.events import Settled
from besmart_async.errors import BesmartError, JournalError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey

logger = logging.getLogger("besmart_async")

_COMMIT_BYTES = 8 << 20
"""About so much goes into one commit."""
_FORGET_S = 0.1
"""So long what has had its outcome may stay, if nothing else is written."""


@attrs.define(eq=False)
class Joined:
    """A write on its way to the disk.

    Attributes:
        what: the readings.
        ref: under which their outcomes are told; `NO_REF`: that of the whole commit.
        cost: bytes of memory it takes.
        future: done once it is on disk.
    """

    what: Write
    ref: int
    cost: int
    future: asyncio.Future[None]


class Journal:
    """One open journal file, for one event loop.

    Args:
        path: the file.
        new_ref: gives refs that nobody else uses.
        ended: called with the writes of a commit as soon as they are on disk, and the ref of those that have none of
            their own; without a ref if they are not on disk, and will not be.
        rested: called whenever nothing is on its way to the disk any more.
        unsettled: tells, by ref, the signals with readings that have no outcome.

    Attributes:
        may_compact: rows may be rewritten; not while readings in them are unknown to `unsettled`, nor while that fails.
    """

    def __init__(
        self,
        path: Path,
        new_ref: Callable[[], int],
        ended: Callable[[Sequence[Joined], int | None], None],
        rested: Callable[[], None],
        unsettled: Callable[[], Mapping[int, set[SignalKey]]],
    ) -> None:
        self._file = JournalFile(path)
        self._new_ref = new_ref
        self._ended = ended
        self._rested = rested
        self._unsettled = unsettled
        self._tracker = Tracker(0, ())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="besmart journal")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Joined] = []
        self._work: asyncio.Future[Any] | None = None
        self._start: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._forgotten_at = 0.0
        self.may_compact = False
        self._lost: list[Settled] = []
        self._untold: dict[int, list[Settled]] = {}
        self._closed = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def left(self) -> int:
        """Readings on disk without an outcome."""
        return self._tracker.left

    async def open(self) -> list[Recovered]:
        """Open the file; return what an earlier writer left in it, under new refs and in order of acceptance.

        Raises:
            JournalError: it cannot be used. Another try is allowed.
        """
        loop = self._loop = asyncio.get_running_loop()
        found: Found = await loop.run_in_executor(self._thread, self._file.open)
        if found.damage is not None:
            logger.warning("%s: %s", self.path, found.damage)
        if found.torn:
            logger.warning(
                "%s: its last commit is not whole and is left out; unless the process died while it wrote that, "
                "readings are lost",
                self.path,
            )
        self._tracker = Tracker(found.top, found.settled)
        refs = [self._new_ref() for _ in found.rows]
        for ref, (row, record) in zip(refs, found.rows, strict=True):
            self._tracker.add(row, (ref,), record.readings)
        if found.readings:
            logger.info("%s: %d readings of an earlier writer are delivered first", self.path, found.readings)
        return in_columns((ref, record.entries) for ref, (_, record) in zip(refs, found.rows, strict=True))

    # -- in ----------------------------------------------------------------------------------------------------------

    def join(self, what: Write, ref: int, cost: int) -> Joined:
        """Put a write into the next commit."""
        assert self._loop is not None  # noqa: S101 - opened before anything joins
        joined = Joined(what, ref, cost, self._loop.create_future())
        self._waiting.append(joined)
        if self._work is None and self._start is None:
            self._start = self._loop.call_soon(self._next)  # what is written in the same turn shares the commit
        return joined

    def leave(self, joined: Joined) -> bool:
        """Take a write back; False if it is on its way to the disk already."""
        if joined not in self._waiting:
            return False
        self._waiting.remove(joined)
        return True

    @property
    def busy(self) -> bool:
        """Whether a write is on its way to the disk."""
        return bool(self._waiting) or self._work is not None

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def settled(self, event: Settled) -> None:
        """Note an outcome. What was lost stays on disk until it was `told`."""
        if event.kept:
            return
        if event.error is None:
            self._tracker.settle(event.ref, event.delivered)
        else:
            self._tracker.settle(event.ref, event.rejected + event.in_doubt, untold=True)
            self._lost.append(event)
        if self._tracker.settled and self._timer is None and self._loop is not None and not self._closed:
            self._timer = self._loop.call_later(_FORGET_S, self._forget)

    def rejected(self, rejection: Rejection) -> None:
        """Note that what was lost last is told with this."""
        self._untold[id(rejection)], self._lost = self._lost, []

    def told(self, rejection: Rejection) -> None:
        """Note that somebody has been told."""
        for event in self._untold.pop(id(rejection), ()):
            self._tracker.tell(event.ref, event.rejected + event.in_doubt)

    # -- the disk ----------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin what is to be done next, unless something is under way."""
        self._start = None
        if self._work is not None or self._closed or self._loop is None:
            return
        if self.may_compact and self._tracker.wasteful:
            plan = self._tracker.plan(self._unsettled())
            self._run(self._loop, self._compacted, partial(self._file.compact, plan, self._tracker.done))
        elif self._waiting:
            self._commit(self._loop)
        else:
            self._rested()

    def _commit(self, loop: asyncio.AbstractEventLoop) -> None:
        group, size = 0, 0
        for joined in self._waiting:
            size += joined.cost
            if group and size > _COMMIT_BYTES:
                break
            group += 1
        writes, self._waiting = self._waiting[:group], self._waiting[group:]
        forget = self._to_forget(loop.time() - self._forgotten_at > _FORGET_S)
        entries = [joined.what for joined in writes]
        self._run(
            loop,
            partial(self._committed, writes, forget),
            partial(self._file.append, entries, self._tracker.done, forget),
        )

    def _committed(
        self, writes: list[Joined], forgotten: list[int], row: Row | None, error: BesmartError | None
    ) -> None:
        if row is None:
            self._tracker.settled += forgotten
            self._ended(writes, None)
            for joined in writes:
                if not joined.future.done() and error is not None:
                    joined.future.set_exception(error.clone())
            return
        self.may_compact = True  # it did not fail for the disk, or the disk is well again
        ref = self._new_ref()
        own = [joined.ref for joined in writes if joined.ref != NO_REF]
        self._tracker.add(row, (ref, *own), count([joined.what for joined in writes]))
        self._ended(writes, ref)
        for joined in writes:
            if not joined.future.done():
                joined.future.set_result(None)

    def _forget(self) -> None:
        self._timer = None
        if self._work is not None or self._start is not None or self._closed or self._loop is None:
            return  # the next commit sees to it
        forget = self._to_forget(True)
        if forget:
            self._run(
                self._loop,
                partial(self._noted, forget),
                partial(self._file.append, (), self._tracker.done, forget),
            )

    def _noted(self, forgotten: list[int], row: Row | None, error: BesmartError | None) -> None:
        if row is not None:
            self._tracker.settled.append(row.seq)
            return
        self._tracker.settled += forgotten  # a full disk: what was delivered stays a little longer
        logger.warning("%s", error)

    def _compacted(self, rows: list[Row | None] | None, error: BesmartError | None) -> None:
        if rows is not None:
            self._tracker.moved(rows)
        else:
            self.may_compact = False
            logger.warning("%s", error)

    def _to_forget(self, now: bool) -> list[int]:
        if not now or not self._tracker.settled:
            return []
        forget, self._tracker.settled = self._tracker.settled, []
        self._forgotten_at = 0.0 if self._loop is None else self._loop.time()
        return forget

    def _run(
        self, loop: asyncio.AbstractEventLoop, then: Callable[[Any, BesmartError | None], None], work: Any
    ) -> None:
        self._work = loop.run_in_executor(self._thread, work)
        self._work.add_done_callback(partial(self._done, then))

    def _done(self, then: Callable[[Any, BesmartError | None], None], work: asyncio.Future[Any]) -> None:
        self._work = None
        error = None if work.cancelled() else work.exception()
        if work.cancelled() or error is not None:
            then(None, error if isinstance(error, BesmartError) else JournalError(self.path, f"it failed: {error!r}"))
        else:
            then(work.result(), None)
        self._next()

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> Future[None] | None:
        """Close the file after what is under way; the future is done when it is closed. None: it is closed already."""
        if self._closed:
            return None
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for joined in self._waiting:
            if not joined.future.done():
                joined.future.set_exception(JournalError(self.path, "it is closed"))
        self._waiting.clear()
        closed = self._thread.submit(self._close, list(self._tracker.settled), self._tracker.done)
        self._thread.shutdown(wait=False)
        return closed

    def _close(self, settled: list[int], done: int) -> None:
        try:
            if settled:
                self._file.append((), done, settled)
        except (JournalError, sqlite3.Error) as error:
            logger.warning("%s", error)
        finally:
            self._file.close()
