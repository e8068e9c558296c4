"""`besmart sensor-states`: which meter was mounted when."""

from __future__ import annotations

from collections.abc import Sequence

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Flag, moment
from besmart_async.cli.terminal.output import stamp, write, write_json, write_table
from besmart_async.models.keys import SensorKey, SignalKey
from besmart_async.models.states import SensorState


def list_(sensor: str, /, *, json: Flag = False) -> None:
    """List the states of a sensor, or only those with a certain signal.

    Parameters
    ----------
    sensor
        The sensor, such as 12.122, or one of its signals, such as 12.122.32.
    json
        Print JSON.
    """
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
    sensor: str,
    /,
    *,
    since: str,
    till: str | None = None,
    time_zone: str | None = None,
    info: str | None = None,
    meter_eid: str | None = None,
    meter_type_name: str | None = None,
    json: Flag = False,
) -> None:
    """Create a state of a sensor.

    Parameters
    ----------
    sensor
        The sensor, such as 12.122.
    since
        Start: ISO 8601 such as 2020-01-01T00:00:00Z, or unix milliseconds.
    till
        End, in the same forms; open unless given.
    time_zone
        Zone of times without an offset, such as Europe/Warsaw.
    info
        Additional information: a JSON object or any text.
    meter_eid
        External id of the meter.
    meter_type_name
        Type of the meter; besmart meter-types list names them.
    json
        Print JSON.
    """
    key = SensorKey.parse(sensor)
    start = moment("--since", since, time_zone)
    end = None if till is None else moment("--till", till, time_zone)
    made = call(
        lambda client: client.sensor_states.create(
            key.client_cid,
            key.sensor_mid,
            start,
            till=end,
            info=info,
            meter_eid=meter_eid,
            meter_type_name=meter_type_name,
        )
    )
    if json:
        write_json(made)
    else:
        _write_states([made])


def update(
    sensor_state_id: int,
    /,
    *,
    since: str | None = None,
    till: str | None = None,
    time_zone: str | None = None,
    info: str | None = None,
    meter_eid: str | None = None,
    meter_type_name: str | None = None,
) -> None:
    """Change a state; what is not given stays as it is.

    Parameters
    ----------
    sensor_state_id
        The state; besmart sensor-states list shows the ids.
    since
        Start: ISO 8601 such as 2020-01-01T00:00:00Z, or unix milliseconds.
    till
        End, in the same forms.
    time_zone
        Zone of times without an offset, such as Europe/Warsaw.
    info
        Additional information: a JSON object or any text.
    meter_eid
        External id of the meter.
    meter_type_name
        Type of the meter.
    """
    start = None if since is None else moment("--since", since, time_zone)
    end = None if till is None else moment("--till", till, time_zone)
    call(
        lambda client: client.sensor_states.update(
            sensor_state_id, since=start, till=end, info=info, meter_eid=meter_eid, meter_type_name=meter_type_name
        )
    )
    write(f"changed sensor state {sensor_state_id}")


def delete(sensor_state_id: int, /, *, yes: Flag = False) -> None:
    """Delete a state.

    Parameters
    ----------
    sensor_state_id
        The state; besmart sensor-states list shows the ids.
    yes
        Do not ask.
    """
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
