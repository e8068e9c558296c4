"""Whether a task that waits for a writer costs the same however many wait: each is cancelled, in random order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from benchmarks.contest import PAUSE, Contender, Contest, Standing, hold
from benchmarks.marks import Mark, Marks
from benchmarks.measuring import Table
from benchmarks.sink import sink

_BAR, _AIM = 1.3, 1.1
_NEVER_S = 3600
_WORKS = {
    "write": "wait in `write` for room, cancelled",
    "deliver": "wait in `deliver`, cancelled",
    "flush": "wait in `flush`, cancelled",
}
_BARE = "wait for a future, cancelled"


def tables(*, few: int, many: int, rounds: int) -> Sequence[Table]:
    """Compare few waiting tasks with many.

    Args:
        few: tasks at a time; so often that `many` have waited.
        many: tasks at a time.
        rounds: how often everybody runs.
    """
    with sink("--delay", f"{_NEVER_S}") as service:
        url = service.base_url
        contests = [_contest(work, contender, url, few, many) for contender, work in _WORKS.items()]
        bare = hold(attrs.evolve(_contest(_BARE, "future", url, few, many), pause=None), rounds)
        standings = [hold(contest, rounds) for contest in contests]
    return [*standings, bare, Marks(f"CPU of a task, {few:,} -> {many:,} tasks", list(_growth(standings, bare)))]


def _contest(work: str, contender: str, url: str, few: int, many: int) -> Contest:
    ways = [_way(contender, url, tasks, many) for tasks in (few, many)]
    without = [_way(contender, url, tasks, many, "--no-collector") for tasks in (few, many)]
    return Contest(work, "task", ways, [], shown=without, pause=PAUSE)


def _way(contender: str, url: str, tasks: int, total: int, *more: str) -> Contender:
    options = ["--url", url, "--tasks", f"{tasks}", "--total", f"{total}", *more]
    name = f"{tasks:,} at a time" + (", no garbage collection" if more else "")
    return Contender(name, ["-m", "benchmarks.clients.waiters", contender, *options])


def _growth(standings: Sequence[Standing], bare: Standing) -> Iterator[Mark]:
    """Yield how many times as much CPU a task takes among many: what the writer adds to a bare task, and all of it.

    A bare task takes longer among many as well, because memory is slow. Without the garbage collector, which looks at
    every task again while tasks become more, the figures show whether anything is searched.
    """
    alone, among_many, *bare_without = _cpu_s(bare)
    for standing in standings:
        few, many, *without = _cpu_s(standing)
        added = (many - among_many) / (few - alone)
        yield Mark(f"{standing.contest.work}: what the writer adds", added, "x", _BAR, _AIM)
        yield Mark(f"{standing.contest.work}: the whole task", many / few, "x")
        yield Mark(f"{standing.contest.work}: the whole task, no garbage collection", without[1] / without[0], "x")
    yield Mark(bare.contest.work, among_many / alone, "x")
    yield Mark(f"{bare.contest.work}, no garbage collection", bare_without[1] / bare_without[0], "x")


def _cpu_s(standing: Standing) -> list[float]:
    return [standing.costs[way.name].cpu_s for way in [*standing.contest.ours, *standing.contest.shown]]
