"""What a write of short columns is made of: the writer's core, step by step, with nothing sent and nobody waiting."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.clients.series import Series
from benchmarks.marks import Mark, Marks
from besmart_async import BatchPolicy, SignalKey
from besmart_async.batching.write.core.core import WriteCore
from besmart_async.batching.write.core.log import Form
from besmart_async.batching.write.validation import ManyColumns
from besmart_async.models.values import DOUBLE

ROWS = 100
_SIGNALS_PER_BATCH = 300
"""What fills a body."""
_SINGLES = 100
"""Signals of single readings."""
T = TypeVar("T")


@attrs.define
class _Watch:
    """Adds up what each part took."""

    seconds: dict[str, float] = attrs.field(factory=dict[str, float])

    def timed(self, part: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start
        return result


def marks(*, readings: int, rounds: int) -> Marks:
    """Take a writer's core apart.

    Args:
        readings: how many are written in each round.
        rounds: of which the median is told.
    """
    series = Series.made(max(1, readings // ROWS), ROWS)
    watches = [_written(series) for _ in range(rounds)]
    nanoseconds = {
        part: statistics.median(watch.seconds[part] for watch in watches) / series.readings * 1e9
        for part in watches[0].seconds
    }
    parts = [Mark(part, taken, "ns/reading") for part, taken in nanoseconds.items()]
    return Marks(f"columns of {ROWS} readings, part by part, nothing sent", parts)


class _Kept:
    """The least that an asynchronous write of one reading can do: keep it."""

    def __init__(self) -> None:
        self.keys: list[SignalKey] = []
        self.times: list[int] = []
        self.values: list[float] = []

    async def write(self, key: SignalKey, time: int, value: float) -> None:
        self.keys.append(key)
        self.times.append(time)
        self.values.append(value)


def floor_of_singles(*, readings: int, rounds: int) -> Marks:
    """Measure what single readings cost in any writer whose `write` is awaited: nothing is grouped, checked or sent.

    Args:
        readings: how many are written in each round.
        rounds: of which the median is told.
    """
    series = Series.made(_SINGLES, readings // _SINGLES)
    columns = [(at, values.tolist()) for at, values in zip(series.times.tolist(), series.values.T, strict=True)]
    watches = [_Watch() for _ in range(rounds)]
    for watch in watches:
        kept = _Kept()

        async def written(kept: _Kept = kept) -> None:
            for at, values in columns:
                for key, value in zip(series.keys, values, strict=True):
                    await kept.write(key, at, value)

        def encoded(kept: _Kept = kept) -> bytes:
            arrays = np.array(kept.times, np.int64), np.array(kept.values, np.float64)
            return orjson.dumps(arrays, option=orjson.OPT_SERIALIZE_NUMPY)

        watch.timed("awaited and kept in lists", lambda: asyncio.run(written()))
        watch.timed("made columns and encoded", encoded)
    parts = [
        Mark(part, statistics.median(watch.seconds[part] for watch in watches) / readings * 1e9, "ns/reading")
        for part in watches[0].seconds
    ]
    return Marks(f"single readings of {_SINGLES} signals: what any awaited write needs, nothing sent", parts)


def _written(series: Series) -> _Watch:
    watch, core = _Watch(), WriteCore(BatchPolicy(linger_s=0.0), lambda: 0.5)
    for start in range(0, len(series.keys), _SIGNALS_PER_BATCH):
        some = slice(start, start + _SIGNALS_PER_BATCH)
        _batch(watch, core, Series(series.keys[some], series.times, series.values[some]))
    return watch


def _batch(watch: _Watch, core: WriteCore, series: Series) -> None:
    grid = core.accumulator.grids.of(series.times)
    assert grid is not None  # they ascend
    form = Form(DOUBLE, 1, None)

    def copied() -> list[tuple[SignalKey, NDArray[Any]]]:
        many = ManyColumns.checked(series.keys, series.times, series.values)
        return [one for keys, values in many.blocks() for one in zip(keys, values, strict=True)]

    def accepted() -> None:
        for key, value in rows:
            core.accumulator.accept_columns(key, grid, value, form, 0.0)

    def settled() -> None:
        for batch in batches:
            core.settle(batch.number, None, 2.0)
        core.events()

    rows = watch.timed("checked and copied", copied)
    watch.timed("accepted", accepted)
    batches = watch.timed("frozen and encoded", lambda: list(iter(lambda: core.poll(1.0), None)))
    watch.timed("settled", settled)
    columns = [value for _, value in rows]
    watch.timed("for comparison: orjson alone", lambda: orjson.dumps(columns, option=orjson.OPT_SERIALIZE_NUMPY))
