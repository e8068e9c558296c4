"""Timing alternatives side by side: interleaved rounds, medians, ratios."""

from __future__ import annotations

import os
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


def show_machine() -> None:
    """Print what everything was measured on."""
    processors = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"machine: {platform.machine()}, {processors}, Python {platform.python_version()}, numpy {np.__version__}")


def show(rows: list[Row]) -> None:
    """Print the rows as a table; a ratio above 1 says that ours is faster."""
    print()
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


@attrs.frozen
class Rate:
    """One line of a table of rates.

    Attributes:
        per_s: units a second, a median.
        cpu_s: CPU seconds per unit of the measuring process, all threads.
        bar: what it must reach.
        note: what else to know about the table.
    """

    work: str
    way: str
    unit: str
    per_s: float
    cpu_s: float
    bar: float | None = None
    note: str = ""


def show_rates(rates: list[Rate]) -> None:
    """Print the rates as a table; the ratio is to the first way of the same work."""
    print(f"\n{'work':32} {'way':14} {'rate':>20} {'CPU':>16} {'ratio':>7}  bar")
    first: dict[str, float] = {}
    for rate in rates:
        ratio = rate.per_s / first.setdefault(rate.work, rate.per_s)
        bar = "" if rate.bar is None else f"{rate.bar:,.0f} {'reached' if rate.per_s >= rate.bar else 'MISSED'}"
        speed = f"{rate.per_s:,.0f} {rate.unit}/s"
        cpu = _scaled(rate.cpu_s, rate.unit.removesuffix("s"))
        print(f"{rate.work:32} {rate.way:14} {speed:>20} {cpu:>16} {ratio:7.2f}  {bar}")
    if rates:
        print(rates[0].note)
    sys.stdout.flush()
