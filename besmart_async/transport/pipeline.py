"""`Transport.send`: retry -> auth -> httpx -> codec. The one way every call of the package takes."""

from __future__ import annotations

import asyncio
import math
import os
from typing import Any, TypeVar

from besmart_async.errors import AuthenticationError, BesmartError, DecodeError, Response
from besmart_async.models.tokens import Token
from besmart_async.transport.addresses import checked_base_url, chosen_proxy
from besmart_async.transport.aiohttp_backend import adopted
from besmart_async.transport.auth import TokenAuth
from besmart_async.transport.events import Event, Hooks
from besmart_async.transport.http import Call, HttpExchange
from besmart_async.transport.limits import Admission, OriginPause, RetryBudget
from besmart_async.transport.retry import Retrier
from besmart_async.transport.secrets import Secrets
from besmart_async.transport.settings import TransportSettings
from besmart_async.transport.sharded import ShardedTransport
from besmart_async.wire.failures import failure
from besmart_async.wire.operation import Operation

T = TypeVar("T")


_NO_LOGIN = (
    "the token is not, or no longer, accepted, and the client has nothing else to log in with; "
    "give it a new token, or login, password and api_key"
)


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
        proxy = chosen_proxy(settings.proxy, base_url)
        if proxy is not None and proxy.auth is not None:
            self._secrets.add(proxy.auth[1])
        hooks = Hooks[Event](settings.hooks)
        self._pause = OriginPause(settings.rng)
        self._budget = RetryBudget(settings.retry)
        self._retrier = Retrier(settings.retry, self._budget, self._pause, hooks, settings.rng)
        http = settings.http
        http = ShardedTransport(settings.max_connections, proxy=proxy) if http is None else adopted(http, proxy)
        admission = Admission(settings.max_connections, settings.timeouts.pool_s)
        self._exchange = HttpExchange(base_url, http, settings.timeouts, admission, hooks=hooks, secrets=self._secrets)
        self._auth = TokenAuth(
            credentials,
            login,
            refresh,
            self._exchange.attempt,
            self._renew,
            hooks=hooks,
            secrets=self._secrets,
            rng=settings.rng,
            wall_clock_ms=settings.wall_clock_ms,
        )
        self._has_login = login is not None
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
        self._check_home()
        response = await self._retrier.run(self._new_call(operation), self._once, attempts)
        try:
            return operation.decode(response)
        except DecodeError as error:
            failed = error
        # Not in the handler: the decoder's own words may quote secrets, and must not travel along as a context.
        raise self._told(failed, operation, response)

    async def login(self) -> Token:
        """Log in now and use the new token from here on; see `TokenAuth.login`."""
        self._check_home()
        return await self._auth.login()

    async def refresh(self) -> Token:
        """Refresh the token now; see `TokenAuth.refresh`."""
        self._check_home()
        return await self._auth.refresh()

    async def aclose(self) -> None:
        """End calls under way with a `TransportError`, and close all connections; a second time does nothing.

        Raises:
            BesmartError: the client was used in another event loop. In another process (after a fork) the connections
                are the parent's and stay as they are.
        """
        if self._closed:
            return
        if self._home is None or self._home[0] == os.getpid():
            self._check_home()
            self._closed = True
            try:
                await self._retrier.aclose()
                await self._auth.aclose()
            finally:
                await self._exchange.aclose()
        self._closed = True

    async def _once(self, call: Call) -> Response:
        await self._pause.wait(call.operation.name, call.deadline)
        return self._judged(call, await self._auth.attempt(call))

    async def _renew(self, operation: Operation[Token], headers: dict[str, str], attempts: int | None) -> Response:
        async def once(call: Call) -> Response:
            await self._pause.wait(operation.name, call.deadline)
            return self._judged(call, await self._exchange.attempt(call, headers))

        return await self._retrier.run(self._new_call(operation), once, attempts)

    def _judged(self, call: Call, response: Response) -> Response:
        """Return a good answer.

        Raises:
            ApiError: it is not good.
        """
        if 200 <= response.status < 300:
            self._budget.refund()
            return response
        if call.repeated and response.status in call.operation.done_if_repeated:
            return Response(204)
        now_ms = self._wall_clock_ms()
        error = failure(call.operation, self._secrets.hidden(response), repeated=call.repeated, now_ms=now_ms)
        self._secrets.hide_in(error)
        if isinstance(error, AuthenticationError) and not self._has_login:
            error.hint = _NO_LOGIN
        if error.retry_after_s is not None and error.status in {429, 503}:
            self._pause.extend(min(error.retry_after_s, self._policy.max_retry_after_s))
        raise error

    def _told(self, error: DecodeError, operation: Operation[T], response: Response) -> DecodeError:
        """Return the error with what this layer knows, and without secrets, cut ones included."""
        hidden = self._secrets.hidden(response)
        if hidden is not response:
            try:
                operation.decode(hidden)
            except DecodeError as blotted:
                error = blotted
        error.operation = operation.name
        error.outcome = "in_doubt" if operation.writes else None
        self._secrets.hide_in(error)
        return error

    def _check_home(self) -> None:
        if self._closed:
            raise BesmartError(
                "this client is closed; make a new one, or keep `async with BesmartClient(...)` open longer"
            )
        here = (os.getpid(), asyncio.get_running_loop())
        if self._home is None:
            self._home = here
        elif self._home != here:
            what = "another process (after a fork)" if self._home[0] != here[0] else "another event loop"
            raise BesmartError(f"this client belongs to {what}; make one client per process and event loop")

    def _new_call(self, operation: Operation[Any]) -> Call:
        total_s = self._policy.total_timeout_s
        deadline = math.inf if math.isinf(total_s) else asyncio.get_running_loop().time() + total_s
        return Call(operation, deadline)
