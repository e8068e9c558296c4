"""Every operation of the dialect `live`, compared with the description of that service in `data/besmart-live.yaml`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from besmart_async import InvalidInputError, SignalData, SignalQuery, UnsupportedOperationError
from besmart_async.wire.dialect import LIVE
from besmart_async.wire.operation import Auth, Operation
from tests.live_openapi import LiveOperation, live_operations
from tests.resources.calls import CALLS, EVENING, KEY, MORNING, Call, RecordingSender, Sdk, elements
from tests.resources.live_calls import LIVE_CALLS

DESCRIBED = live_operations()
every_operation = pytest.mark.parametrize("call", LIVE_CALLS, ids=lambda call: call.id)


def described(call: Call) -> LiveOperation:
    return DESCRIBED[call.id]


async def sent(call: Call, arguments: dict[str, Any] | None = None) -> Operation[Any]:
    sender = RecordingSender(json.dumps(described(call).example).encode(), LIVE)
    await call.of(Sdk(sender), arguments)
    (operation,) = sender.sent
    return operation


def test_all_32_operations_are_here() -> None:
    assert len(DESCRIBED) == 32
    assert sorted(call.id for call in LIVE_CALLS) == sorted(DESCRIBED)


@every_operation
async def test_an_operation_goes_to_the_described_method_and_path(call: Call) -> None:
    operation = await sent(call)
    assert operation.name == call.sdk
    assert (operation.method, operation.path) == (described(call).method, described(call).path)
    assert (operation.method, operation.path) == (call.method, call.path)
    assert set(operation.path_params) == described(call).path_names
    assert "{" not in operation.target


@every_operation
async def test_every_described_query_parameter_is_sent_and_nothing_else(call: Call) -> None:
    operation = await sent(call)
    assert sorted(name for name, _ in operation.query) == sorted(described(call).query)


@every_operation
async def test_the_content_type_is_the_described_one(call: Call) -> None:
    operation, body = await sent(call), described(call).body
    assert (operation.body is None) == (body is None)
    assert operation.content_type == (None if body is None else next(iter(body["content"])))
    assert operation.auth is (Auth.API_KEY if call.sdk == "users.login" else Auth.BEARER)


@every_operation
async def test_an_object_in_the_body_has_the_described_fields(call: Call) -> None:
    body = described(call).body
    schema = {} if body is None else body["content"]["application/json"]["schema"]
    if "properties" in schema:
        fields = json.loads((await sent(call)).body or b"")
        assert set(fields) == set(schema["properties"])


@every_operation
async def test_the_described_answer_gives_the_promised_type(call: Call) -> None:
    example = described(call).example
    for answer in {b""} if example is None else {json.dumps(example).encode()}:
        result = await call.of(Sdk(RecordingSender(answer, LIVE)))
        assert {type(element) for element in elements(result)} == {call.result}


@every_operation
async def test_an_operation_tells_whether_it_may_be_sent_twice(call: Call) -> None:
    operation = await sent(call)
    assert operation.replay is call.replay
    assert operation.writes == (call.method != "GET" and call.sdk not in {"users.login", "signals.read_bulk"})
    assert operation.done_if_repeated == ({404} if call.method == "DELETE" else set())


@every_operation
def test_the_table_knows_the_statuses_of_success(call: Call) -> None:
    assert set(LIVE.forms[call.id].statuses) == described(call).statuses


def test_the_newest_version_is_the_default() -> None:
    for name in ("signals.write", "signals.read_bulk", "signals.write_bulk"):
        assert LIVE.forms[name] == LIVE.forms[f"{name}@2"]


async def test_names_of_a_bulk_query_follow_the_version() -> None:
    query = SignalQuery(KEY, 0, 1, get_last=True, signal_origin_id=2)
    sender = RecordingSender(b"[]", LIVE)
    await Sdk(sender).signals.read_bulk([query], version=1)
    await Sdk(sender).signals.read_bulk([query])
    first, second = (json.loads(operation.body or b"")[0] for operation in sender.sent)
    assert (first["last_acq"], first["origin_id"]) == (True, 2)
    assert (second["last_acq"], second["signal_origin_id"]) == (True, 2)
    assert not {"get_last"} & {*first, *second}


async def test_readings_of_one_signal_are_inside_data_in_version_2() -> None:
    sender = RecordingSender(dialect=LIVE)
    await Sdk(sender).signals.write(SignalData(KEY, [1], [2.5]))
    await Sdk(sender).signals.write(SignalData(KEY, [1], [2.5]), version=1)
    columns = {"time": [1], "value": [2.5], "type": ["DBL"], "origin": [1]}
    assert [json.loads(operation.body or b"") for operation in sender.sent] == [{"data": columns}, columns]


async def test_a_state_that_starts_now_is_not_created_twice() -> None:
    sender = RecordingSender(b"{}", LIVE)
    await Sdk(sender).sensor_states.create(12, 122, meter_type_id=5)
    await Sdk(sender).sensor_states.create(12, 122, MORNING, meter_type_id=5)
    assert [operation.replay for operation in sender.sent] == [False, True]
    assert "since" not in dict(sender.sent[0].query)


UNSUPPORTED = [
    *(
        (call, "documented")
        for call in LIVE_CALLS
        if call.sdk.startswith("weather.") or call.sdk == "signal_states.patch"
    ),
    *((call, "documented") for call in LIVE_CALLS if call.id.endswith("@2")),
    *((call, "live") for call in CALLS if call.sdk == "tasks.run_graph"),
]


@pytest.mark.parametrize(("call", "dialect"), UNSUPPORTED, ids=str)
async def test_an_operation_the_dialect_does_not_have_is_refused_by_name(call: Call, dialect: str) -> None:
    sender = RecordingSender() if dialect == "documented" else RecordingSender(dialect=LIVE)
    other = "live" if dialect == "documented" else "documented"
    arguments: dict[str, Any] = {"version": 2} if call.id.endswith("@2") else {}
    if call.sdk == "signals.read_bulk":
        arguments["queries"] = [SignalQuery(KEY, 0, 1)]  # its other options would be refused first
    with pytest.raises(UnsupportedOperationError, match=f"dialect='{other}'") as caught:
        await call.of(Sdk(sender), {**call.arguments, **arguments})
    assert sender.sent == []
    assert caught.value.outcome == "not_sent"
    assert caught.value.operation.startswith(call.sdk)
    assert (caught.value.dialect, caught.value.available_in) == (dialect, (other,))
    assert caught.value.clone().operation == caught.value.operation


REFUSED_BY_LIVE: dict[str, dict[str, Any]] = {
    "sensor_states.create": {"meter_type_name": "CX2000-9"},
    "sensor_states.update": {"meter_type_name": "CX2000-9"},
    "meter_types.create": {"meter_type_id": 5},
    "signals.read": {"filters": {"phase": 1}},
}
MISSING_IN_LIVE = {
    "sensors.update": ("name", "sensor_type_id"),
    "meter_types.create": ("meter_type_name", "number_of_phases"),
    "meter_types.delete": ("meter_type_id",),
}
LIVE_BY_METHOD = {call.sdk: call for call in LIVE_CALLS}


@pytest.mark.parametrize("sdk", REFUSED_BY_LIVE)
async def test_an_argument_of_the_other_dialect_is_refused(sdk: str) -> None:
    (field,) = REFUSED_BY_LIVE[sdk]
    sender, call = RecordingSender(dialect=LIVE), LIVE_BY_METHOD[sdk]
    with pytest.raises(InvalidInputError, match="the documented dialect has it") as caught:
        await call.of(Sdk(sender), {**call.arguments, **REFUSED_BY_LIVE[sdk]})
    assert (caught.value.field, sender.sent) == (field, [])


@pytest.mark.parametrize(("sdk", "field"), [(sdk, name) for sdk, names in MISSING_IN_LIVE.items() for name in names])
async def test_what_the_live_service_requires_is_refused_when_it_is_missing(sdk: str, field: str) -> None:
    sender, call = RecordingSender(dialect=LIVE), LIVE_BY_METHOD[sdk]
    kept = {name: value for name, value in call.arguments.items() if name != field}
    needed = {} if sdk == "sensors.update" or field == "meter_type_id" else {field: None}
    with pytest.raises(InvalidInputError) as caught:
        await call.of(Sdk(sender), {**kept, **needed})
    assert (caught.value.field, sender.sent) == (field, [])


LIVE_ARGUMENTS: dict[str, dict[str, Any]] = {
    "sensors.update": {"balance_calculation": True},
    "meter_types.create": {"is_remote": True},
    "meter_types.update": {"prefix_name": "CX"},
    "meter_types.delete": {"meter_type_id": 5},
    "signals.read": {"apply_multiplier": True},
    "sensor_states.create": {"meter_type_id": 5},
    "sensor_states.update": {"meter_type_id": 5},
}


@pytest.mark.parametrize("sdk", LIVE_ARGUMENTS)
async def test_an_argument_of_the_live_service_is_refused_in_the_documented_dialect(sdk: str) -> None:
    (field,) = LIVE_ARGUMENTS[sdk]
    sender, call = RecordingSender(), next(call for call in CALLS if call.sdk == sdk)
    with pytest.raises(InvalidInputError, match="the live dialect has it") as caught:
        await call.of(Sdk(sender), {**call.arguments, **LIVE_ARGUMENTS[sdk]})
    assert (caught.value.field, sender.sent) == (field, [])


async def test_a_bulk_query_with_an_option_the_version_lacks_is_named() -> None:
    sender = RecordingSender(dialect=LIVE)
    query = SignalQuery(KEY, MORNING, EVENING, time_series_type=1)
    with pytest.raises(InvalidInputError, match="the live dialect has no such argument") as caught:
        await Sdk(sender).signals.read_bulk([SignalQuery(KEY, 0, 1), query][1:])
    assert (caught.value.field, sender.sent) == ("queries[0].time_series_type", [])


REFUSED_LIVE_VALUES: dict[str, dict[str, tuple[Any, ...]]] = {
    "sensors.update": {"balance_calculation": ("", [1], float("nan"), {}), "node_id": (-1, 1.5, "7", True)},
    "meter_types.create": {
        "is_remote": (0, "true"), "prefix_name": ("", 5), "default_cap_period": ("", [1], float("inf")),
    },
    "meter_types.update": {"meter_type_id": (-1, None, "5")},
    "meter_types.delete": {"meter_type_id": (-1, 1.5, "5")},
    "signals.read": {"apply_multiplier": (1, "true"), "time_series_type": (-1, "1", 1.5)},
    "sensor_states.create": {"meter_type_id": (-1, "5")},
    "signal_states.patch": {
        "signal_state_id": (-1, None), "value_for_since": ("6", float("nan")), "value_for_till": (True,),
    },
    "weather.find_mid": {"lat": (91, "54", None, float("nan")), "lon": (-181, None)},
    "weather.read": {"sensor_mid": (-1, "77", None), "signal_type_moid": (1.5, None), "since": (None, EVENING + 1),
                     "delta_t": (0,), "get_last": (1,), "variant": ("", [1])},
    "weather.read_at": {"lat": (91, None), "lon": (181, None), "till": (None,), "raw": ("yes",)},
}  # fmt: skip


@pytest.mark.parametrize(
    ("sdk", "field", "value"),
    [
        (sdk, field, value)
        for sdk, fields in REFUSED_LIVE_VALUES.items()
        for field, values in fields.items()
        for value in values
    ],
)
async def test_a_bad_value_is_refused_and_nothing_is_sent(sdk: str, field: str, value: object) -> None:
    sender, call = RecordingSender(dialect=LIVE), LIVE_BY_METHOD[sdk]
    with pytest.raises(InvalidInputError) as caught:
        await call.of(Sdk(sender), {**call.arguments, field: value})
    assert sender.sent == []
    assert caught.value.field == field


@pytest.mark.parametrize("sdk", ["signal_states.patch", "sensors.update"])
async def test_a_change_that_changes_nothing_is_refused(sdk: str) -> None:
    sender, call = RecordingSender(dialect=LIVE), LIVE_BY_METHOD[sdk]
    ids = {
        name: value for name, value in call.arguments.items() if name in {"signal_state_id", "client_cid", "sensor_mid"}
    }
    with pytest.raises(InvalidInputError, match="nothing to change"):
        await call.of(Sdk(sender), ids)
    assert sender.sent == []


async def test_degrees_in_a_path_have_a_decimal_point_and_no_exponent() -> None:
    sender = RecordingSender(dialect=LIVE)
    for lat, lon in ((54, -18), (0.00000022, 18.63)):
        await Sdk(sender).weather.read_at(lat, lon, 32, 0, 1)
    assert [operation.target for operation in sender.sent] == [
        "/weather/external/54.0/-18.0/32/data",
        "/weather/external/0.00000022/18.63/32/data",
    ]
