"""Final outcomes: every accepted reading gets exactly one, and whoever asked is told."""

from __future__ import annotations

from besmart_async.batching.credit import NO_REF, Credit
from besmart_async.batching.intake import Intake
from besmart_async.batching.lanes import Segment
from besmart_async.batching.outcomes import CoreEvent, LabelsStored, Rejection, Settled, told
from besmart_async.batching.packing import Item
from besmart_async.batching.report import Ledger
from besmart_async.errors import BesmartError, Outcome


class Accounts:
    """Books outcomes in the ledger and the intake, and tells them as events."""

    def __init__(self, ledger: Ledger, intake: Intake) -> None:
        self.ledger = ledger
        self.events: list[CoreEvent] = []
        self._intake = intake

    def deliver(self, item: Item) -> None:
        """Note that the service stored an item."""
        self.ledger.delivered += item.credit.readings
        self._intake.settle(item.credit)
        if item.credit.ref is not NO_REF:
            self.events += [Settled(ref, delivered=count) for ref, count in item.credit.by_ref()]
            labels = item.credit.labels
            if len(labels):
                self.events.append(LabelsStored(labels=labels))

    def lose(self, segment: Segment | Item, error: BesmartError, outcome: Outcome) -> None:
        """Note that readings will not be delivered."""
        credit = segment.credit
        if outcome == "in_doubt":
            self.ledger.in_doubt += credit.readings
        else:
            self.ledger.rejected += credit.readings
        self._intake.settle(credit)
        refs = frozenset() if credit.ref is NO_REF else credit.refs
        self.events.append(Rejection(segment.data, told(error, outcome), outcome, credit.readings, refs))
        if refs:
            self._tell_refs(credit, error, outcome)

    def _tell_refs(self, credit: Credit, error: BesmartError, outcome: Outcome) -> None:
        for ref, count in credit.by_ref():
            lost = {"in_doubt": count} if outcome == "in_doubt" else {"rejected": count}
            self.events.append(Settled(ref, error=told(error, outcome), **lost))
