"""What was written, signal by signal: to name the rows of what is refused, to report, and to compare afterwards.

The writer says of a refused reading its signal, time, origin and value, and how many written readings it stands for.
Which rows these are follows from two facts: a signal's readings are settled in the order they were written, and of
equal readings the writer keeps the last. So it is the last row with that value, and the rows just before it. Only where
one signal, time and origin comes several times with the same value may this name another of these rows; never a wrong
number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.items import Item, origins_of
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData


@attrs.frozen(eq=False)
class Delivered:
    """The distinct readings of one signal that were delivered; the last value of each.

    Attributes:
        key: the signal.
        meter: its meter's name in the files.
        time: UTC unix milliseconds, ascending within an origin, shape (n,).
        origin: shape (n,), ascending.
        value: doubles, shape (n,).
        unit: shape (n,), which of `units` a value is in.
        units: unit symbols; None where none was sent.
        repeats_equal: repeats of a reading with the same value as the one before.
        repeats_conflicting: the same with another value.
    """

    key: SignalKey
    meter: str
    time: NDArray[Any]
    origin: NDArray[np.int64]
    value: NDArray[np.float64]
    unit: NDArray[np.int64]
    units: tuple[str | None, ...]
    repeats_equal: int = 0
    repeats_conflicting: int = 0

    def __len__(self) -> int:
        return len(self.time)


@attrs.define
class _Signal:
    """The items of a signal in the order they were written; `lost` are positions in all their rows together."""

    items: list[Item] = attrs.field(factory=list[Item])
    lost: list[NDArray[np.intp]] = attrs.field(factory=list[NDArray[np.intp]])

    def kept(self) -> NDArray[np.intp]:
        """The positions that are not lost."""
        kept = np.ones(sum(len(item.data) for item in self.items), np.bool_)
        for lost in self.lost:
            kept[lost] = False
        return np.flatnonzero(kept)

    def columns(self, kept: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """Time, origin, value and number of the unit at these positions."""
        items, units = self.items, self.units
        return (
            np.concatenate([item.data.time for item in items])[kept],
            np.concatenate([item.origins for item in items])[kept],
            np.concatenate([item.data.value for item in items])[kept],
            np.repeat([units.index(item.data.unit) for item in items], [len(item.data) for item in items])[kept],
        )

    @property
    def units(self) -> tuple[str | None, ...]:
        return tuple(dict.fromkeys(item.data.unit for item in self.items))


class Ledger:
    """Keeps what was written until the end: 24 bytes per row (time, value, row number), 32 where origins differ.

    Times and values are the arrays that the writer has as well, not copies.
    """

    def __init__(self) -> None:
        self._signals: dict[SignalKey, _Signal] = {}
        self._rows = 0
        self._last: SignalKey | None = None

    def add(self, item: Item) -> None:
        """Note an item that is about to be written."""
        self._last = item.data.key
        self._signals.setdefault(self._last, _Signal()).items.append(item)
        self._rows += len(item.rows)

    def lose(self, data: SignalData, readings: int) -> Iterator[tuple[Item, int]]:
        """Note that some readings will not arrive; return the items and places in them that they were, lazily.

        Args:
            data: the readings, each time and origin once.
            readings: how many written readings they stand for.
        """
        signal = self._signals[data.key]
        kept = signal.kept()
        time, origin, value, unit = signal.columns(kept)
        which = _which(data, time, origin)
        hit = np.flatnonzero(which >= 0)
        which = which[hit]
        exact = (value[hit] == data.value[which]) & (unit[hit] == signal.units.index(data.unit))
        winner = np.full(len(data), -1)
        np.maximum.at(winner, which[exact], hit[exact])
        others = hit[hit != winner[which]]
        after = others > winner[which[hit != winner[which]]]
        others = others[np.lexsort((-others, after))]
        winner = winner[winner >= 0]
        lost = np.sort(kept[np.concatenate([winner, others[: max(0, readings - len(winner))]])])
        signal.lost.append(lost)
        return _places(signal.items, lost)

    def settle(self, rows: int) -> list[Delivered]:
        """Return what was delivered, signal by signal, and forget it here.

        Args:
            rows: how many were written: the last item may not have been.
        """
        if self._rows > rows and self._last is not None:
            self._signals[self._last].items.pop()
        signals, self._signals, self._rows = self._signals, {}, 0
        settled = (_delivered(key, signal) for key, signal in signals.items() if signal.items)
        return [delivered for delivered in settled if len(delivered)]


def _which(data: SignalData, time: NDArray[Any], origin: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return which reading of `data` has each row's time and origin, -1 for none."""
    rows = np.flatnonzero(np.isin(time, data.time))
    origins = np.append(origins_of(data), origin[rows])
    _, moment = np.unique(np.append(data.time, time[rows]), return_inverse=True)
    identity = moment * (origins.max() + 1) + origins
    ours, theirs = identity[: len(data)], identity[len(data) :]
    order = np.argsort(ours)
    place = order[np.minimum(np.searchsorted(ours[order], theirs), len(data) - 1)]
    found = np.full(len(time), -1)
    found[rows] = np.where(ours[place] == theirs, place, -1)
    return found


def _places(items: Sequence[Item], positions: NDArray[np.intp]) -> Iterator[tuple[Item, int]]:
    ends = np.cumsum([len(item.data) for item in items])
    for position, number in zip(positions.tolist(), np.searchsorted(ends, positions, "right").tolist(), strict=True):
        item = items[number]
        yield item, position - int(ends[number]) + len(item.data)


def _delivered(key: SignalKey, signal: _Signal) -> Delivered:
    time, origin, value, unit = signal.columns(signal.kept())
    order = np.lexsort((time, origin))  # stable: the reading written last is the last of its equals
    time, origin, value, unit = time[order], origin[order], value[order], unit[order]
    last = np.append((time[1:] != time[:-1]) | (origin[1:] != origin[:-1]), True)[: len(time)]
    same = np.append((value[1:] == value[:-1]) & (unit[1:] == unit[:-1]), False)[: len(time)]
    return Delivered(
        key,
        signal.items[0].meter,
        time[last],
        origin[last],
        value[last],
        unit[last],
        signal.units,
        int((~last & same).sum()),
        int((~last & ~same).sum()),
    )
