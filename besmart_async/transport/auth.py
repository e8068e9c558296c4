"""The token: which one a request gets, and how it is renewed.

Theory of operation. At most one renewal runs at a time, in a task of its own. Every caller that needs its result waits
for it, and none cancels it. The retry policy applies to the renewal, once for all callers that wait; each gets its
outcome. No lock is held while a request is under way. A token is renewed

- lazily, by the first call that needs one: login (or the token that was given, until it fails);
- before it expires, in the background, while calls go on with the old one: refresh, or login where that fails;
- after a 401, but only if the token that failed is still the current one: login, since refreshing needs a valid token.

The life of a token is measured from the `Date` header of the answer that brought it, so a wrong clock does not matter.
That header has whole seconds, so one second is subtracted. A token that has expired on arrival is used until a 401.

A token is handed on as a `HeldToken`, never as a text or a header mapping: local variables may be shown in tracebacks.
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
from besmart_async.transport.secrets import CredentialHeader, Secrets
from besmart_async.transport.settings import Credentials
from besmart_async.wire.failures import http_date_ms
from besmart_async.wire.operation import Auth, Operation

_REFUSED_FOR_S = 1.0
"""For this long a refused login is not asked again: a crowd of callers is one failed login, not an account lock."""

_REFRESH_AGAIN_AFTER = 0.25
"""Share of the remaining life after which a refresh that failed is tried again."""

LOGIN = "users.login"
"""Name of the login operation."""


@attrs.frozen
class LoginCall:
    """A login that is about to be sent.

    Attributes:
        operation: the login operation.
        credentials: what it logs in with; the API key goes in a header.
    """

    operation: Operation[Token]
    credentials: Credentials

    @property
    def header(self) -> CredentialHeader | None:
        """The header that carries the API key."""
        key = self.credentials.api_key
        return CredentialHeader("X-Auth", key) if key else None


FreshLogin = Callable[[], Awaitable[LoginCall]]
"""Returns the login to send now: credentials may have changed since the last one."""

Renew = Callable[[Operation[Token], CredentialHeader | None, int | None], Awaitable[Response]]

_By = Literal["login", "refresh", "either"]
"""How to renew: `"either"` is a refresh, and a login where that fails."""


def _bearer_header(held: HeldToken) -> CredentialHeader:
    return CredentialHeader("Authorization", f"Bearer {held.token}")


@attrs.frozen
class HeldToken:
    """A token with the moments (on the loop's clock) from which it should be, and must be, replaced."""

    token: str = attrs.field(repr=False)
    refresh_at: float = float("inf")
    expires_at: float = float("inf")
    header: CredentialHeader = attrs.field(init=False, default=attrs.Factory(_bearer_header, takes_self=True))


@attrs.frozen(eq=False)
class _Renewal:
    by: _By
    task: asyncio.Task[Token]


class TokenAuth:
    """Holds the bearer token, and renews it.

    Args:
        credentials: a token to start with.
        login: returns the login to send; None where there are no credentials for it.
        refresh: the refresh operation.
        renew: carries out a login or refresh, with so many attempts at most, and returns the answer of a success.
    """

    def __init__(
        self,
        credentials: Credentials,
        login: FreshLogin | None,
        refresh: Operation[Token],
        renew: Renew,
        *,
        hooks: Hooks[Event],
        secrets: Secrets,
        rng: random.Random,
        wall_clock_ms: Callable[[], float],
    ) -> None:
        self._login = login
        self._refresh = refresh
        self._renew = renew
        self._hooks = hooks
        self._secrets = secrets
        self._rng = rng
        self._wall_clock_ms = wall_clock_ms
        self._held = HeldToken(credentials.token) if credentials.token else None
        self._renewal: _Renewal | None = None
        self._refusal: tuple[float, BesmartError] | None = None

    async def current(self) -> HeldToken:
        """Return the token for a request that is about to be sent.

        Raises:
            AuthenticationError: the credentials are refused.
            BesmartError: renewing it failed; nothing was sent.
        """
        held, now = self._held, asyncio.get_running_loop().time()
        if held is None:
            return await self._renewed_token("login")
        if now >= held.expires_at and self._login is not None:
            return await self._renewed_token("either")
        if now >= held.refresh_at and self._renewal is None and self._recent_refusal() is None:
            self._start("either")  # this call goes on with the old token meanwhile
        return held

    def can_replace(self, failed: HeldToken) -> bool:
        """Return whether there is, or may be, another token than the one that a 401 refused."""
        return self._login is not None or self._renewal is not None or self._newer_than(failed) is not None

    async def replacement(self, failed: HeldToken) -> HeldToken:
        """Return another token than the one that a 401 refused.

        Raises:
            BesmartError: as `current`.
        """
        return self._newer_than(failed) or await self._renewed_token("login")

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

    def expires_in_s(self, now: float) -> float | None:
        """Return for how long the token is valid; None if there is none, or nobody knows."""
        held = self._held
        return None if held is None or held.expires_at == float("inf") else held.expires_at - now

    async def aclose(self) -> None:
        """Stop a renewal that is under way."""
        if self._renewal is not None:
            self._renewal.task.cancel()
            await asyncio.wait([self._renewal.task])

    def _newer_than(self, failed: HeldToken) -> HeldToken | None:
        return None if self._held is None or self._held.token == failed.token else self._held

    async def _renewed_token(self, by: _By) -> HeldToken:
        await self._renewed(by)
        assert self._held is not None  # noqa: S101 - a renewal that succeeds holds its token
        return self._held

    async def _renewed(self, by: _By, *, exactly: bool = False) -> Token:
        while (running := self._renewal) is not None and exactly and running.by != by:
            await asyncio.wait([running.task])
        task = (running or self._start(by)).task
        await asyncio.wait([task])  # cancelling one caller leaves the renewal and the others alone
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
        if isinstance(error, AuthenticationError) and error.operation == LOGIN:
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
                return await self._fetch(self._refresh, self._held.header, attempts=None if last_resort else 1)
            except BesmartError as error:
                if last_resort:
                    raise
                logger.debug("refreshing the token failed, logging in: %s", error)
        assert self._login is not None  # noqa: S101 - checked where the renewal was started
        login = await self._login()
        self._secrets.add_all(login.credentials.api_key, login.credentials.password)
        return await self._fetch(login.operation, login.header)

    async def _fetch(
        self, operation: Operation[Token], credential: CredentialHeader | None, attempts: int | None = None
    ) -> Token:
        response = await self._renew(operation, credential, attempts)
        try:
            token = operation.decode(response)
        except DecodeError as error:
            error.operation, error.response = operation.name, None  # there may be half a token in it
            raise error.with_traceback(None)  # noqa: B904 - and in the frames of the decoder
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

    def _hold(self, token: str, life_s: float | None, now: float) -> HeldToken:
        if life_s is None:
            return HeldToken(token)
        share = REFRESH_AT_FRACTION + self._rng.uniform(-REFRESH_JITTER_FRACTION, REFRESH_JITTER_FRACTION)
        return HeldToken(token, now + share * life_s, now + life_s)
