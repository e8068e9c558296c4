"""Digests of files, and of as much of a file as was there when it was seen before.

Which files a process is sending: two at the same file would overtake each other.

What of which file has been acknowledged, on disk: a second run sends only the rest.

Rules
-----
- A file is what it holds (its digest), in a scope: whatever else decides what its rows mean and where they go (the
  service, the account, options). Renamed or copied, it is the same; changed, or in another scope, it is another.
- A file that merely grew keeps what was done of it, without the last row: its line may not have been whole.
- A row is done when each of its readings was acknowledged, or was refused and its reject is in the same transaction.
- A file is sent by one process at a time, or by one and its workers.
- A commit survives the death of the process. The death of the machine may take the last ones with it; those rows are
  sent again. Several processes may commit for one file.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import attrs
import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.batching.journal.database import transaction
from besmart_async.errors import BesmartError
from besmart_async.ingest.checkpoint.resume import Known, Start
from besmart_async.ingest.checkpoint.rows import BLOCK, NO_BITS, Bits, RowSet, by_block, flags, union, without_row
from besmart_async.ingest.report import Reject

_PIECE = 1 << 20


@attrs.frozen
class Digests:
    """What a file holds.

    Attributes:
        size: its bytes.
        whole: digest of all of them.
        starts: digest of its first so many bytes, for each size that was asked for and that it has.
    """

    size: int
    whole: str
    starts: dict[int, str]


def digest(path: Path, sizes: Iterable[int] = ()) -> Digests:
    """Read a file once; some 0.8 GB/s.

    Args:
        path: the file.
        sizes: of these many first bytes the digest is wanted as well.

    Raises:
        OSError: it cannot be read.
    """
    wanted = sorted(set(sizes))
    starts: dict[int, str] = {}
    so_far = hashlib.blake2b(digest_size=20)
    read = 0
    with path.open("rb", buffering=0) as file:
        while True:
            if wanted and wanted[0] == read:
                starts[wanted.pop(0)] = so_far.hexdigest()
            piece = file.read(min(_PIECE, wanted[0] - read) if wanted else _PIECE)
            if not piece:
                return Digests(read, so_far.hexdigest(), starts)
            so_far.update(piece)
            read += len(piece)


try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: there nobody is kept apart
    fcntl = None  # type: ignore[assignment]


class Claims:
    """Locks on the bytes of a file, one for each number; they end with the process, however it ends.

    Args:
        path: the file; made if there is none, and left empty.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)

    def take(self, number: int) -> bool:
        """Claim a number for this process; tell whether no other has it."""
        if fcntl is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Give up what is claimed."""
        os.close(self._file)


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
PRAGMA user_version = 1;
"""
_SET = """
INSERT INTO blocks VALUES (?, ?, ?) ON CONFLICT (file, block) DO UPDATE SET bits = union_of(bits, excluded.bits)
"""


class CheckpointError(BesmartError):
    """The file with the checkpoint cannot be used; its text names it and tells what to do."""


@attrs.define
class Marks:
    """What is to be committed. Once it is packed nothing is added.

    Attributes:
        rows: numbers of files, and rows of them that are done.
        rejects: numbers of files, and rejects.
        blocks: the rows as `pack` packs them: bits of blocks, by the numbers of file and block.
    """

    rows: list[tuple[int, NDArray[np.int64]]] = attrs.field(factory=list[tuple[int, NDArray[np.int64]]])
    rejects: list[tuple[int, Reject]] = attrs.field(factory=list[tuple[int, Reject]])
    blocks: dict[tuple[int, int], Bits] = attrs.field(init=False, factory=dict[tuple[int, int], Bits])

    def __bool__(self) -> bool:
        return bool(self.rows or self.rejects)

    def pack(self) -> None:
        """Do what can be done before the commit, unless it is done already."""
        if self.blocks:
            return
        for file, rows in self.rows:
            for block, bits in by_block(rows):
                self.blocks[file, block] = union(self.blocks.get((file, block), NO_BITS), bits)


class Checkpoint:
    """A file with what is done; closed with `close`. Used by one thread at a time.

    Args:
        path: the file; made with its folder if there is none, readable by its owner only.
        scope: what else decides what the rows of files mean and where they go.

    Raises:
        CheckpointError: it cannot be opened.
    """

    def __init__(self, path: Path, scope: str = "") -> None:
        self.path = path
        self.scope = scope
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._claims = Claims(path.with_name(f"{path.name}.lock"))
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.create_function("union_of", 2, union, deterministic=True)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with transaction(self._db):
                for statement in _SCHEMA.strip().rstrip(";").split(";"):
                    self._db.execute(statement)

    def begin(self, path: Path, name: str) -> Start:
        """Look a file up, remember it, and claim it for this process until `close`.

        Raises:
            CheckpointError: the checkpoint cannot be read or written, or another process is sending the file.
            OSError: the file cannot be read.
        """
        start = self._look_up(path, name)
        if start.number is not None and not self._claims.take(start.number):
            raise CheckpointError(f"{name}: another process is sending it; wait until it has ended")
        return start

    def _look_up(self, path: Path, name: str) -> Start:
        where = str(path.resolve())
        with self._explained():
            before = self._row("SELECT id, digest, size FROM files WHERE scope = ? AND path = ?", self.scope, where)
        found = digest(path, [before[2]] if before else [])
        with self._explained(), transaction(self._db):
            same = self._row("SELECT id FROM files WHERE scope = ? AND digest = ?", self.scope, found.whole)
            if same is not None:
                self._db.execute("UPDATE files SET path = ? WHERE id = ?", (where, same[0]))
                return self._start(name, same[0], "resumed")
            if before is not None and found.starts.get(before[2]) == before[1]:
                query = "UPDATE files SET digest = ?, size = ? WHERE id = ?"
                self._db.execute(query, (found.whole, found.size, before[0]))
                self._undo_last(before[0])
                return self._start(name, before[0], "grown")
            if before is not None:
                self._forget(before[0])
            values = (self.scope, found.whole, found.size, where)
            number = self._db.execute(
                "INSERT INTO files (scope, digest, size, path) VALUES (?, ?, ?, ?)", values
            ).lastrowid
            return Start(name, "new" if before is None else "changed", number=number)

    def restart(self, path: Path) -> None:
        """Forget what is done of a file.

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

    def commit(self, marks: Marks) -> None:
        """Write what is done, all or nothing.

        Raises:
            CheckpointError: it cannot be written.
        """
        marks.pack()
        with self._explained(), transaction(self._db):
            self._db.executemany(_SET, [(*place, bits) for place, bits in marks.blocks.items()])
            self._db.executemany(
                "INSERT OR REPLACE INTO rejects VALUES (?, ?, ?, ?)",
                [
                    (file, one.row, one.column or one.value, orjson.dumps(attrs.astuple(one)))
                    for file, one in marks.rejects
                ],
            )

    def rejects(self, start: Start) -> Iterator[Reject]:
        """Yield the rejects that were recorded of a file, in the order of its rows, under its present name.

        Raises:
            CheckpointError: they cannot be read.
        """
        with self._explained(), closing(self._db.cursor()) as cursor:
            refused = set(start.refused.tolist())
            query = "SELECT number, reject FROM rejects WHERE file = ? ORDER BY number, title"
            for row, text in cursor.execute(query, (start.number,)):
                if row in refused:
                    yield attrs.evolve(Reject.of(orjson.loads(text)), file=start.file)

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._db.close()
        self._claims.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, name: str, number: int, known: Known) -> Start:
        done = RowSet(dict(self._db.execute("SELECT block, bits FROM blocks WHERE file = ?", (number,))))
        if not done:
            return Start(name, "new", number=number)
        query = "SELECT number FROM rejects WHERE file = ? ORDER BY number"
        refused = np.array([row for (row,) in self._db.execute(query, (number,))], np.int64)
        refused = refused[done.holds(refused)]  # a wide row that is not done is judged again
        return Start(name, known, done, len(done), len(refused), refused, number)

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
        except sqlite3.DatabaseError as error:
            problem = f"{self.path}: cannot be used as a checkpoint ({error}); name another file with --checkpoint"
            raise CheckpointError(problem) from None
