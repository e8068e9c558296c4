"""Files in: `besmart ingest` as a user calls it, and a loop by hand over the same Parquet file. Whole processes.

`python -m benchmarks.clients.ingest CONTENDER --url URL FILE`
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

_IN_FLIGHT = 16
"""As many calls at a time as the command makes at most."""
_LARGEST = 32_000
"""Readings of a call: some 900 KB, as much as the command sends."""
_ONE_ROW = "meter,obis,time,value,unit\n1.1,1-0:1.8.0,2024-01-01T00:00:00Z,1,kWh\n"
Item = dict[str, Any]
ToNumpy = Callable[[Any], Any]
"""Makes a numpy array of an arrow array."""


def ours(url: str, file: str) -> None:
    """The command as it is, with its checkpoint, which is new."""
    with tempfile.TemporaryDirectory() as folder:
        _command(url, file, "--checkpoint", str(Path(folder) / "ingest.sqlite3"))


def ours_forgetful(url: str, file: str) -> None:
    """Without a checkpoint."""
    _command(url, file, "--no-checkpoint")


def _command(url: str, file: str, *options: str) -> None:
    from besmart_async.cli import main as besmart  # noqa: PLC0415 - one contender's

    account = {"BASE_URL": url, "API_KEY": "key", "LOGIN": "login", "PASSWORD": "password"}
    os.environ.update({f"BESMART_{name}": value for name, value in account.items()})
    try:
        besmart(["ingest", file, "--no-chart", *options])
    except SystemExit as end:
        if end.code:
            raise


def by_hand(url: str, file: str) -> None:
    """A loop by hand over Parquet, with calls of the same size."""
    asyncio.run(_by_hand(url, _batches(_meters(file, _as_documented))))


def by_hand_csv(url: str, file: str) -> None:
    """A loop by hand over CSV."""
    asyncio.run(_by_hand(url, _batches(_meters_of_csv(file))))


def floor(url: str, file: str) -> None:
    """The command with a file of one row, which logs in, reads the signal types and sends nothing; then by hand."""
    with tempfile.TemporaryDirectory() as folder:
        row = Path(folder) / "row.csv"
        row.write_text(_ONE_ROW)
        _command(url, str(row), "--dry-run", "--no-checkpoint")
    from besmart_async.ingest.sources.columns import as_numpy  # noqa: PLC0415 - the command decides itself how numpy starts

    asyncio.run(_by_hand(url, _batches(_meters(file, as_numpy))))


def _as_documented(column: Any) -> Any:
    """As a user would; it imports pandas where that is installed."""
    return column.to_numpy()


async def _by_hand(url: str, shared: Iterator[list[Item]]) -> None:
    """Send a file whose meters, signal type and unit are known to be as they should; what fails ends it."""
    import aiohttp  # noqa: PLC0415 - one contender's
    import orjson  # noqa: PLC0415 - as above

    async def worker(session: aiohttp.ClientSession, batches: Iterator[list[Item]]) -> None:
        for batch in batches:
            body = orjson.dumps(batch, option=orjson.OPT_SERIALIZE_NUMPY)
            async with session.put(f"{url}/sensors/signals/data", data=body) as answer:
                answer.raise_for_status()
                await answer.read()

    headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as tasks:
        for _ in range(_IN_FLIGHT):
            tasks.create_task(worker(session, shared))


def _batches(meters: Iterable[tuple[str, Any, Any]], readings: int = _LARGEST) -> Iterator[list[Item]]:
    """Fill each call up to `readings`, cutting the columns of a meter where it must be."""
    batch: list[Item] = []
    room = readings
    for name, times, values in meters:
        client, meter = map(int, name.split("."))
        start = 0
        while start < len(times):
            stop = min(len(times), start + room)
            rows = stop - start
            data = {
                "time": times[start:stop],
                "value": values[start:stop],
                "type": ["DBL"] * rows,
                "origin": [1] * rows,
            }
            key = {"client_cid": client, "sensor_mid": meter, "signal_type_moid": 32}
            batch.append({**key, "data": data, "unit": "kW.h"})
            room, start = room - rows, stop
            if not room:
                yield batch
                batch, room = [], readings
    if batch:
        yield batch


def _meters(file: str, to_numpy: ToNumpy) -> Iterator[tuple[str, Any, Any]]:
    """Yield (meter, times, values), row group by row group; the file is sorted by meter."""
    import pyarrow as pa  # noqa: PLC0415 - one contender's
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    opened = pq.ParquetFile(file, read_dictionary=["meter"])
    for number in range(opened.num_row_groups):
        table = opened.read_row_group(number, columns=["meter", "time", "value"]).combine_chunks()
        meter, time, value = (table[name].chunk(0) for name in ("meter", "time", "value"))
        yield from _runs(meter, to_numpy(time.cast(pa.int64())), to_numpy(value), to_numpy)


def _meters_of_csv(file: str) -> Iterator[tuple[str, Any, Any]]:
    """The same of a CSV file, block by block."""
    import pyarrow as pa  # noqa: PLC0415 - one contender's
    import pyarrow.csv as pa_csv  # noqa: PLC0415 - as above

    wanted = {"meter": pa.dictionary(pa.int32(), pa.string()), "time": pa.timestamp("ms", "UTC"), "value": pa.float64()}
    options = pa_csv.ConvertOptions(column_types=wanted, include_columns=list(wanted))
    reading = pa_csv.ReadOptions(block_size=8 << 20)
    for block in pa_csv.open_csv(file, read_options=reading, convert_options=options):
        meter, time, value = block.columns
        yield from _runs(meter, time.cast(pa.int64()).to_numpy(), value.to_numpy(), _as_documented)


def _runs(meter: Any, times: Any, values: Any, to_numpy: ToNumpy) -> Iterator[tuple[str, Any, Any]]:
    import numpy as np  # noqa: PLC0415 - one contender's

    codes, names = to_numpy(meter.indices), meter.dictionary.to_pylist()
    bounds = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
    for start, stop in pairwise(bounds):
        yield names[codes[start]], times[start:stop], values[start:stop]


CONTENDERS: dict[str, Callable[[str, str], None]] = {
    "ours": ours,
    "ours-forgetful": ours_forgetful,
    "by-hand": by_hand,
    "by-hand-csv": by_hand_csv,
    "floor": floor,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.ingest", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("file")
    given = parser.parse_args()
    CONTENDERS[given.contender](given.url, given.file)


if __name__ == "__main__":
    main()
