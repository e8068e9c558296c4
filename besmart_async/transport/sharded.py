"""The default HTTP transport: requests spread over several small httpx pools.

One large httpx pool slows down as concurrency grows, since it walks all its connections at every request and answer.
Pools of four connections keep their speed. They also bound what a cancelled request can spoil: httpx may lose track of
a connection whose request was cancelled, so a pool in which that happened is replaced once it is idle; one that is
never idle takes no new requests after a while, and is closed when its last one ends.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable

import attrs
import httpx

_PER_SHARD = 4
_KEEPALIVE_S = 4.0
"""Idle connections are dropped before the 5 s after which common servers close them, so that few die at reuse."""

_MOST_SPOILED = 16
"""So many cancelled requests retire a pool even while it is in use."""


class ShardedTransport(httpx.AsyncBaseTransport):
    """Spreads requests over pools of four connections; the first pool that has room is used."""

    def __init__(
        self, max_connections: int, *, verify: ssl.SSLContext | bool = True, proxy: httpx.Proxy | None = None
    ) -> None:
        """Prepare `max_connections / 4` pools; each is made when first needed, all share one TLS context."""
        self._disposal = _Disposal()
        make = _factory(verify, proxy)
        self._shards = [_Shard(make, self._disposal) for _ in range(-(-max_connections // _PER_SHARD))]
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send through one of the pools."""
        if self._closed:
            raise httpx.ConnectError("the client is closed", request=request)
        for shard in self._shards:
            if shard.in_flight < _PER_SHARD:
                return await shard.send(request)
        return await min(self._shards, key=_in_flight).send(request)

    async def aclose(self) -> None:
        """Close every pool; nothing can be sent any more."""
        self._closed = True
        for shard in self._shards:
            shard.dispose()
        await self._disposal.finish()


class _Disposal:
    """Closes pools in tasks of its own: a caller cancelled in the middle of closing would leave sockets open."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, http: httpx.AsyncHTTPTransport) -> None:
        task = asyncio.create_task(http.aclose(), name="besmart-close-connections")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks))


@attrs.define(eq=False)
class _Pool:
    http: httpx.AsyncHTTPTransport
    disposal: _Disposal
    in_flight: int = 0
    spoiled: int = 0
    retired: bool = False

    def release(self, *, spoiled: bool) -> None:
        self.in_flight -= 1
        self.spoiled += spoiled
        if self.retired and self.in_flight == 0:
            self.disposal.add(self.http)

    def retire(self) -> None:
        """Close it, once its last request has ended."""
        self.retired = True
        if self.in_flight == 0:
            self.disposal.add(self.http)


class _Shard:
    def __init__(self, make: Callable[[], httpx.AsyncHTTPTransport], disposal: _Disposal) -> None:
        self._make = make
        self._disposal = disposal
        self._pool: _Pool | None = None
        self.in_flight = 0

    async def send(self, request: httpx.Request) -> httpx.Response:
        pool = self._healthy_pool()
        pool.in_flight += 1
        self.in_flight += 1
        try:
            response = await pool.http.handle_async_request(request)
        except BaseException as error:
            self.release(pool, spoiled=not isinstance(error, Exception))  # cancelled, that is
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
        response.stream = _Stream(response.stream, self, pool)
        return response

    def release(self, pool: _Pool, *, spoiled: bool) -> None:
        self.in_flight -= 1
        pool.release(spoiled=spoiled)

    def dispose(self) -> None:
        """Close its pool, whatever is under way."""
        if self._pool is not None:
            self._disposal.add(self._pool.http)
            self._pool = None

    def _healthy_pool(self) -> _Pool:
        pool = self._pool
        if pool is not None and pool.spoiled and (pool.in_flight == 0 or pool.spoiled >= _MOST_SPOILED):
            pool.retire()
            pool = None
        if pool is None:
            pool = self._pool = _Pool(self._make(), self._disposal)
        return pool


class _Stream(httpx.AsyncByteStream):
    """The answer's body; its end gives the place in the pool back."""

    def __init__(self, stream: httpx.AsyncByteStream, shard: _Shard, pool: _Pool) -> None:
        self._stream = stream
        self._shard = shard
        self._pool: _Pool | None = pool
        self._complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part
        self._complete = True

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        try:
            await self._stream.aclose()
        finally:
            if pool is not None:
                self._shard.release(pool, spoiled=not self._complete)


def _in_flight(shard: _Shard) -> int:
    return shard.in_flight


def _factory(verify: ssl.SSLContext | bool, proxy: httpx.Proxy | None) -> Callable[[], httpx.AsyncHTTPTransport]:
    shared: list[ssl.SSLContext | bool] = [] if verify is True else [verify]

    def make() -> httpx.AsyncHTTPTransport:
        if not shared:
            shared.append(httpx.create_ssl_context())  # reads all root certificates: once is enough
        # No limit here: the client admits no more attempts than it has connections for.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=_PER_SHARD, keepalive_expiry=_KEEPALIVE_S)
        return httpx.AsyncHTTPTransport(verify=shared[0], limits=limits, proxy=proxy, trust_env=False)

    return make
