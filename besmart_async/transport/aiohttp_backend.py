"""The optional transport over aiohttp (extra `aiohttp`), which takes about half the CPU time per request.

aiohttp has ways of its own that must not come through: it repeats requests by itself, invents a content type, keeps
cookies, and httpx-aiohttp calls a connection that broke in use a connect timeout.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import httpx

from besmart_async.errors import BesmartConfigError

if TYPE_CHECKING:
    from aiohttp import ClientSession, TraceConfig

_KEEPALIVE_S = 4.0
"""As in `sharded`: less than servers keep idle connections."""

_LARGE_BYTES = 1 << 20
"""Larger bodies go out piece by piece, so that the event loop gets a turn in between."""

_trace: ContextVar[Callable[[str, dict[str, Any]], Any] | None] = ContextVar("besmart_trace", default=None)
"""What follows the attempt that runs in this context; the same thing that httpcore tells its progress to."""


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

    certificates = httpx.create_ssl_context()

    def session() -> ClientSession:
        made = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max_connections, keepalive_timeout=_KEEPALIVE_S, ssl=certificates),
            cookie_jar=aiohttp.DummyCookieJar(),  # the service has none to keep
            read_bufsize=_LARGE_BYTES,  # with less, it stops and goes while a large answer comes
            skip_auto_headers=["Content-Type"],  # else it invents one for requests without a body
            trace_configs=[_tracing()],
        )
        # aiohttp repeats GET, PUT and DELETE by itself when a reused connection dies; repeating is the retry policy's.
        made._retry_connection = False  # pyright: ignore[reportPrivateUsage]  # there is no public switch
        return made

    # Without being given them it would read all root certificates itself, for nothing.
    return _AiohttpBackend(AiohttpTransport(verify=certificates, client=session))


def adopted(transport: httpx.AsyncBaseTransport, proxy: httpx.Proxy | None) -> httpx.AsyncBaseTransport:
    """Return `transport`, with its failures put right where it is a bare httpx-aiohttp one.

    Args:
        transport: what the user gave.
        proxy: the proxy to go through; only a transport from `aiohttp_transport` takes it, others know their own way.
    """
    if isinstance(transport, _AiohttpBackend):
        transport.use_proxy(proxy)
        return transport
    module = sys.modules.get("httpx_aiohttp")
    return _AiohttpBackend(transport) if module and isinstance(transport, module.AiohttpTransport) else transport


class _AiohttpBackend(httpx.AsyncBaseTransport):
    """Puts failures right, and follows the progress of each request."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def use_proxy(self, proxy: httpx.Proxy | None) -> None:
        if proxy is not None and proxy.auth is not None:  # as a header: aiohttp is giving up its own way
            word = b64encode(":".join(proxy.auth).encode()).decode()
            proxy = httpx.Proxy(proxy.url, headers={**proxy.headers, "Proxy-Authorization": f"Basic {word}"})
        self._inner.proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import aiohttp  # noqa: PLC0415 - here, it is there

        token = _trace.set(request.extensions.get("trace"))
        try:
            response: httpx.Response = await self._inner.handle_async_request(_in_pieces(request))
        except (httpx.TimeoutException, httpx.ConnectError) as error:
            raise _put_right(error, request) from error.__cause__
        except aiohttp.ClientError as error:  # its cause and arguments hold the request's headers
            raise httpx.RemoteProtocolError(_first_line(error), request=request) from None
        finally:
            _trace.reset(token)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
        response.stream = _Stream(response.stream, request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, inner: Any, request: httpx.Request) -> None:
        self._inner: httpx.AsyncByteStream = inner
        self._request = request
        inner.CHUNK_SIZE = _LARGE_BYTES  # what comes in three pieces, httpx-aiohttp would hand on in forty

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
    right: type[httpx.TransportError] = type(error)
    if isinstance(cause, aiohttp.ClientProxyConnectionError):
        right = httpx.ProxyError
    elif isinstance(cause, aiohttp.ClientConnectorError):
        right = httpx.ConnectError
    elif isinstance(cause, aiohttp.ConnectionTimeoutError):
        right = httpx.ConnectTimeout
    elif isinstance(cause, aiohttp.ClientConnectionError) and not isinstance(cause, aiohttp.ServerTimeoutError):
        right = httpx.ReadError
    if right is type(error):
        return error
    # The words of the system alone: aiohttp's own repeat host and port.
    words = getattr(cause, "strerror", None) if right is httpx.ConnectError else None
    return right(words or str(error), request=request)


def _in_pieces(request: httpx.Request) -> httpx.Request:
    """Return the request with a large body as a stream: aiohttp warns of one that it has to write at once."""
    body = request.content
    if len(body) < _LARGE_BYTES:
        return request

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), _LARGE_BYTES):
            yield body[start : start + _LARGE_BYTES]

    return httpx.Request(
        request.method, request.url, headers=request.headers, content=pieces(), extensions=request.extensions
    )


def _first_line(error: Exception) -> str:
    said = getattr(error, "message", "") or str(error)
    return said.strip().partition("\n")[0].rstrip(":") or type(error).__name__


def _tracing() -> TraceConfig:
    """Return a trace that tells our events under httpcore's names."""
    import aiohttp  # noqa: PLC0415 - here, it is there

    def telling(event: str) -> Any:
        async def tell(*_: object) -> None:
            trace = _trace.get()
            if trace is not None:
                await trace(event, {})

        return tell

    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(telling("connection.connect_tcp.started"))
    config.on_connection_reuseconn.append(telling("connection.reused"))
    config.on_request_headers_sent.append(telling("http11.send_request_headers.started"))
    return config
