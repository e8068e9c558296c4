"""One day of a signal, drawn with characters: what `besmart ingest` shows of the readings it has sent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.cli.terminal.canvas import Trace, line_chart
from besmart_async.cli.terminal.output import colourful, error_line
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartError
from besmart_async.ingest import SignalTally
from besmart_async.ingest.parse.zones import UnknownZoneError, zone_of
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType
from besmart_async.models.times import from_ms, to_whole_ms

if TYPE_CHECKING:
    from besmart_async.plots import ImageFormat

MAX_WIDTH = 100
_HOUR_MS = 3_600_000
_TICKS_H = 3
_CYAN = 6
_SPAN_MS = 31 * 86_400_000
"""How far before the last reading the day is looked for, so that little is read back."""


@attrs.frozen
class Day:
    """A calendar day in a zone, from one midnight to the next: 23, 24 or 25 hours."""

    start: datetime
    zone: tzinfo

    @classmethod
    def of(cls, moment_ms: float, zone: tzinfo) -> Day:
        """Return the day that a moment is in."""
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
    """Return the time zone of a name; UTC if there is no such zone."""
    try:
        return zone_of(name) if name else UTC
    except UnknownZoneError:
        return UTC


def busiest_day(time: NDArray[Any], value: NDArray[np.float64], zone: tzinfo) -> Day:
    """Return the day with the most readings; among equals, the one with the largest sum."""
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
    """Draw the readings of one day as steps, each as wide as its period; gaps stay empty."""
    since, till = day.window
    data = data.between(since, till).sorted()
    value = np.asarray(data.value, np.float64)
    low, high = float(value.min()), float(value.max())
    from_zero = low >= 0 and (low < high * 0.7 or low == high)
    hours = (till - since) / _HOUR_MS
    steps = Trace(
        [((time - since) / _HOUR_MS, level) for time, level in _steps(data.time, value, till)],
        colour=_CYAN if colour else None,
        filled=from_zero,
    )
    return line_chart(
        [steps],
        (width or min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)) - 1,
        title=title,
        x_till=hours,
        x_ticks=[
            (tick, _clock(since + tick * _HOUR_MS, day.zone)) for tick in np.arange(0, hours + 0.01, _TICKS_H).tolist()
        ],
        y_range=(0.0, high * 1.05 or 1.0) if from_zero else None,
    )


def _steps(time: NDArray[Any], value: NDArray[np.float64], till: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the corners of unbroken steps: a value holds until the next reading, or for the usual period."""
    period = float(np.median(np.diff(time))) if len(time) > 1 else _HOUR_MS
    following = np.append(time[1:], till)
    end = np.minimum(following, time + period * 1.001) - 1
    pieces = np.flatnonzero(end[:-1] < following[:-1] - 1) + 1
    for part in np.split(np.arange(len(time)), pieces):
        yield np.column_stack((time[part], end[part])).ravel(), np.repeat(value[part], 2)


def _midnight(local: datetime, zone: tzinfo) -> datetime:
    return datetime(local.year, local.month, local.day, tzinfo=zone)


def _clock(moment_ms: float, zone: tzinfo) -> str:
    return from_ms(moment_ms).astimezone(zone).strftime("%H:%M")


@attrs.frozen
class DayView:
    """A day of a signal, to draw in the terminal or to a file.

    Attributes:
        data: readings of the signal, of this day and perhaps of others.
        day: the day to draw.
        title: names the meter, the signal, its unit and the day.
        kind: the type of the signal; None if the service does not list it.
    """

    data: SignalData
    day: Day
    title: str
    kind: SignalType | None

    def text(self) -> str:
        """Draw it for the terminal."""
        return day_chart(self.data, self.day, self.title, colour=colourful())

    def image(self, form: ImageFormat) -> bytes:
        """Draw it as the content of a file.

        Raises:
            PlotLibraryError: the extra `plot` is not installed.
        """
        from besmart_async.plots import Curve, Picture, render

        since, till = self.day.window
        curve = Curve.of(self.data.between(since, till).sorted(), self.kind)
        return render(Picture([curve], since, till, self.day.zone, ["line"], self.title), form)


async def day_view(client: BesmartClient, tally: SignalTally, zone_name: str | None) -> DayView | None:
    """Return the day with the most readings of the last month of a signal, or None with a message."""
    key, zone = tally.key, display_zone(zone_name)
    till = int(tally.last) + 1
    try:
        [data] = await client.signals.read_bulk([SignalQuery(key, till - _SPAN_MS, till, get_last=True)])
        types = await client.signals.types()
    except BesmartError as error:
        error_line(f"no chart: {error}")
        return None
    if data.absent or not len(data):
        error_line(f"no chart: the service returned no readings of {key}")
        return None
    day = busiest_day(data.time, data.value.astype(float), zone)
    kind = next((kind for kind in types if kind.signal_type_moid == key.signal_type_moid), None)
    symbol = (kind and (kind.obis_mapping or kind.symbol)) or str(key)
    unit = f" [{data.unit}]" if data.unit else ""
    title = f"{tally.meter} {symbol}{unit} on {day.start:%A %Y-%m-%d} ({zone})"
    return DayView(data, day, title, kind)
