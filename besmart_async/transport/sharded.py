"""The default HTTP transport: requests spread over several small httpx pools.

One large httpx pool slows down as concurrency grows, since it walks all its connections at every request and answer.
Pools of four connections keep their speed. They also bound what a cancelled request can spoil: httpx may lose track of
a connection whose request was cancelled, so a pool in which that happened is replaced once it is idle; one that is
never idle takes no new requests after a while, and is closed when its last one ends.

A pool takes no new requests either once one of its connections broke (the idle ones beside it are likely dead, too), or
received unexpected bytes: httpx would take them for the answer to the next request.

Root certificates are read in a thread, and not at all for plain http.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import httpx

_PER_SHARD = 4
_KEEPALIVE_S = 4.0
"""Idle connections are closed before the 5 s after which common servers close them, so that few die at reuse."""

_MOST_SPOILED = 16
"""This many cancelled requests retire a pool even while it is in use."""


class Certificates:
    """The TLS context of one client, whose root certificates are read once, in a thread: it takes up to 200 ms.

    Attributes:
        context: the context; None until `read`. Without TLS one that verifies nothing is there from the start.
    """

    def __init__(self, *, tls: bool, given: ssl.SSLContext | None = None) -> None:
        """Read nothing yet; a context that the user gave is used as it is."""
        self.context = given if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._reading: asyncio.Task[ssl.SSLContext] | None = None

    async def read(self) -> ssl.SSLContext:
        """Return the context, read if necessary; calls at the same time wait for one reading.

        Raises:
            httpx.ConnectError: the root certificates cannot be read.
        """
        if self.context is not None:
            return self.context
        if self._reading is None:
            work = asyncio.to_thread(httpx.create_ssl_context)
            self._reading = asyncio.create_task(work, name="besmart-read-certificates")
        reading = self._reading
        try:
            context = await asyncio.shield(reading)
        except OSError as error:
            raise httpx.ConnectError(f"the root certificates cannot be read: {error}; check SSL_CERT_FILE") from None
        finally:
            if reading.done():
                self._reading = None
        self.context = context
        return context


class ShardedTransport(httpx.AsyncBaseTransport):
    """Spreads requests over pools of four connections; the first pool that has room is used."""

    def __init__(
        self,
        max_connections: int,
        *,
        proxy: httpx.Proxy | None = None,
        tls: bool = True,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare `max_connections / 4` pools; each is made when first needed, all share one TLS context.

        Args:
            max_connections: connections in all.
            proxy: the proxy to go through.
            tls: whether certificates are to be verified; without it no root certificates are read.
            ssl_context: the TLS context, instead of one with the usual root certificates.
        """
        self._disposal = _Disposal()
        self._proxy = proxy
        self._certificates = Certificates(tls=tls, given=ssl_context)
        self._shards = [_Shard(self._new_pool, self._disposal) for _ in range(-(-max_connections // _PER_SHARD))]
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send through one of the pools."""
        if self._closed:
            raise httpx.ConnectError("the client is closed", request=request)
        if self._certificates.context is None:
            await self._certificates.read()
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

    def _new_pool(self) -> httpx.AsyncHTTPTransport:
        # No limit here: the client admits no more attempts than it has connections for.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=_PER_SHARD, keepalive_expiry=_KEEPALIVE_S)
        context = self._certificates.context
        assert context is not None  # noqa: S101 - read before the first request
        return httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=self._proxy, trust_env=False)


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
            if isinstance(error, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError):
                self.renew(pool)
            self.release(pool, spoiled=not isinstance(error, Exception))  # cancelled, that is
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
        response.stream = _ShardStream(response.stream, self, pool)
        return response

    def release(self, pool: _Pool, *, spoiled: bool) -> None:
        self.in_flight -= 1
        pool.release(spoiled=spoiled)

    def renew(self, pool: _Pool) -> None:
        """Send nothing more through `pool`."""
        if self._pool is pool:
            self._pool = None
            pool.retire()

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


class _ShardStream(httpx.AsyncByteStream):
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
        if self._pool is not None and _has_unasked_bytes(self._stream):
            self._shard.renew(self._pool)

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        try:
            await self._stream.aclose()
        finally:
            if pool is not None:
                self._shard.release(pool, spoiled=not self._complete)


def _in_flight(shard: _Shard) -> int:
    return shard.in_flight


def _has_unasked_bytes(stream: httpx.AsyncByteStream) -> bool:
    """Return whether bytes followed the end of an answer, in the same packet.

    httpx does not expose the parser of a connection, so this looks for it where httpx 0.28 and httpcore 1.0 keep it; if
    it is elsewhere, nothing is found. What arrives later is noticed by httpcore before it uses the connection again.
    """
    inner: Any = stream
    for name in ("_httpcore_stream", "_stream", "_connection", "_h11_state"):
        inner = getattr(inner, name, None)
    return inner is not None and bool(inner.trailing_data[0])
