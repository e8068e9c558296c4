"""Which frozen batch is sent next, and when.

A batch is in flight (`flying`), waits to be sent again (`waiting`), or is a part or probe of a batch that was split
(`parts`). When the `Gate` is open and fewer than `pace.limit` batches are in flight, `next` chooses in this order:
parts and probes, which take turns with new batches while there are several; retries whose wait is over, within the
retry budget; then a new batch, if one is due. A closed gate
lets single probes through: retries, even if their wait is not over, and without using the budget. If a 403 closed the
gate, old and new batches take turns as probes, because the problem may be in one of the old ones.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence

from besmart_async.batching.pacing import Gate, LearnedRate, Pace
from besmart_async.batching.verdicts import Verdict, is_403, verdict
from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Batch, Payload
from besmart_async.batching.write.core.guard import RefusalGuard
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey
from besmart_async.transport.retry import RetryBudget

_SEARCHES = 4
"""While nothing was stored, other signals are tried only if fewer searches than this are in progress."""


class Dispatcher:
    """Frozen batches without an outcome, and the rules for sending them.

    Attributes:
        parts: parts and probes, ready to be sent.
        waiting: batches that failed and will be sent again.
        flying: batches in flight, by number.
        pace: how many calls may be in flight.
        gate: whether anything may be sent.
        rate: how many calls per second the service accepts.
        budget: limits retries.
    """

    def __init__(
        self, policy: BatchPolicy, rng: Callable[[], float], accumulator: Accumulator, guard: RefusalGuard
    ) -> None:
        self.parts: deque[Batch] = deque()
        self.waiting: list[Batch] = []
        self.flying: dict[int, Batch] = {}
        self.pace = Pace(policy.max_in_flight)
        self.gate = Gate(rng)
        self._most_frozen = 2 * self.pace.ceiling
        self.rate = LearnedRate()
        self.budget = RetryBudget()
        self._guard = guard
        self._accumulator = accumulator
        self._delivery_timeout_s = policy.delivery_timeout_s
        self._number = 0
        self._last_was_retry = self._last_was_part = False
        self._busy: set[SignalKey] = set()

    def _opens_at(self, now: float) -> float | None:
        """When the next call may be sent, at most `now` if at once; None: only after a call in flight has ended."""
        opens_at = self.gate.opens_at(now, len(self.flying))
        if opens_at is None or len(self.flying) >= self.pace.limit:
            return None
        return max(opens_at, self.rate.ready_at(now))

    def _new_comes_first(self) -> bool:
        """Whether a new batch leaves before the parts of old ones.

        While nothing is stored, evidence from other signals is wanted before those refused are searched. Else they take
        turns, so that one producer's bad readings do not hold up everybody's good ones.
        """
        return self._searches() < _SEARCHES if self._guard.suspicious else self._last_was_part and bool(self.parts)

    def _searches(self) -> int:
        """Count the searches in progress."""
        return sum([batch.family is not None for batch in [*self.parts, *self.flying.values()]])

    def _free(self, batch: Batch) -> bool:
        """Whether no other part with the same signals is in flight."""
        return self._busy.isdisjoint(batch.payload.signals)

    def launch(self, batch: Batch) -> None:
        """Record that a batch is in flight."""
        self.flying[batch.number] = batch
        self.rate.sent(batch.sent_at)
        self._busy |= batch.payload.signals

    def land(self, number: int) -> Batch | None:
        """Record that a call has ended; None: it was given up in the meantime."""
        batch = self.flying.pop(number, None)
        if batch is not None:
            self._busy -= batch.payload.signals
        return batch

    def new_number(self) -> int:
        """Return a number for a new batch."""
        self._number += 1
        return self._number

    # -- what leaves -------------------------------------------------------------------------------------------------

    def next(self, now: float) -> Batch | None:
        """Return the batch to send now, None if none may be sent; the caller must send it."""
        opens_at = self._opens_at(now)
        if opens_at is None or opens_at > now:
            return None
        if self._new_comes_first() and (fresh := self._formed(now)) is not None:
            self._last_was_part = False
            return fresh
        if (part := next(filter(self._free, self.parts), None)) is not None:
            self.parts.remove(part)
            self._last_was_part = True
            return part
        probing = self.gate.closed_by is not None
        turn_of_new = probing and self._last_was_retry and is_403(self.gate.closed_by)
        if turn_of_new and (fresh := self._formed(now)) is not None:
            self._last_was_retry = False
            return fresh
        return self._retried(now, probing=probing) or self._formed(now)

    def _retried(self, now: float, *, probing: bool) -> Batch | None:
        waiting = [batch for batch in self.waiting if self._free(batch)]
        if not waiting:
            return None
        batch = min(waiting, key=lambda batch: batch.retry_at)
        if not probing:
            if batch.retry_at > now or self.budget.ready_at(now) > now:
                return None
            self.budget.take()
        self.waiting.remove(batch)
        self._last_was_retry = True
        return batch

    def _formed(self, now: float) -> Batch | None:
        while self._may_freeze():
            due_at = self._accumulator.due_at()
            if due_at is None or due_at > now:
                return None
            payload = self._accumulator.form(now)
            if payload is not None:
                return self._batch(payload)
        return None

    def _batch(self, payload: Payload) -> Batch:
        """Encode a payload; what does not fit goes into separate batches."""
        limits = self._accumulator.limits
        body = payload.encode()
        limits.learn_width(len(body), len(payload), payload.rows)
        self._accumulator.charge(payload, len(body))
        batch = Batch(self.new_number(), payload, body)
        payloads = [payload]
        if len(payload) > limits.items.value:  # a signal in two units is two items
            items = range(len(payload))
            payloads = [
                payload.part(items[start : start + limits.items.value])
                for start in range(0, len(payload), limits.items.value)
            ]
        if len(body) > limits.bytes.value and payload.rows > 1:
            payloads = [part for whole in payloads for part in whole.fitted(limits.bytes.value)]
        if len(payloads) == 1:
            return batch
        first, *others = self.cut(batch, payloads)
        self.parts.extend(others)
        return first

    def cut(self, batch: Batch, payloads: Sequence[Payload]) -> list[Batch]:
        """Return batches for the parts of a batch; a signal in several parts stays fenced until all are settled."""
        pieces = Counter(key for payload in payloads for key in payload.keys)
        pieces.subtract(Counter(batch.payload.keys))
        for key, more in pieces.items():
            if more:
                self._accumulator.fences.fence_again(key, more)
        return [batch.part(self.new_number(), payload) for payload in payloads]

    def _may_freeze(self) -> bool:
        return len(self.flying) + len(self.waiting) + len(self.parts) < self._most_frozen

    # -- when --------------------------------------------------------------------------------------------------------

    def next_at(self, now: float) -> float:
        """When something is sent or expires if nothing else happens; infinity: never."""
        earliest = min(map(self.deadline, self.waiting), default=math.inf)
        opens_at = self._opens_at(now)
        if opens_at is None:
            return earliest
        return min(earliest, max(opens_at, self._work_at(now)))

    def _work_at(self, now: float) -> float:
        if any(map(self._free, self.parts)):
            return now
        times: list[float] = []
        if waiting := [batch.retry_at for batch in self.waiting if self._free(batch)]:
            probing = self.gate.closed_by is not None
            times.append(now if probing else max(min(waiting), self.budget.ready_at(now)))
        due_at = self._accumulator.due_at()
        if due_at is not None and self._may_freeze():
            times.append(due_at)
        return min(times, default=math.inf)

    def deadline(self, batch: Batch) -> float:
        """When a batch is given up: not before it was sent, and not while only the credentials are refused."""
        forbidden = batch.error is not None and verdict(batch.error) is Verdict.FORBIDDEN
        if forbidden or batch.first_sent_at is None:
            return math.inf
        return batch.first_sent_at + self._delivery_timeout_s

    def expired(self, now: float) -> list[Batch]:
        """Remove and return the batches that wait for a retry past their deadline."""
        expired = [batch for batch in self.waiting if self.deadline(batch) <= now]
        for batch in expired:
            self.waiting.remove(batch)
        return expired
