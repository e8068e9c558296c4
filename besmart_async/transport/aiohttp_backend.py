"""The optional transport over aiohttp (extra `aiohttp`), which takes about half the CPU time per request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx

from besmart_async.errors import BesmartConfigError

if TYPE_CHECKING:
    from aiohttp import ClientSession


def aiohttp_transport(max_connections: int = 64) -> httpx.AsyncBaseTransport:
    """Return a transport for `BesmartClient(transport=...)` that sends over aiohttp.

    Raises:
        BesmartConfigError: the extra is not installed.
    """
    try:
        import aiohttp  # noqa: PLC0415 - an optional dependency
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415 - as above
    except ImportError as error:
        raise BesmartConfigError("the aiohttp transport is missing: pip install 'besmart-async[aiohttp]'") from error

    def session() -> ClientSession:
        made = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections),
            skip_auto_headers=["Content-Type"],  # else it invents one for requests without a body
        )
        # aiohttp repeats GET, PUT and DELETE by itself when a reused connection dies; repeating is the retry policy's.
        made._retry_connection = False  # pyright: ignore[reportPrivateUsage]  # there is no public switch
        return made

    return _AiohttpBackend(AiohttpTransport(client=session))


def adopted(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    """Return `transport`, with its failures put right where it is a bare httpx-aiohttp one."""
    return _AiohttpBackend(transport) if type(transport).__module__.startswith("httpx_aiohttp") else transport


class _AiohttpBackend(httpx.AsyncBaseTransport):
    """Puts failures right: httpx-aiohttp calls a connection that broke in use a connect timeout."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx.TimeoutException, httpx.ConnectError) as error:
            raise _put_right(error, request) from error.__cause__
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
        response.stream = _Stream(response.stream, request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, request: httpx.Request) -> None:
        self._inner = inner
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._inner:
                yield part
        except (httpx.ConnectTimeout, httpx.ConnectError) as error:
            raise httpx.ReadError(str(error), request=self._request) from error.__cause__

    async def aclose(self) -> None:
        await self._inner.aclose()


def _put_right(error: httpx.TransportError, request: httpx.Request) -> httpx.TransportError:
    import aiohttp  # noqa: PLC0415 - here, it is there

    cause = error.__cause__
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout(str(error), request=request)
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not isinstance(
        cause, aiohttp.ClientConnectorError
    ):
        return httpx.ReadError(str(error), request=request)
    return error
