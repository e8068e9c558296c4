"""One attempt of an operation over httpx: request out, answer or typed error back. Nothing here retries or logs in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
import httpx

from besmart_async.config import Timeouts
from besmart_async.errors import Response, TransportError
from besmart_async.transport.breakage import Attempt, Progress
from besmart_async.transport.events import Event, Hooks, RequestFailed, RequestStarted, ResponseReceived
from besmart_async.transport.limits import Admission
from besmart_async.transport.secrets import Secrets
from besmart_async.wire.operation import Operation

USER_AGENT = "besmart-async/0.1.0"


@attrs.define
class Call:
    """What one call of an operation has been through so far.

    Attributes:
        operation: what is asked.
        deadline: on the loop's clock; no attempt lasts longer.
        attempt: the current attempt, 1 for the first.
        repeated: whether the answer of an earlier attempt was lost, so that the service may have applied it.
        renewing: whether the call waits for a token; what fails then has been tried again already.
        under_way: whether the current attempt's own request (not a login before it) was begun, and no 401 refused it.
        stale: how many attempts met an idle connection that had died.
        progress: how far the current attempt came.
    """

    operation: Operation[Any]
    deadline: float
    attempt: int = 1
    repeated: bool = False
    renewing: bool = False
    under_way: bool = False
    stale: int = 0
    progress: Progress = attrs.field(factory=Progress, repr=False)

    def begin_attempt(self) -> None:
        """Forget how far the attempt before it came."""
        self.renewing = self.under_way = False
        self.progress = Progress()


class HttpExchange:
    """Sends attempts to one base URL."""

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        timeouts: Timeouts,
        admission: Admission,
        *,
        hooks: Hooks[Event],
        secrets: Secrets,
    ) -> None:
        self._base_url = base_url
        self._transport = transport
        self._timeouts = timeouts
        self._admission = admission
        self._hooks = hooks
        self._secrets = secrets
        self._parsed_url = lru_cache(maxsize=32)(httpx.URL)  # of the bulk calls, mostly

    async def attempt(self, call: Call, credentials: Mapping[str, str]) -> Response:
        """Send once and return the answer, whatever its status.

        Raises:
            RequestTimeoutError: no free connection, or no complete answer in time.
            ConnectError: no connection; nothing was sent.
            ProtocolError: the connection broke, or the answer is not HTTP.
        """
        operation = call.operation
        async with self._admission.slot(operation.name):
            call.progress = Progress()
            call.under_way = True
            loop = asyncio.get_running_loop()
            started = loop.time()
            if self._hooks:
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
                took_s = loop.time() - started
                self._hooks(
                    RequestFailed(operation=operation.name, attempt=call.attempt, error=error, elapsed_s=took_s)
                )
                raise
            if self._hooks:
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
        until = min(started + self._timeouts.attempt_s(call.operation.body_bytes), call.deadline)
        request = self._request(call.operation, credentials, call.progress)
        try:
            async with asyncio.timeout_at(until):
                answer = await self._transport.handle_async_request(request)
                try:
                    content = await _content(answer)
                finally:
                    await answer.aclose()
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, headers, content)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            failed = error
        # Not in the handler: the library's own words may quote our headers, and must not travel along as a context.
        raise self._typed(failed, call, until - started) from self._shown(failed)

    def _request(self, operation: Operation[Any], credentials: Mapping[str, str], progress: Progress) -> httpx.Request:
        url: str | httpx.URL = self._base_url + operation.target
        if operation.query:
            url = f"{url}?{urlencode(operation.query, quote_via=quote)}"
        elif not operation.path_params:
            url = self._parsed_url(str(url))
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}
        headers.update(credentials)
        if operation.content_type is not None:
            headers["Content-Type"] = operation.content_type
        seconds = self._timeouts.attempt_s(operation.body_bytes)
        timeout = {"connect": self._timeouts.connect_s, "read": seconds, "write": seconds, "pool": None}
        extensions = {"timeout": timeout, "trace": progress}
        return httpx.Request(operation.method, url, headers=headers, content=operation.body, extensions=extensions)

    def _typed(self, error: Exception, call: Call, seconds: float) -> TransportError:
        operation = call.operation
        where = urlsplit(self._base_url).netloc
        attempt = Attempt(operation.name, where, self._timeouts.connect_s, seconds, operation.body_bytes, call.progress)
        typed = attempt.error_of(error)
        typed.args = tuple(map(self._secrets.hide, typed.args))
        return typed

    def _shown(self, error: Exception) -> Exception | None:
        """Return the cause to show; None where it quotes a secret that the service sent back."""
        return error if self._secrets.hide(str(error)) == str(error) else None


async def _content(answer: httpx.Response) -> bytes:
    """Return the body, past httpx's decoders where there is nothing to decode."""
    if "content-encoding" in answer.headers or not isinstance(answer.stream, httpx.AsyncByteStream):
        return await answer.aread()
    return b"".join([part async for part in answer.stream])
