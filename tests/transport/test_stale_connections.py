"""Whatever the transport, attempts are bounded by the policy; only a dead idle connection is free, and a few times."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from besmart_async import BesmartError, Event, ProtocolError, RetryPolicy, RetryScheduled, aiohttp_transport
from besmart_async.transport.http import AttemptProgress
from besmart_async.transport.retry import MAX_STALE
from tests.transport.fakes import raw, read_request, serving, token_client_of

THREE = RetryPolicy(max_attempts=3, initial_wait_s=0.001, total_timeout_s=20)


class Tracing(httpx.AsyncBaseTransport):
    """Reports events of httpcore's trace, then fails as if the connection broke."""

    def __init__(self, *events: str) -> None:
        self.events, self.requests = events, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        for event in self.events:
            await request.extensions["trace"](event, {})
        raise httpx.ReadError("", request=request)


CASES: dict[str, tuple[tuple[str, ...], int]] = {
    "reused, HTTP/1.1": (("http11.send_request_headers.started",), 3 + MAX_STALE),
    "new, over TCP": (("connection.connect_tcp.started", "http11.send_request_headers.started"), 3),
    "new, over a Unix socket": (("connection.connect_unix_socket.started", "http11.send_request_headers.started"), 3),
    "shared, HTTP/2": (("http2.send_request_headers.started",), 3),
    "a transport that reports nothing": ((), 3),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_connection_that_always_breaks_gets_the_attempts_of_the_policy(case: str) -> None:
    events, tried = CASES[case]
    transport = Tracing(*events)
    async with token_client_of(transport, retry=THREE) as client:
        with pytest.raises(ProtocolError) as caught:
            await client.sensors.types()
    assert transport.requests == tried
    assert "gave up after 3 attempts" in caught.value.__notes__


async def test_calls_that_share_a_broken_connection_do_not_multiply() -> None:
    transport = Tracing("http2.send_request_headers.started")
    async with token_client_of(transport, retry=THREE) as client:
        calls = [client.sensors.types() for _ in range(10)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {ProtocolError}
    assert transport.requests == 30


class ClosingAtReuse:
    """Answers the first request of each connection, and closes the connection when the second one comes."""

    def __init__(self) -> None:
        self.first: asyncio.Barrier | None = asyncio.Barrier(12)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if self.first is not None:
            await self.first.wait()  # twelve connections, that is
        writer.write(raw())
        await read_request(reader)


@pytest.mark.parametrize("make", [lambda: None, aiohttp_transport], ids=["httpx", "aiohttp"])
async def test_behind_a_burst_of_connections_that_all_died_a_call_meets_one_of_them(make: Any) -> None:
    server = ClosingAtReuse()
    retries: list[Event] = []
    async with serving(server) as url, token_client_of(make(), base_url=url, hooks=[retries.append]) as client:
        await asyncio.gather(*(client.sensors.types() for _ in range(12)))
        server.first = None
        retries.clear()
        assert await client.sensors.types() == []
    assert [event.wait_s for event in retries if isinstance(event, RetryScheduled)] == [0.0]


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_unix_socket_whose_server_resets_every_connection(tmp_path: Path, attempts: int) -> None:
    requests = 0

    async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.transport.abort()

    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(resetting, path)
    policy = RetryPolicy(max_attempts=attempts, initial_wait_s=0.001)
    transport = httpx.AsyncHTTPTransport(uds=path)
    async with token_client_of(transport, base_url="http://localhost/api", retry=policy) as client:
        with pytest.raises(BesmartError):
            await client.sensors.types()
    server.close()
    assert requests == attempts


@pytest.mark.parametrize(
    ("events", "reached", "reused"),
    [
        ((), True, False),
        (("connection.connect_tcp.started",), False, False),
        (("connection.connect_tcp.started", "http11.send_request_headers.started"), True, False),
        (("http11.send_request_headers.started",), True, True),
        (("http2.send_request_headers.started",), True, False),
    ],
)
async def test_what_the_trace_proves(events: tuple[str, ...], *, reached: bool, reused: bool) -> None:
    progress = AttemptProgress()
    info: Mapping[str, Any] = {}
    for event in events:
        await progress(event, info)
    assert (progress.reached, progress.reused) == (reached, reused)
