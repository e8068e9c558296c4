"""`Transport.send`: the one way that every call of the package takes.

    resource method -> Transport.send: pause, token, attempt, decision, again -> HttpExchange.attempt -> httpx

An attempt ends in a value: an answer or a typed error. `retry.decide` says what follows from an error. Only the last
error of a call is raised, here, so that its traceback holds no frames (and no local variables) of what is below.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Mapping
from copy import copy
from typing import TypeVar

import attrs

from besmart_async.config import RetryPolicy, Timeouts
from besmart_async.errors import (
    ApiError,
    AuthenticationError,
    BesmartError,
    DecodeError,
    RateLimitError,
    RequestTimeoutError,
    Response,
    ServerError,
    TransportError,
)
from besmart_async.models.health import TransportHealth
from besmart_async.models.tokens import Token
from besmart_async.transport.addresses import checked_base_url, chosen_proxy, needs_tls, proxy_source
from besmart_async.transport.aiohttp_backend import adopted
from besmart_async.transport.auth import FreshLogin, LoginCall, TokenAuth
from besmart_async.transport.bodies import ERROR_BYTES
from besmart_async.transport.events import Event, Hooks, RetryScheduled
from besmart_async.transport.http import CallState, HttpExchange
from besmart_async.transport.ownership import Owner
from besmart_async.transport.retry import (
    Decision,
    FailedAttempt,
    OriginPause,
    RetryBudget,
    RetrySchedule,
    decide,
    may_have_applied,
    may_help,
)
from besmart_async.transport.secrets import CredentialHeader, Secrets, basic_auth
from besmart_async.transport.settings import Credentials, TransportSettings
from besmart_async.transport.sharded import ShardedTransport
from besmart_async.wire.failures import failure
from besmart_async.wire.operation import Auth, Operation

T = TypeVar("T")

_CLOSE_WITHIN_S = 2.0
"""How long closing waits for the calls it ended to give up their connections."""

_DECODE_HERE_BYTES = 1 << 20
"""Larger answers are decoded in a thread, so that other tasks go on."""

_NO_LOGIN = (
    "the token is not, or no longer, accepted, and the client has nothing else to log in with; "
    "give it a new token, or login, password and api_key"
)


class Transport:
    """Carries out operations. It belongs to the process and event loop that use it first."""

    def __init__(
        self,
        settings: TransportSettings,
        login: Operation[Token] | None,
        refresh: Operation[Token],
        *,
        fresh_login: FreshLogin | None = None,
    ) -> None:
        """Prepare everything; nothing is sent before the first call.

        Args:
            settings: what it is made of.
            login: the login operation; None where there are no credentials for it.
            refresh: the refresh operation.
            fresh_login: asked for the credentials before each login, instead of `login`.

        Raises:
            BesmartConfigError: the base URL or the proxy may not be used.
        """
        base_url = checked_base_url(settings.base_url, allow_insecure_http=settings.allow_insecure_http)
        credentials = settings.credentials
        self._policy = settings.retry
        self._rng = settings.rng.random
        self._wall_clock_ms = settings.wall_clock_ms
        self._secrets = Secrets(credentials.api_key, credentials.password, credentials.token)
        proxy = chosen_proxy(settings.proxy, base_url, over_httpx=settings.http is None)
        if proxy is not None and proxy.auth is not None:
            self._secrets.add(proxy.auth[1])
            self._secrets.add(basic_auth(*proxy.auth))
        self._hooks = Hooks[Event](settings.hooks)
        self._pause = OriginPause()
        self._budget = RetryBudget.of(settings.retry)
        http = settings.http
        if http is None:
            tls, context = needs_tls(base_url, proxy), settings.ssl_context
            http = ShardedTransport(settings.max_connections, proxy=proxy, tls=tls, ssl_context=context)
        else:
            explicit = settings.proxy is not None
            http = adopted(http, proxy, base_url, explicit=explicit, ssl_context=settings.ssl_context)
        self._exchange = HttpExchange(
            base_url,
            http,
            settings.timeouts,
            settings.max_connections,
            settings.max_answer_bytes,
            proxy=None if proxy is None else f"{proxy.url}, from {proxy_source(settings.proxy, base_url)}",
            hooks=self._hooks,
            secrets=self._secrets,
            headers=settings.headers,
        )
        self._auth = TokenAuth(
            credentials,
            fresh_login or _always(login, credentials),
            refresh,
            self._renew,
            hooks=self._hooks,
            secrets=self._secrets,
            rng=settings.rng,
            wall_clock_ms=settings.wall_clock_ms,
        )
        self._has_login = login is not None or fresh_login is not None
        self._owner = Owner("client")
        self._life = _Life()

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
        loop = self._checked_loop()
        outcome = await self._outcome(self._new_call(operation, loop), attempts)
        self._life.note(outcome, loop.time())
        if isinstance(outcome, Response):
            if len(outcome.content) <= _DECODE_HERE_BYTES:
                decoded = self._decoded(operation, outcome)
            else:
                decoded = await asyncio.to_thread(self._decoded, operation, outcome)
            if not isinstance(decoded, _Undecodable):
                return decoded
            outcome = decoded.error
            del decoded
        try:
            raise outcome
        finally:
            del outcome  # else the error and this frame keep each other, and the request, alive

    def with_options(
        self, timeouts: Timeouts | None, retry: RetryPolicy | None, headers: Mapping[str, str]
    ) -> Transport:
        """Return a transport with other options that shares connections, token, pause and life with this one."""
        other = copy(self)
        if retry is not None:
            other._policy = retry
        other._exchange = self._exchange.with_options(timeouts, headers)
        return other

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it belongs to; None before the first use."""
        return self._owner.loop

    def health(self) -> TransportHealth:
        """Return what is known of the service, without asking it."""
        life, (in_flight, waiting) = self._life, self._exchange.busy
        loop = self._owner.loop
        now = None if loop is None else loop.time()

        def age(moment: float | None) -> float | None:
            return None if moment is None or now is None else now - moment

        return TransportHealth(
            closed=life.closed,
            failing=life.failing,
            calls_in_flight=in_flight,
            calls_waiting=waiting,
            paused_s=0.0 if now is None else max(0.0, self._pause.until - now),
            token_expires_in_s=None if now is None else self._auth.expires_in_s(now),
            last_answer_age_s=age(life.answered_at),
            last_error=life.error,
            last_error_age_s=age(life.failed_at),
        )

    async def login(self) -> Token:
        """Log in now and use the new token from here on; see `TokenAuth.login`."""
        self._checked_loop()
        return await self._auth.login()

    async def refresh(self) -> Token:
        """Refresh the token now; see `TokenAuth.refresh`."""
        self._checked_loop()
        return await self._auth.refresh()

    async def aclose(self) -> None:
        """End calls under way with a `TransportError`, and close all connections; a second time does nothing.

        Raises:
            BesmartError: the client was used in another event loop. In another process (after a fork) the connections
                are the parent's and stay as they are.
        """
        if self._life.closed:
            return
        if self._owner.loop is None:
            self._life.closed = True
            await self._exchange.aclose()
        elif self._owner.pid == os.getpid():
            self._checked_loop()
            self._life.closed = True
            try:
                await self._end_calls()
                await self._auth.aclose()
            finally:
                await self._exchange.aclose()
        self._life.closed = True

    # -- one call ----------------------------------------------------------------------------------------------------

    async def _outcome(
        self,
        call: CallState,
        attempts: int | None,
        credential: CredentialHeader | None = None,
        *,
        renewal: bool = False,
    ) -> Response | BesmartError:
        """Try until it succeeds or trying again is of no use; return the good answer, or the last error.

        Args:
            call: the state of the call.
            attempts: how many at most, instead of the policy's number.
            credential: for a renewal of the token, which brings its own (or none).
            renewal: whether it is one.
        """
        if self._life.last_ended is not None:
            return self._with_outcome(self._cut_short(call), call)
        scope = asyncio.timeout_at(None if math.isinf(call.deadline) else call.deadline)
        self._life.running.add(scope)
        try:
            async with scope:
                while True:
                    outcome = await self._tried(call, credential, renewal=renewal)
                    if isinstance(outcome, Response):
                        return outcome
                    decision = self._decided(call, outcome, attempts)
                    if decision.wait_s is None:
                        return self._with_outcome(outcome, call)
                    self._note_retry(call, outcome, decision)
                    del outcome  # nothing keeps it while the call waits
                    await asyncio.sleep(decision.wait_s)
        except TimeoutError:
            return self._with_outcome(self._cut_short(call), call)
        finally:
            self._life.running.discard(scope)
            self._note_end()

    async def _tried(
        self, call: CallState, credential: CredentialHeader | None, *, renewal: bool
    ) -> Response | BesmartError:
        """Make one attempt, with one more after a 401 if there is another token."""
        paused = self._pause.until > asyncio.get_running_loop().time()
        if paused and (refusal := await self._paused(call)) is not None:
            return refusal
        if renewal or call.operation.auth is Auth.NONE:
            return self._judged(call, await self._exchange.attempt(call, credential))
        try:
            call.renewing = True
            held = await self._auth.current()
            call.renewing = False
            outcome = await self._exchange.attempt(call, held.header)
            if isinstance(outcome, Response) and outcome.status == 401 and self._auth.can_replace(held):
                call.under_way, call.renewing = False, True  # a 401 applied nothing
                held = await self._auth.replacement(held)
                call.renewing = False
                outcome = await self._exchange.attempt(call, held.header)
        except BesmartError as error:  # from renewing the token
            return error.with_traceback(None)
        return self._judged(call, outcome)

    async def _paused(self, call: CallState) -> TransportError | None:
        """Wait until the pause is over that the service asked for; return an error if it outlasts the call."""
        loop = asyncio.get_running_loop()
        while (remaining := self._pause.until - loop.time()) > 0:
            if loop.time() + remaining > call.deadline:
                name = call.operation.name
                return TransportError(
                    f"{name}: the service asked for a pause of {remaining:.0f} s more, "
                    "longer than this call may take; try again after that",
                    operation=name,
                )
            await asyncio.sleep(self._pause.delay_s(loop.time(), self._rng))
        return None

    def _judged(self, call: CallState, outcome: Response | TransportError) -> Response | BesmartError:
        """Return a good answer; else the error that it means."""
        if not isinstance(outcome, Response):
            return outcome
        if 200 <= outcome.status < 300:
            if self._budget.tokens < self._policy.budget:
                self._budget.refund(asyncio.get_running_loop().time())
            return outcome
        if call.repeated and outcome.status in call.operation.done_if_repeated:
            return Response(204)
        response = self._secrets.hidden(outcome)
        if len(response.content) > ERROR_BYTES:
            response = attrs.evolve(response, content=response.content[:ERROR_BYTES])
        error = failure(call.operation, response, repeated=call.repeated, now_ms=self._wall_clock_ms())
        self._secrets.hide_in(error)
        if isinstance(error, AuthenticationError) and not self._has_login:
            error.hint = _NO_LOGIN
        if error.retry_after_s is not None and error.status in {429, 503}:
            now = asyncio.get_running_loop().time()
            self._pause.extend(min(error.retry_after_s, self._policy.max_retry_after_s), now)
        return error

    def _decided(self, call: CallState, error: BesmartError, attempts: int | None) -> Decision:
        """Decide what follows from an error; the reason for giving up is added to it as a note."""
        if call.renewing or not may_help(error, replay=call.operation.replay, sent=call.under_way):
            return Decision(None)  # a renewal was tried again already, once for all calls that waited
        now = asyncio.get_running_loop().time()
        failed = FailedAttempt(
            error=error,
            number=call.attempt,
            stale=call.stale,
            pause_s=self._pause.delay_s(now, self._rng),
            deadline=call.deadline,
        )
        decision = decide(failed, RetrySchedule.of(self._policy, attempts), self._budget, now, self._rng)
        if decision.reason:
            error.add_note(decision.reason)
        return decision

    def _note_retry(self, call: CallState, error: BesmartError, decision: Decision) -> None:
        assert decision.wait_s is not None  # noqa: S101 - else there is no retry
        name, attempt = call.operation.name, call.attempt
        call.repeated = call.repeated or (call.under_way and may_have_applied(error))
        call.stale += decision.stale
        call.attempt = attempt + 1
        call.begin_attempt()  # a call that is cut short while it waits has nothing under way
        self._hooks(RetryScheduled(operation=name, attempt=attempt, wait_s=decision.wait_s, error=error))

    def _with_outcome(self, error: BesmartError, call: CallState) -> BesmartError:
        """Return the error, with what became of the write or creation as a whole."""
        if call.operation.writes and not (isinstance(error, ApiError) and call.under_way):  # else its status says so
            in_doubt = call.repeated or (call.under_way and may_have_applied(error))
            error.outcome = "in_doubt" if in_doubt else "not_sent"
        return error

    def _cut_short(self, call: CallState) -> TransportError:
        name = call.operation.name
        reached = call.under_way and call.progress is not None and call.progress.reached
        if self._life.last_ended is not None:
            said = f"{name}: the client was closed while this call was under way"
            return TransportError(said, operation=name, reached=reached)
        said = f"{name}: no success within the total timeout of {self._policy.total_timeout_s:g} s"
        if call.queued:
            said += ", at the end of which it waited for a free connection of this client"
        return RequestTimeoutError(said, operation=name, reached=reached, queued=call.queued)

    # -- what a call needs -------------------------------------------------------------------------------------------

    async def _renew(
        self, operation: Operation[Token], credential: CredentialHeader | None, attempts: int | None
    ) -> Response:
        call = self._new_call(operation, asyncio.get_running_loop())
        outcome = await self._outcome(call, attempts, credential, renewal=True)
        if isinstance(outcome, Response):
            return outcome
        try:
            raise outcome
        finally:
            del outcome

    def _decoded(self, operation: Operation[T], response: Response) -> T | _Undecodable:
        """Return the result, or the error with what this layer knows, and without secrets, cut ones included."""
        try:
            return operation.decode(response)
        except DecodeError as failed:
            error = failed
        hidden = self._secrets.hidden(response)
        if hidden is not response:
            try:
                operation.decode(hidden)
            except DecodeError as blotted:
                error = blotted
        error.operation = operation.name
        error.outcome = "in_doubt" if operation.writes else None
        self._secrets.hide_in(error)
        if error.response is not None and len(error.response.content) > ERROR_BYTES:
            error.response = attrs.evolve(error.response, content=error.response.content[:ERROR_BYTES])
        error.__context__ = None  # whose frames hold the request
        return _Undecodable(error.with_traceback(None))

    def _checked_loop(self) -> asyncio.AbstractEventLoop:
        if self._life.closed:
            raise BesmartError(
                "this client is closed; make a new one, or keep `async with BesmartClient(...)` open longer"
            )
        loop, owner = asyncio._get_running_loop(), self._owner  # unlike the public function, this one never raises
        if loop is not None and loop is owner.loop and owner.pid == os.getpid():
            return loop
        return owner.check()

    def _new_call(self, operation: Operation[T], loop: asyncio.AbstractEventLoop) -> CallState:
        total_s = self._policy.total_timeout_s
        return CallState(operation, math.inf if math.isinf(total_s) else loop.time() + total_s)

    def _note_end(self) -> None:
        if self._life.last_ended is not None and not self._life.running:
            self._life.last_ended.set()

    async def _end_calls(self) -> None:
        """End every call that is under way or waits to be tried again."""
        self._life.last_ended = asyncio.Event()
        now = asyncio.get_running_loop().time()
        for scope in self._life.running:
            if not scope.expired():
                scope.reschedule(now)
        if self._life.running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await self._life.last_ended.wait()


@attrs.define(eq=False)
class _Life:
    """What a transport and those made of it by `with_options` share.

    Attributes:
        closed: nothing is sent any more.
        running: the scopes of the calls under way.
        last_ended: set when the last of them has ended; there while the transport is being closed.
        failing: whether the last call failed in a way that concerns all.
        answered_at: when the service last answered well, or refused a single call, on the loop's clock.
        failed_at: when a call last failed in a way that concerns all.
        error: how.
    """

    closed: bool = False
    running: set[asyncio.Timeout] = attrs.field(factory=set[asyncio.Timeout])
    last_ended: asyncio.Event | None = None
    failing: bool = False
    answered_at: float | None = None
    failed_at: float | None = None
    error: str | None = None

    def note(self, outcome: Response | BesmartError, now: float) -> None:
        """Record how a call has ended."""
        if isinstance(outcome, TransportError | AuthenticationError | ServerError | RateLimitError):
            self.failing, self.failed_at, self.error = True, now, str(outcome)
        elif isinstance(outcome, Response | ApiError):
            self.failing, self.answered_at = False, now


def _always(login: Operation[Token] | None, credentials: Credentials) -> FreshLogin | None:
    if login is None:
        return None
    call = LoginCall(login, credentials)

    async def fresh_login() -> LoginCall:
        return call

    return fresh_login


@attrs.frozen(eq=False)
class _Undecodable:
    """A value, so that it can come back from a thread without frames."""

    error: DecodeError
