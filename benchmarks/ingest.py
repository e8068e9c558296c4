"""`besmart ingest` of Parquet and of CSV: the whole command, from start to end, and a loop by hand beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks.contest import Contender, Contest, Standing, hold
from benchmarks.imports import compile_package
from benchmarks.marks import Mark, Marks
from benchmarks.measuring import Table
from benchmarks.sink import sink

_PER_DAY = 96
_DAYS = 100
_START_MS = 1_704_067_200_000
_STEP_MS = 900_000
_MOMENTS = pa.timestamp("ms", "UTC")
_MOST_BYTES = 400e6
_MANY_METERS = 100_000
_TIMES = 20


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
        rows = _write_parquet(parquet, readings)
        csv_rows = _write_csv(text, readings)
        meters = _write_by_time(by_time, readings)
        url = service.base_url
        contests = [
            _contest(
                "besmart ingest, sorted Parquet", url, parquet, rows, "ours", "by-hand", (1.0, 1.2), floor="floor"
            ),
            _contest("the same without a checkpoint", url, parquet, rows, "ours-forgetful", "by-hand-large"),
            _contest("besmart ingest, long CSV", url, text, csv_rows, "ours"),
            _contest(f"Parquet by time, {meters:,} meters", url, by_time, meters * _TIMES, "ours"),
        ]
        standings = [hold(contest, rounds, service.readings) for contest in contests]
    return [*standings, Marks("besmart ingest", _marks(*standings))]


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


def _write_parquet(path: Path, readings: int) -> int:
    table = _table(max(1, round(readings / (_DAYS * _PER_DAY))), pa.array(_times()).cast(_MOMENTS))
    pq.write_table(table, path)
    return int(table.num_rows)


def _write_csv(path: Path, readings: int) -> int:
    texts = [f"{time}Z" for time in _times().astype("M8[s]").astype(str)]
    table = _table(max(1, round(readings / (_DAYS * _PER_DAY))), pa.array(texts))
    pa_csv.write_csv(table, path, pa_csv.WriteOptions(quoting_style="none"))
    return int(table.num_rows)


def _write_by_time(path: Path, readings: int) -> int:
    """Write all meters of a quarter of an hour, then all of the next one; return how many meters."""
    meters = max(1, min(_MANY_METERS, readings // _TIMES))
    names, values = pa.array([f"1.{number}" for number in range(1, meters + 1)]), np.random.default_rng(1)
    columns = {"meter": names, "obis": pa.array(["1-0:1.8.0"] * meters), "unit": pa.array(["kWh"] * meters)}
    texts = dict.fromkeys(columns, pa.string())
    schema = pa.schema({**texts, "time": _MOMENTS, "value": pa.float64()})
    with pq.ParquetWriter(path, schema) as file:
        for time in _times()[:_TIMES]:
            moment = pa.array(np.full(meters, time)).cast(_MOMENTS)
            value = values.gamma(2.0, 0.15, meters).round(3)
            file.write_table(pa.table({**columns, "time": moment, "value": value}, schema=schema))
    return meters


def _times() -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    """The times of every meter."""
    return (_START_MS + _STEP_MS * np.arange(_DAYS * _PER_DAY)).astype("M8[ms]")


def _table(meters: int, times: pa.Array) -> pa.Table:
    """Some meters, 100 days of quarters of an hour each, one after the other."""
    rows = meters * len(times)
    values = np.random.default_rng(1).gamma(2.0, 0.15, rows).round(3)
    none = pa.array(np.zeros(rows, np.int8))
    return pa.table(
        {
            "meter": pa.array([f"1.{number}" for number in range(1, meters + 1)]).take(
                pa.array(np.repeat(np.arange(meters), len(times)))
            ),
            "obis": pa.array(["1-0:1.8.0"]).take(none),
            "time": times.take(pa.array(np.tile(np.arange(len(times)), meters))),
            "value": pa.array(values),
            "unit": pa.array(["kWh"]).take(none),
        }
    )
