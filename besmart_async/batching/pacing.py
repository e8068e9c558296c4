"""How fast to send: calls at a time, retries in total, pauses and probes, and limits learned from refusals.

Pure: `now` (seconds, any monotonic clock) and `rng` (a float from 0 to 1) come from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from besmart_async.batching.verdicts import congested
from besmart_async.config import MAX_RETRY_AFTER_S
from besmart_async.errors import BesmartError

Random = Callable[[], float]

PROBE_EVERY_S = 5.0
"""A service that is down is asked no more often than this."""
DOWN_AT_STRAIN = 8
"""So much strain in a row closes the gate: two refusals of the credentials, four lost calls, or eight 5xx. Where 30 %
of the calls meet a 503, that happens once in some twenty thousand."""


class Pace:
    """Calls at a time: slow start, then additive increase and multiplicative decrease; or a fixed number.

    Twice as many per clean round trip of a full window until the first trouble, then one more; 0.7 of it after a 429,
    503 or timeout, once per window, since the calls that were under way then tell nothing new.
    """

    def __init__(self, fixed: int | None, *, start: int = 4, most: int = 16) -> None:
        self._fixed = fixed
        self._window = float(start)
        self._most = most
        self._deaf = 0
        self._slow_start = True

    @property
    def limit(self) -> int:
        """How many calls may be under way."""
        return self._fixed if self._fixed is not None else int(self._window)

    @property
    def ceiling(self) -> int:
        """The most that `limit` can ever be."""
        return self._fixed if self._fixed is not None else self._most

    def succeeded(self) -> None:
        """Note a clean round trip."""
        self._deaf = max(0, self._deaf - 1)
        step = 1.0 if self._slow_start else 1.0 / self._window
        self._window = min(float(self._most), self._window + step)

    def failed(self, error: BaseException, under_way: int | None = None) -> None:
        """Note a failed call; `under_way` others are still to be answered (unknown: a full window)."""
        if self._deaf:
            self._deaf -= 1
        elif congested(error):
            self._slow_start = False
            self._deaf = self.limit - 1 if under_way is None else under_way
            self._window = max(1.0, self._window * 0.7)


class Gate:
    """Whether anything may be sent at all: pauses by Retry-After, and single probes while the service is down.

    `closed_by` is what closed it, None while all is well. While it is closed by an outage or by refused credentials,
    one call at a time may pass, `PROBE_EVERY_S` after the last one.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._strain = 0
        self._paused_until = float("-inf")
        self._probe_at = float("-inf")
        self.closed_by: BesmartError | None = None

    def opens_at(self, now: float, in_flight: int) -> float | None:
        """When the next call may leave, not after `now` if at once; None: not before one of those under way ended."""
        if self.closed_by is not None:
            return None if in_flight else max(self._probe_at, self._paused_until)
        return self._paused_until

    def paused(self, now: float) -> bool:
        """Whether sending is held up."""
        return self.closed_by is not None or now < self._paused_until

    def answered(self) -> bool:
        """Note that the service is well; True if that opens the gate."""
        opened = self.closed_by is not None
        self._strain = 0
        self.closed_by = None
        return opened

    def failed(self, error: BesmartError, weight: int, now: float) -> bool:
        """Note a call without success; True if that closes the gate."""
        self._strain += weight
        closed_before = self.closed_by is not None
        if self._strain >= DOWN_AT_STRAIN or closed_before:
            self._close(error, now)
        return self.closed_by is not None and not closed_before

    def told_to_wait(self, seconds: float, now: float) -> float:
        """Note a Retry-After; return how long nothing is sent, with a jitter that spreads many clients."""
        wait_s = min(seconds, MAX_RETRY_AFTER_S)
        wait_s += self._rng() * min(1.0, 0.1 * wait_s)
        self._paused_until = max(self._paused_until, now + wait_s)
        return wait_s

    def probe_sooner(self, now: float) -> None:
        """Let the next probe leave at once: it is so much smaller that it asks something new."""
        self._probe_at = min(self._probe_at, now)

    def _close(self, error: BesmartError, now: float) -> None:
        self.closed_by = error
        self._probe_at = max(self._probe_at, now + PROBE_EVERY_S * (1.0 + 0.2 * self._rng()))


class LearnedRate:
    """Calls per second that the service accepts, learned from its throttling; without any, there is no limit.

    A 429 (or a 503 with Retry-After) says that the calls taken since the last pause are about what the service takes
    in that time, or in the time of Retry-After if that is longer: services count calls over such a time, and many are
    taken at its start. The pause itself is not counted, since nothing could be taken then. From there the rate grows
    by `exp(GROWTH * t**2)` after t seconds without throttling: slowly at first, so that a limit which stays is met
    every ten seconds; one that is gone is forgotten in a minute. A first estimate from few calls doubles every
    `DOUBLING_S` until the next throttling confirms it.
    """

    GROWTH = 0.001
    DOUBLING_S = 1.0
    FORGET_S = 90.0
    _LEAST = 1 / 60
    _FEW = 8
    """An estimate from fewer calls than this is not confirmed."""
    _WINDOW_S = 1.0
    """Over how long the service counts calls if it names no Retry-After; most count by the second."""

    def __init__(self) -> None:
        self._base: float | None = None
        self._confirmed = False
        self._throttled_at: float | None = None
        self._goes_on_at = -math.inf
        self._began: float | None = None
        self._taken = 0
        self._next_at = -math.inf

    def per_second(self, now: float) -> float | None:
        """Return the present rate; None without a limit."""
        clean_s = max(0.0, now - self._goes_on_at)
        if self._base is None or clean_s > self.FORGET_S:
            self._base = None
            return None
        return self._base * (
            math.exp(self.GROWTH * clean_s**2) if self._confirmed else 2 ** (clean_s / self.DOUBLING_S)
        )

    def ready_at(self, now: float) -> float:
        """When the next call may leave; not after `now` if at once."""
        return -math.inf if self.per_second(now) is None else self._next_at

    def sent(self, now: float) -> None:
        """Note a call."""
        if self._began is None:
            self._began = now
        if (rate := self.per_second(now)) is not None:
            self._next_at = max(self._next_at, now) + 1.0 / rate

    def taken(self) -> None:
        """Note a call that the service took: it stored it, or refused what was in it."""
        self._taken += 1

    def throttled(self, sent_at: float, wait_s: float, now: float) -> None:
        """Note a call that was refused because there were too many, and how long nothing may be sent."""
        if sent_at < self._goes_on_at or (self._throttled_at is not None and sent_at <= self._deaf_until(wait_s)):
            return  # it was in flight when the last one was refused, or meets the same window: it tells nothing new
        window_s = wait_s or self._WINDOW_S
        before = self.per_second(now)
        if before is None:
            began = now if self._began is None else max(self._began, now - self.FORGET_S)
            self._base = max(self._taken, 1) / max(now - began, window_s)
            self._confirmed = self._taken >= self._FEW
        else:
            measured = 1.03 * self._taken / max(now - self._goes_on_at, window_s)
            least = 0.3 if self._confirmed else 0.7
            self._base = max(min(0.9 * before, max(measured, least * before)), self._LEAST)
            self._confirmed = True
        self._taken = 0
        self._throttled_at = now
        self._goes_on_at = now + wait_s
        self._next_at = self._goes_on_at + (1.0 / self._base if not wait_s else 0.0)

    def _deaf_until(self, wait_s: float) -> float:
        """Until when sent calls that are refused belong to the last refusal."""
        assert self._throttled_at is not None  # noqa: S101 - asked only after a refusal
        return self._throttled_at + (0.0 if wait_s else self._WINDOW_S)
