"""What the result of a call means for its batch: stored, searched, split, sent again, or handed back.

What an error means is a `Verdict`:

- refused: a `Search` finds the culprits, first items, then rows of an item; everything else is delivered on the way;
- too large (413, or a reset of a body larger than any that has passed): smaller parts, and a learned limit;
- a dead idle connection: the same bytes again at once, but only a few times;
- unavailable or throttled: the same bytes again after a jittered wait, until `delivery_timeout_s` is over;
- forbidden (401, 403): nothing is lost; one probe at a time until the credentials work again. If a batch gets a 403
  again after other batches have passed, the reason is in that batch: refused;
- fatal: the engine stops.

If the answer to an attempt was lost, the service may apply that attempt later, even after the retry was acknowledged.
So for `hold_off_s`, newer values of exactly its readings are withheld (`Hold`); other readings of the signal are sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from besmart_async.batching.verdicts import (
    Verdict,
    congested,
    from_service,
    is_403,
    may_have_applied,
    may_still_apply,
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
from besmart_async.errors import BesmartError, Outcome, ProtocolError, RequestTimeoutError, TransportError
from besmart_async.transport.retry import FailedAttempt, RetrySchedule, decide

_SMALL_BODY = 16 * 1024
"""No service has a lower limit: a reset with a smaller body has another reason."""
_TINY_BODY = 1_000
"""A page with status 413 for a smaller body is not about its size: no `max_bytes` is below that."""


class Settlement:
    """Decides what happens to a batch whose call has ended.

    Attributes:
        stopped_by: the error that stopped the engine; after that nothing is sent again or held.
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
        self._schedule = RetrySchedule(initial_wait_s=policy.initial_wait_s, max_wait_s=policy.max_wait_s)
        self.stopped_by: BesmartError | None = None

    def acknowledged(self, batch: Batch, now: float) -> None:
        """Record that the service stored a batch."""
        self._answered()
        self._stored += 1
        self._dispatcher.pace.succeeded()
        self._dispatcher.rate.taken()
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
        """Record that a call failed; return the error that must stop the engine, None to continue."""
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
        if meaning is Verdict.TOO_LARGE and len(batch.body) < _TINY_BODY and not from_service(error):
            meaning = Verdict.UNAVAILABLE  # this page would come for anything
        if self.stopped_by is not None:
            self.hand_back(batch, now, refused=meaning is Verdict.REFUSED)
        elif meaning is Verdict.REFUSED:
            self._answered()
            self._dispatcher.rate.taken()
            self._dispatcher.parts.extend(self._bisection.refused(batch, error, now))
        elif meaning is Verdict.TOO_LARGE:
            self._answered()
            self._dispatcher.parts.extend(self._bisection.too_large(batch, error, now))
        elif meaning is Verdict.FATAL:
            self._dispatcher.waiting.append(batch)
            return error
        else:
            self._troubled(batch, error, meaning, now)
        return None

    def hand_back(self, batch: Batch, now: float, error: BesmartError | None = None, *, refused: bool = False) -> None:
        """Give a batch up, with the error of its last call unless another is given."""
        outcome: Outcome = "in_doubt" if batch.maybe_applied else "rejected" if refused else "not_sent"
        reason = error or batch.error or self.stopped_by
        assert reason is not None  # noqa: S101 - nothing is handed back without one
        if self.stopped_by is None:
            self._hold(batch, batch.payload if batch.family is None else batch.family.payload, now)
        self._bisection.give_up(batch, reason, outcome)

    def _troubled(self, batch: Batch, error: BesmartError, meaning: Verdict, now: float) -> None:
        deadline = self._dispatcher.deadline(batch)
        attempt = FailedAttempt(error=error, number=batch.attempts, stale=batch.stale, deadline=deadline)
        decision = decide(attempt, self._schedule, None, now, self._rng)  # the dispatcher asks the budget
        if decision.stale:
            batch.stale += 1
            self._dispatcher.parts.append(batch)
            self._outcomes.events.append(BatchRetried(batch=batch.number, wait_s=0.0, error=error))
            return
        if not (isinstance(error, TransportError) and error.queued):
            self._slow_down(batch, error, meaning, now)
        if meaning is Verdict.UNAVAILABLE and self._reset_by_size(batch, error):
            if len(batch.body) < 0.75 * self._smallest_reset:
                self._smallest_reset = len(batch.body)
                self._dispatcher.gate.probe_sooner(now)
            self._dispatcher.parts.extend(self._bisection.too_large(batch, error, now))
        elif decision.wait_s is None:
            self.hand_back(batch, now)
        else:
            batch.retry_at = now + decision.wait_s
            self._dispatcher.waiting.append(batch)
            self._outcomes.events.append(BatchRetried(batch=batch.number, wait_s=decision.wait_s, error=error))

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
        """Whether the reason of a 403 is in this batch: other batches were stored since its first 403."""
        if not is_403(error):
            return False
        if batch.forbidden_after is None:
            batch.forbidden_after = self._stored
        return self._stored > batch.forbidden_after
