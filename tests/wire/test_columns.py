"""Readings between columns and bytes: what is written, what is read, and that both agree."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import DecodeError, InvalidInputError, Response, SignalData, SignalKey
from besmart_async.wire.columns import encode_columns, encode_item, encode_items, join_items, plain_item
from besmart_async.wire.series import decode_series
from tests import document

KEY = SignalKey(12, 122, 32)
IDS = {"client_cid": 12, "sensor_mid": 122, "signal_type_moid": 32}
T = 1_577_836_800_000
COLUMNS = {"time": [T], "value": [10.01], "type": ["DBL"], "origin": [1]}


def answer(value: object) -> Response:
    return Response(200, {}, json.dumps(value).encode())


def times(rows: int) -> list[int]:
    return [T + 900_000 * row for row in range(rows)]


def exact(values: Any) -> list[tuple[type, object]]:
    """Values with their types; doubles by their bits, so that -0.0 is not 0.0."""
    return [(type(value), value.hex() if isinstance(value, float) else value) for value in values]


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

DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
SMALL = st.integers(-(2**53) + 1, 2**53 - 1)
STRUCTURES = st.recursive(
    st.none() | st.booleans() | INTEGERS | DOUBLES | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3),
    max_leaves=5,
)
COLUMN_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "doubles": DOUBLES | st.sampled_from([-0.0, 5e-324, -5e-324, sys.float_info.min, 1e308, -sys.float_info.max]),
    "integers": INTEGERS | st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63)]),
    "booleans": st.booleans(),
    "texts": st.text(max_size=10),
    "nulls": st.none(),
    "doubles and nulls": DOUBLES | st.none(),
    "large integers and doubles": st.integers(2**53, 2**64 - 1) | DOUBLES,
    "anything": STRUCTURES,
}  # fmt: skip
MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
FRACTIONS = st.integers(0, 4_000_000_000_000_000).map(lambda us: us / 1000)


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
    item = plain_item(KEY, list(times), list(values), len(times), type_, origin, unit)
    assert encode_items([item, item]) == join_items([encode_item(columns)] * 2)


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


# -- reading -------------------------------------------------------------------------------------------------------

DATA = SignalData(KEY, [T], [10.01])
ROW = {"time": T, "value": 10.01, "type": "DBL", "origin": 1}
READ: dict[str, tuple[object, list[SignalData]]] = {
    "the document's example": (
        document.operations()["sensors.post_signals_data"].example, [SignalData(KEY, [T], [10.01], unit="kW.h")],
    ),
    "one object": (IDS | {"data": COLUMNS}, [DATA]),
    "rows": ([IDS | {"data": [ROW]}], [DATA]),
    "no rows": ([IDS | {"data": []}], [SignalData(KEY, [], [])]),
    "rows without type and origin": (
        [IDS | {"data": [{"time": T, "value": 10.01}]}], [SignalData(KEY, [T], [10.01], None, None)],
    ),
    "rows of which one has no value": (
        [IDS | {"data": [ROW, {"time": T, "type": "RM", "origin": 1}]}],
        [SignalData(KEY, [T, T], [10.01, None], ["DBL", "RM"])],
    ),
    "ids as texts": ([{name: str(part) for name, part in IDS.items()} | {"data": COLUMNS}], [DATA]),
    "ids as whole floats": ([{name: float(part) for name, part in IDS.items()} | {"data": COLUMNS}], [DATA]),
    "a null unit": ([IDS | {"data": COLUMNS, "unit": None}], [DATA]),
    "an empty unit": ([IDS | {"data": COLUMNS, "unit": ""}], [DATA]),
    "unknown fields": ([IDS | {"data": COLUMNS | {"acq": [1]}, "time_tstorage": 0.05, "time_other": None}], [DATA]),
    "no columns": ([IDS | {"data": {}}], [SignalData(KEY, [], [], None, None)]),
    "null columns": ([IDS | {"data": {"time": None, "value": None}}], [SignalData(KEY, [], [], None, None)]),
    "null data": ([IDS | {"data": None}], [SignalData(KEY, [], [])]),
    "missing data": ([IDS], [SignalData(KEY, [], [])]),
    "no type": ([IDS | {"data": {"time": [T], "value": [1.5]}}], [SignalData(KEY, [T], [1.5], None, None)]),
    "null types": (
        [IDS | {"data": COLUMNS | {"type": [None], "origin": [None]}}], [SignalData(KEY, [T], [10.01], None, None)],
    ),
    "origins as whole floats": ([IDS | {"data": COLUMNS | {"origin": [1.0]}}], [DATA]),
    "origins as texts": ([IDS | {"data": COLUMNS | {"origin": ["1"]}}], [DATA]),
    "an unknown type and origin": (
        [IDS | {"data": COLUMNS | {"type": ["XYZ"], "origin": [77]}}], [SignalData(KEY, [T], [10.01], "XYZ", 77)],
    ),
    "fractional times": (
        [IDS | {"data": COLUMNS | {"time": [T + 0.5]}}], [SignalData(KEY, [T + 0.5], [10.01])],
    ),
    "values of any kind": (
        [IDS | {"data": {"time": [T] * 6, "value": [None, True, "on", 2**63, [1, [2]], {"a": 1}]}}],
        [SignalData(KEY, [T] * 6, [None, True, "on", 2**63, [1, [2]], {"a": 1}], None, None)],
    ),
    "values that are lists": (
        [IDS | {"data": {"time": [T, T], "value": [[1, 2], [3, 4]]}}],
        [SignalData(KEY, [T, T], [[1, 2], [3, 4]], None, None)],
    ),
    "a value that is a list of one": (
        [IDS | {"data": {"time": [T], "value": [[5]]}}], [SignalData(KEY, [T], [[5]], None, None)],
    ),
    "several signals in any order": (
        [IDS | {"sensor_mid": 7, "data": COLUMNS}, IDS | {"data": COLUMNS}],
        [SignalData(SignalKey(12, 7, 32), [T], [10.01]), DATA],
    ),
    "nothing": ([], []),
    "null": (None, []),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), READ.values(), ids=READ)
def test_a_form_of_readings_decodes(sent: object, expected: list[SignalData]) -> None:
    read = decode_series(answer(sent))
    assert read == expected
    for data in read:
        assert not data.time.flags.writeable
        assert not data.value.flags.writeable


@pytest.mark.parametrize("item", [{"data": COLUMNS}, dict.fromkeys(IDS) | {"data": COLUMNS}])
def test_an_answer_for_one_signal_need_not_name_it(item: dict[str, Any]) -> None:
    assert decode_series(answer([item]), KEY) == [DATA]


def with_column(name: str, column: object) -> list[object]:
    return [IDS | {"data": COLUMNS}, IDS | {"data": COLUMNS | {name: column}}]


BROKEN: dict[str, tuple[object, str]] = {
    "a text": ("OK", "$"),
    "a list of texts": (["OK"], "$[0]"),
    "a null": ([None], "$[0]"),
    "data that is a text": ([IDS | {"data": "x"}], "$[0].data"),
    "data that is a number": ([IDS | {"data": 5}], "$[0].data"),
    "a row that is a number": ([IDS | {"data": [ROW, 5]}], "$[0].data[1]"),
    "a row without a time": ([IDS | {"data": [ROW, {"value": 1}]}], "$[0].data.time[1]"),
    "a time that is no list": (with_column("time", 5), "$[1].data.time"),
    "a time that is a text": (with_column("time", ["x"]), "$[1].data.time[0]"),
    "a time that is a flag": (with_column("time", [True]), "$[1].data.time[0]"),
    "a time that is null": (with_column("time", [None]), "$[1].data.time[0]"),
    "a time in nanoseconds": (with_column("time", [T * 1_000_000]), "$[1].data.time[0]"),
    "a huge time": (with_column("time", [2**64 - 1]), "$[1].data.time[0]"),
    "a time that is a list": (with_column("time", [[T]]), "$[1].data.time[0]"),
    "a value too many": (with_column("value", [1, 2]), "$[1].data.value"),
    "a value too few": (with_column("value", []), "$[1].data.value"),
    "no value": ([IDS | {"data": {"time": [T]}}], "$[0].data.value"),
    "values that are an object": (with_column("value", {"0": 1}), "$[1].data.value"),
    "a type too many": (with_column("type", ["DBL", "DBL"]), "$[1].data.type"),
    "a type that is a number": (with_column("type", [1]), "$[1].data.type[0]"),
    "a type that is a list": (with_column("type", [["DBL"]]), "$[1].data.type[0]"),
    "a type for all": (with_column("type", "DBL"), "$[1].data.type"),
    "an origin too many": (with_column("origin", [1, 1]), "$[1].data.origin"),
    "an origin that is a flag": (with_column("origin", [True]), "$[1].data.origin[0]"),
    "an origin with a fraction": (with_column("origin", [1.5]), "$[1].data.origin[0]"),
    "an origin that is a text": (with_column("origin", ["measured"]), "$[1].data.origin[0]"),
    "a huge origin": (with_column("origin", [2**63]), "$[1].data.origin[0]"),
    "a negative origin": (with_column("origin", ["-1"]), "$[1].data.origin[0]"),
    "an id that is a text": ([IDS | {"sensor_mid": "x", "data": COLUMNS}], "$[0].sensor_mid"),
    "an id of 5,000 digits": ([IDS | {"sensor_mid": "9" * 5000}], "$[0].sensor_mid"),
    "an id that is a flag": ([IDS | {"client_cid": True}], "$[0].client_cid"),
    "a negative id": ([IDS | {"client_cid": -1}], "$[0].client_cid"),
    "a missing id": ([{"data": COLUMNS}], "$[0].client_cid"),
    "a unit that is a number": ([IDS | {"data": COLUMNS, "unit": 5}], "$[0].unit"),
}


@pytest.mark.parametrize(("sent", "path"), BROKEN.values(), ids=BROKEN)
def test_broken_readings_name_the_element_and_column(sent: object, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_series(answer(sent))
    assert caught.value.path == path
    assert caught.value.response == answer(sent)
    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | DOUBLES | st.text(max_size=5) | st.just(T),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(
        st.sampled_from([*IDS, *COLUMNS, "data", "unit"]), part, max_size=6), max_leaves=15,
)  # fmt: skip
MANGLED = st.lists(st.fixed_dictionaries(
    {"client_cid": st.just(1) | JSON, "sensor_mid": st.just(1) | JSON, "signal_type_moid": st.just(1) | JSON},
    optional={"data": st.dictionaries(st.sampled_from(list(COLUMNS)), st.lists(JSON | st.just(T), max_size=2)),
              "unit": JSON},
), max_size=2)  # fmt: skip


def read_or_path(content: bytes, key: SignalKey | None = None) -> list[SignalData] | str:
    """What was read, or where it could not be read."""
    try:
        return decode_series(Response(200, {}, content), key)
    except DecodeError as error:
        return error.path


@given(JSON | MANGLED, st.none() | st.just(KEY))
def test_any_json_reads_or_is_a_decode_error(value: object, key: SignalKey | None) -> None:
    read = read_or_path(orjson.dumps(value), key)
    if isinstance(read, str):
        assert read.startswith("$")
        return
    for data in read:
        assert len(data.time) == len(data.value)
        assert decode_series(Response(200, {}, encode_item(data))) == [data], "what was read can be written"
        assert repr(data)


@pytest.mark.parametrize("name", ["time", "value", "type", "origin"])
def test_the_deepest_column_reads_or_is_a_decode_error(name: str) -> None:
    for depth in (90, 500, 900):
        content = json.dumps([IDS | {"data": COLUMNS | {name: ["DEEP"]}}])
        content = content.replace('"DEEP"', "[" * depth + "]" * depth)
        read = read_or_path(content.encode())
        assert isinstance(read, list) if name == "value" else read == f"$[0].data.{name}[0]"


def test_a_value_nobody_could_write_is_refused_with_its_row() -> None:
    with pytest.raises(InvalidInputError, match="value\\[1\\]"):
        SignalData(KEY, [T, T], [1.0, "\ud800"])
