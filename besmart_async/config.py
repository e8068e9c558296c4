"""Every setting with its default and the reason for it. Frozen values; nothing here does I/O.

Durations are seconds (`*_s`), sizes bytes (`*_bytes`), counts `max_*`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from besmart_async.errors import BesmartConfigError

DEFAULT_BASE_URL = "https://api.besmart.energy/api"
"""The base URL of the API document."""

REFRESH_AT_FRACTION = 0.85
"""Share of a token's life after which it is refreshed ahead: early enough for a retry, late enough to be rare."""

REFRESH_JITTER_FRACTION = 0.05
"""Spread of the refresh moment, so that a fleet started together does not refresh together."""

MAX_CONNECTIONS = 64
"""Connections of one client: four full adaptive writers (16 in flight each), or a busy web application."""


MAX_ANSWER_BYTES = 128 << 20
"""The largest answer that is read, decompressed: a month of minutes of some 80 signals."""

MAX_RETRY_AFTER_S = 60.0
"""A longer Retry-After is cut to this."""

_MOST = 10**12
"""No setting has a use for more; larger integers do not fit into a float."""


def _at_least(minimum: float, *, finite: bool = False, whole: bool = False) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        endless = number and not finite and value == math.inf
        if not number or not (minimum <= value <= _MOST or endless):
            kind = "whole number" if whole else "finite number" if finite else "number"
            raise BesmartConfigError(
                f"{type(instance).__name__}.{attribute.name}={_short(value)}: give a {kind} of at least {minimum}"
            )

    return check


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 40 else f"{text[:39]}…"


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long one attempt of a request may take.

    Attributes:
        connect_s: for the TCP and TLS handshakes. 5 s: a healthy service answers in under one.
        pool_s: for a free connection of this client. Not limited separately: `RetryPolicy.total_timeout_s` bounds the
            call, and waiting for one's own connections says nothing about the service.
        read_s: for the whole attempt, from connecting to the last byte of the answer. 30 s covers slow bulk reads.
        min_bytes_per_s: the attempt may take `body bytes / min_bytes_per_s` longer. 100 KiB/s: a poor uplink.

    Each may be `math.inf` for no limit.
    """

    connect_s: float = attrs.field(default=5.0, validator=_at_least(0.001))
    pool_s: float = attrs.field(default=math.inf, validator=_at_least(0.001))
    read_s: float = attrs.field(default=30.0, validator=_at_least(0.001))
    min_bytes_per_s: float = attrs.field(default=100 * 1024.0, validator=_at_least(1.0))

    def attempt_s(self, body_bytes: int) -> float:
        """Seconds that one attempt with a body of this size may take."""
        return self.read_s + body_bytes / self.min_bytes_per_s

    @classmethod
    def of(cls, timeout: float | Timeouts) -> Timeouts:
        """Read a plain number as the seconds of one whole attempt."""
        if isinstance(timeout, Timeouts):
            return timeout
        given: object = timeout
        if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
            raise BesmartConfigError(f"timeout={timeout!r}: give seconds above 0, or Timeouts(...)")
        return cls(read_s=timeout, connect_s=min(5.0, timeout))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When and how often a call is tried again. Which operations may be repeated is the operation's own `replay`.

    Attributes:
        max_attempts: tries of one call, the first included. 3: one blip and one slow restart.
        initial_wait_s: upper end of the first (fully jittered) wait. 0.5 s.
        max_wait_s: upper end of any wait. 8 s.
        total_timeout_s: the whole call, waits included. 120 s; `math.inf` for no end.
        max_retry_after_s: a longer Retry-After is cut to this. 60 s.
        budget: tokens of the retry budget shared by the client's calls; at 0 nothing is retried, `math.inf` sets no
            limit. 500.
        retry_cost: tokens one retry takes. 5: a hundred retries in a row, then no more.
        timeout_cost: tokens a retry after a timeout takes, which costs the service more. 10.
        success_refund: tokens a success gives back. 1.
    """

    max_attempts: int = attrs.field(default=3, validator=_at_least(1, whole=True))
    initial_wait_s: float = attrs.field(default=0.5, validator=_at_least(0.0, finite=True))
    max_wait_s: float = attrs.field(default=8.0, validator=_at_least(0.0, finite=True))
    total_timeout_s: float = attrs.field(default=120.0, validator=_at_least(0.001))
    max_retry_after_s: float = attrs.field(default=MAX_RETRY_AFTER_S, validator=_at_least(0.0, finite=True))
    budget: float = attrs.field(default=500.0, validator=_at_least(0.0))
    retry_cost: float = attrs.field(default=5.0, validator=_at_least(0.0, finite=True))
    timeout_cost: float = attrs.field(default=10.0, validator=_at_least(0.0, finite=True))
    success_refund: float = attrs.field(default=1.0, validator=_at_least(0.0, finite=True))


@attrs.frozen(kw_only=True)
class BatchPolicy:
    """How a writer or reader gathers single calls into bulk calls.

    Attributes:
        linger_s: how long the first item of a batch waits for others. 50 ms: too short to notice, enough to coalesce.
        max_items: signals in one bulk write; None: 500 at first, more (up to 10,000) while answers stay clean and
            bodies are far below `max_bytes`, fewer after a 413, a 422 whose parts all pass, or a timeout.
        max_readings: readings in one bulk write. 50,000: about 2 MB as JSON at most, far less than a read timeout.
        max_bytes: serialized bytes of one bulk write. 900,000: under nginx's default limit of 1 MB.
        max_memory_bytes: what the writer may hold before `write` waits: three quarters for readings that wait, the rest
            for the bodies of calls under way. 64 MiB.
        max_in_flight: bulk calls at a time; None adapts between 1 and 16.
        delivery_timeout_s: how long a batch is retried before it is handed back. 120 s; endless with a journal.
        admission_timeout_s: how long `write` waits for room before it raises. 60 s.
        close_timeout_s: how long leaving `async with` drains. 30 s.
        hold_off_s: a request whose answer was lost may still be applied for so long; newer values of exactly its
            readings wait. 60 s: the time common front ends sit on a request.
        initial_wait_s: upper end of the first wait before a batch is sent again. 1 s.
        max_wait_s: upper end of any such wait. 60 s.
        max_refused_share: share of the signals that the service refuses, counted over `refusal_window_s`, at which the
            writer stops. 1.0: only when nothing at all is stored; a producer whose readings are all bad stops nobody
            else. `math.inf`: never.
        refusal_window_s: how long a refusal counts, and how long such a stop lasts. 60 s.
    """

    linger_s: float = attrs.field(default=0.05, validator=_at_least(0.0, finite=True))
    max_items: int | None = attrs.field(default=None, validator=attrs.validators.optional(_at_least(1, whole=True)))
    max_readings: int = attrs.field(default=50_000, validator=_at_least(1, whole=True))
    max_bytes: int = attrs.field(default=900_000, validator=_at_least(1_000, whole=True))
    max_memory_bytes: int = attrs.field(default=64 << 20, validator=_at_least(1_000, whole=True))
    max_in_flight: int | None = attrs.field(default=None, validator=attrs.validators.optional(_at_least(1, whole=True)))
    delivery_timeout_s: float = attrs.field(default=120.0, validator=_at_least(0.0))
    admission_timeout_s: float = attrs.field(default=60.0, validator=_at_least(0.0))
    close_timeout_s: float = attrs.field(default=30.0, validator=_at_least(0.0))
    hold_off_s: float = attrs.field(default=60.0, validator=_at_least(0.0, finite=True))
    initial_wait_s: float = attrs.field(default=1.0, validator=_at_least(0.0, finite=True))
    max_wait_s: float = attrs.field(default=60.0, validator=_at_least(0.0, finite=True))
    max_refused_share: float = attrs.field(default=1.0, validator=_at_least(0.01))
    refusal_window_s: float = attrs.field(default=60.0, validator=_at_least(0.0, finite=True))


@attrs.frozen(kw_only=True)
class ReadPolicy:
    """How a reader gathers single reads into bulk reads.

    Attributes:
        linger_s: how long the first read of a batch waits for company. 5 ms: someone waits for each read, and callers
            that ask at the same time do so within a millisecond. 0 sends at once.
        max_items: signals in one bulk read. 200: an answer with a day of quarter hours each is some 600 KB.
        max_in_flight: bulk reads at a time; None adapts between 1 and 16.
        max_window_s: `stream` cuts longer windows into parts of about this. 31 days: a part of quarter hours is some
            3,000 readings, of minutes 45,000. `math.inf` cuts nothing. `read` never cuts: one question, one answer.
        max_outstanding: parts a `stream` has asked for and its consumer has not taken. 3,200: sixteen full batches, as
            many as may be under way; with a service that is far away, fewer would wait for each other.
        max_readings_ahead: readings in these parts, by the average of the answers so far. 4,000,000: some 65 MB as
            columns, and as much again for answers that arrive together. With months of quarter hours that is seven
            batches, with days the other limit counts.
        close_timeout_s: how long closing waits for reads under way. 30 s: one attempt's read timeout.
    """

    linger_s: float = attrs.field(default=0.005, validator=_at_least(0.0, finite=True))
    max_items: int = attrs.field(default=200, validator=_at_least(1, whole=True))
    max_in_flight: int | None = attrs.field(default=None, validator=attrs.validators.optional(_at_least(1, whole=True)))
    max_window_s: float = attrs.field(default=31 * 86_400.0, validator=_at_least(1.0))
    max_outstanding: int = attrs.field(default=3_200, validator=_at_least(1, whole=True))
    max_readings_ahead: int = attrs.field(default=4_000_000, validator=_at_least(1, whole=True))
    close_timeout_s: float = attrs.field(default=30.0, validator=_at_least(0.0))


ALLOW_INSECURE_HTTP = "BESMART_ALLOW_INSECURE_HTTP"
_SWITCH = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


def insecure_http_allowed(environ: Mapping[str, str]) -> bool:
    """Return whether an environment allows plain http to other machines, with BESMART_ALLOW_INSECURE_HTTP.

    Raises:
        BesmartConfigError: it is neither on nor off.
    """
    text = environ.get(ALLOW_INSECURE_HTTP, "").strip()
    if text.casefold() not in _SWITCH:
        raise BesmartConfigError(f"{ALLOW_INSECURE_HTTP}={text}: set it to 1 or 0")
    return _SWITCH[text.casefold()]
