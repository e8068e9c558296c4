"""How fast to send: calls at a time, retries in total, pauses and probes, and limits learned from refusals.

Pure: `now` (seconds, any monotonic clock) and `rng` (a float from 0 to 1) come from outside.
"""

from __future__ import annotations

from collections.abc import Callable

from besmart_async.batching.verdicts import congested
from besmart_async.config import MAX_RETRY_AFTER_S
from besmart_async.errors import BesmartError
from besmart_async.transport.retry import RetryBudget as RetryBudget  # noqa: PLC0414 - for `write/core/traffic.py`

Random = Callable[[], float]

PROBE_EVERY_S = 5.0
"""A service that is down is asked no more often than this."""
DOWN_AT_STRAIN = 8
"""So much strain in a row closes the gate: two refusals of the credentials, four lost calls, or eight 5xx. Where 30 %
of the calls meet a 503, that happens once in some twenty thousand."""


class Pace:
    """Calls at a time: additive increase, multiplicative decrease, or a fixed number.

    One more per clean round trip of a full window; 0.7 of it after a 429, 503 or timeout, once per window, since the
    calls that were under way then tell nothing new.
    """

    def __init__(self, fixed: int | None, *, start: int = 4, most: int = 16) -> None:
        self._fixed = fixed
        self._window = float(start)
        self._most = most
        self._deaf = 0

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
        self._window = min(float(self._most), self._window + 1.0 / self._window)

    def failed(self, error: BaseException, under_way: int | None = None) -> None:
        """Note a failed call; `under_way` others are still to be answered (unknown: a full window)."""
        if self._deaf:
            self._deaf -= 1
        elif congested(error):
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


class LearnedLimit:
    """A limit of the service that nobody documents: lowered by a refusal, raised again little by little.

    `top` is the policy's own limit and never exceeded.
    """

    RAISE_BY = 1.2
    FIRST_PATIENCE = 8

    def __init__(self, top: int) -> None:
        self._top = top
        self._patience = self.FIRST_PATIENCE
        self._clean = 0
        self._raised = False
        self.value = top
        self.largest_passed = 0

    def passed(self, size: int) -> None:
        """Note a call of this size that was stored."""
        self.largest_passed = max(self.largest_passed, size)
        if self.value < self._top and size * self.RAISE_BY >= self.value:
            self._clean += 1
            if self._clean >= self._patience:
                self._clean = 0
                self._raised = True
                self.value = min(self._top, max(self.value + 1, int(self.value * self.RAISE_BY)))

    def refused(self, size: int, passed: int | None = None) -> None:
        """Note a call refused for its size: go back to what has passed, or to half of it.

        After a raise that went too far, wait twice as long before the next.
        """
        if passed is None:
            passed = max(size // 2, self.largest_passed if self.largest_passed < size else 0)
        self.largest_passed = min(self.largest_passed, max(passed, 1))
        if passed < self.value:
            if self._raised:
                self._patience *= 2
            self._raised = False
            self._clean = 0
            self.value = max(1, passed)
