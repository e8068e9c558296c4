"""Readings of very many signals: single readings, and columns that the writer has not seen before."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.contest import PAUSE, Contender, Contest, Standing, hold
from benchmarks.sink import sink

_COLUMN_ROWS = 100
Goal = tuple[float | None, float | None]
_SHOWN: Goal = (None, None)


def standings(*, readings: int, rounds: int, smoke: bool) -> list[Standing]:
    """Hold the contests.

    Args:
        readings: single readings of 1,000 and of 100,000 signals; 100 signals have twice as many, columns five times.
        rounds: how often everybody runs.
        smoke: leave out contenders that run in other contests, too.
    """
    with sink("--count") as service:
        contests = list(_contests(service.base_url, readings, smoke))
        return [hold(contest, rounds, service.readings) for contest in contests]


def _contests(url: str, readings: int, smoke: bool) -> Iterator[Contest]:
    if not smoke:
        yield _singles(url, readings // 2, 2, (1.4, 2.0), (0.3, 0.5))
        yield _singles(url, 1_000, readings // 800, (1.4, 2.5), (0.4, 0.7))
    yield _few_signals(url, readings * 2)
    yield _cold_columns(url, readings * 5 // _COLUMN_ROWS, smoke)


def _single(
    url: str, signals: int, rows: int, name: str, contender: str, needs: str = "", goal: Goal = _SHOWN
) -> Contender:
    options = ["--url", url, "--signals", f"{signals}", "--rows", f"{max(1, rows)}"]
    return Contender(name, ["-W", "ignore", "-m", "benchmarks.clients.singles", contender, *options], needs, *goal)


def _one_task(url: str, signals: int, rows: int) -> list[Contender]:
    return [
        _single(url, signals, rows, "ours, one task", "ours"),
        _single(url, signals, rows, "ours, one task, aiohttp transport", "ours-aiohttp", "httpx-aiohttp"),
    ]


def _tasks(url: str, signals: int, rows: int) -> Contender:
    return _single(url, signals, rows, "ours, 100 tasks", "ours-tasks")


def _singles(url: str, signals: int, rows: int, by_hand: Goal, questdb: Goal) -> Contest:
    """A hundred tasks are only shown: each writes many readings of its few signals in a row, which is easier."""
    return Contest(
        f"single readings, {signals:,} signals x {rows:,}",
        "reading",
        _one_task(url, signals, rows),
        [
            _single(url, signals, rows, "by hand: dict by signal, orjson, aiohttp", "by-hand", "aiohttp", by_hand),
            _single(url, signals, rows, "QuestDB Sender.row", "questdb", "questdb", questdb),
        ],
        shown=[_tasks(url, signals, rows)],
        pause=PAUSE,
    )


def _few_signals(url: str, readings: int) -> Contest:
    """The slow ones write fewer readings, since they take longer."""
    signals, rows = 100, readings // 100
    cognite, influxdb = "Cognite TimeSeriesUploadQueue", "influxdb-client, batching WriteApi"
    return Contest(
        f"single readings, {signals:,} signals x {rows:,}",
        "reading",
        [*_one_task(url, signals, rows), _tasks(url, signals, rows)],
        [
            _single(url, signals, rows, "by hand: dict by signal, orjson, aiohttp", "by-hand", "aiohttp"),
            _single(url, signals, rows, "QuestDB Sender.row", "questdb", "questdb", (0.75, 1.0)),
            _single(url, signals, rows // 20, influxdb, "influxdb", "influxdb-client", (15, 20)),
            _single(url, signals, rows // 4, cognite, "cognite", "cognite-extractor-utils", (4, 6)),
        ],
        pause=PAUSE,
    )


def _cold_columns(url: str, signals: int, smoke: bool) -> Contest:
    options = ["--url", url, "--signals", f"{signals}", "--rows", f"{_COLUMN_ROWS}", "--cold"]

    def way(name: str, contender: str, needs: str = "", goal: Goal = _SHOWN) -> Contender:
        return Contender(name, ["-m", "benchmarks.clients.columns", contender, *options], needs, *goal)

    return Contest(
        f"cold columns, {signals:,} signals x {_COLUMN_ROWS}",
        "reading",
        [
            way("ours, write each", "ours"),
            way("ours, write each, aiohttp transport", "ours-aiohttp", "httpx-aiohttp"),
        ],
        []
        if smoke
        else [
            way("aiohttp + orjson over lists", "lists", "aiohttp", (1.3, 1.6)),
            way("aiohttp + orjson over numpy arrays", "arrays", "aiohttp", (0.6, 1.0)),
            way("QuestDB Sender.dataframe", "questdb", "questdb", (1.1, 1.5)),
        ],
        shown=[
            way("ours, the same, no times shared", "ours-apart", "httpx-aiohttp"),
            way("ours, the same, write_data", "ours-data", "httpx-aiohttp"),
            way("ours, the same, write_matrix", "ours-matrix", "httpx-aiohttp"),
        ],
        pause=PAUSE,
    )
