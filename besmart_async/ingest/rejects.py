"""Rejects with the content of their rows, so that a user can mend the rows and ingest them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Chunk, Coded, DaySlots
from besmart_async.ingest.sources.layout import DAY_ROLES, ROLES

_COLUMN = "column"


def of_column(column: Coded | None, index: int) -> tuple[tuple[str, str, str], ...]:
    """Return a record that tells which reading of its row a reject is; empty if rows have one reading each.

    `RowRecords` replaces it.
    """
    if column is None:
        return ()
    return ((_COLUMN, column.text(index), str(column.codes[index])),)


def is_of_column(reject: Reject, code: int) -> bool:
    """Return whether a reject is of the value column with this code."""
    return any(role == _COLUMN and text == str(code) for role, _, text in reject.record)


class RowRecords:
    """Adds to rejects of one chunk what their rows hold. Rows need not ascend, and may have many readings."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._recorded: set[int] = set()

    def index_of(self, reject: Reject) -> int:
        """The index of the rejected reading; that of the first in its row if no column tells which one it is."""
        indexes = self._indexes(reject.row)
        column = self._chunk.column
        if column is not None:
            return next((index for index in indexes if is_of_column(reject, int(column.codes[index]))), indexes[0])
        return next((index for index in indexes if self._chunk.title("value", index) == reject.column), indexes[0])

    def add_to(self, reject: Reject) -> Reject:
        """Return the reject with its row as written. Of a row of a day only the first reject gets it."""
        if not isinstance(self._chunk.time, DaySlots):
            return attrs.evolve(reject, record=tuple(self._fields(ROLES, self.index_of(reject))))
        if reject.row in self._recorded:
            return reject
        self._recorded.add(reject.row)
        fields = self._fields(DAY_ROLES, self.index_of(reject))
        return attrs.evolve(reject, record=(*fields, *self._slots(reject.row)))

    def add_to_misfit(self, misfit: Reject) -> Reject:
        """Return a malformed row with the titles of the columns that it should have, and its line."""
        chunk = self._chunk
        slots = chunk.time.slots.titles if isinstance(chunk.time, DaySlots) else ()
        fields = [(role, chunk.titles[role], "") for role in (DAY_ROLES if slots else ROLES) if role in chunk.titles]
        held = misfit.record or (("line", "", misfit.value),)
        return attrs.evolve(misfit, record=(*fields, *(("slot", title, "") for title in slots), *held))

    def _fields(self, roles: Sequence[str], index: int) -> Iterator[tuple[str, str, str]]:
        chunk = self._chunk
        present = (role for role in roles if getattr(chunk, role) is not None)
        return ((role, chunk.titles.get(role, role), chunk.text(role, index)) for role in present)

    def _slots(self, row: int) -> list[tuple[str, str, str]]:
        slots = self._chunk.time.slots
        texts = dict.fromkeys(range(len(slots)), "")
        for index in self._indexes(row):
            texts[int(self._chunk.time.slot[index])] = self._chunk.text("value", index)
        return [("slot", title, texts[slot]) for slot, title in enumerate(slots.titles)]

    def _indexes(self, row: int) -> Sequence[int]:
        rows, order = self._ascending
        first = int(np.searchsorted(rows, row))
        if order is None:
            return (first,)
        found: list[int] = order[first : int(np.searchsorted(rows, row, side="right"))].tolist()
        return found

    @cached_property
    def _ascending(self) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """The rows in ascending order, and their indexes unless they ascend already; few pages have rejects."""
        rows = self._chunk.rows
        if (rows[1:] > rows[:-1]).all():
            return rows, None
        order = np.argsort(rows, kind="stable")
        return rows[order], order
