"""Lines as Vega-Lite charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import numpy as np

from besmart_async.plots.days import LocalDays
from besmart_async.plots.lines import DrawnLine
from besmart_async.plots.picture import Picture, axis_title
from besmart_async.plots.vega_axes import COLOURS, DASHES, LINE_HEIGHT, time_axis


def line_chart(lines: Sequence[DrawnLine], days: LocalDays, picture: Picture, zoom: str) -> Any:
    """Return the lines of one panel; `zoom` is the name of its zoom selection, unique in the picture."""
    unit = axis_title([line.curve for line in lines])
    rows = [row for line in lines for row in _points(line, days)]
    edges = days.wall_clock(np.array([picture.since_ms, picture.till_ms - 1])).tolist()
    colour, dash = _distinguished([line.curve.name for line in lines])
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("t:T", title=None, scale=alt.Scale(type="utc", domain=edges, nice=False), axis=time_axis(len(days))),
        y=alt.Y("v:Q", title=unit, scale=alt.Scale(zero=_from_zero(lines))),
        color=colour,
        tooltip=[
            alt.Tooltip("s:N", title="signal"),
            alt.Tooltip("t:T", title="time", format="%Y-%m-%d %H:%M", timeUnit="utcyearmonthdatehoursminutes"),
            alt.Tooltip("v:Q", title=unit),
        ],
    )
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


def _distinguished(names: Sequence[str]) -> tuple[alt.Color, alt.StrokeDash]:
    """Return the encodings of colour and dash: seven colours, then the same ones dashed."""
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    dashes = [DASHES[number // len(COLOURS) % len(DASHES)] for number in range(len(names))]
    legend = alt.Legend(orient="top", columns=4, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    colour = alt.Color(
        "s:N", title=None, sort=list(names), scale=alt.Scale(domain=list(names), range=colours), legend=legend
    )
    dash = alt.StrokeDash(
        "s:N",
        title=None,
        sort=list(names),
        scale=alt.Scale(domain=list(names), range=dashes),
        legend=None if len(names) <= len(COLOURS) else legend,
    )
    return colour, dash


def _points(line: DrawnLine, days: LocalDays) -> Iterator[dict[str, Any]]:
    curve = line.curve
    time = curve.time[line.rows]
    shown = days.wall_clock(time)
    piece = line.pieces(shown)
    held = curve.step_ms if curve.stepped and not line.thinned else None
    last = np.append(piece[1:] != piece[:-1], True)
    columns = (shown.tolist(), curve.value[line.rows].tolist(), piece.tolist(), line.alone.tolist(), last.tolist())
    for moment, value, number, alone, ends in zip(*(column[: len(shown)] for column in columns), strict=True):
        point = {"t": moment, "v": value, "s": curve.name, "g": number}
        yield point | ({"a": 1} if alone and held is None else {})
        if ends and held is not None:
            yield point | {"t": moment + held}  # energy of a period: the value is valid until the period ends


def _from_zero(lines: Sequence[DrawnLine]) -> bool:
    """Return whether the axis starts at zero: not if all values are far from it, like those of a voltage."""
    values = [line.curve.value for line in lines if len(line.curve)]
    if not values:
        return True
    low, high = min(value.min() for value in values), max(value.max() for value in values)
    return bool(low < 0 or low < 0.5 * high)
