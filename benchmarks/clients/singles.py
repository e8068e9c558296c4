"""Single readings in: one call per reading, gathered by the client; the signals take turns.

`python -m benchmarks.clients.singles CONTENDER --url URL --readings N`
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from benchmarks.clients.clock import timed
from benchmarks.clients.series import Series
from besmart_async import BesmartClient, SignalKey, Writer, aiohttp_transport

_SIGNALS = 100
_WARM_UP = 1_000
Readings = list[tuple[SignalKey, int, float]]


def ours(url: str, readings: Readings) -> None:
    """One task writes them all."""
    asyncio.run(_ours(url, readings, _one_by_one))


def ours_tasks(url: str, readings: Readings) -> None:
    """A task for each signal."""
    asyncio.run(_ours(url, readings, _by_tasks))


def ours_aiohttp(url: str, readings: Readings) -> None:
    """One task, and the transport over aiohttp."""
    asyncio.run(_ours(url, readings, _one_by_one, aiohttp_transport()))


async def _one_by_one(writer: Writer, readings: Readings) -> None:
    for key, time, value in readings:
        await writer.write(key, time, value)


async def _by_tasks(writer: Writer, readings: Readings) -> None:
    async with asyncio.TaskGroup() as tasks:
        for first in range(_SIGNALS):
            tasks.create_task(_one_by_one(writer, readings[first::_SIGNALS]))


async def _ours(url: str, readings: Readings, write: Callable[..., Any], transport: Any = None) -> None:
    async with (
        BesmartClient(api_key="key", login="login", password="password", base_url=url, transport=transport) as client,
        client.writer() as writer,
    ):
        await write(writer, readings[:_WARM_UP])
        await writer.flush()
        with timed(len(readings), warm_up=len(readings[:_WARM_UP])):
            await write(writer, readings)
            await writer.flush()


def questdb(url: str, readings: Readings) -> None:
    """QuestDB's compiled `row`."""
    from questdb import Sender, TimestampNanos  # noqa: PLC0415 - one contender's

    rows = [(str(key), time * 1_000_000, value) for key, time, value in readings]

    def write(some: Sequence[tuple[str, int, float]]) -> None:
        for name, time, value in some:
            sender.row("readings", symbols={"signal": name}, columns={"value": value}, at=TimestampNanos(time))
        sender.flush()

    with Sender.from_conf(f"http::addr={urlsplit(url).netloc};auto_flush_interval=off;") as sender:
        write(rows[:_WARM_UP])
        with timed(len(rows), warm_up=len(rows[:_WARM_UP])):
            write(rows)


def influxdb(url: str, readings: Readings) -> None:
    """InfluxDB's client, which gathers points in a thread."""
    from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision  # noqa: PLC0415 - one contender's

    rows = [(str(key), time, value) for key, time, value in readings]

    def write(some: Sequence[tuple[str, int, float]]) -> None:
        with client.write_api(WriteOptions(batch_size=5_000)) as api:
            for name, time, value in some:
                point = Point("readings").tag("signal", name).field("value", value).time(time, WritePrecision.MS)
                api.write("bucket", record=point)

    with InfluxDBClient(_origin(url), token="token", org="org") as client:
        write(rows[:_WARM_UP])
        with timed(len(rows), warm_up=len(rows[:_WARM_UP])):
            write(rows)


def cognite(url: str, readings: Readings) -> None:
    """Cognite's upload queue, which sends what has gathered when it is full."""
    from cognite.client import ClientConfig, CogniteClient, global_config  # noqa: PLC0415 - one contender's
    from cognite.client.credentials import Token  # noqa: PLC0415 - as above
    from cognite.extractorutils.uploader import TimeSeriesUploadQueue  # noqa: PLC0415 - as above

    global_config.disable_pypi_version_check = True
    global_config.disable_gzip = True  # it would take time
    rows = [(str(key), time, value) for key, time, value in readings]
    client = CogniteClient(ClientConfig("benchmark", "project", Token("token"), base_url=_origin(url)))

    def write(some: Sequence[tuple[str, int, float]]) -> None:
        with TimeSeriesUploadQueue(client, max_queue_size=32_000) as queue:
            for name, time, value in some:
                queue.add_to_upload_queue(external_id=name, datapoints=[(time, value)])

    write(rows[:_WARM_UP])
    with timed(len(rows), warm_up=len(rows[:_WARM_UP])):
        write(rows)


def _origin(url: str) -> str:
    return f"http://{urlsplit(url).netloc}"


CONTENDERS: dict[str, Callable[[str, Readings], None]] = {
    "ours": ours,
    "ours-tasks": ours_tasks,
    "ours-aiohttp": ours_aiohttp,
    "questdb": questdb,
    "influxdb": influxdb,
    "cognite": cognite,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.singles", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--readings", type=int, required=True)
    given = parser.parse_args()
    series = Series.made(_SIGNALS, given.readings // _SIGNALS)
    times, columns = series.times.tolist(), series.values.T.tolist()
    readings = [
        (key, time, value)
        for time, row in zip(times, columns, strict=True)
        for key, value in zip(series.keys, row, strict=True)
    ]
    CONTENDERS[given.contender](given.url, readings)


if __name__ == "__main__":
    main()
