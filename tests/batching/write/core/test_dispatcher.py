"""Which frozen batch leaves next, and when."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Batch
from besmart_async.batching.write.core.dispatcher import Dispatcher
from besmart_async.batching.write.core.guard import RefusalGuard
from besmart_async.batching.write.core.provenance import NO_REF
from besmart_async.batching.write.core.report import Ledger
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import api_error, unreachable


def key(sensor: int) -> SignalKey:
    return SignalKey(12, sensor, 32)


class Stage:
    """A dispatcher over a log whose batches hold one signal each, unless the policy says otherwise."""

    def __init__(self, **policy: Any) -> None:
        settings = attrs.evolve(BatchPolicy(linger_s=0.0, max_items=1), **policy)
        self.accumulator = Accumulator(settings, Ledger())
        self.guard = RefusalGuard(settings)
        self.dispatcher = Dispatcher(settings, lambda: 0.5, self.accumulator, self.guard)

    def accept(self, *sensors: int, rows: int = 1) -> None:
        for sensor in sensors:
            assert self.accumulator.accept(SignalData(key(sensor), list(range(rows)), [1.0] * rows), NO_REF, 0.0)

    def sent(self, now: float = 0.0) -> Batch | None:
        """Send the next batch, as the core does."""
        batch = self.dispatcher.next(now)
        if batch is not None:
            batch.attempts += 1
            batch.sent_at = now
            batch.first_sent_at = now if batch.first_sent_at is None else batch.first_sent_at
            self.dispatcher.launch(batch)
        return batch

    def send(self, now: float = 0.0) -> Batch:
        batch = self.sent(now)
        assert batch is not None
        return batch

    def fail(self, batch: Batch, error: BesmartError, retry_at: float = 0.0) -> None:
        """Let a call end without success; it waits for a retry."""
        assert self.dispatcher.land(batch.number) is batch
        batch.error, batch.retry_at = error, retry_at
        self.dispatcher.waiting.append(batch)

    def close_gate(self, error: BesmartError, now: float = 0.0) -> None:
        assert self.dispatcher.gate.failed(error, 8, now)


def sensor_of(batch: Batch | None) -> int | None:
    return None if batch is None else batch.payload.keys[0].sensor_mid


# -- the order -------------------------------------------------------------------------------------------------------


def test_new_batches_leave_in_the_order_of_acceptance_up_to_the_pace() -> None:
    stage = Stage(max_in_flight=2)
    stage.accept(3, 1, 2)
    assert [sensor_of(stage.sent()) for _ in range(3)] == [3, 1, None]
    assert stage.dispatcher.next_at(0.0) == math.inf


def test_parts_leave_before_retries_and_those_before_new_batches() -> None:
    stage = Stage()
    stage.accept(1, 2, 3)
    retry, part = stage.send(), stage.send()
    stage.fail(retry, api_error(503))
    stage.dispatcher.land(part.number)
    stage.dispatcher.parts.append(part)
    assert [sensor_of(stage.sent()) for _ in range(4)] == [2, 1, 3, None]


def test_a_retry_waits_for_its_time_and_others_go_on_meanwhile() -> None:
    stage = Stage()
    stage.accept(1, 2)
    stage.fail(stage.send(), api_error(503), retry_at=5.0)
    assert sensor_of(stage.sent()) == 2
    assert stage.sent(4.9) is None
    assert stage.dispatcher.next_at(4.0) == 5.0
    assert sensor_of(stage.sent(5.0)) == 1


def test_of_several_retries_the_earliest_leaves_first() -> None:
    stage = Stage()
    stage.accept(1, 2)
    first, second = stage.send(), stage.send()
    stage.fail(first, api_error(503), retry_at=2.0)
    stage.fail(second, api_error(503), retry_at=1.0)
    assert [sensor_of(stage.sent(3.0)) for _ in range(2)] == [2, 1]


def test_retries_are_paid_for_and_new_batches_are_not() -> None:
    stage = Stage(max_in_flight=16)
    stage.accept(*range(6))
    for batch in [stage.send() for _ in range(4)]:
        stage.fail(batch, api_error(503))
    assert [sensor_of(stage.sent()) for _ in range(4)] == [0, 1, 4, 5]  # there is budget for two retries
    assert stage.sent() is None
    assert stage.dispatcher.next_at(0.0) == pytest.approx(5.0)
    assert sensor_of(stage.sent(5.0)) == 2


def test_a_part_waits_while_another_of_its_signal_is_under_way() -> None:
    stage = Stage()
    stage.accept(1, rows=4)
    stage.accept(2)
    whole = stage.send()
    stage.dispatcher.land(whole.number)
    pieces = [whole.payload.piece(slice(start, start + 2)) for start in (0, 2)]
    parts = stage.dispatcher.cut(whole, pieces)
    stage.dispatcher.parts.extend(parts)
    assert [sensor_of(stage.sent()) for _ in range(3)] == [1, 2, None]
    assert stage.dispatcher.next_at(0.0) == math.inf
    assert stage.dispatcher.land(parts[0].number) is parts[0]
    assert stage.dispatcher.next_at(0.0) == 0.0
    assert stage.sent() is parts[1]


def test_a_signal_that_was_cut_stays_fenced_until_all_its_parts_are_settled() -> None:
    stage = Stage()
    stage.accept(1, rows=4)
    whole = stage.send()
    stage.dispatcher.land(whole.number)
    pieces = [whole.payload.piece(slice(start, start + 1)) for start in range(4)]
    stage.dispatcher.cut(whole, pieces)
    for piece in pieces:
        assert key(1) in stage.accumulator.fences.fenced
        stage.accumulator.release(piece)
    assert key(1) not in stage.accumulator.fences.fenced


def test_a_body_that_turns_out_too_large_leaves_in_parts() -> None:
    stage = Stage(max_items=10, max_bytes=1_000)
    for sensor in range(5):
        data = SignalData(key(sensor), [1], ["x" * 400], "STR")
        stage.accumulator.accept(data, NO_REF, 0.0)
    batches = list[Batch]()
    while (batch := stage.sent()) is not None:
        batches.append(batch)
        stage.dispatcher.land(batch.number)
    assert all(len(batch.body) <= 1_000 for batch in batches)
    assert len({batch.number for batch in batches}) == len(batches) == 5
    assert [signal.sensor_mid for batch in batches for signal in batch.payload.keys] == list(range(5))


def test_a_signal_in_two_units_counts_as_two_items_of_a_call() -> None:
    stage = Stage(max_items=2)
    for sensor in (1, 2):
        for unit in (None, "kW"):
            stage.accumulator.accept(SignalData(key(sensor), [1 if unit else 2], [1.0], unit=unit), NO_REF, 0.0)
    assert [stage.send().items for _ in range(2)] == [2, 1]
    assert stage.sent() is None  # the last item is of a signal that is under way


def test_no_more_is_frozen_than_twice_the_calls_that_may_ever_be_under_way() -> None:
    stage = Stage(max_in_flight=2)
    stage.accept(*range(10))
    for retry_at in (50.0, 60.0, 70.0, 80.0):
        stage.fail(stage.send(), api_error(503), retry_at)
    assert stage.sent() is None
    assert stage.dispatcher.next_at(0.0) == 50.0
    assert sensor_of(stage.sent(50.0)) == 0


# -- while the gate is closed ----------------------------------------------------------------------------------------


def test_while_the_service_is_down_one_retry_at_a_time_probes_whatever_its_wait_and_the_budget() -> None:
    stage = Stage()
    stage.accept(1, 2, 3)
    for batch in [stage.send(), stage.send()]:
        stage.fail(batch, unreachable(), retry_at=1_000.0)
    for _ in range(10):
        stage.dispatcher.budget.take()
    stage.close_gate(unreachable())
    assert stage.sent(5.4) is None
    assert stage.dispatcher.next_at(0.0) == pytest.approx(5.5)
    assert sensor_of(stage.sent(5.5)) == 1
    assert stage.sent(500.0) is None  # one at a time
    assert stage.dispatcher.next_at(500.0) == pytest.approx(120.0)  # when the other one expires


def test_while_credentials_are_refused_old_and_new_batches_probe_by_turns() -> None:
    stage = Stage()
    stage.accept(1, 2, 3)
    stage.fail(stage.send(), api_error(403), retry_at=1_000.0)
    stage.close_gate(api_error(403))
    probes, now = list[int | None](), 0.0
    for _ in range(3):
        now += 10.0
        probe = stage.send(now)
        probes.append(sensor_of(probe))
        stage.fail(probe, api_error(403), retry_at=1_000.0)
        stage.dispatcher.gate.failed(api_error(403), 4, now)
    assert probes == [1, 2, 1]


def test_a_pause_holds_up_everything() -> None:
    stage = Stage()
    stage.accept(1)
    stage.dispatcher.gate.told_to_wait(10.0, 0.0)
    assert stage.sent(10.4) is None
    assert stage.dispatcher.next_at(0.0) == pytest.approx(10.5)
    assert sensor_of(stage.sent(10.5)) == 1


# -- refused signals -------------------------------------------------------------------------------------------------


def test_while_everything_is_refused_other_signals_are_tried_before_the_search_goes_on() -> None:
    stage = Stage()
    stage.accept(1, 2)
    part = stage.send()
    stage.dispatcher.land(part.number)
    stage.dispatcher.parts.append(part)
    stage.guard.refused(key(1), 0.0)
    assert [sensor_of(stage.sent()) for _ in range(2)] == [2, 1]


# -- deadlines -------------------------------------------------------------------------------------------------------


def test_what_waits_for_a_retry_past_its_deadline_is_taken_out() -> None:
    stage = Stage(delivery_timeout_s=30.0)
    stage.accept(1, 2)
    first = stage.send(0.0)
    second = stage.send(10.0)
    stage.fail(first, api_error(503), retry_at=100.0)
    stage.fail(second, api_error(503), retry_at=100.0)
    assert stage.dispatcher.expired(29.9) == []
    assert stage.dispatcher.next_at(20.0) == 30.0
    assert stage.dispatcher.expired(30.0) == [first]
    assert stage.dispatcher.waiting == [second]


def test_nothing_expires_while_only_the_credentials_are_refused() -> None:
    stage = Stage(delivery_timeout_s=30.0)
    stage.accept(1)
    stage.fail(stage.send(), api_error(401), retry_at=100.0)
    assert stage.dispatcher.expired(1_000.0) == []
    assert stage.dispatcher.deadline(stage.dispatcher.waiting[0]) == math.inf


def test_a_call_that_was_given_up_lands_nowhere() -> None:
    stage = Stage()
    stage.accept(1)
    batch = stage.send()
    assert stage.dispatcher.land(batch.number) is batch
    assert stage.dispatcher.land(batch.number) is None
    assert stage.dispatcher.land(999) is None
