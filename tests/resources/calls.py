"""Every operation of the API once: its SDK method, what it is on the wire, and a call with all its arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import NoneType
from typing import Any, TypeVar

import attrs

from besmart_async import (
    GraphResult,
    MeterType,
    Response,
    Sensor,
    SensorKey,
    SensorState,
    SensorType,
    SignalData,
    SignalKey,
    SignalQuery,
    SignalState,
    SignalType,
    Token,
)
from besmart_async.resources import MeterTypes, Sensors, SensorStates, Signals, SignalStates, Tasks, Users, Weather
from besmart_async.resources.users import login_operation, refresh_operation
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import Operation

T = TypeVar("T")

KEY = SignalKey(12, 122, 32)
MORNING = 1_577_836_800_000
EVENING = 1_580_515_200_000
READINGS = SignalData(KEY, [MORNING], [10.01], unit="kW.h")
QUERY = SignalQuery(
    SignalKey(1, 1, 1), MORNING, EVENING, get_last=True, delta_t=60, raw=False, output_unit_id=1, signal_origin_id=1,
    filters={}, is_chart=False,
)  # fmt: skip
TEXT = "zażółć & = ? / # %20 +"
INFO = {"PPECODE": "PL_ZEBB_2006000099", "METER_DEV": 936692255, "nested": {"ą": [1, None, True]}}


@attrs.frozen(kw_only=True)
class Call:
    """One operation.

    Attributes:
        sdk: namespace and method of the client.
        id: the operation's id in the document.
        method: HTTP method.
        path: the document's path.
        replay: whether it is sent again after a lost answer.
        arguments: all arguments of the SDK method.
        body: the arguments that make the body.
        result: type of the result, or of its elements.
        needs_a_change: whether it is refused with only the required arguments, since they change nothing.
    """

    sdk: str
    id: str
    method: str
    path: str
    replay: bool
    arguments: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    body: frozenset[str] = frozenset()
    result: type
    needs_a_change: bool = False

    def __str__(self) -> str:
        return self.sdk

    def of(self, client: Any, arguments: Mapping[str, Any] | None = None) -> Awaitable[Any]:
        """Make the call on a client, or on what stands for one."""
        namespace, method = self.sdk.split(".")
        made: Awaitable[Any] = self.method_of(getattr(client, namespace), method)(
            **(self.arguments if arguments is None else arguments)
        )
        return made

    @staticmethod
    def method_of(namespace: object, method: str) -> Callable[..., Awaitable[Any]]:
        found: Callable[..., Awaitable[Any]] = getattr(namespace, method)
        return found


class RecordingSender:
    """Stands in for the transport: keeps each operation and decodes a fixed answer."""

    def __init__(self, answer: bytes = b"", dialect: Dialect = DOCUMENTED) -> None:
        self.sent: list[Operation[Any]] = []
        self.answer = answer
        self.dialect = dialect

    async def send(self, operation: Operation[T], *, attempts: int | None = None) -> T:
        self.sent.append(operation)
        return operation.decode(Response(200, {}, self.answer))

    async def login(self) -> Token:
        return await self.send(login_operation("login", "password", self.dialect))

    async def refresh(self) -> Token:
        return await self.send(refresh_operation(self.dialect))


class Sdk:
    """The client's namespaces over a sender."""

    def __init__(self, sender: RecordingSender) -> None:
        dialect = sender.dialect
        self.users = Users(sender)
        self.sensors = Sensors(sender, dialect)
        self.meter_types = MeterTypes(sender, dialect)
        self.signals = Signals(sender, dialect)
        self.sensor_states = SensorStates(sender, dialect)
        self.signal_states = SignalStates(sender, dialect)
        self.tasks = Tasks(sender, dialect)
        self.weather = Weather(sender, dialect)


_METER_TYPE = {
    "client_cid": 12,
    "meter_type_name": TEXT,
    "meter_type_id": 1206095,
    "number_of_phases": 3,
    "description": "Description of meter type",
    "is_ami": True,
    "is_balance": False,
    "is_dcu": False,
}
_SENSOR = {
    "name": TEXT,
    "sensor_type_id": 12,
    "sensor_eid": "48003752B205900000",
    "lat": 53.13,
    "lon": -0.00000022,
    "info": INFO,
    "uncertain": True,
    "negligible": False,
}
_METER = {"info": INFO, "meter_eid": "135620", "meter_type_name": "CX2000-9"}
_VALUES = {"value_for_since": 6, "value_for_till": 120.5, "info": "any text"}
_RUN = {"task_priority": 5, "task_async": False, "since": MORNING + 0.5, "till": EVENING}

CALLS = (
    Call(sdk="users.login", id="users.get_token", method="POST", path="/users/token", replay=True, result=Token),
    Call(sdk="users.refresh", id="users.get_token_info", method="GET", path="/users/token", replay=True, result=Token),
    Call(
        sdk="sensors.types", id="sensors.get_types", method="GET", path="/sensors/types", replay=True,
        result=SensorType,
    ),
    Call(
        sdk="sensors.create", id="sensors.post", method="POST", path="/sensors", replay=False,
        arguments=_SENSOR | {"client_cid": 12}, result=SensorKey,
    ),
    Call(
        sdk="sensors.get", id="sensors.get_id", method="GET", path="/sensors/{client_cid}.{sensor_mid}", replay=True,
        arguments={"client_cid": 12, "sensor_mid": 122}, result=Sensor,
    ),
    Call(
        sdk="sensors.update", id="sensors.put_id", method="PUT", path="/sensors/{client_cid}.{sensor_mid}",
        replay=True, arguments=_SENSOR | {"client_cid": 12, "sensor_mid": 122, "comments": "Licznik do likwidacji."},
        result=NoneType, needs_a_change=True,
    ),
    Call(
        sdk="sensors.delete", id="sensors.delete_id", method="DELETE", path="/sensors/{client_cid}.{sensor_mid}",
        replay=True, arguments={"client_cid": 12, "sensor_mid": 122}, result=NoneType,
    ),
    Call(
        sdk="meter_types.list", id="sensors.get_meters", method="GET", path="/sensors/{client_cid}/meters",
        replay=True, arguments={"client_cid": 12}, result=MeterType,
    ),
    Call(
        sdk="meter_types.create", id="sensors.post_meter", method="POST", path="/sensors/{client_cid}/meters",
        replay=False, arguments=_METER_TYPE, result=NoneType,
    ),
    Call(
        sdk="meter_types.update", id="sensors.put_meter", method="PUT", path="/sensors/{client_cid}/meters",
        replay=True, arguments=_METER_TYPE, result=NoneType,
    ),
    Call(
        sdk="meter_types.delete", id="sensors.delete_meter", method="DELETE", path="/sensors/{client_cid}/meters",
        replay=True, arguments={"client_cid": 12, "confirm": True}, result=NoneType,
    ),
    Call(
        sdk="signals.types", id="sensors.get_signals_types", method="GET", path="/sensors/signals/types", replay=True,
        result=SignalType,
    ),
    Call(
        sdk="signals.read", id="sensors.get_id_signals_id_data", method="GET",
        path="/sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data", replay=True,
        arguments={
            "key": KEY, "since": MORNING + 0.5, "till": EVENING, "get_last": True, "delta_t": 60, "raw": False,
            "output_unit_id": 1, "signal_origin_id": 2, "filters": {"phase": 1}, "is_chart": False,
        },
        result=SignalData,
    ),
    Call(
        sdk="signals.write", id="sensors.put_id_signals_id_data", method="PUT",
        path="/sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data", replay=True,
        arguments={"data": READINGS}, body=frozenset({"data"}), result=NoneType,
    ),
    Call(
        sdk="signals.read_bulk", id="sensors.post_signals_data", method="POST", path="/sensors/signals/data",
        replay=True, arguments={"queries": [QUERY]}, body=frozenset({"queries"}), result=SignalData,
    ),
    Call(
        sdk="signals.write_bulk", id="sensors.put_signals_data", method="PUT", path="/sensors/signals/data",
        replay=True, arguments={"items": [READINGS]}, body=frozenset({"items"}), result=NoneType,
    ),
    Call(
        sdk="sensor_states.list", id="sensors.get_states", method="GET", path="/sensors/states", replay=True,
        arguments={"client_cid": 12, "sensor_mid": 122}, result=SensorState,
    ),
    Call(
        sdk="sensor_states.list_for_signal", id="sensors.get_states_signals", method="GET",
        path="/sensors/states/signals", replay=True,
        arguments={"client_cid": 12, "sensor_mid": 122, "signal_type_moid": 32}, result=SensorState,
    ),
    Call(
        sdk="sensor_states.create", id="sensors.post_states", method="POST", path="/sensors/states", replay=True,
        arguments=_METER | {"client_cid": 12, "sensor_mid": 122, "since": MORNING, "till": EVENING + 0.25},
        result=SensorState,
    ),
    Call(
        sdk="sensor_states.update", id="sensors.put_states_id", method="PUT",
        path="/sensors/states/{sensor_state_id}", replay=True,
        arguments=_METER | {"sensor_state_id": 21310, "since": MORNING, "till": EVENING}, result=NoneType,
        needs_a_change=True,
    ),
    Call(
        sdk="sensor_states.delete", id="sensors.delete_states_id", method="DELETE",
        path="/sensors/states/{sensor_state_id}", replay=True, arguments={"sensor_state_id": 21310}, result=NoneType,
    ),
    Call(
        sdk="signal_states.create", id="sensors.post_states_id_signals", method="POST",
        path="/sensors/states/{sensor_state_id}/signals", replay=False,
        arguments=_VALUES | {"sensor_state_id": 7986, "signal_type_moid": 32}, result=SignalState,
    ),
    Call(
        sdk="signal_states.update", id="sensors.put_states_signals_id", method="PUT",
        path="/sensors/states/signals/{signal_state_id}", replay=True,
        arguments=_VALUES | {"signal_state_id": 798649}, result=NoneType, needs_a_change=True,
    ),
    Call(
        sdk="signal_states.delete", id="sensors.delete_states_signals_id", method="DELETE",
        path="/sensors/states/signals/{signal_state_id}", replay=True, arguments={"signal_state_id": 798649},
        result=NoneType,
    ),
    Call(
        sdk="tasks.run_graph", id="tasks.post_graphs_run", method="POST", path="/tasks/graphs/run", replay=False,
        arguments=_RUN | {"graph": {"nodes": [], "edges": []}}, body=frozenset({"graph"}), result=GraphResult,
    ),
    Call(
        sdk="tasks.run_graph_by_name", id="tasks.post_graphs_run_name", method="POST", path="/tasks/graphs/run/name",
        replay=False, arguments=_RUN | {"graph_name": TEXT, "params": [{"client_cid": 0}]},
        body=frozenset({"params"}), result=GraphResult,
    ),
)  # fmt: skip

LIVE_ONLY: dict[str, frozenset[str]] = {
    "sensors.update": frozenset({"balance_calculation", "node_id"}),
    "meter_types.create": frozenset({"is_remote", "prefix_name", "default_cap_period"}),
    "meter_types.update": frozenset({"is_remote", "prefix_name", "default_cap_period"}),
    "meter_types.delete": frozenset({"meter_type_id"}),
    "signals.read": frozenset({"apply_multiplier", "time_series_type"}),
    "signals.write": frozenset({"version"}),
    "signals.read_bulk": frozenset({"version"}),
    "signals.write_bulk": frozenset({"version"}),
    "sensor_states.create": frozenset({"meter_type_id"}),
    "sensor_states.update": frozenset({"meter_type_id"}),
}
"""Arguments of the SDK's methods that the document does not have."""

OPTIONAL_IN_LIVE: dict[str, frozenset[str]] = {
    "meter_types.create": frozenset({"meter_type_id"}),
    "meter_types.delete": frozenset({"confirm"}),
    "sensor_states.create": frozenset({"since"}),
}
"""Arguments that the document requires and the live service does not: each dialect refuses on its own what it needs."""


def elements(result: object) -> list[Any]:
    """What a call gave, as a list: its elements, or the one thing it is."""
    return result if isinstance(result, list) else [result]
