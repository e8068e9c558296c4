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
    """

    keys: list[SignalKey]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    cold: bool = False

    @classmethod
    def made(cls, signals: int, rows: int, *, cold: bool = False, first_mid: int = 0) -> Series:
        """The same in every process."""
        values = np.random.default_rng(1).random((signals, rows)).round(3)
        keys = [SignalKey(12, first_mid + number, 32) for number in range(signals)]
        return cls(keys, START_MS + STEP_MS * np.arange(rows), values, cold)

    @property
    def readings(self) -> int:
        """How many there are."""
        return self.values.size

    def columns(self) -> list[Column]:
        """Return a column for each signal; cold, with arrays of its own."""
        rows = zip(self.keys, self.values, strict=True)
        if self.cold:
            return [(key, self.times.copy(), values.copy()) for key, values in rows]
        return [(key, self.times, values) for key, values in rows]

    def first(self, signals: int) -> Series:
        """Return so many signals to warm up with: these ones, or if cold, others."""
        if self.cold:
            return Series.made(signals, len(self.times), cold=True, first_mid=WARM_UP_MID)
        return Series(self.keys[:signals], self.times, self.values[:signals])
