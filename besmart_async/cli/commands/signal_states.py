"""`besmart signal-states`: register values at the ends of sensor states."""

from __future__ import annotations

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Flag
from besmart_async.cli.terminal.output import write, write_fields, write_json


def create(
    sensor_state_id: int,
    signal_type_moid: int,
    /,
    *,
    value_for_since: float | None = None,
    value_for_till: float | None = None,
    info: str | None = None,
    json: Flag = False,
) -> None:
    """Create a signal state; besmart sensor-states list shows what there is.

    Parameters
    ----------
    sensor_state_id
        The sensor state.
    signal_type_moid
        The signal type; besmart signals types lists them.
    value_for_since
        The register's value at the start of the state, in the signal's unit.
    value_for_till
        Its value at the end.
    info
        Additional information: a JSON object or any text.
    json
        Print JSON.
    """
    made = call(
        lambda client: client.signal_states.create(
            sensor_state_id,
            signal_type_moid,
            value_for_since=value_for_since,
            value_for_till=value_for_till,
            info=info,
        )
    )
    (write_json if json else write_fields)(made)


def update(
    signal_state_id: int,
    /,
    *,
    value_for_since: float | None = None,
    value_for_till: float | None = None,
    info: str | None = None,
) -> None:
    """Change a signal state; what is not given stays as it is.

    Parameters
    ----------
    signal_state_id
        The signal state; besmart sensor-states list shows the ids.
    value_for_since
        The register's value at the start of the state, in the signal's unit.
    value_for_till
        Its value at the end.
    info
        Additional information: a JSON object or any text.
    """
    call(
        lambda client: client.signal_states.update(
            signal_state_id, value_for_since=value_for_since, value_for_till=value_for_till, info=info
        )
    )
    write(f"changed signal state {signal_state_id}")


def delete(signal_state_id: int, /, *, yes: Flag = False) -> None:
    """Delete a signal state.

    Parameters
    ----------
    signal_state_id
        The signal state; besmart sensor-states list shows the ids.
    yes
        Do not ask.
    """
    confirm(f"Delete signal state {signal_state_id}?", yes=yes)
    call(lambda client: client.signal_states.delete(signal_state_id))
    write(f"deleted signal state {signal_state_id}")
