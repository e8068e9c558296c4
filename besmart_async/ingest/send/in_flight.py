"""What is on its way: which rows of which page each reading came from, until all of them have their outcome.

Every reading has a number, in the order of writing. The writer carries it as the reading's label. What it tells of
labels (stored, refused, lost) is turned into rows of files here, and pages without open readings are let go.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.rejects import Places
from besmart_async.ingest.send.items import Item, Items
from besmart_async.ingest.sources.columns import Chunk
from besmart_async.models.series import SignalData

FIRST_LABEL = -2
"""Label of the first reading; the others follow downwards, since labels are below -1."""
MAX_READINGS = 400_000
"""Readings under way at which no more are taken: more than any number of calls can carry at a time."""
MAX_PAGES = 32
"""Pages under way at which no more readings are taken: a few held readings keep the texts of their page."""


@attrs.define(eq=False)
class Sheet:
    """A page whose readings are on their way.

    Attributes:
        source: which source it is of.
        chunk: the rows as they were read.
        items: what is written of it.
        first: number of its first reading.
        distinct: the numbers of the rows, ascending; empty where each reading has a row of its own.
        left: for each of those how many of its readings have no outcome yet; None where each has a row of its own.
        open: how many readings have none.
        arrived: which readings were stored, in the order of `items`.
    """

    source: int
    chunk: Chunk
    items: Items
    first: int
    distinct: NDArray[np.int64]
    left: NDArray[np.int64] | None
    open: int
    arrived: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.items.rows)

    @property
    def writes(self) -> Iterator[tuple[SignalData, NDArray[np.int64]]]:
        """What is written of each item, with the labels of its readings."""
        first = FIRST_LABEL - self.first
        labels = np.arange(first, first - len(self), -1, dtype=np.int64)
        start = 0
        for data in self.items:
            stop = start + len(data.time)
            yield data, labels[start:stop]
            start = stop

    @cached_property
    def places(self) -> Places:
        """Where in the chunk a row is; asked for only where the service refuses something."""
        return Places(self.chunk)

    def find(self, number: int) -> tuple[Item, int]:
        """The item of a reading, and its place in it."""
        return self.items.find(number - self.first)

    def settle(self, numbers: NDArray[np.int64], *, stored: bool) -> NDArray[np.int64]:
        """Note the outcome of some readings; return the rows that thereby have none without one."""
        places = _without_gaps(numbers - self.first)
        if stored:
            self.arrived[places] = True
        self.open -= len(numbers)
        if self.left is None:
            return self.items.rows[places]
        rows = self.items.rows[places]
        row, counts = np.unique(rows, return_counts=True)
        at = np.searchsorted(self.distinct, row)
        self.left[at] -= counts
        done: NDArray[np.int64] = row[self.left[at] == 0]
        return done


def _without_gaps(places: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Ascending places as a slice, if they are one: that is what an item mostly is, and columns need not be copied."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first == len(places) - 1 else places


class Ledger:
    """The pages under way, in the order of writing.

    Args:
        max_readings: readings under way at which no more are taken.
    """

    def __init__(self, max_readings: int = MAX_READINGS) -> None:
        self._max_readings = max_readings
        self._sheets: list[Sheet] = []
        self._firsts: list[int] = []
        self._next = 0
        self._open = 0
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether no more may be under way."""
        return self._open >= self._max_readings or len(self._sheets) >= MAX_PAGES

    def begin(self, readings: int) -> None:
        """Count in readings that are about to be under way."""
        self._open += readings

    async def room(self) -> None:
        """Wait until more may be under way."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def add(self, source: int, chunk: Chunk, items: Items) -> Sheet:
        """Take a page that is about to be written."""
        size = len(items.rows)
        distinct, left = np.empty(0, np.int64), None
        if not (chunk.rows[1:] > chunk.rows[:-1]).all():  # a wide file: many readings in a row
            distinct, left = np.unique(items.rows, return_counts=True)
        sheet = Sheet(source, chunk, items, self._next, distinct, left, size, np.zeros(size, np.bool_))
        self._sheets.append(sheet)
        self._firsts.append(self._next)
        self._next += size
        return sheet

    def stored(self, labels: Sequence[NDArray[np.int64]]) -> Iterator[tuple[Sheet, NDArray[np.int64]]]:
        """Note that readings were stored; yield the rows that are done now, page by page."""
        for sheet, numbers in self._by_sheet(np.concatenate(labels) if labels else np.empty(0, np.int64)):
            yield sheet, self._settled(sheet, numbers, stored=True)

    def refused(self, labels: Iterable[int]) -> Iterator[tuple[Sheet, NDArray[np.int64], NDArray[np.int64]]]:
        """Note that readings were refused; yield their numbers and the rows that are done now, page by page."""
        for sheet, numbers in self._by_sheet(np.fromiter(labels, np.int64)):
            yield sheet, numbers, self._settled(sheet, numbers, stored=False)

    def let_go(self) -> list[Sheet]:
        """Return the pages without open readings, and forget them."""
        gone = [sheet for sheet in self._sheets if not sheet.open]
        if gone:
            self._sheets = [sheet for sheet in self._sheets if sheet.open]
            self._firsts = [sheet.first for sheet in self._sheets]
        if not self.full:
            self._room.set()
        return gone

    def clear(self) -> list[Sheet]:
        """Return all pages that are left at the end, and forget them."""
        left, self._sheets, self._firsts = self._sheets, [], []
        return left

    def _settled(self, sheet: Sheet, numbers: NDArray[np.int64], *, stored: bool) -> NDArray[np.int64]:
        self._open -= len(numbers)
        return sheet.settle(numbers, stored=stored)

    def _by_sheet(self, labels: NDArray[np.int64]) -> Iterator[tuple[Sheet, NDArray[np.int64]]]:
        numbers = np.sort(FIRST_LABEL - labels, kind="stable")  # of items in a row: next to nothing
        start = 0
        while start < len(numbers):
            sheet = self._sheets[bisect_right(self._firsts, int(numbers[start])) - 1]
            stop = int(np.searchsorted(numbers, sheet.first + len(sheet)))
            yield sheet, numbers[start:stop]
            start = stop
