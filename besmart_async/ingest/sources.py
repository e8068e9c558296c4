"""Where readings come from: CSV files in the long layout, plain or gzipped, and standard input.

A source gives chunks of uninterpreted columns with row numbers. Other formats and layouts become other sources; what
the columns mean is decided behind them (`parsing`, `mapping`).
"""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import BesmartError
from besmart_async.ingest.columns import Chunk, Coder
from besmart_async.ingest.gathering import Gathered
from besmart_async.ingest.layout import LongLayout
from besmart_async.ingest.report import Reject

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

CHUNK_ROWS = 50_000
"""Rows parsed at a time: large enough for numpy to pay, small enough for a steady progress bar."""

DELIMITERS = ",;\t|"
_GZIP = b"\x1f\x8b"
_OPTIONAL = ("signal", "unit", "origin", "zone")


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
    """What a source gives at a time: rows in columns, and rows that are none.

    Attributes:
        chunk: the rows.
        rejects: rows of the wrong shape.
        position: bytes of the file consumed so far.
    """

    chunk: Chunk
    rejects: tuple[Reject, ...]
    position: int

    @property
    def rows(self) -> int:
        """How many rows of the file this is."""
        return len(self.chunk) + len(self.rejects)


class Source(Protocol):
    """Something that readings can be read from, page by page; iterated in a worker thread.

    Rows have the same numbers whenever it is read. They ascend, none is in two pages, and none is of two meters: so a
    resumed job tells them apart by their numbers, and workers by their meters. A source that is a file has it as an
    attribute `path`; without one nothing is recorded of it.
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


@attrs.frozen
class CsvSource:
    """A CSV file with a header and one reading per row; gzip is recognised by its first bytes.

    Attributes:
        path: the file; None for standard input.
        encoding: how its text is encoded. UTF-8, with or without a byte-order mark, unless told.
        chunk_rows: rows per page.
    """

    path: Path | None
    encoding: str = "utf-8-sig"
    chunk_rows: int = CHUNK_ROWS

    @classmethod
    def of(cls, text: str, encoding: str = "utf-8-sig") -> CsvSource:
        """Make a source of a path, or of standard input for `-`."""
        return cls(None if text == "-" else Path(text), encoding)

    @property
    def name(self) -> str:
        """The path as given."""
        return "standard input" if self.path is None else str(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Size of the file as it is on disk, compressed or not."""
        return self.path.stat().st_size if self.path is not None and self.path.is_file() else None

    def check(self) -> tuple[str, ...]:
        """Read the header. Standard input is not looked at: it can be read once only."""
        if self.path is None:
            return ()
        with self._opened() as raw, self._explained(), self._text(raw) as text:
            return self._layout(text)[0].unused

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        with self._opened() as raw, self._explained(), self._text(raw) as text:
            layout, delimiter = self._layout(text)
            coders = {role: Coder() for role in ("meter", *_OPTIONAL) if role in layout.positions}
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            gathered = Gathered(layout.width, first_row=2)
            while self._fill(gathered, reader):
                yield self._page(layout, coders, gathered, raw.tell() if raw.seekable() else 0)
                gathered = Gathered(layout.width, gathered.next_row)

    def _fill(self, gathered: Gathered, reader: CsvReader) -> int:
        try:
            return gathered.fill(reader, self.chunk_rows)
        except csv.Error as error:
            raise SourceError(self.name, f"line {reader.line_num + 1} is not CSV: {error}") from None

    def _page(self, layout: LongLayout, coders: dict[str, Coder], gathered: Gathered, position: int) -> Page:
        def column(role: str) -> list[str]:
            return gathered.columns[layout.positions[role]]

        coded = {role: coder.encode(column(role)) for role, coder in coders.items()}
        chunk = Chunk(
            self.name,
            gathered.rows,
            coded["meter"],
            _texts(column("time")),
            _texts(column("value")),
            coded.get("signal"),
            coded.get("unit"),
            coded.get("origin"),
            coded.get("zone"),
            dict(layout.titles),
        )
        rejects = [
            Reject(
                self.name,
                row,
                None,
                _line(record),
                f"has {len(record)} fields where the header has {layout.width}",
                (("line", "", ",".join(record)),),
            )
            for row, record in gathered.misfits
        ]
        return Page(chunk, tuple(rejects), position)

    def _layout(self, text: TextIOWrapper) -> tuple[LongLayout, str]:
        line = text.readline()
        if not line.strip():
            raise SourceError(self.name, "is empty; a header such as meter,obis,time,value is expected")
        delimiter = max(DELIMITERS, key=line.count)
        try:
            return LongLayout.of(next(csv.reader([line], delimiter=delimiter))), delimiter
        except ValueError as error:
            raise SourceError(self.name, str(error)) from None

    @contextmanager
    def _opened(self) -> Generator[BinaryIO, None, None]:
        try:
            # Standard input gets an object of its own: the interpreter waits at exit for one that is being read.
            raw = os.fdopen(os.dup(0), "rb") if self.path is None else self.path.open("rb")
        except FileNotFoundError:
            raise SourceError(self.name, "no such file") from None
        except IsADirectoryError:
            raise SourceError(self.name, "is a folder; name the files in it, such as folder/*.csv.gz") from None
        except OSError as error:
            raise SourceError(self.name, f"cannot be opened: {error.strerror or error}") from None
        with raw:
            yield raw

    def _text(self, raw: BinaryIO) -> AbstractContextManager[TextIOWrapper]:
        start = raw.peek(2)[:2]  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        if start == _GZIP:
            binary = cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb"))
        elif self.path is not None and self.path.suffix == ".gz":
            raise SourceError(self.name, "is not gzip data, in spite of its name; rename it if it is plain text")
        else:
            binary = raw
        if start in (b"\xff\xfe", b"\xfe\xff") and not self.encoding.casefold().startswith("utf-16"):
            raise SourceError(self.name, "is UTF-16 text; say --encoding utf-16")
        return TextIOWrapper(binary, encoding=self.encoding, newline="")

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except UnicodeDecodeError as error:
            bad = error.object[error.start]
            raise SourceError(
                self.name,
                f"is not {self.encoding.removesuffix('-sig').upper()} text (byte 0x{bad:02x});"
                " say its encoding, such as --encoding cp1250",
            ) from None
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise SourceError(self.name, f"damaged or incomplete gzip data ({error}); fetch it again") from None
        except OSError as error:
            raise SourceError(self.name, f"cannot be read: {error.strerror or error}") from None


def _texts(column: list[str]) -> NDArray[np.object_]:
    array = np.empty(len(column), object)
    array[:] = column
    return array


def _line(record: list[str], limit: int = 60) -> str:
    text = ",".join(record)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
