"""Very many tasks at once that each deliver a column and wait until the service has it."""

from __future__ import annotations

from benchmarks.contest import PAUSE, Contender, Contest, Standing, hold
from benchmarks.sink import sink

_ROWS = 100
_PARTS = 4
"""Columns of each signal."""


def standings(*, deliveries: int, rounds: int) -> list[Standing]:
    """Hold the contest.

    Args:
        deliveries: how many at once, of 100 readings each; 40,000 are more than a writer may hold in memory.
        rounds: how often everybody runs.
    """
    signals = deliveries // _PARTS
    with sink("--count") as service:
        options = ["--url", service.base_url, "--signals", f"{signals}", "--rows", f"{_ROWS}"]
        contest = _contest(deliveries, [*options, "--parts", f"{_PARTS}", "--cold"])
        return [hold(contest, rounds, service.readings)]


def _contest(deliveries: int, options: list[str]) -> Contest:
    def way(
        name: str, contender: str, needs: str = "", goal: tuple[float | None, float | None] = (None, None)
    ) -> Contender:
        return Contender(name, ["-m", "benchmarks.clients.columns", contender, *options], needs, *goal)

    return Contest(
        f"{deliveries:,} deliveries at once, {_ROWS} readings each",
        "reading",
        [way("ours", "crowd"), way("ours, aiohttp transport", "crowd-aiohttp", "httpx-aiohttp")],
        [
            way("aiohttp + orjson over lists", "lists", "aiohttp", (0.5, 1.0)),
            way("as many tasks that wait, nothing sent", "crowd-waiting"),
        ],
        shown=[
            way("ours, the same, 200 tasks start at a time", "crowd-in-turns", "httpx-aiohttp"),
        ],
        pause=PAUSE,
    )
