"""Records in memory while they are few, and in temporary files beyond that, which are read part by part."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import BesmartError

RECORD = np.dtype([("series", "i4"), ("origin", "i8"), ("time", "f8"), ("value", "f8"), ("file", "i4"), ("row", "i8")])
"""A reading of a check: the number of its signal, origin, UTC unix milliseconds, value, and its file and row."""

IN_MEMORY = 1_000_000
"""Records kept in memory: 40 MB."""
PARTS = 256
"""Parts of the temporary files: one of them is in memory at a time."""


class SpillError(BesmartError):
    """Temporary files cannot be created, written or read; the text says where they are and what to do."""

    def __init__(self, error: OSError) -> None:
        """Name the folder of temporary files and the system's reason."""
        try:
            folder = tempfile.gettempdir()
        except OSError:  # there is none that can be written to
            folder = "no folder"
        if error.errno == errno.EMFILE:
            advice = f"allow more open files, such as with ulimit -n {4 * PARTS}"
        else:
            advice = "make room there, or set TMPDIR to a folder on a disk with more room"
        super().__init__(f"temporary files in {folder}: {error.strerror or error}; {advice}")


Records = NDArray[np.void]


class Spill:
    """Partitions records by the number of their signal: all records of a signal are in one part.

    Args:
        in_memory: records kept in memory.
        parts: number of files beyond that.
        record: the type of a record.
        by: the field with the number of the signal.
        prefix: prefix of the name of the temporary folder.
    """

    def __init__(
        self,
        in_memory: int = IN_MEMORY,
        parts: int = PARTS,
        *,
        record: np.dtype[np.void] = RECORD,
        by: str = "series",
        prefix: str = "besmart-check-",
    ) -> None:
        self._in_memory = in_memory
        self._parts = parts
        self._record = record
        self._by = by
        self._prefix = prefix
        self._held: list[Records] = []
        self._size = 0
        self._exit = ExitStack()
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def add(self, records: Records) -> None:
        """Add records; `parts` yields them in this order.

        Raises:
            SpillError: the temporary files cannot be written.
        """
        self._held.append(records)
        self._size += len(records)
        if self._size > self._in_memory:
            with self._explained():
                self._write()

    def parts(self) -> Iterator[Records]:
        """Yield all records, part by part, in the order in which they were added.

        Raises:
            SpillError: the temporary files cannot be written or read.
        """
        if not self._files:
            if self._held:
                yield np.concatenate(self._held)
            return
        with self._explained():
            self._write()
        for file in self._files:
            with self._explained():
                file.seek(0)
                content = file.read()
            yield np.frombuffer(content, self._record)

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise SpillError(error) from None

    def _write(self) -> None:
        if not self._held:
            return
        if not self._files:
            folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix=self._prefix)))
            self._files = [
                self._exit.enter_context((folder / str(part)).open("w+b", buffering=0)) for part in range(self._parts)
            ]
        records = np.concatenate(self._held)
        self._held, self._size = [], 0
        part = records[self._by] % self._parts
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(self._parts + 1))
        for number, file in enumerate(self._files):
            chosen = order[bounds[number] : bounds[number + 1]]
            if len(chosen):
                self._append(file, records[chosen].tobytes())

    @staticmethod
    def _append(file: BinaryIO, content: bytes) -> None:
        """Write all of it: on a disk that fills up, a file without a buffer takes a part and says so."""
        written = file.write(content)
        while written < len(content):
            written += file.write(content[written:])
