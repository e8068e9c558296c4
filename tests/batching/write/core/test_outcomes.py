"""Every accepted reading gets exactly one final outcome, and who waits for it is told."""

from __future__ import annotations

import numpy as np
import pytest

from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Payload
from besmart_async.batching.write.core.events import Settled
from besmart_async.batching.write.core.outcomes import Outcomes
from besmart_async.batching.write.core.provenance import NO_REF
from besmart_async.batching.write.core.report import Ledger
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, Outcome
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import api_error

A, B = SignalKey(12, 1, 32), SignalKey(12, 2, 32)


class Stage:
    """Outcomes over an accumulator that has formed two items: A with a replaced reading, B without a ref."""

    def __init__(self, *, journaled: bool = False) -> None:
        self.ledger = Ledger()
        self.accumulator = Accumulator(BatchPolicy(), self.ledger)
        self.outcomes = Outcomes(self.ledger, self.accumulator, journaled=journaled)
        self.accumulator.accept(SignalData(A, [1, 2], [1.0, 2.0]), 7, 0.0)
        self.accumulator.accept(SignalData(A, [2], [3.0]), 8, 0.0)
        self.accumulator.accept(SignalData(B, [1], [4.0]), NO_REF, 0.0)
        payload = self.accumulator.form(0.0)
        assert payload is not None
        self.payload: Payload = payload

    @property
    def told(self) -> list[Settled]:
        return [event for event in self.outcomes.events if isinstance(event, Settled)]


def test_what_is_stored_is_delivered_with_all_it_replaced() -> None:
    stage = Stage()
    stage.outcomes.deliver(stage.payload)
    assert stage.outcomes.events == [Settled(7, delivered=2), Settled(8, delivered=1)]
    assert (stage.ledger.accepted, stage.ledger.delivered, stage.ledger.pending) == (4, 4, 0)
    assert stage.accumulator.settled.low == 4
    assert stage.accumulator.used == 0


@pytest.mark.parametrize("outcome", ["rejected", "not_sent", "in_doubt"])
def test_what_is_lost_is_told_by_item_with_its_data_numbers_and_refs(outcome: Outcome) -> None:
    stage = Stage()
    stage.outcomes.lose(stage.payload, api_error(422), outcome)
    doubt = outcome == "in_doubt"
    assert (stage.ledger.rejected, stage.ledger.in_doubt, stage.ledger.pending) == (0 if doubt else 4, 4 * doubt, 0)
    assert [(told.ref, told.rejected, told.in_doubt) for told in stage.told] == [
        (7, 0 if doubt else 2, 2 * doubt),
        (8, 0 if doubt else 1, 1 * doubt),
    ]
    first, second = [event for event in stage.outcomes.events if isinstance(event, Rejection)]
    assert first.data == SignalData(A, [1, 2], [1.0, 3.0])
    assert (first.readings, sorted(first.refs), first.outcome) == (3, [7, 8], outcome)
    assert list(first.numbers) == [(0, 3)]
    assert second.data == SignalData(B, [1], [4.0])
    assert (second.readings, second.refs) == (1, frozenset())
    assert list(second.numbers) == [(3, 4)]
    assert stage.accumulator.settled.low == 4


def test_every_waiter_gets_an_error_of_its_own_that_tells_the_outcome() -> None:
    stage = Stage()
    error = BesmartError("closed")
    stage.outcomes.lose(stage.payload, error, "not_sent")
    errors = [told.error for told in stage.told]
    rejections = [event.error for event in stage.outcomes.events if isinstance(event, Rejection)]
    every = [*errors, rejections[0]]
    assert len({id(each) for each in every}) == 3
    assert [each.outcome for each in every if each is not None] == ["not_sent"] * 3
    assert error.outcome is None


def test_without_a_journal_what_is_given_up_is_lost() -> None:
    stage = Stage()
    stage.outcomes.give_up(stage.payload, BesmartError("closed"), "not_sent")
    assert (stage.ledger.rejected, stage.ledger.kept, stage.ledger.open) == (4, 0, 0)


@pytest.mark.parametrize(
    ("outcome", "told"), [("rejected", "not_sent"), ("not_sent", "not_sent"), ("in_doubt", "in_doubt")]
)
def test_with_a_journal_what_is_given_up_stays_pending_and_is_handed_back_to_nobody(
    outcome: Outcome, told: Outcome
) -> None:
    stage = Stage(journaled=True)
    stage.outcomes.give_up(stage.payload, BesmartError("closed"), outcome)
    assert (stage.ledger.pending, stage.ledger.kept, stage.ledger.open) == (4, 4, 0)
    assert [(event.ref, event.kept) for event in stage.told] == [(7, 2), (8, 1)]
    assert [event.error.outcome for event in stage.told if event.error is not None] == [told, told]
    assert not [event for event in stage.outcomes.events if isinstance(event, Rejection)]
    assert stage.accumulator.settled.low == 4


def test_parts_get_outcomes_of_their_own() -> None:
    stage = Stage()
    stage.outcomes.deliver(stage.payload.part([1]))
    assert (stage.ledger.delivered, stage.ledger.pending, stage.accumulator.settled.low) == (1, 3, 0)
    item = stage.payload.part([0])
    stage.outcomes.lose(item.piece(np.array([0])), api_error(422), "rejected")
    stage.outcomes.deliver(item.piece(np.array([1])))
    assert (stage.ledger.delivered, stage.ledger.rejected, stage.ledger.pending) == (3, 1, 0)
    assert stage.accumulator.settled.low == 4
    assert stage.accumulator.used == 0
