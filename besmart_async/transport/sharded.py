"""The default HTTP transport: requests spread over several small httpx pools.

One large httpx pool slows down as concurrency grows, since it walks all its connections at every request and answer.
Pools of four connections keep their speed. They also bound what a cancelled request can spoil: httpx may lose track of
a connection whose request was cancelled, so a pool in which that happened is replaced once it is idle.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable

import httpx

_PER_SHARD = 4
_KEEPALIVE_S = 4.0
"""Idle connections are dropped before the 5 s after which common servers close them, so that few die at reuse."""


class ShardedTransport(httpx.AsyncBaseTransport):
    """Spreads requests over pools of four connections; the fullest pool that still has room is used first."""

    def __init__(self, max_connections: int, *, verify: ssl.SSLContext | bool = True, proxy: str | None = None) -> None:
        """Prepare `max_connections / 4` pools; each is made when first needed, all share one TLS context."""
        self._make = _factory(verify, proxy)
        self._shards = [_Shard(self._make) for _ in range(-(-max_connections // _PER_SHARD))]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send through one of the pools."""
        for shard in self._shards:
            if shard.in_flight < _PER_SHARD:
                return await shard.send(request)
        return await min(self._shards, key=_in_flight).send(request)

    async def aclose(self) -> None:
        """Close every pool."""
        for shard in self._shards:
            await shard.aclose()


class _Shard:
    def __init__(self, make: Callable[[], httpx.AsyncHTTPTransport]) -> None:
        self._make = make
        self._pool: httpx.AsyncHTTPTransport | None = None
        self._spoiled = False
        self.in_flight = 0

    async def send(self, request: httpx.Request) -> httpx.Response:
        if self._spoiled and self.in_flight == 0:
            await self.aclose()
        if self._pool is None:
            self._pool = self._make()
        self.in_flight += 1
        try:
            response = await self._pool.handle_async_request(request)
        except Exception:
            self.in_flight -= 1
            raise
        except BaseException:  # cancelled
            self.release(spoiled=True)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
        response.stream = _Stream(response.stream, self)
        return response

    def release(self, *, spoiled: bool) -> None:
        self.in_flight -= 1
        self._spoiled = self._spoiled or spoiled

    async def aclose(self) -> None:
        pool, self._pool, self._spoiled = self._pool, None, False
        if pool is not None:
            await pool.aclose()


class _Stream(httpx.AsyncByteStream):
    """The answer's body; its end gives the place in the pool back."""

    def __init__(self, stream: httpx.AsyncByteStream, shard: _Shard) -> None:
        self._stream = stream
        self._shard: _Shard | None = shard
        self._complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part
        self._complete = True

    async def aclose(self) -> None:
        shard, self._shard = self._shard, None
        try:
            await self._stream.aclose()
        finally:
            if shard is not None:
                shard.release(spoiled=not self._complete)


def _in_flight(shard: _Shard) -> int:
    return shard.in_flight


def _factory(verify: ssl.SSLContext | bool, proxy: str | None) -> Callable[[], httpx.AsyncHTTPTransport]:
    shared: list[ssl.SSLContext | bool] = [] if verify is True else [verify]

    def make() -> httpx.AsyncHTTPTransport:
        if not shared:
            shared.append(httpx.create_ssl_context())  # reads all root certificates: once is enough
        # No limit here: the client admits no more attempts than it has connections for.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=_PER_SHARD, keepalive_expiry=_KEEPALIVE_S)
        return httpx.AsyncHTTPTransport(verify=shared[0], limits=limits, proxy=proxy, trust_env=False)

    return make
