"""Opening a journal: what is in it, whatever state it is in.

A file that is damaged is moved aside, never deleted, and what can be read of it goes into a new one, which takes its
place only when it is complete and on disk. A file of another program is left alone, and one that is only in use is not
damaged.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import attrs

from besmart_async.batching.journal import database
from besmart_async.batching.journal.database import (
    APPLICATION_ID,
    APPLICATION_ID_1,
    TABLES,
    JournalLock,
    Row,
    content,
    create_private,
    fresh_path,
    is_damage,
    log_path,
)
from besmart_async.batching.journal.records import DamagedRecordError, Entry, Record, decode, encode
from besmart_async.batching.journal.recovery import Remainder, survey
from besmart_async.batching.journal.salvage import Log, Salvage, holds_records, read_log, salvage
from besmart_async.errors import JournalError


@attrs.frozen
class Damage:
    """What became of a journal that could not be read as a whole.

    Attributes:
        aside: where the damaged file is now.
        problem: what is wrong with it.
        salvaged: readings that were found in it and are delivered now.
        lost: readings known to be missing.
        unreadable: pieces that could not be read; of the last ones it is not known how many readings they held.
    """

    aside: Path
    problem: str
    salvaged: int
    lost: int
    unreadable: int

    def __str__(self) -> str:
        more = f", {self.unreadable} pieces of it cannot be read" if self.unreadable else ""
        return (
            f"the journal was damaged ({self.problem}): {self.salvaged} readings were salvaged, {self.lost} are known "
            f"to be lost{more}; the damaged file was kept as {self.aside}"
        )


@attrs.frozen
class Found:
    """What was in a journal.

    Attributes:
        left: the records with readings to deliver, in order of acceptance.
        rows: where each of them is in the table.
        noted: the numbers of the rows whose outcomes have been recorded already.
        top: the position after the last reading.
        useless: the numbers of the rows that are not needed any more.
        torn: the last commit is not whole: it was being written when the process died, or it was damaged since.
        without_log: the journal was not closed, and its log is not there.
        damage: what was wrong with it.
    """

    left: list[Remainder]
    rows: list[Row]
    noted: set[int]
    top: int
    useless: list[int]
    torn: bool = False
    without_log: bool = False
    damage: Damage | None = None

    @property
    def readings(self) -> int:
        """How many readings have no outcome."""
        return sum(remainder.readings for remainder in self.left)

    @property
    def entries(self) -> list[Entry]:
        """The readings to deliver, in order of acceptance."""
        return [entry for remainder in self.left for piece in remainder.pieces() for entry in piece.entries]


def open_journal(path: Path, lock: JournalLock) -> tuple[sqlite3.Connection, Found]:
    """Open the journal and read what is there.

    Args:
        path: the journal, as the caller named it.
        lock: held, on the file.

    Raises:
        JournalError: it is not ours, or its log is beside another name of it.
        sqlite3.Error: it is in use, or the disk is full or failing.
        OSError: as above.
    """
    there = log_path(lock.path).exists()
    log = read_log(content(log_path(lock.path)))
    problem = problem_of(content(lock.path, 16), log)
    if problem is None:
        db = database.connect(lock.path)
        try:
            found = read_records(db, path)
            without_log = not there and _log_belongs(db, path, lock)
            return db, _prepared(db, found, torn=log is not None and log.torn, without_log=without_log)
        except (sqlite3.DatabaseError, DamagedRecordError) as error:
            db.close()
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise
            problem = str(error)
        except BaseException:
            db.close()
            raise
    return _salvaged(path, lock, problem)


def read_records(db: sqlite3.Connection, path: Path) -> Found:
    """Read what is in an open database.

    Raises:
        JournalError: it is not ours.
        DamagedRecordError: some of it is damaged or missing.
        sqlite3.DatabaseError: it cannot be read.
    """
    if not _is_ours(db, path):
        return Found([], [], set(), 0, [])
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedRecordError(verdict)
    numbers: list[int] = []
    sizes: list[int] = []
    records: list[Record] = []
    for seq, body in db.execute("SELECT seq, body FROM entries"):
        numbers.append(seq)
        sizes.append(len(body))
        records.append(decode(body))
    found = survey(records)
    if found.missing:
        start, stop = found.missing[0]
        raise DamagedRecordError(f"readings {start} to {stop} are missing")
    rows = [Row(numbers[r.number], r.record.start, r.record.stop, sizes[r.number]) for r in found.left]
    kept = {row.seq for row in rows}
    noted = {-seq for seq in numbers if -seq in kept}
    return Found(found.left, rows, noted, found.top, [seq for seq in numbers if abs(seq) not in kept])


def _is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """Tell whether the database is a journal; False: it is empty."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    signed, named = application_id in (APPLICATION_ID, APPLICATION_ID_1), tables == TABLES
    if not tables and (signed or not application_id):
        return False
    if signed and named:
        return True
    if signed or (named and holds_records(db.serialize())):
        raise DamagedRecordError("its header or its table is damaged")
    raise _foreign(path)


def problem_of(database: bytes, log: Log | None) -> str | None:
    """Tell what can be seen to be damaged before SQLite looks at it; the first 16 bytes of the database will do."""
    head = database[:16]
    if log is not None and log.damaged:
        return "its write-ahead log has broken frames in the middle"
    if not head and log is not None and log.frames:
        return "its database is gone"
    if head and head != b"SQLite format 3\0":
        return "its header is broken"
    return None


def _prepared(db: sqlite3.Connection, found: Found, *, torn: bool, without_log: bool) -> Found:
    database.prepare(db)
    if not found.top:
        database.insert(db, [], 0, 0, 0)  # so that a damaged journal can always be told from a file of somebody else's
    _mark_open(db)
    return attrs.evolve(found, torn=torn, without_log=without_log)


def _log_belongs(db: sqlite3.Connection, path: Path, lock: JournalLock) -> bool:
    """Tell whether the last writer did not close the journal, so that there must be a log.

    Raises:
        JournalError: there must be, and it may be beside another name of the file.
    """
    (mark,) = db.execute("PRAGMA user_version").fetchone()
    if mark and os.fstat(lock.descriptor).st_nlink > 1:
        raise JournalError(path, "its log is beside another name of the file (a hard link): use that name")
    return bool(mark)


def _mark_open(db: sqlite3.Connection) -> None:
    """Note in the database itself that from now on there is a log that belongs to it."""
    db.execute("PRAGMA user_version = 1")
    database.begin_log_anew(db)


def salvaged_from(damaged: bytes, log: bytes, path: Path) -> Salvage:
    """Return what can still be read of a damaged database and its log.

    Raises:
        JournalError: they are not ours.
    """
    if any(damaged) and not holds_records(damaged) and not holds_records(log):
        raise _foreign(path)
    return salvage(damaged, read_log(log))


def _salvaged(path: Path, lock: JournalLock, problem: str) -> tuple[sqlite3.Connection, Found]:
    saved = salvaged_from(content(lock.path), content(log_path(lock.path)), path)
    fresh = fresh_path(lock.path)
    fresh.unlink(missing_ok=True)
    create_private(fresh, path)
    db = database.connect(fresh)
    try:
        rows = _written(db, saved)
    finally:
        db.close()
    aside = _aside(lock.path)
    lock.replace(fresh, aside)
    db = database.connect(lock.path)
    database.prepare(db)
    _mark_open(db)
    damage = Damage(aside, problem, saved.readings, saved.lost, saved.unreadable)
    return db, Found(saved.left, rows, set(), saved.top, [], damage=damage)


def _written(db: sqlite3.Connection, saved: Salvage) -> list[Row]:
    database.prepare(db)
    rows: list[Row] = []
    position = 0
    with database.transaction(db):
        for remainder in saved.left:  # what is missing between them is reported now, and not a second time
            record, outcomes = remainder.record, remainder.outcomes
            entries = record.entries if outcomes is None else record.without(outcomes)
            body = encode(entries, record.start, record.stop, 0, position, outcomes)
            rows.append(database.insert_body(db, body, record.start, record.stop))
            position = record.stop
        database.insert(db, [], saved.top, 0, position)
    return rows


def _aside(path: Path) -> Path:
    """Return a name for a damaged journal that no other file has."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while aside.exists():
        aside, number = path.with_name(f"{path.name}.damaged-{stamp}-{number}"), number + 1
    return aside


def _foreign(path: Path) -> JournalError:
    return JournalError(path, "this file is not the journal of a writer; give another path, or move it away")
