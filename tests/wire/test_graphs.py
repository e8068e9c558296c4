"""What running a graph answers: series, ids, texts, Python-style literals, nothing; and hostile texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import DecodeError, GraphResult, Response, SignalKey
from besmart_async.wire.graphs import decode_graph_result
from besmart_async.wire.literals import parse_literal
from tests import document

T = 1_577_836_800_000
COLUMNS = {"time": [T], "value": [10.01], "type": ["DBL"], "origin": [1]}


def decoded(content: bytes, status: int = 200, content_type: str = "") -> GraphResult:
    return decode_graph_result(Response(status, {"content-type": content_type}, content))


def test_the_documents_series_decode() -> None:
    result = decoded(json.dumps(document.operations()["tasks.post_graphs_run"].example).encode(), 201)
    (output,) = result.outputs
    assert (output.time.tolist(), output.value.tolist(), output.type, output.origin) == ([T], [10.01], "DBL", 1)
    assert (output.key, output.unit, output.extra) == (None, None, {})
    assert (result.status, result.accepted) == (201, False)


def test_the_documents_python_style_text_is_parsed_with_its_ellipsis() -> None:
    text: str = document.operations()["tasks.post_graphs_run_name"].example
    result = decoded(json.dumps(text).encode())
    assert isinstance(result.value, dict)
    assert result.value["sensor_mid"] == 13781
    assert result.value["data"] is None
    assert result.value["time_tstorage"] == 0.0593122320715338
    assert result.outputs == ()
    assert json.loads(result.text) == text


def test_a_series_in_a_python_style_text_is_an_output() -> None:
    text = str({"client_cid": 1, "sensor_mid": 2, "signal_type_moid": 3, "data": COLUMNS, "unit": "kW.h", "x": None})
    (output,) = decoded(json.dumps(text).encode()).outputs
    assert (output.key, output.unit, output.extra) == (SignalKey(1, 2, 3), "kW.h", {"x": None})


ANSWERS: dict[str, tuple[bytes, object]] = {
    "nothing": (b"", None),
    "null": (b"null", None),
    "an id": (b'{"id": 1}', {"id": 1}),
    "a text": (b'"accepted"', "accepted"),
    "a bare text": (b"accepted", "accepted"),
    "a bare literal": (b"{'id': 1}", {"id": 1}),
    "a template left alone": (b'"${client_cid}"', "${client_cid}"),
    "data that is no series": (b'{"data": {"sum": 5}}', {"data": {"sum": 5}}),
    "data that is a list of numbers": (b'[{"data": [1, 2]}]', [{"data": [1, 2]}]),
    "data that is a text": (b'{"data": "x"}', {"data": "x"}),
    "what nothing holds": (b'"{1e999: 0}"', {"inf": 0}),
    "an infinite number": (b'"1e999"', "1e999"),
    "bytes": (b"\"b'x'\"", "b'x'"),
    "a set": (b'"{1, 2}"', "{1, 2}"),
    "code": (b"\"__import__('os').system('true')\"", "__import__('os').system('true')"),
}


@pytest.mark.parametrize(("content", "value"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_answer_keeps_its_text_and_says_what_it_can(content: bytes, value: object, status: int) -> None:
    result = decoded(content, status)
    assert result == GraphResult(status=status, accepted=status == 202, value=value, text=content.decode())  # type: ignore[arg-type]


def test_rows_of_a_series_are_an_output() -> None:
    (output,) = decoded(json.dumps([{"data": [{"time": T, "value": 1}]}]).encode()).outputs
    assert output.value.tolist() == [1]


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"data": {"time": [T], "value": []}}, "$[0].data.value"),
        ({"data": {"time": ["x"], "value": [1]}}, "$[0].data.time[0]"),
        ({"data": COLUMNS, "client_cid": "x", "sensor_mid": 1, "signal_type_moid": 1}, "$[0].client_cid"),
    ],
)
def test_a_broken_series_names_its_column(item: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decoded(json.dumps([item]).encode())
    assert caught.value.path == path


def test_an_html_page_is_no_result() -> None:
    with pytest.raises(DecodeError, match="an HTML page"):
        decoded(b"<html></html>", content_type="text/html")


# -- literals ------------------------------------------------------------------------------------------------------

LITERALS: dict[str, object] = {
    "{'status_code': -1, 'message': 'An error occured'}": {"status_code": -1, "message": "An error occured"},
    "{'a': {...}, 'b': [...], 'c': ...}": {"a": None, "b": [None], "c": None},
    "[1, 2.5, True, None, 'x', (1, 2)]": [1, 2.5, True, None, "x", [1, 2]],
    "{1: 2, None: 3}": {"1": 2, "None": 3},
    "  {'a': 'it\\'s \"quoted\"'}\n": {"a": 'it\'s "quoted"'},
    "{'path': 'C:\\dir'}": {"path": "C:\\dir"},
    "-1": -1,
}


@pytest.mark.parametrize(("text", "value"), LITERALS.items())
def test_a_literal_is_parsed(text: str, value: object) -> None:
    assert parse_literal(text) == value


HOSTILE = {
    "calls": "__import__('os').system('true')",
    "names": "{'a': os}",
    "attributes": "''.__class__",
    "comprehensions": "[x for x in (1, 2)]",
    "lambdas": "lambda: 1",
    "format strings": "f'{1}'",
    "walrus": "(a := 1)",
    "powers": "9**9**9",
    "deep lists": "[" * 5000 + "]" * 5000,
    "open brackets": "(" * 100_000,
    "open braces": "{" * 60 + ":" + "a" * 30,
    "long sums": "1+" * 50_000 + "1",
    "long signs": "-" * 100_000 + "1",
    "long negations": "not " * 30_000 + "1",
    "long strings": "'" * 1_000_001,
    "more than 1 MiB": "[" + "1," * (1 << 20) + "]",
    "integers of 500,000 digits": "0x" + "f" * 500_000,
    "integers of 100 digits": "9" * 100,
    "infinity": "1e999",
    "complex": "1+2j",
    "bytes": "b'x'",
    "sets": "{1, 2}",
    "null characters": "'a\0b'",
    "half a surrogate pair": "'\\ud800'",
    "unhashable": "{[]: 1}",
    "nothing": "",
    "warnings": "1if 1else 2",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.timeout(20)  # what is exponential in the text takes forever
def test_a_hostile_text_is_refused_quickly(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several messages
        parse_literal(text)
    result = decoded(json.dumps(text).encode() if "\0" not in text else b"")
    assert result.outputs == ()


def test_a_deep_literal_is_read_as_far_as_python_reads_it() -> None:
    assert parse_literal("[" * 150 + "1" + "]" * 150)
    assert parse_literal("{1:" * 150 + "1" + "}" * 150)


@given(st.text(alphabet="{}[]()'\":,.0123456789eExabNonTrue\\\n -+*", max_size=80))
def test_any_text_is_a_literal_or_a_value_error(text: str) -> None:
    try:
        value = parse_literal(text)
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(), lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_what_python_prints_is_read_back(value: object) -> None:
    assert parse_literal(repr(value)) == value


@given(st.binary(max_size=50))
def test_any_bytes_are_a_result(content: bytes) -> None:
    assert decoded(content).text == content.decode(errors="replace")
