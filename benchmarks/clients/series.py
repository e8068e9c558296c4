"""What the contenders write: a grid of times, the same for all signals, and random values."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async import SignalKey

START_MS = 1_577_836_800_000
STEP_MS = 900_000
WARM_UP_MID = 10_000_000
"""Sensors from here on are written to before the clock starts, where what is measured must be cold."""
BODY_BYTES = 900_000
"""How large our writer lets a body become; the others fill theirs as far."""


Column = tuple[SignalKey, NDArray[np.int64], NDArray[np.float64]]


@attrs.frozen(eq=False)
class Series:
    """Readings of many signals, `values` of shape (signals, rows).

    Attributes:
        cold: every column has arrays of its own, and what warms up writes to other signals.
        parts: how many columns the readings of a signal are cut into.
    """

    keys: list[SignalKey]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    cold: bool = False
    parts: int = 1

    @classmethod
    def made(cls, signals: int, rows: int, *, cold: bool = False, parts: int = 1, first_mid: int = 0) -> Series:
        """The same in every process; `rows` is of one column."""
        values = np.random.default_rng(1).random((signals, rows * parts)).round(3)
        keys = [SignalKey(12, first_mid + number, 32) for number in range(signals)]
        return cls(keys, START_MS + STEP_MS * np.arange(rows * parts), values, cold, parts)

    @property
    def readings(self) -> int:
        """How many there are."""
        return self.values.size

    @property
    def rows(self) -> int:
        """How many readings a column has."""
        return len(self.times) // self.parts

    def columns(self) -> list[Column]:
        """Return the first column of each signal, then the second one, and so on; cold, with arrays of their own."""
        parts = [slice(first, first + self.rows) for first in range(0, len(self.times), self.rows)]
        shared = [(part, self.times[part]) for part in parts]
        rows = [
            (key, times, values[part])
            for part, times in shared
            for key, values in zip(self.keys, self.values, strict=True)
        ]
        return [(key, times.copy(), values.copy()) for key, times, values in rows] if self.cold else rows

    def first(self, signals: int) -> Series:
        """Return so many signals to warm up with: these ones, or if cold, others."""
        if self.cold:
            return Series.made(signals, self.rows, cold=True, parts=self.parts, first_mid=WARM_UP_MID)
        return Series(self.keys[:signals], self.times, self.values[:signals], parts=self.parts)
