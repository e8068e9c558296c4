"""What bounds a client's traffic: connections at a time, retries in total, and pauses the service asked for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from besmart_async.config import RetryPolicy
from besmart_async.errors import RequestTimeoutError, TransportError

_PAUSE_JITTER = 0.1
"""Callers leave a pause spread over this share of it (one second at most), not all at once."""


class Admission:
    """At most `max_connections` attempts at a time, in the order asked; held for one attempt, never over a wait."""

    def __init__(self, max_connections: int, wait_s: float) -> None:
        self._slots = asyncio.Semaphore(max_connections)
        self._max_connections = max_connections
        self._wait_s = wait_s

    @asynccontextmanager
    async def slot(self, operation: str) -> AsyncGenerator[None]:
        """Hold one slot for an attempt of `operation`.

        Raises:
            RequestTimeoutError: none came free in time; nothing was sent.
        """
        if self._slots.locked():
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._slots.acquire()
            except TimeoutError:
                raise RequestTimeoutError(
                    f"{operation}: no free connection within {self._wait_s:g} s ({self._max_connections} are busy); "
                    "make fewer calls at once, raise max_connections, or use client.reader() / client.writer()",
                    operation=operation,
                ) from None
        else:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()


class RetryBudget:
    """A token bucket over all calls of a client, so that a dead service is not hammered by retries."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self.tokens = policy.budget

    def take(self, error: Exception) -> bool:
        """Pay for a retry after `error`; False where the budget does not allow it."""
        timed_out = isinstance(error, RequestTimeoutError)
        cost = self._policy.timeout_cost if timed_out else self._policy.retry_cost
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def refund(self) -> None:
        """Note a success."""
        self.tokens = min(self._policy.budget, self.tokens + self._policy.success_refund)


class OriginPause:
    """A pause that Retry-After asked for; it holds for every call to the origin."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._until = 0.0

    def extend(self, seconds: float) -> None:
        """Let nobody ask before `seconds` are over."""
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)

    @property
    def remaining_s(self) -> float:
        """Seconds until calls may go on; 0 without a pause."""
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def delay_s(self) -> float:
        """Return the seconds one caller should wait, with jitter; 0 without a pause."""
        remaining = self.remaining_s
        if remaining <= 0:
            return 0.0
        return remaining + self._rng.uniform(0.0, min(1.0, _PAUSE_JITTER * remaining))

    async def wait(self, operation: str, deadline: float) -> None:
        """Wait the pause out.

        Raises:
            TransportError: it outlasts `deadline` (on the loop's clock), so waiting is of no use.
        """
        while (remaining := self.remaining_s) > 0:
            if asyncio.get_running_loop().time() + remaining > deadline:
                raise TransportError(
                    f"{operation}: the service asked for a pause of {remaining:.0f} s more, "
                    "longer than this call may take; try again after that",
                    operation=operation,
                )
            await asyncio.sleep(self.delay_s())
