"""The write core: readings in, batches out, outcomes back in. No I/O.

Rules
-----
- Nothing here awaits, sleeps, logs or reads a clock: `now` (seconds, monotonic) is an argument, `rng` gives randomness.
- `accepted == delivered + rejected + in_doubt + pending`, in readings, after every call.
- A signal with a frozen item is fenced: while its readings are in flight, its newer ones wait.
- A frozen batch never changes. A retry sends the same bytes.
- "Full" and "nothing to send" are answers, not exceptions.

Theory of operation
-------------------
::

    accept ──> Accumulator (log) ──form──> Payload ──poll──> Dispatch ──> the shell sends it ──> settle
                  ^    ^                      |  ^                                                 |
                  |    └── Fences: set aside ─┘  └── retry · smaller parts · probes of a search ───┘
                  └─────── released signals

`poll` returns the next batch if one may be sent now; `Dispatcher` keeps the frozen batches and chooses. `next_wakeup`
says when to poll again if nothing else happens. `settle` takes the result of one batch, and `Settlement` decides what
it means: `Bisection` splits what is refused or too large, the rest is sent again or handed back. `Outcomes` records
every final outcome. The core stops on a fatal error and when the `RefusalGuard` trips; everything that is not in flight
is handed back then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Batch
from besmart_async.batching.write.core.bisection import Bisection
from besmart_async.batching.write.core.dispatcher import Dispatcher
from besmart_async.batching.write.core.events import BatchSent, CoreEvent
from besmart_async.batching.write.core.guard import RefusalGuard
from besmart_async.batching.write.core.outcomes import Outcomes
from besmart_async.batching.write.core.provenance import NO_REF, Ranges
from besmart_async.batching.write.core.report import Ledger
from besmart_async.batching.write.core.settlement import Settlement
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.delivery import DeliveryReport
from besmart_async.models.series import SignalData


@attrs.frozen(eq=False)
class Dispatch:
    """One bulk call to make now. The caller must call `settle(number, ...)` with the result, whatever happens."""

    number: int
    body: bytes = attrs.field(repr=False)
    items: int
    readings: int
    attempt: int


class WriteCore:
    """The core. Not thread-safe; the shell keeps it in one event loop.

    Args:
        policy: limits and durations.
        rng: a random float from 0 to 1.
        journaled: readings that are given up are not handed back, but stay in the journal.

    Attributes:
        accumulator: accepts readings; its flags `attention`, `due` and `breathe` ask for action.
    """

    def __init__(self, policy: BatchPolicy, rng: Callable[[], float], *, journaled: bool = False) -> None:
        self._ledger = Ledger()
        self.accumulator = Accumulator(policy, self._ledger)
        self._guard = RefusalGuard(policy)
        self._dispatcher = Dispatcher(policy, rng, self.accumulator, self._guard)
        self._outcomes = Outcomes(self._ledger, self.accumulator, journaled=journaled)
        self._bisection = Bisection(self._outcomes, self.accumulator, self._guard, self._dispatcher)
        self._settlement = Settlement(policy, rng, self.accumulator, self._dispatcher, self._outcomes, self._bisection)
        self._pause_s = policy.refusal_window_s
        self._goes_on_at = math.inf

    @property
    def failure(self) -> BesmartError | None:
        """The error that stopped the core, None while it works."""
        return self._settlement.stopped_by

    # -- in ----------------------------------------------------------------------------------------------------------

    def offer(self, data: SignalData, ref: int | None = None, now: float = 0.0) -> bool:
        """Accept columns, all or nothing; False if there is no room now.

        Args:
            data: the readings; kept, not copied.
            ref: a number of at least 0 that identifies them in `Settled` events; None: no such events.
            now: the current time.
        """
        return self.accumulator.accept(data, NO_REF if ref is None else ref, now)

    def refused_before(self, readings: Iterable[tuple[SignalData, int]]) -> None:
        """Take over readings of an earlier writer that the service refused and that nobody was told about.

        Args:
            readings: columns, and the number of their first reading.
        """
        for data, number in readings:
            self._ledger.accepted += len(data)
            self._outcomes.lost_before(data, (number, number + len(data)))

    def flush(self) -> int:
        """Make everything accepted so far due; return a ticket for `flushed`."""
        return self.accumulator.flush()

    def flushed(self, ticket: int) -> bool:
        """Whether everything accepted before that flush has its final outcome."""
        return self.accumulator.flushed(ticket)

    # -- out ---------------------------------------------------------------------------------------------------------

    def poll(self, now: float) -> Dispatch | None:
        """Return the next batch to send, None if none may be sent now."""
        if self.failure is not None:
            return None
        self.accumulator.end_holds(now)
        for expired in self._dispatcher.expired(now):
            self._settlement.hand_back(expired, now)
        batch = self._dispatcher.next(now)
        return None if batch is None else self._launch(batch, now)

    def next_wakeup(self, now: float) -> float | None:
        """When to poll again if nothing else happens; None: only after something is offered or settled."""
        if self.failure is not None:
            return None
        hold_end = self.accumulator.fences.next_end()
        earliest = min(self._dispatcher.next_at(now), math.inf if hold_end is None else hold_end)
        return None if earliest == math.inf else max(now, earliest)

    def events(self) -> Sequence[CoreEvent]:
        """Return the events since the last call."""
        events, self._outcomes.events = self._outcomes.events, []
        return events

    def report(self, now: float) -> DeliveryReport:
        """Return a snapshot of the numbers."""
        self.accumulator.reconcile()
        ledger, dispatcher = self._ledger, self._dispatcher
        paused = dispatcher.gate.paused(now)
        return DeliveryReport(
            pending=ledger.pending,
            in_flight=len(dispatcher.flying),
            max_in_flight=dispatcher.pace.limit,
            memory_bytes=self.accumulator.used,
            oldest_pending_s=max(0.0, now - self._oldest(now)) if ledger.pending else 0.0,
            state="stopped" if self.failure is not None else "paused" if paused else "open",
            refused_signals=self._guard.refused_signals,
            max_items=self.accumulator.limits.items.value,
            **attrs.asdict(ledger),
        )

    def _oldest(self, now: float) -> float:
        """When the oldest pending reading was accepted, or first sent if it was."""
        dispatcher = self._dispatcher
        batches = [*dispatcher.parts, *dispatcher.waiting, *dispatcher.flying.values()]
        sent = [batch.first_sent_at for batch in batches if batch.first_sent_at is not None]
        return min([*sent, self.accumulator.oldest(now)])

    @property
    def unsettled(self) -> int:
        """Readings whose outcome this writer will still learn: those that stay in the journal are not counted."""
        self.accumulator.reconcile()
        return self._ledger.open

    def _launch(self, batch: Batch, now: float) -> Dispatch:
        batch.attempts += 1
        batch.sent_at = now
        if batch.first_sent_at is None:
            batch.first_sent_at = now
        self._dispatcher.launch(batch)
        self._ledger.requests += 1
        self._ledger.retries += batch.attempts > 1
        self._ledger.bytes += len(batch.body)
        self._outcomes.events.append(
            BatchSent(
                batch=batch.number,
                items=batch.items,
                readings=batch.rows,
                body_bytes=len(batch.body),
                attempt=batch.attempts,
            )
        )
        return Dispatch(batch.number, batch.body, batch.items, batch.rows, batch.attempts)

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def settle(self, number: int, error: BesmartError | None, now: float) -> None:
        """Take the result of a batch: None if it was stored, else its error. An unknown number is ignored."""
        batch = self._dispatcher.land(number)
        if batch is None:
            return  # given up by `abandon`
        if error is None:
            self._settlement.acknowledged(batch, now)
        else:
            fatal = self._settlement.failed(batch, error, now)
            if fatal is not None:
                self.stop(fatal, now)
        why = self._guard.tripped(others_wait=self.accumulator.due_at() is not None)
        if why is not None and self.failure is None:
            self._stop_refused(why, batch.error if error is None else error, now)

    def stop(self, error: BesmartError, now: float) -> None:
        """Send nothing more, and hand back (or keep, see `journaled`) everything that is not in flight."""
        if self.failure is not None:
            return
        self._settlement.stopped_by = error
        self._goes_on_at = math.inf
        self.accumulator.close()
        dispatcher = self._dispatcher
        self._bisection.give_up_all(error, list(dispatcher.flying.values()))
        for batch in [*dispatcher.parts, *dispatcher.waiting]:
            if batch.family is None:
                self._settlement.hand_back(batch, now, error)
        dispatcher.parts.clear()
        dispatcher.waiting.clear()
        for payload in self.accumulator.drain():
            self._outcomes.give_up(payload, error, "not_sent")

    def give_up_late(self) -> None:
        """Give up what was accepted after the core had stopped: it was being journaled at that time."""
        if self.failure is not None:
            for payload in self.accumulator.drain():
                self._outcomes.give_up(payload, self.failure, "not_sent")

    def abandon(self, error: BesmartError, now: float) -> None:
        """Give up everything; what is in flight is in doubt. Nothing is pending afterwards."""
        self.stop(error, now)
        self._goes_on_at = math.inf
        for number in list(self._dispatcher.flying):
            batch = self._dispatcher.land(number)
            if batch is not None:
                batch.maybe_applied = True
                self._settlement.hand_back(batch, now, error)

    def resume(self, now: float, *, at_once: bool = False) -> bool:
        """Continue after the service refused everything, if that was the reason for stopping and the pause is over."""
        if self._goes_on_at == math.inf or (now < self._goes_on_at and not at_once):
            return False
        self._goes_on_at = math.inf
        self._settlement.stopped_by = None
        self._guard.reset()
        self.accumulator.reopen()
        return True

    def _stop_refused(self, why: str, last: BesmartError | None, now: float) -> None:
        error = BesmartError(
            f"the writer stopped because {why}; the last error: {last}. Check the data and the account; the writer "
            f"accepts readings again after {self._pause_s:g} s, or when resume() is called"
        )
        error.__cause__ = last
        self.stop(error, now)
        self._goes_on_at = now + self._pause_s

    def pending(self) -> Iterator[Ranges]:
        """Yield the numbers of all accepted readings without an outcome. Slow: it looks through everything."""
        dispatcher = self._dispatcher
        batches = [*dispatcher.parts, *dispatcher.waiting, *dispatcher.flying.values()]
        for payload in [*self._bisection.pending(), *[batch.payload for batch in batches if batch.family is None]]:
            yield payload.provenance.ranges()
        for entry in self.accumulator.waiting():
            yield entry.ranges()
