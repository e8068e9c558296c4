"""`besmart sensors`: sensors and their types."""

from __future__ import annotations

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Flag
from besmart_async.cli.terminal.output import write, write_fields, write_json, write_records
from besmart_async.models.keys import SensorKey


def get(sensor: str, /, *, json: Flag = False) -> None:
    """Show a sensor.

    Parameters
    ----------
    sensor
        The sensor, such as 12.122.
    json
        Print JSON.
    """
    key = SensorKey.parse(sensor)
    found = call(lambda client: client.sensors.get(key.client_cid, key.sensor_mid))
    (write_json if json else write_fields)(found)


def types(*, json: Flag = False) -> None:
    """List the sensor types.

    Parameters
    ----------
    json
        Print JSON.
    """
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
    sensor_type_id: int,
    sensor_eid: str | None = None,
    lat: float | None = None,
    lon: float | None = None,
    info: str | None = None,
    uncertain: bool | None = None,
    negligible: bool | None = None,
    json: Flag = False,
) -> None:
    """Create a sensor and print its key.

    Parameters
    ----------
    client_cid
        The client it belongs to.
    name
        Its name.
    sensor_type_id
        Its type; besmart sensors types lists them.
    sensor_eid
        External id.
    lat
        Latitude in degrees.
    lon
        Longitude in degrees.
    info
        Additional information: a JSON object.
    uncertain
        Mark it as uncertain.
    negligible
        Mark it as negligible.
    json
        Print JSON.
    """
    made = call(
        lambda client: client.sensors.create(
            name=name,
            sensor_type_id=sensor_type_id,
            client_cid=client_cid,
            sensor_eid=sensor_eid,
            lat=lat,
            lon=lon,
            info=info,
            uncertain=uncertain,
            negligible=negligible,
        )
    )
    if json:
        write_json(made)
    else:
        write(str(made))


def update(
    sensor: str,
    /,
    *,
    name: str | None = None,
    sensor_type_id: int | None = None,
    sensor_eid: str | None = None,
    lat: float | None = None,
    lon: float | None = None,
    info: str | None = None,
    comments: str | None = None,
    uncertain: bool | None = None,
    negligible: bool | None = None,
) -> None:
    """Change a sensor; what is not given stays as it is.

    Parameters
    ----------
    sensor
        The sensor, such as 12.122.
    name
        Its name.
    sensor_type_id
        Its type; besmart sensors types lists them.
    sensor_eid
        External id.
    lat
        Latitude in degrees.
    lon
        Longitude in degrees.
    info
        Additional information: a JSON object.
    comments
        Comments.
    uncertain
        Mark it as uncertain, or take the mark away.
    negligible
        Mark it as negligible, or take the mark away.
    """
    key = SensorKey.parse(sensor)
    call(
        lambda client: client.sensors.update(
            key.client_cid,
            key.sensor_mid,
            name=name,
            sensor_type_id=sensor_type_id,
            sensor_eid=sensor_eid,
            lat=lat,
            lon=lon,
            info=info,
            comments=comments,
            uncertain=uncertain,
            negligible=negligible,
        )
    )
    write(f"changed {key}")


def delete(sensor: str, /, *, yes: Flag = False) -> None:
    """Delete a sensor.

    Parameters
    ----------
    sensor
        The sensor, such as 12.122.
    yes
        Do not ask.
    """
    key = SensorKey.parse(sensor)
    confirm(f"Delete sensor {key} with all it holds?", yes=yes)
    call(lambda client: client.sensors.delete(key.client_cid, key.sensor_mid))
    write(f"deleted {key}")
