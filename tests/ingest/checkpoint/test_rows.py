"""Sets of rows: a bit per row, none where a block is full."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.checkpoint.rows import BLOCK, NO_BITS, Bits, RowSet, by_block, union, with_rows, without_row

ROWS = st.sets(st.integers(0, 3 * BLOCK))


def blocks_of(rows: set[int]) -> dict[int, Bits]:
    return dict(by_block(np.array(sorted(rows), np.int64)))


@given(ROWS, ROWS)
def test_it_holds_what_was_put_into_it(rows: set[int], asked: set[int]) -> None:
    found = RowSet(blocks_of(rows)).holds(np.array(sorted(asked), np.int64))
    assert found.tolist() == [row in rows for row in sorted(asked)]
    assert len(RowSet(blocks_of(rows))) == len(rows)


@given(ROWS, ROWS)
def test_a_union_holds_what_either_holds(rows: set[int], others: set[int]) -> None:
    one, other = blocks_of(rows), blocks_of(others)
    both = {block: union(one.get(block, NO_BITS), other.get(block, NO_BITS)) for block in one | other}
    assert both == blocks_of(rows | others)


def test_two_halves_are_a_full_block() -> None:
    halves = [with_rows(NO_BITS, places) for places in np.split(np.arange(BLOCK), 2)]
    assert union(*halves) is None
    assert union(None, halves[0]) is None


@given(st.lists(st.integers(0, 3 * BLOCK)))
def test_rows_in_any_order_and_more_than_once_are_the_same_rows(rows: list[int]) -> None:
    assert dict(by_block(np.array(rows, np.int64))) == blocks_of(set(rows))


@given(st.integers(0, 3 * BLOCK), st.integers(0, 3 * BLOCK))
def test_consecutive_rows_are_the_same_set_as_their_halves(first: int, length: int) -> None:
    rows = np.arange(first, first + length)
    one, other = blocks_of(set(rows[::2].tolist())), blocks_of(set(rows[1::2].tolist()))
    both = {block: union(one.get(block, NO_BITS), other.get(block, NO_BITS)) for block in one | other}
    assert dict(by_block(rows)) == both


def test_a_full_block_needs_no_bits_and_one_row_less_needs_them_again() -> None:
    most = with_rows(NO_BITS, np.arange(BLOCK - 1))
    assert most is not None
    assert with_rows(most, np.array([BLOCK - 1])) is None
    assert without_row(None, BLOCK - 1) == most


def test_an_empty_set_is_false() -> None:
    assert not RowSet()
    assert RowSet({0: None})
