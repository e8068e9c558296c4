"""Thin pages joined: those of files sorted by time, in which each of very many signals has a row or two.

What a reading costs depends on how many there are in an item, since an item costs as much as ten of them; a page of
200,000 rows of 100,000 meters is 100,000 items. Pages are therefore joined, before they are grouped by signal, as long
as they are thin: 800,000 rows of these are 100,000 items as well.

Pages in which signals have many rows stay as they are: files sorted by meter, and those of few meters. So do wide
files, whose rows are of days. Nobody may wait for rows that come slowly: only pages of sources whose size is known,
which are files, are to be joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.pages import Step
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Coded, DaySlots, distinct_codes, pa, run_starts

FEW_ROWS = 20
"""Signals with fewer rows each, on average, make a page thin: 500 items of 20 fill a call of 10,000 readings."""
MANY_SIGNALS = 1_000
"""A page of fewer signals makes few items, however short they are."""
MOST_ROWS = 800_000
"""Rows that are joined at most. Each takes some 120 bytes while they are sorted by signal, 60 while they are sent."""


class Bundler:
    """Joins neighbouring pages that are thin, and passes on the others.

    Args:
        most_rows: rows that are joined at most, unless a page has more.
    """

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows
        self._bundle: _Bundle | None = None

    def take(self, step: Step) -> Iterator[Step]:
        """Take the next page; yield what waits for no other page any more, in the order of the pages."""
        thin = _is_thin(step)
        if self._bundle is not None and thin and self._bundle.takes(step):
            self._bundle.add(step)
            return
        yield from self.rest()
        if thin:
            self._bundle = _Bundle(step, self._most_rows)
        else:
            yield step

    def rest(self) -> Iterator[Step]:
        """Yield what waits."""
        bundle, self._bundle = self._bundle, None
        if bundle is not None:
            yield bundle.joined()


def _is_thin(step: Step) -> bool:
    readings = step.readings
    if readings is None or step.urgent or isinstance(step.chunk.time, DaySlots) or len(readings) < MANY_SIGNALS:
        return False
    pairs = readings.pairs
    if len(run_starts(pairs)) * FEW_ROWS <= len(readings):  # sorted by meter: there is nothing to count
        return False
    signals = len(distinct_codes(pairs, len(readings.meter.names) * readings.width)[0])
    return signals >= MANY_SIGNALS and len(readings) < FEW_ROWS * signals


_COLUMNS = ("rows", "meter", "time", "value", "signal", "unit", "origin", "zone")


class _Bundle:
    """Thin pages that are being joined. They are copied one by one, so that there are never two of all.

    Args:
        step: the first page.
        most_rows: rows it may have.
    """

    def __init__(self, step: Step, most_rows: int) -> None:
        self._step = step
        self._form = _form(step)
        self._room = max(most_rows, len(step.chunk))
        self._chunk = {name: _Column(self._room) for name in _COLUMNS}
        self._readings = {name: _Column(self._room) for name in _COLUMNS}
        self._same = set(_COLUMNS)  # columns that parsing leaves as they are; they are not copied twice
        self._rejects: list[Reject] = []
        self._length = self._rows = 0
        self.add(step)

    def takes(self, step: Step) -> bool:
        """Whether a page can be joined, too."""
        return self._length + len(step.chunk) <= self._room and _form(step) == self._form

    def add(self, step: Step) -> None:
        """Join a page."""
        for name in _COLUMNS:
            raw, parsed = getattr(step.chunk, name), getattr(step.readings, name)
            if name in self._same and raw is not parsed:
                self._same.remove(name)
                self._readings[name] = self._chunk[name].copy()
            self._chunk[name].add(raw)
            if name not in self._same:
                self._readings[name].add(parsed)
        self._rejects += step.rejects
        self._length += len(step.chunk)
        self._rows += step.rows
        self._step = step

    def joined(self) -> Step:
        """The pages as one."""
        step = self._step
        assert step.readings is not None  # noqa: S101 - it is thin
        chunk = {name: column.whole() for name, column in self._chunk.items()}
        readings = {name: chunk[name] if name in self._same else self._readings[name].whole() for name in _COLUMNS}
        return attrs.evolve(
            step,
            chunk=attrs.evolve(step.chunk, **chunk),
            readings=attrs.evolve(step.readings, **readings),
            rejects=self._rejects,
            rows=self._rows,
        )


class _Column:
    """A column that grows. As long as it is the same all over, which units and origins mostly are, it takes no memory.

    Args:
        room: how long it may become.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._same: NDArray[Any] | None = None
        self._array: NDArray[Any] | None = None
        self._length = 0
        self._pieces: list[Any] = []
        self._names: list[str] | None = None

    def add(self, column: Any) -> None:
        """Append a column of the same kind: codes, numpy or arrow; or None, if all are."""
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
        """Another one with what it has."""
        copy = _Column(self._room)
        if self._length:
            copy.add(self.whole())
        return copy

    def whole(self) -> Any:
        """What was appended."""
        if self._same is None:
            return pa.chunked_array(self._pieces) if self._pieces else None
        array = np.broadcast_to(self._same, self._length) if self._array is None else self._array[: self._length]
        return array if self._names is None else Coded(array, self._names)


def _form(step: Step) -> tuple[object, ...]:
    """What pages that are joined have in common."""
    columns = [getattr(part, name) for part in (step.chunk, step.readings) for name in _COLUMNS]
    return (step.source, step.chunk.titles, *map(_kind, columns))


def _kind(column: Any) -> object:
    if isinstance(column, Coded):
        return id(column.names)  # codes mean the same
    if isinstance(column, np.ndarray):
        return column.dtype
    return None if column is None else column.type
