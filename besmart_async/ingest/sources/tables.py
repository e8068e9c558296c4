"""Blocks of CSV to arrow columns: as texts, a row at fault told with its number."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.arrow import pa, pa_csv
from besmart_async.ingest.columns import Column, as_column
from besmart_async.ingest.sources.blocks import LONGEST_RECORD, Block, odd_lines


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
