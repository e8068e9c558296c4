"""What a source of readings is, and how others add theirs."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import attrs

from besmart_async.errors import BesmartError
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Chunk
from besmart_async.ingest.sources.layout import FileForm

CHUNK_ROWS = 200_000
"""Readings parsed at a time: large enough for numpy to pay, small enough for a steady progress bar."""


class SourceError(BesmartError):
    """A file that cannot be read, or cannot be read on.

    Attributes:
        file: the file's name.
        problem: what is wrong and what to do.
    """

    def __init__(self, file: str, problem: str) -> None:
        """Name the file and the problem."""
        super().__init__(f"{file}: {problem}")
        self.file = file
        self.problem = problem


@attrs.frozen
class Page:
    """What a source gives at a time: readings in columns, and rows that are none.

    Attributes:
        chunk: the readings.
        rejects: rows of the wrong shape.
        position: bytes of the file consumed so far.
    """

    chunk: Chunk
    rejects: tuple[Reject, ...]
    position: int

    @property
    def rows(self) -> int:
        """How many readings this is, those of the wrong shape included."""
        return len(self.chunk) + len(self.rejects)


class Source(Protocol):
    """Something that readings can be read from, page by page; iterated in a worker thread.

    Rows have the same numbers whenever it is read. None is in two pages, and none is of two meters: so a resumed job
    tells them apart by their numbers, and workers by their meters. A row may hold many readings. A source that is a
    file has it as an attribute `path`; without one nothing is recorded of it.
    """

    @property
    def name(self) -> str:
        """What to call it to people."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """How large it is, where that is known."""
        ...

    def check(self) -> tuple[str, ...]:
        """Look at the header; return the titles of columns that will not be used.

        Raises:
            SourceError: it cannot be opened, or its header lacks a column.
        """
        ...

    def pages(self) -> Generator[Page, None, None]:
        """Read it from the start.

        Raises:
            SourceError: it cannot be read on.
        """
        ...


class Format(Protocol):
    """A file format: what an entry point of the group `besmart_async.sources` names.

    The entry point's name is the format's: `--format NAME` and `format = "NAME"` in a mapping file choose it.
    """

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the names of its files, such as `.csv`; without `.gz` and `.zst`, which are looked through."""
        ...

    def source(self, path: Path | None, form: FileForm) -> Source:
        """Make a source of a file, or of standard input for None.

        Raises:
            SourceError: it cannot be read so.
        """
        ...
