"""Readings of one signal in one unit, on their way to the writer, with the rows they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

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
    readings, targets = resolved.readings, resolved.targets
    if not len(readings):
        return
    signal = np.array([target.number for target in targets], np.int64)[resolved.places]
    origin = int(readings.origin[0]) if (readings.origin == readings.origin[0]).all() else None
    for rows in _ordered(readings, signal) or _sorted(readings, signal):
        first = rows.start if isinstance(rows, slice) else int(rows[0])
        target = targets[resolved.places[first]]
        data = SignalData.trusted(
            target.key,
            readings.time[rows],
            readings.value[rows],
            DOUBLE,
            origin if origin is not None else _one_or_all(readings.origin[rows]),
            readings.unit.text(first) or None if readings.unit is not None else None,
        )
        yield Item(target.meter, readings.file, data, readings.rows[rows])


def _ordered(readings: Readings, signal: NDArray[np.int64]) -> Sequence[slice] | None:
    """The rows of each item of a page that holds one signal after the other, each by time; None if this one does not.

    Sorted files are like that, and their columns need not be copied.
    """
    starts = run_starts(signal, readings.unit.codes) if readings.unit is not None else run_starts(signal)
    if len(set(signal[starts].tolist())) < len(starts):
        return None
    rising = readings.time[1:] > readings.time[:-1]
    rising[starts[1:] - 1] = True
    if not rising.all():
        return None
    return [slice(start, stop) for start, stop in pairwise([*starts.tolist(), len(signal)])]


def _sorted(readings: Readings, signal: NDArray[np.int64]) -> Sequence[NDArray[np.int64]]:
    """The rows of each item of any page."""
    order = np.lexsort((readings.origin, readings.time, signal))  # stable: equal readings stay in the file's order
    signal = signal[order]
    if readings.unit is None or (readings.unit.codes == readings.unit.codes[0]).all():
        return np.split(order, run_starts(signal)[1:])
    unit = readings.unit.codes[order]
    same = ~_changes(signal, readings.time[order], readings.origin[order])
    turns = np.cumsum(_changes(unit) & same)
    turn = turns - turns[~same][np.cumsum(~same) - 1]  # how often the unit of this reading has changed before
    by_turn = np.lexsort((unit, turn, signal))
    return np.split(order[by_turn], run_starts(signal[by_turn], turn[by_turn], unit[by_turn])[1:])


def _one_or_all(origin: NDArray[np.int64]) -> int | NDArray[np.int64]:
    return int(origin[0]) if (origin == origin[0]).all() else origin


def _changes(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell where a row differs from the one before it; the first does."""
    return np.append(True, np.any([column[1:] != column[:-1] for column in columns], axis=0))
