"""The body of a bulk write from columns of many signals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.wire.bulk import encode_bulk, lists, mixed_tail, one_list, tail
from besmart_async.wire.columns import encode_item
from tests.wire.readings import join_items

KEY = SignalKey(12, 122, 32)


def objects(*values: object) -> NDArray[Any]:
    column = np.empty(len(values), object)
    column[:] = values
    return column


COLUMNS = [
    np.array([-(2**63), -1, 0, 1, 2**63 - 1, 7, 8, 9] * 30),
    np.array([-1.5e300, -0.0, 0.0, 1e-7, 0.1, 1e22, 123456789.125, 2.0] * 30),
    np.array([True, False, False, True] * 60),
    objects(*[1, 2.0, "a,b", None, [1, 2], {"a": "]"}, True, "ä"] * 30),
]


@pytest.mark.parametrize("column", COLUMNS, ids=["int", "float", "bool", "object"])
@pytest.mark.parametrize(
    "sizes",
    [[1] * 240, [1], [2] * 120, [1, 2, 3] * 40, [7] * 30, [8] * 30, [240], [100, 1, 139], [1] * 100 + [140]],
    ids=lambda sizes: f"{len(sizes)} items",
)
def test_the_list_of_each_item_is_that_of_its_rows(column: NDArray[Any], sizes: Sequence[int]) -> None:
    bounds = [0, *accumulate(sizes)]
    rows = column[: bounds[-1]]
    expected = [orjson.dumps(rows[start:stop].tolist()) for start, stop in pairwise(bounds)]
    assert lists(rows, bounds) == expected
    assert [one_list(rows[start:stop]) for start, stop in pairwise(bounds)] == expected


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40), st.sampled_from(COLUMNS))
def test_items_may_have_any_sizes(sizes: list[int], column: NDArray[Any]) -> None:
    bounds = [0, *accumulate(sizes)]
    rows = np.resize(column, bounds[-1])
    assert lists(rows, bounds) == [orjson.dumps(rows[start:stop].tolist()) for start, stop in pairwise(bounds)]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
def test_floats_are_the_same_whether_cut_out_of_one_text_or_not(values: list[float]) -> None:
    column = np.array(values)
    each = lists(column, range(len(values) + 1))
    assert [orjson.loads(one) for one in each] == [[value] for value in values]
    assert one_list(column) == orjson.dumps(values)


@pytest.mark.parametrize("rows", [3, 100])
def test_every_other_row_of_an_array_is_a_list_too(rows: int) -> None:
    assert one_list(np.arange(2 * rows)[::2]) == orjson.dumps(list(range(0, 2 * rows, 2)))


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (("DBL", 1, None, 2), b',"type":["DBL","DBL"],"origin":[1,1]}},'),
        (("DBL", 1, "kW", 1), b',"type":["DBL"],"origin":[1]},"unit":"kW"},'),
        ((None, 1, None, 1), b',"origin":[1]}},'),
        (("DBL", None, None, 1), b',"type":["DBL"]}},'),
        ((None, None, '"°C"', 1), '},"unit":"\\"°C\\""},'.encode()),
    ],
)
def test_a_tail_repeats_type_and_origin_and_leaves_out_what_is_not_told(given_: Any, text: bytes) -> None:
    assert tail(*given_) == text


def test_a_mixed_tail_has_a_type_and_an_origin_for_each_row() -> None:
    assert mixed_tail(["DBL", "RM"], [1, 2], "kW") == b',"type":["DBL","RM"],"origin":[1,2]},"unit":"kW"},'
    assert mixed_tail(None, [1, 2], None) == b',"origin":[1,2]}},'
    assert mixed_tail(["DBL", "RM"], None, None) == b',"type":["DBL","RM"]}},'


def test_a_body_is_that_of_its_items() -> None:
    data = [SignalData(SignalKey(12, sensor, 32), [1, 2], [0.5, sensor], unit="kW") for sensor in range(3)]
    body = encode_bulk(
        [each.key for each in data],
        [one_list(each.time) for each in data],
        [one_list(each.value) for each in data],
        [tail("DBL", 1, "kW", 2)] * 3,
    )
    assert body == join_items(map(encode_item, data))


def test_a_body_of_one_item_ends_as_a_list_of_one() -> None:
    assert encode_bulk([KEY], [b"[1]"], [b"[2.0]"], [tail("DBL", 1, None, 1)]) == join_items(
        [encode_item(SignalData(KEY, [1], [2.0]))]
    )
