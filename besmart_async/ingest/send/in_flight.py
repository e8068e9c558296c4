"""Pages whose readings are under way, until each reading has its outcome.

Every reading has a number, in the order of writing: the one that the writer gives it, since nobody else writes to it.
The outcomes that the writer reports by number (stored, refused) become rows of files here, and finished pages are
released.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.rejects import RowRecords
from besmart_async.ingest.send.items import Item, Items
from besmart_async.ingest.sources.columns import Chunk

Ranges = Sequence[tuple[int, int]]
"""Numbers of readings as half-open ranges."""

MAX_READINGS = 800_000
"""Readings under way at which writing waits: more than 16 calls and the readings that wait for them hold."""
MAX_PAGES = 32
"""Pages under way at which writing waits: a few pending readings keep all texts of their page in memory."""


@attrs.define(eq=False)
class InFlightPage:
    """A page whose readings are under way.

    Attributes:
        source: index of its source.
        chunk: the rows as they were read.
        items: what is written.
        first: number of its first reading.
        distinct: the row numbers, ascending; empty if each reading has a row of its own.
        left: for each of these rows the number of readings without an outcome; None if each reading has its own row.
        open: the number of readings without an outcome.
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

    @cached_property
    def records(self) -> RowRecords:
        """Finds the rows of rejects; created only if the service refuses something."""
        return RowRecords(self.chunk)

    def find(self, number: int) -> tuple[Item, int]:
        """Return the item of a reading, and the reading's index in it."""
        return self.items.find(number - self.first)

    def settle(self, numbers: NDArray[np.int64], *, stored: bool) -> NDArray[np.int64]:
        """Record the outcome of readings; return the rows that have no other reading without an outcome."""
        indexes = _as_slice(numbers - self.first)
        if stored:
            self.arrived[indexes] = True
        self.open -= len(numbers)
        rows = self.items.rows[indexes]
        if self.left is None:
            return rows
        row, counts = np.unique(rows, return_counts=True)
        at = np.searchsorted(self.distinct, row)
        self.left[at] -= counts
        done: NDArray[np.int64] = row[self.left[at] == 0]
        return done


def _as_slice(indexes: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Return ascending indexes as a slice if they have no gaps, as those of an item do: a slice copies nothing."""
    first, last = int(indexes[0]), int(indexes[-1])
    return slice(first, last + 1) if last - first == len(indexes) - 1 else indexes


class InFlight:
    """The pages under way, in the order of writing.

    Args:
        max_readings: readings under way at which writing waits.
    """

    def __init__(self, max_readings: int = MAX_READINGS) -> None:
        self._max_readings = max_readings
        self._pages: list[InFlightPage] = []
        self._firsts: list[int] = []
        self._next = 0
        self._open = 0
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether writing must wait."""
        return self._open >= self._max_readings or len(self._pages) >= MAX_PAGES

    def start(self, readings: int) -> None:
        """Count readings that are about to be written."""
        self._open += readings

    async def wait_for_room(self) -> None:
        """Wait until more readings may be under way."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def add(self, source: int, chunk: Chunk, items: Items) -> InFlightPage:
        """Add a page that is about to be written."""
        size = len(items.rows)
        distinct, left = np.empty(0, np.int64), None
        if not (chunk.rows[1:] > chunk.rows[:-1]).all():  # a wide file: a row has many readings
            distinct, left = np.unique(items.rows, return_counts=True)
        page = InFlightPage(source, chunk, items, self._next, distinct, left, size, np.zeros(size, np.bool_))
        self._pages.append(page)
        self._firsts.append(self._next)
        self._next += size
        return page

    def stored(self, ranges: Ranges) -> Iterator[tuple[InFlightPage, NDArray[np.int64]]]:
        """Record that readings were stored; yield (page, rows that are done now)."""
        for page, numbers in self._by_page(ranges):
            yield page, self._settle(page, numbers, stored=True)

    def refused(self, ranges: Ranges) -> Iterator[tuple[InFlightPage, NDArray[np.int64], NDArray[np.int64]]]:
        """Record that readings were refused; yield (page, their numbers, rows that are done now)."""
        for page, numbers in self._by_page(ranges):
            yield page, numbers, self._settle(page, numbers, stored=False)

    def take_finished(self) -> list[InFlightPage]:
        """Remove and return the pages whose readings all have an outcome."""
        finished = [page for page in self._pages if not page.open]
        if finished:
            self._pages = [page for page in self._pages if page.open]
            self._firsts = [page.first for page in self._pages]
        if not self.full:
            self._room.set()
        return finished

    def take_all(self) -> list[InFlightPage]:
        """Remove and return all pages, at the end."""
        pages, self._pages, self._firsts = self._pages, [], []
        return pages

    def _settle(self, page: InFlightPage, numbers: NDArray[np.int64], *, stored: bool) -> NDArray[np.int64]:
        self._open -= len(numbers)
        return page.settle(numbers, stored=stored)

    def _by_page(self, ranges: Ranges) -> Iterator[tuple[InFlightPage, NDArray[np.int64]]]:
        if not ranges:
            return
        numbers = np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in sorted(ranges)])
        start = 0
        while start < len(numbers):
            page = self._pages[bisect_right(self._firsts, int(numbers[start])) - 1]
            stop = int(np.searchsorted(numbers, page.first + len(page)))
            yield page, numbers[start:stop]
            start = stop
