"""The token middleware: every request gets a token that should be good; a 401 gets one more try with a better one.

Theory of operation. There is at most one renewal at a time: a task of its own, which every caller that needs its result
waits for (and none cancels). It is tried again by the retry policy, once for all who wait; what it ends with, each of
them gets. Nobody holds a lock while anybody's request is under way. A token is renewed

- lazily, by the first call that needs one: login (or the token the caller gave, until it fails);
- ahead of its expiry, in the background, while calls go on with the old one: refresh, or login where that fails;
- after a 401, but only if the token that failed is still the current one: by login: refreshing needs a good token.

A token's life is measured from the `Date` header of the answer that brought it, so a wrong clock does not matter; since
that header has whole seconds, a second is taken off. A life that is over on arrival means: use it until a 401.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Literal

import attrs

from besmart_async.config import REFRESH_AT_FRACTION, REFRESH_JITTER_FRACTION
from besmart_async.errors import AuthenticationError, BesmartConfigError, BesmartError, DecodeError, Response
from besmart_async.models.tokens import Token
from besmart_async.transport.events import Event, Hooks, TokenRenewed, logger
from besmart_async.transport.http import Call
from besmart_async.transport.secrets import Secrets
from besmart_async.transport.settings import Credentials
from besmart_async.wire.failures import http_date_ms
from besmart_async.wire.operation import Auth, Operation

_REFUSED_FOR_S = 1.0
"""For this long a refused login is not asked again: a crowd of callers is one failed login, not an account lock."""

_REFRESH_AGAIN_AFTER = 0.25
"""Share of the remaining life after which a refresh that failed is tried again."""

Attempt = Callable[[Call, dict[str, str]], Awaitable[Response]]
Renew = Callable[[Operation[Token], dict[str, str], int | None], Awaitable[Response]]

_By = Literal["login", "refresh", "either"]
"""How a renewal goes: `"either"` is by refresh, and by login where that fails."""


@attrs.frozen
class _Held:
    """A token with the moments (on the loop's clock) from which it should be, and must be, replaced."""

    token: str = attrs.field(repr=False)
    refresh_at: float = float("inf")
    expires_at: float = float("inf")


@attrs.frozen(eq=False)
class _Renewal:
    by: _By
    task: asyncio.Task[Token]


class TokenAuth:
    """Adds the bearer token to attempts, and renews it.

    Args:
        credentials: the API key for login, and a token to start with.
        login: the login operation; None where there are no credentials for it.
        refresh: the refresh operation.
        attempt: sends one attempt, and returns the answer whatever its status.
        renew: carries out a login or refresh, with so many tries at most, and returns a good answer.
    """

    def __init__(
        self,
        credentials: Credentials,
        login: Operation[Token] | None,
        refresh: Operation[Token],
        attempt: Attempt,
        renew: Renew,
        *,
        hooks: Hooks[Event],
        secrets: Secrets,
        rng: random.Random,
        wall_clock_ms: Callable[[], float],
    ) -> None:
        self._login = login
        self._refresh = refresh
        self._attempt = attempt
        self._renew = renew
        self._hooks = hooks
        self._secrets = secrets
        self._rng = rng
        self._wall_clock_ms = wall_clock_ms
        self._api_key = credentials.api_key
        self._held = _Held(credentials.token) if credentials.token else None
        self._renewal: _Renewal | None = None
        self._refusal: tuple[float, BesmartError] | None = None

    async def attempt(self, call: Call) -> Response:
        """Send one attempt with the current token; after a 401, once more with a newer one.

        Raises:
            AuthenticationError: the credentials are refused.
            TransportError: from sending, or from renewing (then nothing of this call was sent).
        """
        call.renewing = True
        token = await self._bearer()
        call.renewing = False
        response = await self._attempt(call, _bearer_header(token))
        if response.status != 401 or not self._can_do_better(token):
            return response
        call.under_way, call.renewing = False, True  # a 401 applied nothing
        better = await self._better_than(token)
        call.renewing = False
        return await self._attempt(call, _bearer_header(better))

    async def login(self) -> Token:
        """Log in now, and use the new token from here on.

        Raises:
            BesmartConfigError: the client has no login and password.
            AuthenticationError: the credentials are refused.
        """
        return await self._renewed("login", exactly=True)

    async def refresh(self) -> Token:
        """Refresh the token now; without one, log in first.

        Raises:
            AuthenticationError: the token is not accepted, or the credentials are refused.
        """
        if self._held is None:
            await self._renewed("login")
        return await self._renewed("refresh")

    async def aclose(self) -> None:
        """Stop a renewal that is under way."""
        if self._renewal is not None:
            self._renewal.task.cancel()
            await asyncio.wait([self._renewal.task])

    async def _bearer(self) -> str:
        held, now = self._held, asyncio.get_running_loop().time()
        if held is None:
            return (await self._renewed("login")).token
        if now >= held.expires_at and self._login is not None:
            return (await self._renewed("either")).token
        if now >= held.refresh_at and self._renewal is None and self._recent_refusal() is None:
            self._start("either")  # this call goes on with the old token meanwhile
        return held.token

    def _can_do_better(self, failed: str) -> bool:
        return self._login is not None or self._renewal is not None or self._current(failed) is not None

    async def _better_than(self, failed: str) -> str:
        return self._current(failed) or (await self._renewed("login")).token

    def _current(self, failed: str) -> str | None:
        """Return the current token if it is another one than that which failed."""
        return None if self._held is None or self._held.token == failed else self._held.token

    async def _renewed(self, by: _By, *, exactly: bool = False) -> Token:
        while (running := self._renewal) is not None and exactly and running.by != by:
            await asyncio.wait([running.task])
        task = (running or self._start(by)).task
        await asyncio.wait([task])  # who is cancelled here leaves the renewal and the others alone
        if task.cancelled():
            raise BesmartError("the client was closed while it renewed its token")
        error = task.exception()
        if error is None:
            return task.result()
        if running is not None and running.by == "refresh" != by and self._login is not None:
            return await self._renewed(by)  # somebody's explicit refresh failed; that is not the last word
        if isinstance(error, BesmartError):
            raise error.clone() from error.__cause__
        raise error

    def _start(self, by: _By) -> _Renewal:
        if self._login is None and by == "login":
            raise BesmartConfigError("cannot log in: give the client login, password and api_key")
        if by != "refresh" and (refusal := self._recent_refusal()) is not None:
            raise refusal.clone()
        task = asyncio.create_task(self._new_token(by), name="besmart-renew-token")
        self._renewal = _Renewal(by, task)
        task.add_done_callback(self._ended)
        return self._renewal

    def _ended(self, task: asyncio.Task[Token]) -> None:
        self._renewal = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AuthenticationError) and self._login is not None and error.operation == self._login.name:
            self._refusal = (asyncio.get_running_loop().time() + _REFUSED_FOR_S, error)
        if error is not None:
            logger.debug("renewing the token failed: %s", error)
            self._postpone_refresh()

    def _recent_refusal(self) -> BesmartError | None:
        if self._refusal is None or asyncio.get_running_loop().time() >= self._refusal[0]:
            return None
        return self._refusal[1]

    def _postpone_refresh(self) -> None:
        held, now = self._held, asyncio.get_running_loop().time()
        if held is not None and held.refresh_at <= now < held.expires_at:
            self._held = attrs.evolve(held, refresh_at=now + max(1.0, _REFRESH_AGAIN_AFTER * (held.expires_at - now)))

    async def _new_token(self, by: _By) -> Token:
        if by != "login" and self._held is not None:
            last_resort = by == "refresh" or self._login is None
            try:
                return await self._fetch(
                    self._refresh, _bearer_header(self._held.token), attempts=None if last_resort else 1
                )
            except BesmartError as error:
                if last_resort:
                    raise
                logger.debug("refreshing the token failed, logging in: %s", error)
        assert self._login is not None  # noqa: S101 - checked where the renewal was started
        return await self._fetch(self._login, {"X-Auth": self._api_key} if self._api_key else {})

    async def _fetch(self, operation: Operation[Token], headers: dict[str, str], attempts: int | None = None) -> Token:
        response = await self._renew(operation, headers, attempts)
        try:
            token = operation.decode(response)
        except DecodeError as error:
            error.operation, error.response = operation.name, None  # there may be half a token in it
            raise
        self._secrets.add_token(token.token)
        life_s = self._life_s(token, response)
        self._held = self._hold(token.token, life_s, asyncio.get_running_loop().time())
        self._hooks(TokenRenewed(by="login" if operation.auth is Auth.API_KEY else "refresh", life_s=life_s))
        return token

    def _life_s(self, token: Token, response: Response) -> float | None:
        if token.expiration is None:
            return None
        sent_ms = http_date_ms(response.headers.get("date", ""))
        life_s = (
            (token.expiration - self._wall_clock_ms()) / 1000
            if sent_ms is None
            else (token.expiration - sent_ms) / 1000 - 1.0
        )
        return life_s if life_s > 0 else None

    def _hold(self, token: str, life_s: float | None, now: float) -> _Held:
        if life_s is None:
            return _Held(token)
        share = REFRESH_AT_FRACTION + self._rng.uniform(-REFRESH_JITTER_FRACTION, REFRESH_JITTER_FRACTION)
        return _Held(token, now + share * life_s, now + life_s)


def _bearer_header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
