"""Columns in: readings of many signals, from numpy columns (or a data frame) to the service.

`python -m benchmarks.clients.columns CONTENDER --url URL --signals N --rows N [--parts N] [--cold]`
"""

from __future__ import annotations

import argparse
import asyncio
import math
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from itertools import cycle, repeat
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import orjson

from benchmarks.clients.clock import timed
from benchmarks.clients.series import BODY_BYTES, Column, Series
from besmart_async import BesmartClient, SignalData, SignalKey, Writer, aiohttp_transport

_PATH = "/api/sensors/signals/data"
_IN_FLIGHT = 8
_FAR_IN_FLIGHT = 16
"""With a service that is far away."""
_PER_TURN = 200
"""Tasks that start, or are woken, in one turn of the event loop."""
Item = dict[str, Any]
Body = Sequence[Column]
Encode = Callable[[Sequence[Column]], bytes]
T = TypeVar("T")


def ours(url: str, series: Series) -> None:
    """Our writer with the default transport."""
    asyncio.run(_ours(url, series, None))


def ours_aiohttp(url: str, series: Series) -> None:
    """Our writer over aiohttp."""
    asyncio.run(_ours(url, series, aiohttp_transport()))


def ours_data(url: str, series: Series) -> None:
    """The same by `write_data`."""
    asyncio.run(_ours_data(url, series))


def ours_matrix(url: str, series: Series) -> None:
    """Our writer over aiohttp, given all signals at once, as `Sender.dataframe` is."""
    asyncio.run(_ours_matrix(url, series))


def ours_apart(url: str, series: Series) -> None:
    """The same, where every signal has times of its own: our writer makes use of times that are shared."""
    asyncio.run(_ours(url, series, aiohttp_transport(), apart=True))


async def _ours(url: str, series: Series, transport: Any, *, apart: bool = False) -> None:
    def columns(some: Series) -> list[Column]:
        shifts = range(len(some.keys)) if apart else repeat(0)
        return [
            (key, time + shift if shift else time, value)
            for (key, time, value), shift in zip(some.columns(), shifts, strict=False)
        ]

    async def write(writer: Writer, some: list[Column]) -> None:
        for key, times, values in some:
            await writer.write(key, times, values)

    await _written(url, series, columns, write, transport)


async def _ours_data(url: str, series: Series) -> None:
    async def write(writer: Writer, some: list[SignalData]) -> None:
        for one in some:
            await writer.write_data(one)

    await _written(url, series, _series_data, write, aiohttp_transport())


def _series_data(series: Series) -> list[SignalData]:
    return [SignalData(key, times, values) for key, times, values in series.columns()]


async def _ours_matrix(url: str, series: Series) -> None:
    async def write(writer: Writer, some: Series) -> None:
        await writer.write_matrix(some.keys, some.times, some.values)

    await _written(url, series, lambda some: some, write, aiohttp_transport())


def crowd(url: str, series: Series) -> None:
    """A task for each column, all started at once, and each waits until the service has its readings."""
    asyncio.run(_crowd(url, series, _at_once, None))


def crowd_aiohttp(url: str, series: Series) -> None:
    """The same over aiohttp."""
    asyncio.run(_crowd(url, series, _at_once, aiohttp_transport()))


def crowd_in_turns(url: str, series: Series) -> None:
    """The same over aiohttp; the tasks start few at a time, as requests come to a web service."""
    asyncio.run(_crowd(url, series, _in_turns, aiohttp_transport()))


def crowd_waiting(_: str, series: Series) -> None:
    """A limit: as many tasks, started at once, that wait for a future each, and nothing is sent."""

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in series.columns()]

        async def answer() -> None:
            for first in range(0, len(futures), _PER_TURN):
                await asyncio.sleep(0)
                for future in futures[first : first + _PER_TURN]:
                    future.set_result(None)

        async def one(future: asyncio.Future[None]) -> None:
            await future

        with timed(series.readings, sends=False):
            await asyncio.gather(*map(one, futures), answer())

    asyncio.run(wait())


async def _crowd(url: str, series: Series, start: Callable[..., Awaitable[None]], transport: Any) -> None:
    async def write(writer: Writer, some: list[SignalData]) -> None:
        await start(writer.deliver, some)

    await _written(url, series, _series_data, write, transport)


async def _at_once(deliver: Callable[[SignalData], Awaitable[None]], some: list[SignalData]) -> None:
    await asyncio.gather(*map(deliver, some))


async def _in_turns(deliver: Callable[[SignalData], Coroutine[Any, Any, None]], some: list[SignalData]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number, data in enumerate(some):
            tasks.create_task(deliver(data))
            if not number % _PER_TURN:
                await asyncio.sleep(0)


async def _written(
    url: str,
    series: Series,
    prepared: Callable[[Series], T],
    write: Callable[[Writer, T], Awaitable[None]],
    transport: Any,
) -> None:
    """Measure a way of writing, from readings prepared before."""
    warm_up = series.first(min(len(series.keys), _warm_up(series)))
    everything, first = prepared(series), prepared(warm_up)
    async with (
        BesmartClient(api_key="key", login="login", password="password", base_url=url, transport=transport) as client,
        client.writer() as writer,
    ):
        await write(writer, first)
        await writer.flush()
        with timed(series.readings, warm_up=warm_up.readings):
            await write(writer, everything)
            await writer.flush()


def lists(url: str, series: Series) -> None:
    """A loop by hand: aiohttp, and orjson over lists."""
    rows = series.rows
    types, origins = ["DBL"] * rows, [1] * rows

    def encode(columns: Sequence[Column]) -> bytes:
        items = [_item(key, times.tolist(), values.tolist(), types, origins) for key, times, values in columns]
        return orjson.dumps(items)

    asyncio.run(_by_hand(url, series, encode))


def arrays_far(url: str, series: Series) -> None:
    """The same with orjson's numpy option, and as many calls at a time as our writer makes at most."""
    arrays(url, series, _FAR_IN_FLIGHT)


def arrays(url: str, series: Series, in_flight: int = _IN_FLIGHT) -> None:
    """The same with orjson's numpy option."""
    rows = series.rows
    types, origins = ["DBL"] * rows, np.ones(rows, np.int64)

    def encode(columns: Sequence[Column]) -> bytes:
        items = [_item(key, times, values, types, origins) for key, times, values in columns]
        return orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY)

    asyncio.run(_by_hand(url, series, encode, in_flight))


def _item(key: SignalKey, times: object, values: object, types: object, origins: object) -> Item:
    data = {"time": times, "value": values, "type": types, "origin": origins}
    return {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "data": data,
    }


async def _by_hand(url: str, series: Series, encode: Encode, in_flight: int = _IN_FLIGHT) -> None:
    import aiohttp  # noqa: PLC0415 - one contender's

    warm_up, bodies = _bodies(series, encode)

    async def worker(session: aiohttp.ClientSession, todo: Iterator[Body]) -> None:
        for some in todo:
            async with session.put(_PATH, data=encode(some), headers={"Content-Type": "application/json"}) as answer:
                answer.raise_for_status()
                await answer.read()

    async def all_of(session: aiohttp.ClientSession, todo: Sequence[Body]) -> None:
        shared = iter(todo)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(worker(session, shared))

    parts = urlsplit(url)
    headers = {"Authorization": "Bearer token", "Accept": "application/json"}
    async with aiohttp.ClientSession(f"{parts.scheme}://{parts.netloc}", headers=headers) as session:
        await all_of(session, warm_up)
        with timed(series.readings, warm_up=_rows(warm_up)):
            await all_of(session, bodies)


def sockets(url: str, series: Series) -> None:
    """The limit: bare sockets; encoded from arrays, with the constant columns from prepared bytes."""
    encode = _fastest(series)
    warm_up, bodies = _bodies(series, encode)
    with _Sockets(url) as several:
        several.put_all(map(encode, warm_up))
        with timed(series.readings, warm_up=_rows(warm_up)):
            several.put_all(map(encode, bodies))


def encoded(url: str, series: Series) -> None:
    """Further than the limit: bare sockets and bodies that are there already."""
    encode = _fastest(series)
    bodies = list(map(encode, _bodies(series, encode)[1]))
    with _Sockets(url) as several:
        several.put_all([])
        with timed(series.readings):
            several.put_all(bodies)


def _fastest(series: Series) -> Encode:
    rows = series.rows
    types, origins = (orjson.Fragment(orjson.dumps([constant] * rows)) for constant in ("DBL", 1))

    def encode(columns: Sequence[Column]) -> bytes:
        items = [_item(key, times, values, types, origins) for key, times, values in columns]
        return orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY)

    return encode


class _Sockets:
    """Connections in turn: each is asked for its answer only when it is to be used again."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._sockets = [socket.create_connection((parts.hostname, parts.port)) for _ in range(4)]
        self._waiting: set[socket.socket] = set()
        self._head = (
            f"PUT {_PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer token\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()

    def __enter__(self) -> _Sockets:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()

    def put_all(self, bodies: Iterator[bytes] | Sequence[bytes]) -> None:
        """Send all and read every answer."""
        for one, body in zip(cycle(self._sockets), bodies, strict=False):
            self._answer(one)
            one.sendall(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
            self._waiting.add(one)
        for one in self._sockets:
            self._answer(one)

    def _answer(self, one: socket.socket) -> None:
        if one in self._waiting:
            self._waiting.remove(one)
            answer = one.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError(answer)


def questdb(url: str, series: Series) -> None:
    """QuestDB's client: a data frame with the signals as categories."""
    import pandas as pd  # noqa: PLC0415 - one contender's
    from questdb import Sender  # noqa: PLC0415 - as above

    names = [str(key) for key in series.keys]
    frame = pd.DataFrame(
        {
            "signal": pd.Categorical.from_codes(np.repeat(np.arange(len(names)), len(series.times)), pd.Index(names)),
            "value": series.values.ravel(),
            "time": np.tile(series.times, len(names)).astype("M8[ms]").astype("M8[ns]"),
        }
    )
    with Sender.from_conf(f"http::addr={urlsplit(url).netloc};auto_flush_interval=off;") as sender:
        few = frame.head(1000)
        sender.dataframe(few, table_name="readings", symbols=["signal"], at="time")
        sender.flush()
        with timed(len(frame), warm_up=len(few)):
            sender.dataframe(frame, table_name="readings", symbols=["signal"], at="time")
            sender.flush()


def _bodies(series: Series, encode: Encode) -> tuple[list[Body], list[Body]]:
    """Cut the columns into bodies as large as ours; return those to warm up with, and all."""
    columns = series.columns()
    signals = BODY_BYTES // len(encode(series.first(1).columns()[:1]))
    first = series.first(min(len(series.keys), signals * _IN_FLIGHT)).columns()[: signals * _IN_FLIGHT]
    return _cut(first, signals), _cut(columns, signals)


def _cut(columns: list[Column], signals: int) -> list[Body]:
    return [columns[first : first + signals] for first in range(0, len(columns), signals)]


def _rows(bodies: Sequence[Body]) -> int:
    return sum(len(times) for body in bodies for _, times, _ in body)


def _warm_up(series: Series) -> int:
    """How many signals make eight bodies."""
    return min(len(series.keys), math.ceil(8 * 32_000 / len(series.times)))


CONTENDERS: dict[str, Callable[[str, Series], None]] = {
    "ours": ours,
    "ours-aiohttp": ours_aiohttp,
    "ours-data": ours_data,
    "ours-matrix": ours_matrix,
    "ours-apart": ours_apart,
    "crowd": crowd,
    "crowd-aiohttp": crowd_aiohttp,
    "crowd-in-turns": crowd_in_turns,
    "crowd-waiting": crowd_waiting,
    "lists": lists,
    "arrays": arrays,
    "arrays-far": arrays_far,
    "questdb": questdb,
    "sockets": sockets,
    "encoded": encoded,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.columns", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--signals", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--cold", action="store_true", help="arrays of its own for each signal, none seen before")
    parser.add_argument("--parts", type=int, default=1, help="columns of each signal, one after the other")
    given = parser.parse_args()
    series = Series.made(given.signals, given.rows, cold=given.cold, parts=given.parts)
    CONTENDERS[given.contender](given.url, series)


if __name__ == "__main__":
    main()
