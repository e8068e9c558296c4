"""Readings aggregated in time, and energy shown as power.

The document says "Aggregate time (in minutes)" and no more. Ours: buckets of `delta_t` minutes aligned to the epoch,
labelled with their start, one row per bucket and origin. A register (incremental signal) gives the last value in the
bucket, any other signal the mean. Values that are not numbers are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from besmart_async.simulator.storage.readings import ReadingColumns

MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000


def aggregate(columns: ReadingColumns, delta_t: int, *, incremental: bool) -> ReadingColumns:
    """The columns on a grid of `delta_t` minutes. Expects only the newest acquisitions, ordered by time."""
    columns = _numbers(columns)
    step = delta_t * MS_PER_MINUTE
    rows: list[tuple[int, int, float]] = []
    for origin, (times, values) in _by_origin(columns).items():
        buckets = np.floor_divide(times, step)
        starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
        ends = np.append(starts[1:], len(buckets))
        results = values[ends - 1] if incremental else np.add.reduceat(values, starts) / (ends - starts)
        labels = (int(bucket) * step for bucket in buckets[starts])
        rows.extend(zip(labels, [origin] * len(starts), results.tolist(), strict=True))
    return _columns(sorted(rows))


def as_power(columns: ReadingColumns) -> ReadingColumns:
    """A register's readings as mean power since the reading before, per hour; the first reading gives no row."""
    columns = _numbers(columns)
    rows: list[tuple[float, int, float]] = []
    for origin, (times, values) in _by_origin(columns).items():
        power = np.diff(values) / (np.diff(times) / MS_PER_HOUR)
        rows.extend(zip(times[1:].tolist(), [origin] * len(power), power.tolist(), strict=True))
    return _columns(sorted((int(t) if t == int(t) else t, o, v) for t, o, v in rows))


def _numbers(columns: ReadingColumns) -> ReadingColumns:
    if set(map(type, columns.value)) <= {int, float}:
        return columns
    return columns.take([i for i, value in enumerate(columns.value) if type(value) in (int, float)])


def _by_origin(
    columns: ReadingColumns,
) -> dict[int, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    times = np.asarray(columns.time, dtype=np.float64)
    values = np.asarray(columns.value, dtype=np.float64)
    origins = np.asarray(columns.origin, dtype=np.int64)
    return {int(origin): (times[origins == origin], values[origins == origin]) for origin in np.unique(origins)}


def _columns(rows: list[Any]) -> ReadingColumns:
    return ReadingColumns(
        [row[0] for row in rows], [row[2] for row in rows], ["DBL"] * len(rows), [row[1] for row in rows]
    )
