"""A picture as a Vega-Lite chart. altair takes half a second to import: import this module only when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from besmart_async.errors import InvalidInputError
from besmart_async.plots.lines import line_of
from besmart_async.plots.maps import hour_map
from besmart_async.plots.picture import MAX_HEATMAPS, NO_HEATMAP, THINNED, Picture
from besmart_async.plots.vega_axes import WIDTH
from besmart_async.plots.vega_lines import line_chart
from besmart_async.plots.vega_maps import gap_chart, hour_chart

_EMBED = {"actions": {"export": True, "source": False, "compiled": False, "editor": False}}
"""The HTML page offers to save the picture, but nothing that needs a network."""


def chart_of(picture: Picture) -> alt.VConcatChart:
    """Return all charts of a picture, one below the other.

    Raises:
        InvalidInputError: there is no chart: only heat maps are wanted, of readings that are more than a day apart.
    """
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
                line_chart(lines, days, picture, f"zoom_{number}").properties(width=width)
                for number, lines in enumerate(panels)
            ]
            if any(line.thinned for lines in panels for line in lines):
                notes.append(THINNED)
        elif kind == "heatmap":
            maps = [hour_map(curve, days, WIDTH) for curve in picture.curves[:MAX_HEATMAPS]]
            rows += [hour_chart(found).properties(width=width) for found in maps if found is not None]
            if None in maps:
                notes.append(NO_HEATMAP)
        else:
            rows.append(gap_chart(picture, days).properties(width=width))
    if not rows:
        raise InvalidInputError("kinds", list(picture.kinds), NO_HEATMAP)
    return _dressed(alt.vconcat(*rows, spacing=28), picture, notes)


def _dressed(chart: alt.VConcatChart, picture: Picture, notes: Sequence[str]) -> alt.VConcatChart:
    """Add title and style."""
    title = alt.TitleParams(
        picture.title,
        subtitle=[picture.period, *notes],
        anchor="start",
        fontSize=16,
        subtitleFontSize=12,
        subtitlePadding=4,
        offset=14,
    )
    whole: alt.VConcatChart = (
        chart.resolve_scale(color="independent", x="independent", strokeDash="independent")
        .properties(title=title, padding=16, background="white", usermeta={"embedOptions": _EMBED})
        .configure_axis(labelFontSize=11, titleFontSize=12, titleFontWeight="normal")
        .configure_legend(labelFontSize=11, titleFontSize=12, labelLimit=260)
        .configure_view(stroke="#bbbbbb")
    )
    return whole
