"""Accepted readings in the order of acceptance: runs, strips and blocks."""

from __future__ import annotations

import numpy as np
import pytest

from besmart_async.batching.write.core.grids import Grid
from besmart_async.batching.write.core.log import (
    BLOCK_BYTES,
    READING_BYTES,
    Block,
    Form,
    Run,
    Strip,
    arrays_of_run,
    columns_cost,
    strip_cost,
    value_cost,
)
from besmart_async.batching.write.core.provenance import NO_REF
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.values import JsonValue

KEY = SignalKey(12, 122, 32)
PLAIN = Form("DBL", 1, None)


def run_of(*values: JsonValue, first: int = 0, now: float = 0.0) -> Run:
    run = Run(PLAIN, first, now)
    for time, value in enumerate(values):
        run.keys.append(KEY)
        run.times.append(time)
        run.values.append(value)
        run.plain = run.plain and type(value) is float
    return run


# -- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_is_used_up_from_the_front() -> None:
    run = run_of(1.0, 2.0, 3.0, 4.0, first=10)
    assert (len(run), run.entries, run.number) == (4, 4, 10)
    assert run.take(3) == 3 * READING_BYTES
    assert (len(run), run.entries, run.number) == (1, 1, 13)
    assert run.take(1) == READING_BYTES
    assert len(run) == 0


def test_what_the_values_of_a_run_take_besides_is_given_back_to_the_last_byte() -> None:
    run = run_of(*"abcdefg")
    run.extra = 1_000
    costs = [run.take(2), run.take(4), run.take(1)]
    assert sum(costs) == 7 * READING_BYTES + 1_000
    assert run.extra == 0
    assert all(cost > READING_BYTES for cost in costs)


def test_the_age_of_a_run_is_that_of_the_first_reading_left_or_a_little_more() -> None:
    run = run_of(1.0, 2.0, 3.0, 4.0, 5.0, now=100.0)
    run.marks.extend([(2, 101.0), (4, 102.0)])
    assert run.since == 100.0
    run.take(1)
    assert run.since == 100.0
    run.take(1)
    assert run.since == 101.0
    run.take(3)
    assert run.since == 102.0


def test_readings_of_another_form_are_noted_and_the_run_has_no_common_form_any_more() -> None:
    run = run_of(1.0, 2.0)
    assert run.form() == PLAIN
    other = Form("DBL", 2, "kW")
    run.note(other)
    run.keys.append(KEY)
    assert run.forms == [PLAIN, PLAIN, other]
    run.note(PLAIN)
    assert run.forms == [PLAIN, PLAIN, other, PLAIN]
    assert run.type != "DBL"
    assert run.origin != 1
    assert run.unit is not None


def test_a_plain_run_becomes_columns_of_ints_and_floats() -> None:
    time, value = arrays_of_run(run_of(1.5, 2.0, 3.0), 1, 3)
    assert time.dtype == np.int64
    assert time.tolist() == [1, 2]
    assert value.dtype == np.float64
    assert value.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, 2), np.int64),
        ((True, False), np.bool_),
        ((1.5, 2.5), np.float64),
        (("a", "b"), np.object_),
        ((1, 2.0), np.object_),
        ((True, 2), np.object_),
        ((None, 2.0), np.object_),
        (([1], {"a": 2}), np.object_),
        ((2**64, 1), np.object_),
    ],
)
def test_values_of_a_run_keep_their_kind(values: tuple[JsonValue, ...], kind: type) -> None:
    run = run_of(*values)
    run.plain = False
    _, column = arrays_of_run(run, 0, 2)
    assert column.dtype == kind
    assert column.tolist() == list(values)
    assert list(map(type, column.tolist())) == list(map(type, values))


# -- strips ----------------------------------------------------------------------------------------------------------


def strip_of(*sizes: int, first: int = 0, now: float = 0.0) -> Strip:
    strip = Strip(PLAIN, first, now)
    for sensor, size in enumerate(sizes):
        strip.keys.append(SignalKey(12, sensor, 32))
        strip.grids.append(Grid(np.arange(size)))
        strip.values.append(np.arange(size, dtype=np.float64) + sensor / 10)
        strip.refs.append(sensor if sensor else NO_REF)
        strip.rows += size
    return strip


def test_a_strip_is_used_up_column_by_column() -> None:
    strip = strip_of(3, 2, 4, first=100)
    assert (len(strip), strip.entries, strip.number) == (9, 3, 100)
    strip.take(2, 5)
    assert (len(strip), strip.entries, strip.number) == (4, 1, 105)


def test_the_first_column_of_a_strip_leaves_as_a_block_with_its_number_ref_and_age() -> None:
    strip = strip_of(3, 2, first=100, now=7.0)
    strip.pop()
    block = strip.pop()
    assert (block.key.sensor_mid, block.rows, block.number, block.refs, block.since) == (1, 2, 103, 1, 7.0)
    assert block.value.tolist() == [0.1, 1.1]
    assert block.grid is strip.grids[1]
    assert block.cost == strip_cost(2)
    assert (len(strip), strip.entries) == (0, 0)


# -- blocks ----------------------------------------------------------------------------------------------------------


def test_rows_of_a_block_keep_their_numbers_refs_and_forms() -> None:
    data = SignalData(KEY, [1, 2, 3], [1.0, 2.0, 3.0], ["DBL", "RM", "DBL"], [1, 2, 3], "kW")
    block = Block(data, 50, np.array([4, 5, 6]), 9.0, 300, recovered=True)
    taken = block.take(np.array([True, False, True]))
    assert taken.data == SignalData(KEY, [1, 3], [1.0, 3.0], ["DBL", "DBL"], [1, 3], "kW")
    assert not isinstance(taken.numbers, int)
    assert not isinstance(taken.refs, int)
    assert (taken.numbers.tolist(), taken.refs.tolist(), taken.number) == ([50, 52], [4, 6], 50)
    assert (taken.since, taken.cost, taken.recovered, len(taken), taken.entries) == (9.0, 200, True, 2, 1)


def test_numbers_that_are_no_range_are_taken_too() -> None:
    block = Block(SignalData(KEY, [1, 2, 3], [1.0, 2.0, 3.0]), np.array([4, 8, 9]), 3, 0.0, 90)
    taken = block.take(slice(1, 3))
    assert not isinstance(taken.numbers, int)
    assert (taken.numbers.tolist(), taken.refs, taken.number) == ([8, 9], 3, 8)


@pytest.mark.parametrize("rows", range(4))
def test_both_parts_of_a_block_cost_together_what_it_did(rows: int) -> None:
    block = Block(SignalData(KEY, [1, 2, 3], [1.0, 2.0, 3.0]), 10, NO_REF, 0.0, 1_001)
    head, rest = block.split(rows)
    assert head.cost + rest.cost == 1_001
    assert head.time.tolist() + rest.time.tolist() == [1, 2, 3]
    assert (len(head), len(rest)) == (rows, 3 - rows)


# -- costs -----------------------------------------------------------------------------------------------------------


def test_columns_cost_what_their_arrays_and_objects_take() -> None:
    plain = SignalData(KEY, np.arange(100), np.arange(100) / 2)
    assert columns_cost(plain) == BLOCK_BYTES + 1_600 == strip_cost(100)
    mixed = SignalData(KEY, np.arange(100), np.arange(100) / 2, ["DBL", "RM"] * 50, [1, 2] * 50)
    assert columns_cost(mixed) == BLOCK_BYTES + 3_200
    texts = SignalData(KEY, [1, 2], ["a" * 10_000, "b"], "STR")
    assert 10_000 < columns_cost(texts) - BLOCK_BYTES < 10_300


@pytest.mark.parametrize(("value", "least"), [("a" * 1_000, 1_000), ([1.0] * 1_000, 4_000), ({"a": "b" * 99}, 99)])
def test_a_value_costs_at_least_what_it_holds(value: JsonValue, least: int) -> None:
    assert value_cost(value) >= least
