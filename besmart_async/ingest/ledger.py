"""What was written, signal by signal: to name the rows of what is refused, to report, and to compare afterwards.

Every row has a number, in the order of writing. The writer carries it as the reading's label, and a rejection tells the
labels of all it stands for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.items import Item
from besmart_async.models.keys import SignalKey

FIRST_LABEL = -2
"""Label of the first row; the others follow downwards, since labels are below -1."""


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


class Ledger:
    """Keeps what was written until the end: 24 bytes per row (time, value, row number), 32 where origins differ.

    Times and values are the arrays that the writer has as well, not copies. While a row waits in the writer, its label
    takes 8 bytes more.
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._starts: list[int] = []
        self._rows = 0
        self._lost: list[NDArray[np.int64]] = []

    def add(self, item: Item) -> NDArray[np.int64]:
        """Note an item that is about to be written; return the labels of its rows."""
        self._items.append(item)
        self._starts.append(self._rows)
        self._rows += len(item.rows)
        return FIRST_LABEL - np.arange(self._starts[-1], self._rows)

    def lose(self, labels: Iterable[int]) -> Iterator[tuple[Item, int]]:
        """Note that some rows will not arrive; return the items and places in them that they are, in order, lazily."""
        lost = np.sort(FIRST_LABEL - np.fromiter(labels, np.int64))
        self._lost.append(lost)
        return ((self._items[n := bisect_right(self._starts, row) - 1], row - self._starts[n]) for row in lost.tolist())

    def settle(self, rows: int) -> list[Delivered]:
        """Return what was delivered, signal by signal, and forget it here.

        Args:
            rows: how many were written: the last item may not have been.
        """
        kept = np.arange(self._rows) < rows
        for lost in self._lost:
            kept[lost] = False
        signals: dict[SignalKey, list[tuple[Item, NDArray[np.bool_]]]] = {}
        for item, start in zip(self._items, self._starts, strict=True):
            arrived = kept[start : start + len(item.rows)]
            if arrived.any():
                signals.setdefault(item.data.key, []).append((item, arrived))
        self._items, self._starts, self._lost, self._rows = [], [], [], 0
        return [_delivered(key, signals.pop(key)) for key in list(signals)]


def _delivered(key: SignalKey, arrived: list[tuple[Item, NDArray[np.bool_]]]) -> Delivered:
    units = tuple(dict.fromkeys(item.data.unit for item, _ in arrived))
    time = np.concatenate([item.data.time[rows] for item, rows in arrived])
    origin = np.concatenate([item.origins[rows] for item, rows in arrived])
    value = np.concatenate([item.data.value[rows] for item, rows in arrived])
    unit = np.repeat([units.index(item.data.unit) for item, _ in arrived], [rows.sum() for _, rows in arrived])
    order = np.lexsort((time, origin))  # stable: the reading written last is the last of its equals
    time, origin, value, unit = time[order], origin[order], value[order], unit[order]
    last = np.append((time[1:] != time[:-1]) | (origin[1:] != origin[:-1]), True)
    same = np.append((value[1:] == value[:-1]) & (unit[1:] == unit[:-1]), False)
    return Delivered(
        key,
        arrived[0][0].meter,
        time[last],
        origin[last],
        value[last],
        unit[last],
        units,
        int((~last & same).sum()),
        int((~last & ~same).sum()),
    )
