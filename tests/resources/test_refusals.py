"""What each method refuses on the spot: the field and value are named, and nothing is sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest

from besmart_async import InvalidInputError, SensorKey, SignalData, SignalKey, SignalQuery
from tests.resources.calls import CALLS, EVENING, KEY, MORNING, QUERY, READINGS, Call, RecordingSender, Sdk

BY_METHOD = {call.sdk: call for call in CALLS}
NAIVE = datetime(2020, 1, 1)
SURROGATE = "half a pair: \ud800"
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]

IDS = (-1, 2**63, 1.0, 1.5, "12", True, np.True_, np.array(5.5), None, float("nan"), [1], SensorKey(1, 2))
TEXTS = ("", 5, b"bytes", SURROGATE, ["a"])
FLAGS = (0, 1, "true", np.True_)
NUMBERS = (float("nan"), float("inf"), -float("inf"), True, "6", 10**400, np.float64("nan"), 1j, [1])
DEGREES = (*NUMBERS, 1000, -180.0000001)
TIMES = (NAIVE, float("nan"), float("inf"), True, "2020-01-01", np.datetime64("NaT", "ms"), 10**18, -(10**17), [1], 1j)
OBJECTS = ("", "{", "[]", "text", "null", "NaN", 5, [1], b"{}", {1: 2}, {"a": float("nan")}, {"a": {1}}, SURROGATE,
           {"a": object()}, {"a": np.datetime64("2020", "ns")}, {SURROGATE: 1}, {"a": [SURROGATE]}, {"a": 2**64},
           {"a": DEEP})  # fmt: skip
INFORMATION = ("", 5, [1], b"{}", {1: 2}, {"a": float("nan")}, SURROGATE, {"a": DEEP})
SIGNALS = (None, "12.122.32", (12, 122, 32), SensorKey(12, 122))

REFUSED: dict[str, dict[str, tuple[Any, ...]]] = {
    "sensors.create": {
        "name": (*TEXTS, None), "sensor_type_id": IDS, "client_cid": IDS, "sensor_eid": TEXTS,
        "lat": (*DEGREES, 90.001), "lon": DEGREES, "info": OBJECTS, "uncertain": FLAGS, "negligible": FLAGS,
    },
    "sensors.get": {"client_cid": IDS, "sensor_mid": IDS},
    "sensors.update": {
        "client_cid": IDS, "sensor_mid": IDS, "name": TEXTS, "sensor_type_id": IDS[:6], "sensor_eid": TEXTS,
        "lat": DEGREES, "lon": DEGREES, "info": OBJECTS, "comments": TEXTS, "uncertain": FLAGS, "negligible": FLAGS,
    },
    "sensors.delete": {"client_cid": IDS, "sensor_mid": IDS},
    "meter_types.list": {"client_cid": IDS},
    "meter_types.create": {
        "client_cid": IDS, "meter_type_name": (*TEXTS, None), "meter_type_id": IDS, "number_of_phases": IDS,
        "description": TEXTS, "is_ami": FLAGS, "is_balance": FLAGS, "is_dcu": FLAGS,
    },
    "meter_types.update": {
        "client_cid": IDS, "meter_type_name": (*TEXTS, None), "meter_type_id": IDS, "number_of_phases": IDS,
        "description": TEXTS, "is_ami": FLAGS, "is_balance": FLAGS, "is_dcu": FLAGS,
    },
    "meter_types.delete": {"client_cid": IDS, "confirm": (False, None, 1, "yes")},
    "signals.read": {
        "key": SIGNALS, "since": (*TIMES, None, EVENING + 1), "till": (*TIMES, None), "get_last": FLAGS,
        "delta_t": (*IDS[:8], 0), "raw": FLAGS, "output_unit_id": IDS[:8], "signal_origin_id": IDS[:8],
        "filters": OBJECTS, "is_chart": FLAGS,
    },
    "sensor_states.list": {"client_cid": IDS, "sensor_mid": IDS},
    "sensor_states.list_for_signal": {"client_cid": IDS, "sensor_mid": IDS, "signal_type_moid": IDS},
    "sensor_states.create": {
        "client_cid": IDS, "sensor_mid": IDS, "since": (*TIMES, None, EVENING + 1), "till": TIMES,
        "info": INFORMATION, "meter_eid": TEXTS, "meter_type_name": TEXTS,
    },
    "sensor_states.update": {
        "sensor_state_id": IDS, "since": (*TIMES, EVENING, MORNING + 0.5), "till": (*TIMES, MORNING + 0.5),
        "info": INFORMATION, "meter_eid": TEXTS, "meter_type_name": TEXTS,
    },
    "sensor_states.delete": {"sensor_state_id": IDS},
    "signal_states.create": {
        "sensor_state_id": IDS, "signal_type_moid": IDS, "value_for_since": NUMBERS, "value_for_till": NUMBERS,
        "info": INFORMATION,
    },
    "signal_states.update": {
        "signal_state_id": IDS, "value_for_since": NUMBERS, "value_for_till": NUMBERS, "info": INFORMATION,
    },
    "signal_states.delete": {"signal_state_id": IDS},
    "tasks.run_graph": {
        "graph": (*OBJECTS, None), "task_priority": IDS[:8], "task_async": FLAGS, "since": (*TIMES, EVENING + 1),
        "till": TIMES,
    },
    "tasks.run_graph_by_name": {
        "graph_name": (*TEXTS, None), "params": ("", "{", "5", "null", 5, None, {1}, [float("nan")], [object()], DEEP),
        "task_priority": IDS[:8], "task_async": FLAGS, "since": (*TIMES, EVENING + 1), "till": TIMES,
    },
    "signals.write": {"data": (None, [1], KEY, SignalData(KEY, [], []))},
    "signals.read_bulk": {"queries": ([KEY], [QUERY, "x"], [QUERY, QUERY], QUERY, None, 5)},
    "signals.write_bulk": {"items": ([], [None], [READINGS, KEY], [SignalData(KEY, [], [])], READINGS, None, 5)},
}  # fmt: skip

CASES = [
    pytest.param(BY_METHOD[sdk], field, value, id=f"{sdk}-{field}-{number}")
    for sdk, fields in REFUSED.items()
    for field, values in fields.items()
    for number, value in enumerate(values)
]


def test_every_argument_of_every_method_is_in_the_table() -> None:
    for call in CALLS:
        assert set(REFUSED.get(call.sdk, {})) == set(call.arguments), call.sdk


@pytest.mark.parametrize(("call", "field", "value"), CASES)
async def test_a_bad_argument_is_refused_and_nothing_is_sent(call: Call, field: str, value: object) -> None:
    sender = RecordingSender()
    with pytest.raises(InvalidInputError) as caught:
        await call.of(Sdk(sender), {**call.arguments, field: value})
    assert sender.sent == []
    assert caught.value.outcome == "not_sent"
    named = caught.value.field
    assert named.partition("[")[0].partition(".")[0] == field or {named, field} <= {"since", "till"}
    assert str(caught.value).startswith(f"{named}=")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.float64(53.5), "53.5"),
        (np.float32(0.5), "0.5"),
        (np.int64(6), "6"),
        (np.uint8(7), "7"),
        (-0.0, "-0.0"),
        (5e-324, "0." + "0" * 323 + "5"),
        (1e308, "1" + "0" * 308),
        (2**63 - 1, "9223372036854775807"),
        (6, "6"),
    ],
)
async def test_a_number_is_written_out_without_an_exponent(value: Any, sent: str) -> None:
    sender = RecordingSender()
    await Sdk(sender).signal_states.update(1, value_for_till=value)
    assert sender.sent[0].query == (("value_for_till", sent),)


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        (MORNING, "1577836800000"),
        (float(MORNING), "1577836800000"),
        (MORNING + 0.5, "1577836800000.5"),
        (np.int64(MORNING), "1577836800000"),
        (np.datetime64("2020-01-01"), "1577836800000"),
        (np.datetime64("2020-01-01T00:00:00.000500"), "1577836800000.5"),
        (datetime.fromisoformat("2020-01-01T01:00+01:00"), "1577836800000"),
        (datetime.fromisoformat("2020-01-01T00:00:00.000001Z"), "1577836800000.001"),
        (0, "0"),
        (-1, "-1"),
        (-0.0, "0"),
    ],
)
async def test_a_moment_is_written_in_milliseconds(moment: Any, sent: str) -> None:
    sender = RecordingSender(b"[]")
    await Sdk(sender).signals.read(KEY, moment, EVENING)
    assert dict(sender.sent[0].query)["since"] == sent


async def test_ids_from_numpy_are_as_good_as_integers() -> None:
    sender = RecordingSender(b"[]")
    sdk = Sdk(sender)
    ids: list[Any] = [np.int32(12), np.uint64(122), np.int64(32)]
    minutes: Any = np.int16(60)
    await sdk.signals.read(SignalKey(*ids), 0, 1, delta_t=minutes)
    assert sender.sent[0].target == "/sensors/12.122/signals/32/data"
    await sdk.signals.read_bulk([SignalQuery(KEY, 0, 1, None, minutes, None, *ids[:2])])
    assert b'"delta_t":60,"output_unit_id":12,"signal_origin_id":122' in (sender.sent[1].body or b"")


async def test_no_queries_send_nothing() -> None:
    sender = RecordingSender()
    assert await Sdk(sender).signals.read_bulk([]) == []
    assert sender.sent == []
