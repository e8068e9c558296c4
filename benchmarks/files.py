"""Files of readings for the contests of `besmart ingest`: sorted by meter, or by time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

_PER_DAY = 96
_DAYS = 100
_START_MS = 1_704_067_200_000
_STEP_MS = 900_000
_MOMENTS = pa.timestamp("ms", "UTC")
_MANY_METERS = 100_000
TIMES = 20
"""Readings of each meter in a file sorted by time."""


def write_parquet(path: Path, readings: int) -> int:
    """Write a file sorted by meter; return its rows."""
    table = _table(max(1, round(readings / (_DAYS * _PER_DAY))), pa.array(_times()).cast(_MOMENTS))
    pq.write_table(table, path)
    return int(table.num_rows)


def write_csv(path: Path, readings: int) -> int:
    """Write a file sorted by meter; return its rows."""
    texts = [f"{time}Z" for time in _times().astype("M8[s]").astype(str)]
    table = _table(max(1, round(readings / (_DAYS * _PER_DAY))), pa.array(texts))
    pa_csv.write_csv(table, path, pa_csv.WriteOptions(quoting_style="none"))
    return int(table.num_rows)


def write_by_time(path: Path, readings: int) -> int:
    """Write all meters of a quarter of an hour, then all of the next one; return how many meters."""
    meters = max(1, min(_MANY_METERS, readings // TIMES))
    names, values = pa.array([f"1.{number}" for number in range(1, meters + 1)]), np.random.default_rng(1)
    columns = {"meter": names, "obis": pa.array(["1-0:1.8.0"] * meters), "unit": pa.array(["kWh"] * meters)}
    texts = dict.fromkeys(columns, pa.string())
    schema = pa.schema({**texts, "time": _MOMENTS, "value": pa.float64()})
    with pq.ParquetWriter(path, schema) as file:
        for time in _times()[:TIMES]:
            moment = pa.array(np.full(meters, time)).cast(_MOMENTS)
            value = values.gamma(2.0, 0.15, meters).round(3)
            file.write_table(pa.table({**columns, "time": moment, "value": value}, schema=schema))
    return meters


def _times() -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    """The times of every meter."""
    return (_START_MS + _STEP_MS * np.arange(_DAYS * _PER_DAY)).astype("M8[ms]")


def _table(meters: int, times: Any) -> Any:
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
