"""One writer at a time: a lock beside the journal, which the system releases when its process ends, however it ends.

SQLite takes the lock, since it knows how to on every system, within one process as well as between processes. A file of
its own is locked and not the journal, so that a journal that nobody can open any more can be looked at under the lock.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from besmart_async.errors import JournalError


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
        db = sqlite3.connect(self._path, timeout=0.0, isolation_level=None, check_same_thread=False)
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
        except sqlite3.Error:
            return _owner(db) or 0
        finally:
            db.close()
        return None


def create_private(path: Path, journal: Path) -> None:
    """Create an empty file that only its owner may read and write, unless it is there.

    Raises:
        JournalError: it cannot be created.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600))
    except OSError as error:
        told = f"{path.name} cannot be written: {error.strerror}; give a path in a folder that exists and is writable"
        raise JournalError(journal, told) from error


def _owner(db: sqlite3.Connection) -> int | None:
    with suppress(sqlite3.Error):
        row = db.execute("SELECT pid FROM owner").fetchone()
        return None if row is None else int(row[0])
    return None
