"""Whether a reading costs the same however many there are, and however many signals they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from benchmarks.contest import Contender, Contest, Standing, hold
from benchmarks.marks import Mark, Marks
from benchmarks.measuring import Table
from benchmarks.sink import sink

_SIGNALS = 1_000
_BAR_READINGS, _AIM_READINGS = 1.3, 1.1
_BAR_SIGNALS, _AIM_SIGNALS = 1.5, 1.2


def tables(*, readings: int, signals: int, rounds: int) -> Sequence[Table]:
    """Write columns of 100 readings.

    Args:
        readings: up to so many, from 10,000 in powers of ten, to 1,000 signals; so many to each number of signals.
        signals: up to so many, from 10 in powers of ten.
        rounds: how often each number is written.
    """
    with sink("--count") as service:
        url = service.base_url
        of_readings = Contest(
            "readings in columns of 100, 1,000 signals",
            "reading",
            [_way(f"{number:,} readings", url, _SIGNALS, number) for number in _powers(10_000, readings)],
            [],
        )
        of_signals = Contest(
            f"{readings:,} readings in columns of 100",
            "reading",
            [_way(f"{number:,} signals", url, number, readings) for number in _powers(10, signals)],
            [],
        )
        standings = [hold(contest, rounds, service.readings) for contest in (of_readings, of_signals)]
    return [*standings, Marks("growth of the cost of a reading", list(_growth(*standings)))]


def _powers(least: int, most: int) -> Iterator[int]:
    while least <= most:
        yield least
        least *= 10


def _way(name: str, url: str, signals: int, readings: int) -> Contender:
    options = ["--url", url, "--signals", f"{signals}", "--readings", f"{readings}"]
    return Contender(name, ["-m", "benchmarks.clients.growth", *options])


def _growth(of_readings: Standing, of_signals: Standing) -> Iterator[Mark]:
    for (few, many), last in _steps(of_readings):
        bar, aim = (_BAR_READINGS, _AIM_READINGS) if last else (None, None)
        yield Mark(f"{few} -> {many}", _times_as_much(of_readings, few, many), "x", bar, aim)
    few, *_, many = (way.name for way in of_signals.contest.ours)
    yield Mark(f"{few} -> {many}", _times_as_much(of_signals, few, many), "x", _BAR_SIGNALS, _AIM_SIGNALS)


def _steps(standing: Standing) -> list[tuple[tuple[str, str], bool]]:
    steps = list(pairwise(way.name for way in standing.contest.ours))
    return [(step, step is steps[-1]) for step in steps]


def _times_as_much(standing: Standing, few: str, many: str) -> float:
    """How many times as much a reading takes, by wall clock or CPU: the larger."""
    before, after = standing.costs[few], standing.costs[many]
    return max(after.wall_s / before.wall_s, after.cpu_s / before.cpu_s)
