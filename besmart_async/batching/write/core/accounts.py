"""Final outcomes: every accepted reading gets exactly one, and whoever asked is told."""

from __future__ import annotations

from collections.abc import Sequence

from besmart_async.batching.verdicts import told
from besmart_async.batching.write.core.credit import NO_REF, Credit, by_ref, refs_and_labels
from besmart_async.batching.write.core.events import CoreEvent, LabelsStored, Settled
from besmart_async.batching.write.core.intake import Intake
from besmart_async.batching.write.core.report import Ledger
from besmart_async.batching.write.core.segments import Segment
from besmart_async.errors import BesmartError, Outcome
from besmart_async.models.delivery import Rejection


class Accounts:
    """Books outcomes in the ledger and the intake, and tells them as events."""

    def __init__(self, ledger: Ledger, intake: Intake, *, journaled: bool) -> None:
        self.ledger = ledger
        self.events: list[CoreEvent] = []
        self._intake = intake
        self._journaled = journaled

    def deliver(self, items: Sequence[Segment]) -> None:
        """Note that the service stored some items."""
        credits_ = [item.credit for item in items]
        self.ledger.delivered += sum([credit.readings for credit in credits_])
        self._intake.settle(items)
        refs = [credit for credit in credits_ if credit.ref is not NO_REF]
        counts, labels = refs_and_labels(refs)
        self.events += [Settled(ref, delivered=count) for ref, count in counts]
        if len(labels):
            self.events.append(LabelsStored(labels=labels))

    def give_up(self, segment: Segment, error: BesmartError, outcome: Outcome) -> None:
        """Note readings that are not tried any more: lost, unless they stay in the journal."""
        if not self._journaled:
            self.lose(segment, error, outcome)
            return
        credit = segment.credit
        self.ledger.kept += credit.readings
        self._intake.settle([segment])
        why = told(error, "not_sent" if outcome == "rejected" else outcome)
        self.events += [Settled(ref, kept=count, error=why.clone()) for ref, count in by_ref([credit])]

    def lose(self, segment: Segment, error: BesmartError, outcome: Outcome) -> None:
        """Note that readings will not be delivered."""
        credit = segment.credit
        if outcome == "in_doubt":
            self.ledger.in_doubt += credit.readings
        else:
            self.ledger.rejected += credit.readings
        self._intake.settle([segment])
        refs = frozenset() if credit.ref is NO_REF else credit.refs
        if refs:
            self._tell_refs(credit, error, outcome)
        self.events.append(Rejection(segment.data, told(error, outcome), outcome, credit.readings, refs))

    def _tell_refs(self, credit: Credit, error: BesmartError, outcome: Outcome) -> None:
        for ref, count in by_ref([credit]):
            lost = {"in_doubt": count} if outcome == "in_doubt" else {"rejected": count}
            self.events.append(Settled(ref, error=told(error, outcome), **lost))
