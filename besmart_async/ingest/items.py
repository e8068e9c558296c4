"""Readings of one signal in one unit, on their way to the writer, with the rows they came from."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.mapping import Resolved
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
    order = np.lexsort((readings.origin, readings.time, signal))  # stable: equal readings stay in the file's order
    signal, time, origin = signal[order], readings.time[order], readings.origin[order]
    unit = readings.unit.codes[order] if readings.unit is not None else np.zeros(len(order), np.int64)
    if (unit != unit[0]).any():
        first = _changes(signal, time, origin)
        turns = np.cumsum(_changes(unit) & ~first)
        turn = turns - turns[first][np.cumsum(first) - 1]  # how often the unit of this reading has changed before
        by_turn = np.lexsort((unit, turn, signal))
        order, signal, unit, turn = order[by_turn], signal[by_turn], unit[by_turn], turn[by_turn]
        cuts = np.flatnonzero(_changes(signal, turn, unit))
    else:
        cuts = np.flatnonzero(_changes(signal))
    for chosen in np.split(order, cuts[1:]):
        target = targets[resolved.places[chosen[0]]]
        origin = readings.origin[chosen]
        symbol = readings.unit.text(int(chosen[0])) or None if readings.unit is not None else None
        data = SignalData.trusted(
            target.key,
            readings.time[chosen],
            readings.value[chosen],
            DOUBLE,
            int(origin[0]) if (origin == origin[0]).all() else origin,
            symbol,
        )
        yield Item(target.meter, readings.file, data, readings.rows[chosen])


def _changes(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell where a row differs from the one before it; the first does."""
    return np.append(True, np.any([column[1:] != column[:-1] for column in columns], axis=0))
