"""CSV files: long or wide, plain or compressed with gzip or zstd, and standard input."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.base import CHUNK_ROWS, LONGEST_TEXT, Page, SourceError
from besmart_async.ingest.sources.blocks import BLOCK_BYTES, LONGEST_RECORD, TextBlock, blocks, odd_lines
from besmart_async.ingest.sources.columns import ChunkBuilder, Column, as_column, as_numpy, pa, pa_csv, pc
from besmart_async.ingest.sources.compression import opened, pieces
from besmart_async.ingest.sources.layout import MOST_COLUMNS, TOLD, FileForm, Layout, form_of_rejects, per_day

DELIMITERS = ",;\t|"
_HEADER_BYTES = 64 << 10
_KEPT = 100_000
"""Characters of a malformed line that its reject keeps."""
_TOO_WIDE = f"has more than {MOST_COLUMNS:,} fields"


@attrs.frozen(eq=False)
class ParsedBlock:
    """The rows of a block.

    Attributes:
        rows: row numbers, shape (n,).
        columns: the requested columns, by index.
        misfits: (row, text) of rows with another number of fields; blank lines are left out.
        faults: (row, text, reason) of rows that are not valid CSV.
    """

    rows: NDArray[np.int64]
    columns: dict[int, Column]
    misfits: list[tuple[int, str]]
    faults: list[tuple[int, str, str]]


@attrs.frozen
class BlockReader:
    """Splits the blocks of one file into columns.

    Attributes:
        width: fields of a row.
        delimiter: field delimiter.
        used: indexes of the columns to read.
    """

    width: int
    delimiter: str
    used: tuple[int, ...]

    def read(self, block: TextBlock) -> ParsedBlock:
        """Read a block; blocks that arrow would misread are read record by record."""
        found = None if b'"' in block.text and len(odd_lines(block.text)) else self._by_arrow(block)
        return self._short(found if found is not None else self._by_record(block), block)

    def _short(self, table: ParsedBlock, block: TextBlock) -> ParsedBlock:
        """Move rows with a text that is too long to the faults: names are kept, and a packed file can hold millions."""
        if not len(table.rows) or np.diff(block.ends, prepend=-1).max() <= LONGEST_TEXT:
            return table
        longest = np.max([as_numpy(pc.binary_length(column)) for column in table.columns.values()], axis=0)
        long = longest > LONGEST_TEXT
        if not long.any():
            return table
        lines = block.text.split(b"\n")
        faults = [
            (
                int(row),
                lines[row - block.first_row].decode(),
                f"has a text of {size:,} bytes; at most {LONGEST_TEXT:,} are read",
            )
            for row, size in zip(table.rows[long], longest[long], strict=True)
        ]
        kept = pa.array(~long)
        columns = {index: column.filter(kept) for index, column in table.columns.items()}
        return ParsedBlock(table.rows[~long], columns, table.misfits, [*table.faults, *faults])

    def _by_arrow(self, block: TextBlock) -> ParsedBlock | None:
        """Read a block whose records are one line each; None if some span several."""
        text, lines = _without_blank_lines(block)
        if not len(lines):
            return self._of_lists(lines, [], [], [])
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
        rows = np.delete(lines, [line for line, _ in misfits]) if misfits else lines
        columns = {int(name): as_column(found.column(name)) for name in used}
        return ParsedBlock(rows, columns, [(int(lines[line]), text) for line, text in misfits if text.strip()], [])

    def _by_record(self, block: TextBlock) -> ParsedBlock:
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
        return self._of_lists(np.array(rows, np.int64), records, misfits, faults)

    def _of_lists(
        self,
        rows: NDArray[np.int64],
        records: Sequence[Sequence[str]],
        misfits: list[tuple[int, str]],
        faults: list[tuple[int, str, str]],
    ) -> ParsedBlock:
        columns = {index: pa.array([fields[index] for fields in records], pa.string()) for index in self.used}
        return ParsedBlock(rows, columns, misfits, faults)

    def _records(self, lines: Sequence[str], first_row: int) -> Iterator[tuple[int, str, list[str] | str]]:
        """Yield (row, text, fields or what is wrong) of each record; a quoted record may span several lines."""
        line = 0
        while line < len(lines):
            found = self._parsed(lines[line : line + 1])
            end = line + 1
            if isinstance(found, str) and lines[line].count('"') % 2:
                for closing in range(line + 1, min(line + LONGEST_RECORD, len(lines))):
                    if lines[closing].count('"') % 2:
                        longer = self._parsed(lines[line : closing + 1])
                        if not isinstance(longer, str) and len(longer) == self.width:
                            found, end = longer, closing + 1
                        break
            yield first_row + line, lines[line], found
            line = end

    def _parsed(self, lines: Sequence[str]) -> list[str] | str:
        if self.too_wide(lines[0]):
            return _TOO_WIDE
        try:
            records = list(csv.reader([f"{line}\n" for line in lines], delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            reason = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            return f"is not CSV: {reason}"
        return records[0] if len(records) == 1 else "is not CSV: several records"

    def too_wide(self, text: str) -> bool:
        """Whether a line has more fields than any file has columns."""
        return len(text) > MOST_COLUMNS and text.count(self.delimiter) >= MOST_COLUMNS

    def fields(self, text: str) -> list[str]:
        """The fields of a row of another width; none if it is not valid CSV."""
        found = self._parsed([text])
        return [] if isinstance(found, str) else found


def _without_blank_lines(block: TextBlock) -> tuple[bytes, NDArray[np.int64]]:
    """Return a block's text without empty lines, and the row numbers of the other lines."""
    rows = np.arange(block.first_row, block.first_row + block.lines, dtype=np.int64)
    if (np.diff(block.ends, prepend=-1) > 1).all():
        return block.text, rows
    lines = block.text.split(b"\n")[:-1]
    kept = [index for index, line in enumerate(lines) if line]
    return b"".join(lines[index] + b"\n" for index in kept), rows[kept]


@attrs.frozen
class CsvSource:
    """A CSV file; its compression is detected by its first bytes.

    Memory: a block of 2 MiB of text in arrow columns, and the readings of a page.

    Attributes:
        path: the file; None for standard input.
        encoding: text encoding; the default is UTF-8 with or without a byte-order mark.
        chunk_rows: approximate readings per page.
        form: what the user said about the file. Its `encoding` is ignored here.
        block_bytes: text read at a time.
    """

    path: Path | None
    encoding: str = "utf-8-sig"
    chunk_rows: int = CHUNK_ROWS
    form: FileForm = attrs.field(factory=FileForm)
    block_bytes: int = BLOCK_BYTES

    @classmethod
    def of(cls, text: str, encoding: str = "utf-8-sig") -> CsvSource:
        """Create a source for a path, or for standard input if the text is `-`."""
        return cls(None if text == "-" else Path(text), encoding)

    @property
    def name(self) -> str:
        """The path as given."""
        return "standard input" if self.path is None else str(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Size of the file on disk, compressed or not."""
        return self.path.stat().st_size if self.path is not None and self.path.is_file() else None

    def check(self) -> tuple[str, ...]:
        """Check the header; see `Source`. Standard input is not checked: it can be read only once."""
        if self.path is None:
            return ()
        with self._blocks(min(_HEADER_BYTES, self.block_bytes)) as (_, found):
            return self._headed(next(found, None))[0].unused

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        with self._blocks(self.block_bytes) as (raw, found):
            block: TextBlock | None
            layout, delimiter, block = self._headed(next(found, None))
            builder = _PageBuilder(self.name, layout, delimiter)
            while block is not None:
                yield from builder.pages(block, self.chunk_rows, raw.tell() if raw.seekable() else 0)
                block = next(found, None)

    @contextmanager
    def _blocks(self, size: int) -> Generator[tuple[BinaryIO, Generator[TextBlock, None, None]], None, None]:
        with opened(self.path, self.name) as raw:
            found = blocks(pieces(raw, self.path, self.name), self.encoding, self.name, size)
            yield raw, found

    def _headed(self, block: TextBlock | None) -> tuple[Layout, str, TextBlock]:
        """Return the layout and delimiter by the header, and the rest of the first block."""
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
        start = sum(len(line) + 1 for line in lines[:header_row])
        broken = {row: text for row, text in block.broken.items() if row > header_row}
        return layout, delimiter, TextBlock(header_row + 1, block.text[start:], broken)


class _PageBuilder:
    """Builds pages of the blocks of one file."""

    def __init__(self, name: str, layout: Layout, delimiter: str) -> None:
        self._name = name
        self._layout = layout
        self._reader = BlockReader(layout.width, delimiter, layout.used)
        self._chunks = ChunkBuilder(name, layout)

    def pages(self, block: TextBlock, readings: int, position: int) -> Generator[Page, None, None]:
        """Read a block; each row and each reject is in exactly one page."""
        table = self._reader.read(block)
        ragged, rejects = self._sort_out(table, block)
        size = self._chunks.rows_at_a_time(readings)
        starts = range(0, len(table.rows), size) or range(1)
        for start in starts:
            rows = table.rows[start : start + size]
            columns = {index: column.slice(start, size) for index, column in table.columns.items()}
            last = int(rows[-1]) if start != starts[-1] else block.first_row + block.lines
            own = tuple(reject for reject in rejects if reject.row <= last)
            rejects = [reject for reject in rejects if reject.row > last]
            if len(rows) or own:
                yield Page(self._chunks.chunk(rows, columns), own, position)
        if ragged:
            yield Page(self._chunks.chunk(*self._padded(ragged)), (), position)

    def _sort_out(self, table: ParsedBlock, block: TextBlock) -> tuple[list[tuple[int, list[str]]], list[Reject]]:
        """Return the rows of a wide file that are an hour shorter or longer, and the malformed rows."""
        ragged: list[tuple[int, list[str]]] = []
        rejects: list[Reject] = []
        for row, text in table.misfits:
            if self._reader.too_wide(text):
                rejects.append(self._misfit(row, text, _TOO_WIDE))
                continue
            fields = self._reader.fields(text)
            if self._fits(len(fields)):
                ragged.append((row, fields))
            else:
                reason = f"has {len(fields)} fields where the header has {self._layout.width}"
                rejects.append(self._misfit(row, text, reason))
        rejects += [self._misfit(row, text, reason) for row, text, reason in table.faults]
        for row, raw in block.broken.items():
            reason = "is not UTF-8 text; if the whole file is not, say --encoding, such as cp1250"
            rejects.append(self._misfit(row, raw.decode(errors="replace"), reason))
        return ragged, sorted(rejects, key=lambda reject: reject.row)

    def _misfit(self, row: int, text: str, reason: str) -> Reject:
        return Reject(self._name, row, None, _short(text), reason, (("line", "", _short(text, _KEPT)),))

    def _fits(self, fields: int) -> bool:
        slots = self._layout.slots
        if slots is None or slots.kind != "elapsed" or slots.positions[-1] != self._layout.width - 1:
            return False
        consecutive = len(slots) == slots.positions[-1] - slots.positions[0] + 1
        return consecutive and per_day(fields - slots.positions[0]) == slots.per_day

    def _padded(self, ragged: Iterable[tuple[int, list[str]]]) -> tuple[NDArray[np.int64], dict[int, object]]:
        width = max(self._layout.width, *(len(fields) for _, fields in ragged))
        rows = np.array([row for row, _ in ragged], np.int64)
        padded = [fields + [""] * (width - len(fields)) for _, fields in ragged]
        used = (*self._layout.used, *range(self._layout.width, width))
        return rows, {index: pa.array([fields[index] for fields in padded], pa.string()) for index in used}


def _at(block: TextBlock) -> str:
    row, raw = next(iter(block.broken.items()))
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f" (byte 0x{raw[error.start]:02x} in row {row})"
    return ""


def _short(text: str, limit: int = 60) -> str:
    text = " ".join(text.split("\n"))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
