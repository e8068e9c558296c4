"""`besmart sensors`: sensors and their types."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from besmart_async.cli.output import write_fields, write_json, write_records
from besmart_async.cli.session import client_for
from besmart_async.models.keys import SensorKey
from besmart_async.models.sensors import Sensor, SensorType

Json = Annotated[bool, Parameter(negative="")]


def get(sensor: str, /, *, json: Json = False) -> None:
    """Show a sensor.

    Parameters
    ----------
    sensor
        The sensor, such as 12.122.
    json
        Print JSON.
    """
    key = SensorKey.parse(sensor)

    async def ask() -> Sensor:
        async with client_for() as client:
            return await client.sensors.get(key.client_cid, key.sensor_mid)

    found = asyncio.run(ask())
    (write_json if json else write_fields)(found)


def types(*, json: Json = False) -> None:
    """List the sensor types.

    Parameters
    ----------
    json
        Print JSON.
    """

    async def ask() -> list[SensorType]:
        async with client_for() as client:
            return await client.sensors.types()

    found = asyncio.run(ask())
    if json:
        write_json(found)
    else:
        write_records(found, ("id", "name", "description"))
