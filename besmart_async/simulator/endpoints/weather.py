"""Weather of external providers: made up here, but the same for the same place and time.

There is weather for every whole degree. Times up to now are measured, later ones predicted.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import not_found, unprocessable
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    COLUMNS,
    COLUMNS_EXAMPLE,
    INT,
    NOT_FOUND,
    TEXT,
    UNAUTHORIZED,
    UNPROCESSABLE,
    Kind,
    Param,
    Reply,
    Route,
    listed,
    model,
    path,
    query,
)
from besmart_async.simulator.signal_data import units
from besmart_async.simulator.storage.readings import ReadingColumns

_MINUTE_MS = 60_000
_HOUR_MINUTES = 60
_MOST_ROWS = 100_000
_CLIENT_CID = 0
_MEASURED, _PREDICTED = 1, 2


def find_mid(context: RequestContext) -> ServiceResponse:
    """The sensor of the whole degree that is nearest."""
    mid = _mid(context.params["lat"], context.params["lon"])
    return ServiceResponse.of(200, {"sensor_mid": mid})


def read(context: RequestContext) -> ServiceResponse:
    """The weather of a sensor that `find_mid` gave."""
    mid = context.params["sensor_mid"]
    if not 1 <= mid <= _mid(90.0, 180.0):
        not_found()
    return _answer(context, mid)


def read_at(context: RequestContext) -> ServiceResponse:
    """The weather of a place."""
    return _answer(context, _mid(context.params["lat"], context.params["lon"]))


def _mid(lat: float, lon: float) -> int:
    return (round(lat) + 90) * 361 + round(lon) + 180 + 1


def _answer(context: RequestContext, mid: int) -> ServiceResponse:
    moid = context.params["signal_type_moid"]
    signal_type = context.store.signal_type(moid)
    if signal_type is None:
        not_found()
    columns = _columns(context, mid)
    unit = target = units.BY_ID[signal_type["unit_id"]]
    wanted = context.params.get("output_unit_id")
    if wanted is not None:
        if wanted not in units.BY_ID or not units.convertible(unit, units.BY_ID[wanted]):
            unprocessable(f"output_unit_id {wanted}: {unit.symbol!r} cannot be given in it", "query", "output_unit_id")
        target = units.BY_ID[wanted]
    item = {
        "client_cid": _CLIENT_CID,
        "sensor_mid": mid,
        "signal_type_moid": moid,
        "data": {**attrs.asdict(columns, recurse=False), "value": units.convert(columns.value, unit, target)},
        "unit": target.symbol,
    }
    return ServiceResponse.of(200, [{**item, **context.dialect.read_fields}])


def _columns(context: RequestContext, mid: int) -> ReadingColumns:
    since, till = context.params["since"], context.params["till"]
    if since > till:
        unprocessable("since is greater than till", "query", "since")
    step = context.params.get("delta_t", _HOUR_MINUTES) * _MINUTE_MS
    first, last = math.ceil(since / step), math.floor(till / step)
    if last - first >= _MOST_ROWS:
        unprocessable(f"more than {_MOST_ROWS} readings", "query", "till")
    times = [number * step for number in range(first, last + 1)]
    origins = [_MEASURED if time <= context.now_ms else _PREDICTED for time in times]
    wanted = context.params.get("signal_origin_id")
    rows = [(time, origin) for time, origin in zip(times, origins, strict=True) if wanted in {None, origin}]
    values = [round(10.0 + 10.0 * math.sin(time / 86_400_000 * 2 * math.pi + mid), 3) for time, _ in rows]
    return ReadingColumns([time for time, _ in rows], list(values), ["DBL"] * len(rows), [origin for _, origin in rows])


def _degrees(name: str, place: Any, limit: float, kind: Kind = "number") -> Param:
    return Param(name=name, place=place, kind=kind, required=True, minimum=-limit, maximum=limit)


_EARLIEST, _LATEST = -8.64e15, 8.64e15
_OPTIONS = (
    query("since", "number", required=True, minimum=_EARLIEST, maximum=_LATEST),
    query("till", "number", required=True, minimum=_EARLIEST, maximum=_LATEST),
    query("delta_t", "integer", minimum=1, maximum=60 * 24 * 366 * 100),
    query("raw", "boolean"),
    query("output_unit_id", "integer"),
    query("signal_origin_id", "integer"),
    query("is_chart", "boolean"),
    query("get_last", "boolean"),
    query("variant", "string"),
)
_ITEM = {
    "client_cid": INT,
    "sensor_mid": INT,
    "signal_type_moid": INT,
    "data": model(COLUMNS),
    "unit": TEXT,
}
_EXAMPLE: dict[str, Any] = {
    "client_cid": 0,
    "sensor_mid": 52308,
    "signal_type_moid": 32,
    "data": COLUMNS_EXAMPLE,
    "unit": "kW.h",
}
_READ = Reply(200, "Weather", listed(model(_ITEM)), [_EXAMPLE])
_MOID = path("signal_type_moid", 32, "Signal type MOID")

ROUTES = (
    Route(
        operation="weather.get_external_find_mid",
        method="GET",
        path="/weather/external/find/mid",
        tag="Weather",
        summary="Find the sensor with the weather of a place",
        handler=find_mid,
        params=(_degrees("lat", "query", 90), _degrees("lon", "query", 180)),
        replies=(Reply(200, "Found", model({"sensor_mid": INT}), {"sensor_mid": 52308}), UNAUTHORIZED, NOT_FOUND),
        dialect="live",
    ),
    Route(
        operation="weather.get_external_mid_signals_id_data",
        method="GET",
        path="/weather/external/{sensor_mid}/signals/{signal_type_moid}/data",
        tag="Weather",
        summary="Get the weather of a sensor",
        handler=read,
        params=(path("sensor_mid", 52308, "Sensor MID"), _MOID, *_OPTIONS),
        replies=(_READ, UNAUTHORIZED, NOT_FOUND, UNPROCESSABLE),
        dialect="live",
    ),
    Route(
        operation="weather.get_external_lat_lon_id_data",
        method="GET",
        path="/weather/external/{lat}/{lon}/{signal_type_moid}/data",
        tag="Weather",
        summary="Get the weather of a place",
        handler=read_at,
        params=(_degrees("lat", "path", 90), _degrees("lon", "path", 180), _MOID, *_OPTIONS),
        replies=(_READ, UNAUTHORIZED, NOT_FOUND, UNPROCESSABLE),
        dialect="live",
    ),
)
