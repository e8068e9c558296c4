"""A day of a signal, drawn with characters."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import import_module
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.parse.zones import UnknownZoneError, zone_of
from besmart_async.models.series import SignalData
from besmart_async.models.times import from_ms, to_whole_ms

MAX_WIDTH = 100
HEIGHT = 17
_MARGIN = 10
_HOUR_MS = 3_600_000
_TICKS_H = 3
_LINES, _BLOCKS = "┌┐└┘┤├┬┴┼─│", "█▀▄▌▐▛▜▙▟▘▝▖▗▞▚"
_SHADES = "·░▒▓"
_ASCII = str.maketrans(_LINES + _BLOCKS + _SHADES, "+++++++++-|" + "#" * len(_BLOCKS) + ".:+*")


@attrs.frozen
class Day:
    """A calendar day in a zone, from one midnight to the next: 23, 24 or 25 hours."""

    start: datetime
    zone: tzinfo

    @classmethod
    def of(cls, moment_ms: float, zone: tzinfo) -> Day:
        """The day that holds a moment."""
        local = from_ms(moment_ms).astimezone(zone)
        return cls(_midnight(local, zone), zone)

    @property
    def end(self) -> datetime:
        """The next midnight."""
        return _midnight(self.start + timedelta(days=1, hours=12), self.zone)

    @property
    def window(self) -> tuple[int, int]:
        """Start and end, UTC unix milliseconds."""
        return to_whole_ms(self.start), to_whole_ms(self.end)


def display_zone(name: str | None) -> tzinfo:
    """The zone of that name; UTC where there is none."""
    try:
        return zone_of(name) if name else UTC
    except UnknownZoneError:
        return UTC


def busiest_day(time: NDArray[Any], value: NDArray[np.float64], zone: tzinfo) -> Day:
    """The day with the most readings, and of those the one with the largest sum."""
    day = Day.of(float(time.min()), zone)
    starts = [day]
    while day.window[1] <= time.max():
        day = Day.of(day.window[1], zone)
        starts.append(day)
    which = np.searchsorted([one.window[0] for one in starts], time, side="right") - 1
    counts = np.bincount(which, minlength=len(starts))
    sums = np.bincount(which, weights=value, minlength=len(starts))
    return starts[int(np.lexsort((sums, counts))[-1])]


def day_chart(data: SignalData, day: Day, title: str, *, width: int | None = None, colour: bool = False) -> str:
    """Draw the readings of one day as steps, each as wide as its period; gaps stay empty.

    Raises:
        ModuleNotFoundError: plotext is not installed.
    """
    plt: Any = import_module("plotext")
    since, till = day.window
    data = data.between(since, till).sorted()
    columns = (width or min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)) - 1
    hours = (till - since) / _HOUR_MS
    value = np.asarray(data.value, np.float64)
    from_zero = value.min() >= 0 and (value.min() < value.max() * 0.7 or value.min() == value.max())
    plt.clear_figure()
    plt.plot_size(columns, HEIGHT)
    plt.theme("clear")
    for x, y in _runs(data.time, value, since, (columns - _MARGIN) * 2, hours):
        plt.plot(x, y, marker="hd", fillx=bool(from_zero), color="cyan" if colour else "default")
    plt.title(title)
    plt.xlim(0, hours)
    if from_zero:
        plt.ylim(0, float(value.max()) * 1.05 or 1.0)
    ticks = np.arange(0, hours + 0.01, _TICKS_H)
    plt.xticks(ticks.tolist(), [_clock(since + tick * _HOUR_MS, day.zone) for tick in ticks])
    drawn: str = plt.build() if colour else plt.uncolorize(plt.build())
    plt.clear_figure()
    return "\n".join(line.rstrip() for line in drawn.splitlines())


def printable(text: str) -> str:
    """The text in what the terminal can show: without line-drawing characters where its encoding has none."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text


def _runs(
    time: NDArray[Any], value: NDArray[np.float64], since: int, samples: int, hours: float
) -> list[tuple[list[float], list[float]]]:
    """Sample the steps at every place that can be drawn; cut where there is no reading."""
    step = float(np.median(np.diff(time))) if len(time) > 1 else _HOUR_MS
    x = (np.arange(samples) + 0.5) * hours / samples
    at = since + x * _HOUR_MS
    place = np.searchsorted(time, at, side="right") - 1
    covered = (place >= 0) & (at < time[np.maximum(place, 0)] + step * 1.001)
    edges = np.flatnonzero(np.diff(covered)) + 1
    runs = [run for run in np.split(np.arange(samples), edges) if covered[run[0]]]
    return [(x[run].tolist(), value[place[run]].tolist()) for run in runs]


def _midnight(local: datetime, zone: tzinfo) -> datetime:
    return datetime(local.year, local.month, local.day, tzinfo=zone)


def _clock(moment_ms: float, zone: tzinfo) -> str:
    return from_ms(moment_ms).astimezone(zone).strftime("%H:%M")
