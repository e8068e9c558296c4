"""Sessions: who may context, and until when."""

from __future__ import annotations

import random

from besmart_async.simulator.http.refusals import unauthorized
from besmart_async.simulator.settings import Settings


class Tokens:
    """The issued tokens, each with its expiration in ms. Clock and lifetime come from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._random = random.Random(settings.seed)  # noqa: S311  # reproducible runs, nothing to protect
        self._expires: dict[str, float] = {}
        self.logins = 0
        self.refreshes = 0

    def issue(self) -> tuple[str, float]:
        """A new token and its expiration in ms."""
        token = f"{self._random.getrandbits(128):032x}"
        self._expires[token] = self._settings.now_ms() + self._settings.token_lifetime_s * 1000.0
        return token, self._expires[token]

    def refresh(self, token: str) -> tuple[str, float]:
        """A rotated or prolonged token and its expiration in ms."""
        if self._settings.rotate_on_refresh:
            del self._expires[token]
            return self.issue()
        self._expires[token] = self._settings.now_ms() + self._settings.token_lifetime_s * 1000.0
        return token, self._expires[token]

    def check(self, token: str | None) -> str:
        """The token, if it is valid.

        Raises:
            Refusal: 401 without a token, or with one that is unknown or expired.
        """
        if token is None:
            unauthorized("No authorization token provided")
        expires = self._expires.get(token)
        if expires is None or expires <= self._settings.now_ms():
            unauthorized()
        return token

    def revoke(self) -> None:
        """Forget every token."""
        self._expires.clear()

    def expire(self) -> None:
        """Let every token expire now."""
        now = self._settings.now_ms()
        self._expires = {token: min(at, now) for token, at in self._expires.items()}
