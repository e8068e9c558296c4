"""Maps by day: the mean of each hour, and how many of the expected readings there are."""

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
        curve: what was averaged, with its unit: power where the readings are energies (`curves.rate`).
        first: first day of each column; a column is `days` days wide.
        days: days of a column, more than one where there would be too many columns.
        mean: shape (24, columns): by hour of the wall clock; NaN where nothing was read.
    """

    curve: Curve
    first: tuple[date, ...]
    days: int
    mean: NDArray[np.float64]


@attrs.frozen(eq=False)
class GapMap:
    """Share of the expected readings.

    Attributes:
        curve: the signal; its `step_ms` tells how many are expected.
        first: first day of each column.
        days: days of a column.
        share: shape (columns,), 0 to 1; NaN where it cannot be told (fewer than two readings in all).
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
    """Average a curve by day and hour; None for readings further apart than a day."""
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
    """Count the readings of each day against what the step leads to expect, within the period."""
    wide, columns = _columns(len(days), max_columns)
    edges = np.clip(days.edges, since_ms, till_ms)
    # Readings stand at the start of their step, so a day's first one may stand a little after its midnight.
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
    """Let readings that stand for several hours stand in each of them."""
    hours = int((curve.step_ms or 0) // HOUR_MS)
    if hours <= 1:
        return curve
    time = (curve.time[:, None] + np.arange(hours) * HOUR_MS).ravel()
    return attrs.evolve(curve, time=time, value=np.repeat(curve.value, hours))
