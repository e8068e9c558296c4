"""The optional transport over aiohttp (extra `aiohttp`), which takes about half the CPU time per request.

Some of aiohttp's habits must not show: it repeats requests by itself, invents a content type, keeps cookies, takes
bytes that came on an idle connection for the next answer, and httpx-aiohttp calls a connection that broke in use a
connect timeout.
"""

from __future__ import annotations

import importlib
import select
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import httpx

from besmart_async.errors import BesmartConfigError
from besmart_async.transport.addresses import needs_tls
from besmart_async.transport.secrets import basic_auth
from besmart_async.transport.sharded import Certificates

if TYPE_CHECKING:
    from aiohttp import ClientSession, TCPConnector, TraceConfig
    from aiohttp.client_proto import ResponseHandler

_KEEPALIVE_S = 4.0
"""As in `sharded`: less than servers keep idle connections."""

_LARGE_BYTES = 1 << 20
"""Larger bodies go out piece by piece, so that the event loop gets a turn in between."""

_trace: ContextVar[Callable[[str, dict[str, Any]], Any] | None] = ContextVar("besmart_trace", default=None)
"""What follows the progress of the attempt that runs in this context, as httpcore's trace extension does."""


def aiohttp_transport(max_connections: int = 64) -> httpx.AsyncBaseTransport:
    """Return a transport for `BesmartClient(transport=...)` that sends over aiohttp.

    It may be given to several clients, at the same time or one after the other, in any event loop: each opens
    connections of its own, and closes them.

    Raises:
        BesmartConfigError: the extra is not installed.
    """
    try:
        importlib.import_module("httpx_aiohttp")  # which imports aiohttp
    except ImportError as error:
        raise BesmartConfigError("the aiohttp transport is missing: pip install 'besmart-async[aiohttp]'") from error
    return _AiohttpBackend(max_connections)


def adopted(
    transport: httpx.AsyncBaseTransport,
    proxy: httpx.Proxy | None,
    base_url: str,
    *,
    explicit: bool,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx.AsyncBaseTransport:
    """Return the transport that a client uses for the one it was given; failures of httpx-aiohttp's are put right.

    Args:
        transport: what the user gave.
        proxy: the proxy to go through. Only a transport from `aiohttp_transport` takes it.
        base_url: the address of the service.
        explicit: whether the user gave the proxy, too; else it comes from the environment.
        ssl_context: the TLS context that the user gave. Only a transport from `aiohttp_transport` takes it.

    Raises:
        BesmartConfigError: the transport cannot go through the proxy, or takes no TLS context.
    """
    if isinstance(transport, _AiohttpBackend):
        if proxy is not None and proxy.url.scheme.startswith("socks"):
            raise BesmartConfigError(
                "proxy: aiohttp knows no SOCKS proxies; leave transport= out and pip install 'httpx[socks]', "
                "or give the address of an HTTP proxy"
            )
        return transport.for_client(proxy, tls=needs_tls(base_url, proxy), ssl_context=ssl_context)
    if ssl_context is not None:
        raise BesmartConfigError(
            "ssl_context: a transport of your own does not take it; give it to the transport "
            "(httpx.AsyncHTTPTransport(verify=...)), or leave transport= out"
        )
    if explicit:
        raise BesmartConfigError(
            "proxy: a transport of your own does not take it; give the proxy to the transport "
            "(httpx.AsyncHTTPTransport(proxy=...)), or leave transport= out"
        )
    module = sys.modules.get("httpx_aiohttp")
    return _Corrected(transport) if module and isinstance(transport, module.AiohttpTransport) else transport


class _Corrected(httpx.AsyncBaseTransport):
    """Puts the failures of an httpx-aiohttp transport right, and follows the progress of each request."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import aiohttp  # noqa: PLC0415 - it is installed here

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
        response.stream = _CorrectedStream(response.stream, request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _AiohttpBackend(httpx.AsyncBaseTransport):
    """Sends over an aiohttp session of its own, which opens with the first request, and again after `aclose`."""

    def __init__(
        self,
        max_connections: int,
        proxy: httpx.Proxy | None = None,
        *,
        tls: bool = True,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._max_connections = max_connections
        self._proxy = _with_auth_header(proxy)
        self._certificates = Certificates(tls=tls, given=ssl_context)
        self._open: _Corrected | None = None
        self._drop_idle: Callable[[], None] | None = None

    def for_client(
        self, proxy: httpx.Proxy | None, *, tls: bool, ssl_context: ssl.SSLContext | None = None
    ) -> _AiohttpBackend:
        """Return one with connections of its own."""
        return _AiohttpBackend(self._max_connections, proxy, tls=tls, ssl_context=ssl_context)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._open is None:
            await self._certificates.read()
        if self._proxy is not None and request.url.scheme == "http":
            request.headers.update(self._proxy.headers)  # aiohttp sends them with CONNECT only
        opened = self._opened()
        try:
            return await opened.handle_async_request(request)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            if self._drop_idle is not None:
                self._drop_idle()  # those beside a connection that broke are likely dead, too
            raise

    async def aclose(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            await opened.aclose()

    def _opened(self) -> _Corrected:
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415 - it is installed here

        if self._open is not None:
            return self._open
        certificates = self._certificates.context
        assert certificates is not None  # noqa: S101 - read before
        # Without being given certificates it would read all of them itself, for nothing.
        connector, self._drop_idle = _connector(
            limit=self._max_connections, keepalive_timeout=_KEEPALIVE_S, ssl=certificates
        )
        inner = AiohttpTransport(verify=certificates, client=_session(connector))
        inner.proxy = self._proxy
        self._open = _Corrected(inner)
        return self._open


def _session(connector: TCPConnector) -> ClientSession:
    import aiohttp  # noqa: PLC0415 - it is installed here

    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),  # the service has none to keep
        read_bufsize=_LARGE_BYTES,  # with less, it stops and goes while a large answer comes
        skip_auto_headers=["Content-Type"],  # else it invents one for requests without a body
        trace_configs=[_tracing()],
    )
    # aiohttp repeats GET, PUT and DELETE by itself when a reused connection dies; repeating is the retry policy's.
    session._retry_connection = False  # pyright: ignore[reportPrivateUsage]  # there is no public switch
    return session


def _connector(**settings: Any) -> tuple[TCPConnector, Callable[[], None]]:
    """Return a connector that closes idle connections that have received unexpected bytes.

    aiohttp would take them for the answer to the next request. It offers no public way to look at a connection before
    it is used again, nor to close those that are idle, which the function beside the connector does.
    """
    import aiohttp  # noqa: PLC0415 - it is installed here

    class CheckedConnector(aiohttp.TCPConnector):
        async def _get(self, key: Any, traces: Any) -> Any:
            for connection, _ in self._conns.get(key, ()):
                if not _is_quiet(connection):
                    connection.close()  # which aiohttp then drops
                else:
                    break
            return await super()._get(key, traces)

        def drop_idle(self) -> None:
            for connections in self._conns.values():
                for connection, _ in connections:
                    connection.close()

    connector = CheckedConnector(**settings)
    return connector, connector.drop_idle


def _is_quiet(connection: ResponseHandler) -> bool:
    """Return whether nothing came on an idle connection: neither bytes nor its end."""
    if connection.should_close or connection.transport is None:
        return False
    sock = connection.transport.get_extra_info("socket")
    if sock is None or not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def _with_auth_header(proxy: httpx.Proxy | None) -> httpx.Proxy | None:
    """Return the proxy with its password as a header: aiohttp is giving up its own way."""
    if proxy is None or proxy.auth is None:
        return proxy
    header = {"Proxy-Authorization": f"Basic {basic_auth(*proxy.auth)}"}
    return httpx.Proxy(proxy.url, headers={**proxy.headers, **header})


class _CorrectedStream(httpx.AsyncByteStream):
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
    import aiohttp  # noqa: PLC0415 - it is installed here

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
    """Return the request with a large body as a stream: aiohttp warns about one that it has to write at once."""
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
    """Return a trace that reports events under httpcore's names."""
    import aiohttp  # noqa: PLC0415 - it is installed here

    def reporting(event: str) -> Any:
        async def report(*_: object) -> None:
            trace = _trace.get()
            if trace is not None:
                await trace(event, {})

        return report

    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(reporting("connection.connect_tcp.started"))
    config.on_connection_reuseconn.append(reporting("connection.reused"))
    config.on_request_headers_sent.append(reporting("http11.send_request_headers.started"))
    return config
