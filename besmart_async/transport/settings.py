"""What a `Transport` is made of. Every setting that cannot work is refused here, named, and never shown if secret."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs
import httpx

from besmart_async.config import MAX_ANSWER_BYTES, MAX_CONNECTIONS, RetryPolicy, Timeouts
from besmart_async.errors import BesmartConfigError
from besmart_async.transport.events import Hook, check_hooks

AnyTransport: TypeAlias = httpx.AsyncBaseTransport
"""Whatever sends requests the way httpx does: the seam for other HTTP libraries, proxies and tests."""


def fits_a_header(secret: str) -> bool:
    """Return whether an HTTP header can hold it: visible ASCII, spaces only inside."""
    return secret.isascii() and secret.isprintable() and secret == secret.strip() != ""


def _wall_clock_ms() -> float:
    return time.time() * 1000


def _problem(secret: object, *, header: bool) -> str | None:
    """Return what is wrong with a credential; the text does not show it."""
    if secret is None:
        return None
    if not isinstance(secret, str) or not secret:
        return "give a text that is not empty, or None"
    if any("\ud800" <= character <= "\udfff" for character in secret):
        return "it holds half a character (a lone surrogate), which cannot be sent"
    if header and not fits_a_header(secret):
        return "it holds characters that no HTTP header can (a line end, perhaps); strip them"
    return None


@attrs.frozen
class Credentials:
    """What a client may log in with; never shown in a repr."""

    api_key: str | None = attrs.field(default=None, repr=False)
    login: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)

    def check(self) -> None:
        """Check them here, not in a validator, whose frame (shown in tracebacks) would hold them as local variables.

        Raises:
            BesmartConfigError: there is nothing to log in with, or something that cannot be sent.
        """
        for name in ("api_key", "login", "password", "token"):
            problem = _problem(getattr(self, name), header=name in {"api_key", "token"})
            if problem is not None:
                raise BesmartConfigError(f"{name}: {problem}")
        if self.token is None and self.login is None and self.password is None:
            raise BesmartConfigError(
                "give login, password and api_key, or a token; BesmartClient.from_env() reads them from the environment"
            )
        if (self.login is None) != (self.password is None):
            missing = "password" if self.password is None else "login"
            raise BesmartConfigError(f"{missing} is missing: login and password go together")


def _usable(instance: object, attribute: attrs.Attribute[Any], value: Credentials) -> None:
    value.check()


def _a(cls: type, words: str) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, cls):
            raise BesmartConfigError(f"{attribute.alias}={type(value).__name__}: give {words}")

    return check


def _hooks(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_hooks(value)


def _count(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BesmartConfigError(f"{attribute.name}={value!r}: give a whole number of at least 1")


def _transport(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, AnyTransport):
        raise BesmartConfigError(
            f"transport={type(value).__name__}: give an asynchronous httpx transport, such as aiohttp_transport() or "
            "httpx.AsyncHTTPTransport(), not a client and no synchronous one"
        )


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
        max_answer_bytes: the largest answer that is read, decompressed.
        allow_insecure_http: whether plain http may go to other machines.
        proxy: address of an HTTP proxy; None to follow the environment (HTTPS_PROXY, NO_PROXY ...).
        rng: source of jitter. The system's, by default: processes forked after the client was made differ.
        wall_clock_ms: this machine's clock, UTC unix ms; only used where an answer has no `Date`.
    """

    base_url: str = attrs.field(repr=False)
    credentials: Credentials = attrs.field(validator=_usable)
    timeouts: Timeouts = attrs.field(factory=Timeouts, validator=_a(Timeouts, "seconds, or Timeouts(...)"))
    retry: RetryPolicy = attrs.field(factory=RetryPolicy, validator=_a(RetryPolicy, "a RetryPolicy(...)"))
    http: AnyTransport | None = attrs.field(default=None, validator=_transport)
    hooks: Sequence[Hook] = attrs.field(default=(), validator=_hooks)
    max_connections: int = attrs.field(default=MAX_CONNECTIONS, validator=_count)
    max_answer_bytes: int = attrs.field(default=MAX_ANSWER_BYTES, validator=_count)
    allow_insecure_http: bool = attrs.field(default=False, validator=_a(bool, "True or False"))
    proxy: str | None = attrs.field(default=None, repr=False)
    rng: random.Random = attrs.field(factory=random.SystemRandom, repr=False)
    wall_clock_ms: Callable[[], float] = attrs.field(default=_wall_clock_ms, repr=False)
