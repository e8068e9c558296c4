"""Columns into the service, against loops by hand and the clients of other services."""

from __future__ import annotations

from benchmarks.contest import PAUSE, Contender, Contest, Standing, hold
from benchmarks.sink import sink


def standings(*, readings: int, rounds: int) -> list[Standing]:
    """Hold the contests of writing.

    Args:
        readings: how many all columns hold.
        rounds: how often everybody runs.
    """
    with sink("--count") as service:
        contests = [
            _columns(service.base_url, readings, 100, [(1.3, 1.6), (0.7, 1.0), (1.3, 1.8), (0.4, 0.6)]),
            _columns(service.base_url, readings, 10_000, [(1.7, 2.0), (0.9, 1.1), (1.8, 2.5), (0.55, 0.7)]),
        ]
        return [hold(contest, rounds, service.readings) for contest in contests]


def _columns(url: str, readings: int, rows: int, goals: list[tuple[float, float]]) -> Contest:
    options = ["--url", url, "--signals", f"{max(1, readings // rows)}", "--rows", f"{rows}"]

    def way(
        name: str, contender: str, needs: str = "", goal: tuple[float | None, float | None] = (None, None)
    ) -> Contender:
        return Contender(name, ["-m", "benchmarks.clients.columns", contender, *options], needs, *goal)

    lists, arrays, questdb, sockets = goals
    return Contest(
        f"columns in, {rows:,} readings per signal",
        "reading",
        [
            way("ours, default transport", "ours"),
            way("ours, aiohttp transport", "ours-aiohttp", "httpx-aiohttp"),
            way("ours, the same, write_matrix", "ours-matrix", "httpx-aiohttp"),
            way("ours, the same, no times shared", "ours-apart", "httpx-aiohttp"),
        ],
        [
            way("aiohttp + orjson over lists", "lists", "aiohttp", lists),
            way("aiohttp + orjson over numpy arrays", "arrays", "aiohttp", arrays),
            way("QuestDB Sender.dataframe", "questdb", "questdb", questdb),
            way("bare sockets, encoding as they go", "sockets", "", sockets),
            way("bare sockets, bodies encoded before", "encoded"),
        ],
        pause=PAUSE,
    )
