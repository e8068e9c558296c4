"""The log and its memory budget: when a batch is due, who is let in, and that every byte comes back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.batching.write.core.accumulator import QUANTUM, STRIP_ROWS, TURN, Accumulator
from besmart_async.batching.write.core.log import READING_BYTES, Block, Form, Run, Strip, columns_cost, strip_cost
from besmart_async.batching.write.core.provenance import NO_REF
from besmart_async.batching.write.core.report import Ledger
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.values import DOUBLE

PLAIN = Form(DOUBLE, 1, None)


def key(sensor: int) -> SignalKey:
    return SignalKey(12, sensor, 32)


def make(**policy: Any) -> tuple[Accumulator, Ledger]:
    ledger = Ledger()
    return Accumulator(BatchPolicy(**policy), ledger), ledger


def accept_one(accumulator: Accumulator, sensor: int = 1, time: int = 0, now: float = 0.0) -> bool:
    return accumulator.accept_one(key(sensor), time, 1.0, PLAIN, now, plain=True)


def accept(accumulator: Accumulator, data: SignalData, now: float = 0.0) -> bool:
    return accumulator.accept(data, NO_REF, now)


def column(rows: int, sensor: int = 1) -> SignalData:
    return SignalData(key(sensor), np.arange(rows), np.arange(rows) + 0.5)


# -- when ------------------------------------------------------------------------------------------------------------


def test_a_batch_is_due_when_the_first_reading_has_waited_for_the_linger() -> None:
    accumulator, _ = make(linger_s=0.05)
    assert accumulator.due_at() is None
    accept_one(accumulator, now=10.0)
    accept_one(accumulator, now=10.04)
    accept(accumulator, column(2, sensor=2), now=10.045)
    assert accumulator.due_at() == pytest.approx(10.05)


@pytest.mark.parametrize("columns", [True, False])
def test_what_is_left_of_the_log_is_due_by_its_own_age(columns: bool) -> None:
    accumulator, _ = make(linger_s=1.0, max_items=2)
    for sensor, now in [(1, 10.0), (2, 10.1), (3, 10.2)]:
        if columns:
            accept(accumulator, SignalData(key(sensor), [2, 1], [1.0, 2.0]), now)
        else:
            accept_one(accumulator, sensor, now=now)
        accumulator.reconcile()
    assert accumulator.due_at() == -math.inf
    assert accumulator.form(10.2) is not None
    since = 11.2 if columns else 11.0  # singles of one grant are as old as the first of them
    assert accumulator.due_at() == pytest.approx(since)


def test_full_is_as_many_signals_as_a_batch_may_hold_and_not_as_many_readings() -> None:
    accumulator, _ = make(linger_s=60.0, max_items=3)
    for time in range(10):
        accept_one(accumulator, time % 2, time)
    assert accumulator.due_at() == 60.0
    accept_one(accumulator, 7)
    assert accumulator.due_at() == -math.inf


def test_full_is_as_many_readings_as_a_batch_may_hold() -> None:
    accumulator, _ = make(linger_s=60.0, max_readings=10)
    for time in range(9):
        accept_one(accumulator, 1, time)
    assert accumulator.due_at() == 60.0
    accept_one(accumulator, 1, 9)
    assert accumulator.due_at() == -math.inf


def test_full_is_as_many_bytes_as_a_body_may_have() -> None:
    accumulator, _ = make(linger_s=60.0, max_bytes=10_000)
    rows = int(10_000 / accumulator.limits.bytes_per_row)
    accept(accumulator, column(rows - 1))
    assert accumulator.due_at() == 60.0
    accept(accumulator, column(1, sensor=2))
    assert accumulator.due_at() == -math.inf


def test_a_flush_makes_due_what_was_accepted_before_it_and_nothing_else() -> None:
    accumulator, _ = make(linger_s=60.0)
    accept_one(accumulator)
    ticket = accumulator.flush()
    assert ticket == 1
    assert accumulator.due_at() == -math.inf
    payload = accumulator.form(0.0)
    assert payload is not None
    accept_one(accumulator, now=5.0)
    assert accumulator.due_at() == 65.0
    assert not accumulator.flushed(ticket)
    accumulator.settle(payload.provenance.ranges(), payload.cost)
    assert accumulator.flushed(ticket)


def test_a_flush_of_nothing_is_done_at_once_and_asks_for_no_attention() -> None:
    accumulator, _ = make()
    assert accumulator.flushed(accumulator.flush())
    assert not accumulator.attention


def test_attention_is_asked_for_by_the_first_reading_and_by_the_one_that_fills_a_batch() -> None:
    accumulator, _ = make(max_items=3)
    asked = list[int]()
    for sensor in range(6):
        accept(accumulator, SignalData(key(sensor), [2, 1], [1.0, 2.0]))
        if accumulator.attention:
            assert accumulator.due
            asked.append(sensor)
            accumulator.attention = accumulator.due = False
    assert asked == [0, 2]


# -- grants ----------------------------------------------------------------------------------------------------------


def test_others_are_let_run_once_in_a_quantum_of_single_readings() -> None:
    accumulator, ledger = make()
    breaths = list[int]()
    for time in range(3 * QUANTUM):
        assert accept_one(accumulator, 1, time)
        if accumulator.breathe:
            breaths.append(time)
            accumulator.breathe = False
    assert breaths == [QUANTUM, 2 * QUANTUM]
    accumulator.reconcile()
    assert ledger.accepted == accumulator.next_number == 3 * QUANTUM


def test_turns_are_shorter_while_memory_is_scarce() -> None:
    accumulator, _ = make(max_memory_bytes=4 * READING_BYTES * 1_000)
    breaths = list[int]()
    for time in range(3_000):
        assert accept_one(accumulator, 1, time)
        if accumulator.breathe:
            breaths.append(time)
            accumulator.breathe = False
    assert accumulator.due_at() is not None
    turns = np.diff(breaths).tolist()
    assert turns[0] == QUANTUM
    assert turns[-2] == TURN
    assert not accept_one(accumulator)


def test_columns_let_others_run_as_well() -> None:
    accumulator, _ = make()
    for sensor in range(200):
        accept(accumulator, column(100, sensor))
    assert accumulator.breathe


def test_a_reading_in_the_very_form_of_those_before_it_takes_the_short_way() -> None:
    accumulator, ledger = make()
    assert not accumulator.append_one(key(1), 0, 1.0, DOUBLE, 1, None)  # nothing is granted yet
    accept_one(accumulator)
    assert accumulator.append_one(key(2), 1, 2.0, DOUBLE, 1, None)
    assert not accumulator.append_one(key(2), 1, 2.0, DOUBLE, 2, None)
    assert not accumulator.append_one(key(2), 1, 2.0, "INT", 1, None)
    assert not accumulator.append_one(key(2), 1, 2.0, DOUBLE, 1, "kW")
    took = 0
    while accumulator.append_one(key(2), 2 + took, 2.0, DOUBLE, 1, None):
        took += 1
    assert took == QUANTUM - 2
    accumulator.reconcile()
    assert ledger.accepted == QUANTUM


def test_a_reading_does_not_take_the_short_way_into_readings_of_several_forms() -> None:
    accumulator, _ = make()
    accept_one(accumulator)
    accumulator.accept_one(key(1), 1, 1.0, Form(DOUBLE, 2, None), 0.0, plain=True)
    assert not accumulator.append_one(key(1), 2, 1.0, DOUBLE, 1, None)
    assert not accumulator.append_one(key(1), 2, 1.0, DOUBLE, 2, None)


def test_equal_forms_that_are_other_objects_stay_one_form() -> None:
    accumulator, _ = make()
    for origin in (1_000_000, int("1000000")):
        accumulator.accept_one(key(1), 1, 1.0, Form(DOUBLE, origin, "kW"), 0.0, plain=True)
    (run,) = accumulator.waiting()
    assert isinstance(run, Run)
    assert run.forms is None


# -- entries ---------------------------------------------------------------------------------------------------------


def test_plain_columns_share_a_strip_and_others_are_blocks() -> None:
    accumulator, _ = make()
    for data in (
        column(3),
        column(2, sensor=2),
        SignalData(key(3), [1, 2], [1.0, 2.0], origin=2),
        SignalData(key(4), [2, 1], [1.0, 2.0]),
        SignalData(key(5), [1, 2], [1, 2]),
        SignalData(key(6), [1, 2], [1.0, 2.0], ["DBL", "RM"]),
        SignalData(key(7), [1.5, 2.0], [1.0, 2.0]),
        column(STRIP_ROWS + 1, sensor=8),
    ):
        assert accept(accumulator, data)
    kinds = [(type(entry), len(entry)) for entry in accumulator.waiting()]
    assert kinds == [(Strip, 5), (Strip, 2), *[(Block, 2)] * 4, (Block, STRIP_ROWS + 1)]


def test_readings_behind_columns_begin_a_run_of_their_own_with_the_right_number() -> None:
    accumulator, _ = make()
    accept_one(accumulator)
    accept(accumulator, column(3))
    accept_one(accumulator)
    accept_one(accumulator)
    accept(accumulator, SignalData(key(1), [2, 1], [1.0, 2.0]))
    accept_one(accumulator)
    assert [entry.number for entry in accumulator.waiting()] == [0, 1, 4, 6, 8]


def test_no_rows_are_accepted_and_leave_no_trace() -> None:
    accumulator, ledger = make()
    assert accept(accumulator, column(0))
    assert (accumulator.used, ledger.accepted, list(accumulator.waiting())) == (0, 0, [])


def test_numbers_that_are_skipped_count_as_settled() -> None:
    accumulator, ledger = make()
    accept_one(accumulator)
    accumulator.skip_to(100)
    accept_one(accumulator)
    assert [entry.number for entry in accumulator.waiting()] == [0, 100]
    ticket = accumulator.flush()
    assert ledger.accepted == 2
    accumulator.settle([(0, 1)], READING_BYTES)
    assert accumulator.settled.low == 100
    assert not accumulator.flushed(ticket)
    accumulator.settle([(100, 101)], READING_BYTES)
    assert accumulator.flushed(ticket)
    accumulator.skip_to(50)
    assert accumulator.next_number == 101


# -- room ------------------------------------------------------------------------------------------------------------


def test_a_quarter_of_the_memory_is_kept_for_bodies() -> None:
    accumulator, _ = make(max_memory_bytes=100_000)
    assert accumulator.room(75_000)
    accumulator.reserve(10_000)
    assert accumulator.room(65_000)
    assert not accumulator.room(65_001)
    accumulator.reserve(-10_000)
    assert accumulator.used == 0


def test_columns_larger_than_the_whole_budget_are_taken_when_all_is_empty() -> None:
    accumulator, _ = make(max_memory_bytes=10_000)
    assert accumulator.room(10**9)
    assert accept(accumulator, column(5_000))
    assert not accept(accumulator, column(1))
    assert not accept_one(accumulator)
    assert not accumulator.room(1)


def test_while_others_stand_in_line_only_what_was_granted_already_is_accepted() -> None:
    accumulator, _ = make()
    accept_one(accumulator)
    accumulator.crowded = True
    took = 1
    while accept_one(accumulator):
        took += 1
    assert took == QUANTUM
    grid = accumulator.grids.of(np.arange(3))
    assert grid is not None
    assert not accumulator.accept_columns(key(1), grid, np.arange(3.0), PLAIN, 0.0)
    accumulator.crowded = False
    assert accept_one(accumulator)
    assert accumulator.accept_columns(key(1), grid, np.arange(3.0), PLAIN, 0.0)


def test_once_closed_it_accepts_nothing_until_it_is_opened_again() -> None:
    accumulator, ledger = make()
    accept_one(accumulator)
    accumulator.close()
    grid = accumulator.grids.of(np.arange(3))
    assert grid is not None
    assert not accept_one(accumulator)
    assert not accumulator.append_one(key(1), 0, 1.0, DOUBLE, 1, None)
    assert not accept(accumulator, column(1))
    assert not accumulator.accept_columns(key(1), grid, np.arange(3.0), PLAIN, 0.0)
    assert not accumulator.room(1)
    accumulator.reopen()
    assert accept_one(accumulator)
    accumulator.reconcile()
    assert ledger.accepted == 2


# -- memory ----------------------------------------------------------------------------------------------------------


def test_what_is_buffered_is_accounted_for() -> None:
    accumulator, _ = make()
    accept_one(accumulator)
    accept(accumulator, column(10))
    texts = SignalData(key(2), [1, 2], ["a" * 1_000, "b"], "STR")
    accept(accumulator, texts)
    accumulator.reconcile()
    assert accumulator.used == READING_BYTES + strip_cost(10) + columns_cost(texts)
    accumulator.accept_one(key(1), 0, "c" * 1_000, Form("STR", 1, None), 0.0, plain=False)
    accumulator.reconcile()
    assert accumulator.used >= 2 * READING_BYTES + strip_cost(10) + columns_cost(texts) + 1_000


def test_the_body_of_a_payload_is_accounted_for_until_it_is_settled() -> None:
    accumulator, _ = make()
    accept_one(accumulator)
    accept_one(accumulator, 2)
    payload = accumulator.form(0.0)
    assert payload is not None
    accumulator.charge(payload, 500)
    assert accumulator.used == payload.cost == 2 * READING_BYTES + 500
    accumulator.settle(payload.provenance.ranges(), payload.cost)
    assert accumulator.used == 0


def test_holds_are_accounted_for_until_they_end() -> None:
    accumulator, _ = make()
    accept_one(accumulator)
    payload = accumulator.form(0.0)
    assert payload is not None
    accumulator.hold(payload, 60.0)
    accumulator.release(payload)
    accumulator.settle(payload.provenance.ranges(), payload.cost)
    assert accumulator.used > 0
    accumulator.end_holds(60.0)
    assert accumulator.used == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("one"), st.integers(0, 4), st.integers(0, 3)),
        st.tuples(st.just("text"), st.integers(0, 4), st.integers(0, 3)),
        st.tuples(st.just("columns"), st.integers(0, 4), st.integers(1, 4)),
        st.tuples(st.just("texts"), st.integers(0, 4), st.integers(1, 4)),
        st.tuples(st.just("form"), st.integers(0, 1), st.integers(0, 1)),
    ),
    max_size=60,
)


@given(STEPS)
def test_every_byte_comes_back_though_the_writer_is_never_idle(steps: list[tuple[str, int, int]]) -> None:
    accumulator, _ = make(max_items=3, max_readings=7)  # the ledger is told nothing: for it, readings are open
    flying = list[Any]()

    def settle() -> None:
        payload = flying.pop(0)
        accumulator.release(payload)
        accumulator.settle(payload.provenance.ranges(), payload.cost)

    def form() -> None:
        if (payload := accumulator.form(0.0)) is not None:
            accumulator.charge(payload, 100)
            flying.append(payload)

    for what, sensor, number in steps:
        if what == "one":
            assert accept_one(accumulator, sensor, number)
        elif what == "text":
            text = "x" * (7 * number + sensor)
            accumulator.accept_one(key(sensor), number, text, Form("STR", 1, None), 0.0, plain=False)
        elif what == "columns":
            accept(accumulator, column(number, sensor))
        elif what == "texts":
            times = list(range(number, 0, -1))
            accept(accumulator, SignalData(key(sensor), times, ["y" * (sensor + time) for time in times], "STR"))
        else:
            form()
            while len(flying) > number:
                settle()
    while flying or accumulator.due_at() is not None:
        form()
        while flying:
            settle()
    assert accumulator.settled.low == accumulator.next_number
    assert accumulator.used == 0


# -- the end ---------------------------------------------------------------------------------------------------------


def test_everything_that_waits_is_given_up_at_the_end_wherever_it_waits() -> None:
    accumulator, _ = make()
    accept_one(accumulator, 1)
    assert accumulator.form(0.0) is not None
    accept_one(accumulator, 1)
    assert accumulator.form(0.0) is None  # set aside
    accept_one(accumulator, 2)
    accept(accumulator, column(3, sensor=3))
    payloads = accumulator.drain()
    assert sum(payload.readings for payload in payloads) == 5
    assert list(accumulator.waiting()) == []
    assert accumulator.due_at() is None
    assert accumulator.drain() == []


def test_what_comes_back_leaves_before_what_is_newer() -> None:
    accumulator, _ = make()
    accept_one(accumulator, 1, 0)
    flying = accumulator.form(0.0)
    accept_one(accumulator, 1, 1)
    assert accumulator.form(0.0) is None
    accept_one(accumulator, 1, 2)
    assert flying is not None
    accumulator.attention = accumulator.due = False
    accumulator.release(flying)
    assert accumulator.attention
    assert accumulator.due
    assert [entry.number for entry in accumulator.waiting()] == [1, 2]
