"""One attempt of an operation over httpx: request out, answer or typed error back. Nothing here retries or logs in.

A failure is a value here, not an exception: what httpx raises has frames and attributes that hold our headers, so only
its type and words leave this module, as the cause of the typed error.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Mapping
from copy import copy
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import attrs
import httpx

from besmart_async.config import Timeouts
from besmart_async.errors import AnswerTooLargeError, RequestTimeoutError, Response, TransportError
from besmart_async.transport.bodies import ERROR_BYTES, ERROR_MARGIN_BYTES, BodyTooLarge, unpacked
from besmart_async.transport.breakage import BrokenAttempt
from besmart_async.transport.events import Event, Hooks, RequestFailed, RequestStarted, ResponseReceived
from besmart_async.transport.secrets import CredentialHeader, Secrets
from besmart_async.version import __version__
from besmart_async.wire.operation import Operation

USER_AGENT = f"besmart-async/{__version__}"

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}


def _without(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the headers without those names; HTTP does not tell upper case from lower."""
    lowered = {name.lower() for name in names}
    return {name: value for name, value in headers.items() if name.lower() not in lowered}


class AttemptProgress:
    """Follows httpcore's trace of one attempt: did it connect, did it begin to send? Other transports report nothing.

    Attributes:
        seen: the transport reports its progress.
        sending: some of the request may have left this machine.
        reused: it went over an HTTP/1.1 connection that had served before, and no answer has begun. Over HTTP/2 a
            connection breaks for several requests at once, and nothing shows whether it was idle.
    """

    __slots__ = ("_connecting", "reused", "seen", "sending")

    def __init__(self) -> None:
        """Start before anything has happened."""
        self.seen = self.sending = self.reused = self._connecting = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take one event of the trace."""
        self.seen = True
        if event.startswith("connection.connect_"):  # over TCP, a Unix socket, to a proxy
            self._connecting = True
        elif event.endswith(".send_request_headers.started"):
            self.sending = True
            self.reused = not self._connecting and event.startswith("http11.")

    @property
    def reached(self) -> bool:
        """Whether any of the request may have reached the service."""
        return self.sending or not self.seen


@attrs.define
class CallState:
    """What one call of an operation has been through so far.

    Attributes:
        operation: what is asked.
        deadline: on the loop's clock; no attempt lasts longer.
        attempt: the current attempt, 1 for the first.
        repeated: whether the answer of an earlier attempt was lost, so that the service may have applied it.
        renewing: whether the call waits for a token; what fails then has been tried again already.
        queued: whether the call waits for a free connection.
        under_way: whether the current attempt's own request (not a login before it) was begun, and no 401 refused it.
        stale: how many attempts met an idle connection that had died.
        progress: how far the current attempt came; None before it was begun.
    """

    operation: Operation[Any]
    deadline: float
    attempt: int = 1
    repeated: bool = False
    renewing: bool = False
    queued: bool = False
    under_way: bool = False
    stale: int = 0
    progress: AttemptProgress | None = attrs.field(default=None, repr=False)

    def begin_attempt(self) -> None:
        """Forget how far the attempt before it came."""
        self.renewing = self.under_way = False
        self.progress = None


class ConnectionSlots:
    """At most so many attempts at a time, in the order asked. Held for one attempt, never while waiting for a retry."""

    def __init__(self, count: int) -> None:
        """Start with `count` free slots."""
        self._free = count
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    def take(self) -> bool:
        """Take a slot if one is free."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self, timeout_s: float) -> None:
        """Wait for a slot, at the end of the line. Cancelling, and `timeout_s`, give the place up.

        Raises:
            TimeoutError: none came free in time.
        """
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = None
        try:
            async with asyncio.timeout(None if math.isinf(timeout_s) else timeout_s):
                await place
        except BaseException:
            if place in self._waiting:
                del self._waiting[place]
            elif not place.cancelled():
                self.release()  # it was given a slot at the same moment
            raise

    def busy(self, count: int) -> tuple[int, int]:
        """Return how many of `count` slots are taken, and how many callers wait."""
        return count - self._free, len(self._waiting)

    def release(self) -> None:
        """Hand a slot to the next in line."""
        while self._waiting:
            place, _ = self._waiting.popitem(last=False)
            if not place.done():
                place.set_result(None)
                return
        self._free += 1


class HttpExchange:
    """Sends attempts to one base URL, at most `max_connections` at a time."""

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        timeouts: Timeouts,
        max_connections: int,
        max_answer_bytes: int,
        *,
        proxy: str | None,
        hooks: Hooks[Event],
        secrets: Secrets,
        headers: Mapping[str, str],
    ) -> None:
        self._base_url = base_url
        self._headers = {**_without(_HEADERS, headers), **headers}
        self._transport = transport
        self._timeouts = timeouts
        self._max_connections = max_connections
        self._slots = ConnectionSlots(max_connections)
        self._max_answer_bytes = max_answer_bytes
        self._proxy = proxy
        self._hooks = hooks if hooks else None
        self._secrets = secrets
        self._parsed_url = lru_cache(maxsize=32)(httpx.URL)  # of the bulk calls, mostly

    def with_options(self, timeouts: Timeouts | None, headers: Mapping[str, str]) -> HttpExchange:
        """Return one with other timeouts and more headers that shares the connections and the line for them."""
        other = copy(self)
        other._timeouts = timeouts or self._timeouts
        other._headers = {**_without(self._headers, headers), **headers}
        return other

    @property
    def busy(self) -> tuple[int, int]:
        """How many attempts are under way, and how many wait for a connection."""
        return self._slots.busy(self._max_connections)

    async def attempt(self, call: CallState, credential: CredentialHeader | None) -> Response | TransportError:
        """Send once. Return the answer whatever its status, or why there is none."""
        if not self._slots.take() and (refusal := await self._queued(call)) is not None:
            return refusal
        try:
            call.under_way = True
            if self._hooks is None:
                return await self._exchanged(call, credential, asyncio.get_running_loop().time())
            return await self._told(self._hooks, call, credential)
        finally:
            self._slots.release()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _queued(self, call: CallState) -> RequestTimeoutError | None:
        wait_s = self._timeouts.pool_s
        call.queued = True
        try:
            await self._slots.wait(wait_s)
        except TimeoutError:
            return RequestTimeoutError(
                f"{call.operation.name}: no free connection within {wait_s:g} s ({self._max_connections} are busy); "
                "make fewer calls at once, raise max_connections, or use client.reader() / client.writer()",
                operation=call.operation.name,
                queued=True,
            )
        call.queued = False
        return None

    async def _told(
        self, hooks: Hooks[Event], call: CallState, credential: CredentialHeader | None
    ) -> Response | TransportError:
        operation, loop = call.operation, asyncio.get_running_loop()
        name, attempt, started = operation.name, call.attempt, loop.time()
        hooks(
            RequestStarted(
                operation=name,
                method=operation.method,
                path=operation.path,
                attempt=attempt,
                body_bytes=operation.body_bytes,
            )
        )
        outcome = await self._exchanged(call, credential, started)
        took_s = loop.time() - started
        if isinstance(outcome, TransportError):
            hooks(RequestFailed(operation=name, attempt=attempt, error=outcome, elapsed_s=took_s))
        else:
            size, status = len(outcome.content), outcome.status
            hooks(ResponseReceived(operation=name, attempt=attempt, status=status, elapsed_s=took_s, body_bytes=size))
        return outcome

    async def _exchanged(
        self, call: CallState, credential: CredentialHeader | None, started: float
    ) -> Response | TransportError:
        body = call.operation.body
        seconds = self._timeouts.read_s if body is None else self._timeouts.attempt_s(len(body))
        until = min(started + seconds, call.deadline)
        progress = call.progress = AttemptProgress()
        request = self._request(call.operation, credential, progress, None if math.isinf(seconds) else seconds)
        try:
            async with asyncio.timeout_at(None if math.isinf(until) else until):
                answer = await self._transport.handle_async_request(request)
                progress.reused = False  # alive, that is
                request.extensions.pop("trace")  # what follows is not worth a call for each event
                try:
                    content = await self._content(answer)
                finally:
                    await answer.aclose()
            return Response(
                answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, content
            )
        except BodyTooLarge:
            return self._too_large(call)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            typed = self._typed(error, call.operation, progress, until - started)
            _drop_frames(error)
            return typed
        except BaseException as error:
            raise error.with_traceback(None)  # noqa: B904 - frames of HTTP libraries hold our headers

    def _request(
        self,
        operation: Operation[Any],
        credential: CredentialHeader | None,
        progress: AttemptProgress,
        seconds: float | None,
    ) -> httpx.Request:
        url: str | httpx.URL = self._base_url + operation.path.format_map(operation.path_params)
        if operation.query:
            url = f"{url}?{urlencode(operation.query, quote_via=quote)}"
        elif not operation.path_params:
            url = self._parsed_url(str(url))
        connect_s = self._timeouts.connect_s
        timeout = {
            "connect": None if math.isinf(connect_s) else connect_s,
            "read": seconds,
            "write": seconds,
            "pool": None,
        }
        request = httpx.Request(
            operation.method,
            url,
            headers=self._headers
            if operation.content_type is None
            else self._headers | {"Content-Type": operation.content_type},
            content=operation.body,
            extensions={"timeout": timeout, "trace": progress},
        )
        if credential is not None:
            request.headers[credential.name] = credential.value
        return request

    async def _content(self, answer: httpx.Response) -> bytes:
        assert isinstance(answer.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
        good = 200 <= answer.status_code < 300
        limit = self._max_answer_bytes if good else ERROR_BYTES + ERROR_MARGIN_BYTES
        parts: list[bytes] = []
        size = 0
        body = unpacked(answer) if "content-encoding" in answer.headers else aiter(answer.stream)
        async for part in body:
            parts.append(part)
            size += len(part)
            if size > limit:
                if isinstance(body, AsyncGenerator):
                    await body.aclose()
                if good:
                    raise BodyTooLarge
                break
        return parts[0] if len(parts) == 1 and size <= limit else b"".join(parts)[:limit]

    def _too_large(self, call: CallState) -> AnswerTooLargeError:
        name = call.operation.name
        return AnswerTooLargeError(
            f"{name}: the answer is larger than {self._max_answer_bytes} bytes; ask for less at once, or raise the "
            "client's max_answer_bytes",
            operation=name,
            reached=True,
        )

    def _typed(
        self, error: Exception, operation: Operation[Any], progress: AttemptProgress, seconds: float
    ) -> TransportError:
        where = urlsplit(self._base_url).netloc
        broken = BrokenAttempt(
            operation=operation.name,
            where=where,
            proxy=self._proxy,
            connect_s=self._timeouts.connect_s,
            seconds=seconds,
            body_bytes=operation.body_bytes,
            reached=progress.reached,
            reused=progress.reused,
        )
        typed = broken.error_of(error)
        typed.args = tuple(map(self._secrets.hide, typed.args))
        typed.__cause__ = self._bare(error)
        return typed

    def _bare(self, error: Exception) -> Exception | None:
        """Return the type and words of an error alone; None where they quote a secret that the service sent back."""
        words = str(error)
        if self._secrets.hide(words) != words:
            return None
        try:
            return type(error)(*(error.args if isinstance(error, OSError) else (words,)))
        except TypeError:
            return None  # a transport's own type, made in another way


def _drop_frames(error: BaseException) -> None:
    """Take the tracebacks off an error and off all errors behind it.

    Frames of HTTP libraries refer to the errors that they raise, and from Python 3.13 on to the frames of their callers
    as well: else only the garbage collector would free a failed call, its error and its readings.
    """
    found: list[BaseException | None] = [error]
    while found:
        each = found.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            found += (each.__cause__, each.__context__)
