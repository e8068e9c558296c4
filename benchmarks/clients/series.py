"""What the contenders write: a grid of times, the same for all signals, and random values."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async import SignalKey

START_MS = 1_577_836_800_000
STEP_MS = 900_000
BODY_BYTES = 900_000
"""How large our writer lets a body become; the others fill theirs as far."""


@attrs.frozen(eq=False)
class Series:
    """Readings of many signals, `values` of shape (signals, rows)."""

    keys: list[SignalKey]
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def made(cls, signals: int, rows: int) -> Series:
        """The same in every process."""
        values = np.random.default_rng(1).random((signals, rows)).round(3)
        return cls([SignalKey(12, mid, 32) for mid in range(signals)], START_MS + STEP_MS * np.arange(rows), values)

    @property
    def readings(self) -> int:
        """How many there are."""
        return self.values.size
