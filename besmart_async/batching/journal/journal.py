"""`Journal`: writes onto the disk, many at a time, without the event loop ever waiting for it.

Theory of operation. Writes of the same turn of the event loop, and all that come while a commit is under way, go to
disk as one record with one fsync, in a thread of the journal's own; each write has a future of its own. The readings of
a journal are numbered: its first reading ever has the position 0, and the positions of a commit are neighbours.
Outcomes are told by position (`done`), and recorded along with a later commit, or soon after if none follows. The
thread does one thing at a time.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from besmart_async.batching.journal.database import Row
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.opening import Found
from besmart_async.batching.journal.records import Write
from besmart_async.batching.journal.recovery import Recovered
from besmart_async.batching.journal.tracker import Changes, Tracker
from besmart_async.errors import BesmartError, JournalError

logger = logging.getLogger("besmart_async")

_COMMIT_BYTES = 8 << 20
"""About so much goes into one commit."""
_FORGET_S = 0.1
"""Outcomes are recorded after so long, if nothing else is written."""


@attrs.define(eq=False)
class Joined:
    """A write on its way to the disk.

    Attributes:
        write: the readings.
        cost: bytes of memory it takes.
        future: done once it is on disk.
        start: position of its first reading, once it is on disk.
        follows: it must be in the same commit as the write before it.
    """

    write: Write
    cost: int
    future: asyncio.Future[None]
    start: int = -1
    follows: bool = False


Committed = Callable[[Sequence[Joined], int | None], None]


class Journal:
    """One open journal file, for one event loop.

    Args:
        path: the file.
        committed: called with the writes of a commit, in their order, as soon as they are on disk, and the position of
            their first reading; None: they are not on disk, and will not be. Their futures are done after that.
        rested: called whenever nothing is on its way to the disk any more.

    Raises:
        JournalError: no file can have this name.
    """

    def __init__(self, path: str | PathLike[str], committed: Committed, rested: Callable[[], None]) -> None:
        self._file = JournalFile(path)
        self._ended = committed
        self._rested = rested
        self._tracker = Tracker(0)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="besmart journal")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[Joined, None] = {}
        self._work: asyncio.Future[Any] | None = None
        self._start: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._recorded_at = 0.0
        self._urgent = False
        self._compacted_last = False
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
        """Open the file; return what an earlier writer left in it, in order of acceptance.

        Raises:
            JournalError: it cannot be used. Another try is allowed.
        """
        loop = self._loop = asyncio.get_running_loop()
        found: Found = await loop.run_in_executor(self._thread, self._file.open)
        self._report(found)
        self._tracker = Tracker(found.top, found.useless)
        for remainder, row in zip(found.left, found.rows, strict=True):
            held, noted = remainder.record.readings, row.seq in found.noted
            self._tracker.add(row, row.start, remainder.outcomes, held, noted=noted)
        return [piece for remainder in found.left for piece in remainder.pieces()]

    def _report(self, found: Found) -> None:
        if found.damage is not None:
            logger.warning("%s: %s", self.path, found.damage)
        if found.torn:
            logger.warning(
                "%s: its last commit is not whole and is left out; unless the process died while it wrote that, "
                "readings are lost",
                self.path,
            )
        if found.without_log:
            logger.error(
                "%s: its last writer did not close it, and its log (%s-wal) is missing: readings may be lost",
                self.path,
                self.path.name,
            )
        if found.readings:
            logger.info("%s: %d readings of an earlier writer are delivered first", self.path, found.readings)

    # -- in ----------------------------------------------------------------------------------------------------------

    def join(self, write: Write, cost: int, *, follows: bool = False) -> Joined:
        """Put a write into the next commit; `follows`: into the same one as the write before it."""
        assert self._loop is not None  # noqa: S101 - opened before anything joins
        joined = Joined(write, cost, self._loop.create_future(), follows=follows)
        self._waiting[joined] = None
        if self._work is None and self._start is None:
            self._start = self._loop.call_soon(self._next)  # what is written in the same turn shares the commit
        return joined

    def leave(self, joined: Joined) -> bool:
        """Take a write back; False if it is on its way to the disk already."""
        if joined not in self._waiting:
            return False
        del self._waiting[joined]
        return True

    @property
    def busy(self) -> bool:
        """Whether a write is on its way to the disk."""
        return bool(self._waiting) or self._work is not None

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def done(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Forget readings, from a position up to another: they are delivered, or somebody was told that they are not.

        After a crash they are not delivered again, once this is recorded. Of a signal, newer readings must not be sent
        before the older ones are done or refused.
        """
        self._tracker.done(ranges)
        self._record_soon()

    def told(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Forget refused readings that somebody was told of; recorded at once: a crash must not tell them again."""
        self._tracker.done(ranges)
        self._urgent = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and not self._closed and self._tracker.changed:
            self._timer = self._loop.call_later(0.0, self._record)

    def refused(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Note readings that the service has refused while nobody has been told yet; `done` follows.

        After a crash they come back as `Recovered.refused`: whoever opens the journal tells of them, and does not send
        them again, since newer values of the signal may have been delivered.
        """
        self._tracker.refused(ranges)
        self._record_soon()

    def _record_soon(self) -> None:
        if self._timer is None and self._loop is not None and not self._closed and self._tracker.changed:
            self._timer = self._loop.call_later(_FORGET_S, self._record)

    # -- the disk ----------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin what is to be done next, unless something is under way."""
        self._start = None
        if self._work is not None or self._closed or self._loop is None:
            return
        if self._compact(self._loop):
            return
        if self._waiting:
            self._commit(self._loop)
        else:
            self._rested()

    def _commit(self, loop: asyncio.AbstractEventLoop) -> None:
        writes: list[Joined] = []
        size = 0
        for joined in self._waiting:
            size += joined.cost
            if writes and size > _COMMIT_BYTES and not joined.follows:
                break
            writes.append(joined)
        if len(writes) == len(self._waiting):
            self._waiting = {}
        for joined in writes if self._waiting else ():
            del self._waiting[joined]
        due = self._urgent or loop.time() - self._recorded_at > _FORGET_S
        changes = self._changes() if due else None
        entries = [joined.write for joined in writes]
        self._run(loop, partial(self._committed, writes, changes), partial(self._file.append, entries, changes))

    def _committed(
        self, writes: list[Joined], changes: Changes | None, row: Row | None, error: BesmartError | None
    ) -> None:
        self._noted(changes, row)
        self._ended(writes, None if row is None else row.start)
        for joined in writes:
            if joined.future.done():
                continue
            if row is not None:
                joined.future.set_result(None)
            elif error is not None:
                joined.future.set_exception(error.clone())

    def _record(self) -> None:
        self._timer = None
        if self._work is not None or self._start is not None or self._closed or self._loop is None:
            return  # the next commit does it
        changes = self._changes()
        if changes is not None:
            self._run(self._loop, partial(self._recorded, changes), partial(self._file.append, (), changes))

    def _recorded(self, changes: Changes, row: Row | None, error: BesmartError | None) -> None:
        self._noted(changes, row)
        if row is None:
            logger.warning("%s", error)

    def _noted(self, changes: Changes | None, row: Row | None) -> None:
        if row is not None:
            self._tracker.add(row, row.start if changes is None else changes.since)
        elif changes is not None:
            self._tracker.put_back(changes)  # a full disk: what was delivered stays a little longer

    def _changes(self) -> Changes | None:
        if not self._tracker.changed:
            return None
        self._recorded_at = 0.0 if self._loop is None else self._loop.time()
        self._urgent = False
        return self._tracker.take()

    def _compact(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Rewrite a few rows, if that pays; between two commits at most once, and then only what does not take long."""
        if self._waiting and self._compacted_last:
            self._compacted_last = False
            return False
        plan = self._tracker.plan(large=not self._waiting)
        if not plan:
            return False
        self._compacted_last = True
        self._run(loop, partial(self._compacted, plan), partial(self._file.compact, plan))
        return True

    def _compacted(self, plan: list[tuple[Row, bytes]], rows: list[Row] | None, error: BesmartError | None) -> None:
        if rows is not None:
            self._tracker.compacted(plan, rows)
        else:
            self._tracker.not_compacted()
            logger.warning("%s", error)

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
        changes = self._changes()
        closed = self._thread.submit(self._close, changes)
        self._thread.shutdown(wait=False)
        return closed

    def _close(self, changes: Changes | None) -> None:
        try:
            if changes is not None:
                self._file.append((), changes)
        except (JournalError, sqlite3.Error) as error:
            logger.warning("%s", error)
        finally:
            self._file.close()
