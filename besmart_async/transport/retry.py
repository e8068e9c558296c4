"""Whether a failed attempt is tried again, and after how long. Pure: no I/O, no clock, no event loop.

One decision serves single calls (`pipeline`) and writers. Both keep a `RetryBudget` and describe their policy as a
`RetrySchedule`; after a failure both call `decide`:

    decision = decide(FailedAttempt(error=error, number=3), schedule, budget, now, rng)
    if decision.wait_s is None: give up, because of `decision.reason`
    else: try again `decision.wait_s` seconds from now

`now` is a moment in seconds on any monotonic clock, `rng` returns a float from 0 to 1. Whether the error is worth
another attempt at all is the caller's question (`may_help` answers it for single calls): a writer goes on after errors
that end a single call. tenacity computes the waits and the stops; it gets the outcome as a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
from tenacity import Future, RetryCallState, Retrying
from tenacity.stop import stop_after_attempt, stop_before_delay
from tenacity.wait import wait_exponential

from besmart_async.config import RetryPolicy
from besmart_async.errors import (
    AnswerTooLargeError,
    ApiError,
    BesmartError,
    ProtocolError,
    RequestTimeoutError,
    TransportError,
)

RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may well succeed."""

MAX_STALE = 4
"""Dead idle connections that one call or batch may meet without a wait and without using up an attempt. A pool of the
default transport holds four; a fifth is an ordinary failure."""

_PAUSE_JITTER = 0.1
"""Callers leave a pause spread over this share of it (one second at most), not all at once."""

_ROUNDING = 1e-9
"""Refilling adds small amounts; their rounding must not cost a turn."""

_RETRYING = Retrying()
"""tenacity asks for the object that retries; nothing of it is used."""


class RetryBudget:
    """A token bucket that bounds retries, so that a service in trouble is not asked more and more.

    Without arguments it is a writer's: two retries, plus half of the successes, plus one every five seconds.

    Attributes:
        tokens: what is left, as of the last call; below 0 after `take` without asking.
    """

    def __init__(
        self, *, start: float = 2.0, most: float = 10.0, per_success: float = 0.5, per_second: float = 0.2
    ) -> None:
        """Start with `start` tokens; refills never go above `most`."""
        self.tokens = start
        self._most = most
        self._per_success = per_success
        self._per_second = per_second
        self._at = math.inf

    @classmethod
    def of(cls, policy: RetryPolicy) -> RetryBudget:
        """Return the budget that all single calls of one client share; only successes refill it."""
        return cls(start=policy.budget, most=policy.budget, per_success=policy.success_refund, per_second=0.0)

    def refund(self, now: float) -> None:
        """Note a success."""
        self._refill(now)
        self.tokens = min(self._most, self.tokens + self._per_success)

    def ready_at(self, now: float, cost: float = 1.0) -> float:
        """Return the moment from which a retry of this cost can be paid: `now` or later, infinity for never."""
        self._refill(now)
        missing = cost - self.tokens
        if missing <= _ROUNDING:
            return now
        return now + missing / self._per_second if self._per_second and cost <= self._most else math.inf

    def take(self, cost: float = 1.0) -> None:
        """Pay for a retry."""
        self.tokens -= cost

    def _refill(self, now: float) -> None:
        self.tokens = min(self._most, self.tokens + max(0.0, now - self._at) * self._per_second)
        self._at = now


class OriginPause:
    """A pause that the service asked for by Retry-After. It holds for every call to the service."""

    def __init__(self) -> None:
        """Start without a pause."""
        self.until = -math.inf

    def extend(self, seconds: float, now: float) -> None:
        """Send nothing before `seconds` have passed."""
        self.until = max(self.until, now + seconds)

    def delay_s(self, now: float, rng: Callable[[], float]) -> float:
        """Return the seconds that one caller should wait, with jitter; 0 without a pause."""
        remaining = self.until - now
        return remaining + rng() * min(1.0, _PAUSE_JITTER * remaining) if remaining > 0 else 0.0


@attrs.frozen(kw_only=True)
class RetrySchedule:
    """How one kind of call is retried.

    Attributes:
        initial_wait_s: upper end of the first wait; it doubles with each attempt. The wait itself is random, from 0.
        max_wait_s: upper end of any wait.
        max_attempts: attempts in all, the first included; None for no limit but the deadline.
        retry_cost: what a retry takes from the budget.
        timeout_cost: what a retry after a timeout takes.
    """

    initial_wait_s: float
    max_wait_s: float
    max_attempts: int | None = None
    retry_cost: float = 1.0
    timeout_cost: float = 1.0

    @classmethod
    def of(cls, policy: RetryPolicy, max_attempts: int | None = None) -> RetrySchedule:
        """Return the schedule of single calls; `max_attempts` overrides the policy's number."""
        return cls(
            initial_wait_s=policy.initial_wait_s,
            max_wait_s=policy.max_wait_s,
            max_attempts=policy.max_attempts if max_attempts is None else max_attempts,
            retry_cost=policy.retry_cost,
            timeout_cost=policy.timeout_cost,
        )


@attrs.frozen(kw_only=True)
class FailedAttempt:
    """What a decision is about.

    Attributes:
        error: what the attempt failed with.
        number: which attempt it was, 1 for the first; those that met a dead idle connection count as well.
        stale: how many attempts before it met a dead idle connection.
        pause_s: seconds that the service asked to wait, jitter included.
        deadline: moment after which no attempt may start.
    """

    error: BesmartError
    number: int
    stale: int = 0
    pause_s: float = 0.0
    deadline: float = math.inf


@attrs.frozen
class Decision:
    """What follows from a failed attempt.

    Attributes:
        wait_s: seconds until the next attempt; None to give up.
        reason: why to give up; empty where there is nothing to add to the error.
        stale: the attempt met a dead idle connection: it counts as none, and the budget pays nothing.
    """

    wait_s: float | None
    reason: str = ""
    stale: bool = False


def decide(
    failed: FailedAttempt,
    schedule: RetrySchedule,
    budget: RetryBudget | None,
    now: float,
    rng: Callable[[], float],
) -> Decision:
    """Decide whether a failed attempt is followed by another one; the budget pays for it.

    Args:
        failed: the attempt, which the caller thinks worth repeating.
        schedule: waits and number of attempts.
        budget: what pays; a wait may be longer until it can. None where the caller asks its budget on sending.
        now: the present moment.
        rng: a random float from 0 to 1.
    """
    most = schedule.max_attempts
    if most != 1 and failed.stale < MAX_STALE and is_stale(failed.error):
        return Decision(0.0, stale=True)  # a new connection will do
    state = _state(failed, now)
    if most is not None and stop_after_attempt(most)(state):
        return Decision(None, f"gave up after {most} attempts" if most > 1 else "")
    ceiling = wait_exponential(multiplier=schedule.initial_wait_s, max=schedule.max_wait_s)(state)
    state.upcoming_sleep = max(rng() * ceiling, failed.pause_s)
    cost = schedule.timeout_cost if isinstance(failed.error, RequestTimeoutError) else schedule.retry_cost
    paid_in_s = 0.0 if budget is None else budget.ready_at(now, cost) - now
    if math.isfinite(paid_in_s):
        state.upcoming_sleep = max(state.upcoming_sleep, paid_in_s)
    if stop_before_delay(failed.deadline - now)(state):
        return Decision(None, "gave up: the total timeout leaves no time for another attempt")
    if math.isinf(paid_in_s):
        return Decision(None, "gave up: the client's retry budget is used up, since too many calls failed lately")
    if budget is not None:
        budget.take(cost)
    return Decision(state.upcoming_sleep)


def may_help(error: BesmartError, *, replay: bool, sent: bool) -> bool:
    """Return whether another attempt of a single call is allowed and may help.

    What may not be repeated is tried again only where the request certainly did not reach the service.

    Args:
        error: what the attempt failed with.
        replay: whether the operation is safe to send twice; the operation says so, never the HTTP verb.
        sent: whether the operation's own request was begun (not only a login before it).
    """
    if isinstance(error, ApiError):
        return error.status in RETRYABLE_STATUSES and (replay or not sent)
    if isinstance(error, AnswerTooLargeError) or not isinstance(error, TransportError) or error.queued:
        return False
    return replay or not (sent and error.reached)


def may_have_applied(error: BesmartError) -> bool:
    """Return whether the service may have carried out the request that failed so."""
    if isinstance(error, ApiError):
        return error.status >= 500
    return isinstance(error, TransportError) and error.reached


def is_stale(error: BaseException) -> bool:
    """Return whether an idle connection was found dead, which says nothing about the service's health."""
    return isinstance(error, ProtocolError) and error.reused


def _state(failed: FailedAttempt, now: float) -> RetryCallState:
    """Return what tenacity's waits and stops look at."""
    state = RetryCallState(_RETRYING, None, (), {})
    state.attempt_number = failed.number - failed.stale
    state.outcome = Future.construct(state.attempt_number, failed.error, has_exception=True)
    state.start_time = state.outcome_timestamp = now
    return state
