"""Sizes, colours, and axes of days and times that the charts of a picture share.

Colours are those of Okabe and Ito, and viridis: colour-blind people can distinguish both, and they differ in grey.
Times are drawn as local time of the picture's zone, on a scale without a time zone (`utc`), so that the picture looks
the same wherever it is opened.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import altair as alt

from besmart_async.models.times import EPOCH
from besmart_async.plots.days import DAY_MS

WIDTH = 900
"""Approximate width of each chart; the exact one is a multiple of the map's columns, since a map would have seams."""
LINE_HEIGHT = 260
MAP_HEIGHT = 24 * 8
ROW_HEIGHT = 24
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ([1, 0], [6, 3])
NOTHING_READ = "#e4e4e4"
SHARES = ("#D55E00", "#F3E6CF", "#0072B2")

_FEW_DAYS = 12
_MONTHS_FROM_DAYS = 60
_CLOCK = "utchours(datum.value) || utcminutes(datum.value) ? utcFormat(datum.value, '%H:%M') : "
_DAY = "utcFormat(datum.value, '%a %d %b')"
_MONTH = (
    f"utcdate(datum.value) != 1 ? {_DAY}"
    " : utcmonth(datum.value) ? utcFormat(datum.value, '%b %Y') : utcFormat(datum.value, '%Y')"
)


def time_axis(days: int) -> alt.Axis:
    """Return an axis of times, with hours from 0 to 24."""
    return alt.Axis(labelOverlap=True, tickCount=10, grid=True, gridOpacity=0.4, labelExpr=_ticks(days))


def day_axis(days: int) -> alt.Axis:
    """Return an axis with ticks at whole days, even for so few days that hours would have ticks."""
    count: Any = alt.TimeIntervalStep(interval="day", step=1) if days <= _FEW_DAYS else 10
    return alt.Axis(labelOverlap=True, tickCount=count, grid=False, labelExpr=_ticks(days))


def panel_title(text: str) -> alt.TitleParams:
    """Return the title of one chart."""
    return alt.TitleParams(text, anchor="start", fontSize=12, fontWeight="normal", offset=6)


def wall_ms(day: date) -> int:
    """Return the local time of the start of a day."""
    return (day - EPOCH.date()).days * DAY_MS


def columns_text(days: int) -> str:
    """Return the width of a column as a text, if it is more than a day."""
    return "" if days == 1 else f", {days} days a column"


def _ticks(days: int) -> str:
    return _CLOCK + (_DAY if days < _MONTHS_FROM_DAYS else _MONTH)
