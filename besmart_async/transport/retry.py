"""When a failed attempt is tried again, and what a final failure means. tenacity underneath.

The operation decides whether it may be repeated (`replay`), never the HTTP verb.
What may not be repeated is tried again only where the request certainly did not reach the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from besmart_async.config import RetryPolicy
from besmart_async.errors import ApiError, BesmartError, ProtocolError, RequestTimeoutError, TransportError
from besmart_async.transport.events import Event, Hooks, RetryScheduled
from besmart_async.transport.http import Call
from besmart_async.transport.limits import OriginPause, RetryBudget

T = TypeVar("T")

RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may well succeed."""

_CLOSE_WITHIN_S = 2.0
"""How long closing waits for the calls it ended to let go of their connections."""

_MOST_STALE = 16
"""So many dead connections in the way of one call do not count as attempts: a burst leaves many, and all may die."""

_MOST_DOUBLINGS = 64
"""Any wait is over its ceiling long before; more would overflow."""


class Retrier:
    """Runs calls under one `RetryPolicy`, one budget and one pause."""

    def __init__(
        self, policy: RetryPolicy, budget: RetryBudget, pause: OriginPause, hooks: Hooks[Event], rng: random.Random
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._pause = pause
        self._hooks = hooks
        self._rng = rng
        self._running: set[asyncio.Timeout] = set()
        self._last_ended: asyncio.Event | None = None

    async def run(self, call: Call, once: Callable[[Call], Awaitable[T]], attempts: int | None = None) -> T:
        """Carry out `once` until it succeeds or trying again is of no use.

        Args:
            call: the state of the call; kept up to date for `once`.
            once: makes one attempt.
            attempts: how many at most, instead of the policy's number.

        Raises:
            BesmartError: of the last attempt, with the outcome of the call as a whole.
        """
        if self._last_ended is not None:
            raise self._cut_short(call)
        scope = asyncio.timeout_at(None if math.isinf(call.deadline) else call.deadline)
        try:
            async with scope:
                self._running.add(scope)
                return await self._repeated(call, once, attempts)
        except TimeoutError as error:
            ended = error if isinstance(error, RequestTimeoutError) else self._cut_short(call)
            _tell_outcome(ended, call)
            raise ended from error.__cause__
        except BesmartError as error:
            _tell_outcome(error, call)
            raise
        finally:
            self._running.discard(scope)
            self._note_end()

    async def _repeated(self, call: Call, once: Callable[[Call], Awaitable[T]], attempts: int | None) -> T:
        """Try; tenacity, which takes longer than all else here, is asked only once that has failed."""
        try:
            return await once(call)
        except BesmartError as error:
            failed: list[BesmartError] = [error]

        async def again(call: Call) -> T:
            if failed:
                raise failed.pop()
            return await once(call)

        return await self._retrying(call, attempts)(again, call)

    async def aclose(self) -> None:
        """End every call that is under way or waits to be tried again; each raises a `TransportError`."""
        self._last_ended = asyncio.Event()
        now = asyncio.get_running_loop().time()
        for scope in self._running:
            if not scope.expired():
                scope.reschedule(now)
        if self._running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await self._last_ended.wait()

    def _note_end(self) -> None:
        if self._last_ended is not None and not self._running:
            self._last_ended.set()

    def _retrying(self, call: Call, attempts: int | None) -> AsyncRetrying:
        most = self._policy.max_attempts if attempts is None else attempts
        spare = _MOST_STALE if attempts is None and most > 1 else 0  # one attempt means one, whatever it meets

        def stop(state: RetryCallState) -> bool:
            return self._stop(state, call, most, spare)

        return AsyncRetrying(
            retry=retry_if_exception(lambda error: may_retry(call, error)),
            wait=lambda state: self._wait_s(state, call),
            stop=stop,
            before_sleep=lambda state: self._note(state, call),
            sleep=asyncio.sleep,
            reraise=True,
        )

    def _wait_s(self, state: RetryCallState, call: Call) -> float:
        if _stale(call, _error_of(state)):
            return 0.0  # a new connection will do
        doublings = min(state.attempt_number - 1, _MOST_DOUBLINGS)
        ceiling = min(self._policy.max_wait_s, self._policy.initial_wait_s * 2.0**doublings)
        return max(self._rng.uniform(0.0, ceiling), self._pause.delay_s())

    def _stop(self, state: RetryCallState, call: Call, most: int, spare: int) -> bool:
        error = _error_of(state)
        uncounted = _stale(call, error) and call.stale < spare
        if state.attempt_number - call.stale >= most and not uncounted:
            if most > 1:
                error.add_note(f"gave up after {most} attempts")
            return True
        if asyncio.get_running_loop().time() + state.upcoming_sleep > call.deadline:
            error.add_note("gave up: the total timeout leaves no time for another attempt")
            return True
        if not _stale(call, error) and not self._budget.take(error):
            error.add_note("gave up: the client's retry budget is used up, since too many calls failed lately")
            return True
        return False

    def _note(self, state: RetryCallState, call: Call) -> None:
        error = _error_of(state)
        call.repeated = call.repeated or _may_have_applied(call, error)
        call.stale += _stale(call, error)
        call.attempt = state.attempt_number + 1
        call.begin_attempt()  # who is cut short while waiting has nothing under way
        operation = call.operation.name
        self._hooks(
            RetryScheduled(operation=operation, attempt=state.attempt_number, wait_s=state.upcoming_sleep, error=error)
        )

    def _cut_short(self, call: Call) -> TransportError:
        name = call.operation.name
        reached = call.under_way and call.progress.reached
        if self._last_ended is not None:
            said = f"{name}: the client was closed while this call was under way"
            return TransportError(said, operation=name, reached=reached)
        said = f"{name}: no success within the total timeout of {self._policy.total_timeout_s:g} s"
        return RequestTimeoutError(said, operation=name, reached=reached)


def may_retry(call: Call, error: BaseException) -> bool:
    """Tell whether another attempt after `error` is allowed and may help."""
    if call.renewing:
        return False  # the renewal has been tried again, once for all who waited for it
    if isinstance(error, ApiError):
        helps = error.status in RETRYABLE_STATUSES
        return helps and (call.operation.replay or not call.under_way)
    if isinstance(error, TransportError):
        return call.operation.replay or not (call.under_way and error.reached)
    return False


def _stale(call: Call, error: Exception) -> bool:
    """Tell whether an idle connection was found dead, which says nothing about the service's health."""
    return call.under_way and isinstance(error, ProtocolError) and error.reused


def _may_have_applied(call: Call, error: BaseException) -> bool:
    if not call.under_way:
        return False
    if isinstance(error, ApiError):
        return error.status >= 500
    return isinstance(error, TransportError) and error.reached


def _tell_outcome(error: BesmartError, call: Call) -> None:
    if not call.operation.writes or (isinstance(error, ApiError) and call.under_way):
        return  # nothing to tell, or told from the status already
    in_doubt = call.repeated or _may_have_applied(call, error)
    error.outcome = "in_doubt" if in_doubt else "not_sent"


def _error_of(state: RetryCallState) -> Exception:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, Exception)  # noqa: S101 - tenacity asks these questions after failures only
    return error
