"""What single readings become when they are taken from their lane."""

from __future__ import annotations

from typing import Any

import pytest

from besmart_async.batching.write.core.packing import merge
from besmart_async.batching.write.core.segments import Segment, Tail
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.wire.columns import encode_item

KEY = SignalKey(12, 34, 32)


def tail(times: list[Any], values: list[Any], *, unit: str | None = None) -> Tail:
    tail = Tail(KEY, "DBL", 1, unit, -1, 0)
    tail.times += times
    tail.values += values
    return tail


@pytest.mark.parametrize("unit", [None, "kW"])
@pytest.mark.parametrize("rows", [1, 2, 63, 64, 2000])
@pytest.mark.parametrize("step", [-1, 1])
def test_plain_readings_are_encoded_and_read_as_columns(rows: int, step: int, unit: str | None) -> None:
    times, values = list(range(rows))[::step], [row / 3 for row in range(rows)]
    segment = tail(times, values, unit=unit).segment()
    assert segment.distinct == (step > 0 or rows < 64)  # of more it is not looked for unless they ascend
    (segment,) = merge([segment])
    columns = SignalData(KEY, times, values, unit=unit)
    assert segment.encoded() == encode_item(columns)
    assert segment.data == columns
    assert segment.take(slice(0, 1)).data == columns.take(slice(0, 1))


@pytest.mark.parametrize("more", [0, 100])
def test_readings_of_the_same_time_are_columns_and_the_last_wins(more: int) -> None:
    others = list(range(10, 10 + more))
    segment = tail([1, 2, 1, *others], [1.0, 2.0, 3.0, *map(float, others)]).segment()
    assert not segment.distinct
    (merged,) = merge([segment])
    assert merged.data == SignalData(KEY, [2, 1, *others], [2.0, 3.0, *map(float, others)])
    assert merged.credit.readings == 3 + more


def test_readings_that_differ_in_type_or_are_no_floats_are_columns() -> None:
    mixed = tail([1], [1.0])
    mixed.note("RM", 1, -1)
    mixed.times.append(2)
    mixed.values.append(0.0)
    odd = tail([1], ["text"])
    odd.plain = False
    for segment in (mixed.segment(), odd.segment()):
        assert not segment.distinct
        assert segment.encoded() == encode_item(segment.data)


def test_single_readings_merge_with_columns() -> None:
    older = Segment(SignalData(KEY, [1, 2], [1.0, 2.0]), tail([1, 2], [0.0, 0.0]).segment().credit, 100)
    (merged,) = merge([older, tail([2], [9.0]).segment()])
    assert merged.data == SignalData(KEY, [1, 2], [1.0, 9.0])
