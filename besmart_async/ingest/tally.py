"""Which signals got readings, and how many: what a report needs where the readings themselves are not kept."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.items import Items
from besmart_async.ingest.mapping import Target
from besmart_async.models.keys import SignalKey


@attrs.frozen
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
    """What every signal got, by its number."""

    def __init__(self) -> None:
        self._targets: dict[int, Target] = {}
        self._readings = np.empty(0, np.int64)
        self._first = np.empty(0, np.float64)
        self._last = np.empty(0, np.float64)

    @property
    def signals(self) -> int:
        """How many signals got readings."""
        return int(np.count_nonzero(self._readings))

    @property
    def meters(self) -> int:
        """How many meters got readings."""
        keys = [self._targets[number].key for number in np.flatnonzero(self._readings).tolist()]
        return len({(key.client_cid, key.sensor_mid) for key in keys})

    @property
    def largest(self) -> SignalTally | None:
        """The signal that got the most."""
        number = int(self._readings.argmax()) if len(self._readings) else 0
        if not self.signals:
            return None
        target = self._targets[number]
        first, last = float(self._first[number]), float(self._last[number])
        return SignalTally(target.key, target.meter, int(self._readings[number]), first, last)

    def add(self, items: Items, arrived: NDArray[np.bool_]) -> None:
        """Count the readings of a page.

        Args:
            items: what was written of it.
            arrived: which of its readings were stored, shape (all of them,).
        """
        for target in items.targets:
            self._targets.setdefault(target.number, target)
        signals, counts, time = items.signals, items.sizes, items.time
        if not arrived.all():
            counts = np.add.reduceat(arrived.astype(np.int64), items.starts)
            signals, counts, time = signals[counts > 0], counts[counts > 0], time[arrived]
        if not len(time):
            return
        self._grow(int(signals.max()) + 1)
        starts = np.cumsum(counts) - counts
        np.add.at(self._readings, signals, counts)
        np.minimum.at(self._first, signals, np.minimum.reduceat(time, starts))
        np.maximum.at(self._last, signals, np.maximum.reduceat(time, starts))

    def _grow(self, signals: int) -> None:
        missing = signals - len(self._readings)
        if missing > 0:
            self._readings = np.append(self._readings, np.zeros(missing, np.int64))
            self._first = np.append(self._first, np.full(missing, np.inf))
            self._last = np.append(self._last, np.full(missing, -np.inf))
