"""The journal's file, open. Everything here blocks: one thread uses it, and the event loop waits for that.

Rules
-----
- `append` returns once its readings are on disk (`synchronous = FULL`); whatever it raises, they are not acknowledged.
- Only one writer has it open (`JournalLock`), and a forked child never touches it.
- Nothing is acknowledged that is not in the file at the path: a file that was moved or deleted, or whose log was, is
  written no further.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from weakref import WeakSet

from besmart_async.batching.journal import database
from besmart_async.batching.journal.database import (
    Identity,
    JournalLock,
    Row,
    checked_path,
    disk_errors_told,
    identity_of,
    is_busy,
    is_file,
    log_path,
)
from besmart_async.batching.journal.opening import Found, open_journal
from besmart_async.batching.journal.records import DamagedRecordError, Write, decode, encode
from besmart_async.batching.journal.tracker import Changes
from besmart_async.errors import JournalError, Outcome

BUSY_S = 5.0
"""So long another program may read the file (a backup, say) before the writer is refused."""
_LOOK_S = 0.05

_open: WeakSet[JournalFile] = WeakSet()


class JournalFile:
    """One journal. `open` first, `close` last.

    Args:
        path: the file.
        busy_s: how long to wait for another program that reads it.

    Raises:
        JournalError: no file can have this name.
    """

    def __init__(self, path: str | PathLike[str], busy_s: float = BUSY_S) -> None:
        self.path: Path = checked_path(path)
        self._busy_s = busy_s
        self._lock = JournalLock(self.path)
        self._db: sqlite3.Connection | None = None
        self._log: Identity = (0, 0)
        self._top = 0
        self._log_unclean = False

    def open(self) -> Found:
        """Take the lock, and read what is there.

        Raises:
            JournalError: another process has it, it cannot be written, or it is not ours.
        """
        try:
            with disk_errors_told(self.path):
                self._lock.take()
                self._db, found = self._opened()
                _open.add(self)
                self._log = identity_of(log_path(self._lock.path))
        except BaseException:
            self.close()
            raise
        self._top = found.top
        return found

    def _opened(self) -> tuple[sqlite3.Connection, Found]:
        until = time.monotonic() + self._busy_s
        while True:
            try:
                return open_journal(self.path, self._lock)
            except sqlite3.Error as error:
                if not is_busy(error) or time.monotonic() > until:
                    raise
            time.sleep(_LOOK_S)

    def append(self, entries: Sequence[Write], changes: Changes | None = None) -> Row:
        """Put writes on disk along with outcomes; return where the writes are.

        Args:
            entries: the writes; none to record outcomes only.
            changes: outcomes to record, and rows to forget.

        Raises:
            JournalError: the disk is full or failing, or the file is not where it was. Nothing of it was acknowledged;
                `append` may be tried again.
        """
        db = self._connection()
        self._check_place("not_sent")
        with disk_errors_told(self.path):
            if self._log_unclean:  # remains of a failed commit would look like damage behind a shorter one
                database.begin_log_anew(db)
            self._log_unclean = True
            if changes is None:
                row = database.insert(db, entries, self._top, 0, self._top)
            else:
                with database.transaction(db):
                    row = self._recorded(db, entries, changes)
            self._log_unclean = False
        self._top = max(self._top, row.stop)
        self._check_place("in_doubt")
        return row

    def _recorded(self, db: sqlite3.Connection, entries: Sequence[Write], changes: Changes) -> Row:
        start = self._top if entries else min(changes.top, self._top)  # not above a commit that they know nothing of
        row = database.insert(db, entries, start, changes.floor, changes.since)
        db.executemany("DELETE FROM entries WHERE seq = ?", [(seq,) for seq in changes.forget])
        for note in changes.notes:
            body = encode((), note.start, note.stop, changes.floor, note.since, note.outcomes)
            db.execute("INSERT OR REPLACE INTO entries (seq, body) VALUES (?, ?)", (-note.seq, body))
        return row

    def compact(self, rows: Sequence[tuple[Row, bytes]]) -> list[Row]:
        """Rewrite rows without the readings that are done; return where they are now.

        Args:
            rows: the rows, with the outcomes of their readings.

        Raises:
            JournalError: as `append`; all rows are as they were.
        """
        db = self._connection()
        self._check_place("not_sent")
        rewritten: list[Row] = []
        with disk_errors_told(self.path), database.transaction(db):
            for row, outcomes in rows:
                (body,) = db.execute("SELECT body FROM entries WHERE seq = ?", (row.seq,)).fetchone()
                try:
                    record = decode(body)
                except DamagedRecordError as error:
                    raise JournalError(self.path, f"a row of it is damaged ({error}); it stays as it is") from error
                entries = record.without(outcomes)
                body = encode(entries, row.start, row.stop, record.floor, record.since, outcomes)
                db.execute("UPDATE entries SET body = ? WHERE seq = ?", (body, row.seq))
                rewritten.append(Row(row.seq, row.start, row.stop, len(body)))
        return rewritten

    def close(self) -> None:
        """Close the file and release the lock. A second time does nothing."""
        _open.discard(self)
        if self._db is not None:
            if self._lock.in_place and is_file(log_path(self._lock.path), self._log):
                with suppress(sqlite3.Error):  # what was acknowledged is on disk already
                    self._db.execute("PRAGMA user_version = 0")
                    self._db.close()
            else:
                _leak(self._db)  # closing it deletes a log by its name, which may be that of another journal by now
            self._db = None
        self._lock.release()

    def leak(self) -> None:
        """Make sure that this process never closes the database."""
        if self._db is not None:
            _leak(self._db)

    def _check_place(self, outcome: Outcome) -> None:
        if not self._lock.in_place:
            what = "it was moved or deleted while a writer had it open"
        elif not is_file(log_path(self._lock.path), self._log):
            what = f"its log {log_path(self._lock.path).name} was moved or deleted while a writer had it open"
        else:
            return
        told = f"{what}; nothing was accepted: put it back, or close this writer and open a new one"
        raise JournalError(self.path, told, outcome=outcome)

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise JournalError(self.path, "it is closed")
        return self._db


def _leak(connection: sqlite3.Connection) -> None:
    # A reference from Python would not do: it is cleared at exit, and the connection closed.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _leak_in_child() -> None:
    # SQLite must not be used across a fork: closing its files there would take the parent's log away. So the child
    # keeps the connections for ever, which costs it a few kilobytes.
    for file in list(_open):
        file.leak()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leak_in_child)
