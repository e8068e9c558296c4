"""Rows of a file gathered into columns, a block at a time.

Blocks are small, so that the lists of a block are gone before the garbage collector looks at them for a second time:
that takes half of the time of gathering all rows first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 2_000


class Gathered:
    """Columns of text, with the numbers of the rows they came from, and rows that do not fit.

    Attributes:
        columns: one list per column of the header.
        misfits: row number and fields of every row with another number of fields; blank lines are none.
        next_row: number of the row after the last.
    """

    def __init__(self, width: int, first_row: int) -> None:
        self.columns: list[list[str]] = [[] for _ in range(width)]
        self.misfits: list[tuple[int, list[str]]] = []
        self.next_row = first_row
        self._rows: list[NDArray[np.int64]] = [np.empty(0, np.int64)]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The numbers of the rows that fit, shape (n,)."""
        return np.concatenate(self._rows)

    def fill(self, records: Iterator[list[str]], size: int) -> int:
        """Take up to `size` more rows; return how many there were."""
        taken = 0
        while taken < size and (block := list(islice(records, min(BLOCK_ROWS, size - taken)))):
            taken += len(block)
            self._add(block)
        return taken

    def _add(self, block: Sequence[list[str]]) -> None:
        width = len(self.columns)
        rows = np.arange(self.next_row, self.next_row + len(block), dtype=np.int64)
        self.next_row += len(block)
        if set(map(len, block)) != {width}:
            fits = np.array([len(record) == width for record in block])
            numbered = zip(rows.tolist(), block, strict=True)
            self.misfits += [(row, record) for row, record in numbered if record and len(record) != width]
            rows, block = rows[fits], [record for record in block if len(record) == width]
        self._rows.append(rows)
        for column, texts in zip(self.columns, zip(*block, strict=True), strict=False):
            column.extend(texts)
