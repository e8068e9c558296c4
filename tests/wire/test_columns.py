"""Readings as bytes: what is written, and that it reads back as it was."""

from __future__ import annotations

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import InvalidInputError, Response, SignalData
from besmart_async.wire.bulk import encode_bulk, tail
from besmart_async.wire.columns import encode_columns, encode_item
from besmart_async.wire.series import decode_series
from tests import document
from tests.wire.readings import COLUMN_KINDS, DOUBLES, FRACTIONS, IDS, KEY, MOMENTS, SMALL, T, exact, join_items


def times(rows: int) -> list[int]:
    return [T + 900_000 * row for row in range(rows)]


# -- writing -------------------------------------------------------------------------------------------------------

LENGTHS = (1, 2, 15, 16, 17, 4096, 4097)  # around the list/array threshold and the cache of constants


@pytest.mark.parametrize("rows", LENGTHS)
@pytest.mark.parametrize("fraction", [0, 0.5])
def test_columns_are_written_as_the_document_shows_them(rows: int, fraction: float) -> None:
    data = SignalData(KEY, [time + fraction for time in times(rows)], np.arange(rows) / 4, unit="kW.h")
    columns = {
        "time": [time + fraction for time in times(rows)],
        "value": [row / 4 for row in range(rows)],
        "type": ["DBL"] * rows,
        "origin": [1] * rows,
    }
    assert json.loads(encode_columns(data)) == columns
    assert json.loads(encode_item(data)) == IDS | {"data": columns, "unit": "kW.h"}
    assert b"e" not in encode_columns(data).partition(b'"value"')[0].replace(b'"time"', b"")


@pytest.mark.parametrize("rows", [2, 40, 5000])
def test_types_and_origins_that_differ_are_written_row_by_row(rows: int) -> None:
    types, origins = ["DBL", "RM"] * (rows // 2), [1, 5] * (rows // 2)
    columns = json.loads(encode_columns(SignalData(KEY, times(rows), [None] * rows, types, origins)))
    assert (columns["type"], columns["origin"], columns["value"]) == (types, origins, [None] * rows)


@pytest.mark.parametrize("rows", [1, 40])
def test_what_is_not_told_is_not_sent(rows: int) -> None:
    item = json.loads(encode_item(SignalData(KEY, times(rows), [1.5] * rows, type=None, origin=None)))
    assert item == IDS | {"data": {"time": times(rows), "value": [1.5] * rows}}


def test_a_unit_is_sent_only_if_given_and_never_beside_the_columns() -> None:
    assert "unit" not in json.loads(encode_item(SignalData(KEY, [T], [1.0])))
    assert "unit" not in json.loads(encode_columns(SignalData(KEY, [T], [1.0], unit="kW.h")))


def test_a_type_name_is_escaped() -> None:
    columns = json.loads(encode_columns(SignalData(KEY, [T, T], [1.0, 2.0], type='"ł\\')))
    assert columns["type"] == ['"ł\\', '"ł\\']


def test_items_are_joined_to_the_documented_body() -> None:
    item = encode_item(SignalData(KEY, [T], [10.01], unit="kW.h"))
    body = document.operations()["sensors.put_signals_data"].body or ""
    assert join_items([item]) == json.dumps(json.loads(body), separators=(",", ":")).encode()
    assert json.loads(join_items([item, item])) == [json.loads(item)] * 2
    assert join_items([]) == b"[]"


# -- there and back ------------------------------------------------------------------------------------------------


@given(
    rows=st.lists(st.tuples(MOMENTS, COLUMN_KINDS["doubles"]), min_size=1, max_size=20),
    type_=st.text(min_size=1),
    origin=st.integers(0, 9),
    unit=st.sampled_from([None, "kW.h"]),
)
def test_rows_are_encoded_as_columns_are_byte_for_byte(
    rows: list[tuple[int, float]], type_: str, origin: int, unit: str | None
) -> None:
    times, values = [time for time, _ in rows], [value for _, value in rows]
    columns = SignalData(KEY, times, values, type_, origin, unit)
    text, rows_text = orjson.dumps(times), orjson.dumps(values)
    ends = [tail(type_, origin, unit, len(times))] * 2
    assert encode_bulk([KEY] * 2, [text] * 2, [rows_text] * 2, ends) == join_items([encode_item(columns)] * 2)


@pytest.mark.parametrize("kind", COLUMN_KINDS)
@given(data=st.data())
def test_what_is_written_reads_back_equal_and_unchanged(kind: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(COLUMN_KINDS[kind], min_size=1, max_size=20))
    moments = data.draw(st.lists(MOMENTS | FRACTIONS, min_size=len(values), max_size=len(values)))
    types = data.draw(
        st.sampled_from(["DBL", None]) | st.lists(st.text(min_size=1), min_size=len(values), max_size=len(values))
    )
    origins = data.draw(
        st.sampled_from([1, 5, None]) | st.lists(st.integers(0, 9), min_size=len(values), max_size=len(values))
    )
    written = SignalData(KEY, moments, values, types, origins, data.draw(st.sampled_from([None, "kW.h"])))
    assert exact(written.value.tolist()) == exact(values)
    assert written.time.tolist() == moments
    (read,) = decode_series(Response(200, {}, join_items([encode_item(written)])))
    assert read == written
    assert exact(read.value.tolist()) == exact(values)
    assert read.value.dtype == written.value.dtype
    assert read.time.dtype == written.time.dtype


@given(st.lists(SMALL | DOUBLES, min_size=1, max_size=20))
def test_integers_beside_doubles_keep_their_value(values: list[float]) -> None:
    written = SignalData(KEY, times(len(values)), values)
    (read,) = decode_series(Response(200, {}, encode_item(written)), KEY)
    assert read.value.tolist() == values
    assert read == written


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 5000])
def test_any_length_reads_back_equal(rows: int) -> None:
    data = SignalData(KEY, times(rows), np.random.default_rng(1).normal(size=rows), unit="kW")
    assert decode_series(Response(200, {}, encode_item(data))) == [data]


def test_a_value_nobody_could_write_is_refused_with_its_row() -> None:
    with pytest.raises(InvalidInputError, match="value\\[1\\]"):
        SignalData(KEY, [T, T], [1.0, "\ud800"])
