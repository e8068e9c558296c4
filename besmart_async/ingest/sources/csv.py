"""Blocks of CSV to arrow columns: as texts, a row at fault told with its number.

CSV files: long or wide, plain, gzipped or packed with zstd, and standard input.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.rejects import TOLD, form_of_rejects
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.base import CHUNK_ROWS, Page, SourceError
from besmart_async.ingest.sources.blocks import BLOCK_BYTES, LONGEST_RECORD, Block, blocks, odd_lines
from besmart_async.ingest.sources.columns import Column, Paging, as_column, pa, pa_csv
from besmart_async.ingest.sources.compression import opened, pieces
from besmart_async.ingest.sources.layout import FileForm, Layout, per_day


@attrs.frozen(eq=False)
class Table:
    """The rows of a block.

    Attributes:
        rows: their numbers, shape (n,).
        columns: the columns that were asked for, by index.
        misfits: rows with another number of fields, and their text; blank lines are none.
        faults: rows that are no CSV, their text and why.
    """

    rows: NDArray[np.int64]
    columns: dict[int, Column]
    misfits: list[tuple[int, str]]
    faults: list[tuple[int, str, str]]


@attrs.frozen
class TableReader:
    """Reads blocks of one file.

    Attributes:
        width: fields of a row.
        delimiter: between them.
        used: indexes of the columns to read.
    """

    width: int
    delimiter: str
    used: tuple[int, ...]

    def read(self, block: Block) -> Table:
        """Read a block; rows that arrow would misread are read one by one."""
        quoted = b'"' in block.text
        if not quoted or not len(odd_lines(block.text)):
            table = self._by_arrow(block)
            if table is not None:
                return table
        return self._by_record(block)

    def _by_arrow(self, block: Block) -> Table | None:
        """Read a block without records over several lines; None if that is not what it is."""
        text, lines = _without_blank_lines(block)
        if not len(lines):
            return self._table(lines, [[] for _ in range(self.width)], [], [])
        misfits: list[tuple[int, str]] = []

        def misfit(row: Any) -> str:
            misfits.append((row.number - 1, row.text))
            return "skip"

        names = [str(index) for index in range(self.width)]
        used = [str(index) for index in self.used]
        found = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            pa_csv.ParseOptions(delimiter=self.delimiter, invalid_row_handler=misfit, ignore_empty_lines=False),
            pa_csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(used, pa.string()),
                include_columns=used,
                null_values=[],
                strings_can_be_null=False,
            ),
        )
        if found.num_rows + len(misfits) != len(lines):
            return None
        rows = np.delete(lines, [place for place, _ in misfits]) if misfits else lines
        columns = {int(name): found.column(name).combine_chunks() for name in used}
        told = [(int(lines[place]), text) for place, text in misfits if text.strip()]
        return Table(rows, {index: as_column(column) for index, column in columns.items()}, told, [])

    def _by_record(self, block: Block) -> Table:
        rows: list[int] = []
        records: list[list[str]] = []
        misfits: list[tuple[int, str]] = []
        faults: list[tuple[int, str, str]] = []
        lines = block.text.decode().split("\n")[:-1]
        for row, text, found in self._records(lines, block.first_row):
            if isinstance(found, str):
                faults.append((row, text, found))
            elif len(found) == self.width:
                rows.append(row)
                records.append(found)
            elif text.strip():
                misfits.append((row, text))
        columns: list[list[str]] = [list(column) for column in zip(*records, strict=True)]
        return self._table(np.array(rows, np.int64), columns or [[] for _ in range(self.width)], misfits, faults)

    def _table(
        self,
        rows: NDArray[np.int64],
        columns: Sequence[list[str]],
        misfits: list[tuple[int, str]],
        faults: list[tuple[int, str, str]],
    ) -> Table:
        return Table(rows, {index: pa.array(columns[index], pa.string()) for index in self.used}, misfits, faults)

    def _records(self, lines: Sequence[str], first_row: int) -> Iterator[tuple[int, str, list[str] | str]]:
        """Yield (row, text, fields or what is wrong) of each record, over several lines where that makes it whole."""
        place = 0
        while place < len(lines):
            found = self._parsed(lines[place : place + 1])
            end = place + 1
            if isinstance(found, str) and lines[place].count('"') % 2:
                for closing in range(place + 1, min(place + LONGEST_RECORD, len(lines))):
                    if lines[closing].count('"') % 2:
                        longer = self._parsed(lines[place : closing + 1])
                        if not isinstance(longer, str) and len(longer) == self.width:
                            found, end = longer, closing + 1
                        break
            yield first_row + place, lines[place], found
            place = end

    def _parsed(self, lines: Sequence[str]) -> list[str] | str:
        try:
            records = list(csv.reader([f"{line}\n" for line in lines], delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            told = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            return f"is not CSV: {told}"
        return records[0] if len(records) == 1 else "is not CSV: several records"

    def fields(self, text: str) -> list[str]:
        """The fields of a row of another width; none if it is no CSV."""
        found = self._parsed([text])
        return [] if isinstance(found, str) else found


def _without_blank_lines(block: Block) -> tuple[bytes, NDArray[np.int64]]:
    """Return a block's text without its empty lines, and the numbers of the others."""
    rows = np.arange(block.first_row, block.first_row + block.lines, dtype=np.int64)
    if (np.diff(block.ends, prepend=-1) > 1).all():
        return block.text, rows
    lines = block.text.split(b"\n")[:-1]
    kept = [place for place, line in enumerate(lines) if line]
    return b"".join(lines[place] + b"\n" for place in kept), rows[kept]


DELIMITERS = ",;\t|"
_HEADER_BYTES = 64 << 10


@attrs.frozen
class CsvSource:
    """A CSV file with a header; how it is packed is recognised by its first bytes.

    Memory: a block of 2 MiB of text in arrow columns, and the readings of a page.

    Attributes:
        path: the file; None for standard input.
        encoding: how its text is encoded. UTF-8, with or without a byte-order mark, unless told.
        chunk_rows: readings per page, about.
        form: what else is told of its form. Its `encoding` is not looked at here.
        block_bytes: text read at a time.
    """

    path: Path | None
    encoding: str = "utf-8-sig"
    chunk_rows: int = CHUNK_ROWS
    form: FileForm = attrs.field(factory=FileForm)
    block_bytes: int = BLOCK_BYTES

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
        """Size of the file as it is on disk, packed or not."""
        return self.path.stat().st_size if self.path is not None and self.path.is_file() else None

    def check(self) -> tuple[str, ...]:
        """Read the header. Standard input is not looked at: it can be read once only."""
        if self.path is None:
            return ()
        with self._blocks(min(_HEADER_BYTES, self.block_bytes)) as (_, found):
            return self._headed(next(found, None))[0].unused

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        with self._blocks(self.block_bytes) as (raw, found):
            block: Block | None
            layout, delimiter, block = self._headed(next(found, None))
            reader = _Reader(self.name, layout, TableReader(layout.width, delimiter, layout.used))
            while block is not None:
                yield from reader.pages(block, self.chunk_rows, raw.tell() if raw.seekable() else 0)
                block = next(found, None)

    @contextmanager
    def _blocks(self, size: int) -> Generator[tuple[BinaryIO, Generator[Block, None, None]], None, None]:
        with opened(self.path, self.name) as raw:
            found = blocks(pieces(raw, self.path, self.name), self.encoding, self.name, size)
            yield raw, found

    def _headed(self, block: Block | None) -> tuple[Layout, str, Block]:
        """Return what the header tells, and the rest of the first block."""
        rejects = block is not None and block.text.startswith(TOLD[0].encode())
        header_row = 1 if rejects else self.form.header_row
        lines = block.text.split(b"\n", max(1, header_row))[:-1] if block else []
        if block is None or not lines or len(lines) < header_row or not lines[-1].strip():
            if block and block.broken:
                raise SourceError(
                    self.name, f"is not UTF-8 text{_at(block)}; say its encoding, such as --encoding cp1250"
                )
            raise SourceError(self.name, "is empty; a header such as meter,obis,time,value is expected")
        line = lines[-1].decode()
        delimiter = self.form.delimiter or max(DELIMITERS, key=line.count)
        try:
            header = next(csv.reader([line], delimiter=delimiter))
            if not header_row:
                header = [str(number) for number in range(1, len(header) + 1)]
            layout = Layout.of(header, form_of_rejects(self.form, len(header)) if rejects else self.form)
        except (ValueError, csv.Error) as error:
            raise SourceError(self.name, str(error)) from None
        skipped = header_row
        start = sum(len(line) + 1 for line in lines[:skipped])
        broken = {row: text for row, text in block.broken.items() if row > skipped}
        return layout, delimiter, Block(skipped + 1, block.text[start:], broken)


@attrs.frozen
class _Reader:
    """Makes pages of the blocks of one file."""

    name: str
    layout: Layout
    tables: TableReader
    paging: Paging = attrs.field(
        default=attrs.Factory(lambda self: Paging(self.name, self.layout), takes_self=True), init=False
    )

    def pages(self, block: Block, readings: int, position: int) -> Generator[Page, None, None]:
        """Read a block; every row and reject is in one page."""
        table = self.tables.read(block)
        ragged, rejects = self._judged(table, block)
        size = self.paging.rows_at_a_time(readings)
        starts = range(0, len(table.rows), size) or range(1)
        for start in starts:
            rows = table.rows[start : start + size]
            columns = {index: column.slice(start, size) for index, column in table.columns.items()}
            last = int(rows[-1]) if start != starts[-1] else block.first_row + block.lines
            own = tuple(reject for reject in rejects if reject.row <= last)
            rejects = [reject for reject in rejects if reject.row > last]
            if len(rows) or own:
                yield Page(self.paging.chunk(rows, columns), own, position)
        if ragged:
            yield Page(self.paging.chunk(*self._padded(ragged)), (), position)

    def _judged(self, table: Table, block: Block) -> tuple[list[tuple[int, list[str]]], list[Reject]]:
        """Rows of a wide file that are shorter or longer by an hour, and rows that are none."""
        ragged: list[tuple[int, list[str]]] = []
        rejects: list[Reject] = []
        for row, text in table.misfits:
            fields = self.tables.fields(text)
            if self._fits(len(fields)):
                ragged.append((row, fields))
            else:
                reason = f"has {len(fields)} fields where the header has {self.layout.width}"
                rejects.append(self._misfit(row, text, reason))
        rejects += [self._misfit(row, text, reason) for row, text, reason in table.faults]
        for row, raw in block.broken.items():
            reason = "is not UTF-8 text; if the whole file is not, say --encoding, such as cp1250"
            rejects.append(self._misfit(row, raw.decode(errors="replace"), reason))
        return ragged, sorted(rejects, key=lambda reject: reject.row)

    def _misfit(self, row: int, text: str, reason: str) -> Reject:
        return Reject(self.name, row, None, _short(text), reason, (("line", "", text),))

    def _fits(self, fields: int) -> bool:
        slots = self.layout.slots
        if slots is None or slots.kind != "elapsed" or slots.positions[-1] != self.layout.width - 1:
            return False
        columns = fields - slots.positions[0]
        return (
            len(slots.positions) == slots.positions[-1] - slots.positions[0] + 1 and per_day(columns) == slots.per_day
        )

    def _padded(
        self, ragged: Iterable[tuple[int, list[str]]]
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], dict[int, object]]:
        width = max(self.layout.width, *(len(fields) for _, fields in ragged))
        rows = np.array([row for row, _ in ragged], np.int64)
        padded = [fields + [""] * (width - len(fields)) for _, fields in ragged]
        used = (*self.layout.used, *range(self.layout.width, width))
        return rows, {index: pa.array([fields[index] for fields in padded], pa.string()) for index in used}


def _at(block: Block) -> str:
    row, raw = next(iter(block.broken.items()))
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f" (byte 0x{raw[error.start]:02x} in row {row})"
    return ""


def _short(text: str, limit: int = 60) -> str:
    text = " ".join(text.split("\n"))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
