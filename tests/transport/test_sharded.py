"""The default transport: many small pools that look like one."""

from __future__ import annotations

import asyncio
import ssl

import httpx
import pytest
import respx

from besmart_async import Event, RetryScheduled, aiohttp_transport
from besmart_async.transport.sharded import ShardedTransport
from tests.transport.fakes import operation, raw, read_request, serving, token_client_of, until


class Server:
    """Counts connections and requests; ends a connection after so many requests."""

    def __init__(self, requests_per_connection: int = 1_000_000, delay_s: float = 0.0) -> None:
        self.requests_per_connection, self.delay_s = requests_per_connection, delay_s
        self.accepted = self.open = self.received = 0
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        try:
            for _ in range(self.requests_per_connection):
                request = await read_request(reader)
                self.received += 1
                await asyncio.sleep(self.delay_s)
                self.bodies.append(request.partition(b"\r\n\r\n")[2])
                writer.write(raw())
            await reader.readuntil(b"\r\n\r\n")  # the connection ends exactly when it is used again
        finally:
            self.open -= 1


def request_to(url: str) -> httpx.Request:
    return httpx.Request("GET", url, extensions={"timeout": {}})


async def fetch(transport: httpx.AsyncBaseTransport, url: str) -> bytes:
    answer = await transport.handle_async_request(request_to(url))
    try:
        return await answer.aread()
    finally:
        await answer.aclose()


async def test_one_call_after_another_uses_one_connection() -> None:
    server = Server()
    async with serving(server) as url, token_client_of(None, base_url=url) as client:
        for _ in range(50):
            await client.sensors.types()
    assert server.accepted == 1


async def test_concurrent_calls_spread_over_small_pools() -> None:
    server = Server(delay_s=0.02)
    async with serving(server) as url, ShardedTransport(24) as transport:
        await asyncio.gather(*(fetch(transport, url) for _ in range(10)))
        used = [shard._pool is not None for shard in transport._shards]
    assert used == [True, True, True, False, False, False]
    assert server.accepted == 10


async def test_all_pools_share_one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    create = httpx.create_ssl_context

    def noted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", noted)
    server = Server(delay_s=0.01)
    async with serving(server) as url, ShardedTransport(24) as transport:
        await asyncio.gather(*(fetch(transport, url) for _ in range(24)))
    assert len(made) == 1


async def test_closing_closes_every_connection_and_nothing_can_be_sent_after_it() -> None:
    server = Server(delay_s=0.01)
    async with serving(server) as url:
        transport = ShardedTransport(24)
        await asyncio.gather(*(fetch(transport, url) for _ in range(12)))
        assert server.open == 12
        await transport.aclose()
        await until(lambda: server.open == 0)
        with pytest.raises(httpx.ConnectError, match="closed"):
            await fetch(transport, url)


async def test_a_pool_spoiled_by_a_cancellation_is_replaced_once_it_is_idle() -> None:
    server = Server(delay_s=0.05)
    async with serving(server) as url, ShardedTransport(4, tls=False) as transport:
        task = asyncio.create_task(fetch(transport, url))
        await asyncio.sleep(0.02)
        spoiled = transport._shards[0]._pool
        task.cancel()
        await asyncio.wait([task])
        await fetch(transport, url)
        assert transport._shards[0]._pool is not spoiled


async def test_a_pool_that_is_never_idle_is_retired_after_many_cancellations_and_closed_with_its_last_request() -> None:
    server = Server(delay_s=0.5)
    async with serving(server) as url, ShardedTransport(4, tls=False) as transport:
        shard = transport._shards[0]
        keeping = asyncio.create_task(fetch(transport, url))
        await until(lambda: server.received == 1)
        server.delay_s = 0.0
        first = shard._pool
        assert first is not None
        first.spoiled = 16
        await fetch(transport, url)
        assert shard._pool is not first
        assert server.open == 2
        await keeping
        await until(lambda: server.open == 1)


@respx.mock
async def test_respx_intercepts_it(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get("https://service.test/api/sensors/types").respond(json=[])
    async with token_client_of(None) as client:
        assert await client.sensors.types() == []
    assert route.called
    assert route.calls.last.request.headers["Authorization"] == "Bearer given-token-0001"


async def test_any_httpx_transport_will_do() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=[{"id": 1, "name": "virtual"}]))
    async with token_client_of(transport) as client:
        assert [kind.name for kind in await client.sensors.types()] == ["virtual"]


@pytest.mark.parametrize("make", [lambda: None, aiohttp_transport], ids=["httpx", "aiohttp"])
async def test_connections_that_the_service_closes_exactly_at_reuse_lose_and_delay_nothing(make: object) -> None:
    assert callable(make)
    server = Server(requests_per_connection=1)
    events: list[Event] = []
    async with serving(server) as url, token_client_of(make(), base_url=url, hooks=[events.append]) as client:
        for number in range(300):
            await client._transport.send(operation(body=b"%d" % number))
        assert client._transport._budget.tokens == 500
    assert server.bodies == [b"%d" % number for number in range(300)]
    assert [event.wait_s for event in events if isinstance(event, RetryScheduled)] == [0.0] * 299
