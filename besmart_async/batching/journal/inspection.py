"""Looking into a journal without touching it, also while a writer has it open.

SQLite would at least move its log into the database when it closes it. So the files are read as they are, the whole
commits of the log are put in their places in memory, and SQLite opens that. Nothing is written, on a full disk neither.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import attrs

from besmart_async.batching.journal.database import content, fresh_path, is_damage, log_path, owner_of, real_path
from besmart_async.batching.journal.opening import problem_of, read_records, salvaged_from
from besmart_async.batching.journal.records import DamagedRecordError, Entry
from besmart_async.batching.journal.recovery import Recovered, Remainder
from besmart_async.batching.journal.salvage import Log, read_log
from besmart_async.batching.write.validation import Reading
from besmart_async.errors import JournalError

_TRIES = 5
"""A writer may empty its log while the files are read; then they are read again."""
_LOG_HEADER_BYTES = 32


@attrs.frozen
class Inspection:
    """What is in a journal, and who has it open.

    Attributes:
        path: the journal.
        readings: readings without an outcome; of a damaged journal those that can still be read.
        refused: readings that the service has refused, and that nobody has been told of yet.
        signals: how many signals they are of.
        commits: how many commits they are in.
        oldest: time of the earliest of them, UTC unix ms; None if there are none.
        newest: time of the latest of them.
        owner: number of the process that has it open, 0 if that is unknown; None: nobody has.
        problem: what is damaged; None: nothing.
        lost: readings known to be missing.
        unreadable: pieces that cannot be read; of the last ones it is not known how many readings they held.
        files: the files of the journal with their sizes in bytes.
        set_aside: damaged journals that were kept beside it, with their sizes in bytes.
    """

    path: Path
    readings: int
    refused: int
    signals: int
    commits: int
    oldest: float | None
    newest: float | None
    owner: int | None
    problem: str | None
    lost: int
    unreadable: int
    files: dict[str, int]
    set_aside: dict[str, int]


@attrs.frozen
class _Found:
    left: list[Remainder]
    problem: str | None = None
    lost: int = 0
    unreadable: int = 0

    @property
    def records(self) -> list[Recovered]:
        """What the next writer takes over."""
        return [piece for remainder in self.left for piece in remainder.pieces()]


def inspect(path: Path) -> Inspection:
    """Look into a journal; nothing on disk changes, whatever state it is in.

    Raises:
        JournalError: there is none, it is not ours, or it may not be read.
    """
    real = real_path(path)
    read = real if real.exists() or not fresh_path(real).exists() else fresh_path(real)  # died while it was salvaged
    try:
        found = _found(read, path)
    except OSError as error:
        raise JournalError(path, f"it cannot be read: {error.strerror or error}") from error
    pieces = found.records
    entries = [entry for piece in pieces for entry in piece.entries]
    spans = [_span(entry) for entry in entries if len(entry)]
    return Inspection(
        path=path,
        readings=sum(remainder.readings for remainder in found.left),
        refused=sum(len(entry) for piece in pieces if piece.refused for entry in piece.entries),
        signals=len({entry.key for entry in entries}),
        commits=len(found.left),
        oldest=min((first for first, _ in spans), default=None),
        newest=max((last for _, last in spans), default=None),
        owner=owner_of(real),
        problem=found.problem,
        lost=found.lost,
        unreadable=found.unreadable,
        files=_sizes([real, log_path(real), fresh_path(real)]),
        set_aside=_sizes(sorted(real.parent.glob(f"{_literal(real.name)}.damaged-*"))),
    )


def _found(path: Path, journal: Path) -> _Found:
    """Read until what was read belongs together: what a writer changes meanwhile looks like damage."""
    found = _Found([])
    for _ in range(_TRIES):
        before = content(log_path(path), _LOG_HEADER_BYTES)
        database, log = content(path), content(log_path(path))
        if not database and not log:
            if path.exists():
                return _Found([])  # nothing was written yet
            raise JournalError(journal, "there is no such file")
        found = _judged(database, log, journal)
        if found.problem is None and log[:_LOG_HEADER_BYTES] == before:
            break
    return found


def _judged(database: bytes, log_content: bytes, journal: Path) -> _Found:
    log = read_log(log_content)
    problem = problem_of(database, log)
    if problem is None:
        try:
            return _Found(_opened(database, log, journal))
        except (sqlite3.Error, DamagedRecordError) as error:
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise JournalError(journal, f"it cannot be read: {error}") from error
            problem = str(error)
    saved = salvaged_from(database, log_content, journal)
    return _Found(saved.left, problem, saved.lost, saved.unreadable)


def _opened(database: bytes, log: Log | None, journal: Path) -> list[Remainder]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(_image(database, log))
        return read_records(db, journal).left


def _image(database: bytes, log: Log | None) -> bytes:
    """Return the database as it is with the whole commits of its log, as one that has no log."""
    pages = bytearray(database)
    if log is not None:
        sound = log.frames[: log.sound]
        last = max((number for number, frame in enumerate(sound) if frame.commit), default=-1)
        for frame in sound[: last + 1]:
            start = (frame.page_number - 1) * log.page_bytes
            pages.extend(bytes(max(0, start - len(pages))))
            pages[start : start + log.page_bytes] = frame.page
    pages[18:20] = b"\x01\x01"
    return bytes(pages)


def _span(entry: Entry) -> tuple[float, float]:
    if isinstance(entry, Reading):
        return entry.time, entry.time
    return entry.time.min().item(), entry.time.max().item()


def _sizes(paths: list[Path]) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in paths if path.exists()}


def _literal(name: str) -> str:
    """Return a pattern that only this name matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
