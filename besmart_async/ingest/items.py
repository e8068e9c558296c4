"""Readings of one signal in one unit, on their way into a bulk write, with the rows they came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.mapping import Resolved, Target, unit_symbol
from besmart_async.ingest.report import Reject
from besmart_async.models.series import SignalData
from besmart_async.models.times import from_ms
from besmart_async.models.values import DOUBLE, MEASURED


@attrs.frozen(eq=False)
class Item:
    """One element of a bulk write.

    The service is sent one reading per time and origin: the last row that holds it. The earlier ones are the repeats;
    what becomes of that reading becomes of them.

    Attributes:
        meter: the meter's name in the file.
        file: the file's name.
        data: what is sent, by time.
        rows: row number of each reading, shape (n,).
        repeats: row numbers of the rows that a later one replaces, shape (m,).
        repeated: which reading of `data` each of them repeats, shape (m,), ascending.
        repeats_equal: whether each has the value (and unit) of the row that comes after it, shape (m,).
    """

    meter: str
    file: str
    data: SignalData
    rows: NDArray[np.int64]
    repeats: NDArray[np.int64]
    repeated: NDArray[np.int64]
    repeats_equal: NDArray[np.bool_]

    @property
    def total_rows(self) -> int:
        """Rows of the file that this is."""
        return len(self.rows) + len(self.repeats)

    @property
    def origins(self) -> NDArray[np.int64]:
        """The origin of each reading, shape (n,)."""
        origin = MEASURED if self.data.origin is None else self.data.origin
        return np.broadcast_to(np.asarray(origin, np.int64), len(self.data))

    def part(self, start: int, stop: int) -> Self:
        """The readings from `start` up to `stop`, with their repeats."""
        first, last = np.searchsorted(self.repeated, (start, stop)).tolist()
        return attrs.evolve(
            self,
            data=self.data.take(slice(start, stop)),
            rows=self.rows[start:stop],
            repeats=self.repeats[first:last],
            repeated=self.repeated[first:last] - start,
            repeats_equal=self.repeats_equal[first:last],
        )

    def rejects(self, reason: str) -> list[Reject]:
        """Every row of it as a reject, in the order of the file."""
        rows = np.concatenate([self.rows, self.repeats])
        places = np.concatenate([np.arange(len(self.rows)), self.repeated])
        order = np.argsort(rows, kind="stable").tolist()
        return [Reject(self.file, int(rows[i]), None, self._reading(int(places[i])), reason) for i in order]

    def _reading(self, place: int) -> str:
        time = from_ms(self.data.time[place].item()).isoformat().replace("+00:00", "Z")
        value = f"{self.data.value[place].item()!r} {self.data.unit or ''}".rstrip()
        return f"{self.meter} {self.data.key} {time} {value}"


def items_of(resolved: Resolved) -> Iterator[Item]:
    """Make one item per signal and unit, without repeated readings."""
    readings, targets, places = resolved.readings, resolved.targets, resolved.places
    if not len(readings):
        return
    signal = np.array([target.number for target in targets], np.int64)[places]
    unit = _units(resolved)
    # A stable sort: among rows of one signal, time and origin the last one in the file comes last, and holds.
    order = np.lexsort((readings.origin, readings.time, signal))
    columns = (signal[order], readings.time[order], readings.origin[order])
    last = np.append(np.any([column[1:] != column[:-1] for column in columns], axis=0), True)
    value, unit = readings.value[order], unit[order]
    same = np.append((value[1:] == value[:-1]) & (unit[1:] == unit[:-1]), False)
    # Which of the kept readings each row, kept or not, stands for.
    stands_for = np.cumsum(last) - last
    kept = np.flatnonzero(last)
    by_unit = np.lexsort((unit[kept], columns[0][kept]))
    changes = np.any([column[kept][by_unit][1:] != column[kept][by_unit][:-1] for column in (columns[0], unit)], axis=0)
    for group in np.split(by_unit, np.flatnonzero(changes) + 1):
        first = kept[group[0]]
        target = targets[places[order[first]]]
        yield _item(resolved, target, _Group(order, np.sort(group), kept, stands_for, last, same))


@attrs.frozen
class _Group:
    order: NDArray[Any]
    group: NDArray[Any]
    kept: NDArray[Any]
    stands_for: NDArray[Any]
    last: NDArray[np.bool_]
    same: NDArray[np.bool_]


def _item(resolved: Resolved, target: Target, which: _Group) -> Item:
    readings = resolved.readings
    chosen = which.order[which.kept[which.group]]
    if which.last.all():
        repeats = repeated = np.empty(0, np.int64)
        equal = np.empty(0, np.bool_)
    else:
        replaced = np.flatnonzero(~which.last & np.isin(which.stands_for, which.group))
        repeats = readings.rows[which.order[replaced]]
        repeated = np.searchsorted(which.group, which.stands_for[replaced]).astype(np.int64)
        equal = which.same[replaced]
    origin = readings.origin[chosen]
    uniform = bool((origin == origin[0]).all())
    symbol = unit_symbol(readings.unit.text(int(chosen[0]))) if readings.unit else None
    data = SignalData.trusted(
        target.key,
        readings.time[chosen],
        readings.value[chosen],
        DOUBLE,
        int(origin[0]) if uniform else origin,
        symbol,
    )
    return Item(target.meter, readings.file, data, readings.rows[chosen], repeats, repeated, equal)


def _units(resolved: Resolved) -> NDArray[np.int64]:
    """Number the units, those that mean the same (`kWh`, `kW.h`) alike."""
    unit = resolved.readings.unit
    if unit is None:
        return np.zeros(len(resolved.readings), np.int64)
    symbols = [unit_symbol(name) or "" for name in unit.names]
    numbers = {symbol: number for number, symbol in enumerate(dict.fromkeys(symbols))}
    return np.array([numbers[symbol] for symbol in symbols], np.int64)[unit.codes]
