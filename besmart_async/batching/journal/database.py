"""One writer at a time: a lock beside the journal, which the system releases when its process ends, however it ends.

SQLite takes the lock, since it knows how to on every system, within one process as well as between processes. A file of
its own is locked and not the journal, so that a journal that nobody can open any more can be looked at under the lock.

The SQLite database of a journal: one row per commit, its body a record.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from besmart_async.batching.journal.records import Write, count, encode
from besmart_async.errors import JournalError

_PATIENCE_S = 0.2
"""So long it may be held by somebody who only looks who has it (`JournalLock.owner`)."""


class JournalLock:
    """Held from `take` to `release`."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = journal.with_name(f"{journal.name}-lock")
        self._db: sqlite3.Connection | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            JournalError: another writer has it, or the folder cannot be written to.
        """
        try:
            self._db = self._taken()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise JournalError(self._journal, f"its lock cannot be taken: {error}") from error
            self._path.unlink(missing_ok=True)  # damaged; there is nothing in it that matters
            self._db = self._taken()

    def _taken(self) -> sqlite3.Connection:
        create_private(self._path, self._journal)
        db = sqlite3.connect(self._path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("CREATE TABLE IF NOT EXISTS owner (pid INTEGER)")
            db.execute("DELETE FROM owner")
            db.execute("INSERT INTO owner VALUES (?)", (os.getpid(),))
            db.execute("COMMIT")
            db.execute("BEGIN IMMEDIATE")  # others may read who has it, but not have it
        except sqlite3.Error as error:
            owner = _owner(db)
            db.close()
            if "locked" not in str(error):
                raise
            who = f"process {owner}" if owner else "another process"
            told = f"{who} has it open: close that writer, or give each writer a journal of its own"
            raise JournalError(self._journal, told) from error
        return db

    def release(self) -> None:
        """Give the lock back."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def connections(self) -> list[sqlite3.Connection]:
        """What must not be closed in a forked child."""
        return [] if self._db is None else [self._db]

    def owner(self) -> int | None:
        """Return the number of the process that holds the lock, 0 if it is unknown, None if nobody holds it."""
        if not self._path.exists():
            return None
        db = sqlite3.connect(self._path, timeout=0.0, isolation_level=None)
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return (_owner(db) or 0) if "locked" in str(error) else None  # what nobody may write to, no writer has open
        finally:
            db.close()
        return None


def create_private(path: Path, journal: Path) -> None:
    """Create an empty file that only its owner may read and write, unless it is there.

    Raises:
        JournalError: it cannot be created.
    """
    # One that is there is not opened: closing it would let go of every lock that this process has on it.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600))
    except FileExistsError:
        return
    except OSError as error:
        told = f"{path.name} cannot be written: {error.strerror}; give a path in a folder that exists and is writable"
        raise JournalError(journal, told) from error


def _owner(db: sqlite3.Connection) -> int | None:
    with suppress(sqlite3.Error):
        row = db.execute("SELECT pid FROM owner").fetchone()
        return None if row is None else int(row[0])
    return None


APPLICATION_ID = 0x42534D4A
"""Tells a journal from other databases."""
TABLES = {"entries"}

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_PRAGMAS = (
    "page_size = 4096",
    "locking_mode = EXCLUSIVE",  # no shared memory file: nobody else may have it open
    "journal_mode = WAL",
    "synchronous = FULL",
    "cell_size_check = ON",
    f"application_id = {APPLICATION_ID}",
)


@attrs.frozen
class Row:
    """Where a record is: its number in the table, its positions and its size in bytes."""

    seq: int
    start: int
    stop: int
    size: int


def connect(path: Path) -> sqlite3.Connection:
    """Open a database; nothing is read or written yet."""
    return sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)


def prepare(db: sqlite3.Connection) -> None:
    """Make it a journal, unless it is one, and set what holds for this connection."""
    for pragma in _PRAGMAS:
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")


def insert(db: sqlite3.Connection, entries: Sequence[Write], start: int, done: int) -> Row:
    """Add a record; outside a transaction it is on disk when this returns."""
    stop = start + count(entries)
    return insert_body(db, encode(entries, start, stop, done), start, stop)


def insert_body(db: sqlite3.Connection, body: bytes, start: int, stop: int) -> Row:
    """Add an encoded record."""
    cursor = db.execute("INSERT INTO entries (body) VALUES (?)", (body,))
    return Row(cursor.lastrowid or 0, start, stop, len(body))


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """Let everything in it happen, on disk when it ends, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have rolled back itself
            db.execute("ROLLBACK")
        raise


@contextmanager
def disk_errors_told(path: Path) -> Generator[None]:
    """Turn what the disk and SQLite raise into a `JournalError` that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        full = "full" in str(error) or (isinstance(error, OSError) and error.errno in _FULL)
        what = "free some space" if full else "check the disk and who may write there"
        told = f"it cannot be written ({error}), so nothing was accepted; {what}, then write again"
        raise JournalError(path, told, outcome="not_sent" if full else "in_doubt") from error
