"""Bytes that nobody asked for are never taken for the answer to the next request on their connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from besmart_async import Response, UnprocessableError, aiohttp_transport
from tests.transport.fakes import operation, raw, read_request, serving, token_client_of, until

BACKENDS: dict[str, Callable[[], httpx.AsyncBaseTransport | None]] = {
    "httpx": lambda: None,
    "httpx, a transport of one's own": httpx.AsyncHTTPTransport,
    "aiohttp": aiohttp_transport,
}


class Doubling:
    """Accepts the first request on its first connection, and says so twice; refuses every other request."""

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once
        self.sent_twice = asyncio.Event()
        self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            self.requests += 1
            if self.requests > 1:
                writer.write(raw(422, b'"refused"'))
                continue
            writer.write(raw() * (2 if self.at_once else 1))
            if not self.at_once:
                await asyncio.sleep(0.02)  # the client has its answer, and its connection is idle
                writer.write(raw())
            await writer.drain()
            self.sent_twice.set()


async def second_write(backend: httpx.AsyncBaseTransport | None, *, at_once: bool) -> Response | UnprocessableError:
    """What becomes of a write that the service refuses, behind one whose answer came twice."""
    server = Doubling(at_once=at_once)
    async with serving(server) as url, token_client_of(backend, base_url=url) as client:
        await client._transport.send(operation())
        await server.sent_twice.wait()
        await asyncio.sleep(0.02)
        outcome: Response | UnprocessableError
        try:
            outcome = await client._transport.send(operation())
        except UnprocessableError as error:
            outcome = error
        await until(lambda: server.requests == 2)
    return outcome


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_second_answer_that_arrives_while_the_connection_is_idle_is_dropped(backend: str) -> None:
    assert isinstance(await second_write(BACKENDS[backend](), at_once=False), UnprocessableError)


@pytest.mark.parametrize("backend", ["httpx", "aiohttp"])
async def test_a_second_answer_in_the_same_packet_is_dropped(backend: str) -> None:
    assert isinstance(await second_write(BACKENDS[backend](), at_once=True), UnprocessableError)


async def test_over_an_httpx_transport_of_ones_own_a_second_answer_in_the_same_packet_is_all_that_remains() -> None:
    # httpx keeps those bytes in its parser, which only the default transport looks into.
    outcome = await second_write(httpx.AsyncHTTPTransport(), at_once=True)
    assert not isinstance(outcome, UnprocessableError)
