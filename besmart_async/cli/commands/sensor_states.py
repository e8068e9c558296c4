"""`besmart sensor-states`: which meter was mounted at a sensor, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Info, Json, Sensor, Start, Yes, Zone, moment
from besmart_async.cli.terminal.output import stamp, write, write_json, write_table
from besmart_async.models.keys import SensorKey, SignalKey
from besmart_async.models.states import SensorState

_SensorOrSignal = Annotated[str, Parameter(help="A sensor such as 12.122, or a signal of it such as 12.122.32.")]
_StateId = Annotated[int, Parameter(help="The state; besmart sensor-states list shows the ids.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class StateFields:
    """Fields of a sensor state that may be left out."""

    till: Annotated[str | None, Parameter(help="End, in the same forms; open if it is not given.")] = None
    time_zone: Zone = None
    info: Info = None

    meter_eid: str | None = None
    """External id of the meter."""

    meter_type_name: str | None = None
    """Type of the meter, by name (dialect documented); besmart meter-types list names them."""

    meter_type_id: int | None = None
    """Type of the meter, by id (dialect live)."""

    @property
    def till_ms(self) -> float | None:
        """The end of the state, UTC unix milliseconds."""
        return None if self.till is None else moment("--till", self.till, self.time_zone)


def list_(sensor: _SensorOrSignal, /, *, json: Json = False) -> None:
    """List the states of a sensor, or only those with a certain signal."""
    if sensor.count(".") > 1:
        signal = SignalKey.parse(sensor)
        found = call(
            lambda client: client.sensor_states.list_for_signal(
                signal.client_cid, signal.sensor_mid, signal.signal_type_moid
            )
        )
    else:
        key = SensorKey.parse(sensor)
        found = call(lambda client: client.sensor_states.list(key.client_cid, key.sensor_mid))
    if json:
        write_json(found)
    else:
        _write_states(found)


def create(
    sensor: Sensor,
    /,
    *,
    since: Start = None,
    fields: StateFields = StateFields(),
    json: Json = False,
) -> None:
    """Create a state of a sensor. Its start is required, but not in the dialect live."""
    key = SensorKey.parse(sensor)
    start, end = None if since is None else moment("--since", since, fields.time_zone), fields.till_ms
    made = call(
        lambda client: client.sensor_states.create(
            key.client_cid,
            key.sensor_mid,
            start,
            till=end,
            info=fields.info,
            meter_eid=fields.meter_eid,
            meter_type_name=fields.meter_type_name,
            meter_type_id=fields.meter_type_id,
        )
    )
    if json:
        write_json(made)
    else:
        _write_states([made])


def update(
    sensor_state_id: _StateId,
    /,
    *,
    since: Start = None,
    fields: StateFields = StateFields(),
) -> None:
    """Change a state; fields that are not given stay as they are."""
    start, end = None if since is None else moment("--since", since, fields.time_zone), fields.till_ms
    call(
        lambda client: client.sensor_states.update(
            sensor_state_id,
            since=start,
            till=end,
            info=fields.info,
            meter_eid=fields.meter_eid,
            meter_type_name=fields.meter_type_name,
            meter_type_id=fields.meter_type_id,
        )
    )
    write(f"changed sensor state {sensor_state_id}")


def delete(sensor_state_id: _StateId, /, *, yes: Yes = False) -> None:
    """Delete a state."""
    confirm(f"Delete sensor state {sensor_state_id} with its signal states?", yes=yes)
    call(lambda client: client.sensor_states.delete(sensor_state_id))
    write(f"deleted sensor state {sensor_state_id}")


def _write_states(states: Sequence[SensorState]) -> None:
    write_table(
        ("sensor_state_id", "since", "till", "meter_eid", "meter_type_name", "signals (state id)"),
        (
            (
                state.sensor_state_id,
                stamp(state.since),
                stamp(state.till),
                state.meter_eid,
                state.meter_type_name,
                ", ".join(f"{one.signal_type_moid} ({one.signal_state_id})" for one in state.signal_states),
            )
            for state in states
        ),
    )
