"""Every operation of the dialect `live` once, each with all its arguments; the ids are those of `besmart-live.yaml`."""

from __future__ import annotations

from types import NoneType
from typing import Any

import attrs

from besmart_async import SensorState, SignalData, SignalKey, SignalQuery, SignalState
from tests.resources.calls import CALLS, EVENING, INFO, KEY, MORNING, READINGS, TEXT, Call

_BY_METHOD = {call.sdk: call for call in CALLS}
_QUERY = SignalQuery(
    SignalKey(1, 1, 1), MORNING, EVENING, get_last=True, delta_t=60, raw=False, output_unit_id=1, signal_origin_id=1,
    filters={"phase": 1}, is_chart=False,
)  # fmt: skip
QUERY_V2 = attrs.evolve(_QUERY, apply_multiplier=True)
_METER_TYPE = {
    "client_cid": 12, "meter_type_name": TEXT, "number_of_phases": 3, "description": "Description of meter type",
    "is_ami": True, "is_balance": False, "is_dcu": False, "is_remote": True, "prefix_name": "CX",
    "default_cap_period": 15,
}  # fmt: skip
_METER = {"info": INFO, "meter_eid": "135620", "meter_type_id": 5}
_OPTIONS: dict[str, Any] = {
    "since": MORNING + 0.5, "till": EVENING, "get_last": True, "delta_t": 60, "raw": False, "output_unit_id": 1,
    "signal_origin_id": 2, "is_chart": False,
}  # fmt: skip


def _like(sdk: str, **changes: Any) -> Call:
    """The call of the document, at the place where the live service has it."""
    call = _BY_METHOD[sdk]
    arguments = changes.pop("arguments", call.arguments)
    return attrs.evolve(call, **{"id": sdk, "arguments": arguments, **changes})


_DATA, _STATE = "/sensors/signals/data", "/sensors/states/signals/{signal_state_id}"
_METERS = "/clients/{client_cid}/meters"

LIVE_CALLS = (
    _like("users.login"),
    _like("users.refresh"),
    _like("sensors.types"),
    _like("sensors.create"),
    _like("sensors.get"),
    _like(
        "sensors.update",
        arguments={**_BY_METHOD["sensors.update"].arguments, "balance_calculation": True, "node_id": 7},
    ),
    _like("sensors.delete"),
    _like("meter_types.list", path=_METERS),
    _like("meter_types.create", path=_METERS, arguments=_METER_TYPE),
    _like("meter_types.update", path=f"{_METERS}/{{meter_type_id}}", arguments=_METER_TYPE | {"meter_type_id": 5}),
    _like(
        "meter_types.delete", path=f"{_METERS}/{{meter_type_id}}", arguments={"client_cid": 12, "meter_type_id": 5}
    ),
    _like("signals.types"),
    _like("signals.read", arguments={"key": KEY, **_OPTIONS, "apply_multiplier": True, "time_series_type": 1}),
    _like("signals.write", id="signals.write@1", arguments={"data": READINGS, "version": 1}),
    _like(
        "signals.write", id="signals.write@2", path=f"{_BY_METHOD['signals.write'].path}/v2",
        arguments={"data": READINGS},
    ),
    _like("signals.read_bulk", id="signals.read_bulk@1", arguments={"queries": [_QUERY], "version": 1}),
    _like("signals.read_bulk", id="signals.read_bulk@2", path=f"{_DATA}/v2", arguments={"queries": [QUERY_V2]}),
    _like("signals.write_bulk", id="signals.write_bulk@1", arguments={"items": [READINGS], "version": 1}),
    _like("signals.write_bulk", id="signals.write_bulk@2", path=f"{_DATA}/v2", arguments={"items": [READINGS]}),
    _like("sensor_states.list"),
    _like("sensor_states.list_for_signal"),
    _like(
        "sensor_states.create", result=SensorState,
        arguments=_METER | {"client_cid": 12, "sensor_mid": 122, "since": MORNING, "till": EVENING + 0.25},
    ),
    _like(
        "sensor_states.update",
        arguments=_METER | {"sensor_state_id": 21310, "since": MORNING, "till": EVENING},
    ),
    _like("sensor_states.delete"),
    _like("signal_states.create", result=SignalState),
    _like("signal_states.update"),
    Call(
        sdk="signal_states.patch", id="signal_states.patch", method="PATCH", path=_STATE, replay=True,
        arguments={"signal_state_id": 798649, "value_for_since": 6, "value_for_till": 120.5}, result=NoneType,
        needs_a_change=True,
    ),
    _like("signal_states.delete"),
    _like("tasks.run_graph_by_name"),
    Call(
        sdk="weather.find_mid", id="weather.find_mid", method="GET", path="/weather/external/find/mid", replay=True,
        arguments={"lat": 54.38, "lon": 18.63}, result=int,
    ),
    Call(
        sdk="weather.read", id="weather.read", method="GET",
        path="/weather/external/{sensor_mid}/signals/{signal_type_moid}/data", replay=True,
        arguments={"sensor_mid": 77, "signal_type_moid": 32, **_OPTIONS, "variant": "best"}, result=SignalData,
    ),
    Call(
        sdk="weather.read_at", id="weather.read_at", method="GET",
        path="/weather/external/{lat}/{lon}/{signal_type_moid}/data", replay=True,
        arguments={"lat": 54.38, "lon": 18.63, "signal_type_moid": 32, **_OPTIONS, "variant": 1}, result=SignalData,
    ),
)  # fmt: skip
