"""The frozen items of a call: their body, and how they are taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from besmart_async.batching.write.core.batch import Batch, Payload, joined
from besmart_async.batching.write.core.grids import Grids
from besmart_async.batching.write.core.grouping import grouped
from besmart_async.batching.write.core.log import Block, Form, Run, Strip
from besmart_async.batching.write.core.provenance import NO_REF, Ranges
from besmart_async.errors import BesmartError
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.wire.columns import encode_item
from tests.wire.readings import join_items


def key(sensor: int) -> SignalKey:
    return SignalKey(12, sensor, 32)


def numbers_in(ranges: Ranges) -> list[int]:
    return [number for start, stop in ranges for number in range(start, stop)]


def payload_of(columns: Sequence[SignalData]) -> Payload:
    """Return the payload of columns as the log would hold them; their readings are numbered from 100."""
    number, blocks = 100, list[Block]()
    for data in columns:
        blocks.append(Block(data, number, number, 0.0, 1_000))
        number += len(data)
    (payload,) = grouped(blocks)
    return payload


def floats(rows: int, sensor: int = 1, **more: Any) -> SignalData:
    return SignalData(key(sensor), np.arange(rows) * 1000, np.arange(rows) / 3, **more)


SHAPES: dict[str, SignalData] = {
    "one row": floats(1),
    "few rows": floats(3),
    "many rows": floats(100),
    "unit": floats(3, unit="kW"),
    "unit beyond ASCII": floats(3, unit="°C"),
    "no type": floats(3, type=None),
    "no origin": floats(3, origin=None),
    "neither": floats(3, type=None, origin=None, unit="kW"),
    "types": floats(4, type=["DBL", "RM"] * 2),
    "origins": floats(4, origin=[1, 2] * 2),
    "types and origins": floats(4, type=["DBL", "RM"] * 2, origin=[1, 2] * 2, unit="kW"),
    "types and no origin": floats(4, type=["DBL", "RM"] * 2, origin=None),
    "origins and no type": floats(4, type=None, origin=[1, 2] * 2),
    "ints": SignalData(key(1), [1, 2], [3, -4], "INT"),
    "bools": SignalData(key(1), [1, 2], [True, False], "BOOL"),
    "texts": SignalData(key(1), [1, 2], ["a", 'b"ä'], "STR"),
    "nulls": SignalData(key(1), [1, 2], [None, 1.5]),
    "nested": SignalData(key(1), [1], [{"a": [1, None]}], "JSON"),
    "fractions of a millisecond": SignalData(key(1), [1.5, 2.25], [1.0, 2.0]),
    "backwards": SignalData(key(1), [3, 2, 1], [1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_body_of_one_item_is_the_json_of_its_columns(shape: SignalData) -> None:
    payload = payload_of([shape])
    assert payload.encode() == b"[" + encode_item(shape) + b"]"
    assert payload.data(0) == shape


def test_the_body_of_many_items_of_every_shape_is_the_json_of_their_columns() -> None:
    columns = [
        SignalData.trusted(key(sensor), each.time, each.value, each.type, each.origin, each.unit)
        for sensor, each in enumerate(SHAPES.values())
    ]
    payload = payload_of(columns)
    assert payload.encode() == join_items(map(encode_item, columns))
    assert [payload.data(item) for item in range(len(payload))] == columns


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 40])
def test_items_of_one_form_and_any_length_are_the_json_of_their_columns(rows: int) -> None:
    columns = [floats(rows, sensor, origin=2) for sensor in range(30)]
    assert payload_of(columns).encode() == join_items(map(encode_item, columns))


def test_single_readings_and_strips_are_the_json_of_columns_too() -> None:
    run = Run(Form("DBL", 1, None), 0, 0.0)
    run.keys, run.times, run.values = [key(1), key(2)], [1000, 2000], [1.5, 2.5]
    (payload,) = grouped([run])
    singles = [SignalData(key(1), [1000], [1.5]), SignalData(key(2), [2000], [2.5])]
    assert payload.encode() == join_items(map(encode_item, singles))
    strip, grids = Strip(Form("DBL", 1, "kW"), 0, 0.0), Grids()
    columns = [floats(rows, sensor, unit="kW") for sensor, rows in enumerate([3, 3, 20])]
    for data in columns:
        grid = grids.of(data.time)
        assert grid is not None
        strip.keys.append(data.key)
        strip.grids.append(grid)
        strip.values.append(data.value)
        strip.refs.append(NO_REF)
        strip.rows += len(data)
    (payload,) = grouped([strip])
    assert payload.encode() == join_items(map(encode_item, columns))
    assert [payload.data(item) for item in range(3)] == columns


# -- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [[0], [2, 0], [4, 3, 1]])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_part_has_the_items_asked_for_and_stands_for_their_readings(items: Sequence[int], mixed: bool) -> None:
    more: list[dict[str, Any]] = [{"origin": [1, 2]}, {"unit": "kW"}, {}, {"type": "RM"}, {"type": None}]
    columns = [floats(2, sensor, **(more[sensor] if mixed else {})) for sensor in range(5)]
    whole = payload_of(columns)
    part = whole.part(items)
    assert part.encode() == join_items(encode_item(columns[item]) for item in items)
    assert [part.data(place) for place in range(len(part))] == [columns[item] for item in items]
    expected = sorted(100 + 2 * item + row for item in items for row in range(2))
    assert numbers_in(part.provenance.ranges()) == expected
    assert sorted(part.provenance.by_ref()) == sorted((100 + 2 * item, 2) for item in items)
    assert part.cost == whole.cost * len(items) // 5


def test_a_part_of_all_items_is_the_payload() -> None:
    payload = payload_of([floats(2, sensor) for sensor in range(3)])
    assert payload.part(range(3)) is payload


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([3, 0]), np.array([True, False, False, True])])
def test_a_piece_has_the_rows_asked_for(rows: Any) -> None:
    data = floats(4, type=["DBL", "RM", "DBL", "RM"], origin=[1, 2, 3, 4], unit="kW")
    piece = payload_of([data]).piece(rows)
    assert piece.data(0) == data.take(rows)
    assert piece.encode() == join_items([encode_item(data.take(rows))])
    assert piece.provenance.readings == piece.rows == 2


def test_readings_that_were_replaced_go_with_the_row_that_replaced_them() -> None:
    payload = payload_of([SignalData(key(1), [1, 2, 1, 1], [1.0, 2.0, 3.0, 4.0])])
    assert payload.data(0) == SignalData(key(1), [2, 1], [2.0, 4.0])
    assert [numbers_in(payload.piece(slice(row, row + 1)).provenance.ranges()) for row in range(2)] == [
        [101],
        [100, 102, 103],
    ]


@pytest.mark.parametrize("max_bytes", [150, 400, 1_000, 10_000])
def test_items_are_distributed_over_bodies_that_fit(max_bytes: int) -> None:
    columns = [floats(rows, sensor) for sensor, rows in enumerate([1, 3, 30, 2, 1, 50, 1])]
    parts = payload_of(columns).fitted(max_bytes)
    sizes = [len(part.encode()) for part in parts]
    assert all(size <= max_bytes or part.rows == 1 for size, part in zip(sizes, parts, strict=True))
    assert sorted(n for part in parts for n in numbers_in(part.provenance.ranges())) == list(range(100, 188))
    for data in columns:
        pieces = [part.data(item) for part in parts for item in range(len(part)) if part.keys[item] == data.key]
        assert SignalData.concat(pieces) == data


def test_a_payload_that_fits_stays_one() -> None:
    payload = payload_of([floats(2, sensor) for sensor in range(3)])
    assert payload.fitted(len(payload.encode())) == [payload]


def test_rows_of_very_different_width_are_cut_until_they_fit() -> None:
    values = ["x"] * 50 + ["y" * 900] * 3
    data = SignalData(key(1), np.arange(53), values, "STR")
    payload = payload_of([data])
    pieces = payload.cut(len(payload.encode()), 1_100)
    assert max(len(piece.encode()) for piece in pieces) <= 1_100
    assert SignalData.concat([piece.data(0) for piece in pieces]) == data


def test_a_row_that_fits_nowhere_is_a_piece_of_its_own() -> None:
    payload = payload_of([SignalData(key(1), [1, 2, 3], ["a", "b" * 5_000, "c"], "STR")])
    pieces = payload.fitted(1_000)
    assert [piece.data(0).time.tolist() for piece in pieces] == [[1], [2], [3]]


def test_what_is_held_are_signal_times_and_origins_of_each_item() -> None:
    payload = payload_of([floats(2, 1), floats(2, 2, origin=[3, 4])])
    held = [(signal, time.tolist(), np.array(origin).tolist()) for signal, time, origin in payload.held()]
    assert held == [(key(1), [0, 1000], 1), (key(2), [0, 1000], [3, 4])]


def test_joined_columns_of_several_kinds_keep_the_kind_of_each_value() -> None:
    column = joined([np.array([1, 2]), np.array([1.0]), np.array([True])])
    assert [repr(value) for value in column.tolist()] == ["1", "2", "1.0", "True"]
    assert joined([np.array([1]), np.array([2])]).dtype == np.int64
    alone = np.array([1.0])
    assert joined([alone]) is alone


def test_a_part_of_a_batch_inherits_what_its_calls_have_been_through_but_not_their_number() -> None:
    payload = payload_of([floats(2, sensor) for sensor in range(3)])
    error = BesmartError("no")
    batch = Batch(
        1,
        payload,
        payload.encode(),
        attempts=3,
        first_sent_at=5.0,
        maybe_applied=True,
        lost_at=7.0,
        error=error,
        forbidden_after=4,
        stale=2,
    )
    part = batch.part(2, payload.part([0, 2]))
    assert (part.number, part.items, part.rows, part.body) == (2, 2, 4, part.payload.encode())
    assert (part.first_sent_at, part.maybe_applied, part.lost_at, part.error, part.forbidden_after) == (
        5.0,
        True,
        7.0,
        error,
        4,
    )
    assert (part.attempts, part.stale) == (0, 0)
