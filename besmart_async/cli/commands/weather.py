"""`besmart weather`: weather of external providers. Only the dialect live has it."""

from __future__ import annotations

from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.client import call
from besmart_async.cli.options import DeltaT, Flag, Json, Origin, Period, window
from besmart_async.cli.terminal.output import write, write_json
from besmart_async.cli.terminal.readings import write_readings

Latitude = Annotated[float, Parameter(allow_leading_hyphen=True, help="Latitude in degrees.")]
Longitude = Annotated[float, Parameter(allow_leading_hyphen=True, help="Longitude in degrees.")]
SignalType = Annotated[int, Parameter(help="What to read, such as the temperature; besmart signals types lists them.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class WeatherOptions:
    """Which weather to read."""

    get_last: Annotated[Flag, Parameter(name=("--get-last", "--last"))] = False
    """Of readings that were written more than once, only the newest."""

    delta_t: DeltaT = None

    origin: Origin = None

    output_unit_id: int | None = None
    """Unit of the values: the service's id of it."""

    variant: str | None = None
    """Variant of the weather."""


def find(lat: Latitude, lon: Longitude, /, *, json: Json = False) -> None:
    """Find the sensor with the weather of a place."""
    mid = call(lambda client: client.weather.find_mid(lat, lon))
    if json:
        write_json({"sensor_mid": mid})
    else:
        write(str(mid))


def read(
    sensor_mid: Annotated[int, Parameter(help="Sensor of the weather; besmart weather find shows it.")],
    signal_type_moid: SignalType,
    /,
    *,
    period: Period,
    options: WeatherOptions = WeatherOptions(),
    json: Json = False,
) -> None:
    """Read the weather of a sensor."""
    since, till = window(period)
    found = call(
        lambda client: client.weather.read(
            sensor_mid,
            signal_type_moid,
            since,
            till,
            get_last=options.get_last or None,
            delta_t=options.delta_t,
            output_unit_id=options.output_unit_id,
            signal_origin_id=options.origin,
            variant=options.variant,
        )
    )
    write_readings(found, json=json)


def read_at(
    lat: Latitude,
    lon: Longitude,
    signal_type_moid: SignalType,
    /,
    *,
    period: Period,
    options: WeatherOptions = WeatherOptions(),
    json: Json = False,
) -> None:
    """Read the weather of a place."""
    since, till = window(period)
    found = call(
        lambda client: client.weather.read_at(
            lat,
            lon,
            signal_type_moid,
            since,
            till,
            get_last=options.get_last or None,
            delta_t=options.delta_t,
            output_unit_id=options.output_unit_id,
            signal_origin_id=options.origin,
            variant=options.variant,
        )
    )
    write_readings(found, json=json)
