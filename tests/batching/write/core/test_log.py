"""Accepted readings in the order of acceptance: runs, singles, strips and blocks."""

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
    Singles,
    Strip,
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
    assert run.cut(3).cost == 3 * READING_BYTES
    assert (len(run), run.entries, run.number) == (1, 1, 13)
    assert run.cut(1).cost == READING_BYTES
    assert len(run) == 0


def test_what_the_values_of_a_run_take_besides_is_given_back_to_the_last_byte() -> None:
    run = run_of(*"abcdefg")
    run.extra = 1_000
    costs = [run.cut(rows).cost for rows in (2, 4, 1)]
    assert sum(costs) == 7 * READING_BYTES + 1_000
    assert run.extra == 0
    assert all(cost > READING_BYTES for cost in costs)


def test_the_age_of_a_run_is_that_of_the_first_reading_left_or_a_little_more() -> None:
    run = run_of(1.0, 2.0, 3.0, 4.0, 5.0, now=100.0)
    run.marks.extend([(2, 101.0), (4, 102.0)])
    assert run.since == 100.0
    run.cut(1)
    assert run.since == 100.0
    run.cut(1)
    assert run.since == 101.0
    run.cut(3)
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
    run = run_of(1.5, 2.0, 3.0, first=10, now=7.0)
    run.cut(1)
    cut = run.cut(2)
    assert cut.keys == [KEY, KEY]
    assert cut.time.dtype == np.int64
    assert cut.time.tolist() == [1, 2]
    assert cut.value.dtype == np.float64
    assert cut.value.tolist() == [2.0, 3.0]
    assert (cut.forms, cut.numbers, cut.since) == (PLAIN, 11, 7.0)


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
    column = run.cut(2).value
    assert column.dtype == kind
    assert column.tolist() == list(values)
    assert list(map(type, column.tolist())) == list(map(type, values))


def test_readings_cut_from_a_run_of_several_forms_keep_each_its_own() -> None:
    run = run_of(1.0)
    other = Form("RM", 2, None)
    for number, form in enumerate([other, PLAIN], 1):
        run.note(form)
        run.keys.append(KEY)
        run.times.append(number)
        run.values.append(float(number))
    assert run.cut(2).forms == [PLAIN, other]
    assert run.cut(1).forms == [PLAIN]


# -- singles ---------------------------------------------------------------------------------------------------------


def singles_of(*sensors: int, numbers: int | list[int] = 0, forms: list[Form] | None = None) -> Singles:
    keys = [SignalKey(12, sensor, 32) for sensor in sensors]
    of_rows = np.array(numbers) if isinstance(numbers, list) else numbers
    rows = np.arange(len(keys))
    return Singles(keys, rows, rows + 0.5, forms or PLAIN, of_rows, 7.0, 1_001)


@pytest.mark.parametrize("numbers", [10, [10, 11, 15, 16, 30]])
def test_singles_are_used_up_from_the_front_to_the_last_byte(numbers: int | list[int]) -> None:
    singles = singles_of(1, 2, 3, 4, 5, numbers=numbers)
    parts = [singles.cut(2), singles.cut(1), singles.cut(2)]
    assert sum([part.cost for part in parts]) == 1_001
    assert (len(singles), singles.cost) == (0, 0)
    assert [key.sensor_mid for part in parts for key in part.keys] == [1, 2, 3, 4, 5]
    assert [value for part in parts for value in part.value.tolist()] == [0.5, 1.5, 2.5, 3.5, 4.5]
    expected = list(range(10, 15)) if isinstance(numbers, int) else numbers
    assert [number for part in parts for start, stop in part.ranges() for number in range(start, stop)] == expected
    assert [part.number for part in parts] == [expected[0], expected[2], expected[3]]


def test_what_is_left_of_singles_has_the_numbers_and_the_entries_of_what_is_left() -> None:
    singles = singles_of(1, 2, 3, numbers=[4, 8, 9])
    singles.cut(1)
    assert (len(singles), singles.entries, singles.number, singles.ranges()) == (2, 2, 8, [(8, 10)])
    whole = singles_of(1, 2, 3, numbers=4)
    whole.cut(2)
    assert whole.ranges() == [(6, 7)]


def test_singles_are_split_by_a_mask_and_both_parts_keep_order_numbers_forms_and_cost() -> None:
    other = Form("RM", 2, None)
    singles = singles_of(1, 2, 1, 3, numbers=20, forms=[PLAIN, other, other, PLAIN])
    ours, others = singles.split(np.array([True, False, True, False]))
    assert [key.sensor_mid for key in ours.keys] == [1, 1]
    assert (ours.time.tolist(), ours.value.tolist(), ours.forms) == ([0, 2], [0.5, 2.5], [PLAIN, other])
    assert (ours.ranges(), others.ranges()) == ([(20, 21), (22, 23)], [(21, 22), (23, 24)])
    assert others.forms == [other, PLAIN]
    assert ours.cost + others.cost == 1_001
    assert ours.since == others.since == 7.0


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
