"""Opening a journal: what is in it, whatever state it is in.

A file that is damaged is moved aside, never deleted, and what can be read of it goes into a new one, which takes its
place only when it is complete and on disk. A file that is none of ours is left alone.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import attrs

from besmart_async.batching.journal import database
from besmart_async.batching.journal.database import APPLICATION_ID, TABLES, Row, create_private
from besmart_async.batching.journal.records import DamagedRecordError, Record, decode, encode
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
        rows: the records whose readings may not have had their outcome, in order of acceptance.
        top: the position after the last reading.
        settled: rows that are of no use any more.
        torn: the last commit is not whole: it was being written when the process died, or it was damaged since.
        damage: what was wrong with it.
    """

    rows: list[tuple[Row, Record]]
    top: int
    settled: list[int] = attrs.field(factory=list[int])
    torn: bool = False
    damage: Damage | None = None

    @property
    def readings(self) -> int:
        """How many readings."""
        return sum(record.readings for _, record in self.rows)


def open_journal(path: Path) -> tuple[sqlite3.Connection, Found]:
    """Open the journal, under its lock, and read what is there; one that is not there yet is made.

    Raises:
        JournalError: it is none of ours.
        sqlite3.OperationalError: the disk is full or failing.
        OSError: as above.
    """
    _finish_salvage(path)
    create_private(path, path)
    log = read_log(content(log_path(path)))
    problem = problem_of(content(path, 16), log)
    if problem is None:
        db = database.connect(path)
        try:
            return db, _read(db, path, torn=log is not None and log.torn)
        except (sqlite3.DatabaseError, DamagedRecordError) as error:
            db.close()
            if _is_about_the_disk(error):
                raise
            problem = str(error)
        except BaseException:
            db.close()
            raise
    return _salvaged(path, problem)


def log_path(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def content(path: Path, most: int = -1) -> bytes:
    """Return what a file holds, or its beginning; nothing if it is not there."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except FileNotFoundError:
        return b""


def read_records(db: sqlite3.Connection, path: Path) -> Found:
    """Read what is in an open database.

    Raises:
        JournalError: it is none of ours.
        DamagedRecordError: some of it is damaged or missing.
        sqlite3.DatabaseError: it cannot be read.
    """
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and (application_id != APPLICATION_ID or tables != TABLES):
        raise _foreign(path)
    if not tables:
        return Found([], 0)
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedRecordError(verdict)
    everything: list[tuple[Row, Record]] = []
    for seq, body in db.execute("SELECT seq, body FROM entries"):
        record = decode(body)
        everything.append((Row(seq, record.start, record.stop, len(body)), record))
    done = max((record.done for _, record in everything), default=0)
    top = max((row.stop for row, _ in everything), default=0)
    rows = sorted((pair for pair in everything if pair[0].stop > done and pair[1].entries), key=lambda p: p[0].start)
    position = done
    for row, _ in rows:
        if row.start > position:
            raise DamagedRecordError(f"readings {position} to {row.start} are missing")
        position = row.stop
    kept = {row.seq for row, _ in rows}
    return Found(rows, top, [row.seq for row, _ in everything if row.seq not in kept])


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


def _read(db: sqlite3.Connection, path: Path, *, torn: bool) -> Found:
    found = attrs.evolve(read_records(db, path), torn=torn)
    database.prepare(db)
    if not found.top:
        database.insert(db, [], 0, 0)  # so that a damaged journal can always be told from a file of somebody else's
    return found


def salvaged_from(damaged: bytes, log: bytes, path: Path) -> Salvage:
    """Return what can still be read of a damaged database and its log.

    Raises:
        JournalError: they are none of ours.
    """
    if any(damaged) and not holds_records(damaged) and not holds_records(log):
        raise _foreign(path)
    return salvage(damaged, read_log(log))


def _salvaged(path: Path, problem: str) -> tuple[sqlite3.Connection, Found]:
    saved = salvaged_from(content(path), content(log_path(path)), path)
    fresh = fresh_path(path)
    fresh.unlink(missing_ok=True)
    create_private(fresh, path)
    db = database.connect(fresh)
    try:
        rows = _written(db, saved.records)
    finally:
        db.close()
    aside = _set_aside(path)
    fresh.rename(path)
    db = database.connect(path)
    database.prepare(db)
    damage = Damage(aside, problem, saved.readings, saved.lost, saved.unreadable)
    return db, Found(rows, rows[-1][0].stop if rows else 0, damage=damage)


def _written(db: sqlite3.Connection, records: list[Record]) -> list[tuple[Row, Record]]:
    database.prepare(db)
    rows: list[tuple[Row, Record]] = []
    position = 0
    with database.transaction(db):
        database.insert(db, [], 0, 0)
        for record in records:  # what is missing between them was told; it is not told again
            body = encode(record.entries, position, record.stop, 0)
            rows.append((database.insert_body(db, body, position, record.stop), record))
            position = record.stop
    return rows


def fresh_path(path: Path) -> Path:
    """Return where a new journal is made out of a damaged one."""
    return path.with_name(f"{path.name}-salvaged")


def _finish_salvage(path: Path) -> None:
    """Go on where a process died between moving the damaged file aside and putting the new one in its place."""
    fresh = fresh_path(path)
    if fresh.exists() and not path.exists():
        fresh.rename(path)


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while aside.exists():
        aside, number = path.with_name(f"{path.name}.damaged-{stamp}-{number}"), number + 1
    log = log_path(path)
    path.rename(aside)
    if log.exists():
        log.rename(log_path(aside))
    return aside


def _foreign(path: Path) -> JournalError:
    return JournalError(path, "this file is no journal of a writer; give another path, or move it away")


def _is_about_the_disk(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and any(
        sign in str(error) for sign in ("full", "disk I/O", "unable to open", "readonly")
    )
