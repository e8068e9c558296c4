"""Which signals got readings, and how many: what a report needs where the readings themselves are not kept."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.items import Item
from besmart_async.models.keys import SignalKey


@attrs.define
class SignalTally:
    """What one signal got.

    Attributes:
        key: the signal.
        meter: its meter's name in the files.
        readings: readings that were stored, repeats included.
        first: the earliest, UTC unix milliseconds.
        last: the latest.
    """

    key: SignalKey
    meter: str
    readings: int
    first: float
    last: float


class Tally:
    """What every signal got."""

    def __init__(self) -> None:
        self.signals: dict[SignalKey, SignalTally] = {}

    @property
    def meters(self) -> int:
        """How many meters got readings."""
        return len({key.sensor for key in self.signals})

    @property
    def largest(self) -> SignalTally | None:
        """The signal that got the most."""
        return max(self.signals.values(), key=lambda one: one.readings, default=None)

    def add(self, items: Sequence[Item], arrived: NDArray[np.bool_]) -> None:
        """Count the readings of some items.

        Args:
            items: the items.
            arrived: which of their readings were stored, shape (all of them,).
        """
        whole = bool(arrived.all())
        start = 0
        for item in items:
            time = item.data.time
            if not whole:
                time = time[arrived[start : start + len(time)]]
                start += len(item.rows)
            if len(time):
                self._count(item, len(time), float(time[0]), float(time[-1]), time)

    def _count(self, item: Item, readings: int, first: float, last: float, time: NDArray[np.generic]) -> None:
        if first > last or item.data.origin.__class__ is not int:  # by origin first, then by time
            first, last = float(time.min()), float(time.max())
        found = self.signals.get(item.data.key)
        if found is None:
            self.signals[item.data.key] = SignalTally(item.data.key, item.meter, readings, first, last)
            return
        found.readings += readings
        found.first = min(found.first, first)
        found.last = max(found.last, last)
