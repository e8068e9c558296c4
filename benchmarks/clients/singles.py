"""Single readings in: one call per reading, gathered by the client; the signals take turns.

`python -m benchmarks.clients.singles CONTENDER --url URL --signals N --rows N`
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import attrs
import orjson

from benchmarks.clients.clock import timed
from benchmarks.clients.series import Series
from besmart_async import BesmartClient, SignalKey, Writer, aiohttp_transport

_WARM_UP = 1_000
_TASKS = 100
_ITEMS = 500
"""Signals in a call by hand."""
_READINGS = 32_000
"""Readings in a call by hand: some 900 KB, as much as our writer sends."""
_IN_FLIGHT = 8
_FAR_IN_FLIGHT = 16
"""With a service that is far away."""
_PATH = "/api/sensors/signals/data"
Row = tuple[SignalKey, int, float]


@attrs.frozen(eq=False)
class Readings:
    """Readings one by one: three lists, since a tuple for each reading would be work for the garbage collector."""

    keys: list[SignalKey]
    times: list[int]
    values: list[float]

    @classmethod
    def made(cls, signals: int, rows: int) -> Readings:
        """All signals at the first time, then all at the next one; a signal has the same key object every time."""
        series = Series.made(signals, rows)
        times = [time for time in series.times.tolist() for _ in series.keys]
        return cls(series.keys * rows, times, series.values.T.ravel().tolist())

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Row]:
        return zip(self.keys, self.times, self.values, strict=True)

    def part(self, some: slice) -> Readings:
        """Return some of them."""
        return Readings(self.keys[some], self.times[some], self.values[some])

    def named(self) -> list[tuple[str, int, float]]:
        """Return them with the signals' names, for clients that know signals by name; a signal has one string."""
        names = {key: str(key) for key in self.keys}
        return [(names[key], time, value) for key, time, value in self]


def ours(url: str, readings: Readings) -> None:
    """One task writes them all."""
    asyncio.run(_ours(url, readings, _one_by_one))


def ours_tasks(url: str, readings: Readings) -> None:
    """A hundred tasks share them."""
    asyncio.run(_ours(url, readings, _by_tasks))


def ours_aiohttp(url: str, readings: Readings) -> None:
    """One task, and the transport over aiohttp."""
    asyncio.run(_ours(url, readings, _one_by_one, aiohttp_transport()))


async def _one_by_one(writer: Writer, readings: Readings) -> None:
    for key, time, value in readings:
        await writer.write(key, time, value)


async def _by_tasks(writer: Writer, readings: Readings) -> None:
    async with asyncio.TaskGroup() as tasks:
        for first in range(_TASKS):
            tasks.create_task(_one_by_one(writer, readings.part(slice(first, None, _TASKS))))


async def _ours(url: str, readings: Readings, write: Callable[..., Any], transport: Any = None) -> None:
    warm_up = readings.part(slice(_WARM_UP))
    async with (
        BesmartClient(api_key="key", login="login", password="password", base_url=url, transport=transport) as client,
        client.writer() as writer,
    ):
        await write(writer, warm_up)
        await writer.flush()
        with timed(len(readings), warm_up=len(warm_up)):
            await write(writer, readings)
            await writer.flush()


def by_hand(url: str, readings: Readings) -> None:
    """A loop by hand: a dict by signal, a call for every 500 signals, orjson over lists, aiohttp."""
    asyncio.run(_by_hand(url, readings, _IN_FLIGHT))


def by_hand_far(url: str, readings: Readings) -> None:
    """The same with as many calls at a time as our writer makes at most."""
    asyncio.run(_by_hand(url, readings, _FAR_IN_FLIGHT))


async def _by_hand(url: str, readings: Readings, in_flight: int) -> None:
    import aiohttp  # noqa: PLC0415 - one contender's

    room = asyncio.Semaphore(in_flight)
    headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}

    async def put(waiting: dict[SignalKey, tuple[list[int], list[float]]]) -> None:
        body = orjson.dumps([_item(key, *columns) for key, columns in waiting.items()])
        async with session.put(_PATH, data=body) as answer:
            answer.raise_for_status()
            await answer.read()
        room.release()

    async def write(some: Readings) -> None:
        waiting: dict[SignalKey, tuple[list[int], list[float]]] = {}
        count = 0
        async with asyncio.TaskGroup() as tasks:
            for key, time, value in some:
                columns = waiting.get(key)
                if columns is None:
                    waiting[key] = ([time], [value])
                else:
                    columns[0].append(time)
                    columns[1].append(value)
                count += 1
                if len(waiting) == _ITEMS or count == _READINGS:
                    await room.acquire()
                    tasks.create_task(put(waiting))
                    waiting, count = {}, 0
            if waiting:
                await room.acquire()
                tasks.create_task(put(waiting))

    async with aiohttp.ClientSession(_origin(url), headers=headers) as session:
        warm_up = readings.part(slice(_WARM_UP))
        await write(warm_up)
        with timed(len(readings), warm_up=len(warm_up)):
            await write(readings)


def _item(key: SignalKey, times: list[int], values: list[float]) -> dict[str, Any]:
    rows = len(times)
    return {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "data": {"time": times, "value": values, "type": ["DBL"] * rows, "origin": [1] * rows},
    }


def questdb(url: str, readings: Readings) -> None:
    """QuestDB's compiled `row`."""
    from questdb import Sender, TimestampNanos  # noqa: PLC0415 - one contender's

    rows = [(name, time * 1_000_000, value) for name, time, value in readings.named()]

    def write(some: list[tuple[str, int, float]]) -> None:
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

    rows = readings.named()

    def write(some: list[tuple[str, int, float]]) -> None:
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
    rows = readings.named()
    client = CogniteClient(ClientConfig("benchmark", "project", Token("token"), base_url=_origin(url)))

    def write(some: list[tuple[str, int, float]]) -> None:
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
    "by-hand": by_hand,
    "by-hand-far": by_hand_far,
    "questdb": questdb,
    "influxdb": influxdb,
    "cognite": cognite,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.singles", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--signals", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    given = parser.parse_args()
    CONTENDERS[given.contender](given.url, Readings.made(given.signals, given.rows))


if __name__ == "__main__":
    main()
