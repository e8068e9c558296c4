"""Reads: a day of quarter hours of many signals at once, from the service to numpy columns.

`python -m benchmarks.clients.reads CONTENDER --url URL --signals N [--generated FOLDER]`
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import orjson

from benchmarks.clients.clock import timed
from benchmarks.clients.series import START_MS
from besmart_async import BesmartClient, Response, SignalKey, SignalQuery, aiohttp_transport
from besmart_async.wire.series import decode_series

_SINCE, _TILL = START_MS, START_MS + 86_400_000
_ROWS = 96
_BATCH = 200
"""Signals in one bulk read, ours and by hand."""
_BULK_IN_FLIGHT = 4
_FAR_IN_FLIGHT = 16
_GETS_IN_FLIGHT = 20
"""As many connections as httpx keeps unless it is told otherwise."""
_FEW_GETS_IN_FLIGHT = 4
"""Where it does best: it slows down with more."""
_WARM_UP = 400

Read = Callable[[Iterable[SignalKey]], Awaitable[int]]
"""Reads signals, and tells how many readings came."""


async def ours(url: str, keys: list[SignalKey], transport: Any = None) -> None:
    """All at once, each by a `read` of its own."""

    async def read(some: Iterable[SignalKey]) -> int:
        return sum(map(len, await asyncio.gather(*[reader.read(key, _SINCE, _TILL) for key in some])))

    async with _client(url, transport) as client, client.reader() as reader:
        await _measured(read, keys)


async def ours_aiohttp(url: str, keys: list[SignalKey]) -> None:
    """The same over aiohttp."""
    await ours(url, keys, aiohttp_transport())


async def asked(url: str, keys: list[SignalKey], transport: Any = None) -> None:
    """All at once, each by an `ask` of its own."""

    async def read(some: Iterable[SignalKey]) -> int:
        return sum(map(len, await asyncio.gather(*[reader.ask(SignalQuery(key, _SINCE, _TILL)) for key in some])))

    async with _client(url, transport) as client, client.reader() as reader:
        await _measured(read, keys)


async def asked_aiohttp(url: str, keys: list[SignalKey]) -> None:
    """The same over aiohttp."""
    await asked(url, keys, aiohttp_transport())


async def stream(url: str, keys: list[SignalKey], transport: Any = None) -> None:
    """All of them by one `stream`."""

    async def read(some: Iterable[SignalKey]) -> int:
        return sum([len(data) async for data in reader.stream(SignalQuery(key, _SINCE, _TILL) for key in some)])

    async with _client(url, transport) as client, client.reader() as reader:
        await _measured(read, keys)


async def stream_aiohttp(url: str, keys: list[SignalKey]) -> None:
    """The same over aiohttp."""
    await stream(url, keys, aiohttp_transport())


def _client(url: str, transport: Any) -> BesmartClient:
    return BesmartClient(api_key="key", login="login", password="password", base_url=url, transport=transport)


async def tasks(_: str, keys: list[SignalKey]) -> None:
    """A limit: a task and a future for each, and nothing is read."""

    async def read(some: Iterable[SignalKey]) -> int:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in some]

        async def one(future: asyncio.Future[int]) -> int:
            return await future

        def answer() -> None:
            for future in futures:
                future.set_result(_ROWS)

        loop.call_later(0.001, answer)
        return sum(await asyncio.gather(*map(one, futures)))

    await _measured(read, keys)


async def bulk(url: str, keys: list[SignalKey], in_flight: int = _BULK_IN_FLIGHT) -> None:
    """A loop by hand: bulk reads over aiohttp, parsed by orjson, columns for numpy."""

    def decode(content: bytes) -> dict[int, int]:
        return {item["sensor_mid"]: len(_columns(item)[0]) for item in orjson.loads(content)}

    await _bulk(url, keys, decode, in_flight)


async def bulk_far(url: str, keys: list[SignalKey]) -> None:
    """The same with as many calls at a time as our reader makes at most."""
    await bulk(url, keys, _FAR_IN_FLIGHT)


async def bulk_decoded(url: str, keys: list[SignalKey]) -> None:
    """A limit: the same loop with our decoding."""

    def decode(content: bytes) -> dict[int, int]:
        return {data.key.sensor_mid: len(data) for data in decode_series(Response(200, {}, content))}

    await _bulk(url, keys, decode)


async def _bulk(
    url: str, keys: list[SignalKey], decode: Callable[[bytes], dict[int, int]], in_flight: int = _BULK_IN_FLIGHT
) -> None:
    import aiohttp  # noqa: PLC0415 - two contenders'

    async def batch(some: list[SignalKey]) -> int:
        asked = [_asked(key) for key in some]
        async with session.post("/api/sensors/signals/data", data=orjson.dumps(asked)) as answer:
            answer.raise_for_status()
            found = decode(await answer.read())
        return sum(found[key.sensor_mid] for key in some)

    async def read(some: Iterable[SignalKey]) -> int:
        several = list(some)
        batches = [several[first : first + _BATCH] for first in range(0, len(several), _BATCH)]
        return await _by_workers(batch, batches, in_flight)

    headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(_origin(url), headers=headers) as session:
        await _measured(read, keys)


def _asked(key: SignalKey) -> dict[str, Any]:
    ids = {"client_cid": key.client_cid, "sensor_mid": key.sensor_mid, "signal_type_moid": key.signal_type_moid}
    return ids | {"since": _SINCE, "till": _TILL}


def _columns(item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(item["data"]["time"]), np.array(item["data"]["value"])


async def gets_few(url: str, keys: list[SignalKey]) -> None:
    """A GET for each signal with httpx, only few at a time."""
    await gets(url, keys, _FEW_GETS_IN_FLIGHT)


async def gets(url: str, keys: list[SignalKey], in_flight: int = _GETS_IN_FLIGHT) -> None:
    """A GET for each signal with httpx, parsed by orjson, columns for numpy."""

    async def get(key: SignalKey) -> int:
        path = f"sensors/{key.client_cid}.{key.sensor_mid}/signals/{key.signal_type_moid}/data"
        answer = await client.get(path, params={"since": _SINCE, "till": _TILL})
        answer.raise_for_status()
        (item,) = orjson.loads(answer.content)
        return len(_columns(item)[0])

    async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer token"}) as client:
        await _measured(lambda some: _by_workers(get, some, in_flight), keys)


async def generated(url: str, keys: list[SignalKey]) -> None:
    """The same with the client that openapi-python-client makes of the simulator's OpenAPI document."""
    package = "besmart_rest_api_client"
    operation = importlib.import_module(f"{package}.api.signals.api_endpoints_sensors_get_id_signals_id_data")
    authenticated = importlib.import_module(package).AuthenticatedClient

    async def get(key: SignalKey) -> int:
        ids = (key.client_cid, key.sensor_mid, key.signal_type_moid)
        (item,) = await operation.asyncio(*ids, client=client, since=_SINCE, till=_TILL)
        return len(item.data.time)

    async with authenticated(base_url=url, token="token") as client:
        await _measured(lambda some: _by_workers(get, some, _GETS_IN_FLIGHT), keys)


async def _by_workers(work: Callable[[Any], Awaitable[int]], todo: Iterable[Any], workers: int) -> int:
    shared = iter(todo)

    async def worker() -> int:
        return sum([await work(one) for one in shared])

    return sum(await asyncio.gather(*[worker() for _ in range(workers)]))


async def _measured(read: Read, keys: list[SignalKey]) -> None:
    await read(keys[:_WARM_UP])
    with timed(len(keys)):
        came = await read(keys)
    if came != len(keys) * _ROWS:
        raise RuntimeError(f"{came:,} readings came, not {len(keys) * _ROWS:,}")


def _origin(url: str) -> str:
    return f"http://{urlsplit(url).netloc}"


CONTENDERS: dict[str, Callable[[str, list[SignalKey]], Awaitable[None]]] = {
    "ours": ours,
    "ours-aiohttp": ours_aiohttp,
    "asked": asked,
    "asked-aiohttp": asked_aiohttp,
    "stream": stream,
    "stream-aiohttp": stream_aiohttp,
    "bulk": bulk,
    "bulk-far": bulk_far,
    "bulk-decoded": bulk_decoded,
    "tasks": tasks,
    "gets": gets,
    "gets-few": gets_few,
    "generated": generated,
}


async def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.reads", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--signals", type=int, required=True)
    parser.add_argument("--generated", type=Path, help="where the generated client is")
    given = parser.parse_args()
    if given.generated is not None:
        sys.path.insert(0, str(given.generated))
    await CONTENDERS[given.contender](given.url, [SignalKey(12, mid, 32) for mid in range(given.signals)])


if __name__ == "__main__":
    asyncio.run(main())
