"""Readings of one signal in one unit, on their way to the writer, with the rows they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.mapping.signals import Resolved, Target
from besmart_async.ingest.rejects import of_column
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Coded, run_starts
from besmart_async.models.series import SignalData
from besmart_async.models.times import from_ms
from besmart_async.models.values import DOUBLE


@attrs.frozen(eq=False)
class Item:
    """Rows of a file that are written together.

    Attributes:
        meter: the meter's name in the file.
        file: the file's name.
        data: the readings by time; of equal times and origins, the last row of the file comes last.
        rows: row number of each reading, shape (n,).
        column: the title of the column of each reading, in files with several readings in a row; else None.
    """

    meter: str
    file: str
    data: SignalData
    rows: NDArray[np.int64]
    column: Coded | None = None

    def reject(self, index: int, reason: str) -> Reject:
        """One reading of it as a reject."""
        time = from_ms(self.data.time[index].item()).isoformat().replace("+00:00", "Z")
        value = f"{self.data.value[index].item()!r} {self.data.unit or ''}".rstrip()
        text = f"{self.meter} {self.data.key} {time} {value}"
        return Reject(self.file, int(self.rows[index]), None, text, reason, of_column(self.column, index))


@attrs.frozen(eq=False)
class Items:
    """The readings of a page, in the order of writing, and where each item starts.

    They stay columns. An `Item` is created on request: a page of a file sorted by time has 100,000 of them.

    Attributes:
        file: the file's name.
        targets: where readings of the page go.
        units: unit symbols; None for no unit.
        target: index into `targets` of each item, shape (items,).
        unit: index into `units` of each item, shape (items,).
        starts: index of the first reading of each item, shape (items,).
        rows: row number of each reading, shape (n,).
        time: UTC unix milliseconds, shape (n,), read-only.
        value: doubles, shape (n,), read-only.
        origin: the origin of all readings, or one for each.
        column: the title of the column of each reading, in files with several readings in a row; else None.
    """

    file: str
    targets: Sequence[Target]
    units: Sequence[str | None]
    target: NDArray[np.int64]
    unit: NDArray[np.int64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    time: NDArray[Any]
    value: NDArray[np.float64]
    origin: int | NDArray[np.int64]
    column: Coded | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of readings of each item, shape (items,)."""
        return np.diff(self.starts, append=len(self.rows))

    @property
    def signals(self) -> NDArray[np.int64]:
        """The number of the signal of each item (`Target.number`), shape (items,)."""
        return np.array([target.number for target in self.targets], np.int64)[self.target]

    def __iter__(self) -> Iterator[SignalData]:
        """Yield what is written, item by item."""
        bounds = pairwise([*self.starts.tolist(), len(self.rows)])
        for target, unit, (start, stop) in zip(self.target.tolist(), self.unit.tolist(), bounds, strict=True):
            yield self._data(target, unit, start, stop)

    def find(self, reading: int) -> tuple[Item, int]:
        """Return the item of a reading, and the reading's index in it."""
        number = int(np.searchsorted(self.starts, reading, side="right")) - 1
        start, stop = int(self.starts[number]), int(self.starts[number] + self.sizes[number])
        target, unit = int(self.target[number]), int(self.unit[number])
        data = self._data(target, unit, start, stop)
        column = None if self.column is None else Coded(self.column.codes[start:stop], self.column.names)
        return Item(self.targets[target].meter, self.file, data, self.rows[start:stop], column), reading - start

    def _data(self, target: int, unit: int, start: int, stop: int) -> SignalData:
        origin = self.origin if isinstance(self.origin, int) else _one_or_all(self.origin[start:stop])
        key, time, value = self.targets[target].key, self.time[start:stop], self.value[start:stop]
        return SignalData.trusted(key, time, value, DOUBLE, origin, self.units[unit])


def items_of(resolved: Resolved) -> Items:
    """Cut a page into items of one signal and unit each, so that after writing them in turn the last row has won.

    Rows with the same signal, time and origin, but different units, are in items in the order of the file.
    """
    readings, targets, target = resolved.readings, resolved.targets, resolved.target
    order, starts = _cut(resolved)
    heads = starts if order is None else order[starts]
    units: list[str | None] = [None]
    unit = np.zeros(len(heads), np.int64)
    if readings.unit is not None:
        units, unit = [name or None for name in readings.unit.names], readings.unit.codes[heads]
    rows, time, value, origin = readings.rows, readings.time, readings.value, _one_or_all(readings.origin)
    column = readings.column
    if order is not None:
        rows, time, value = rows[order], time[order], value[order]
        column = column.take(order) if column is not None else None
        origin = origin if isinstance(origin, int) else origin[order]
    columns = rows, _read_only(time), _read_only(value), origin, column
    return Items(readings.file, targets, units, target[heads], unit, starts, *columns)


def _cut(resolved: Resolved) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return an order of the rows (None: that of the page), and where items start in that order.

    Files sorted by signal need no sorting; files sorted by time are sorted by signal only, which is a small number.
    """
    readings, signal = resolved.readings, resolved.signals
    if not len(signal):
        return None, signal
    unit = None if readings.unit is None else readings.unit.codes
    if unit is not None and (unit == unit[0]).all():
        unit = None
    starts = _starts(signal, unit, readings.time)
    if starts is not None:
        return None, starts
    order = _order(signal)
    starts = _starts(signal[order], None if unit is None else unit[order], readings.time[order])
    if starts is not None:
        return order, starts
    # By row last: the readings of a wide file come column by column, and of equal ones the last row must win.
    order = np.lexsort((readings.rows, readings.origin, readings.time, signal))
    signal, unit = signal[order], np.zeros(len(signal), np.int64) if unit is None else unit[order]
    same = ~_changes(signal, readings.time[order], readings.origin[order])
    turns = np.cumsum(_changes(unit) & same)
    turn = turns - turns[~same][np.cumsum(~same) - 1]  # number of unit changes before this row of a reading
    by_turn = np.lexsort((unit, turn, signal))
    return order[by_turn], run_starts(signal[by_turn], turn[by_turn], unit[by_turn])


def _starts(signal: NDArray[np.int64], unit: NDArray[np.int64] | None, time: NDArray[Any]) -> NDArray[np.int64] | None:
    """Where items start, if the rows of each signal are adjacent, in one unit, and ascend in time; else None."""
    if np.count_nonzero(signal[1:] != signal[:-1]) > int(signal.max()):  # more runs than signals
        return None
    starts = run_starts(signal) if unit is None else run_starts(signal, unit)
    if len(set(signal[starts].tolist())) < len(starts):
        return None
    rising = time[1:] > time[:-1]
    rising[starts[1:] - 1] = True
    return starts if rising.all() else None


def _order(signal: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort stably by halves of 16 bits, for which numpy uses a radix sort."""
    low, high = signal.astype(np.uint16), (signal >> 16).astype(np.uint16)
    order = np.argsort(low, kind="stable")
    return order[np.argsort(high[order], kind="stable")] if high.any() else order


def _one_or_all(origin: NDArray[np.int64]) -> int | NDArray[np.int64]:
    return int(origin[0]) if len(origin) and (origin == origin[0]).all() else origin


def _read_only(column: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view; slices of it are read-only, too."""
    view = column.view()
    view.flags.writeable = False
    return view


def _changes(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where a row differs from the row before it; the first row does."""
    return np.append(True, np.any([column[1:] != column[:-1] for column in columns], axis=0))
