"""Joins thin pages: those of files sorted by time, in which each of very many signals has a row or two.

An item costs as much as ten readings, and a page of 200,000 rows of 100,000 meters has 100,000 items. Such pages are
therefore joined before they are grouped by signal: 800,000 rows of these meters have 100,000 items as well.

Pages in which signals have many rows are passed on: those of files sorted by meter or with few meters, and of wide
files, whose rows are days. So are pages of sources of unknown size, which are streams: their rows may come slowly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.pages import ParsedPage
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Coded, DaySlots, distinct_codes, pa, run_starts

FEW_ROWS = 20
"""A page is thin if its signals have fewer rows on average: 500 items of 20 fill a call of 10,000 readings."""
MANY_SIGNALS = 1_000
"""A page of fewer signals is not thin: it has few items, however short they are."""
MOST_ROWS = 800_000
"""Most rows to join. A row takes about 120 bytes while it is sorted by signal, and 60 while it is sent."""


class Bundler:
    """Joins neighbouring thin pages, and passes on the others.

    Args:
        most_rows: most rows to join, unless a page has more.
    """

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows
        self._bundle: _Bundle | None = None

    def take(self, page: ParsedPage) -> Iterator[ParsedPage]:
        """Take the next page; yield the pages that need not wait for another one, in order."""
        thin = _is_thin(page)
        if self._bundle is not None and thin and self._bundle.accepts(page):
            self._bundle.add(page)
            return
        yield from self.rest()
        if thin:
            self._bundle = _Bundle(page, self._most_rows)
        else:
            yield page

    def rest(self) -> Iterator[ParsedPage]:
        """Yield the page that is still waiting."""
        bundle, self._bundle = self._bundle, None
        if bundle is not None:
            yield bundle.joined()


def _is_thin(page: ParsedPage) -> bool:
    readings = page.readings
    if readings is None or page.urgent or isinstance(page.chunk.time, DaySlots) or len(readings) < MANY_SIGNALS:
        return False
    pairs = readings.pairs
    if len(run_starts(pairs)) * FEW_ROWS <= len(readings):  # sorted by meter: no need to count signals
        return False
    signals = len(distinct_codes(pairs, len(readings.meter.names) * readings.width)[0])
    return signals >= MANY_SIGNALS and len(readings) < FEW_ROWS * signals


_COLUMNS = ("rows", "meter", "time", "value", "signal", "unit", "origin", "zone", "column")


class _Bundle:
    """Thin pages that are being joined. Each is copied as it comes, so only one page exists twice at a time.

    Args:
        page: the first page.
        most_rows: the most rows.
    """

    def __init__(self, page: ParsedPage, most_rows: int) -> None:
        self._page = page
        self._form = _form(page)
        self._room = max(most_rows, len(page.chunk))
        self._chunk = {name: _Column(self._room) for name in _COLUMNS}
        self._readings = {name: _Column(self._room) for name in _COLUMNS}
        self._same = set(_COLUMNS)  # columns that parsing leaves unchanged are copied only once
        self._rejects: list[Reject] = []
        self._length = self._rows = self._left_out = 0
        self.add(page)

    def accepts(self, page: ParsedPage) -> bool:
        """Whether a page can be joined as well."""
        return self._length + len(page.chunk) <= self._room and _form(page) == self._form

    def add(self, page: ParsedPage) -> None:
        """Join a page."""
        for name in _COLUMNS:
            raw, parsed = getattr(page.chunk, name), getattr(page.readings, name)
            if name in self._same and raw is not parsed:
                self._same.remove(name)
                self._readings[name] = self._chunk[name].copy()
            self._chunk[name].add(raw)
            if name not in self._same:
                self._readings[name].add(parsed)
        self._rejects += page.rejects
        self._length += len(page.chunk)
        self._rows += page.rows
        self._left_out += page.left_out
        self._page = page

    def joined(self) -> ParsedPage:
        """The pages as one."""
        page = self._page
        assert page.readings is not None  # noqa: S101 - thin pages have readings
        chunk = {name: column.whole() for name, column in self._chunk.items()}
        readings = {name: chunk[name] if name in self._same else self._readings[name].whole() for name in _COLUMNS}
        return attrs.evolve(
            page,
            chunk=attrs.evolve(page.chunk, **chunk),
            readings=attrs.evolve(page.readings, **readings),
            rejects=self._rejects,
            rows=self._rows,
            left_out=self._left_out,
        )


class _Column:
    """A column that grows. While all its values are equal, as units and origins mostly are, it takes no memory.

    Args:
        room: its maximum length.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._same: NDArray[Any] | None = None
        self._array: NDArray[Any] | None = None
        self._length = 0
        self._pieces: list[Any] = []
        self._names: list[str] | None = None

    def add(self, column: Any) -> None:
        """Append a column of the same kind: codes, numpy or arrow; or None if all are None."""
        if isinstance(column, Coded):
            self._names, column = column.names, column.codes
        if not isinstance(column, np.ndarray):
            self._pieces += [] if column is None else [column]
            return
        if self._same is None:
            self._same = column[:1].copy()
        start, self._length = self._length, self._length + len(column)
        if self._array is None and not (column == self._same).all():
            self._array = np.empty(self._room, column.dtype)
            self._array[:start] = self._same
        if self._array is not None:
            self._array[start : self._length] = column

    def copy(self) -> _Column:
        """Return a copy."""
        copy = _Column(self._room)
        if self._length:
            copy.add(self.whole())
        return copy

    def whole(self) -> Any:
        """Return all that was appended."""
        if self._same is None:
            return pa.chunked_array(self._pieces) if self._pieces else None
        array = np.broadcast_to(self._same, self._length) if self._array is None else self._array[: self._length]
        return array if self._names is None else Coded(array, self._names)


def _form(page: ParsedPage) -> tuple[object, ...]:
    """Return what pages must have in common to be joined."""
    columns = [getattr(part, name) for part in (page.chunk, page.readings) for name in _COLUMNS]
    return (page.source, page.chunk.titles, *map(_kind, columns))


def _kind(column: Any) -> object:
    if isinstance(column, Coded):
        return id(column.names)  # codes mean the same if the list of names is the same
    if isinstance(column, np.ndarray):
        return column.dtype
    return None if column is None else column.type
