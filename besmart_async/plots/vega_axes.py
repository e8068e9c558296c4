"""What the charts of a picture share: sizes, colours, and axes of days and times.

Colours are those of Okabe and Ito, and viridis: both can be told apart by people who see few colours, and in grey.
Moments are drawn as what the wall clock of the picture's zone shows, on a scale that shifts nothing (`utc`), so that
the picture looks the same wherever it is opened.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import altair as alt

from besmart_async.models.times import EPOCH
from besmart_async.plots.days import DAY_MS

WIDTH = 900
"""About the width of each chart; exactly, it is a multiple of the map's columns, which else would have seams."""
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
    """An axis of times, with the clock of 24 hours."""
    return alt.Axis(labelOverlap=True, tickCount=10, grid=True, gridOpacity=0.4, labelExpr=_ticks(days))


def day_axis(days: int) -> alt.Axis:
    """An axis with ticks at whole days, also where there are so few that hours would get some."""
    count: Any = alt.TimeIntervalStep(interval="day", step=1) if days <= _FEW_DAYS else 10
    return alt.Axis(labelOverlap=True, tickCount=count, grid=False, labelExpr=_ticks(days))


def panel_title(text: str) -> alt.TitleParams:
    """The title of one chart."""
    return alt.TitleParams(text, anchor="start", fontSize=12, fontWeight="normal", offset=6)


def wall_ms(day: date) -> int:
    """What the clock on the wall shows at the start of a day."""
    return (day - EPOCH.date()).days * DAY_MS


def columns_text(days: int) -> str:
    """How wide a column is, where that is more than a day."""
    return "" if days == 1 else f", {days} days a column"


def _ticks(days: int) -> str:
    return _CLOCK + (_DAY if days < _MONTHS_FROM_DAYS else _MONTH)
