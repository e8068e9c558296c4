"""Which accepted readings the rows of a batch stand for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from besmart_async.batching.write.core.provenance import NO_REF, Provenance, Ranges, Rows, Watermark, ranges_of


def column(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def numbers_in(ranges: Ranges) -> list[int]:
    return [number for start, stop in ranges for number in range(start, stop)]


def test_without_replacements_reading_i_is_row_i() -> None:
    provenance = Provenance(3, None, 10, NO_REF)
    assert provenance.readings == 3
    assert provenance.times_written.tolist() == [1, 1, 1]
    assert provenance.ranges() == [(10, 13)]
    assert Provenance(0, None, 10, NO_REF).ranges() == []


def test_a_row_that_replaced_others_stands_for_all_of_them() -> None:
    provenance = Provenance(2, np.array([0, 1, 0, 0]), column(5, 6, 8, 9), NO_REF)
    assert provenance.readings == 4
    assert provenance.times_written.tolist() == [3, 1]
    assert provenance.ranges() == [(5, 7), (8, 10)]


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        (slice(1, None), [11, 12]),
        (np.array([2, 0]), [12, 10]),
        (np.array([True, False, True]), [10, 12]),
        (slice(0, 0), []),
    ],
)
def test_some_rows_are_taken_in_the_order_asked_for(rows: Rows, numbers: list[int]) -> None:
    for given_numbers in (10, column(10, 11, 12)):
        taken = Provenance(3, None, given_numbers, column(1, 2, 3)).take(rows)
        assert taken.rows == taken.readings == len(numbers)
        assert not isinstance(taken.numbers, int)
        assert taken.numbers.tolist() == numbers
        assert not isinstance(taken.refs, int)
        assert taken.refs.tolist() == [number - 9 for number in numbers]


def test_a_row_is_taken_with_all_the_readings_it_stands_for() -> None:
    whole = Provenance(3, np.array([0, 2, 1, 2]), 20, column(7, 8, 9, 7))
    taken = whole.take(np.array([2, 0]))
    assert taken.rows == 2
    assert taken.row_of is not None
    assert taken.row_of.tolist() == [1, 0, 0]
    assert numbers_in(taken.ranges()) == [20, 21, 23]
    assert taken.by_ref() == [(7, 2), (8, 1)]


def test_readings_are_counted_by_ref_and_those_without_one_are_left_out() -> None:
    assert Provenance(3, None, 0, NO_REF).by_ref() == []
    assert Provenance(3, None, 0, 4).by_ref() == [(4, 3)]
    mixed = Provenance(5, None, 0, column(4, NO_REF, 4, 5, 5))
    assert mixed.by_ref() == [(4, 2), (5, 2)]
    assert mixed.all_refs == {NO_REF, 4, 5}
    assert Provenance(3, None, 0, 4).all_refs == {4}
    assert Provenance(0, None, 0, column()).by_ref() == []


@given(st.sets(st.integers(0, 40)), st.randoms(use_true_random=False))
def test_ranges_hold_the_same_numbers_ascending_and_apart(numbers: set[int], rng: object) -> None:
    shuffled = list(numbers)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    ranges = ranges_of(column(*shuffled))
    assert numbers_in(ranges) == sorted(numbers)
    assert all(stop < start for (_, stop), (start, _) in pairwise(ranges))


@given(st.permutations(range(30)), st.lists(st.integers(1, 5), min_size=30, max_size=30))
def test_the_watermark_is_the_first_number_that_is_not_settled(order: Sequence[int], sizes: Sequence[int]) -> None:
    watermark, settled = Watermark(), set[int]()
    left = list(order)
    for size in sizes:
        some, left = left[:size], left[size:]
        watermark.settle(ranges_of(column(*some)))
        settled.update(some)
        assert watermark.low == next(number for number in range(31) if number not in settled)
    assert watermark.low == 30


def test_a_watermark_may_begin_anywhere() -> None:
    watermark = Watermark(100)
    watermark.settle([(105, 110)])
    assert watermark.low == 100
    watermark.settle([(100, 105)])
    assert watermark.low == 110
