"""Maps by day: the mean of each hour, and the share of the expected readings."""

from __future__ import annotations

from datetime import date

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.plots.curves import Curve, rate
from besmart_async.plots.days import DAY_MS, HOUR_MS, LocalDays


@attrs.frozen(eq=False)
class HourMap:
    """Means by day and hour of the day.

    Attributes:
        curve: the averaged curve with its unit: power if the readings are energies (`curves.rate`).
        first: first day of each column.
        days: days per column; more than one if there would be too many columns.
        mean: shape (24, columns): by hour of local time; NaN without readings.
    """

    curve: Curve
    first: tuple[date, ...]
    days: int
    mean: NDArray[np.float64]


@attrs.frozen(eq=False)
class GapMap:
    """Share of the expected readings.

    Attributes:
        curve: the signal; its `step_ms` gives the number of expected readings.
        first: first day of each column.
        days: days per column.
        share: shape (columns,), 0 to 1; NaN if it is unknown (fewer than two readings in all).
        missing: readings missing in the whole period.
        expected: readings expected in the whole period.
    """

    curve: Curve
    first: tuple[date, ...]
    days: int
    share: NDArray[np.float64]
    missing: int
    expected: int


def hour_map(curve: Curve, days: LocalDays, max_columns: int) -> HourMap | None:
    """Average a curve by day and hour; None for readings that are more than a day apart."""
    if curve.step_ms is not None and curve.step_ms > DAY_MS:
        return None
    power = _hourly(rate(curve))
    place = days.place(power.time)
    inside = (place >= 0) & (place < len(days))
    wide, columns = _columns(len(days), max_columns)
    cell = days.hour(power.time[inside]) * columns + place[inside] // wide
    counts = np.bincount(cell, minlength=24 * columns)
    sums = np.bincount(cell, weights=power.value[inside], minlength=24 * columns)
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).reshape(24, columns)
    return HourMap(power, days.dates[::wide], wide, mean)


def gap_map(curve: Curve, days: LocalDays, since_ms: float, till_ms: float, max_columns: int) -> GapMap:
    """Compare the readings of each day in the period with the number that the step leads to expect."""
    wide, columns = _columns(len(days), max_columns)
    edges = np.clip(days.edges, since_ms, till_ms)
    # The time of a reading is the start of its step: a day's first reading may be a little after midnight.
    expected = np.diff(edges) / curve.step_ms if curve.step_ms else np.full(len(days), np.nan)
    inside = curve.time[(curve.time >= since_ms) & (curve.time < till_ms)]
    present = np.bincount(days.place(inside), minlength=len(days))[: len(days)]
    starts = np.arange(0, len(days), wide)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.minimum(np.add.reduceat(present, starts) / np.add.reduceat(expected, starts), 1.0)
    total = 0 if curve.step_ms is None else round(float(expected.sum()))
    missing = 0 if curve.step_ms is None else max(0, total - len(inside))
    return GapMap(curve, days.dates[::wide], wide, share[:columns], missing, total)


def _columns(days: int, most: int) -> tuple[int, int]:
    wide = -(-days // most)
    return wide, -(-days // wide)


def _hourly(curve: Curve) -> Curve:
    """Repeat readings of several hours in each of their hours."""
    hours = int((curve.step_ms or 0) // HOUR_MS)
    if hours <= 1:
        return curve
    time = (curve.time[:, None] + np.arange(hours) * HOUR_MS).ravel()
    return attrs.evolve(curve, time=time, value=np.repeat(curve.value, hours))
