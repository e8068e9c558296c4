"""`besmart sensor-states`: which meter was mounted when."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from besmart_async.cli.output import write_json, write_table
from besmart_async.cli.session import client_for
from besmart_async.models.keys import SensorKey
from besmart_async.models.states import SensorState
from besmart_async.models.times import from_ms


def list_(sensor: str, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the states of a sensor.

    Parameters
    ----------
    sensor
        The sensor, such as 12.122.
    json
        Print JSON.
    """
    key = SensorKey.parse(sensor)

    async def ask() -> list[SensorState]:
        async with client_for() as client:
            return await client.sensor_states.list(key.client_cid, key.sensor_mid)

    found = asyncio.run(ask())
    if json:
        write_json(found)
        return
    write_table(
        ("sensor_state_id", "since", "till", "meter_eid", "meter_type_name", "signals"),
        (
            (
                state.sensor_state_id,
                _stamp(state.since),
                _stamp(state.till),
                state.meter_eid,
                state.meter_type_name,
                ", ".join(str(signal.signal_type_moid) for signal in state.signal_states),
            )
            for state in found
        ),
    )


def _stamp(moment_ms: float | None) -> str:
    return "" if moment_ms is None else from_ms(moment_ms).isoformat().replace("+00:00", "Z")
