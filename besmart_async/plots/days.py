"""Calendar days and local time of a time zone, for columns of moments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.models.times import EPOCH, from_ms, to_ms

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@attrs.frozen(eq=False)
class LocalDays:
    """The days of a period; the first and the last one may be incomplete.

    Attributes:
        zone: the time zone of the days.
        dates: the days, in order.
        edges: shape (days + 1,), UTC unix milliseconds of the midnights around them. A day has 23 or 25 hours where
            clocks change.
    """

    zone: tzinfo
    dates: tuple[date, ...]
    edges: NDArray[np.float64]

    @classmethod
    def of(cls, since_ms: float, till_ms: float, zone: tzinfo) -> Self:
        """Return the days from `since_ms` to just before `till_ms`, at least one."""
        first = from_ms(since_ms).astimezone(zone).date()
        last = from_ms(max(since_ms, till_ms - 1)).astimezone(zone).date()
        dates = tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
        midnights = [_midnight(day, zone) for day in (*dates, last + timedelta(days=1))]
        return cls(zone, dates, np.array(midnights))

    def __len__(self) -> int:
        return len(self.dates)

    def place(self, time: NDArray[Any]) -> NDArray[np.int64]:
        """Return the number of the day of each moment; -1 or `len(self)` outside the period."""
        return np.searchsorted(self.edges, time, side="right") - 1

    def wall_clock(self, time: NDArray[Any]) -> NDArray[np.float64]:
        """Return the local time of moments within these days, as milliseconds since 1970-01-01 00:00 local time."""
        place = np.clip(self.place(time), 0, len(self) - 1)
        starts = np.array([(day - EPOCH.date()).days * float(DAY_MS) for day in self.dates])
        shown = starts[place] + (time - self.edges[place])
        # On a day with a clock change, the time since midnight differs from the local time.
        changed = np.diff(self.edges) != DAY_MS
        for row in np.flatnonzero(changed[place]).tolist():
            shown[row] = to_ms(from_ms(float(time[row])).astimezone(self.zone).replace(tzinfo=UTC))
        return shown

    def hour(self, time: NDArray[Any]) -> NDArray[np.int64]:
        """Return the hour of the day, 0 to 23 local time, of moments within these days."""
        return (self.wall_clock(time) % DAY_MS // HOUR_MS).astype(np.int64)


def _midnight(day: date, zone: tzinfo) -> float:
    return float(to_ms(datetime(day.year, day.month, day.day, tzinfo=zone)))
