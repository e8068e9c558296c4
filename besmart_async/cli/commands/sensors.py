"""`besmart sensors`: sensors and their types."""

from __future__ import annotations

from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.client import call, confirm
from besmart_async.cli.exits import UsageError
from besmart_async.cli.options import Json, Sensor, Yes
from besmart_async.cli.terminal.output import write, write_fields, write_json, write_records
from besmart_async.client import BesmartClient
from besmart_async.models.keys import SensorKey

SensorTypeName = Annotated[str, Parameter(name=("--sensor-type-id", "--sensor-type"))]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SensorFields:
    """Fields of a sensor that may be left out."""

    sensor_eid: str | None = None
    """External id."""

    lat: float | None = None
    """Latitude in degrees."""

    lon: float | None = None
    """Longitude in degrees."""

    info: str | None = None
    """Additional information: a JSON object."""

    uncertain: bool | None = None
    """Mark the sensor as uncertain, or not."""

    negligible: bool | None = None
    """Mark the sensor as negligible, or not."""


async def _type_id(client: BesmartClient, name: str) -> int:
    """Return the id of a sensor type, of which the user gave the name or the id."""
    if name.isdecimal():
        return int(name)
    types = [one for one in await client.sensors.types() if one.id is not None]
    found = [one.id for one in types if one.name is not None and one.name.casefold() == name.casefold()]
    if len(found) != 1 or found[0] is None:
        known = ", ".join(f"{one.name} ({one.id})" for one in types)
        raise UsageError(
            f"--sensor-type {name!r}: {'no' if not found else 'more than one'} type has this name: {known}"
        )
    return found[0]


def get(sensor: Sensor, /, *, json: Json = False) -> None:
    """Show a sensor."""
    key = SensorKey.parse(sensor)
    found = call(lambda client: client.sensors.get(key.client_cid, key.sensor_mid))
    (write_json if json else write_fields)(found)


def types(*, json: Json = False) -> None:
    """List the sensor types."""
    found = call(lambda client: client.sensors.types())
    if json:
        write_json(found)
    else:
        write_records(found, ("id", "name", "description"))


def create(
    client_cid: int,
    /,
    *,
    name: str,
    sensor_type: SensorTypeName,
    fields: SensorFields = SensorFields(),
    json: Json = False,
) -> None:
    """Create a sensor and print its key.

    Parameters
    ----------
    client_cid
        The client that the sensor belongs to.
    name
        Name of the sensor.
    sensor_type
        Its type: the name, such as meter, or the id; besmart sensors types lists them.
    """

    async def create_it(client: BesmartClient) -> SensorKey:
        return await client.sensors.create(
            name=name,
            sensor_type_id=await _type_id(client, sensor_type),
            client_cid=client_cid,
            **attrs.asdict(fields),
        )

    made = call(create_it)
    if json:
        write_json(made)
    else:
        write(str(made))


def update(
    sensor: Sensor,
    /,
    *,
    name: str | None = None,
    sensor_type: SensorTypeName | None = None,
    fields: SensorFields = SensorFields(),
    comments: str | None = None,
    balance_calculation: bool | None = None,
    node_id: int | None = None,
) -> None:
    """Change a sensor; fields that are not given stay as they are.

    In the dialect live --name and --sensor-type have to be given every time.

    Parameters
    ----------
    name
        Name of the sensor.
    sensor_type
        Its type: the name, such as meter, or the id; besmart sensors types lists them.
    comments
        Comments.
    balance_calculation
        Whether it takes part in the calculation of balances (dialect live).
    node_id
        Id of its node (dialect live).
    """
    key = SensorKey.parse(sensor)

    async def update_it(client: BesmartClient) -> None:
        await client.sensors.update(
            key.client_cid,
            key.sensor_mid,
            name=name,
            sensor_type_id=None if sensor_type is None else await _type_id(client, sensor_type),
            comments=comments,
            balance_calculation=balance_calculation,
            node_id=node_id,
            **attrs.asdict(fields),
        )

    call(update_it)
    write(f"changed {key}")


def delete(sensor: Sensor, /, *, yes: Yes = False) -> None:
    """Delete a sensor."""
    key = SensorKey.parse(sensor)
    confirm(f"Delete sensor {key} with all its data?", yes=yes)
    call(lambda client: client.sensors.delete(key.client_cid, key.sensor_mid))
    write(f"deleted {key}")
