"""Sources of readings and file formats: the protocols that other packages implement as well."""

from __future__ import annotations

import stat
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import attrs

from besmart_async.errors import BesmartError, visible
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Chunk
from besmart_async.ingest.sources.layout import FileForm
from besmart_async.ingest.sources.stored import StoredFile

CHUNK_ROWS = 200_000
"""Readings parsed at a time: enough for numpy to pay off, few enough for a smooth progress bar."""


LONGEST_TEXT = 1_000
"""Bytes of a text in a column that is read: a name, a time or a number. Names are kept for the whole run."""


class SourceError(BesmartError):
    """A file cannot be opened, or reading it failed halfway.

    Attributes:
        file: the file's name.
        problem: what is wrong and what to do.
    """

    def __init__(self, file: str, problem: str) -> None:
        """Name the file and the problem."""
        super().__init__(f"{visible(file, one_line=True)}: {problem}")
        self.file = file
        self.problem = problem


@attrs.frozen
class Page:
    """A piece of a source: readings in columns, and the rows that could not be split into columns.

    Attributes:
        chunk: the readings.
        rejects: malformed rows.
        position: bytes of the file consumed so far.
    """

    chunk: Chunk
    rejects: tuple[Reject, ...]
    position: int

    @property
    def rows(self) -> int:
        """The number of readings, with malformed rows counted as one each."""
        return len(self.chunk) + len(self.rejects)


class Source(Protocol):
    """Yields readings page by page; iterated in a worker thread.

    A row has the same number on every read, is in one page only, and belongs to one meter: a resumed job identifies
    rows by number, and workers divide them by meter. A row may hold many readings. A source that is a file has an
    attribute `path`; without it, and for a pipe, the checkpoint records nothing. A pipe is opened once, by `pages`.
    """

    @property
    def name(self) -> str:
        """The name in messages."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """The size in bytes; None if unknown."""
        ...

    def check(self) -> tuple[str, ...]:
        """Check the header; return the titles of unused columns.

        Raises:
            SourceError: the file cannot be opened, or its header lacks a column.
        """
        ...

    def pages(self) -> Generator[Page, None, None]:
        """Read from the start.

        Raises:
            SourceError: reading failed; the pages before are valid.
        """
        ...


class Format(Protocol):
    """A file format, registered by an entry point of the group `besmart_async.sources`.

    The entry point's name is the format's: `--format NAME` and `format = "NAME"` in a mapping file choose it.
    """

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File name suffixes such as `.csv`; a following `.gz` or `.zst` is ignored."""
        ...

    def source(self, path: Path | None, form: FileForm) -> Source:
        """Create a source for a file; None means standard input.

        Raises:
            SourceError: this format cannot read it.
        """
        ...


def is_stream(path: Path | StoredFile | None) -> bool:
    """Tell whether a path can be read only once: standard input (None), a pipe such as `<(...)`, a device, a socket."""
    if not isinstance(path, Path | None):
        return False
    try:
        mode = 0 if path is None else path.stat().st_mode
    except (OSError, ValueError):
        return False  # opening it will say what is wrong
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def file_of(source: Source) -> Path | StoredFile | None:
    """Return the file that a source is; None for standard input, a pipe, or a source without a path."""
    path: Path | StoredFile | None = getattr(source, "path", None)
    return None if is_stream(path) else path
