"""The write side of the batching engine, without I/O: readings in, batches out, outcomes back in.

Rules
-----
- Nothing here awaits, sleeps, logs or reads a clock: `now` (seconds, monotonic) is an argument, `rng` gives randomness.
- `accepted == delivered + rejected + in_doubt + pending`, in readings, after every call.
- At most one unsettled item set per signal: while a signal's readings are frozen, its newer ones wait.
- What is frozen never changes. It is encoded once, when a slot is free for it, and sent again as the same bytes.
- "Full" and "nothing to send" are answers, not exceptions.

Theory of operation
-------------------
::

    offer ──> Intake (lanes, queue) ──pack──> Shipment ──poll──> Batch ──> the shell sends it ──> settle
                   ^                             |  ^                                              |
                   └────── released lane ────────┘  └── retry · smaller parts · probes of a search ┘

`poll` hands out the next batch if one may leave now: fewer than `pace.limit` are under way, the `Gate` is open, and
something is due. In this order: parts and probes of what was taken apart, retries whose wait is over (as far as the
retry budget goes), then a new batch of due lanes. `next_wakeup` says when `poll` may have an answer without anything
else happening.

`settle` takes the result of one batch. What an error means is a `Verdict`:

- refused: a `Search` finds the culprits, items first, rows of an item next; everything else is delivered on the way;
- too large (413, or a reset of a body larger than any that has passed): smaller parts, and a learned limit;
- unavailable or throttled: the same bytes again after a jittered wait, until `delivery_timeout_s` is over;
- forbidden (401, 403): nothing is lost; one probe at a time until the credentials work again. A 403 that meets the same
  batch again after others have passed concerns something in that batch: refused;
- fatal: the engine stops, and so it does when the `FloodGuard` trips. What is not under way is handed back.

An attempt whose answer was lost may be applied by the service at any later time, even after the retry was acknowledged.
So for `hold_off_s` after such an attempt newer values of exactly its readings are withheld (`Hold`); all others of the
signal go on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import attrs

from besmart_async.batching.accounts import Accounts
from besmart_async.batching.credit import NO_REF
from besmart_async.batching.intake import Intake
from besmart_async.batching.outcomes import (
    BatchAcknowledged,
    BatchRetried,
    BatchSent,
    CoreEvent,
    SendingPaused,
    SendingResumed,
    Verdict,
    may_have_applied,
    may_still_apply,
    strain,
    verdict,
)
from besmart_async.batching.pacing import Gate, Pace, RetryBudget
from besmart_async.batching.packer import Packer
from besmart_async.batching.packing import Item, Shipment
from besmart_async.batching.report import DeliveryReport, Ledger
from besmart_async.batching.salvage import Salvage
from besmart_async.config import BatchPolicy
from besmart_async.errors import ApiError, BesmartError, Outcome, ProtocolError
from besmart_async.models.series import SignalData

_SMALL_BODY = 16 * 1024
"""No limit of a service is below this: a reset of a smaller body says nothing about its size."""


@attrs.frozen(eq=False)
class Batch:
    """One bulk call to make now. Whoever makes it calls `settle(number, ...)` with the result, whatever happens."""

    number: int
    body: bytes = attrs.field(repr=False)
    items: int
    readings: int
    attempt: int


class Coalescer:
    """The engine. Not safe across threads; the shell keeps it to one event loop.

    Args:
        policy: limits and durations.
        rng: a random float from 0 to 1.
    """

    def __init__(self, policy: BatchPolicy, rng: Callable[[], float]) -> None:
        self._policy = policy
        self._rng = rng
        self._ledger = Ledger()
        self._intake = Intake(policy, self._ledger)
        self._packer = Packer(self._intake)
        self._pace = Pace(policy.max_in_flight)
        self._gate = Gate(rng)
        self._budget = RetryBudget()
        self._accounts = Accounts(self._ledger, self._intake)
        self._salvage = Salvage(self._accounts, self._intake, self._new_number)
        self._parts: deque[Shipment] = deque()
        self._waiting: list[Shipment] = []
        self._flying: dict[int, Shipment] = {}
        self._number = 0
        self._stored = 0
        self._smallest_reset = math.inf
        self._last_was_retry = False
        self.failure: BesmartError | None = None
        self.offer_one = self._intake.offer_one
        self.offer_odd = self._intake.offer_odd
        self.room = self._intake.room

    # -- in ----------------------------------------------------------------------------------------------------------

    @property
    def intake(self) -> Intake:
        """The way in, with the flags `attention` and `breathe`."""
        return self._intake

    def offer(self, data: SignalData, ref: int | None = None, now: float = 0.0) -> bool:
        """Accept columns, all or nothing; False if there is no room now.

        Args:
            data: the readings; kept, not copied.
            ref: a number of at least 0 under which their outcomes are told (`Settled`); None for none.
            now: the current time.
        """
        return self._intake.offer(data, NO_REF if ref is None else ref, now)

    def flush(self) -> int:
        """Make everything accepted so far due; return a ticket for `flushed`."""
        return self._intake.flush()

    def flushed(self, ticket: int) -> bool:
        """Whether everything accepted before that flush has its final outcome."""
        return self._intake.flushed(ticket)

    # -- out ---------------------------------------------------------------------------------------------------------

    def poll(self, now: float) -> Batch | None:
        """Return the next batch to send, None if none may leave now."""
        if self.failure is not None:
            return None
        self._expire(now)
        opens_at = self._gate.opens_at(now, len(self._flying))
        if opens_at is None or opens_at > now or len(self._flying) >= self._pace.limit:
            return None
        shipment = self._next(now)
        return None if shipment is None else self._launch(shipment, now)

    def next_wakeup(self, now: float) -> float | None:
        """When to poll again if nothing else happens; None: not before something is offered or settled."""
        if self.failure is not None:
            return None
        times = [self._deadline(shipment) for shipment in self._waiting]
        hold_end = self._intake.next_hold_end()
        if hold_end is not None:
            times.append(hold_end)
        opens_at = self._gate.opens_at(now, len(self._flying))
        if opens_at is not None and len(self._flying) < self._pace.limit:
            times.append(max(opens_at, self._work_at(now)))
        earliest = min(times, default=math.inf)
        return None if earliest == math.inf else max(now, earliest)

    def events(self) -> Sequence[CoreEvent]:
        """Return what has happened since the last time."""
        events, self._accounts.events = self._accounts.events, []
        return events

    def report(self, now: float) -> DeliveryReport:
        """Return a snapshot of the numbers."""
        self._intake.reconcile()
        ledger = self._ledger
        paused = self._gate.paused(now)
        return DeliveryReport(
            pending=ledger.pending,
            in_flight=len(self._flying),
            max_in_flight=self._pace.limit,
            memory_bytes=self._intake.used,
            state="stopped" if self.failure is not None else "paused" if paused else "open",
            **attrs.asdict(ledger),
        )

    def _work_at(self, now: float) -> float:
        if any(shipment.free for shipment in self._parts):
            return now
        times: list[float] = []
        if waiting := [shipment.retry_at for shipment in self._waiting if shipment.free]:
            probing = self._gate.closed_by is not None
            retry_at = min(waiting)
            times.append(now if probing else max(retry_at, self._budget.ready_at(now)))
        due_at = self._intake.due_at()
        if due_at is not None and self._may_freeze():
            times.append(due_at)
        return min(times, default=math.inf)

    def _may_freeze(self) -> bool:
        return len(self._flying) + len(self._waiting) + len(self._parts) < 2 * self._pace.ceiling

    def _next(self, now: float) -> Shipment | None:
        for part in self._parts:
            if part.free:
                self._parts.remove(part)
                return part
        probing = self._gate.closed_by is not None
        turn_of_new = probing and self._last_was_retry and _is_403(self._gate.closed_by)
        if turn_of_new and (fresh := self._packed(now)) is not None:
            self._last_was_retry = False
            return fresh
        if waiting := [shipment for shipment in self._waiting if shipment.free]:
            shipment = min(waiting, key=lambda shipment: shipment.retry_at)
            if probing or (shipment.retry_at <= now and self._budget.ready_at(now) <= now):
                if not probing:
                    self._budget.take()
                self._waiting.remove(shipment)
                self._last_was_retry = True
                return shipment
        return self._packed(now)

    def _packed(self, now: float) -> Shipment | None:
        while self._may_freeze():
            due_at = self._intake.due_at()
            if due_at is None or due_at > now:
                return None
            items = self._packer.pack(now)
            if items:
                return Shipment(self._new_number(), tuple(items))
        return None

    def _launch(self, shipment: Shipment, now: float) -> Batch:
        body = shipment.body()
        shipment.attempts += 1
        shipment.sent_at = now
        if shipment.first_sent_at is None:
            shipment.first_sent_at = now
        shipment.fly(True)
        self._flying[shipment.number] = shipment
        self._intake.used += len(body)
        self._ledger.requests += 1
        self._ledger.retries += shipment.attempts > 1
        self._ledger.bytes += len(body)
        batch = Batch(shipment.number, body, len(shipment.items), shipment.readings, shipment.attempts)
        self._tell(
            BatchSent(
                batch=batch.number,
                items=batch.items,
                readings=batch.readings,
                body_bytes=len(body),
                attempt=batch.attempt,
            )
        )
        return batch

    def _new_number(self) -> int:
        self._number += 1
        return self._number

    def _deadline(self, shipment: Shipment) -> float:
        forbidden = shipment.error is not None and verdict(shipment.error) is Verdict.FORBIDDEN
        if forbidden or shipment.first_sent_at is None:
            return math.inf
        return shipment.first_sent_at + self._policy.delivery_timeout_s

    def _expire(self, now: float) -> None:
        self._intake.end_holds(now)
        expired = [shipment for shipment in self._waiting if self._deadline(shipment) <= now]
        for shipment in expired:
            self._waiting.remove(shipment)
            self._hand_back(shipment, now)

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def settle(self, number: int, error: BesmartError | None, now: float) -> None:
        """Take the result of a batch: None for stored, else what it failed with. An unknown number is ignored."""
        shipment = self._flying.pop(number, None)
        if shipment is None:
            return  # given up by `abandon`
        shipment.fly(False)
        self._intake.used -= shipment.body_bytes
        if error is None:
            self._acknowledged(shipment, now)
        else:
            self._failed(shipment, error, now)
        why = self._salvage.guard.tripped()
        if why is not None and self.failure is None:
            last = shipment.error if error is None else error
            self._stop_flood(f"{why}, the last time with: {last}", last, now)

    def stop(self, error: BesmartError, now: float) -> None:
        """Send nothing more and hand back everything that is not under way, with this error."""
        if self.failure is not None:
            return
        self.failure = error
        self._intake.close()
        flying = list(self._flying.values())
        self._salvage.give_up_all(error, flying)
        for shipment in [*self._parts, *self._waiting]:
            if shipment.family is None:
                self._hand_back(shipment, now, error)
        self._parts.clear()
        self._waiting.clear()
        for _, segment in [*self._packer.drain(), *self._intake.drain()]:
            self._accounts.lose(segment, error, "not_sent")

    def abandon(self, error: BesmartError, now: float) -> None:
        """Give up everything, what is under way included: that is in doubt. Nothing is pending afterwards."""
        self.stop(error, now)
        for shipment in list(self._flying.values()):
            del self._flying[shipment.number]
            self._intake.used -= shipment.body_bytes
            shipment.fly(False)
            shipment.maybe_applied = True
            self._hand_back(shipment, now, error)

    def _acknowledged(self, shipment: Shipment, now: float) -> None:
        self._answered()
        self._stored += 1
        self._pace.succeeded()
        self._budget.refund(now)
        self._tell(
            BatchAcknowledged(
                batch=shipment.number,
                items=len(shipment.items),
                readings=shipment.readings,
                elapsed_s=now - shipment.sent_at,
            )
        )
        self._hold(shipment, shipment.items, now)
        self._parts.extend(self._salvage.stored(shipment))

    def _failed(self, shipment: Shipment, error: BesmartError, now: float) -> None:
        shipment.error = error
        shipment.maybe_applied = shipment.maybe_applied or may_have_applied(error)
        if may_still_apply(error):
            shipment.lost_at = now
        meaning = verdict(error)
        if meaning is Verdict.FORBIDDEN and self._concerns_content(shipment, error):
            meaning = Verdict.REFUSED
        if self.failure is not None:
            self._hand_back(shipment, now, refused=meaning is Verdict.REFUSED)
        elif meaning is Verdict.REFUSED:
            self._answered()
            self._parts.extend(self._salvage.refused(shipment, error))
        elif meaning is Verdict.TOO_LARGE:
            self._answered()
            self._parts.extend(self._salvage.too_large(shipment, error))
        elif meaning is Verdict.FATAL:
            self._waiting.append(shipment)
            self.stop(error, now)
        else:
            self._troubled(shipment, error, meaning, now)

    def _troubled(self, shipment: Shipment, error: BesmartError, meaning: Verdict, now: float) -> None:
        self._pace.failed(error, len(self._flying))
        closed = self._gate.failed(error, 0 if meaning is Verdict.THROTTLED else strain(error), now)
        wait_s = getattr(error, "retry_after_s", None)
        if wait_s is not None:
            self._tell(SendingPaused(seconds=self._gate.told_to_wait(wait_s, now), error=error))
        elif closed:
            self._tell(SendingPaused(seconds=(self._gate.opens_at(now, 0) or now) - now, error=error))
        if meaning is Verdict.UNAVAILABLE and self._reset_by_size(shipment, error):
            if shipment.body_bytes < 0.75 * self._smallest_reset:
                self._smallest_reset = shipment.body_bytes
                self._gate.probe_sooner(now)
            self._parts.extend(self._salvage.too_large(shipment, error))
        elif self._deadline(shipment) <= now:
            self._hand_back(shipment, now)
        else:
            self._retry(shipment, error, now)

    def _retry(self, shipment: Shipment, error: BesmartError, now: float) -> None:
        ceiling = min(self._policy.max_wait_s, self._policy.initial_wait_s * 2.0 ** min(shipment.attempts - 1, 60))
        wait_s = self._rng() * ceiling
        shipment.retry_at = now + wait_s
        self._waiting.append(shipment)
        self._tell(BatchRetried(batch=shipment.number, wait_s=wait_s, error=error))

    def _hand_back(
        self, shipment: Shipment, now: float, error: BesmartError | None = None, *, refused: bool = False
    ) -> None:
        outcome: Outcome = "in_doubt" if shipment.maybe_applied else "rejected" if refused else "not_sent"
        reason = error or shipment.error or self.failure
        assert reason is not None  # noqa: S101 - nothing is handed back without one
        if self.failure is None:
            self._hold(shipment, shipment.items if shipment.family is None else shipment.family.items, now)
        self._salvage.give_up(shipment, reason, outcome)

    def _hold(self, shipment: Shipment, items: tuple[Item, ...], now: float) -> None:
        until = -math.inf if shipment.lost_at is None else shipment.lost_at + self._policy.hold_off_s
        if until > now:
            self._intake.hold(items, until)

    def _answered(self) -> None:
        self._smallest_reset = math.inf
        if self._gate.answered():
            self._tell(SendingResumed())

    def _reset_by_size(self, shipment: Shipment, error: BesmartError) -> bool:
        size = shipment.body_bytes
        return (
            isinstance(error, ProtocolError)
            and may_have_applied(error)
            and size > max(_SMALL_BODY, self._intake.bytes.largest_passed)
            and shipment.readings > 1
        )

    def _concerns_content(self, shipment: Shipment, error: BesmartError) -> bool:
        """Whether a 403 is about something in this batch: others have been stored since it first met one."""
        if not _is_403(error):
            return False
        if shipment.forbidden_after is None:
            shipment.forbidden_after = self._stored
        return self._stored > shipment.forbidden_after

    def _stop_flood(self, why: str, last: BesmartError | None, now: float) -> None:
        error = BesmartError(
            f"the writer stopped, since {why}; nothing more is sent. Check what is written, and as whom"
        )
        error.__cause__ = last
        self.stop(error, now)

    def _tell(self, event: CoreEvent) -> None:
        self._accounts.events.append(event)

    def pending_readings(self) -> int:
        """Count the accepted readings without an outcome where they are, the slow way; for tests."""
        loose = [shipment for shipment in [*self._parts, *self._waiting, *self._flying.values()] if not shipment.family]
        frozen = sum(item.credit.readings for shipment in loose for item in shipment.items)
        waiting = self._intake.pending_readings() + self._packer.pending_readings()
        return waiting + frozen + self._salvage.pending_readings()


def _is_403(error: BesmartError | None) -> bool:
    return isinstance(error, ApiError) and error.status == 403 and not error.operation.startswith("users.")
