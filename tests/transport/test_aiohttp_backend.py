"""aiohttp underneath: what it does on its own does not come through."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from besmart_async import ProtocolError, RetryPolicy, Timeouts, aiohttp_transport
from tests.transport.fakes import operation, raw, read_request, reset, serving, token_client_of, until

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


# -- one for several clients -----------------------------------------------------------------------------------------


class Counting:
    """Counts connections; answers everything."""

    def __init__(self) -> None:
        self.open = self.accepted = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.accepted += 1
        try:
            while True:
                await read_request(reader)
                writer.write(raw())
        finally:
            self.open -= 1


def test_one_transport_serves_a_client_in_each_of_several_event_loops() -> None:
    transport = aiohttp_transport()

    async def use() -> list[Any]:
        async with serving(Counting()) as url, token_client_of(transport, base_url=url) as client:
            return await client.sensors.types()

    assert [asyncio.run(use()) for _ in range(3)] == [[], [], []]


async def test_clients_of_one_transport_have_connections_of_their_own() -> None:
    server = Counting()
    transport = aiohttp_transport()
    async with serving(server) as url, token_client_of(transport, base_url=url) as first:
        async with token_client_of(transport, base_url=url) as second:
            await first.sensors.types()
            await second.sensors.types()
            assert server.open == 2
        await until(lambda: server.open == 1)
        assert await first.sensors.types() == []
        assert server.accepted == 2


async def test_it_can_be_used_again_after_it_was_closed_without_a_client_too() -> None:
    async with serving(Counting()) as url:
        transport = aiohttp_transport()
        for _ in range(2):
            async with httpx.AsyncClient(transport=transport) as client:
                assert (await client.get(url)).status_code == 200


async def test_endless_timeouts_work() -> None:
    endless = Timeouts(connect_s=math.inf, pool_s=math.inf, read_s=math.inf, min_bytes_per_s=math.inf)
    async with serving(Counting()) as url:
        for timeout in (endless, math.inf, Timeouts(connect_s=math.inf)):
            for retry in (ONCE, RetryPolicy(total_timeout_s=math.inf)):
                settings: dict[str, Any] = {"timeout": timeout, "retry": retry}
                async with token_client_of(aiohttp_transport(), base_url=url, **settings) as client:
                    await client._transport.send(operation(body=b"x" * 2_000_000))
