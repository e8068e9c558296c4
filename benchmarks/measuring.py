"""Timing alternatives side by side: interleaved rounds, medians, ratios."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import attrs
import numpy as np


@attrs.frozen
class Row:
    """One line of a table: the median cost of each alternative, per unit of work."""

    work: str
    unit: str
    medians: dict[str, float]


def compare(work: str, unit: str, units: int, alternatives: Mapping[str, Callable[[], object]], rounds: int) -> Row:
    """Time every alternative `rounds` times in turn; the first is the reference of the ratios."""
    taken: dict[str, list[float]] = {name: [] for name in alternatives}
    for round_number in range(rounds + 1):
        for name, run in alternatives.items():
            start = time.perf_counter()
            run()
            if round_number:  # the first round warms up
                taken[name].append((time.perf_counter() - start) / units)
    return Row(work, unit, {name: statistics.median(times) for name, times in taken.items()})


def show(rows: list[Row]) -> None:
    """Print the rows as a table; a ratio above 1 says that ours is faster."""
    machine = f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    print(f"machine: {machine}\n")
    print(f"{'work':44} {'alternative':34} {'median':>12} {'ours is faster by':>18}")
    for row in rows:
        ours = next(iter(row.medians.values()))
        for name, median in row.medians.items():
            ratio = "" if median is ours else f"{median / ours:17.2f}x"
            print(f"{row.work:44} {name:34} {_scaled(median, row.unit):>12} {ratio:>18}")
    sys.stdout.flush()


def _scaled(seconds: float, unit: str) -> str:
    for factor, name in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.1f} {name}/{unit}"
    return f"{seconds:.2f} s/{unit}"
