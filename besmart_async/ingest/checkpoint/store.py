"""The acknowledged rows of each file, on disk: a second run sends only the rest.

Rules
-----
- A file is identified by its content (a digest) in a scope: all else that decides what its rows mean and where they go
  (the service, the account, options). Renamed or copied, it is the same file; changed, or in another scope, another.
- A file that only grew keeps what was done of it, except its last row, whose line may have been incomplete.
- A row is done when each of its readings was acknowledged, or was refused and its reject is in the same transaction.
- One process sends a file at a time, with its workers.
- A commit survives the death of the process. If the machine dies, the last commits may be lost; their rows are sent
  again. Several processes may commit for one file.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import attrs
import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.batching.journal.database import transaction
from besmart_async.errors import BesmartError, visible
from besmart_async.ingest.checkpoint.resume import Known, ResumePoint
from besmart_async.ingest.checkpoint.rows import BLOCK, NO_BITS, Bits, RowSet, by_block, flags, union, without_row
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import Source, SourceError, file_of
from besmart_async.ingest.sources.stored import StoredFile

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: files are not locked there
    fcntl = None  # type: ignore[assignment]

_PIECE_BYTES = 1 << 20
_BUSY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, path TEXT NOT NULL,
    UNIQUE (scope, digest)
);
CREATE TABLE IF NOT EXISTS blocks (
    file INTEGER NOT NULL, block INTEGER NOT NULL, bits BLOB, PRIMARY KEY (file, block)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejects (
    file INTEGER NOT NULL, number INTEGER NOT NULL, title TEXT NOT NULL, reject BLOB NOT NULL,
    PRIMARY KEY (file, number, title)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
_TABLES = frozenset({"files", "blocks", "rejects", "meta"})
_APPLICATION_ID = 0x62636B70
"""The header's bytes `bckp`; files of earlier versions have 0 there."""
_HEADER = b"SQLite format 3\0"
_SET = """
INSERT INTO blocks VALUES (?, ?, ?) ON CONFLICT (file, block) DO UPDATE SET bits = union_of(bits, excluded.bits)
"""


class CheckpointError(BesmartError):
    """The checkpoint file cannot be used; the text names it and says what to do."""


@attrs.frozen
class Digests:
    """The content of a file.

    Attributes:
        size: its bytes.
        whole: digest of all bytes.
        starts: digests of the first bytes, by their number: one for each requested size that the file has.
    """

    size: int
    whole: str
    starts: dict[int, str]


def digest(path: Path | StoredFile, sizes: Iterable[int] = ()) -> Digests:
    """Read a file once, at about 0.8 GB/s.

    Args:
        path: the file.
        sizes: numbers of first bytes that need a digest of their own.

    Raises:
        OSError: the file cannot be read.
    """
    wanted = sorted(set(sizes))
    starts: dict[int, str] = {}
    so_far = hashlib.blake2b(digest_size=20)
    read = 0
    with path.open("rb", buffering=0) as file:
        while True:
            if wanted and wanted[0] == read:
                starts[wanted.pop(0)] = so_far.hexdigest()
            piece = file.read(min(_PIECE_BYTES, wanted[0] - read) if wanted else _PIECE_BYTES)
            if not piece:
                return Digests(read, so_far.hexdigest(), starts)
            so_far.update(piece)
            read += len(piece)


class FileLocks:
    """Locks on the bytes of a file, one byte for each number; they end with the process, however it ends.

    Args:
        path: the file; created if it does not exist, and left empty.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)

    def acquire(self, number: int) -> bool:
        """Lock a number for this process; return False if another process holds it."""
        if fcntl is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Release all locks."""
        os.close(self._file)


@attrs.define
class PendingCommit:
    """What to commit next. Once it is packed nothing is added.

    Attributes:
        rows: (file id, row numbers) that are done.
        rejects: (file id, reject).
        blocks: `rows` as `pack` packs them: bits by (file id, block).
    """

    rows: list[tuple[int, NDArray[np.int64]]] = attrs.field(factory=list[tuple[int, NDArray[np.int64]]])
    rejects: list[tuple[int, Reject]] = attrs.field(factory=list[tuple[int, Reject]])
    blocks: dict[tuple[int, int], Bits] = attrs.field(init=False, factory=dict[tuple[int, int], Bits])

    def __bool__(self) -> bool:
        return bool(self.rows or self.rejects)

    def pack(self) -> None:
        """Do the work that needs no transaction, unless it is done already."""
        if self.blocks:
            return
        for file, rows in self.rows:
            for block, bits in by_block(rows):
                self.blocks[file, block] = union(self.blocks.get((file, block), NO_BITS), bits)


class Checkpoint:
    """A SQLite file that records what is done; use it as a context manager. Only one thread may use it at a time.

    Args:
        path: the file; created with its folder if it does not exist, readable by its owner only.
        scope: everything else that decides what the rows of files mean and where they go. It may be set later, before
            the first file is looked up.
        former_scope: what an earlier version took for the scope. What is done there does not count, but is reported.

    Attributes:
        salt: random bytes of this file, for fingerprints that become part of a scope.

    Raises:
        CheckpointError: the file cannot be opened, or is something else. Then it is left as it is.
    """

    def __init__(self, path: Path, scope: str = "", *, former_scope: str | None = None) -> None:
        self.path = path
        self.scope = scope
        self._former_scope = former_scope
        with self._explained():
            place = path.resolve()  # by whatever name: SQLite's own files and the locks are beside the file itself
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._check(place)
            os.close(os.open(place, os.O_CREAT | os.O_RDWR, 0o600))
            self._locks = FileLocks(place.with_name(f"{place.name}.lock"))
            self._db = sqlite3.connect(place, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.create_function("union_of", 2, union, deterministic=True)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with transaction(self._db):
                for statement in _SCHEMA.strip().rstrip(";").split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._db.execute("INSERT OR IGNORE INTO meta VALUES ('salt', ?)", (os.urandom(16),))
                row = self._row("SELECT value FROM meta WHERE name = 'salt'")
            self.salt: bytes = row[0] if row else b""

    def _check(self, place: Path) -> None:
        """Refuse what is not a checkpoint, before anything is changed."""
        try:
            found = place.stat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise self._unusable("it is not a file")
        if found.st_nlink > 1:  # SQLite's log would be beside one name only
            raise self._unusable("it has another name, a hard link")
        if not found.st_size:
            return
        with place.open("rb") as file:
            head = file.read(len(_HEADER))
        if head != _HEADER or not _is_checkpoint(place):
            raise self._unusable("it is something else, and is left as it is")

    def _unusable(self, problem: object) -> CheckpointError:
        text = f"{self.path}: cannot be used as a checkpoint ({problem}); name another file with --checkpoint"
        return CheckpointError(text)

    def begin(self, path: Path | StoredFile, name: str) -> ResumePoint:
        """Look a file up, add it if it is new, and lock it for this process until `close`.

        Raises:
            CheckpointError: the checkpoint cannot be read or written, or another process is sending the file.
            OSError: the file cannot be read.
        """
        found = self._look_up(path, name)
        if found.number is not None and not self._locks.acquire(found.number):
            raise CheckpointError(f"{name}: another process is sending it; wait until it has ended")
        return found

    def _look_up(self, path: Path | StoredFile, name: str) -> ResumePoint:
        where = visible(str(path.resolve()))  # SQLite takes no name that is not Unicode
        with self._explained():
            before = self._row("SELECT id, digest, size FROM files WHERE scope = ? AND path = ?", self.scope, where)
        found = digest(path, [before[2]] if before else [])
        with self._explained(), transaction(self._db):
            same = self._row("SELECT id FROM files WHERE scope = ? AND digest = ?", self.scope, found.whole)
            if same is not None:
                self._db.execute("UPDATE files SET path = ? WHERE id = ?", (where, same[0]))
                return self._resume_point(name, same[0], "resumed")
            if before is not None and found.starts.get(before[2]) == before[1]:
                query = "UPDATE files SET digest = ?, size = ? WHERE id = ?"
                self._db.execute(query, (found.whole, found.size, before[0]))
                self._undo_last(before[0])
                return self._resume_point(name, before[0], "grown")
            if before is not None:
                self._forget(before[0])
            former = self._row("SELECT id FROM files WHERE scope = ? AND digest = ?", self._former_scope, found.whole)
            values = (self.scope, found.whole, found.size, where)
            number = self._db.execute(
                "INSERT INTO files (scope, digest, size, path) VALUES (?, ?, ?, ?)", values
            ).lastrowid
            known: Known = "former" if former is not None else "new" if before is None else "changed"
            return ResumePoint(name, known, number=number)

    def restart(self, path: Path | StoredFile) -> None:
        """Forget what was done of a file.

        Raises:
            CheckpointError: the checkpoint cannot be written.
            OSError: the file cannot be read.
        """
        whole = digest(path).whole
        with self._explained(), transaction(self._db):
            found = self._row("SELECT id FROM files WHERE scope = ? AND digest = ?", self.scope, whole) or self._row(
                "SELECT id FROM files WHERE scope = ? AND path = ?", self.scope, str(path.resolve())
            )
            if found is not None:
                self._forget(found[0])

    def commit(self, pending: PendingCommit) -> None:
        """Write what is done, all or nothing.

        Raises:
            CheckpointError: the checkpoint cannot be written.
        """
        pending.pack()
        rejects = [
            (
                file,
                one.row,
                _title(one),
                orjson.dumps(attrs.astuple(attrs.evolve(one, file=visible(one.file)))),
            )
            for file, one in pending.rejects
        ]
        with self._explained(), transaction(self._db):
            self._db.executemany(_SET, [(*block, bits) for block, bits in pending.blocks.items()])
            self._db.executemany("INSERT OR REPLACE INTO rejects VALUES (?, ?, ?, ?)", rejects)

    def rejects(self, resume: ResumePoint) -> Iterator[Reject]:
        """Yield the recorded rejects of a file, in the order of its rows, with its present name.

        Raises:
            CheckpointError: they cannot be read.
        """
        with self._explained(), closing(self._db.cursor()) as cursor:
            refused = set(resume.refused.tolist())
            query = "SELECT number, reject FROM rejects WHERE file = ? ORDER BY number, title"
            for row, text in cursor.execute(query, (resume.number,)):
                if row in refused:
                    yield attrs.evolve(Reject.of(orjson.loads(text)), file=resume.file)

    def close(self) -> None:
        """Close the file and release its locks; what was committed stays."""
        self._db.close()
        self._locks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resume_point(self, name: str, number: int, known: Known) -> ResumePoint:
        done = RowSet(dict(self._db.execute("SELECT block, bits FROM blocks WHERE file = ?", (number,))))
        if not done:
            return ResumePoint(name, "new", number=number)
        query = "SELECT number FROM rejects WHERE file = ? ORDER BY number"
        refused = np.array([row for (row,) in self._db.execute(query, (number,))], np.int64)
        refused = refused[done.holds(refused)]  # a wide row that is not done is checked again
        return ResumePoint(name, known, done, len(done), len(refused), refused, number)

    def _undo_last(self, number: int) -> None:
        query = "SELECT block, bits FROM blocks WHERE file = ? ORDER BY block DESC LIMIT 1"
        found = self._db.execute(query, (number,)).fetchone()
        if found is None:
            return
        block, bits = found
        last = int(np.flatnonzero(flags(bits))[-1])
        values = (without_row(bits, last), number, block)
        self._db.execute("UPDATE blocks SET bits = ? WHERE file = ? AND block = ?", values)
        self._db.execute("DELETE FROM rejects WHERE file = ? AND number = ?", (number, block * BLOCK + last))

    def _forget(self, number: int) -> None:
        for table, column in (("blocks", "file"), ("rejects", "file"), ("files", "id")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))  # noqa: S608 - names of ours

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        return found

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._unusable(getattr(error, "strerror", None) or error) from None


def _is_checkpoint(place: Path) -> bool:
    """Whether a SQLite file is a checkpoint, or empty. It is only read; nothing appears or changes beside it."""
    alone = not place.with_name(f"{place.name}-wal").exists()
    address = f"{place.as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_S)) as db:
        (application_id,) = db.execute("PRAGMA application_id").fetchone()
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return application_id in (0, _APPLICATION_ID) and tables <= _TABLES


def look_up(checkpoint: Checkpoint | None, sources: Sequence[Source]) -> list[ResumePoint]:
    """Return what earlier runs have done of each source. Standard input and pipes have no checkpoint.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        SourceError: a file cannot be read.
    """
    found: list[ResumePoint] = []
    for source in sources:
        path = file_of(source)
        try:
            if checkpoint is None or path is None:
                found.append(ResumePoint(source.name))
            else:
                found.append(checkpoint.begin(path, source.name))
        except OSError as error:
            raise SourceError(source.name, f"cannot be read: {error.strerror or error}") from None
    return found


def _title(reject: Reject) -> str:
    """What tells the rejects of one row apart: the column, and the time in files with several readings in a row."""
    time = next((text for role, _, text in reject.record if role == "time"), "")
    return f"{reject.column or reject.value} {time}".strip()
