"""Large answers: cut into parts that mean the same, and refused where parsing them would take too much memory."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from besmart_async import DecodeError, Response
from besmart_async.wire import codec, series
from besmart_async.wire.graphs import decode_graph_result
from besmart_async.wire.series import decode_series


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of some hundred bytes, so that the answers of these tests are large ones."""
    monkeypatch.setattr(series, "_PART_BYTES", 200)
    monkeypatch.setattr(codec, "_MANY_PARTS_BYTES", 200)


def item(sensor: int, **fields: Any) -> dict[str, Any]:
    columns = {"time": [1, 2, 3], "value": [sensor + 0.5, None, -1.0], "type": ["DBL"] * 3, "origin": [1] * 3}
    return {"client_cid": 9, "sensor_mid": sensor, "signal_type_moid": 34, "data": columns, "unit": "kWh", **fields}


def told(answer: bytes) -> list[tuple[str, list[Any], list[Any], str | None]]:
    decoded = decode_series(Response(200, {}, answer))
    return [(str(one.key), one.time.tolist(), one.value.tolist(), one.unit) for one in decoded]


EXPECTED = [(f"9.{sensor}.34", [1, 2, 3], [sensor + 0.5, None, -1.0], "kWh") for sensor in range(50)]


def test_a_long_list_decodes_in_parts_as_in_one() -> None:
    answer = orjson.dumps([item(sensor) for sensor in range(50)])
    assert len(list(series._in_parts(answer))) > 10
    assert told(answer) == EXPECTED


@pytest.mark.parametrize("option", [orjson.OPT_INDENT_2, orjson.OPT_SORT_KEYS, orjson.OPT_APPEND_NEWLINE])
def test_so_does_one_that_is_written_differently(option: int) -> None:
    assert told(orjson.dumps([item(sensor) for sensor in range(50)], option=option)) == EXPECTED


def test_rows_in_place_of_columns_decode_in_parts_too() -> None:
    rows = [{"time": 1, "value": 5.0, "type": "DBL", "origin": 1}]
    answer = orjson.dumps([item(sensor, data=rows) for sensor in range(50)])
    assert told(answer) == [(f"9.{sensor}.34", [1], [5.0], "kWh") for sensor in range(50)]


@pytest.mark.parametrize("place", ["unit", "extra", "nested"])
def test_a_text_that_looks_like_the_seam_of_two_elements_cuts_nothing(place: str) -> None:
    seam = '},{"client_cid":1,"sensor_mid":1,"signal_type_moid":1}'
    forms: dict[str, dict[str, Any]] = {
        "unit": {"unit": seam},
        "extra": {"note": seam * 9},
        "nested": {"note": [{"a": 1}, {"client_cid": 1, "sensor_mid": 1, "signal_type_moid": 1}] * 9},
    }
    answer = orjson.dumps([item(sensor, **forms[place]) for sensor in range(50)])
    assert [key for key, *_ in told(answer)] == [key for key, *_ in EXPECTED]
    assert {unit for *_, unit in told(answer)} == {seam if place == "unit" else "kWh"}


def test_an_error_far_behind_names_its_own_element() -> None:
    items = [item(sensor) for sensor in range(50)]
    items[37]["data"]["time"] = [1, "x", 3]
    with pytest.raises(DecodeError) as caught:
        decode_series(Response(200, {}, orjson.dumps(items)))
    assert caught.value.path == "$[37].data.time[1]"


@pytest.mark.parametrize("cut", [1, 100, 1000, 5000])
def test_an_answer_that_is_cut_off_is_refused(cut: int) -> None:
    answer = orjson.dumps([item(sensor) for sensor in range(50)])
    with pytest.raises(DecodeError, match="not JSON"):
        decode_series(Response(200, {}, answer[:-cut]))


BOMBS = {
    "lists": b"[" + b"[]," * 2_000 + b"[]]",
    "objects": b"[" + b"{}," * 2_000 + b"{}]",
    "numbers": b"[" + b"1," * 9_000 + b"1]",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("decode", [decode_series, codec.acknowledged, codec.many(int), decode_graph_result])
def test_more_values_than_a_good_answer_has_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch, bomb: str, decode: Any
) -> None:
    monkeypatch.setattr(codec, "_MOST_PARTS", 8_000)
    monkeypatch.setattr(series, "_MOST_OBJECTS", 1_000)
    with pytest.raises(DecodeError, match="more than 8000 values in one answer; ask for less at once"):
        decode(Response(200, {}, BOMBS[bomb]))


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 9_999 + b"1" + b"}" * 9_999]
)
@pytest.mark.parametrize("decode", [decode_series, codec.acknowledged, codec.many(int), codec.token])
def test_what_is_too_deep_is_no_answer(body: bytes, decode: Any) -> None:
    with pytest.raises(DecodeError):
        decode(Response(200, {}, body))
