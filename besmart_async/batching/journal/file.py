"""The journal's file, open. Everything here blocks: one thread uses it, and the event loop waits for that.

Rules
-----
- `append` returns once its readings are on disk (`synchronous = FULL`); whatever it raises, they are not acknowledged.
- Only one writer has it open (`JournalLock`), and a forked child never touches it.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

from besmart_async.batching.journal import database
from besmart_async.batching.journal.database import JournalLock, Row, disk_errors_told
from besmart_async.batching.journal.opening import Found, open_journal
from besmart_async.batching.journal.records import Write, decode, encode
from besmart_async.errors import JournalError
from besmart_async.models.keys import SignalKey

_open: WeakSet[JournalFile] = WeakSet()


class JournalFile:
    """One journal. `open` first, `close` last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = JournalLock(path)
        self._db: sqlite3.Connection | None = None
        self._top = 0

    def open(self) -> Found:
        """Take the lock, and read what is there.

        Raises:
            JournalError: another process has it, it cannot be written, or it is none of ours.
        """
        self._lock.take()
        try:
            with disk_errors_told(self.path):
                self._db, found = open_journal(self.path)
        except BaseException:
            self.close()
            raise
        _open.add(self)
        self._top = found.top
        return found

    def append(self, entries: Sequence[Write], done: int, settled: Collection[int] = ()) -> Row:
        """Put writes on disk, and forget rows that are settled; return where they are.

        Args:
            entries: the writes; none to note only what is done.
            done: everything before this position has had its outcome.
            settled: rows to forget.

        Raises:
            JournalError: the disk is full or failing. Nothing of it was acknowledged; `append` may be tried again.
        """
        db = self._connection()
        with disk_errors_told(self.path):
            if not settled:
                row = database.insert(db, entries, self._top, done)
            else:
                with database.transaction(db):
                    row = database.insert(db, entries, self._top, done)
                    db.executemany("DELETE FROM entries WHERE seq = ?", [(seq,) for seq in settled])
        self._top = row.stop
        return row

    def compact(self, keep: Sequence[tuple[Row, Collection[SignalKey] | None]], done: int) -> list[Row | None]:
        """Rewrite rows with some of their signals only.

        Args:
            keep: neighbouring rows in order of their positions, with the signals to keep; None keeps a row as it is.
                The last must keep some, so that no position is left uncovered.
            done: as in `append`.

        Returns:
            For each row where it is now; None if nothing was kept of it.

        Raises:
            JournalError: as `append`; all rows are as they were.
        """
        db = self._connection()
        position = keep[0][0].start
        moved: list[Row | None] = []
        with disk_errors_told(self.path), database.transaction(db):
            for row, keys in keep:
                if keys is not None and not keys:
                    db.execute("DELETE FROM entries WHERE seq = ?", (row.seq,))
                    moved.append(None)
                    continue
                (body,) = db.execute("SELECT body FROM entries WHERE seq = ?", (row.seq,)).fetchone()
                entries = [entry for entry in decode(body).entries if keys is None or entry.key in keys]
                body = encode(entries, position, row.stop, done)
                db.execute("UPDATE entries SET body = ? WHERE seq = ?", (body, row.seq))
                moved.append(Row(row.seq, position, row.stop, len(body)))
                position = row.stop
        return moved

    def close(self) -> None:
        """Close the file and release the lock. A second time does nothing."""
        _open.discard(self)
        if self._db is not None:
            with suppress(sqlite3.Error):  # what was acknowledged is on disk already
                self._db.close()
            self._db = None
        self._lock.release()

    def connections(self) -> list[sqlite3.Connection]:
        """What must not be closed in a forked child."""
        return [*self._lock.connections(), *([] if self._db is None else [self._db])]

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise JournalError(self.path, "it is closed")
        return self._db


def _leak_in_child() -> None:
    # SQLite must not be used across a fork: closing its files there would take the parent's log away. So the child
    # keeps the connections for ever, which costs it a few kilobytes.
    for file in list(_open):
        for connection in file.connections():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leak_in_child)
