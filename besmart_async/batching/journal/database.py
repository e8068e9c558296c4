"""The SQLite database of a journal: one row per commit, its body a record."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from besmart_async.batching.journal.records import Entry, count, encode
from besmart_async.errors import JournalError

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


def insert(db: sqlite3.Connection, entries: Sequence[Entry], start: int, done: int) -> Row:
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
