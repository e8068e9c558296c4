"""Readings from bytes: the forms that are read, what is wrong with others, and that a short cut makes no difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from besmart_async import DecodeError, Response, SignalData, SignalKey
from besmart_async.wire.columns import encode_item
from besmart_async.wire.series import decode_parsed, decode_series
from tests import document
from tests.wire.readings import COLUMN_KINDS, COLUMNS, DOUBLES, IDS, INTEGERS, KEY, T, exact


def answer(value: object) -> Response:
    return Response(200, {}, json.dumps(value).encode())


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


# -- the short cut -------------------------------------------------------------------------------------------------

TRICKS = ['"time":[', "]", '["', "\\", '"', "mł³", "\u2028", "\x7f", "1.5", "null", "true"]
NAMES = [*IDS, "data", "unit", "extra", "time_tstorage"]
SHORT = st.sampled_from(TRICKS) | st.text(max_size=4)
CELLS = st.one_of(*COLUMN_KINDS.values(), st.just(T), st.sampled_from(["DBL", "RM", 1, 1.0, 5]))
LIKE = st.sampled_from(
    [[T], [1.5], ["DBL"], [1], [None], [True], [T, T + 900_000], [1, 2.5], [1.0, 2.0], ["DBL", "RM"]]
)
COLUMN = st.lists(CELLS, max_size=4) | st.builds(lambda part, times: part * times, LIKE, st.integers(0, 4)) | CELLS


def text_of(value: object, spaced: bool, escaped: bool) -> str:
    """The value as one JSON text or another."""
    return json.dumps(value, separators=(", ", ": ") if spaced else (",", ":"), ensure_ascii=escaped)


@st.composite
def objects(draw: st.DrawFn, members: st.SearchStrategy[tuple[str, str]], spaced: bool) -> str:
    """An object as text; unlike a dictionary's, its names may be there twice."""
    gap = " " if spaced else ""
    written = [f'"{name}":{gap}{text}' for name, text in draw(st.lists(members, max_size=7))]
    return "{" + f",{gap}".join(written) + "}"


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """The text of an answer: most often documented, with all that may happen to it."""
    spaced, escaped = draw(st.booleans()), draw(st.booleans())

    def texts(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
        return values.map(lambda value: text_of(value, spaced, escaped))

    def documented() -> str:
        rows = draw(st.integers(0, 5))
        kind = COLUMN_KINDS[draw(st.sampled_from(sorted(COLUMN_KINDS)))]
        data = {
            "time": [T + 900_000 * row for row in range(rows)],
            "value": draw(st.lists(kind, min_size=rows, max_size=rows)),
            "type": [draw(st.sampled_from(["DBL", "a,b", "]", "1..2", None]))] * rows,
            "origin": [draw(st.sampled_from([1, 5, 1.0, "1", None, True]))] * rows,
        }
        extra = draw(st.dictionaries(SHORT, SHORT | st.lists(DOUBLES, max_size=2), max_size=2))
        return text_of(IDS | {"data": data, "unit": draw(SHORT | st.none())} | extra, spaced, escaped)

    def mangled() -> str:
        columns = st.tuples(st.sampled_from(["time", "value", "type", "origin", "acq"]), texts(COLUMN))
        members = st.one_of(
            st.tuples(st.sampled_from(list(IDS)), texts(st.sampled_from([1, 1, 2, "3", 4.0, None, -1, True]))),
            st.tuples(st.just("data"), objects(columns, spaced)),
            st.tuples(st.just("unit"), texts(SHORT | st.none())),
            st.tuples(st.sampled_from(NAMES), texts(COLUMN_KINDS["anything"])),
        )
        return draw(objects(members, spaced))

    items = [draw(st.sampled_from([documented, documented, mangled]))() for _ in range(draw(st.integers(0, 3)))]
    return (items[0] if len(items) == 1 and draw(st.booleans()) else f"[{','.join(items)}]").encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Such a text with some bytes changed, left out or put in."""
    content = bytearray(draw(answers()))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        piece = draw(st.binary(max_size=2) | st.sampled_from([*b'[]{},:"0-.e\\ n\xff', b"[1,", b'"time":[', b"1e5"]))
        content[start : start + draw(st.integers(0, 3))] = piece if isinstance(piece, bytes) else bytes([piece])
    return bytes(content)


def outcome(decode: Callable[..., list[SignalData]], content: bytes, key: SignalKey | None) -> Any:
    """All that can be told of what was decoded, or of the error."""
    try:
        read = decode(Response(200, {}, content), key)
    except DecodeError as error:
        return error.path, error.problem
    return [
        (data.key, data.unit, data.absent, *map(told, (data.time, data.value, data.type, data.origin))) for data in read
    ]


def told(column: Any) -> object:
    if not isinstance(column, np.ndarray):
        return type(column), column
    return column.dtype, column.flags.writeable, repr(exact(column.tolist()))


@settings(max_examples=400)
@given(answers() | damaged(), st.none() | st.just(KEY))
@example(b'[{"client_cid":1,"sensor_mid":2,"signal_type_moid":3,"data":{"time":[],"type":["x"]}}]', None)
@example(b'{"data":{"time":[1],"value":[1.5],"type":["x"],"time":[1,2],"origin":[1]}}', KEY)
@example(b'[{"data":{"time":[1,2],"value":[true,1],"type":[,,],"origin":[1,1]},"unit":"\xff"}]', KEY)
@example(b'[{"data":{"time":[1,2],"value":["1..2",5]}}]', KEY)
@example(b'[{"data":{"time":[1,2],"value":[false,7]}}]', KEY)
@example(b'\xef\xbb\xbf[{"data":{"time":[1],"value":[5]}}]', KEY)
@example(b'[{"data":{"time":[1],"value":[5]},"extra":"\xed\xa0\x80"}]', KEY)
def test_an_answer_decodes_as_its_parsed_whole_does(content: bytes, key: SignalKey | None) -> None:
    expected = outcome(decode_parsed, content, key)
    assume("is infinity" not in str(expected))  # refused in a part that nobody asked for, too
    assert outcome(decode_series, content, key) == expected


def test_a_number_no_double_holds_is_refused_where_it_is_a_reading() -> None:
    content = b'[{"data":{"time":[1],"value":[1e400]}}]'
    assert outcome(decode_series, content, KEY) == outcome(decode_parsed, content, KEY)
    assert decode_series(Response(200, {}, content.replace(b'"value"', b'"value":[2.5],"other"')), KEY)[0].value == 2.5


def test_a_large_type_beside_many_moments_takes_no_memory_of_both() -> None:
    data = {"time": list(range(100_000)), "value": [0.5] * 100_000, "type": ["x" * 10_000_000]}
    assert outcome(decode_series, json.dumps([{"data": data}]).encode(), KEY)[0] == "$[0].data.type"


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("rows", [1, 96, 5000])
@pytest.mark.parametrize("kind", ["doubles", "integers", "mixed", "nulls", "booleans"])
def test_long_columns_decode_as_their_parsed_whole_does(kind: str, rows: int, spaced: bool) -> None:
    cells = {
        "doubles": [row / 8 for row in range(rows)],
        "integers": list(range(rows)),
        "mixed": [row / 2 if row % 3 else row for row in range(rows)],
        "nulls": [None if row % 7 == 0 else row / 8 for row in range(rows)],
        "booleans": [row % 3 == 0 for row in range(rows)],
    }[kind]
    data = {"time": [T + row for row in range(rows)], "value": cells, "type": ["DBL"] * rows, "origin": [1] * rows}
    others = data | {"type": ["DBL", *["RM"] * (rows - 1)], "origin": [*[1] * (rows - 1), 2]}
    content = text_of([IDS | {"data": data}, IDS | {"data": others}, IDS | {"data": data}], spaced, escaped=True)
    assert outcome(decode_series, content.encode(), None) == outcome(decode_parsed, content.encode(), None)


def test_signals_with_the_same_moments_share_them() -> None:
    one, other = decode_series(answer([IDS | {"data": COLUMNS}, IDS | {"sensor_mid": 7, "data": COLUMNS}]))
    assert one.time is other.time
    assert not one.time.flags.writeable


def test_keys_that_were_asked_for_are_those_of_the_answer() -> None:
    (read,) = decode_series(answer([IDS | {"data": COLUMNS}]), asked=[SignalKey(12, 7, 32), KEY])
    assert read.key is KEY
