"""Maps by day, drawn with shaded characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from besmart_async.plots.maps import GapMap, HourMap
from besmart_async.plots.picture import missing_text

SHADES = "·░▒▓█"
_VIRIDIS = (53, 60, 30, 77, 220)
_SHARES = (166, 180, 152, 74, 32)
"""256-colour codes, from nothing read to everything; orange and blue, which everybody can tell apart."""
_MARGIN = 4
_WIDEST = 12
_LABEL = 9


def hour_lines(found: HourMap, width: int, *, rows: int, colour: bool) -> Iterator[str]:
    """Draw means by day (left to right) and hour (top to bottom); what was not read stays blank.

    Args:
        found: the map, with no more columns than fit.
        width: characters of a line.
        rows: 24, or 12 to show two hours in one row.
        colour: paint instead of shading.
    """
    curve, mean = found.curve, _halved(found.mean) if rows < 24 else found.mean
    if np.isnan(mean).all():
        yield f"{curve.name}: nothing was read"
        return
    low, high = float(np.nanmin(mean)), float(np.nanmax(mean))
    wide = min(_WIDEST, max(1, (width - _MARGIN) // mean.shape[1]))
    step = (high - low) / len(SHADES)
    yield f"{curve.name}: mean of each hour{'' if rows == 24 else ', two in a row'}{_columns(found.days)}"
    for row in range(rows):
        hour = row * 24 // rows
        levels = [_level(value, low, step) for value in mean[row].tolist()]
        yield (
            f"{hour:02} ".rjust(_MARGIN) * (hour % 6 == 0)
            + " " * _MARGIN * (hour % 6 != 0)
            + _painted(levels, wide, _VIRIDIS if colour else None)
        )
    yield " " * _MARGIN + _dates(found.first, wide)
    edges = [f"{low + step * number:.3g}" for number in range(len(SHADES) + 1)]
    keys = [f"{_painted([n], 1, _VIRIDIS if colour else None)} {edges[n]}" for n in range(len(SHADES))]
    yield " " * _MARGIN + "  ".join(keys) + f" to {edges[-1]} {curve.unit}".rstrip()


def gap_lines(maps: Sequence[GapMap], width: int, *, colour: bool) -> Iterator[str]:
    """Draw the share of the expected readings of each day, a row per signal."""
    names = [found.curve.name for found in maps]
    margin = min(max(map(len, names)), width // 3) + 1
    wide = min(_WIDEST, max(1, (width - margin) // len(maps[0].share)))
    yield f"completeness: share of the expected readings{_columns(maps[0].days)}"
    for name, found in zip(names, maps, strict=True):
        levels = [_share_level(share) for share in found.share.tolist()]
        yield f"{name[: margin - 1]:<{margin}}" + _painted(levels, wide, _SHARES if colour else None)
        told = (
            "too few readings to tell" if found.curve.step_ms is None else missing_text(found.missing, found.expected)
        )
        yield " " * margin + told
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
    """Labels under columns, as many as fit without touching."""
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
