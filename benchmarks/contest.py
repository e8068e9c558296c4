"""Contenders in processes of their own, in turn, round by round: A B C A B C ...; medians, ratios, bars.

A contender is a program that does the work once. Either it prepares itself untimed and prints what it took (as
`clients.clock.timed` does), or the whole process is measured, from start to end.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import attrs

from benchmarks.measuring import scaled
from benchmarks.usage import Usage

ROOT = Path(__file__).parents[1]
PAUSE = (0.05, 0.02)
"""Bar and aim of the longest pause of the event loop while our writer works, in seconds."""


@attrs.frozen
class Contender:
    """One way of doing the work.

    Attributes:
        name: what the table calls it.
        arguments: what follows `python`.
        needs: the distribution without which it is skipped; the extra `bench` has them all.
        bar: how many times our cost its cost must be; None if it is only shown.
        aim: what we are out for.
        whole: how many units the whole process does, if that is what is measured; None if it measures itself.
    """

    name: str
    arguments: Sequence[str]
    needs: str = ""
    bar: float | None = None
    aim: float | None = None
    whole: int | None = None

    @property
    def runs(self) -> bool:
        """Whether what it needs is installed."""
        try:
            return not self.needs or bool(distribution(self.needs))
        except PackageNotFoundError:
            return False


@attrs.frozen
class Contest:
    """Ways to do one work.

    Attributes:
        work: what the table calls it.
        unit: what the cost is divided by.
        ours: our ways; the better one counts against each of `others`.
        others: what they are compared with.
        shown: more ways of ours, which do not count.
        pause: bar and aim, in seconds, of the longest pause of the event loop in each of our ways.
        far: the service is far away or slow: ratios are of the wall clock only, and the table says what was the limit.
        cap: calls a second that the service takes; None for any number.
    """

    work: str
    unit: str
    ours: Sequence[Contender]
    others: Sequence[Contender]
    shown: Sequence[Contender] = ()
    pause: tuple[float, float] | None = None
    far: bool = False
    cap: float | None = None

    @property
    def everybody(self) -> Sequence[Contender]:
        """All of them, in the order of the table."""
        return [*self.ours, *self.shown, *self.others]


@attrs.frozen
class Cost:
    """What one unit takes, wall clock and CPU of all threads; what the process took as a whole.

    `peak_bytes` is the most memory that it had, `pause_s` the longest pause of its event loop, None if it has none.
    `usage` is what the service saw of one run, and `run_s` how long that took; None if the service does not tell.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    pause_s: float | None = None
    usage: Usage | None = None
    run_s: float = 0.0

    def ratio(self, ours: Cost, *, far: bool = False) -> float:
        """How many times ours it is, by wall clock or CPU: the smaller; if `far`, by wall clock."""
        by_wall = self.wall_s / ours.wall_s
        return by_wall if far else min(by_wall, self.cpu_s / ours.cpu_s)

    def limit(self, cap: float | None) -> str:
        """Which resource was the limit; see `Usage.limit`."""
        if self.usage is None:
            return ""
        return self.usage.limit(self.run_s, self.cpu_s / self.wall_s * self.run_s, cap)

    def limited_by(self, cap: float | None) -> str:
        """How many calls were under way on average, how many were refused, and what was the limit."""
        usage, wall_s = self.usage, self.run_s
        if usage is None:
            return f"{'':37}"
        in_flight = usage.in_flight(wall_s)
        return f"{usage.calls / wall_s:9,.1f} {in_flight:9.1f} {usage.refused:8,} {self.limit(cap):>8}"


@attrs.frozen
class Standing:
    """How a contest ended: the median costs by the contenders' names."""

    contest: Contest
    costs: dict[str, Cost]

    def ratio(self, other: Contender) -> float:
        """How many times ours the cost of another is."""
        cost, far = self.costs[other.name], self.contest.far
        return max(cost.ratio(self.costs[way.name], far=far) for way in self.contest.ours if way.runs)

    def lines(self) -> Iterator[str]:
        """The table."""
        heads = f"{'wall':>18} {'CPU':>18} {'peak':>8} {'pause':>8}"
        if self.contest.far:
            heads += f" {'calls/s':>9} {'in flight':>9} {'refused':>8} {'limit':>8}"
        heads += f" {'x ours':>8}"
        yield f"{self.contest.work:44} {heads}   bar           aim"
        for way in self.contest.everybody:
            yield self._line(way) if way.runs else f"  {way.name:42} skipped: pip install {way.needs}"

    def _line(self, way: Contender) -> str:
        cost, unit = self.costs[way.name], self.contest.unit
        line = f"  {way.name:42} {scaled(cost.wall_s, unit):>18} {scaled(cost.cpu_s, unit):>18}"
        line += f" {cost.peak_bytes / 2**20:5.0f} MB {_milliseconds(cost.pause_s):>8}"
        if self.contest.far:
            line += f" {cost.limited_by(self.contest.cap)}"
        if way not in self.contest.others:
            return line + self._pause_judged(cost)
        ratio = self.ratio(way)
        line += f" {ratio:8.2f}"
        if way.bar is not None:
            line += f"   {way.bar:<5g} {'reached' if ratio >= way.bar else 'MISSED'}"
        if way.aim is not None:
            line += f" {way.aim:5g} {'reached' if ratio >= way.aim else 'not yet'}"
        return line

    def _pause_judged(self, cost: Cost) -> str:
        if self.contest.pause is None or cost.pause_s is None:
            return ""
        bar, aim = self.contest.pause
        reached, hoped = cost.pause_s <= bar, cost.pause_s <= aim
        return (
            f" {'pause:':>8}   {_milliseconds(bar):5} {'reached' if reached else 'MISSED'}"
            f" {_milliseconds(aim):>5} {'reached' if hoped else 'not yet'}"
        )


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.0f} ms"


@attrs.frozen
class _Run:
    wall_s: float
    cpu_s: float
    peak_bytes: int
    units: int
    sent: int
    pause_s: float | None = None
    usage: Usage | None = None


def hold(
    contest: Contest,
    rounds: int,
    arrived: Callable[[], int] | None = None,
    used: Callable[[], Usage] | None = None,
) -> Standing:
    """Run everybody in turn, `rounds` times.

    Args:
        contest: who runs.
        rounds: how often.
        arrived: tells how many units have come to the service so far, to check that each contender did its work.
        used: tells how the service was used so far, to say what was the limit.

    Raises:
        RuntimeError: a contender failed, or did not do its work.
    """
    present = [way for way in contest.everybody if way.runs]
    runs: dict[str, list[_Run]] = {way.name: [] for way in present}
    for _ in range(rounds):
        for way in present:
            before = arrived() if arrived else 0
            used_before = used() if used else Usage()
            run = _run(way)
            if used:
                run = attrs.evolve(run, usage=used().since(used_before).of_share(run.units / max(run.sent, run.units)))
            came = arrived() - before if arrived else run.sent
            if came != run.sent:
                raise RuntimeError(f"{contest.work}, {way.name}: sent {run.sent:,}, but {came:,} came")
            runs[way.name].append(run)
    return Standing(contest, {name: _median(of_one) for name, of_one in runs.items()})


def _median(runs: Sequence[_Run]) -> Cost:
    pauses = [run.pause_s for run in runs if run.pause_s is not None]
    typical = sorted(runs, key=lambda run: run.wall_s)[len(runs) // 2]
    return Cost(
        statistics.median(run.wall_s / run.units for run in runs),
        statistics.median(run.cpu_s / run.units for run in runs),
        int(statistics.median(run.peak_bytes for run in runs)),
        statistics.median(pauses) if pauses else None,
        typical.usage,
        typical.wall_s,
    )


def _run(way: Contender) -> _Run:
    launcher = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "launcher.py")]
    ended = subprocess.run([*launcher, sys.executable, *way.arguments], stdout=subprocess.PIPE, cwd=ROOT, check=False)
    if ended.returncode:
        raise RuntimeError(f"{way.name} ended with {ended.returncode}: {' '.join(way.arguments)}")
    *said, last = ended.stdout.splitlines()
    taken = json.loads(last)
    if way.whole is not None:
        return _Run(taken["wall_s"], taken["cpu_s"], taken["peak_bytes"], way.whole, way.whole)
    told = json.loads(next(line for line in reversed(said) if line))
    return _Run(told["wall_s"], told["cpu_s"], taken["peak_bytes"], told["units"], told["sent"], told.get("pause_s"))
