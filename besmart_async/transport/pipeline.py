"""`Transport.send`: retry -> auth -> httpx -> codec. The one way every call of the package takes."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs
import httpx

from besmart_async.config import MAX_CONNECTIONS, RetryPolicy, Timeouts
from besmart_async.errors import BesmartError, DecodeError, Response
from besmart_async.models.tokens import Token
from besmart_async.transport.aiohttp_backend import adopted
from besmart_async.transport.auth import Credentials, TokenAuth
from besmart_async.transport.events import Hook, Hooks
from besmart_async.transport.http import Call, HttpExchange, checked_base_url
from besmart_async.transport.limits import Admission, OriginPause, RetryBudget
from besmart_async.transport.proxies import environment_proxy
from besmart_async.transport.retry import Retrier
from besmart_async.transport.secrets import Secrets
from besmart_async.transport.sharded import ShardedTransport
from besmart_async.wire.failures import failure
from besmart_async.wire.operation import Operation

T = TypeVar("T")


def _wall_clock_ms() -> float:
    return time.time() * 1000


@attrs.frozen(kw_only=True)
class TransportSettings:
    """What a `Transport` is made of.

    Attributes:
        base_url: the service's address, with its base path.
        credentials: how to log in.
        timeouts: for one attempt.
        retry: for a call as a whole.
        http: the httpx transport to use; None for the sharded default.
        hooks: called with every event.
        max_connections: attempts at a time.
        allow_insecure_http: whether plain http may go to other machines.
        proxy: address of an HTTP proxy; None to follow the environment (HTTPS_PROXY, NO_PROXY ...).
        rng: source of jitter.
        wall_clock_ms: this machine's clock, UTC unix ms; only used where an answer has no `Date`.
    """

    base_url: str
    credentials: Credentials
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    http: httpx.AsyncBaseTransport | None = None
    hooks: Sequence[Hook] = ()
    max_connections: int = MAX_CONNECTIONS
    allow_insecure_http: bool = False
    proxy: str | None = attrs.field(default=None, repr=False)
    rng: random.Random = attrs.field(factory=random.Random, repr=False)
    wall_clock_ms: Callable[[], float] = attrs.field(default=_wall_clock_ms, repr=False)


class Transport:
    """Carries out operations. It belongs to the process and event loop that use it first."""

    def __init__(self, settings: TransportSettings, login: Operation[Token] | None, refresh: Operation[Token]) -> None:
        """Prepare everything; nothing is sent before the first call.

        Raises:
            BesmartConfigError: the base URL may not be used.
        """
        base_url = checked_base_url(settings.base_url, allow_insecure_http=settings.allow_insecure_http)
        credentials = settings.credentials
        self._policy = settings.retry
        self._wall_clock_ms = settings.wall_clock_ms
        self._secrets = Secrets(credentials.api_key, credentials.password, credentials.token)
        hooks = Hooks(settings.hooks)
        self._pause = OriginPause(settings.rng)
        self._budget = RetryBudget(settings.retry)
        self._retrier = Retrier(settings.retry, self._budget, hooks, settings.rng)
        http = settings.http
        if http is None:
            http = ShardedTransport(settings.max_connections, proxy=settings.proxy or environment_proxy(base_url))
        else:
            http = adopted(http)
        admission = Admission(settings.max_connections, settings.timeouts.pool_s)
        self._exchange = HttpExchange(base_url, http, settings.timeouts, admission, hooks)
        self._auth = TokenAuth(
            credentials,
            login,
            refresh,
            self._exchange.attempt,
            hooks=hooks,
            secrets=self._secrets,
            rng=settings.rng,
            wall_clock_ms=settings.wall_clock_ms,
        )
        self._login = login
        self._refresh = refresh
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._closed = False

    async def send(self, operation: Operation[T], *, attempts: int | None = None) -> T:
        """Carry out one operation and return its decoded result.

        Cancelling gives the connection up; what was sent by then may still be applied.

        Args:
            operation: what to do.
            attempts: how often to try at most, instead of the retry policy's number.

        Raises:
            ApiError: the service answered with an error.
            TransportError: no answer came.
            DecodeError: the answer breaks the contract.
            BesmartError: the client is closed, or used from another event loop or process.
        """
        call = self._new_call(operation)
        response = await self._retrier.run(call, self._once, attempts)
        try:
            return operation.decode(response)
        except DecodeError as error:
            error.operation = operation.name
            error.outcome = "in_doubt" if operation.writes else None
            self._secrets.hide_in(error)
            raise

    async def login(self) -> Token:
        """Log in now and use the new token from here on; see `TokenAuth.login`."""
        if self._login is None:
            return await self._auth.login()  # says what is missing
        return await self._retrier.run(self._new_call(self._login), lambda _: self._auth.login())

    async def refresh(self) -> Token:
        """Refresh the token now; see `TokenAuth.refresh`."""
        return await self._retrier.run(self._new_call(self._refresh), lambda _: self._auth.refresh())

    async def aclose(self) -> None:
        """Close all connections; a second time does nothing."""
        if not self._closed:
            self._closed = True
            await self._auth.aclose()
            await self._exchange.aclose()

    async def _once(self, call: Call) -> Response:
        await self._pause.wait(call.deadline)
        response = await self._auth.attempt(call)
        if 200 <= response.status < 300:
            self._budget.refund()
            return response
        if call.repeated and response.status in call.operation.done_if_repeated:
            return Response(204)
        error = failure(call.operation, response, repeated=call.repeated, now_ms=self._wall_clock_ms())
        self._secrets.hide_in(error)
        if error.retry_after_s is not None and error.status in {429, 503}:
            self._pause.extend(min(error.retry_after_s, self._policy.max_retry_after_s))
        raise error

    def _new_call(self, operation: Operation[T]) -> Call:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise BesmartError(
                "this client is closed; make a new one, or keep `async with BesmartClient(...)` open longer"
            )
        if self._home is None:
            self._home = (os.getpid(), loop)
        elif self._home != (os.getpid(), loop):
            what = "another process (after a fork)" if self._home[0] != os.getpid() else "another event loop"
            raise BesmartError(f"this client belongs to {what}; make one client per process and event loop")
        total_s = self._policy.total_timeout_s
        return Call(operation, deadline=math.inf if math.isinf(total_s) else loop.time() + total_s)
