"""What a `Transport` is made of. Every setting that cannot work is refused here, named, and never shown if secret."""

from __future__ import annotations

import random
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
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


@attrs.frozen
class AskedCredentials(Credentials):
    """At most a token: everything else is asked for before each login."""

    def check(self) -> None:
        """Check the token alone.

        Raises:
            BesmartConfigError: it cannot be sent.
        """
        problem = _problem(self.token, header=True)
        if problem is not None:
            raise BesmartConfigError(f"token: {problem}")


_OURS = frozenset(
    {
        "authorization",
        "x-auth",
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that the client sets, or whose change would break the connection."""


def checked_headers(headers: object) -> dict[str, str]:
    """Return headers that every request may carry. Values are not shown: they may be secrets.

    Raises:
        BesmartConfigError: a header that the client sets itself, or that HTTP cannot carry.
    """
    if not isinstance(headers, Mapping):
        raise BesmartConfigError(f"headers={type(headers).__name__}: give a mapping of names to values")
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise BesmartConfigError(f"headers: {name!r} is not the name of an HTTP header")
        if name.lower() in _OURS:
            raise BesmartConfigError(f"headers: the client sets {name} itself; leave it out")
        if not isinstance(value, str) or not fits_a_header(value):
            raise BesmartConfigError(f"headers: the value of {name} is not a text that an HTTP header can hold")
    return dict(headers)


def _headers(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    checked_headers(value)


def _tls(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise BesmartConfigError(
            f"ssl_context={type(value).__name__}: give an ssl.SSLContext, such as "
            "ssl.create_default_context(cafile=...)"
        )


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
        headers: sent with every request.
        ssl_context: the TLS context; None for one with the usual root certificates.
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
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, validator=_headers)
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, validator=_tls)
    proxy: str | None = attrs.field(default=None, repr=False)
    rng: random.Random = attrs.field(factory=random.SystemRandom, repr=False)
    wall_clock_ms: Callable[[], float] = attrs.field(default=_wall_clock_ms, repr=False)
