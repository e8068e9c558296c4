"""Readings that can be drawn: numbers, each time once."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType
from besmart_async.models.values import REMOVED
from besmart_async.plots.days import HOUR_MS

GAP = 1.5
"""Two readings that are more than this many steps apart have a gap between them."""


@attrs.frozen(eq=False)
class Curve:
    """The readings of one signal.

    Attributes:
        key: the signal.
        name: its name in a legend.
        unit: unit of the values; empty if the service did not name one.
        time: UTC unix milliseconds, ascending.
        value: doubles, of the same length.
        step_ms: the usual distance of two readings; None with fewer than two.
        incremental: whether the values are those of a register that counts up.
        several: number of times that have readings of several origins (the last in the answer is drawn).
        left_out: number of readings that are not numbers, or are marked as removed.
    """

    key: SignalKey
    name: str
    unit: str
    time: NDArray[Any]
    value: NDArray[np.float64]
    step_ms: float | None
    incremental: bool = False
    several: int = 0
    left_out: int = 0

    @classmethod
    def of(cls, data: SignalData, kind: SignalType | None = None, step_ms: float | None = None) -> Curve:
        """Return the curve of some readings.

        Args:
            data: the readings.
            kind: the signal's type, for its symbol and whether it counts up.
            step_ms: the distance of two readings; by default the most frequent one.
        """
        time, value = _numbers(data)
        last = np.append(time[1:] != time[:-1], True) if len(time) else np.empty(0, np.bool_)
        symbol = (kind.symbol if kind else None) or ""
        return cls(
            key=data.key,
            name=f"{data.key} {symbol}".strip(),
            unit=data.unit or (kind.unit_symbol if kind else None) or "",
            time=time[last],
            value=value[last],
            step_ms=step_ms or _usual_step(time[last]),
            incremental=bool(kind and kind.is_incremental),
            several=int((~last).sum()),
            left_out=len(data) - len(time),
        )

    def __len__(self) -> int:
        return len(self.time)

    @property
    def title(self) -> str:
        """Its name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    @property
    def stepped(self) -> bool:
        """Whether a value is valid until the next one: the energy of a period."""
        return self.unit.endswith(".h") and not self.incremental

    def gaps(self, longer_than_ms: float = 0.0) -> NDArray[np.bool_]:
        """Return, for each reading but the last, whether a gap follows it."""
        distance = np.diff(self.time)
        return distance > max(GAP * (self.step_ms or np.inf), longer_than_ms)


def rate(curve: Curve) -> Curve:
    """Return a curve that can be averaged over hours.

    An energy becomes the mean power of its period, and a register the mean power between two readings; other values do
    not change. Differences of a register over a gap, or below zero (another meter was mounted), are left out.
    """
    if curve.incremental:
        hours = np.diff(curve.time) / HOUR_MS
        change = np.diff(curve.value)
        good = ~curve.gaps() & (change >= 0)
        unit = _per_hour(curve.unit)
        return attrs.evolve(
            curve, time=curve.time[:-1][good], value=change[good] / hours[good], unit=unit, incremental=False
        )
    if curve.unit.endswith(".h") and curve.step_ms:
        return attrs.evolve(curve, value=curve.value / (curve.step_ms / HOUR_MS), unit=_per_hour(curve.unit))
    return curve


def _numbers(data: SignalData) -> tuple[NDArray[Any], NDArray[np.float64]]:
    data = data.sorted()
    good = np.ones(len(data), np.bool_)
    if data.type is not None:
        good &= np.broadcast_to(np.asarray(data.type != REMOVED, np.bool_), len(data))
    if data.value.dtype == object:
        good &= np.array([type(value) in (int, float) for value in data.value.tolist()], np.bool_)
    return data.time[good], data.value[good].astype(np.float64)


def _usual_step(time: NDArray[Any]) -> float | None:
    if len(time) < 2:
        return None
    distances, counts = np.unique(np.diff(time), return_counts=True)
    return float(distances[counts.argmax()])


def _per_hour(unit: str) -> str:
    return unit.removesuffix(".h") if unit.endswith(".h") else f"{unit}/h"
