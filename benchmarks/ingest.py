"""`besmart ingest` of Parquet and of CSV: the whole command, from start to end, and a loop by hand beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest import Contender, Contest, Standing, hold
from benchmarks.files import TIMES, write_by_time, write_csv, write_parquet
from benchmarks.imports import compile_package
from benchmarks.marks import Mark, Marks
from benchmarks.measuring import Table
from benchmarks.sink import sink

_MOST_BYTES = 400e6


def tables(*, readings: int, rounds: int) -> Sequence[Table]:
    """Hold the contests, with files that are made once, in a temporary folder.

    Args:
        readings: rows of each file.
        rounds: how often everybody runs.
    """
    compile_package()
    with tempfile.TemporaryDirectory() as folder, sink("--count") as service:
        parquet, text = Path(folder) / "sorted.parquet", Path(folder) / "long.csv"
        by_time = Path(folder) / "by-time.parquet"
        rows = write_parquet(parquet, readings)
        csv_rows = write_csv(text, readings)
        meters = write_by_time(by_time, readings)
        url = service.base_url
        contests = [
            _contest(
                "besmart ingest, sorted Parquet", url, parquet, rows, "ours", "by-hand", (0.8, 1.2), floor="floor"
            ),
            _contest("the same without a checkpoint", url, parquet, rows, "ours-forgetful", "by-hand"),
            _contest("besmart ingest, long CSV", url, text, csv_rows, "ours"),
            _contest(f"Parquet by time, {meters:,} meters", url, by_time, meters * TIMES, "ours"),
        ]
        standings = [hold(contest, rounds, service.readings) for contest in contests]
    return [*standings, Marks("besmart ingest", _marks(*standings))]


def parquet(*, readings: int, rounds: int) -> Sequence[Table]:
    """Hold the contest of sorted Parquet alone; as `tables`."""
    compile_package()
    with tempfile.TemporaryDirectory() as folder, sink("--count") as service:
        file = Path(folder) / "sorted.parquet"
        rows = write_parquet(file, readings)
        contest = _contest(
            "besmart ingest, sorted Parquet", service.base_url, file, rows, "ours", "by-hand", (0.8, 1.2), floor="floor"
        )
        standing = hold(contest, rounds, service.readings, service.usage)
    peak = Mark("peak memory", standing.costs["ours"].peak_bytes / 1e6, "MB", _MOST_BYTES / 1e6)
    limit = standing.costs["ours"].limit(None)
    return [standing, Marks(f"besmart ingest, sorted Parquet; limit: {limit}", [peak])]


def _contest(
    work: str,
    url: str,
    file: Path,
    rows: int,
    ours: str,
    by_hand: str | None = None,
    goal: tuple[float | None, float | None] = (None, None),
    floor: str | None = None,
) -> Contest:
    def way(
        name: str, contender: str, needs: str = "", goal: tuple[float | None, float | None] = (None, None)
    ) -> Contender:
        arguments = ["-m", "benchmarks.clients.ingest", contender, "--url", url, str(file)]
        return Contender(name, arguments, needs, *goal, whole=rows)

    others = [way("pyarrow + aiohttp + orjson over numpy arrays", by_hand, "aiohttp", goal)] if by_hand else []
    if floor:
        others.append(way("the same loop after the command's own start", floor, "aiohttp"))
    return Contest(f"{work}, {rows:,} rows", "reading", [way("ours", ours)], others)


def _marks(parquet: Standing, forgetful: Standing, text: Standing, by_time: Standing) -> list[Mark]:
    costs = {standing.contest.work: standing.costs["ours"] for standing in (parquet, forgetful, text)}
    peaks = [
        Mark(f"{work}: peak memory", cost.peak_bytes / 1e6, "MB", _MOST_BYTES / 1e6) for work, cost in costs.items()
    ]
    rate = 1 / text.costs["ours"].wall_s
    many = by_time.costs["ours"]
    return [
        *peaks,
        Mark(text.contest.work, rate, "readings/s", 1.5e6, 2.5e6, at_most=False),
        Mark(by_time.contest.work, 1 / many.wall_s, "readings/s", at_most=False),
        Mark(f"{by_time.contest.work}: peak memory", many.peak_bytes / 1e6, "MB"),
    ]
