"""Timing alternatives side by side: interleaved rounds, medians, ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
import orjson


class Table(attrs.AttrsInstance, Protocol):
    """What a comparison ends with: an attrs class."""

    def lines(self) -> Iterator[str]:
        """The lines of the table."""
        ...


@attrs.frozen
class Row:
    """Alternatives of one work: the median cost of each, per unit. A ratio above 1 says that ours is faster.

    `goals` are bar and aim of such ratios, by the alternative's name.
    """

    work: str
    unit: str
    medians: dict[str, float]
    goals: Mapping[str, tuple[float, float]] = attrs.field(factory=dict[str, tuple[float, float]])

    def lines(self) -> Iterator[str]:
        """The table."""
        ours = next(iter(self.medians.values()))
        for name, median in self.medians.items():
            ratio = "" if median is ours else f"{median / ours:17.2f}x"
            line = f"{self.work:44} {name:34} {scaled(median, self.unit):>12} {ratio:>18}"
            if name in self.goals:
                bar, aim = self.goals[name]
                line += f"   bar {bar:g} {'reached' if median / ours >= bar else 'MISSED'}"
                line += f", aim {aim:g} {'reached' if median / ours >= aim else 'not yet'}"
            yield line


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


def machine() -> str:
    """Tell what everything is measured on."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    python = f"Python {platform.python_version()}, numpy {np.__version__}, orjson {orjson.__version__}"
    return f"{platform.machine()}, {_processor()}, {os.cpu_count()} processors{load}, {python}"


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in told.splitlines() if line.startswith("model name")), "")


def show(tables: Iterable[Table]) -> None:
    """Print tables."""
    for table in tables:
        print(*table.lines(), "", sep="\n", flush=True)


def scaled(seconds: float, unit: str) -> str:
    """Write a duration per unit of work."""
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
    """

    work: str
    way: str
    unit: str
    per_s: float
    cpu_s: float
    bar: float | None = None


@attrs.frozen
class Rates:
    """Rates of several works; the ratio of each is to the first way of the same work."""

    rates: list[Rate]
    note: str

    def lines(self) -> Iterator[str]:
        """The table."""
        yield f"{'work':32} {'way':14} {'rate':>20} {'CPU':>16} {'ratio':>7}  bar"
        first: dict[str, float] = {}
        for rate in self.rates:
            ratio = rate.per_s / first.setdefault(rate.work, rate.per_s)
            bar = "" if rate.bar is None else f"{rate.bar:,.0f} {'reached' if rate.per_s >= rate.bar else 'MISSED'}"
            speed = f"{rate.per_s:,.0f} {rate.unit}/s"
            cpu = scaled(rate.cpu_s, rate.unit.removesuffix("s"))
            yield f"{rate.work:32} {rate.way:14} {speed:>20} {cpu:>16} {ratio:7.2f}  {bar}"
        yield self.note
