"""Pictures in the terminal: lines on a canvas, and maps by day made of shaded characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from besmart_async.cli.terminal.canvas import Tick, Trace, line_chart
from besmart_async.plots.curves import Curve
from besmart_async.plots.days import HOUR_MS, LocalDays
from besmart_async.plots.lines import DrawnLine, line_of
from besmart_async.plots.maps import GapMap, HourMap, gap_map, hour_map
from besmart_async.plots.picture import MAX_HEATMAPS, MAX_ROWS, NO_HEATMAP, THINNED, Picture, axis_title, missing_text

SHADES = "·░▒▓█"
_VIRIDIS = (53, 60, 30, 77, 220)
_SHARES = (166, 180, 152, 74, 32)
"""256-colour codes, from no readings to all of them: orange to blue, which colour-blind people can distinguish."""
_HOUR_MARGIN = 4
_WIDEST = 12
_LABEL = 9
_MARGIN = 10
_COLOURS = (32, 166, 36, 175, 81, 214, 245, 99, 196, 112, 219, 130, 226, 63)
_MARKERS = "*+ox#@%=&sv^~$"
"""Characters of the lines where there are no colours."""
_STEPS_H = (1, 2, 3, 6, 12, 24, 48, 72, 168)
_STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


def hour_lines(found: HourMap, width: int, *, rows: int, colour: bool) -> Iterator[str]:
    """Draw means by day (left to right) and hour (top to bottom); hours without readings stay blank.

    Args:
        found: the map, with at most as many columns as fit.
        width: characters of a line.
        rows: 24, or 12 to show two hours in one row.
        colour: use colours instead of shades.
    """
    curve, mean = found.curve, _halved(found.mean) if rows < 24 else found.mean
    if np.isnan(mean).all():
        yield f"{curve.name}: nothing was read"
        return
    low, high = float(np.nanmin(mean)), float(np.nanmax(mean))
    wide = min(_WIDEST, max(1, (width - _HOUR_MARGIN) // mean.shape[1]))
    step = (high - low) / len(SHADES)
    yield f"{curve.name}: mean of each hour{'' if rows == 24 else ', two in a row'}{_columns(found.days)}"
    for row in range(rows):
        hour = row * 24 // rows
        levels = [_level(value, low, step) for value in mean[row].tolist()]
        yield (
            f"{hour:02} ".rjust(_HOUR_MARGIN) * (hour % 6 == 0)
            + " " * _HOUR_MARGIN * (hour % 6 != 0)
            + _painted(levels, wide, _VIRIDIS if colour else None)
        )
    yield " " * _HOUR_MARGIN + _dates(found.first, wide)
    edges = [f"{low + step * number:.3g}" for number in range(len(SHADES) + 1)]
    keys = [f"{_painted([n], 1, _VIRIDIS if colour else None)} {edges[n]}" for n in range(len(SHADES))]
    yield " " * _HOUR_MARGIN + "  ".join(keys) + f" to {edges[-1]} {curve.unit}".rstrip()


def gap_lines(maps: Sequence[GapMap], width: int, *, colour: bool) -> Iterator[str]:
    """Draw the share of the expected readings of each day, one row per signal."""
    names = [found.curve.name for found in maps]
    margin = min(max(map(len, names)), width // 3) + 1
    wide = min(_WIDEST, max(1, (width - margin) // len(maps[0].share)))
    yield f"completeness: share of the expected readings{_columns(maps[0].days)}"
    for name, found in zip(names, maps, strict=True):
        levels = [_share_level(share) for share in found.share.tolist()]
        yield f"{name[: margin - 1]:<{margin}}" + _painted(levels, wide, _SHARES if colour else None)
        note = (
            "too few readings to tell" if found.curve.step_ms is None else missing_text(found.missing, found.expected)
        )
        yield " " * margin + note
    yield " " * margin + _dates(maps[0].first, wide)
    meanings = ("none", "under 50 %", "under 90 %", "under 100 %", "all")
    keys = [f"{_painted([n], 1, _SHARES if colour else None)} {text}" for n, text in enumerate(meanings)]
    yield "  ".join(keys)


def _halved(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    pairs = mean.reshape(12, 2, -1)
    counts = (~np.isnan(pairs)).sum(axis=1)
    return np.where(counts > 0, np.nansum(pairs, axis=1) / np.maximum(counts, 1), np.nan)


def _level(value: float, low: float, step: float) -> int | None:
    if math.isnan(value):
        return None
    return min(len(SHADES) - 1, int((value - low) / step)) if step else len(SHADES) - 1


def _share_level(share: float) -> int | None:
    if math.isnan(share):
        return None
    return 0 if share == 0 else 1 if share < 0.5 else 2 if share < 0.9 else 3 if share < 1 else 4


def _painted(levels: Sequence[int | None], wide: int, palette: tuple[int, ...] | None) -> str:
    if palette is None:
        return "".join((" " if level is None else SHADES[level]) * wide for level in levels)
    runs = ((level, sum(1 for _ in run) * wide) for level, run in groupby(levels))
    painted = (" " * count if n is None else f"\x1b[38;5;{palette[n]}m{'█' * count}" for n, count in runs)
    return "".join(painted) + "\x1b[0m"


def _dates(first: Sequence[date], wide: int) -> str:
    """Return the labels below the columns, as many as fit without touching."""
    every = max(1, math.ceil((_LABEL + 2) / wide))
    line = ""
    long = first[-1] - first[0] > timedelta(days=700)
    for column in range(0, len(first), every):
        text = f"{first[column]:{'%b %Y' if long else '%d %b'}}"
        if column * wide + len(text) <= max(len(first) * wide, len(text)):
            line = line.ljust(column * wide) + text
    return line


def _columns(days: int) -> str:
    return "" if days == 1 else f" ({days} days a column)"


def terminal_picture(picture: Picture, width: int, *, colour: bool) -> Iterator[str]:
    """Yield each chart of a picture as text."""
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


def _line_chart(lines: Sequence[DrawnLine], picture: Picture, days: LocalDays, width: int, *, colour: bool) -> str:
    curves = [line.curve for line in lines]
    first, last = days.wall_clock(np.array([picture.since_ms, picture.till_ms - 1])).tolist()
    hours = (last - first) / HOUR_MS
    several = len(lines) > 1
    traces = [
        Trace(
            list(_pieces(line, days, first, hours)),
            name=line.curve.name if several else "",
            marker=_MARKERS[number % len(_MARKERS)] if several and not colour else "",
            colour=_COLOURS[number % len(_COLOURS)] if colour else None,
        )
        for number, line in enumerate(lines)
    ]
    if not any(trace.pieces for trace in traces):
        return f"{', '.join(curve.name for curve in curves)}: nothing was read"
    return line_chart(
        traces,
        width,
        title=f"{_names(curves)} [{axis_title(curves)}]",
        x_till=hours,
        x_ticks=_ticks(first, hours, max(2, width // 14)),
    )


def _pieces(
    line: DrawnLine, days: LocalDays, first: float, hours: float
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    time, value = line.curve.time[line.rows], line.curve.value[line.rows]
    shown = days.wall_clock(time)
    x = (shown - first) / HOUR_MS
    cuts = np.flatnonzero(np.diff(line.pieces(shown))) + 1
    inside = (x >= 0) & (x <= hours)
    for piece in np.split(np.arange(len(x)), cuts):
        rows = piece[inside[piece]]
        if len(rows):
            yield x[rows], value[rows]


def _ticks(first: float, hours: float, most: int) -> list[Tick]:
    """Return places and labels on the wall clock: whole hours, midnights, or first days of months."""
    step = next((step for step in _STEPS_H if hours / step <= most), None)
    if step is None:
        return _months(first, hours, most)
    offset = -(first / HOUR_MS) % min(step, 24)
    places = np.arange(offset, hours + 0.01, step).tolist()
    moments = [_shown(first + place * HOUR_MS) for place in places]
    labels = [f"{moment:%d %b}" if moment.hour == 0 else f"{moment:%H:%M}" for moment in moments]
    return list(zip(places, labels, strict=True))


def _months(first: float, hours: float, most: int) -> list[Tick]:
    step = next((step for step in _STEPS_MONTHS if hours / (step * 730) <= most), _STEPS_MONTHS[-1])
    start = _shown(first)
    number = start.year * 12 + start.month - 1
    ticks: list[Tick] = []
    for month in range(number - number % step, number + int(hours / 700) + 2, step):
        moment = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        place = (moment.timestamp() * 1000 - first) / HOUR_MS
        if 0 <= place <= hours:
            ticks.append((place, f"{moment:%b %Y}"))
    return ticks


def _shown(wall_ms: float) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def _names(curves: Sequence[Curve], most: int = 3) -> str:
    return ", ".join(curve.name for curve in curves[:most]) + (" …" if len(curves) > most else "")
