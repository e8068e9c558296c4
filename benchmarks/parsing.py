"""Files to readings, per reading, against the hand-written way."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measuring import Row, compare
from besmart_async.ingest.parse.parser import ParseOptions, Parser
from besmart_async.ingest.sources import sources_of

_PER_DAY = 96
_START = np.datetime64("2024-04-05")
_CLOCK = ParseOptions(time_zone="Europe/Warsaw", dst="infer")


def rows(*, readings: int, rounds: int) -> list[Row]:
    """Compare reading the same values from long and wide files, by moments and by the clock."""
    with tempfile.TemporaryDirectory() as folder:
        return _in(Path(folder), max(1, readings // _PER_DAY), rounds)


def _in(folder: Path, days: int, rounds: int) -> list[Row]:
    values = np.random.default_rng(1).random((days, _PER_DAY)).round(3)
    times = (_START + np.arange(days)).astype("M8[m]")[:, None] + np.arange(_PER_DAY) * np.timedelta64(15, "m")
    moments, clocks = ([f"{time}:00{end}" for time in times.ravel()] for end in ("Z", ""))
    wide = pd.DataFrame(values, columns=[f"{n // 4:02}:{n % 4 * 15:02}" for n in range(_PER_DAY)])
    wide.insert(0, "date", (_START + np.arange(days)).astype(str))
    wide.insert(0, "meter", "1.1")
    wide.to_csv(folder / "wide.csv", index=False)
    count = days * _PER_DAY
    for name, texts in (("long", moments), ("clock", clocks)):
        long = pd.DataFrame(
            {"meter": "1.1", "obis": "1-0:1.8.0", "time": texts, "value": values.ravel(), "unit": "kWh"}
        )
        long.to_csv(folder / f"{name}.csv", index=False)
    table = pa.table({"meter": ["1.1"] * count, "time": times.ravel().astype("M8[ms]"), "value": values.ravel()})
    pq.write_table(table, folder / "clock.parquet")
    by_hand = {"csv module, fromisoformat, float": lambda: _by_hand(folder / "long.csv")}
    return [
        compare("CSV, long, moments", "reading", count, {"ours": _ours(folder / "long.csv"), **by_hand}, rounds),
        compare("CSV, long, clock times", "reading", count, {"ours": _ours(folder / "clock.csv")}, rounds),
        compare("CSV, wide, clock times", "reading", count, {"ours": _ours(folder / "wide.csv")}, rounds),
        compare("Parquet, long, clock times", "reading", count, {"ours": _ours(folder / "clock.parquet")}, rounds),
    ]


def _ours(path: Path) -> Callable[[], int]:
    def read() -> int:
        parser = Parser(_CLOCK)
        return sum(len(parser.parse(page.chunk)[0]) for source in sources_of([str(path)]) for page in source.pages())

    return read


def _by_hand(path: Path) -> int:
    with path.open(newline="") as file:
        found = [
            (row["meter"], row["obis"], datetime.fromisoformat(row["time"]).timestamp(), float(row["value"]))
            for row in csv.DictReader(file)
        ]
    return len(found)
