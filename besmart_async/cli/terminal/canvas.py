"""Line charts made of characters: traces in a frame, with a title, a legend, and labels on both axes.

Why no library: the maintained ones (plotille, uniplot) choose the ticks of an axis themselves, but ours have to be at
whole hours, midnights and first days of months. Labels that would touch each other are left out, from left to right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import attrs
import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from besmart_async.errors import visible

ROWS = 13
"""Lines of text between the upper and the lower edge of the frame."""
_BLOCKS = np.array(list(" ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"))
"""Quarters of a character by their sum: upper left 1, upper right 2, lower left 4, lower right 8."""
_SMALLEST, _LARGEST = 1e-290, 8e307
"""Of distances and of values: outside of them the arithmetic of doubles gives zero or infinity."""

Tick = tuple[float, str]
"""A place on an axis, and its label."""


@attrs.frozen(eq=False)
class Trace:
    """A line to draw.

    Attributes:
        pieces: x and y of each unbroken piece, in drawing order; between pieces the line has gaps.
        name: its name in the legend; empty: the legend does not have it.
        marker: the character to draw it with; empty: quarters of a block, four to a character.
        colour: one of the 256 colours of terminals; None: that of the text.
        filled: fill the area below it.
    """

    pieces: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
    name: str = ""
    marker: str = ""
    colour: int | None = None
    filled: bool = False


def line_chart(
    traces: Sequence[Trace],
    width: int,
    *,
    title: str,
    x_till: float,
    x_ticks: Sequence[Tick],
    y_range: tuple[float, float] | None = None,
) -> str:
    """Return a chart as lines of text.

    Args:
        traces: what to draw, with at least one point; where two meet, the later one is seen.
        width: the chart is as many characters wide, but for a frame of one column at least.
        title: what stands above it; cut if it is too long.
        x_till: the right end of the x axis, which starts at 0.
        x_ticks: places and labels; every second, fourth … is drawn if they do not fit side by side.
        y_range: lower and upper end of the y axis; those of the values unless given.
    """
    low, high = _widened(*(y_range or _range_of([y for trace in traces for _, y in trace.pieces])))
    labels = dict(_y_labels(low, high))
    margin = max(map(len, labels.values()), default=0)
    columns = max(1, width - margin - 2)
    chars = np.full((ROWS, columns), " ")
    owner = np.full((ROWS, columns), -1)
    for number, trace in enumerate(traces):
        drawn = _drawn(trace, columns, x_till, low, high)
        inked = drawn != " "
        chars[inked], owner[inked] = drawn[inked], number
    paints = [trace.colour for trace in traces]
    ticks = _fitting([(_column(place, x_till, columns), label) for place, label in x_ticks], margin + 1, width)
    marks = {column for column, _, _ in ticks}
    title = visible(title, one_line=True)
    lines = [_centred(title, width), *_legend(traces, width), f"{' ' * margin}┌{'─' * columns}┐"]
    for row in range(ROWS):
        text = "".join(_painted(chars[row].tolist(), owner[row].tolist(), paints))
        lines.append(f"{labels.get(row, ''):>{margin}}{'┤' if row in labels else '│'}{text}│")
    edge = "".join("┬" if column in marks else "─" for column in range(columns))
    below = ""
    for _, start, label in ticks:
        below = below.ljust(start) + label
    lines += [f"{' ' * margin}└{edge}┘", below]
    return "\n".join(line.rstrip() for line in lines)


def _drawn(trace: Trace, columns: int, x_till: float, low: float, high: float) -> NDArray[np.str_]:
    """Return the characters of one trace, blanks elsewhere."""
    fine = 1 if trace.marker else 2
    dots = np.zeros((ROWS * fine, columns * fine), np.uint8)
    for x, y in trace.pieces:
        across = _column(x, x_till, columns * fine)
        share = (np.clip(y, -_LARGEST, _LARGEST) - low) / (high - low)
        down = np.clip(((1 - share) * (ROWS * fine - 1) + 0.5).astype(np.int64), 0, ROWS * fine - 1)
        places = _connected(down, across)
        dots[places] = 1
    if trace.filled:
        dots = np.maximum.accumulate(dots, axis=0)
    if trace.marker:
        return np.where(dots == 1, trace.marker, " ")
    quarters = dots[::2, ::2] + 2 * dots[::2, 1::2] + 4 * dots[1::2, ::2] + 8 * dots[1::2, 1::2]
    blocks: NDArray[np.str_] = _BLOCKS[quarters]
    return blocks


def _connected(down: NDArray[np.int64], across: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the dots of the straight lines from each point to the next."""
    by_row, by_column = np.diff(down), np.diff(across)
    steps = np.maximum(np.abs(by_row), np.abs(by_column))
    start = np.repeat(np.arange(len(steps)), steps)
    part = (np.arange(len(start)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[start]
    rows = np.floor(down[start] + part * by_row[start] + 0.5).astype(np.int64)
    columns = np.floor(across[start] + part * by_column[start] + 0.5).astype(np.int64)
    return np.append(rows, down[-1]), np.append(columns, across[-1])


def _column(x: float | NDArray[np.float64], x_till: float, columns: int) -> NDArray[np.int64]:
    return np.clip((np.asarray(x) / x_till * columns).astype(np.int64), 0, columns - 1)


def _range_of(values: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    return min(float(part.min()) for part in values), max(float(part.max()) for part in values)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis: apart even if all values are the same, and no further than doubles reach."""
    low, high = max(low, -_LARGEST), min(high, _LARGEST)
    room = 0.0 if high - low > _SMALLEST else abs(low) * 0.05 or 1.0
    return low - room, high + room


def _y_labels(low: float, high: float) -> Iterator[tuple[int, str]]:
    """Yield rows and labels: multiples of 1, 2 or 5 times a power of ten, at most one in two rows."""
    rough = (high - low) / (ROWS // 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((size * power for size in (1, 2, 5) if size * power >= rough), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    for number in range(first, last + 1):
        row = int((high - number * step) / (high - low) * (ROWS - 1) + 0.5)
        yield row, _number(number * step, step, max(abs(low), abs(high)))


def _number(value: float, step: float, largest: float) -> str:
    """Write a number with enough digits to differ from its neighbours."""
    decimals = max(0, -math.floor(math.log10(step)))
    if largest < 1e7 and decimals <= 4:
        return f"{round(value, decimals) + 0.0:.{decimals}f}"
    digits = math.floor(math.log10(largest)) - math.floor(math.log10(step)) + 1
    return f"{value + 0.0:.{digits}g}"


def _fitting(ticks: Sequence[tuple[NDArray[np.int64], str]], left: int, width: int) -> list[tuple[int, int, str]]:
    """Return the ticks whose labels stand side by side: column, start of the label in the line, label."""
    placed = [
        (int(column), max(0, min(left + int(column) - len(label) // 2, width - len(label))), label)
        for column, label in ticks
    ]
    every = 1
    while True:
        chosen = placed[::every]
        for found in (chosen, chosen[:-1]):
            if all(a[1] + len(a[2]) < b[1] for a, b in pairwise(found)):
                return found
        every *= 2


def _centred(text: str, width: int) -> str:
    text = set_cell_size(text, min(cell_len(text), width))
    return " " * ((width - cell_len(text)) // 2) + text


def _legend(traces: Sequence[Trace], width: int) -> Iterator[str]:
    """Yield lines of samples and names, as many to a line as fit."""
    line, used = "", 0
    for number, trace in enumerate(traces):
        if not trace.name:
            continue
        name = visible(trace.name, one_line=True)
        name = set_cell_size(name, min(cell_len(name), max(1, width - 5)))
        sample = "".join(_painted([trace.marker or "▞"] * 2, [number] * 2, [one.colour for one in traces]))
        size = cell_len(name) + 5
        if line and used + size > width:
            yield line
            line, used = "", 0
        line, used = f"{line}  {sample} {name}", used + size
    if line:
        yield line


def _painted(chars: Sequence[str], owner: Sequence[int], paints: Sequence[int | None]) -> Iterator[str]:
    for number, run in groupby(range(len(chars)), owner.__getitem__):
        text = "".join(chars[place] for place in run)
        colour = paints[number] if number >= 0 else None
        yield text if colour is None else f"\x1b[38;5;{colour}m{text}\x1b[0m"
