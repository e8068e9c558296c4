"""aiohttp underneath: what it does on its own does not come through."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from besmart_async import ProtocolError, RetryPolicy, aiohttp_transport
from tests.transport.fakes import operation, raw, read_request, reset, serving, token_client_of

ONCE = RetryPolicy(max_attempts=1)


async def heads_of(*operations_bodies: bytes | None) -> list[bytes]:
    """The requests that arrive for operations with these bodies."""
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(raw(200, b"[]", "Set-Cookie: session=1"))

    async with serving(handler) as url, token_client_of(aiohttp_transport(), base_url=url) as client:
        for body in operations_bodies:
            await client._transport.send(operation(body=body, content_type="application/json" if body else None))
    return seen


async def test_a_request_without_a_body_has_no_content_type_and_one_with_a_body_has_its_own() -> None:
    without, with_body = await heads_of(None, b"[]")
    assert b"content-type" not in without.lower()
    assert b"content-type: application/json\r\n" in with_body.lower()


async def test_a_large_body_goes_out_whole_with_its_length() -> None:
    (request,) = await heads_of(b"x" * 3_000_000)
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"content-length: 3000000\r\n" in head.lower() + b"\r\n"
    assert b"transfer-encoding" not in head.lower()
    assert len(body) == 3_000_000


async def test_cookies_are_not_kept() -> None:
    _, second = await heads_of(None, None)
    assert b"cookie" not in second.lower()


async def resets_met(transport: httpx.AsyncBaseTransport, **settings: object) -> int:
    """How often one PUT arrives at a server that resets a connection which has served before."""
    arrived = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await read_request(reader)
        writer.write(raw())
        await read_request(reader)
        arrived += 1
        reset(writer)

    async with serving(handler) as url, token_client_of(transport, base_url=url, retry=ONCE) as client:
        await client._transport.send(operation())
        with pytest.raises(ProtocolError) as caught:
            await client._transport.send(operation())
    assert (caught.value.outcome, caught.value.reached) == ("in_doubt", True)
    return arrived


async def test_a_put_is_not_repeated_behind_our_back() -> None:
    assert await resets_met(aiohttp_transport()) == 1


async def test_a_bare_httpx_aiohttp_transport_is_put_right_too() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        reset(writer)

    async with serving(handler) as url, token_client_of(AiohttpTransport(), base_url=url, retry=ONCE) as client:
        with pytest.raises(ProtocolError) as caught:
            await client._transport.send(operation(method="POST"))
    assert (caught.value.outcome, caught.value.reached) == ("in_doubt", True)


async def test_cancelled_requests_give_their_connections_back() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await asyncio.sleep(0.005)
            writer.write(raw())

    async with (
        serving(handler) as url,
        token_client_of(aiohttp_transport(4), base_url=url, max_connections=4) as client,
    ):
        for delay in range(40):
            tasks = [asyncio.create_task(client.sensors.types()) for _ in range(4)]
            await asyncio.sleep(delay / 5000)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        async with asyncio.timeout(2):
            await asyncio.gather(*(client.sensors.types() for _ in range(4)))
