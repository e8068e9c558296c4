"""Final outcomes: every accepted reading gets exactly one, and its waiters get it."""

from __future__ import annotations

from besmart_async.batching.verdicts import told
from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Payload
from besmart_async.batching.write.core.events import CoreEvent, Settled
from besmart_async.batching.write.core.report import Ledger
from besmart_async.errors import BesmartError, Outcome
from besmart_async.models.delivery import Rejection
from besmart_async.models.series import SignalData


class Outcomes:
    """Records outcomes in the ledger and the accumulator, and creates events for them."""

    def __init__(self, ledger: Ledger, accumulator: Accumulator, *, journaled: bool) -> None:
        self.ledger = ledger
        self.events: list[CoreEvent] = []
        self._accumulator = accumulator
        self._journaled = journaled

    def deliver(self, payload: Payload) -> None:
        """Record that the service stored a payload."""
        provenance = payload.provenance
        self.ledger.delivered += provenance.readings
        self._accumulator.settle(provenance.ranges(), payload.cost)
        self.events += [Settled(ref, delivered=count) for ref, count in provenance.by_ref()]

    def give_up(self, payload: Payload, error: BesmartError, outcome: Outcome) -> None:
        """Record readings that are not tried again: lost, unless they stay in the journal."""
        if not self._journaled:
            self.lose(payload, error, outcome)
            return
        provenance = payload.provenance
        self.ledger.kept += provenance.readings
        self._accumulator.settle(provenance.ranges(), payload.cost)
        why = told(error, "not_sent" if outcome == "rejected" else outcome)
        self.events += [Settled(ref, kept=count, error=why.clone()) for ref, count in provenance.by_ref()]

    def lose(self, payload: Payload, error: BesmartError, outcome: Outcome) -> None:
        """Record that readings will not be delivered."""
        provenance = payload.provenance
        if outcome == "in_doubt":
            self.ledger.in_doubt += provenance.readings
        else:
            self.ledger.rejected += provenance.readings
        self._accumulator.settle(provenance.ranges(), payload.cost)
        for ref, count in provenance.by_ref():
            lost = {"in_doubt": count} if outcome == "in_doubt" else {"rejected": count}
            self.events.append(Settled(ref, error=told(error, outcome), **lost))
        why = told(error, outcome)
        for item in range(len(payload)):
            part = payload.item(item)
            of = part.provenance
            refs = of.all_refs if of.by_ref() else frozenset[int]()
            self.events.append(Rejection(part.data(0), why, outcome, of.readings, refs, tuple(of.ranges())))

    def lost_before(self, data: SignalData, numbers: tuple[int, int]) -> None:
        """Record readings of an earlier writer that the service refused and that nobody was told about."""
        self.ledger.rejected += len(data)
        self._accumulator.settle([numbers], 0)
        why = BesmartError("the service refused it when an earlier writer sent it; its answer was not kept")
        why.outcome = "rejected"
        self.events.append(Rejection(data, why, "rejected", len(data), frozenset(), (numbers,)))
