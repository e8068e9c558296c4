"""What the service has acknowledged, signal by signal: for the counts of the report and for comparing afterwards."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.items import Item
from besmart_async.models.keys import SignalKey


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
        repeats_equal: repeats of a reading that had come in an earlier part, with the same value.
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
    """Collects delivered items, in the order of their delivery: about 32 bytes per reading."""

    def __init__(self) -> None:
        self._items: dict[SignalKey, list[Item]] = {}
        self.accepted = 0

    def add(self, item: Item) -> None:
        """Note that an item was acknowledged."""
        self._items.setdefault(item.data.key, []).append(item)
        self.accepted += item.total_rows

    def settle(self) -> list[Delivered]:
        """Return what was delivered, signal by signal, and forget it here."""
        return [_delivered(key, self._items.pop(key)) for key in list(self._items)]


def _delivered(key: SignalKey, items: list[Item]) -> Delivered:
    units = tuple(dict.fromkeys(item.data.unit for item in items))
    time = np.concatenate([item.data.time for item in items])
    origin = np.concatenate([item.origins for item in items])
    value = np.concatenate([item.data.value for item in items])
    unit = np.repeat([units.index(item.data.unit) for item in items], [len(item.data) for item in items])
    order = np.lexsort((time, origin))  # stable: the reading delivered last is the last of its equals
    time, origin, value, unit = time[order], origin[order], value[order], unit[order]
    last = np.append((time[1:] != time[:-1]) | (origin[1:] != origin[:-1]), True)
    same = np.append((value[1:] == value[:-1]) & (unit[1:] == unit[:-1]), False)
    within = [item.repeats_equal for item in items]
    return Delivered(
        key,
        items[0].meter,
        time[last],
        origin[last],
        value[last],
        unit[last],
        units,
        int((~last & same).sum()) + sum(int(equal.sum()) for equal in within),
        int((~last & ~same).sum()) + sum(int((~equal).sum()) for equal in within),
    )
