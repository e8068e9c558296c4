"""Whose readings some columns are: every accepted reading is accounted for, even after a later one has replaced it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

NO_REF = -1
"""Refs of at least 0 are told the outcome of their readings (`Settled`). Below this they are labels, which come back
with a `Rejection` only."""

Rows = slice | NDArray[Any]
_NO_REFS = np.empty(0, np.int64)


@attrs.define(eq=False)
class Credit:
    """Which accepted readings the rows of some columns stand for. It never changes, so segments may share one.

    Attributes:
        rows: number of rows.
        row_of: for each accepted reading its row; None: reading i is row i.
        ref: the ref of the write each reading came with, `NO_REF` for none; one number if they are all equal.
        epoch: number of the flush that waits for it; one number if they are all equal.
    """

    rows: int
    row_of: NDArray[Any] | None
    ref: int | NDArray[Any]
    epoch: int | NDArray[Any]

    @property
    def readings(self) -> int:
        """How many accepted readings."""
        return self.rows if self.row_of is None else len(self.row_of)

    @property
    def places(self) -> NDArray[Any]:
        """For each accepted reading its row."""
        return np.arange(self.rows) if self.row_of is None else self.row_of

    def take(self, rows: Rows) -> Credit:
        """Return the credit of some of the rows, in that order."""
        chosen = np.arange(self.rows)[rows]
        if self.row_of is None:
            readings, row_of = chosen, None
        else:
            place = np.full(self.rows, -1)
            place[chosen] = np.arange(len(chosen))
            readings = np.flatnonzero(place[self.row_of] >= 0)
            row_of = place[self.row_of[readings]]
        return Credit(len(chosen), row_of, _pick(self.ref, readings), _pick(self.epoch, readings))

    @property
    def refs(self) -> frozenset[int]:
        """The refs in it, `NO_REF` included where a reading has none."""
        return frozenset([self.ref]) if isinstance(self.ref, int) else frozenset(np.unique(self.ref).tolist())

    def by_epoch(self) -> Iterable[tuple[int, int]]:
        """Count the readings of each epoch."""
        return _tally(self.epoch, self.readings)

    @staticmethod
    def concat(credits_: Sequence[Credit]) -> Credit:
        """Join credits whose columns are appended."""
        rows = sum(credit.rows for credit in credits_)
        row_of: NDArray[Any] | None = None
        if any(credit.row_of is not None for credit in credits_):
            offset, columns = 0, list[NDArray[Any]]()
            for credit in credits_:
                columns.append(offset + (np.arange(credit.rows) if credit.row_of is None else credit.row_of))
                offset += credit.rows
            row_of = np.concatenate(columns)
        return Credit(
            rows,
            row_of,
            _join([(credit.ref, credit.readings) for credit in credits_]),
            _join([(credit.epoch, credit.readings) for credit in credits_]),
        )


def by_ref(credits_: Sequence[Credit]) -> list[tuple[int, int]]:
    """Count the readings of each ref that is to be told."""
    return refs_and_labels(credits_)[0]


def refs_and_labels(credits_: Sequence[Credit]) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """Count the readings of each ref that is to be told, and return the labels of those that have one."""
    counts = Counter[int]()
    columns: list[NDArray[np.int64]] = []
    for credit in credits_:
        if isinstance(credit.ref, int):
            counts[credit.ref] += credit.readings
        else:
            columns.append(credit.ref)
    column = np.concatenate(columns) if columns else _NO_REFS
    labelled = column < NO_REF
    if not labelled.all():
        refs, readings = np.unique(column[column > NO_REF], return_counts=True)
        counts.update(dict(zip(refs.tolist(), readings.tolist(), strict=True)))
        column = column[labelled]
    return [(ref, count) for ref, count in counts.items() if ref > NO_REF], column


def _pick(column: int | NDArray[Any], rows: NDArray[Any]) -> int | NDArray[Any]:
    return column if isinstance(column, int) else column[rows]


def _join(columns: Sequence[tuple[int | NDArray[Any], int]]) -> int | NDArray[Any]:
    first = columns[0][0]
    if isinstance(first, int) and all(isinstance(column, int) and column == first for column, _ in columns):
        return first
    arrays = [np.full(rows, column) if isinstance(column, int) else column for column, rows in columns]
    return np.concatenate(arrays)


def _tally(column: int | NDArray[Any], readings: int) -> Iterable[tuple[int, int]]:
    if isinstance(column, int):
        return ((column, readings),)
    values, counts = np.unique(column, return_counts=True)
    return zip(values.tolist(), counts.tolist(), strict=True)
