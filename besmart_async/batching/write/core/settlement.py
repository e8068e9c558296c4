"""What the result of a call means for its shipment: stored, searched, cut, sent again, or handed back.

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
from collections.abc import Callable, Sequence

from besmart_async.batching.verdicts import Verdict, is_403, may_have_applied, may_still_apply, stale, strain, verdict
from besmart_async.batching.write.core.accounts import Accounts
from besmart_async.batching.write.core.events import BatchAcknowledged, BatchRetried, SendingPaused, SendingResumed
from besmart_async.batching.write.core.intake import Intake
from besmart_async.batching.write.core.packing import Shipment
from besmart_async.batching.write.core.salvage import Salvage
from besmart_async.batching.write.core.segments import Segment
from besmart_async.batching.write.core.traffic import Traffic
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, Outcome, ProtocolError

_SMALL_BODY = 16 * 1024
"""No limit of a service is below this: a reset of a smaller body says nothing about its size."""


_MOST_STALE = 4
"""So many dead connections in the way of one batch cost no wait: a pool holds four."""


class Settlement:
    """Decides what becomes of shipments whose call has ended.

    Attributes:
        stopped_by: the error the engine stopped with; from then on nothing is sent again or held.
    """

    def __init__(
        self,
        policy: BatchPolicy,
        rng: Callable[[], float],
        intake: Intake,
        traffic: Traffic,
        accounts: Accounts,
        salvage: Salvage,
    ) -> None:
        self._policy = policy
        self._rng = rng
        self._intake = intake
        self._traffic = traffic
        self._accounts = accounts
        self._salvage = salvage
        self._stored = 0
        self._smallest_reset = math.inf
        self.stopped_by: BesmartError | None = None

    def acknowledged(self, shipment: Shipment, now: float) -> None:
        """Note that the service stored a shipment."""
        self._answered()
        self._stored += 1
        self._traffic.pace.succeeded()
        self._traffic.budget.refund(now)
        self._accounts.events.append(
            BatchAcknowledged(
                batch=shipment.number,
                items=len(shipment.items),
                readings=shipment.readings,
                elapsed_s=now - shipment.sent_at,
            )
        )
        self._hold(shipment, shipment.items, now)
        self._traffic.parts.extend(self._salvage.stored(shipment))

    def failed(self, shipment: Shipment, error: BesmartError, now: float) -> BesmartError | None:
        """Note that a call failed; return what the engine must stop with, None to go on."""
        shipment.error = error
        if may_have_applied(error):
            shipment.maybe_applied = True
            if shipment.family is not None:
                shipment.family.doubtful.update(shipment.family.search.group)
        if may_still_apply(error):
            shipment.lost_at = now
        meaning = verdict(error)
        if meaning is Verdict.FORBIDDEN and self._concerns_content(shipment, error):
            meaning = Verdict.REFUSED
        if self.stopped_by is not None:
            self.hand_back(shipment, now, refused=meaning is Verdict.REFUSED)
        elif meaning is Verdict.REFUSED:
            self._answered()
            self._traffic.parts.extend(self._salvage.refused(shipment, error))
        elif meaning is Verdict.TOO_LARGE:
            self._answered()
            self._traffic.parts.extend(self._salvage.too_large(shipment, error))
        elif meaning is Verdict.FATAL:
            self._traffic.waiting.append(shipment)
            return error
        elif stale(error) and shipment.stale < _MOST_STALE:
            shipment.stale += 1
            self._again(shipment, error, now)
        else:
            self._troubled(shipment, error, meaning, now)
        return None

    def hand_back(
        self, shipment: Shipment, now: float, error: BesmartError | None = None, *, refused: bool = False
    ) -> None:
        """Give a shipment up, with what its last call failed with unless told otherwise."""
        outcome: Outcome = "in_doubt" if shipment.maybe_applied else "rejected" if refused else "not_sent"
        reason = error or shipment.error or self.stopped_by
        assert reason is not None  # noqa: S101 - nothing is handed back without one
        if self.stopped_by is None:
            self._hold(shipment, shipment.items if shipment.family is None else shipment.family.items, now)
        self._salvage.give_up(shipment, reason, outcome)

    def _troubled(self, shipment: Shipment, error: BesmartError, meaning: Verdict, now: float) -> None:
        self._slow_down(error, meaning, now)
        if meaning is Verdict.UNAVAILABLE and self._reset_by_size(shipment, error):
            if shipment.body_bytes < 0.75 * self._smallest_reset:
                self._smallest_reset = shipment.body_bytes
                self._traffic.gate.probe_sooner(now)
            self._traffic.parts.extend(self._salvage.too_large(shipment, error))
        elif self._traffic.deadline(shipment) <= now:
            self.hand_back(shipment, now)
        else:
            self._retry(shipment, error, now)

    def _slow_down(self, error: BesmartError, meaning: Verdict, now: float) -> None:
        gate = self._traffic.gate
        self._traffic.pace.failed(error, len(self._traffic.flying))
        closed = gate.failed(error, 0 if meaning is Verdict.THROTTLED else strain(error), now)
        wait_s = getattr(error, "retry_after_s", None)
        if wait_s is not None:
            self._accounts.events.append(SendingPaused(seconds=gate.told_to_wait(wait_s, now), error=error))
        elif closed:
            self._accounts.events.append(SendingPaused(seconds=(gate.opens_at(now, 0) or now) - now, error=error))

    def _retry(self, shipment: Shipment, error: BesmartError, now: float) -> None:
        ceiling = min(self._policy.max_wait_s, self._policy.initial_wait_s * 2.0 ** min(shipment.attempts - 1, 60))
        wait_s = self._rng() * ceiling
        shipment.retry_at = now + wait_s
        self._traffic.waiting.append(shipment)
        self._accounts.events.append(BatchRetried(batch=shipment.number, wait_s=wait_s, error=error))

    def _again(self, shipment: Shipment, error: BesmartError, now: float) -> None:
        shipment.retry_at = now
        self._traffic.parts.append(shipment)
        self._accounts.events.append(BatchRetried(batch=shipment.number, wait_s=0.0, error=error))

    def _hold(self, shipment: Shipment, items: Sequence[Segment], now: float) -> None:
        until = -math.inf if shipment.lost_at is None else shipment.lost_at + self._policy.hold_off_s
        if until > now:
            self._intake.hold(items, until)
        recovered = [item for item in items if item.recovered]
        if recovered and self._intake.recovered_until > now:
            self._intake.hold(recovered, self._intake.recovered_until)

    def _answered(self) -> None:
        self._smallest_reset = math.inf
        if self._traffic.gate.answered():
            self._accounts.events.append(SendingResumed())

    def _reset_by_size(self, shipment: Shipment, error: BesmartError) -> bool:
        size = shipment.body_bytes
        return (
            isinstance(error, ProtocolError)
            and may_have_applied(error)
            and size > max(_SMALL_BODY, self._intake.limits.bytes.largest_passed)
            and shipment.readings > 1
        )

    def _concerns_content(self, shipment: Shipment, error: BesmartError) -> bool:
        """Whether a 403 is about something in this batch: others have been stored since it first met one."""
        if not is_403(error):
            return False
        if shipment.forbidden_after is None:
            shipment.forbidden_after = self._stored
        return self._stored > shipment.forbidden_after
