"""A front end between client and simulator that misbehaves on the level of bytes, where the simulator itself cannot.

It relays requests to the simulator's socket, one connection there for each here, and asks its `mischief` about every
one of them before it is relayed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

import attrs

from tests.transport.fakes import read_request, reset, serving


@attrs.frozen
class Exchange:
    """One request on its way.

    Attributes:
        request: its bytes.
        number: 1 for the first on its connection.
        answer: relays it, and returns the bytes of the answer.
        client: the way back.
        dice: seeded.
    """

    request: bytes
    number: int
    answer: Callable[[], Awaitable[bytes]]
    client: asyncio.StreamWriter
    dice: random.Random

    @property
    def line(self) -> str:
        """Method and path."""
        return self.request.split(b" HTTP/", 1)[0].decode()

    def is_bulk_write(self) -> bool:
        return self.line in {"PUT /api/sensors/signals/data", "PUT /api/sensors/signals/data/v2"}

    def is_login(self) -> bool:
        return self.line.endswith("/users/token")


Fate = Literal["relay", "answered", "close"]
"""What is left to do about a request: relay it in good order, nothing, or close the connection."""

Mischief = Callable[[Exchange], Awaitable[Fate]]
"""Does something about a request before it is relayed."""


@asynccontextmanager
async def front_of(base_url: str, mischief: Mischief, seed: int) -> AsyncIterator[str]:
    """Serve a front end to the service at `base_url`; yields its own base URL."""
    dice = random.Random(seed)
    service = urlsplit(base_url)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(service.hostname, service.port, limit=1 << 26)
        number = 0
        try:
            while True:
                request = await read_request(reader)
                number += 1

                async def answer(request: bytes = request) -> bytes:
                    upstream.write(request)
                    return await read_request(upstream_reader)

                fate = await mischief(Exchange(request, number, answer, writer, dice))
                if fate == "close":
                    return
                if fate == "relay":
                    writer.write(await answer())
                await writer.drain()
        finally:
            upstream.close()

    async with serving(connected) as url:
        yield url


# -- mischief ----------------------------------------------------------------------------------------------------------


async def close_at_reuse(exchange: Exchange) -> Fate:
    """Serve one request per connection without saying so, and close as the second arrives."""
    return "close" if exchange.number > 1 else "relay"


def cut_answers(share: float) -> Mischief:
    """Relay, and send only the first bytes of the answer, status line and headers included; close or reset."""

    async def cut(exchange: Exchange) -> Fate:
        if exchange.is_login() or exchange.dice.random() >= share:
            return "relay"
        answer = await exchange.answer()
        exchange.client.write(answer[: exchange.dice.randrange(len(answer))])
        await exchange.client.drain()
        if exchange.dice.random() < 0.5:
            reset(exchange.client)
        return "close"

    return cut


def drip(times: int, wait_s: float) -> Mischief:
    """Relay, and send the answers of the first `times` writes and reads byte by byte."""
    left = times

    async def dripping(exchange: Exchange) -> Fate:
        nonlocal left
        if exchange.is_login() or left <= 0:
            return "relay"
        left -= 1
        for byte in await exchange.answer():
            exchange.client.write(bytes([byte]))
            await asyncio.sleep(wait_s)
        return "close"

    return dripping


def no_http(share: float) -> Mischief:
    """Relay, and answer with the words of another protocol, or with noise."""

    async def other(exchange: Exchange) -> Fate:
        if exchange.is_login() or exchange.dice.random() >= share:
            return "relay"
        await exchange.answer()
        exchange.client.write(exchange.dice.choice([b"SSH-2.0-OpenSSH_9.6\r\n", exchange.dice.randbytes(200), b"\r\n"]))
        await exchange.client.drain()
        return "close"

    return other


def answer_twice(share: float) -> Mischief:
    """Relay, and send the answer a second time after it, as if to a request that nobody made."""

    async def twice(exchange: Exchange) -> Fate:
        if exchange.is_login() or exchange.dice.random() >= share:
            return "relay"
        answer = await exchange.answer()
        exchange.client.write(answer + answer)
        await exchange.client.drain()
        return "answered"

    return twice
