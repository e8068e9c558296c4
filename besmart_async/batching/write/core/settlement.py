"""What the result of a call means for its batch: stored, searched, cut, sent again, or handed back.

What an error means is a `Verdict`:

- refused: a `Search` finds the culprits, items first, rows of an item next; everything else is delivered on the way;
- too large (413, or a reset of a body larger than any that has passed): smaller parts, and a learned limit;
- an idle connection that had died: the same bytes again at once, but only a few times;
- unavailable or throttled: the same bytes again after a jittered wait, until `delivery_timeout_s` is over;
- forbidden (401, 403): nothing is lost; one probe at a time until the credentials work again. A 403 that meets the same
  batch again after others have passed concerns something in that batch: refused;
- fatal: the engine stops.

An attempt whose answer was lost may be applied by the service at any later time, even after the retry was acknowledged.
So for `hold_off_s` after such an attempt newer values of exactly its readings are withheld (`Hold`); all others of the
signal go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from besmart_async.batching.verdicts import (
    Verdict,
    congested,
    is_403,
    may_have_applied,
    may_still_apply,
    stale,
    strain,
    verdict,
)
from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Batch, Payload
from besmart_async.batching.write.core.bisection import Bisection
from besmart_async.batching.write.core.dispatcher import Dispatcher
from besmart_async.batching.write.core.events import BatchAcknowledged, BatchRetried, SendingPaused, SendingResumed
from besmart_async.batching.write.core.outcomes import Outcomes
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, Outcome, ProtocolError, RequestTimeoutError

_SMALL_BODY = 16 * 1024
"""No limit of a service is below this: a reset of a smaller body says nothing about its size."""


_MOST_STALE = 4
"""So many dead connections in the way of one batch cost no wait: a pool holds four."""


class Settlement:
    """Decides what becomes of batches whose call has ended.

    Attributes:
        stopped_by: the error the engine stopped with; from then on nothing is sent again or held.
    """

    def __init__(
        self,
        policy: BatchPolicy,
        rng: Callable[[], float],
        accumulator: Accumulator,
        dispatcher: Dispatcher,
        outcomes: Outcomes,
        bisection: Bisection,
    ) -> None:
        self._policy = policy
        self._rng = rng
        self._accumulator = accumulator
        self._dispatcher = dispatcher
        self._outcomes = outcomes
        self._bisection = bisection
        self._stored = 0
        self._smallest_reset = math.inf
        self.stopped_by: BesmartError | None = None

    def acknowledged(self, batch: Batch, now: float) -> None:
        """Note that the service stored a batch."""
        self._answered()
        self._stored += 1
        self._dispatcher.pace.succeeded()
        self._dispatcher.rate.stored()
        self._dispatcher.budget.refund(now)
        self._outcomes.events.append(
            BatchAcknowledged(
                batch=batch.number,
                items=batch.items,
                readings=batch.rows,
                elapsed_s=now - batch.sent_at,
                numbers=batch.payload.provenance.ranges(),
            )
        )
        self._hold(batch, batch.payload, now)
        self._dispatcher.parts.extend(self._bisection.stored(batch, now))

    def failed(self, batch: Batch, error: BesmartError, now: float) -> BesmartError | None:
        """Note that a call failed; return what the engine must stop with, None to go on."""
        batch.error = error
        if may_have_applied(error):
            batch.maybe_applied = True
            if batch.family is not None:
                batch.family.doubtful.update(batch.family.search.group)
        if may_still_apply(error):
            batch.lost_at = now
        meaning = verdict(error)
        if meaning is Verdict.FORBIDDEN and self._concerns_content(batch, error):
            meaning = Verdict.REFUSED
        if self.stopped_by is not None:
            self.hand_back(batch, now, refused=meaning is Verdict.REFUSED)
        elif meaning is Verdict.REFUSED:
            self._answered()
            self._dispatcher.parts.extend(self._bisection.refused(batch, error, now))
        elif meaning is Verdict.TOO_LARGE:
            self._answered()
            self._dispatcher.parts.extend(self._bisection.too_large(batch, error, now))
        elif meaning is Verdict.FATAL:
            self._dispatcher.waiting.append(batch)
            return error
        elif stale(error) and batch.stale < _MOST_STALE:
            batch.stale += 1
            self._again(batch, error, now)
        else:
            self._troubled(batch, error, meaning, now)
        return None

    def hand_back(self, batch: Batch, now: float, error: BesmartError | None = None, *, refused: bool = False) -> None:
        """Give a batch up, with what its last call failed with unless told otherwise."""
        outcome: Outcome = "in_doubt" if batch.maybe_applied else "rejected" if refused else "not_sent"
        reason = error or batch.error or self.stopped_by
        assert reason is not None  # noqa: S101 - nothing is handed back without one
        if self.stopped_by is None:
            self._hold(batch, batch.payload if batch.family is None else batch.family.payload, now)
        self._bisection.give_up(batch, reason, outcome)

    def _troubled(self, batch: Batch, error: BesmartError, meaning: Verdict, now: float) -> None:
        self._slow_down(batch, error, meaning, now)
        if meaning is Verdict.UNAVAILABLE and self._reset_by_size(batch, error):
            if len(batch.body) < 0.75 * self._smallest_reset:
                self._smallest_reset = len(batch.body)
                self._dispatcher.gate.probe_sooner(now)
            self._dispatcher.parts.extend(self._bisection.too_large(batch, error, now))
        elif self._dispatcher.deadline(batch) <= now:
            self.hand_back(batch, now)
        else:
            self._retry(batch, error, now)

    def _slow_down(self, batch: Batch, error: BesmartError, meaning: Verdict, now: float) -> None:
        gate = self._dispatcher.gate
        self._dispatcher.pace.failed(error, len(self._dispatcher.flying))
        if isinstance(error, RequestTimeoutError):
            self._accumulator.limits.timed_out(batch.items)
        closed = gate.failed(error, 0 if meaning is Verdict.THROTTLED else strain(error), now)
        wait_s = getattr(error, "retry_after_s", None)
        pause_s = 0.0
        if wait_s is not None:
            pause_s = gate.told_to_wait(wait_s, now)
            self._outcomes.events.append(SendingPaused(seconds=pause_s, error=error))
        elif closed:
            self._outcomes.events.append(SendingPaused(seconds=(gate.opens_at(now, 0) or now) - now, error=error))
        if meaning is Verdict.THROTTLED or (wait_s is not None and congested(error)):
            self._dispatcher.rate.throttled(batch.sent_at, pause_s, now)

    def _retry(self, batch: Batch, error: BesmartError, now: float) -> None:
        ceiling = min(self._policy.max_wait_s, self._policy.initial_wait_s * 2.0 ** min(batch.attempts - 1, 60))
        wait_s = self._rng() * ceiling
        batch.retry_at = now + wait_s
        self._dispatcher.waiting.append(batch)
        self._outcomes.events.append(BatchRetried(batch=batch.number, wait_s=wait_s, error=error))

    def _again(self, batch: Batch, error: BesmartError, now: float) -> None:
        batch.retry_at = now
        self._dispatcher.parts.append(batch)
        self._outcomes.events.append(BatchRetried(batch=batch.number, wait_s=0.0, error=error))

    def _hold(self, batch: Batch, payload: Payload, now: float) -> None:
        until = -math.inf if batch.lost_at is None else batch.lost_at + self._policy.hold_off_s
        if payload.recovered:
            until = max(until, self._accumulator.recovered_until)
        if until > now:
            self._accumulator.hold(payload, until)

    def _answered(self) -> None:
        self._smallest_reset = math.inf
        if self._dispatcher.gate.answered():
            self._outcomes.events.append(SendingResumed())

    def _reset_by_size(self, batch: Batch, error: BesmartError) -> bool:
        size = len(batch.body)
        return (
            isinstance(error, ProtocolError)
            and may_have_applied(error)
            and size > max(_SMALL_BODY, self._accumulator.limits.bytes.largest_passed)
            and batch.rows > 1
        )

    def _concerns_content(self, batch: Batch, error: BesmartError) -> bool:
        """Whether a 403 is about something in this batch: others have been stored since it first met one."""
        if not is_403(error):
            return False
        if batch.forbidden_after is None:
            batch.forbidden_after = self._stored
        return self._stored > batch.forbidden_after
