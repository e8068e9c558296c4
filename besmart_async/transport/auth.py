"""The token middleware: every request gets a token that should be good; a 401 gets one more try with a better one.

Theory of operation. There is at most one renewal at a time: a task of its own, which every caller that needs its result
waits for (and none cancels). Nobody holds a lock while anybody's request is under way. A token is renewed

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

import attrs

from besmart_async.config import REFRESH_AT_FRACTION, REFRESH_JITTER_FRACTION
from besmart_async.errors import AuthenticationError, BesmartConfigError, BesmartError, Response
from besmart_async.models.tokens import Token
from besmart_async.transport.events import Hooks, TokenRenewed, logger
from besmart_async.transport.http import Call
from besmart_async.transport.secrets import Secrets
from besmart_async.wire.failures import failure, http_date_ms
from besmart_async.wire.operation import Auth, Operation

_REFUSED_FOR_S = 1.0
"""For this long a refused login is not asked again: a crowd of callers is one failed login, not an account lock."""

_REFRESH_AGAIN_AFTER = 0.25
"""Share of the remaining life after which a refresh that failed is tried again."""

Attempt = Callable[[Call, dict[str, str]], Awaitable[Response]]


@attrs.frozen
class Credentials:
    """What a client may log in with; never shown in a repr."""

    api_key: str | None = attrs.field(default=None, repr=False)
    login: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class _Held:
    """A token with the moments (on the loop's clock) from which it should be, and must be, replaced."""

    token: str = attrs.field(repr=False)
    refresh_at: float = float("inf")
    expires_at: float = float("inf")


class TokenAuth:
    """Adds the bearer token to attempts, and renews it.

    Args:
        credentials: the API key for login, and a token to start with.
        login: the login operation; None where there are no credentials for it.
        refresh: the refresh operation.
        attempt: sends one attempt.
    """

    def __init__(
        self,
        credentials: Credentials,
        login: Operation[Token] | None,
        refresh: Operation[Token],
        attempt: Attempt,
        *,
        hooks: Hooks,
        secrets: Secrets,
        rng: random.Random,
        wall_clock_ms: Callable[[], float],
    ) -> None:
        self._login = login
        self._refresh = refresh
        self._attempt = attempt
        self._hooks = hooks
        self._secrets = secrets
        self._rng = rng
        self._wall_clock_ms = wall_clock_ms
        self._api_key = credentials.api_key
        self._held = _Held(credentials.token) if credentials.token else None
        self._renewal: asyncio.Task[Token] | None = None
        self._refusal: tuple[float, BesmartError] | None = None

    async def attempt(self, call: Call) -> Response:
        """Send one attempt with the current token; after a 401, once more with a newer one.

        Raises:
            AuthenticationError: the credentials are refused.
            TransportError: from sending, or from renewing (then nothing of this call was sent).
        """
        token = await self._bearer()
        response = await self._attempt(call, _bearer_header(token))
        if response.status != 401:
            return response
        call.under_way = False  # a 401 applied nothing
        better = await self._better_than(token)
        return response if better is None else await self._attempt(call, _bearer_header(better))

    async def login(self) -> Token:
        """Log in now, and use the new token from here on.

        Raises:
            BesmartConfigError: the client has no login and password.
            AuthenticationError: the credentials are refused.
        """
        if self._login is None:
            raise BesmartConfigError("cannot log in: give the client login, password and api_key")
        return await self._renewed(by_login=True)

    async def refresh(self) -> Token:
        """Refresh the token now; without one, log in first.

        Raises:
            AuthenticationError: the token is not accepted, or the credentials are refused.
        """
        if self._held is None and self._login is not None:
            await self._renewed(by_login=True)
        return await self._renewed(by_login=False, fall_back=False)

    async def aclose(self) -> None:
        """Stop a renewal that is under way."""
        if self._renewal is not None and not self._renewal.done():
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _bearer(self) -> str:
        held, now = self._held, asyncio.get_running_loop().time()
        if held is None:
            return (await self._renewed(by_login=True)).token
        if now >= held.expires_at and self._login is not None:
            return (await self._renewed(by_login=False)).token
        if now >= held.refresh_at and self._renewal is None:
            self._start_renewal(by_login=False, fall_back=True)  # this call goes on with the old token meanwhile
        return held.token

    async def _better_than(self, failed: str) -> str | None:
        if self._held is None or self._held.token == failed:
            if self._renewal is None and self._login is None:
                return None
            return (await self._renewed(by_login=True)).token
        return self._held.token

    async def _renewed(self, *, by_login: bool, fall_back: bool = True) -> Token:
        if self._renewal is None:
            if by_login and self._login is None:
                raise BesmartConfigError(
                    "no token and nothing to log in with: give login, password and api_key, or a token"
                )
            if self._refusal is not None and asyncio.get_running_loop().time() < self._refusal[0]:
                raise self._refusal[1].clone()
            self._start_renewal(by_login=by_login, fall_back=fall_back)
        assert self._renewal is not None  # noqa: S101 - just started, or found running
        try:
            return await asyncio.shield(self._renewal)
        except BesmartError as error:
            raise error.clone() from error.__cause__

    def _start_renewal(self, *, by_login: bool, fall_back: bool) -> None:
        self._renewal = asyncio.create_task(
            self._renew(by_login=by_login, fall_back=fall_back), name="besmart-renew-token"
        )
        self._renewal.add_done_callback(self._renewal_done)

    def _renewal_done(self, task: asyncio.Task[Token]) -> None:
        self._renewal = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AuthenticationError):
            self._refusal = (asyncio.get_running_loop().time() + _REFUSED_FOR_S, error)
        if error is not None:
            logger.debug("renewing the token failed: %s", error)
            self._postpone_refresh()

    def _postpone_refresh(self) -> None:
        held, now = self._held, asyncio.get_running_loop().time()
        if held is not None and held.refresh_at <= now < held.expires_at:
            self._held = attrs.evolve(held, refresh_at=now + max(1.0, _REFRESH_AGAIN_AFTER * (held.expires_at - now)))

    async def _renew(self, *, by_login: bool, fall_back: bool) -> Token:
        if not by_login and self._held is not None:
            try:
                return await self._fetch(self._refresh, _bearer_header(self._held.token))
            except BesmartError:
                if not fall_back or self._login is None:
                    raise
        if self._login is None:
            raise BesmartConfigError("the token is no longer accepted and there is nothing to log in with")
        return await self._fetch(self._login, {"X-Auth": self._api_key} if self._api_key else {})

    async def _fetch(self, operation: Operation[Token], headers: dict[str, str]) -> Token:
        loop = asyncio.get_running_loop()
        response = await self._attempt(Call(operation, deadline=float("inf")), headers)
        if response.status >= 300:
            error = failure(operation, response, now_ms=self._wall_clock_ms())
            self._secrets.hide_in(error)
            raise error
        token = operation.decode(response)
        self._secrets.add_token(token.token)
        life_s = self._life_s(token, response)
        self._held = self._hold(token.token, life_s, loop.time())
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
