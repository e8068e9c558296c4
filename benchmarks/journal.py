"""What a journal costs: the same writes with and without one, from the first `write` until `flush` returns."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import product
from pathlib import Path

import attrs
import numpy as np

from benchmarks.measuring import Rate, Rates
from benchmarks.sink import sink
from besmart_async import BesmartClient, SignalKey, Writer

TASKS = 100
COLUMN_TASKS = 20
READING_BYTES = 16
"""A time and a value."""
_START = 1_577_836_800_000

Load = Callable[[Writer], Awaitable[object]]


@attrs.frozen
class Case:
    """A way of writing, with the rate that its journaled form must reach."""

    work: str
    unit: str
    units: float
    load: Load
    bar: float | None = None


def cases(readings: int) -> list[Case]:
    """The ways of writing; single readings are a fifth of what columns are."""
    singles = readings // 5 // TASKS * TASKS
    found = [
        Case(f"single readings, {TASKS} tasks", "readings", singles, partial(_singles, singles), 100_000),
    ]
    for rows, share, bar in ((1_000, 1.0, 20.0), (100, 0.4, None)):
        count = int(readings * share) // (COLUMN_TASKS * rows) * COLUMN_TASKS * rows
        megabytes = count * READING_BYTES / 1e6
        found.append(Case(f"columns of {rows:,} rows", "MB", megabytes, partial(_columns, count, rows), bar))
    return found


def rates(*, readings: int, rounds: int) -> Rates:
    """Measure every case, unjournaled and journaled in turn."""
    everything = cases(readings)
    ways = ("unjournaled", "journaled")
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with sink() as service, tempfile.TemporaryDirectory(prefix="besmart-journal-") as folder:
        for round_number, case, way in product(range(rounds + 1), everything, ways):
            path = Path(folder) / f"{round_number}" if way == "journaled" else None
            measured = asyncio.run(_measured(service.base_url, path, case.load))
            if round_number:  # the first round warms up
                taken.setdefault((case.work, way), []).append(measured)
        wait_ms = _sync_ms(Path(folder))
    note = f"one fsync of 4 KiB takes {wait_ms:.2f} ms here; one process sends, the other throws away"
    rates = [
        Rate(
            work=case.work,
            way=way,
            unit=case.unit,
            per_s=case.units / statistics.median(wall for wall, _ in taken[case.work, way]),
            cpu_s=statistics.median(cpu for _, cpu in taken[case.work, way]) / case.units,
            bar=case.bar if way == "journaled" else None,
        )
        for case, way in product(everything, ways)
    ]
    return Rates(rates, note)


async def _measured(base_url: str, journal: Path | None, load: Load) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of one load."""
    async with BesmartClient(api_key="key", login="login", password="password", base_url=base_url) as client:
        await client.users.login()
        async with client.writer(journal=journal) as writer:
            wall, cpu = time.perf_counter(), time.process_time()
            await load(writer)
            await writer.flush()
            return time.perf_counter() - wall, time.process_time() - cpu


async def _singles(readings: int, writer: Writer) -> None:
    async def one(key: SignalKey) -> None:
        for n in range(readings // TASKS):
            await writer.write(key, _START + n, 0.25 * n)

    await asyncio.gather(*(one(SignalKey(12, sensor, 32)) for sensor in range(TASKS)))


async def _columns(readings: int, rows: int, writer: Writer) -> None:
    values = np.random.default_rng(1).random(rows).round(3)
    times = _START + np.arange(rows)

    async def one(key: SignalKey) -> None:
        for n in range(readings // COLUMN_TASKS // rows):
            await writer.write(key, times + n * rows, values)

    await asyncio.gather(*(one(SignalKey(12, sensor, 32)) for sensor in range(COLUMN_TASKS)))


def _sync_ms(folder: Path) -> float:
    """Milliseconds that the disk takes for a small write; in memory (tmpfs) hardly any."""
    taken: list[float] = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            begun = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1e3
