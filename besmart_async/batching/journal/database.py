"""The SQLite database of a journal, who may have it open, and what is said when it fails.

One writer at a time: the lock lies on the open file itself, so neither another name of the file (a symlink, a hard
link, a bind mount) nor a deleted file beside it lets a second writer in. The system releases it when the process ends,
however it ends. It is an "open file description" lock on a byte that SQLite does not use: independent of SQLite's own
POSIX locks, and kept when other descriptors of the file are closed. SQLite's locks are not kept then. So a process that
holds a journal never opens the file a second time (`held`).

One row of the table holds one record (`records.py`): that of a commit under a number above 0, its outcomes under the
same number below 0.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import struct
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

import attrs

from besmart_async.batching.journal.records import Write, count, encode
from besmart_async.errors import JournalError

if sys.platform != "win32":
    import fcntl

APPLICATION_ID = 0x42534D32
"""Tells a journal from other databases. The first version had another: it does not understand what is written now."""
APPLICATION_ID_1 = 0x42534D4A
TABLES = {"entries"}

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # the table is not what it was
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
}

_SQLITE_LOCKS = 0x40000000, 512
"""The bytes that SQLite locks: `PENDING_BYTE` and what follows."""
_OUR_LOCK = 0x40000000 + 1024, 1


# -- names -----------------------------------------------------------------------------------------------------------


def checked_path(journal: str | PathLike[str]) -> Path:
    """Return the path of a journal.

    Raises:
        JournalError: no file can have this name.
    """
    name = os.fspath(journal)
    if not isinstance(name, str):
        raise JournalError(repr(name), "its path is not text; give a str or a pathlib.Path")
    if not name:
        raise JournalError("''", "its path is empty; give the path of a file")
    if "\0" in name:
        raise JournalError(repr(name), "its path contains a NUL character; give the path of a file")
    if name == ":memory:":
        raise JournalError(name, "a journal in memory would not survive the process; give the path of a file")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise JournalError(ascii(name), "its path is not UTF-8, which SQLite needs; give another path") from None
    return Path(name)


def log_path(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def fresh_path(path: Path) -> Path:
    """Return where a new journal is made out of a damaged one."""
    return path.with_name(f"{path.name}-salvaged")


def real_path(path: Path) -> Path:
    """Return where a file is: beside that SQLite keeps its log, not beside a link to it."""
    return Path(os.path.realpath(path))


def content(path: Path, most: int = -1) -> bytes:
    """Return what a file holds, or its beginning; nothing if it is not there."""
    try:
        holder = _holder(path)
        if holder is not None:
            return os.pread(holder.descriptor, os.fstat(holder.descriptor).st_size if most < 0 else most, 0)
        with path.open("rb") as file:
            return file.read(most)
    except FileNotFoundError:
        return b""


# -- who has it ------------------------------------------------------------------------------------------------------

Identity = tuple[int, int]
_held: dict[Identity, JournalLock] = {}
_guard = threading.Lock()


class JournalLock:
    """The lock on one journal, from `take` to `release`.

    Attributes:
        path: where the file really is.
        descriptor: of the open file; -1 while it is not held.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self.path = journal
        self.descriptor = -1

    def take(self) -> None:
        """Open the file, which is created if it is not there, and take the lock.

        Raises:
            JournalError: another writer has it, or it cannot be opened.
            OSError: as above.
        """
        self.path = real_path(self._journal)
        with _guard:
            while True:
                self.descriptor = self._opened()
                if self.in_place:
                    _held[_identity(os.fstat(self.descriptor))] = self
                    return
                os.close(self.descriptor)  # somebody has just put another file there
                self.descriptor = -1

    @property
    def in_place(self) -> bool:
        """Whether the path still leads to the file that is locked."""
        return is_file(self.path, _identity(os.fstat(self.descriptor)))

    def replace(self, fresh: Path, aside: Path) -> None:
        """Put another file where the locked one is, and move that one away; from then on the other one is locked."""
        with _guard:
            descriptor = self._locked(fresh)
            log = log_path(self.path)
            self.path.rename(aside)
            if log.exists():
                log.rename(log_path(aside))
            fresh.rename(self.path)
            self._let_go()
            self.descriptor = descriptor
            _held[_identity(os.fstat(descriptor))] = self

    def release(self) -> None:
        """Give the lock back. A second time does nothing. SQLite must have closed the file by then."""
        with _guard:
            self._let_go()

    def _let_go(self) -> None:
        if self.descriptor >= 0:
            _held.pop(_identity(os.fstat(self.descriptor)), None)
            os.close(self.descriptor)
            self.descriptor = -1

    def _opened(self) -> int:
        if self.path.exists():
            return self._locked(self.path)
        fresh = fresh_path(self.path)
        if fresh.exists():  # a process died between moving a damaged file aside and putting the new one in its place
            descriptor = self._locked(fresh)
            fresh.rename(self.path)
            return descriptor
        with suppress(FileExistsError):
            create_private(self.path, self._journal)
        return self._locked(self.path)

    def _locked(self, path: Path) -> int:
        if _holder(path) is not None:
            raise self._taken(os.getpid())
        descriptor = _open(path, os.O_RDWR, self._journal)
        locked, owner = False, 0
        try:
            locked = _try_lock(descriptor)
            owner = 0 if locked else _owner(descriptor) or 0
        finally:
            if not locked:
                os.close(descriptor)
        if not locked:
            raise self._taken(owner)
        return descriptor

    def _taken(self, owner: int) -> JournalError:
        who = f"process {owner}" if owner else "another process"
        return JournalError(
            self._journal, f"{who} has it open: close that writer, or give each writer a journal of its own"
        )


def owner_of(path: Path) -> int | None:
    """Return the number of the process that has a journal open, 0 if it is unknown, None if nobody has."""
    with _guard:
        if _holder(path) is not None:
            return os.getpid()
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            return None
        try:
            return _owner(descriptor)
        finally:
            os.close(descriptor)


def is_file(path: Path, identity: Identity) -> bool:
    """Tell whether a path leads to this very file."""
    try:
        return _identity(path.stat()) == identity
    except OSError:
        return False


def identity_of(path: Path) -> Identity:
    """Return what tells a file from all others, whatever its name.

    Raises:
        OSError: it is not there.
    """
    return _identity(path.stat())


def create_private(path: Path, journal: Path) -> None:
    """Create an empty file that only its owner may read and write.

    Raises:
        FileExistsError: it is there.
        JournalError: it cannot be created.
    """
    os.close(_open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, journal))


def _open(path: Path, flags: int, journal: Path) -> int:
    try:
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        advice = "close some files, or raise the limit (ulimit -n)"
        if error.errno not in _NO_DESCRIPTORS:
            advice = "give a path in a folder that exists and is writable"
        raise JournalError(journal, f"{path.name} cannot be opened: {error.strerror}; {advice}") from error


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _holder(path: Path) -> JournalLock | None:
    """Return the lock that this process has on a file."""
    try:
        return _held.get(_identity(path.stat()))
    except OSError:
        return None


if sys.platform == "linux":
    _LOCK = struct.Struct("hhqqi0q")

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, *_OUR_LOCK, 0))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def _owner(descriptor: int) -> int | None:
        if _asked(descriptor, fcntl.F_OFD_GETLK, _OUR_LOCK) is None:
            return None
        return _asked(descriptor, fcntl.F_GETLK, _SQLITE_LOCKS) or 0  # who has the first cannot be asked

    def _asked(descriptor: int, how: int, where: tuple[int, int]) -> int | None:
        """Return the number of the process that has a lock, 0 if it is unknown; None: nobody has one there."""
        answer = fcntl.fcntl(descriptor, how, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, *where, 0))
        kind, _, _, _, process = _LOCK.unpack(answer)
        return None if kind == fcntl.F_UNLCK else max(0, process)

elif sys.platform != "win32":

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _owner(descriptor: int) -> int | None:
        return None if _try_lock(descriptor) else 0

else:

    def _try_lock(_: int) -> bool:
        return True  # SQLite's own lock has to do; nobody can move or delete an open file there

    def _owner(_: int) -> int | None:
        return None


def _leave_to_parent() -> None:
    # The child would keep the lock beyond the end of its parent. The guard may be held by a thread that it lacks.
    global _guard  # noqa: PLW0603
    _guard = threading.Lock()
    for lock in _held.values():
        os.close(lock.descriptor)
        lock.descriptor = -1
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


# -- the database ----------------------------------------------------------------------------------------------------

_PRAGMAS = (
    "page_size = 4096",
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
    db = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory file: nobody else may have it open
    return db


def prepare(db: sqlite3.Connection) -> None:
    """Make it a journal, unless it is one, and set what holds for this connection."""
    for pragma in _PRAGMAS:
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")


def insert(db: sqlite3.Connection, entries: Sequence[Write], start: int, floor: int, since: int) -> Row:
    """Add a commit; outside a transaction it is on disk when this returns."""
    stop = start + count(entries)
    return insert_body(db, encode(entries, start, stop, floor, since), start, stop)


def insert_body(db: sqlite3.Connection, body: bytes, start: int, stop: int) -> Row:
    """Add an encoded commit."""
    cursor = db.execute(
        "INSERT INTO entries (seq, body) SELECT 1 + max(0, ifnull(max(seq), 0)), ? FROM entries", (body,)
    )
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


def begin_log_anew(db: sqlite3.Connection) -> None:
    """Move what is in the log into the database, and empty the log."""
    (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("the log is in use")


# -- what is said ----------------------------------------------------------------------------------------------------


def is_busy(error: BaseException) -> bool:
    """Tell whether another program has the database open."""
    return isinstance(error, sqlite3.Error) and _code(error) in _BUSY


def is_damage(error: BaseException) -> bool:
    """Tell whether an error says that the content of the database is broken, and not that the disk or memory is."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) in _DAMAGED


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # 0: Python itself raised it


@contextmanager
def disk_errors_told(path: Path) -> Generator[None]:
    """Turn what the disk and SQLite raise into a `JournalError` that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        full = "full" in str(error) or (isinstance(error, OSError) and error.errno in _FULL)
        told = f"it cannot be written ({error}), so nothing was accepted; {_advice(error, full=full)}"
        raise JournalError(path, told, outcome="not_sent" if full or is_busy(error) else "in_doubt") from error


def _advice(error: Exception, *, full: bool) -> str:
    if full:
        return "free some space, then write again"
    if is_busy(error):
        return "another program has it open (a backup, sqlite3): wait until that has ended, then try again"
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
        return "close some files, or raise the limit (ulimit -n), then try again"
    return "check the disk and who may write there, then write again"
