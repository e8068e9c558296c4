"""`besmart signal-states`: register values at the start and end of sensor states."""

from __future__ import annotations

from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Info, Json, Yes
from besmart_async.cli.terminal.output import write, write_fields, write_json

_StateId = Annotated[int, Parameter(help="The signal state; besmart sensor-states list shows the ids.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SignalStateFields:
    """Fields of a signal state."""

    value_for_since: float | None = None
    """Value of the register at the start of the state, in the unit of the signal."""

    value_for_till: float | None = None
    """Its value at the end."""

    info: Info = None


def create(
    sensor_state_id: Annotated[int, Parameter(help="The sensor state.")],
    signal_type_moid: Annotated[int, Parameter(help="The signal type; besmart signals types lists them.")],
    /,
    *,
    fields: SignalStateFields = SignalStateFields(),
    json: Json = False,
) -> None:
    """Create a signal state; besmart sensor-states list shows the existing ones."""
    made = call(lambda client: client.signal_states.create(sensor_state_id, signal_type_moid, **attrs.asdict(fields)))
    (write_json if json else write_fields)(made)


def update(
    signal_state_id: _StateId,
    /,
    *,
    fields: SignalStateFields = SignalStateFields(),
) -> None:
    """Change a signal state; fields that are not given stay as they are."""
    call(lambda client: client.signal_states.update(signal_state_id, **attrs.asdict(fields)))
    write(f"changed signal state {signal_state_id}")


def patch(
    signal_state_id: _StateId,
    /,
    *,
    value_for_since: float | None = None,
    value_for_till: float | None = None,
) -> None:
    """Change values of a signal state (dialect live); a value that is not given stays as it is.

    Parameters
    ----------
    value_for_since
        Value of the register at the start of the state, in the unit of the signal.
    value_for_till
        Its value at the end.
    """
    call(
        lambda client: client.signal_states.patch(
            signal_state_id, value_for_since=value_for_since, value_for_till=value_for_till
        )
    )
    write(f"changed signal state {signal_state_id}")


def delete(signal_state_id: _StateId, /, *, yes: Yes = False) -> None:
    """Delete a signal state."""
    confirm(f"Delete signal state {signal_state_id}?", yes=yes)
    call(lambda client: client.signal_states.delete(signal_state_id))
    write(f"deleted signal state {signal_state_id}")
