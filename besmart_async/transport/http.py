"""One attempt of an operation over httpx: request out, answer or typed error back. Nothing here retries or logs in."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
import httpx

from besmart_async.config import Timeouts
from besmart_async.errors import (
    BesmartConfigError,
    ConnectError,
    ProtocolError,
    RequestTimeoutError,
    Response,
    TransportError,
)
from besmart_async.transport.events import Hooks, RequestFailed, RequestStarted, ResponseReceived
from besmart_async.transport.limits import Admission
from besmart_async.wire.operation import Operation

USER_AGENT = "besmart-async/0.1.0"

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
"""Failures before the first byte of the request."""


@attrs.define
class Call:
    """What one call of an operation has been through so far.

    Attributes:
        operation: what is asked.
        deadline: on the loop's clock; no attempt lasts longer.
        attempt: the current attempt, 1 for the first.
        repeated: whether the answer of an earlier attempt was lost, so that the service may have applied it.
        under_way: whether the current attempt's own request (not a login before it) was begun, and no 401 refused it.
        reused: whether the current attempt went over a connection that had served before.
    """

    operation: Operation[Any]
    deadline: float
    attempt: int = 1
    repeated: bool = False
    under_way: bool = False
    reused: bool = False


class HttpExchange:
    """Sends attempts to one base URL."""

    def __init__(
        self, base_url: str, transport: httpx.AsyncBaseTransport, timeouts: Timeouts, admission: Admission, hooks: Hooks
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self._timeouts = timeouts
        self._admission = admission
        self._hooks = hooks

    async def attempt(self, call: Call, credentials: Mapping[str, str]) -> Response:
        """Send once and return the answer, whatever its status.

        Raises:
            RequestTimeoutError: no free connection, or no complete answer in time.
            ConnectError: no connection; nothing was sent.
            ProtocolError: the connection broke, or the answer is not HTTP.
        """
        operation = call.operation
        async with self._admission.slot():
            call.under_way = True
            loop = asyncio.get_running_loop()
            started = loop.time()
            self._hooks(
                RequestStarted(
                    operation=operation.name,
                    method=operation.method,
                    path=operation.path,
                    attempt=call.attempt,
                    body_bytes=operation.body_bytes,
                )
            )
            try:
                response = await self._exchange(call, credentials, started)
            except TransportError as error:
                elapsed_s = loop.time() - started
                self._hooks(
                    RequestFailed(operation=operation.name, attempt=call.attempt, error=error, elapsed_s=elapsed_s)
                )
                raise
            self._hooks(
                ResponseReceived(
                    operation=operation.name,
                    attempt=call.attempt,
                    status=response.status,
                    elapsed_s=loop.time() - started,
                    body_bytes=len(response.content),
                )
            )
            return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _exchange(self, call: Call, credentials: Mapping[str, str], started: float) -> Response:
        attempt_s = self._timeouts.attempt_s(call.operation.body_bytes)
        progress = _Progress()
        request = self._request(call.operation, credentials, progress)
        try:
            async with asyncio.timeout_at(min(started + attempt_s, call.deadline)):
                answer = await self._transport.handle_async_request(request)
                try:
                    content = await answer.aread()
                finally:
                    await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            call.reused = progress.seen and not progress.connecting
            raise self._typed(error, call.operation, progress, attempt_s) from error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, content)

    def _request(self, operation: Operation[Any], credentials: Mapping[str, str], progress: _Progress) -> httpx.Request:
        url = self._base_url + operation.target
        if operation.query:
            url += "?" + urlencode(operation.query, quote_via=quote)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}
        headers.update(credentials)
        if operation.content_type is not None:
            headers["Content-Type"] = operation.content_type
        seconds = self._timeouts.attempt_s(operation.body_bytes)
        timeout = {"connect": self._timeouts.connect_s, "read": seconds, "write": seconds, "pool": None}
        extensions = {"timeout": timeout, "trace": progress}
        return httpx.Request(operation.method, url, headers=headers, content=operation.body, extensions=extensions)

    def _typed(
        self, error: Exception, operation: Operation[Any], progress: _Progress, attempt_s: float
    ) -> TransportError:
        reached = progress.sending or not (progress.seen or isinstance(error, _UNSENT))
        where = urlsplit(self._base_url).netloc
        cls: type[TransportError]
        if isinstance(error, httpx.ConnectTimeout):
            cls, said = RequestTimeoutError, f"no connection to {where} within {self._timeouts.connect_s:g} s"
        elif isinstance(error, TimeoutError | httpx.TimeoutException):
            cls, said = RequestTimeoutError, f"no complete answer from {where} within {attempt_s:.3g} s"
        elif isinstance(error, httpx.ConnectError | httpx.ProxyError):
            cls, said = ConnectError, f"cannot connect to {where} ({_words(error)}); check base_url and the network"
        elif isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            cls, said = ConnectError, f"{where} is no address of an HTTP service ({_words(error)}); check base_url"
        else:
            cls, said = ProtocolError, f"the connection to {where} broke ({_words(error)})"
        return cls(f"{operation.name}: {said}", operation=operation.name, reached=reached)


class _Progress:
    """Follows httpcore's trace of one attempt: did it connect, did it begin to send? Other transports tell nothing."""

    def __init__(self) -> None:
        self.seen = False
        self.connecting = False
        self.sending = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        self.seen = True
        if event.endswith("connect_tcp.started"):
            self.connecting = True
        if event.endswith("send_request_headers.started"):
            self.sending = True


def checked_base_url(base_url: str, *, allow_insecure_http: bool) -> str:
    """Return the base URL if the client may use it.

    Raises:
        BesmartConfigError: no http(s) address, one with credentials or a query in it, or plain http to another machine.
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError) as error:
        raise BesmartConfigError(f"base_url: no address ({error}); give one such as https://host/api") from None
    if parts.username is not None or parts.password is not None:
        raise BesmartConfigError("base_url: credentials do not belong into an address; give login and password instead")
    if parts.scheme not in {"http", "https"} or not host:
        raise BesmartConfigError(f"base_url={base_url!r}: give an http(s) address such as https://host/api")
    if parts.query or parts.fragment:
        raise BesmartConfigError(f"base_url={parts.path!r}: give it without a query or fragment")
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(host):
        raise BesmartConfigError(
            f"base_url: plain http to {host} would show the credentials to the network; "
            "use https, or allow_insecure_http=True where that is intended"
        )
    return base_url


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
