"""A picture as a Vega-Lite chart. altair takes half a second to import, so this module is imported when it is needed.

Colours are those of Okabe and Ito, and viridis: both can be told apart by people who see few colours, and in grey.
Moments are drawn as what the wall clock of the picture's zone shows, on a scale that shifts nothing (`utc`), so that
the picture looks the same wherever it is opened. Where the clock is set back, the line starts anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import altair as alt
import numpy as np

from besmart_async.models.times import EPOCH
from besmart_async.plots.days import DAY_MS, LocalDays
from besmart_async.plots.lines import Line, line_of
from besmart_async.plots.maps import GapMap, HourMap, gap_map, hour_map
from besmart_async.plots.picture import MAX_HEATMAPS, MAX_ROWS, Picture, axis_title, missing_text

WIDTH = 900
"""About the width of each chart; exactly, it is a multiple of the map's columns, which else would have seams."""
LINE_HEIGHT = 260
MAP_HEIGHT = 24 * 8
ROW_HEIGHT = 24
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ([1, 0], [6, 3])
_NOTHING_READ = "#e4e4e4"
_SHARES = ("#D55E00", "#F3E6CF", "#0072B2")
_FEW_DAYS = 12
_TICK = (
    "utchours(datum.value) || utcminutes(datum.value) ? utcFormat(datum.value, '%H:%M')"
    " : utcdate(datum.value) != 1 ? utcFormat(datum.value, '%a %d %b')"
    " : utcmonth(datum.value) ? utcFormat(datum.value, '%b %Y') : utcFormat(datum.value, '%Y')"
)
"""Ticks with the clock of 24 hours; days and months by name."""
_EMBED = {"actions": {"export": True, "source": False, "compiled": False, "editor": False}}
"""The HTML page offers to save the picture, and nothing that needs a network."""


def chart_of(picture: Picture) -> alt.VConcatChart:
    """Return all charts of a picture, one below the other."""
    days = picture.days
    columns = -(-len(days) // -(-len(days) // WIDTH))
    width = columns * max(1, round(WIDTH / columns))
    rows: list[Any] = []
    notes = list(picture.notes())
    for kind in picture.kinds:
        if kind == "line":
            panels = [
                [line_of(curve, picture.since_ms, picture.till_ms, width) for curve in curves]
                for curves in picture.panels()
            ]
            rows += [
                _lines(lines, days, picture, f"zoom_{number}").properties(width=width)
                for number, lines in enumerate(panels)
            ]
            if any(line.thinned for lines in panels for line in lines):
                notes.append("lines: of each pixel column the first, lowest, highest and last reading")
        elif kind == "heatmap":
            maps = [hour_map(curve, days, WIDTH) for curve in picture.curves[:MAX_HEATMAPS]]
            rows += [_heatmap(found).properties(width=width) for found in maps if found is not None]
            if None in maps:
                notes.append("readings further apart than a day have no heat map")
        else:
            rows.append(_completeness(picture, days).properties(width=width))
    whole: alt.VConcatChart = (
        alt.vconcat(*rows, spacing=28)
        .resolve_scale(color="independent", x="independent", strokeDash="independent")
        .properties(
            title=alt.TitleParams(
                picture.title,
                subtitle=[picture.period, *notes],
                anchor="start",
                fontSize=16,
                subtitleFontSize=12,
                subtitlePadding=4,
                offset=14,
            ),
            padding=16,
            background="white",
            usermeta={"embedOptions": _EMBED},
        )
        .configure_axis(labelFontSize=11, titleFontSize=12, titleFontWeight="normal")
        .configure_legend(labelFontSize=11, titleFontSize=12, labelLimit=260)
        .configure_view(stroke="#bbbbbb")
    )
    return whole


def _lines(lines: Sequence[Line], days: LocalDays, picture: Picture, zoom: str) -> Any:
    unit = axis_title([line.curve for line in lines])
    names = [line.curve.name for line in lines]
    rows = [row for line in lines for row in _points(line, days)]
    edges = days.wall_clock(np.array([picture.since_ms, picture.till_ms - 1])).tolist()
    x = alt.X("t:T", title=None, scale=alt.Scale(type="utc", domain=edges, nice=False), axis=_dates())
    y = alt.Y("v:Q", title=unit, scale=alt.Scale(zero=_from_zero(lines)))
    colour = alt.Color(
        "s:N",
        title=None,
        sort=names,
        scale=alt.Scale(domain=names, range=[COLOURS[number % len(COLOURS)] for number in range(len(names))]),
        legend=alt.Legend(orient="top", columns=4, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1),
    )
    dash = alt.StrokeDash(
        "s:N",
        sort=names,
        legend=None if len(names) <= len(COLOURS) else alt.Undefined,
        scale=alt.Scale(
            domain=names, range=[_DASHES[number // len(COLOURS) % len(_DASHES)] for number in range(len(names))]
        ),
    )
    tooltip = [
        alt.Tooltip("s:N", title="signal"),
        alt.Tooltip("t:T", title="time", format="%Y-%m-%d %H:%M", timeUnit="utcyearmonthdatehoursminutes"),
        alt.Tooltip("v:Q", title=unit),
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=colour, tooltip=tooltip)
    stepped = any(line.curve.stepped and not line.thinned for line in lines)
    drawn = base.mark_line(
        strokeWidth=1.3,
        strokeOpacity=0.85,
        interpolate="step-after" if stepped else "linear",
        clip=True,
        strokeJoin="round",
    ).encode(strokeDash=dash, detail="g:N")
    dots = base.transform_filter("datum.a").mark_point(filled=True, size=14, clip=True)
    zooming = alt.selection_interval(name=zoom, bind="scales", encodings=["x"])
    return alt.layer(drawn.add_params(zooming), dots).properties(height=LINE_HEIGHT)


def _points(line: Line, days: LocalDays) -> list[dict[str, Any]]:
    curve = line.curve
    shown = days.wall_clock(curve.time[line.rows])
    # Where the clock was set back, what it shows goes back too: a line through that would be a loop.
    piece = line.segment + np.append(0, np.cumsum(np.diff(shown) < 0)).astype(np.int64)
    columns = (shown.tolist(), curve.value[line.rows].tolist(), piece.tolist(), line.alone.tolist())
    return [
        {"t": time, "v": value, "s": curve.name, "g": number, **({"a": 1} if alone else {})}
        for time, value, number, alone in zip(*columns, strict=True)
    ]


def _heatmap(found: HourMap) -> Any:
    rows: list[dict[str, Any]] = []
    for column, day in enumerate(found.first):
        start = _wall_ms(day)
        for hour in range(24):
            mean = found.mean[hour, column]
            if not math.isnan(mean):
                rows.append({"d": start, "e": start + found.days * DAY_MS, "h": hour, "i": hour + 1, "v": float(mean)})
    curve = found.curve
    unit = curve.unit or "value"
    first, last = _wall_ms(found.first[0]), _wall_ms(found.first[-1]) + found.days * DAY_MS
    wide = "" if found.days == 1 else f", {found.days} days a column"
    return (
        alt.Chart(alt.InlineData(values=rows), title=_panel(f"{curve.name}: mean of each hour{wide}"))
        .mark_rect()
        .encode(
            x=alt.X(
                "d:T",
                title=None,
                scale=alt.Scale(type="utc", domain=[first, last], nice=False),
                axis=_days_axis(len(found.first)),
            ),
            x2="e:T",
            y=alt.Y(
                "h:Q",
                title="hour of day",
                scale=alt.Scale(domain=[24, 0], nice=False, zero=False),
                axis=alt.Axis(values=[0, 6, 12, 18, 24], grid=False),
            ),
            y2="i:Q",
            color=alt.Color(
                "v:Q",
                title=unit,
                scale=alt.Scale(scheme="viridis", zero=False),
                legend=alt.Legend(gradientLength=MAP_HEIGHT - 40),
            ),
            tooltip=[
                alt.Tooltip("d:T", title="day", format="%Y-%m-%d", timeUnit="utcyearmonthdate"),
                alt.Tooltip("h:Q", title="hour"),
                alt.Tooltip("v:Q", title=unit, format=".4~g"),
            ],
        )
        .properties(height=MAP_HEIGHT, view=alt.ViewBackground(fill=_NOTHING_READ))
    )


def _completeness(picture: Picture, days: LocalDays) -> Any:
    maps = [gap_map(curve, days, picture.since_ms, picture.till_ms, WIDTH) for curve in picture.curves[:MAX_ROWS]]
    names = [_row_name(found) for found in maps]
    rows = [row for name, found in zip(names, maps, strict=True) for row in _shares(name, found)]
    wide = "" if maps[0].days == 1 else f", {maps[0].days} days a column"
    first, last = _wall_ms(days.dates[0]), _wall_ms(maps[0].first[-1]) + maps[0].days * DAY_MS
    return (
        alt.Chart(alt.InlineData(values=rows), title=_panel(f"completeness: share of the expected readings{wide}"))
        .mark_rect()
        .encode(
            x=alt.X(
                "d:T",
                title=None,
                scale=alt.Scale(type="utc", domain=[first, last], nice=False),
                axis=_days_axis(len(days)),
            ),
            x2="e:T",
            y=alt.Y(
                "s:N", title=None, sort=names, axis=alt.Axis(labelLimit=340, grid=False), scale=alt.Scale(domain=names)
            ),
            color=alt.Color(
                "p:Q",
                title="share read",
                scale=alt.Scale(domain=[0, 0.5, 1], range=list(_SHARES)),
                legend=alt.Legend(format="%", values=[0, 0.5, 1], gradientLength=90),
            ),
            tooltip=[
                alt.Tooltip("s:N", title="signal"),
                alt.Tooltip("d:T", title="day", format="%Y-%m-%d", timeUnit="utcyearmonthdate"),
                alt.Tooltip("p:Q", title="share read", format=".1%"),
            ],
        )
        .properties(height=max(60, ROW_HEIGHT * len(maps)), view=alt.ViewBackground(fill=_NOTHING_READ))
    )


def _shares(name: str, found: GapMap) -> list[dict[str, Any]]:
    starts = [_wall_ms(day) for day in found.first]
    return [
        {"d": start, "e": start + found.days * DAY_MS, "s": name, "p": round(float(share), 4)}
        for start, share in zip(starts, found.share.tolist(), strict=True)
        if not math.isnan(share)
    ]


def _row_name(found: GapMap) -> str:
    if found.curve.step_ms is None:
        return f"{found.curve.name} (too few readings to tell)"
    return f"{found.curve.name} ({missing_text(found.missing, found.expected)})"


def _panel(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, anchor="start", fontSize=12, fontWeight="normal", offset=6)


def _dates() -> alt.Axis:
    return alt.Axis(labelOverlap=True, tickCount=10, grid=True, gridOpacity=0.4, labelExpr=_TICK)


def _days_axis(days: int) -> alt.Axis:
    """Ticks at whole days, where there are so few that hours would get some."""
    count: Any = alt.TimeIntervalStep(interval="day", step=1) if days <= _FEW_DAYS else 10
    return alt.Axis(labelOverlap=True, tickCount=count, grid=False, labelExpr=_TICK)


def _from_zero(lines: Sequence[Line]) -> bool:
    """Whether the axis starts at zero: not if the values are far from it, such as a voltage or a register."""
    values = [line.curve.value for line in lines if len(line.curve)]
    if not values:
        return True
    low, high = min(value.min() for value in values), max(value.max() for value in values)
    return bool(low < 0 or low < 0.5 * high)


def _wall_ms(day: date) -> int:
    return (day - EPOCH.date()).days * DAY_MS
