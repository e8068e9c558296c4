"""Entities from the wire: the document's examples, the forms of the live service, and broken answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import (
    DecodeError,
    MeterType,
    Response,
    Sensor,
    SensorKey,
    SensorState,
    SensorType,
    SignalState,
    SignalType,
    Token,
)
from besmart_async.models.signals import Signal, SignalPeriod
from besmart_async.wire import codec
from tests import document

DOCUMENTED = document.operations()


def answer(value: object, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, orjson.dumps(value))


def names_of(cls: type[Any]) -> set[str]:
    return {field.name for field in attrs.fields(cls)}


def example(operation_id: str) -> Response:
    return answer(DOCUMENTED[operation_id].example)


# -- the document's examples ---------------------------------------------------------------------------------------

INFO: Any = {"PPECODE": "PL_ZEBB_2006000099", "METER_DEV": 936692255, "TARIFF_NAME": "C12A"}
SIGNAL_STATE = SignalState(
    signal_state_id=798649, signal_type_moid=32, value_for_since=6, value_for_till=120, info=INFO
)
STATE = SensorState(
    sensor_state_id=21310, client_cid=13, sensor_mid=44143, since=1449702000000, till=1549702000000,
    meter_eid="135620", info={"METER_DEV": 135620, "MM_NAME": "CX2000-9"}, meter_type_name="CX2000-9",
    meter_type_is_ami=True, signal_states=(SIGNAL_STATE,),
)  # fmt: skip
CUSTOM = {"tariff": {"required": True}, "meter_max_digits": {"required": False}}
EXAMPLES: dict[str, tuple[Any, object]] = {
    "sensors.post": (codec.created_sensor, SensorKey(2, 12)),
    "sensors.get_types": (
        codec.many(SensorType),
        [SensorType(id=1, name="virtual", description="Wirtualny", sensor_state_custom_fields=CUSTOM,
                    sensor_custom_fields=CUSTOM)],
    ),
    "sensors.get_meters": (
        codec.many(MeterType),
        [MeterType(id=1206095, meter_type_name="Meter type name", description="Description of meter type",
                   number_of_phases=3, is_balance=True, is_ami=True, is_dcu=False)],
    ),
    "sensors.get_id": (
        codec.one(Sensor),
        Sensor(info={}, comments="Licznik do likwidacji.", client_cid=1, sensor_mid=1, lat=53.13, lon=22.06,
               name="sensor name", sensor_eid="48003752B205900000", sensor_type_description="Stacja",
               sensor_type_id=12, sensor_type_name="meter_station", write=True, execute=True, negligible=True,
               uncertain=False),
    ),
    "sensors.get_signals_types": (
        codec.many(SignalType),
        [SignalType(signal_type_moid=32, symbol="A+", is_incremental=True,
                    description="Energia czynna pobrana z sieci", unit_id=1, unit_symbol="kW.h", group_id=2,
                    group="Energetyka", obis_mapping="1.8.0", chart_expected_unit="kW", keep_prefix=False)],
    ),
    "sensors.get_states": (codec.many(SensorState), [STATE]),
    "sensors.get_states_signals": (codec.many(SensorState), [STATE]),
    "sensors.post_states": (
        codec.one(SensorState),
        attrs.evolve(STATE, signal_states=()),
    ),
    "sensors.post_states_id_signals": (
        codec.one(SignalState),
        SignalState(sensor_state_id=7986, signal_state_id=798649, signal_type_moid=32, value_for_since=6,
                    value_for_till=120, info=INFO),
    ),
    "users.get_token": (
        codec.token, Token(token="ab9d27c9044820c9998f326021dc4003", expiration=1586861098825, user_id=1),
    ),
    "users.get_token_info": (
        codec.token, Token(token="ab9d27c9044820c9998f326021dc4003", expiration=1586861098825, user_id=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("operation_id", EXAMPLES)
def test_a_documented_example_decodes_whole(operation_id: str) -> None:
    decode, expected = EXAMPLES[operation_id]
    assert decode(example(operation_id)) == expected


def test_the_other_examples_are_acknowledgements_and_readings() -> None:
    others = {
        identifier: operation.example for identifier, operation in DOCUMENTED.items() if identifier not in EXAMPLES
    }
    acknowledged = {identifier for identifier, value in others.items() if value in ("OK", "Created")}
    assert set(others) - acknowledged == {
        "sensors.post_signals_data", "sensors.get_id_signals_id_data", "tasks.post_graphs_run",
        "tasks.post_graphs_run_name",
    }  # fmt: skip


@pytest.mark.parametrize("operation_id", EXAMPLES)
def test_every_documented_field_has_an_attribute(operation_id: str) -> None:
    _, expected = EXAMPLES[operation_id]
    entity = expected[0] if isinstance(expected, list) else expected
    for field in DOCUMENTED[operation_id].fields:
        holder = SIGNAL_STATE if field.depth == 2 else entity
        assert hasattr(holder, field.name)


def test_the_schema_signal_decodes_with_its_contradicting_types() -> None:
    schema = document.schemas()["Signal"]
    signal = codec.structure(Signal, schema.example)
    period = SignalPeriod(id=33, info="G11", since=1585919039882, till=1585919039882, state_eid="24569922006")
    assert signal == Signal(
        id=33, name="A+", owner=True, states=(period,), type="a+", type_name="Zużycie", unit="kWh", write=True
    )
    assert codec.structure(Signal, schema.example | {"type": True, "type_name": False}).type is True
    assert {field.name for field in schema.fields if field.depth == 0} <= names_of(Signal)


@pytest.mark.parametrize("content", [b'"OK"', b'"Created"', b"", b" \n", b"null", b'{"id": 1}', b"true", b"[]"])
def test_what_says_done_is_acknowledged(content: bytes) -> None:
    for status in (200, 201, 202, 204):
        codec.acknowledged(Response(status, {}, content))


# -- contradicting and live forms ----------------------------------------------------------------------------------

FORMS: dict[str, tuple[type, dict[str, Any], str, object]] = {
    "an id as text": (SignalType, {"signal_type_moid": "32"}, "signal_type_moid", 32),
    "an id as integer": (SignalType, {"signal_type_moid": 32}, "signal_type_moid", 32),
    "an id as a whole float": (SignalType, {"signal_type_moid": 32.0}, "signal_type_moid", 32),
    "a null id": (SignalType, {"signal_type_moid": None}, "signal_type_moid", None),
    "a missing id": (SignalType, {}, "signal_type_moid", None),
    "an external id as integer": (SensorState, {"meter_eid": 135620}, "meter_eid", "135620"),
    "an external id as text": (SensorState, {"meter_eid": "0135620"}, "meter_eid", "0135620"),
    "no signal states": (SensorState, {"signal_states": []}, "signal_states", ()),
    "a list in signal states": (SensorState, {"signal_states": [[]]}, "signal_states", ()),
    "null for signal states": (SensorState, {"signal_states": None}, "signal_states", ()),
    "info as JSON text": (SensorState, {"info": '{"a": 1}'}, "info", {"a": 1}),
    "info as an object": (SensorState, {"info": {"a": 1}}, "info", {"a": 1}),
    "info as other text": (SensorState, {"info": "G11"}, "info", "G11"),
    "info as a JSON number in text": (SensorState, {"info": "12"}, "info", "12"),
    "info as an empty text": (SensorState, {"info": ""}, "info", ""),
    "no info": (SensorState, {"info": None}, "info", None),
    "since in ms": (SensorState, {"since": 1449702000000}, "since", 1449702000000),
    "since in fractional ms": (SensorState, {"since": 1449702000000.5}, "since", 1449702000000.5),
    "since in ms as text": (SensorState, {"since": "1449702000000"}, "since", 1449702000000),
    "since in ISO 8601, UTC": (SensorState, {"since": "2015-12-09T23:00:00Z"}, "since", 1449702000000),
    "since in ISO 8601, offset": (SensorState, {"since": "2015-12-10T00:00:00+01:00"}, "since", 1449702000000),
    "since in ISO 8601, no zone": (SensorState, {"since": "2015-12-09T23:00:00.5"}, "since", 1449702000500),
    "an open end": (SensorState, {"till": None}, "till", None),
    "a number as text": (SignalState, {"value_for_since": "6.5"}, "value_for_since", 6.5),
    "a flag as integer": (MeterType, {"is_ami": 1}, "is_ami", True),
    "a flag as text": (MeterType, {"is_ami": "false"}, "is_ami", False),
    "a text as number": (Sensor, {"sensor_eid": 48003752}, "sensor_eid", "48003752"),
}


@pytest.mark.parametrize(("cls", "sent", "field", "expected"), FORMS.values(), ids=FORMS)
def test_a_form_seen_on_the_wire_decodes(cls: type, sent: dict[str, Any], field: str, expected: object) -> None:
    found = getattr(codec.one(cls)(answer(sent)), field)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("cls", [Sensor, SensorType, MeterType, SignalType, SensorState, SignalState, Signal])
def test_every_field_may_be_missing_or_null(cls: type[Any]) -> None:
    nothing = codec.one(cls)(answer({}))
    assert nothing == cls()
    names = names_of(cls) - {"extra"}
    assert codec.one(cls)(answer(dict.fromkeys(names))) == nothing


@pytest.mark.parametrize("cls", [Sensor, SensorType, MeterType, SignalType, SensorState, SignalState, Signal])
def test_unknown_fields_are_kept_in_extra(cls: type[Any]) -> None:
    unknown = {"time_tstorage": 0.5, "account_status": None, "extra": {"deep": [1]}}
    assert codec.one(cls)(answer(unknown)).extra == unknown


def test_unknown_fields_of_inner_entities_stay_with_them() -> None:
    state = codec.one(SensorState)(answer({"signal_states": [{"signal_state_id": 1, "new": 2}]}))
    assert state.signal_states == (SignalState(signal_state_id=1, extra={"new": 2}),)
    assert state.extra == {}


def test_a_list_of_one_is_one_and_one_is_a_list_of_one() -> None:
    assert codec.one(Sensor)(answer([{"name": "a"}])) == Sensor(name="a")
    assert codec.many(MeterType)(answer({"id": 1})) == [MeterType(id=1)]
    for nothing in (b"", b"null", b"[]"):
        assert codec.many(MeterType)(Response(200, {}, nothing)) == []


# -- tokens --------------------------------------------------------------------------------------------------------

TOKENS: dict[str, tuple[dict[str, Any], Token]] = {
    "expiration in ms": ({"expiration": 1586861098825}, Token(token="t", expiration=1586861098825)),
    "expiration in s": ({"expiration": 1586861098}, Token(token="t", expiration=1586861098000)),
    "expiration in float s": ({"expiration": 1586861098.25}, Token(token="t", expiration=1586861098250)),
    "expiration as text": ({"expiration": "1586861098825"}, Token(token="t", expiration=1586861098825)),
    "no expiration": ({"expiration": None}, Token(token="t")),
    "user_id": ({"user_id": 5}, Token(token="t", user_id=5)),
    "id for user_id": ({"id": 5}, Token(token="t", user_id=5)),
    "id beside a null user_id": ({"id": 5, "user_id": None}, Token(token="t", user_id=5)),
    "id beside user_id": ({"id": 5, "user_id": 6}, Token(token="t", user_id=6, extra={"id": 5})),
    "more": ({"account_status": "x"}, Token(token="t", extra={"account_status": "x"})),
}


@pytest.mark.parametrize(("sent", "expected"), TOKENS.values(), ids=TOKENS)
def test_a_token_decodes(sent: dict[str, Any], expected: Token) -> None:
    assert codec.token(answer({"token": "t"} | sent)) == expected


SECRET = "ab9d27c9044820c9998f326021dc4003"
BROKEN_TOKENS: dict[str, object] = {
    "a malformed expiration": {"token": SECRET, "expiration": SECRET},
    "a malformed user": {"token": SECRET, "user_id": [SECRET]},
    "no token": {"tokens": SECRET},
    "a token that is no text": {"token": [SECRET]},
    "an empty token": {"token": "", "other": SECRET},
    "a token with a line break": {"token": SECRET + "\r\nX-Evil: 1"},
    "a token that is no ASCII": {"token": SECRET + "ł"},
    "a bare token": SECRET,
    "a list": [{"token": SECRET}, {"token": SECRET}],
}


@pytest.mark.parametrize("sent", BROKEN_TOKENS.values(), ids=BROKEN_TOKENS)
def test_a_broken_token_answer_is_never_shown(sent: object) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.token(answer(sent))
    assert SECRET not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
    assert caught.value.response is None
    assert caught.value.path.startswith("$")


def test_a_token_answer_that_is_no_json_is_never_shown() -> None:
    with pytest.raises(DecodeError, match="not JSON") as caught:
        codec.token(Response(200, {"content-type": "text/plain"}, f'{{"token": "{SECRET}'.encode()))
    assert SECRET not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
    assert caught.value.response is None


def test_a_token_is_not_in_its_repr() -> None:
    assert SECRET not in repr(codec.token(answer({"token": SECRET, "copy": SECRET})))


# -- broken answers ------------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[Any, object, str]] = {
    "an id that is a text": (codec.one(Sensor), {"client_cid": "one"}, "$.client_cid"),
    "an id with a fraction": (codec.one(Sensor), {"client_cid": 1.5}, "$.client_cid"),
    "an id that is a flag": (codec.one(Sensor), {"client_cid": True}, "$.client_cid"),
    "an id of 5,000 digits": (codec.one(Sensor), {"client_cid": "9" * 5000}, "$.client_cid"),
    "a text that is an object": (codec.one(Sensor), {"name": {}}, "$.name"),
    "a text that is a flag": (codec.one(Sensor), {"name": True}, "$.name"),
    "a number that is a text": (codec.one(Sensor), {"lat": "north"}, "$.lat"),
    "a number that is NaN in a text": (codec.one(Sensor), {"lat": "NaN"}, "$.lat"),
    "a number that is infinite in a text": (codec.one(Sensor), {"lat": "-inf"}, "$.lat"),
    "a flag that is a number": (codec.one(Sensor), {"write": 2}, "$.write"),
    "a flag that is a list": (codec.one(Sensor), {"write": []}, "$.write"),
    "info that is a list": (codec.one(Sensor), {"info": [1]}, "$.info"),
    "a time that is none": (codec.one(SensorState), {"since": "yesterday"}, "$.since"),
    "a time in nanoseconds": (codec.one(SensorState), {"since": 1449702000000000000}, "$.since"),
    "a time that is an object": (codec.one(SensorState), {"till": {}}, "$.till"),
    "states that are an object": (codec.one(SensorState), {"signal_states": 5}, "$.signal_states"),
    "a state that is null": (codec.one(SensorState), {"signal_states": [{}, None]}, "$.signal_states[1]"),
    "a field deep inside": (
        codec.many(SensorState),
        [{}, {"signal_states": [{}, {"signal_type_moid": "x"}]}],
        "$[1].signal_states[1].signal_type_moid",
    ),
    "a list of texts": (codec.many(Sensor), ["a"], "$[0]"),
    "a text for a list": (codec.many(Sensor), "OK", "$"),
    "a number for a list": (codec.many(Sensor), 5, "$"),
    "nothing for one": (codec.one(Sensor), None, "$"),
    "a list of two for one": (codec.one(Sensor), [{}, {}], "$"),
    "an empty list for one": (codec.one(Sensor), [], "$"),
    "no key of a new sensor": (codec.created_sensor, {"client_cid": 1}, "$.sensor_mid"),
    "a null key of a new sensor": (codec.created_sensor, {"client_cid": None, "sensor_mid": 1}, "$.client_cid"),
    "a negative key of a new sensor": (codec.created_sensor, {"client_cid": 1, "sensor_mid": -1}, "$.sensor_mid"),
    "a text for a new sensor": (codec.created_sensor, "Created", "$"),
    "a type that is a number": (lambda r: codec.structure(Signal, codec.json_of(r), r), {"type": 5}, "$.type"),
}


@pytest.mark.parametrize(("decode", "sent", "path"), BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_names_its_field(decode: Any, sent: object, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(answer(sent))
    assert caught.value.path == path
    assert caught.value.response == answer(sent)
    assert f" @ {path}" in str(caught.value)
    assert len(str(caught.value)) < 300


NOT_JSON = {
    "an HTML page": b"<html><title>502</title></html>",
    "cut off": b'[{"id": 1',
    "two values": b'"OK""OK"',
    "NaN": b"NaN",
    "1e999": b"1e999",
    "not UTF-8": b'"\xff"',
    "half a surrogate pair": b'"\\ud800"',
    "too deep": b"[" * 100_000,
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("decode", [codec.acknowledged, codec.one(Sensor), codec.many(Sensor), codec.created_sensor])
def test_what_is_not_json_says_what_it_is_instead(decode: Any, content: bytes) -> None:
    with pytest.raises(DecodeError, match=f"not JSON but text/html, {len(content)} bytes"):
        decode(Response(200, {"content-type": "text/html"}, content))


# -- anything ------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(), lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=5), part, max_size=4),
    max_leaves=12,
)  # fmt: skip
NAMES = sorted({name for cls in (Sensor, SensorState, SignalState, Signal, Token) for name in names_of(cls)})
ENTITY = st.dictionaries(st.sampled_from(NAMES), JSON | st.lists(st.dictionaries(st.sampled_from(NAMES), JSON)))
DECODERS: tuple[Callable[[Response], object], ...] = (
    codec.acknowledged, codec.token, codec.created_sensor, codec.one(Sensor), codec.many(SensorState),
    codec.many(SignalType), codec.many(SensorType), codec.many(MeterType), codec.one(SignalState),
    lambda response: codec.structure(Signal, codec.json_of(response)),
)  # fmt: skip


def decodes_or_says_why(content: bytes) -> None:
    for decode in DECODERS:
        error = refusal(decode, content)
        if error is not None:
            assert error.path.startswith("$")
            assert len(str(error)) < 400


def refusal(decode: Callable[[Response], object], content: bytes) -> DecodeError | None:
    try:
        decode(Response(200, {}, content))
    except DecodeError as error:
        return error
    return None


@given(JSON | ENTITY | st.lists(ENTITY, max_size=3))
def test_any_json_decodes_or_is_a_decode_error(value: object) -> None:
    decodes_or_says_why(json.dumps(value).encode())


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0123456789.eE+-truefalsn', max_size=40).map(str.encode))
def test_any_bytes_decode_or_are_a_decode_error(content: bytes) -> None:
    decodes_or_says_why(content)


@pytest.mark.parametrize("shape", ["[%s]", '{"a":%s}', '{"client_cid":%s}', '{"info":%s,"token":%s}', '[{"since":%s}]'])
def test_the_deepest_json_decodes_or_is_a_decode_error(shape: str) -> None:
    for depth in (100, 500, 900, 1020):
        decodes_or_says_why(shape.replace("%s", "[" * depth + "]" * depth).encode())
        decodes_or_says_why(shape.replace("%s", '{"a":' * depth + "1" + "}" * depth).encode())
