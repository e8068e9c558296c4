"""The write side of the batching engine, without I/O: readings in, batches out, outcomes back in.

Rules
-----
- Nothing here awaits, sleeps, logs or reads a clock: `now` (seconds, monotonic) is an argument, `rng` gives randomness.
- `accepted == delivered + rejected + in_doubt + pending`, in readings, after every call.
- At most one unsettled item set per signal: while a signal's readings are frozen, its newer ones wait.
- What is frozen never changes. It is encoded when a slot is free for it, and sent again as the same bytes.
- "Full" and "nothing to send" are answers, not exceptions.

Theory of operation
-------------------
::

    offer ──> Intake (lanes, queue) ──pack──> Shipment ──poll──> Batch ──> the shell sends it ──> settle
                   ^                             |  ^                                              |
                   └────── released lane ────────┘  └── retry · smaller parts · probes of a search ┘

`poll` hands out the next batch if one may leave now; `Traffic` holds what is frozen and chooses. `next_wakeup` says
when `poll` may have an answer without anything else happening.

`settle` takes the result of one batch; `Settlement` decides what it means: `Salvage` takes apart what is refused or too
large, the rest is sent again or handed back. `Accounts` books every final outcome.

This module puts those parts together, and ends them: the engine stops on a fatal error and when the `FloodGuard` trips.
What is not under way is handed back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import attrs

from besmart_async.batching.write.core.accounts import Accounts
from besmart_async.batching.write.core.credit import NO_REF, Credit
from besmart_async.batching.write.core.events import BatchSent, CoreEvent
from besmart_async.batching.write.core.intake import Intake
from besmart_async.batching.write.core.packing import Shipment
from besmart_async.batching.write.core.report import Ledger
from besmart_async.batching.write.core.salvage import Salvage
from besmart_async.batching.write.core.settlement import Settlement
from besmart_async.batching.write.core.traffic import Traffic
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.delivery import DeliveryReport
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData


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
        journaled: what is given up is not handed back, but stays where it is in the journal.
    """

    def __init__(self, policy: BatchPolicy, rng: Callable[[], float], *, journaled: bool = False) -> None:
        self._ledger = Ledger()
        self._intake = Intake(policy, self._ledger)
        self._traffic = Traffic(policy, rng, self._intake)
        self._accounts = Accounts(self._ledger, self._intake, journaled=journaled)
        self._salvage = Salvage(self._accounts, self._intake, self._traffic.new_number)
        self._settlement = Settlement(policy, rng, self._intake, self._traffic, self._accounts, self._salvage)
        self.offer_one = self._intake.offer_one
        self.offer_odd = self._intake.offer_odd
        self.offer_columns = self._intake.offer_columns
        self.room = self._intake.room

    # -- in ----------------------------------------------------------------------------------------------------------

    @property
    def intake(self) -> Intake:
        """The way in, with the flags `attention`, `due` and `breathe`."""
        return self._intake

    @property
    def failure(self) -> BesmartError | None:
        """What the engine stopped with, None while it works."""
        return self._settlement.stopped_by

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
        return self._intake.flushes.done(ticket)

    # -- out ---------------------------------------------------------------------------------------------------------

    def poll(self, now: float) -> Batch | None:
        """Return the next batch to send, None if none may leave now."""
        if self.failure is not None:
            return None
        self._intake.end_holds(now)
        for expired in self._traffic.expired(now):
            self._settlement.hand_back(expired, now)
        shipment = self._traffic.next(now)
        return None if shipment is None else self._launch(shipment, now)

    def next_wakeup(self, now: float) -> float | None:
        """When to poll again if nothing else happens; None: not before something is offered or settled."""
        if self.failure is not None:
            return None
        hold_end = self._intake.holds.next_end()
        earliest = min(self._traffic.next_at(now), math.inf if hold_end is None else hold_end)
        return None if earliest == math.inf else max(now, earliest)

    def events(self) -> Sequence[CoreEvent]:
        """Return what has happened since the last time."""
        events, self._accounts.events = self._accounts.events, []
        return events

    def report(self, now: float) -> DeliveryReport:
        """Return a snapshot of the numbers."""
        self._intake.reconcile()
        ledger, traffic = self._ledger, self._traffic
        paused = traffic.gate.paused(now)
        return DeliveryReport(
            pending=ledger.pending,
            in_flight=len(traffic.flying),
            max_in_flight=traffic.pace.limit,
            memory_bytes=self._intake.used,
            state="stopped" if self.failure is not None else "paused" if paused else "open",
            **attrs.asdict(ledger),
        )

    def _launch(self, shipment: Shipment, now: float) -> Batch:
        body = shipment.body
        shipment.attempts += 1
        shipment.sent_at = now
        if shipment.first_sent_at is None:
            shipment.first_sent_at = now
        shipment.fly(True)
        self._traffic.flying[shipment.number] = shipment
        self._ledger.requests += 1
        self._ledger.retries += shipment.attempts > 1
        self._ledger.bytes += len(body)
        batch = Batch(shipment.number, body, len(shipment.items), shipment.readings, shipment.attempts)
        self._accounts.events.append(
            BatchSent(
                batch=batch.number,
                items=batch.items,
                readings=batch.readings,
                body_bytes=len(body),
                attempt=batch.attempt,
            )
        )
        return batch

    def _land(self, number: int) -> Shipment | None:
        shipment = self._traffic.flying.pop(number, None)
        if shipment is not None:
            shipment.fly(False)
        return shipment

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def settle(self, number: int, error: BesmartError | None, now: float) -> None:
        """Take the result of a batch: None for stored, else what it failed with. An unknown number is ignored."""
        shipment = self._land(number)
        if shipment is None:
            return  # given up by `abandon`
        if error is None:
            self._settlement.acknowledged(shipment, now)
        else:
            fatal = self._settlement.failed(shipment, error, now)
            if fatal is not None:
                self.stop(fatal, now)
        why = self._salvage.guard.tripped()
        if why is not None and self.failure is None:
            last = shipment.error if error is None else error
            self._stop_flood(f"{why}, the last time with: {last}", last, now)

    def stop(self, error: BesmartError, now: float) -> None:
        """Send nothing more, and hand back (or keep, see `journaled`) everything that is not under way."""
        if self.failure is not None:
            return
        self._settlement.stopped_by = error
        self._intake.close()
        traffic = self._traffic
        self._salvage.give_up_all(error, list(traffic.flying.values()))
        for shipment in [*traffic.parts, *traffic.waiting]:
            if shipment.family is None:
                self._settlement.hand_back(shipment, now, error)
        traffic.parts.clear()
        traffic.waiting.clear()
        for _, segment in [*traffic.packer.drain(), *self._intake.drain()]:
            self._accounts.give_up(segment, error, "not_sent")

    def give_up_late(self) -> None:
        """Give up what was let in after the engine had stopped: it was on its way to the journal then."""
        if self.failure is not None:
            for _, segment in self._intake.drain():
                self._accounts.give_up(segment, self.failure, "not_sent")

    def abandon(self, error: BesmartError, now: float) -> None:
        """Give up everything, what is under way included: that is in doubt. Nothing is pending afterwards."""
        self.stop(error, now)
        for number in list(self._traffic.flying):
            shipment = self._land(number)
            if shipment is not None:
                shipment.maybe_applied = True
                self._settlement.hand_back(shipment, now, error)

    def _stop_flood(self, why: str, last: BesmartError | None, now: float) -> None:
        error = BesmartError(
            f"the writer stopped, since {why}; nothing more is sent. Check what is written, and as whom"
        )
        error.__cause__ = last
        self.stop(error, now)

    def pending(self) -> Iterator[tuple[SignalKey, Credit]]:
        """Yield all accepted readings without an outcome where they are: the slow way."""
        traffic = self._traffic
        yield from self._intake.pending()
        yield from traffic.packer.pending()
        yield from self._salvage.pending()
        for shipment in [*traffic.parts, *traffic.waiting, *traffic.flying.values()]:
            if not shipment.family:
                yield from ((item.lane.key, item.credit) for item in shipment.items)
