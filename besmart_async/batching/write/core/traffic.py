"""What is frozen and not settled, and which of it leaves next.

A shipment is under way (`flying`), waits to be sent again (`waiting`), or is a part or probe of what was taken apart
(`parts`). `next` chooses, once the `Gate` is open and fewer than `pace.limit` are under way, in this order: parts and
probes; retries whose wait is over, as far as the retry budget goes; then a new batch of due lanes. While the gate is
closed it lets single probes through: retries, whether their wait is over or not and without the budget. Where a 403
closed it, old and new batches probe by turns, since the trouble may lie in one of the old.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from besmart_async.batching.pacing import Gate, Pace, RetryBudget
from besmart_async.batching.verdicts import Verdict, is_403, verdict
from besmart_async.batching.write.core.intake import Intake
from besmart_async.batching.write.core.packer import Packer
from besmart_async.batching.write.core.packing import Shipment
from besmart_async.config import BatchPolicy


class Traffic:
    """Frozen shipments without an outcome, and the rules by which they leave.

    Attributes:
        parts: what was taken apart, ready to leave.
        waiting: what failed and is to be sent again.
        flying: what is under way, by number.
    """

    def __init__(self, policy: BatchPolicy, rng: Callable[[], float], intake: Intake) -> None:
        self.parts: deque[Shipment] = deque()
        self.waiting: list[Shipment] = []
        self.flying: dict[int, Shipment] = {}
        self.pace = Pace(policy.max_in_flight)
        self.gate = Gate(rng)
        self.budget = RetryBudget()
        self.packer = Packer(intake)
        self._intake = intake
        self._delivery_timeout_s = policy.delivery_timeout_s
        self._number = 0
        self._last_was_retry = False

    def new_number(self) -> int:
        """Return a number for a new shipment."""
        self._number += 1
        return self._number

    # -- what leaves -------------------------------------------------------------------------------------------------

    def next(self, now: float) -> Shipment | None:
        """Return what is to leave now, None if nothing may; whoever asks sends it."""
        opens_at = self.gate.opens_at(now, len(self.flying))
        if opens_at is None or opens_at > now or len(self.flying) >= self.pace.limit:
            return None
        for part in self.parts:
            if part.free:
                self.parts.remove(part)
                return part
        probing = self.gate.closed_by is not None
        turn_of_new = probing and self._last_was_retry and is_403(self.gate.closed_by)
        if turn_of_new and (fresh := self._packed(now)) is not None:
            self._last_was_retry = False
            return fresh
        return self._retried(now, probing=probing) or self._packed(now)

    def _retried(self, now: float, *, probing: bool) -> Shipment | None:
        waiting = [shipment for shipment in self.waiting if shipment.free]
        if not waiting:
            return None
        shipment = min(waiting, key=lambda shipment: shipment.retry_at)
        if not probing:
            if shipment.retry_at > now or self.budget.ready_at(now) > now:
                return None
            self.budget.take()
        self.waiting.remove(shipment)
        self._last_was_retry = True
        return shipment

    def _packed(self, now: float) -> Shipment | None:
        while self._may_freeze():
            due_at = self._intake.queue.due_at()
            if due_at is None or due_at > now:
                return None
            items, body = self.packer.pack(now)
            if items:
                return Shipment(self.new_number(), tuple(items), body)
        return None

    def _may_freeze(self) -> bool:
        return len(self.flying) + len(self.waiting) + len(self.parts) < 2 * self.pace.ceiling

    # -- when --------------------------------------------------------------------------------------------------------

    def next_at(self, now: float) -> float:
        """When something leaves or expires if nothing else happens; infinity: never."""
        earliest = min(map(self.deadline, self.waiting), default=math.inf)
        opens_at = self.gate.opens_at(now, len(self.flying))
        if opens_at is None or len(self.flying) >= self.pace.limit:
            return earliest
        return min(earliest, max(opens_at, self._work_at(now)))

    def _work_at(self, now: float) -> float:
        if any(shipment.free for shipment in self.parts):
            return now
        times: list[float] = []
        if waiting := [shipment.retry_at for shipment in self.waiting if shipment.free]:
            probing = self.gate.closed_by is not None
            times.append(now if probing else max(min(waiting), self.budget.ready_at(now)))
        due_at = self._intake.queue.due_at()
        if due_at is not None and self._may_freeze():
            times.append(due_at)
        return min(times, default=math.inf)

    def deadline(self, shipment: Shipment) -> float:
        """When a shipment is given up; never before it was sent, nor while only the credentials are refused."""
        forbidden = shipment.error is not None and verdict(shipment.error) is Verdict.FORBIDDEN
        if forbidden or shipment.first_sent_at is None:
            return math.inf
        return shipment.first_sent_at + self._delivery_timeout_s

    def expired(self, now: float) -> list[Shipment]:
        """Take out what waits for a retry past its deadline."""
        expired = [shipment for shipment in self.waiting if self.deadline(shipment) <= now]
        for shipment in expired:
            self.waiting.remove(shipment)
        return expired
