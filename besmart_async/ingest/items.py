"""Readings of one signal in one unit, on their way to the writer, with the rows they came from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.columns import run_starts
from besmart_async.ingest.mapping import Resolved
from besmart_async.ingest.parsing import Readings
from besmart_async.ingest.report import Reject
from besmart_async.models.series import SignalData
from besmart_async.models.times import from_ms
from besmart_async.models.values import DOUBLE, MEASURED


@attrs.frozen(eq=False)
class Item:
    """Some rows of a file that are one write.

    Attributes:
        meter: the meter's name in the file.
        file: the file's name.
        data: what is written, by time; of rows with the same time and origin the last of the file comes last.
        rows: row number of each reading, shape (n,).
    """

    meter: str
    file: str
    data: SignalData
    rows: NDArray[np.int64]

    @property
    def origins(self) -> NDArray[np.int64]:
        """The origin of each reading, shape (n,)."""
        origin = MEASURED if self.data.origin is None else self.data.origin
        return np.broadcast_to(np.asarray(origin, np.int64), len(self.data))

    def reject(self, place: int, reason: str) -> Reject:
        """One row of it as a reject."""
        time = from_ms(self.data.time[place].item()).isoformat().replace("+00:00", "Z")
        value = f"{self.data.value[place].item()!r} {self.data.unit or ''}".rstrip()
        return Reject(self.file, int(self.rows[place]), None, f"{self.meter} {self.data.key} {time} {value}", reason)


def items_of(resolved: Resolved) -> Iterator[Item]:
    """Cut a page into items, each of one signal and unit, so that writing them in turn leaves the last row of each.

    Rows with the same signal, time and origin, but another unit, are in items in the order of the file.
    """
    readings, targets, places = resolved.readings, resolved.targets, resolved.places
    if not len(readings):
        return
    signal = np.array([target.number for target in targets], np.int64)[places]
    unit = readings.unit.codes if readings.unit is not None else np.zeros(len(signal), np.int64)
    order, starts = _cut(readings, signal, unit)
    rows, time, value, origins = readings.rows, readings.time, readings.value, readings.origin
    if order is not None:
        rows, time, value, origins = rows[order], time[order], value[order], origins[order]
        places, unit = places[order], unit[order]
    origin = int(origins[0]) if (origins == origins[0]).all() else None
    for start, stop in pairwise([*starts.tolist(), len(rows)]):
        target = targets[places[start]]
        data = SignalData.trusted(
            target.key,
            time[start:stop],
            value[start:stop],
            DOUBLE,
            origin if origin is not None else _one_or_all(origins[start:stop]),
            readings.unit.names[unit[start]] or None if readings.unit is not None else None,
        )
        yield Item(target.meter, readings.file, data, rows[start:stop])


def _cut(
    readings: Readings, signal: NDArray[np.int64], unit: NDArray[np.int64]
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return an order of the rows, None for that of the page, and where items begin in it.

    Files sorted by signal need no sorting, and files sorted by time none but by signal, a small number.
    """
    starts = _starts(signal, unit, readings.time)
    if starts is not None:
        return None, starts
    order = np.argsort(signal.astype(np.uint16) if signal.max() < 1 << 16 else signal, kind="stable")
    starts = _starts(signal[order], unit[order], readings.time[order])
    if starts is not None:
        return order, starts
    order = np.lexsort((readings.origin, readings.time, signal))  # stable: equal readings stay in the file's order
    signal, unit = signal[order], unit[order]
    same = ~_changes(signal, readings.time[order], readings.origin[order])
    turns = np.cumsum(_changes(unit) & same)
    turn = turns - turns[~same][np.cumsum(~same) - 1]  # how often the unit of this reading has changed before
    by_turn = np.lexsort((unit, turn, signal))
    return order[by_turn], run_starts(signal[by_turn], turn[by_turn], unit[by_turn])


def _starts(signal: NDArray[np.int64], unit: NDArray[np.int64], time: NDArray[Any]) -> NDArray[np.int64] | None:
    """Where items begin, if each signal is in one place, in one unit, and by time without repeats; else None."""
    starts = run_starts(signal, unit)
    if len(starts) > int(signal.max()) + 1 or len(set(signal[starts].tolist())) < len(starts):
        return None
    rising = time[1:] > time[:-1]
    rising[starts[1:] - 1] = True
    return starts if rising.all() else None


def _one_or_all(origin: NDArray[np.int64]) -> int | NDArray[np.int64]:
    return int(origin[0]) if (origin == origin[0]).all() else origin


def _changes(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell where a row differs from the one before it; the first does."""
    return np.append(True, np.any([column[1:] != column[:-1] for column in columns], axis=0))
