"""CSV files: long or wide, plain or compressed with gzip or zstd, and standard input."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.base import CHUNK_ROWS, LONGEST_TEXT, Page, SourceError, is_stream
from besmart_async.ingest.sources.blocks import BLOCK_BYTES, LONGEST_RECORD, TextBlock, blocks, odd_lines
from besmart_async.ingest.sources.columns import ChunkBuilder, Column, as_column, as_numpy, pa, pa_csv, pc
from besmart_async.ingest.sources.compression import opened, packing, pieces
from besmart_async.ingest.sources.header import SEARCHED_ROWS, Header, NoHeaderError, cells, find_header
from besmart_async.ingest.sources.layout import MOST_COLUMNS, FileForm, per_day, plain_cell
from besmart_async.ingest.sources.lines import LineFilter
from besmart_async.ingest.sources.recognition import LOOKED_AT, recognized
from besmart_async.ingest.sources.stored import StoredFile, name_of, size_of

_HEADER_BYTES = 64 << 10
_PIECE_BYTES = 256 << 10
_MULTIBYTE = {"utf-7", "utf_7", "gb18030", "gbk", "big5", "shift_jis", "iso2022_jp", "hz"}
"""Encodings in which the byte of a line feed or quote may be a part of another character, or that have a state."""
_KEPT = 100_000
"""Characters of a malformed line that its reject keeps."""
_TOO_WIDE = f"has more than {MOST_COLUMNS:,} fields"
_WIDTH_ROWS = 100
"""Rows whose number of fields decides how many fields a row has, if the header ends with delimiters or they do."""


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
class ByteRange:
    """Some whole lines of a file.

    Attributes:
        start: the first byte.
        stop: the byte after the last one.
        first_row: the number of the first line in the file.
    """

    start: int
    stop: int
    first_row: int

    def rows(self, path: Path | StoredFile, encoding: str, name: str, size: int) -> Generator[TextBlock, None, None]:
        """Read the lines; they have their numbers in the file.

        Raises:
            SourceError: as for `blocks`.
        """
        with opened(path, name) as raw:
            raw.seek(self.start)
            for block in blocks(self._pieces(raw, name), encoding, name, size):
                added = self.first_row - 1
                broken = {row + added: text for row, text in block.broken.items()}
                yield TextBlock(block.first_row + added, block.text, broken)

    def _pieces(self, raw: IO[bytes], name: str) -> Iterator[bytes]:
        left = self.stop - self.start
        while left > 0:
            piece = raw.read(min(_PIECE_BYTES, left))
            if not piece:
                raise SourceError(name, f"ends {left:,} bytes early: it has changed since it was divided")
            left -= len(piece)
            yield piece


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
        part: the lines to read; None for all. The header is read from the start of the file in any case.
    """

    path: Path | StoredFile | None
    encoding: str = "utf-8-sig"
    chunk_rows: int = CHUNK_ROWS
    form: FileForm = attrs.field(factory=FileForm)
    block_bytes: int = BLOCK_BYTES
    part: ByteRange | None = None

    @classmethod
    def of(cls, text: str, encoding: str = "utf-8-sig") -> CsvSource:
        """Create a source for a path, or for standard input if the text is `-`."""
        return cls(None if text == "-" else Path(text), encoding)

    @property
    def name(self) -> str:
        """The path as given."""
        return name_of(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Size of the file on disk, compressed or not."""
        return size_of(self.path)

    def check(self) -> tuple[str, ...]:
        """Check the header; see `Source`. Standard input and pipes are not checked: they can be read only once."""
        if is_stream(self.path):
            return ()
        with self._blocks(min(_HEADER_BYTES, self.block_bytes)) as (_, found):
            return self._headed(found)[0].layout.unused

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        with self._blocks(self.block_bytes) as (raw, found):
            if is_stream(self.path):
                self._refuse_others(raw)
            header, first = self._headed(found)
            builder = _PageBuilder(self.name, header, first)
            rows: Iterator[TextBlock] = chain([first], found)
            if self.part is not None and self.path is not None:
                rows = self.part.rows(self.path, self.encoding, self.name, self.block_bytes)
            for block in LineFilter(self.name, header, builder.width).rows(rows):
                yield from builder.pages(block, self.chunk_rows, raw.tell() if raw.seekable() else 0)

    def divisible_from(self) -> ByteRange | None:
        """Return the lines below the header; None if the file cannot be read from the middle.

        Raises:
            SourceError: as for `check`.
        """
        if not isinstance(self.path, Path) or is_stream(self.path):
            return None
        with opened(self.path, self.name) as raw:
            start: bytes = raw.peek(4)[:4]  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        if packing(start) or start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start:
            return None
        if '\n"'.encode(self.encoding)[-2:] != b'\n"' or self.encoding.casefold() in _MULTIBYTE:
            return None
        with self._blocks(min(_HEADER_BYTES, self.block_bytes)) as (_, found):
            header, _ = self._headed(found)
        place = 0
        with self.path.open("rb") as file:
            for _ in range(header.rows):
                place += len(file.readline())
        return ByteRange(place, self.size_bytes or 0, header.rows + 1)

    @contextmanager
    def _blocks(self, size: int) -> Generator[tuple[IO[bytes], Generator[TextBlock, None, None]], None, None]:
        with opened(self.path, self.name) as raw:
            found = blocks(pieces(raw, self.path, self.name), self.encoding, self.name, size)
            yield raw, found

    def _refuse_others(self, raw: IO[bytes]) -> None:
        """Name what standard input or a pipe has, if it is not text; of files the registry does."""
        start: bytes = raw.peek(LOOKED_AT)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        kind = recognized(start)
        if kind.problem:
            raise SourceError(self.name, kind.problem)
        if kind.format is not None:
            raise SourceError(self.name, f"is {kind.format}, not CSV; say --format {kind.format}, or name a file")

    def _headed(self, found: Iterator[TextBlock]) -> tuple[Header, TextBlock]:
        """Return the header, and the rows that were read with it."""
        block = next(found, TextBlock(1, b"", {}))
        while block.lines < SEARCHED_ROWS and (more := next(found, None)) is not None:
            block = TextBlock(1, block.text + more.text, block.broken | more.broken)
        lines = [line.decode() for line in block.text.split(b"\n", SEARCHED_ROWS)[: min(block.lines, SEARCHED_ROWS)]]
        try:
            header = find_header(lines, self.form, self.name)
        except NoHeaderError as error:
            if any(b"\0" not in line for line in block.broken.values()):
                problem = f"is not UTF-8 text{_at(block)}; say its encoding, such as --encoding cp1250"
                raise SourceError(self.name, problem) from None
            raise SourceError(self.name, str(error)) from None
        except ValueError as error:
            raise SourceError(self.name, str(error)) from None
        start = int(block.ends[header.rows - 1]) + 1 if header.rows else 0
        broken = {row: text for row, text in block.broken.items() if row > header.rows}
        return header, TextBlock(header.rows + 1, block.text[start:], broken)


class _PageBuilder:
    """Builds pages of the blocks of one file.

    A row may have more delimiters at its end than the header, or fewer: these fields have no title and must be empty.

    Attributes:
        width: fields of a usual row.
    """

    def __init__(self, name: str, header: Header, first: TextBlock) -> None:
        layout = header.layout
        self._name = name
        titled = (index + 1 for index, title in enumerate(header.titles) if title.strip())
        self._titled = max(*titled, *(index + 1 for index in layout.used))
        self._layout = layout
        self.width = _usual_width(first, header, self._titled)
        self._untitled = range(layout.width, self.width)
        self._rests = _rests(header)
        self._reader = BlockReader(self.width, header.delimiter, (*layout.used, *self._rests, *self._untitled))
        self._chunks = ChunkBuilder(name, self._layout)

    def pages(self, block: TextBlock, readings: int, position: int) -> Generator[Page, None, None]:
        """Read a block; each row and each reject is in exactly one page."""
        table = self._without_formulas(self._with_titles(self._reader.read(block), block), block)
        others, rejects = self._sort_out(table, block)
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
        if others:
            yield Page(self._chunks.chunk(*self._padded(others)), (), position)

    def _with_titles(self, table: ParsedBlock, block: TextBlock) -> ParsedBlock:
        """Move the rows that have text in a field without a title to the misfits."""
        table = self._without_rests(table, block)
        columns = {index: column for index, column in table.columns.items() if index not in self._untitled}
        filled = np.zeros(len(table.rows), np.bool_)
        for index in self._untitled:
            texts = pc.utf8_trim_whitespace(table.columns[index])
            filled |= as_numpy(pc.greater(pc.binary_length(texts), 0))
        if not filled.any():
            return attrs.evolve(table, columns=columns)
        lines = block.text.split(b"\n")
        misfits = [(row, lines[row - block.first_row].decode()) for row in table.rows[filled].tolist()]
        kept = pa.array(~filled)
        return ParsedBlock(
            table.rows[~filled],
            {index: column.filter(kept) for index, column in columns.items()},
            [*table.misfits, *misfits],
            table.faults,
        )

    def _without_rests(self, table: ParsedBlock, block: TextBlock) -> ParsedBlock:
        """Refuse rows whose value may be cut off at a decimal comma: 1,5 in a file with commas between fields."""
        columns = {index: column for index, column in table.columns.items() if index not in self._rests}
        cut = np.zeros(len(table.rows), np.bool_)
        for index in self._rests:
            cut |= as_numpy(pc.match_substring_regex(table.columns[index], "^[0-9]+$"))
        if not cut.any():
            return attrs.evolve(table, columns=columns)
        lines, kept = block.text.split(b"\n"), pa.array(~cut)
        faults = [(row, lines[row - block.first_row].decode(), _CUT) for row in table.rows[cut].tolist()]
        columns = {index: column.filter(kept) for index, column in columns.items()}
        return ParsedBlock(table.rows[~cut], columns, table.misfits, [*table.faults, *faults])

    def _without_formulas(self, table: ParsedBlock, block: TextBlock) -> ParsedBlock:
        """Take the text out of cells such as `="0012"`."""
        if b'"' not in block.text or b'="' not in block.text:  # one byte is found much faster than two
            return table
        plain = {
            index: pc.replace_substring_regex(column, '^="(.*)"$', "\\1") for index, column in table.columns.items()
        }
        return attrs.evolve(table, columns=plain)

    def _sort_out(self, table: ParsedBlock, block: TextBlock) -> tuple[list[tuple[int, list[str]]], list[Reject]]:
        """Return the rows with another number of fields that fit all the same, and the malformed rows.

        Those that fit have other delimiters at their end, or are an hour shorter or longer in a wide file.
        """
        others: list[tuple[int, list[str]]] = []
        rejects: list[Reject] = []
        for row, text in table.misfits:
            if self._reader.too_wide(text):
                rejects.append(self._misfit(row, text, _TOO_WIDE))
                continue
            fields = self._fitting(self._reader.fields(text))
            if isinstance(fields, int):
                rejects.append(
                    self._misfit(row, text, f"has {fields} fields where the header has {self._layout.width}")
                )
            else:
                others.append((row, [plain_cell(field) for field in fields]))
        rejects += [self._misfit(row, text, reason) for row, text, reason in table.faults]
        for row, raw in block.broken.items():
            zeros = b"\0" in raw
            reason = "has zero bytes (NUL) within a field, so part of it may be lost" if zeros else _NOT_UTF8
            rejects.append(self._misfit(row, raw.replace(b"\0", b"\xef\xbf\xbd").decode(errors="replace"), reason))
        return others, sorted(rejects, key=lambda reject: reject.row)

    def _fitting(self, fields: list[str]) -> list[str] | int:
        """The fields of a row of another width if it fits, else their number."""
        count = len(fields)
        if self._titled <= count <= self._layout.width or self._fits(count):
            return fields
        while len(fields) > self._layout.width and not fields[-1].strip():
            fields = fields[:-1]
        return fields if len(fields) == self._layout.width or self._fits(len(fields)) else count

    def _misfit(self, row: int, text: str, reason: str) -> Reject:
        return Reject(self._name, row, None, _short(text), reason, (("line", "", _short(text, _KEPT)),))

    def _fits(self, fields: int) -> bool:
        """Whether a wide row with this number of fields is an hour shorter or longer than an ordinary day."""
        slots = self._layout.slots
        return slots is not None and self._elastic and per_day(fields - slots.positions[0]) == slots.per_day

    @property
    def _elastic(self) -> bool:
        slots = self._layout.slots
        if slots is None or slots.kind != "elapsed" or slots.positions[-1] != self._titled - 1:
            return False
        return len(slots) == slots.positions[-1] - slots.positions[0] + 1

    def _padded(self, others: Iterable[tuple[int, list[str]]]) -> tuple[NDArray[np.int64], dict[int, object]]:
        width = max(self._layout.width, *(len(fields) for _, fields in others))
        rows = np.array([row for row, _ in others], np.int64)
        padded = [fields + [""] * (width - len(fields)) for _, fields in others]
        used = (*self._layout.used, *(range(self._titled, width) if self._elastic else ()))
        return rows, {index: pa.array([fields[index] for fields in padded], pa.string()) for index in used}


_CUT = (
    "has a number in a field without a title, right of a value: is the comma a decimal point as well as the delimiter?"
)


def _rests(header: Header) -> tuple[int, ...]:
    """The columns without a title that may hold what stands behind a decimal comma, in a file with commas."""
    layout = header.layout
    values = [column.position for column in layout.series] + list(layout.slots.positions if layout.slots else ())
    values += [layout.positions["value"]] if "value" in layout.positions else []
    behind = (index + 1 for index in values if index + 1 < layout.width)
    free = (index for index in behind if not header.titles[index].strip() and index not in layout.used)
    return tuple(free) if header.delimiter == "," else ()


_NOT_UTF8 = "is not UTF-8 text; if the whole file is not, say --encoding, such as cp1250"


def _usual_width(block: TextBlock, header: Header, titled: int) -> int:
    """The most frequent number of fields of the first rows, if only delimiters at their end make it another one."""
    width = header.layout.width
    counts: Counter[int] = Counter()
    for line in block.text.split(b"\n", _WIDTH_ROWS)[:_WIDTH_ROWS]:
        try:
            fields = cells(line.decode(), header.delimiter)
        except ValueError:
            continue
        if len(fields) >= titled and not any(field.strip() for field in fields[width:]):
            counts[len(fields)] += 1
    return counts.most_common(1)[0][0] if counts else width


def _at(block: TextBlock) -> str:
    row, raw = next((row, raw) for row, raw in block.broken.items() if b"\0" not in raw)
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f" (byte 0x{raw[error.start]:02x} in row {row})"
    return ""


def _short(text: str, limit: int = 60) -> str:
    text = " ".join(text.split("\n"))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
