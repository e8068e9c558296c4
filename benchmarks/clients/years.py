"""A year of quarter hours of many signals: into numpy columns, or into a Parquet file.

`python -m benchmarks.clients.years CONTENDER --url URL --signals N`
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.clients.clock import timed
from benchmarks.clients.series import START_MS

_DAYS = 365
_ROWS = 96
_TILL_MS = START_MS + _DAYS * 86_400_000
_IN_FLIGHT = 16
_BATCH = 8
"""Signals in a call by hand: 280,000 readings, some 8 MB."""

Take = Callable[[dict[str, Any], np.ndarray, np.ndarray], None]
"""Takes the columns of an answer."""


async def stream(url: str, signals: int) -> None:
    """Our reader's `stream` with the transport over aiohttp."""
    from besmart_async import BesmartClient, SignalKey, SignalQuery, aiohttp_transport  # noqa: PLC0415 - one contender's

    keys = [SignalKey(12, mid, 32) for mid in range(signals)]
    account = BesmartClient(
        api_key="key", login="login", password="password", base_url=url, transport=aiohttp_transport()
    )
    async with account as client, client.reader() as reader:
        await client.users.login()
        with timed(_readings(signals)):
            queries = (SignalQuery(key, START_MS, _TILL_MS) for key in keys)
            came = sum([len(data) async for data in reader.stream(queries)])
    _check(came, signals)


async def bulk(url: str, signals: int) -> None:
    """A loop by hand: bulk reads of whole years over aiohttp, parsed by orjson, columns for numpy."""
    with timed(_readings(signals)):
        await _by_hand(url, signals, _BATCH, lambda item, times, values: None)


async def export_by_hand(url: str, signals: int) -> None:
    """A loop by hand that writes each answer to a Parquet file."""
    import pyarrow as pa  # noqa: PLC0415 - one contender's
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    fields = {"client_cid": pa.int64(), "sensor_mid": pa.int64(), "signal_type_moid": pa.int64()}
    fields |= {"time": pa.timestamp("ms", "UTC"), "value": pa.float64(), "unit": pa.string()}
    schema = pa.schema(fields | {"type": pa.string(), "origin": pa.int64()})
    with tempfile.TemporaryDirectory() as folder, pq.ParquetWriter(Path(folder) / "year.parquet", schema) as file:

        def take(item: dict[str, Any], times: np.ndarray, values: np.ndarray) -> None:
            rows = len(times)
            ids = [pa.array(np.full(rows, item[name])) for name in ("client_cid", "sensor_mid", "signal_type_moid")]
            columns = [*ids, pa.array(times).cast(schema.field("time").type), pa.array(values)]
            columns += [
                pa.array([item["unit"]] * rows),
                pa.array(item["data"]["type"]),
                pa.array(item["data"]["origin"]),
            ]
            file.write_table(pa.table(columns, schema=schema))

        await _by_hand(url, signals, 1, take)


async def _by_hand(url: str, signals: int, batch: int, take: Take) -> None:
    import aiohttp  # noqa: PLC0415 - the contenders by hand

    came = 0

    async def worker(session: aiohttp.ClientSession, todo: Iterator[range]) -> None:
        nonlocal came
        for some in todo:
            asked = [
                {"client_cid": 12, "sensor_mid": mid, "signal_type_moid": 32, "since": START_MS, "till": _TILL_MS}
                for mid in some
            ]
            async with session.post(f"{url}/sensors/signals/data", data=orjson.dumps(asked)) as answer:
                answer.raise_for_status()
                items = orjson.loads(await answer.read())
            for item in items:
                times, values = np.array(item["data"]["time"]), np.array(item["data"]["value"])
                came += len(times)
                take(item, times, values)

    headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}
    shared = iter([range(first, min(first + batch, signals)) for first in range(0, signals, batch)])
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as tasks:
        for _ in range(_IN_FLIGHT):
            tasks.create_task(worker(session, shared))
    _check(came, signals)


def export(url: str, signals: int) -> None:
    """The command `besmart export`, to Parquet, as a user calls it."""
    from besmart_async.cli import main as besmart  # noqa: PLC0415 - one contender's

    account = {"BASE_URL": url, "API_KEY": "key", "LOGIN": "login", "PASSWORD": "password"}
    os.environ.update({f"BESMART_{name}": value for name, value in account.items()})
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "signals.txt"
        names.write_text("\n".join(f"12.{mid}.32" for mid in range(signals)))
        period = ["--since", f"{START_MS}", "--till", f"{_TILL_MS}"]
        try:
            besmart(["export", "--signals-from", str(names), *period, "--output", str(Path(folder) / "year.parquet")])
        except SystemExit as end:
            if end.code:
                raise


def _readings(signals: int) -> int:
    return signals * _DAYS * _ROWS


def _check(came: int, signals: int) -> None:
    if came != _readings(signals):
        raise RuntimeError(f"{came:,} readings came, not {_readings(signals):,}")


CONTENDERS: dict[str, Callable[[str, int], Coroutine[None, None, None]]] = {
    "stream": stream,
    "bulk": bulk,
    "export-by-hand": export_by_hand,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.years", description=__doc__)
    parser.add_argument("contender", choices=[*CONTENDERS, "export"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--signals", type=int, required=True)
    given = parser.parse_args()
    if given.contender == "export":
        export(given.url, given.signals)
    else:
        asyncio.run(CONTENDERS[given.contender](given.url, given.signals))


if __name__ == "__main__":
    main()
