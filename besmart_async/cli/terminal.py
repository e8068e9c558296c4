"""A picture in the terminal: lines by plotext, maps by shades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import numpy as np

from besmart_async.cli.shades import gap_lines, hour_lines
from besmart_async.plots.curves import Curve
from besmart_async.plots.days import HOUR_MS, LocalDays
from besmart_async.plots.lines import Line, line_of
from besmart_async.plots.maps import gap_map, hour_map
from besmart_async.plots.picture import MAX_HEATMAPS, MAX_ROWS, NO_HEATMAP, THINNED, Picture, axis_title

HEIGHT = 17
_MARGIN = 10
_COLOURS = (32, 166, 36, 175, 81, 214, 245)
_MARKERS = "*+ox#@%"
"""What tells lines apart where there are no colours."""
_STEPS_H = (1, 2, 3, 6, 12, 24, 48, 72, 168)
_STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


def terminal_picture(picture: Picture, width: int, *, colour: bool) -> Iterator[str]:
    """Yield the charts of a picture as text, each with its lines.

    Raises:
        ModuleNotFoundError: plotext is not installed.
    """
    days = picture.days
    notes = dict.fromkeys(picture.notes())
    for kind in picture.kinds:
        if kind == "line":
            pixels = (width - _MARGIN) * 2
            for curves in picture.panels():
                lines = [line_of(curve, picture.since_ms, picture.till_ms, pixels) for curve in curves]
                if any(line.thinned for line in lines):
                    notes[THINNED] = None
                yield _line_chart(lines, picture, days, width, colour=colour)
        elif kind == "heatmap":
            rows = 24 if len(picture.curves) == 1 else 12
            for curve in picture.curves[:MAX_HEATMAPS]:
                found = hour_map(curve, days, width - 5)
                if found is None:
                    notes[NO_HEATMAP] = None
                else:
                    yield "\n".join(hour_lines(found, width, rows=rows, colour=colour))
        else:
            columns = width - min(max(len(curve.name) for curve in picture.curves), width // 3) - 1
            maps = [
                gap_map(curve, days, picture.since_ms, picture.till_ms, columns) for curve in picture.curves[:MAX_ROWS]
            ]
            yield "\n".join(gap_lines(maps, width, colour=colour))
    if notes:
        yield "\n".join(notes)


def _line_chart(lines: Sequence[Line], picture: Picture, days: LocalDays, width: int, *, colour: bool) -> str:
    curves = [line.curve for line in lines]
    if not any(map(len, curves)):
        return f"{', '.join(curve.name for curve in curves)}: nothing was read"
    plt: Any = import_module("plotext")
    plt.clear_figure()
    plt.plot_size(width, HEIGHT)
    plt.theme("clear")
    first, last = days.wall_clock(np.array([picture.since_ms, picture.till_ms - 1])).tolist()
    for number, line in enumerate(lines):
        marker = "hd" if colour or len(lines) == 1 else _MARKERS[number % len(_MARKERS)]
        paint = _COLOURS[number % len(_COLOURS)] if colour else "default"
        name = line.curve.name if len(lines) > 1 else None
        for x, y in _pieces(line, days, first):
            plt.plot(x, y, marker=marker, color=paint, label=name)
            name = None
    plt.title(f"{_names(curves)} [{axis_title(curves)}]")
    hours = (last - first) / HOUR_MS
    plt.xlim(0, hours)
    plt.xticks(*_ticks(first, hours, max(2, width // 14)))
    drawn: str = plt.build() if colour else plt.uncolorize(plt.build())
    plt.clear_figure()
    return "\n".join(line.rstrip() for line in drawn.splitlines())


def _pieces(line: Line, days: LocalDays, first: float) -> Iterator[tuple[list[float], list[float]]]:
    time, value = line.curve.time[line.rows], line.curve.value[line.rows]
    shown = days.wall_clock(time)
    x = (shown - first) / HOUR_MS
    cuts = np.flatnonzero(np.diff(line.pieces(shown))) + 1
    for part in np.split(np.arange(len(x)), cuts):
        if len(part):
            yield x[part].tolist(), value[part].tolist()


def _ticks(first: float, hours: float, most: int) -> tuple[list[float], list[str]]:
    """Places and labels on the wall clock: whole hours, midnights, or first days of months."""
    step = next((step for step in _STEPS_H if hours / step <= most), None)
    if step is None:
        return _months(first, hours, most)
    offset = -(first / HOUR_MS) % min(step, 24)
    places = np.arange(offset, hours + 0.01, step).tolist()
    moments = [_shown(first + place * HOUR_MS) for place in places]
    return places, [f"{moment:%d %b}" if moment.hour == 0 else f"{moment:%H:%M}" for moment in moments]


def _months(first: float, hours: float, most: int) -> tuple[list[float], list[str]]:
    step = next((step for step in _STEPS_MONTHS if hours / (step * 730) <= most), _STEPS_MONTHS[-1])
    start = _shown(first)
    number = start.year * 12 + start.month - 1
    places: list[float] = []
    labels: list[str] = []
    for month in range(number - number % step, number + int(hours / 700) + 2, step):
        moment = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        place = (moment.timestamp() * 1000 - first) / HOUR_MS
        if 0 <= place <= hours:
            places.append(place)
            labels.append(f"{moment:%b %Y}")
    return places, labels


def _shown(wall_ms: float) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def _names(curves: Sequence[Curve], most: int = 3) -> str:
    return ", ".join(curve.name for curve in curves[:most]) + (" …" if len(curves) > most else "")
