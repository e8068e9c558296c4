"""Maps by day as Vega-Lite charts."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from besmart_async.plots.days import DAY_MS, LocalDays
from besmart_async.plots.maps import GapMap, HourMap, gap_map
from besmart_async.plots.picture import MAX_ROWS, Picture, missing_text
from besmart_async.plots.vega_axes import (
    MAP_HEIGHT,
    NOTHING_READ,
    ROW_HEIGHT,
    SHARES,
    WIDTH,
    columns_text,
    day_axis,
    panel_title,
    wall_ms,
)


def hour_chart(found: HourMap) -> Any:
    """Return a heat map: days from left to right, hours from top to bottom."""
    rows: list[dict[str, Any]] = []
    for column, day in enumerate(found.first):
        start = wall_ms(day)
        for hour in range(24):
            mean = found.mean[hour, column]
            if not math.isnan(mean):
                rows.append({"d": start, "e": start + found.days * DAY_MS, "h": hour, "i": hour + 1, "v": float(mean)})
    curve = found.curve
    unit = curve.unit or "value"
    first, last = wall_ms(found.first[0]), wall_ms(found.first[-1]) + found.days * DAY_MS
    return (
        alt.Chart(
            alt.InlineData(values=rows), title=panel_title(f"{curve.name}: mean of each hour{columns_text(found.days)}")
        )
        .mark_rect()
        .encode(
            x=alt.X(
                "d:T",
                title=None,
                scale=alt.Scale(type="utc", domain=[first, last], nice=False),
                axis=day_axis(len(found.first)),
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
                legend=alt.Legend(gradientLength=MAP_HEIGHT - 40, tickCount=5),
            ),
            tooltip=[
                alt.Tooltip("d:T", title="day", format="%Y-%m-%d", timeUnit="utcyearmonthdate"),
                alt.Tooltip("h:Q", title="hour"),
                alt.Tooltip("v:Q", title=unit, format=".4~g"),
            ],
        )
        .properties(height=MAP_HEIGHT, view=alt.ViewBackground(fill=NOTHING_READ))
    )


def gap_chart(picture: Picture, days: LocalDays) -> Any:
    """Return the completeness map: one row per signal."""
    maps = [gap_map(curve, days, picture.since_ms, picture.till_ms, WIDTH) for curve in picture.curves[:MAX_ROWS]]
    names = [_row_name(found) for found in maps]
    rows = [row for name, found in zip(names, maps, strict=True) for row in _shares(name, found)]
    wide = columns_text(maps[0].days)
    first, last = wall_ms(days.dates[0]), wall_ms(maps[0].first[-1]) + maps[0].days * DAY_MS
    return (
        alt.Chart(alt.InlineData(values=rows), title=panel_title(f"completeness: share of the expected readings{wide}"))
        .mark_rect()
        .encode(
            x=alt.X(
                "d:T",
                title=None,
                scale=alt.Scale(type="utc", domain=[first, last], nice=False),
                axis=day_axis(len(days)),
            ),
            x2="e:T",
            y=alt.Y(
                "s:N",
                title=None,
                sort=names,
                axis=alt.Axis(labelLimit=340, grid=False),
                scale=alt.Scale(domain=names, paddingInner=0.12),
            ),
            color=alt.Color(
                "p:Q",
                title="share read",
                scale=alt.Scale(domain=[0, 0.5, 1], range=list(SHARES), interpolate="rgb"),
                legend=alt.Legend(format="%", values=[0, 0.5, 1], gradientLength=90),
            ),
            tooltip=[
                alt.Tooltip("s:N", title="signal"),
                alt.Tooltip("d:T", title="day", format="%Y-%m-%d", timeUnit="utcyearmonthdate"),
                alt.Tooltip("p:Q", title="share read", format=".1%"),
            ],
        )
        .properties(height=max(60, ROW_HEIGHT * len(maps)), view=alt.ViewBackground(fill=NOTHING_READ))
    )


def _shares(name: str, found: GapMap) -> list[dict[str, Any]]:
    starts = [wall_ms(day) for day in found.first]
    return [
        {"d": start, "e": start + found.days * DAY_MS, "s": name, "p": round(float(share), 4)}
        for start, share in zip(starts, found.share.tolist(), strict=True)
        if not math.isnan(share)
    ]


def _row_name(found: GapMap) -> str:
    if found.curve.step_ms is None:
        return f"{found.curve.name} (too few readings to tell)"
    return f"{found.curve.name} ({missing_text(found.missing, found.expected)})"
