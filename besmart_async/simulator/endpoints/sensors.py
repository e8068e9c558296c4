"""Sensors and their types."""

from __future__ import annotations

from typing import Any

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import not_found, unprocessable
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    BOOL,
    INT,
    NOT_FOUND,
    NUMBER,
    OK,
    TEXT,
    UNAUTHORIZED,
    UNPROCESSABLE,
    Body,
    Reply,
    Route,
    field,
    fields_schema,
    listed,
    model,
    nullable,
    path,
    query,
)
from besmart_async.simulator.routing.validation import body_values


def list_types(context: RequestContext) -> ServiceResponse:
    """All sensor types."""
    return ServiceResponse.of(200, context.store.rows("SELECT * FROM sensor_type ORDER BY id"))


def create(context: RequestContext) -> ServiceResponse:
    """Create a sensor; the service chooses its `sensor_mid`."""
    changes = _checked(context)
    client_cid = changes.pop("client_cid")
    sensor_mid = context.store.add_sensor(client_cid, None, changes)
    return ServiceResponse.of(201, {"client_cid": client_cid, "sensor_mid": sensor_mid})


def get(context: RequestContext) -> ServiceResponse:
    """One sensor."""
    row = context.store.sensor(**context.params)
    if row is None:
        not_found()
    for name in ("uncertain", "negligible"):
        row[name] = bool(row[name])
    if row["balance_calculation"] is not None:
        row["balance_calculation"] = bool(row["balance_calculation"])
    row.update(info=context.dialect.info(row["info"]), write=True, execute=True)
    return ServiceResponse.of(200, {**context.dialect.shown(row), **context.dialect.sensor_fields})


def update_from_body(context: RequestContext) -> ServiceResponse:
    """Change what the body holds."""
    context.params.update(body_values(context.body, _BODY_FIELDS))
    return update(context)


def update(context: RequestContext) -> ServiceResponse:
    """Change what is given; nothing given changes nothing."""
    changes = _checked(context)
    key = {name: changes.pop(name) for name in ("client_cid", "sensor_mid")}
    if not context.store.update("sensor", changes, **key):
        not_found()
    return context.dialect.changed()


def delete(context: RequestContext) -> ServiceResponse:
    """Delete a sensor with its states and readings."""
    if not context.store.delete_sensor(**context.params):
        not_found()
    return context.dialect.changed()


def _checked(context: RequestContext) -> dict[str, Any]:
    changes = dict(context.params)
    type_id = changes.get("sensor_type_id")
    if type_id is not None and not context.store.row("SELECT 1 FROM sensor_type WHERE id = ?", type_id):
        unprocessable(f"unknown sensor_type_id {type_id}", "query", "sensor_type_id")
    return changes


_KEY = (path("client_cid", 1, "Client CID"), path("sensor_mid", 1, "Sensor MID"))
_DETAILS = (
    query("sensor_eid", "string", description="Sensor external ID"),
    query("lat", "number", description="Sensor latitude", minimum=-90, maximum=90),
    query("lon", "number", description="Sensor longitude", minimum=-180, maximum=180),
    query("info", "string", description="Additional information, in json format", holds_json=True),
)
_FLAGS = (
    query("uncertain", "boolean", description="Uncertain sensor"),
    query("negligible", "boolean", description="Negligible sensor"),
)
_BODY_FIELDS = (
    field("name", "string", required=True, description="Name of the sensor"),
    field("sensor_type_id", "integer", required=True, description="Sensor type ID"),
    *(attrs.evolve(one, place="item") for one in _DETAILS),
    field("comments", "string"),
    *(attrs.evolve(one, place="item") for one in _FLAGS),
    field("balance_calculation", "boolean"),
    field("node_id", "integer"),
)
_SENSOR = model(
    {
        "info": nullable({"anyOf": [TEXT, {"type": "object"}]}),
        "comments": nullable(TEXT),
        "client_cid": INT,
        "sensor_mid": INT,
        "lat": nullable(NUMBER),
        "lon": nullable(NUMBER),
        "name": TEXT,
        "sensor_eid": nullable(TEXT),
        "sensor_type_description": nullable(TEXT),
        "sensor_type_id": INT,
        "sensor_type_name": nullable(TEXT),
        "write": BOOL,
        "execute": BOOL,
        "negligible": BOOL,
        "uncertain": BOOL,
    }
)
_SENSOR_EXAMPLE = {
    "info": "{}",
    "comments": "Licznik do likwidacji.",
    "client_cid": 1,
    "sensor_mid": 1,
    "lat": 53.13,
    "lon": 22.06,
    "name": "sensor name",
    "sensor_eid": "48003752B205900000",
    "sensor_type_description": "Stacja",
    "sensor_type_id": 12,
    "sensor_type_name": "meter_station",
    "write": True,
    "execute": True,
    "negligible": True,
    "uncertain": False,
}
_TYPE = model(
    {
        "description": TEXT,
        "id": INT,
        "name": TEXT,
        "sensor_state_custom_fields": TEXT,
        "sensor_custom_fields": TEXT,
    }
)
_CREATED = model({"client_cid": INT, "sensor_mid": INT})

ROUTES = (
    Route(
        operation="sensors.post",
        method="POST",
        path="/sensors",
        tag="Sensors",
        summary="Create sensor",
        handler=create,
        params=(
            query("name", "string", required=True, description="Name of the sensor"),
            query("sensor_type_id", "integer", required=True, description="Sensor type ID"),
            query("client_cid", "integer", required=True, description="Client CID"),
            *_DETAILS,
            *_FLAGS,
        ),
        replies=(
            Reply(201, "Successfully created sensor", _CREATED, {"client_cid": 2, "sensor_mid": 12}),
            UNAUTHORIZED,
            UNPROCESSABLE,
        ),
    ),
    Route(
        operation="sensors.get_types",
        method="GET",
        path="/sensors/types",
        tag="Sensors",
        summary="Get list of sensor types",
        handler=list_types,
        replies=(Reply(200, "Successfully read sensor types", listed(_TYPE)), UNAUTHORIZED),
    ),
    Route(
        operation="sensors.get_id",
        method="GET",
        path="/sensors/{client_cid}.{sensor_mid}",
        tag="Sensors",
        summary="Get sensor",
        handler=get,
        params=_KEY,
        replies=(
            Reply(200, "Successfully read sensor information", _SENSOR, _SENSOR_EXAMPLE),
            UNAUTHORIZED,
            NOT_FOUND,
        ),
    ),
    Route(
        operation="sensors.put_id",
        method="PUT",
        path="/sensors/{client_cid}.{sensor_mid}",
        tag="Sensors",
        summary="Update sensor",
        handler=update,
        params=(
            *_KEY,
            query("name", "string", description="Name of the sensor"),
            query("sensor_type_id", "integer", description="Sensor type ID"),
            *_DETAILS,
            query("comments", "string"),
            *_FLAGS,
        ),
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
        dialect="documented",
    ),
    Route(
        operation="sensors.put_id",
        method="PUT",
        path="/sensors/{client_cid}.{sensor_mid}",
        tag="Sensors",
        summary="Update sensor",
        handler=update_from_body,
        params=_KEY,
        body=Body(
            media="application/json",
            schema=fields_schema(_BODY_FIELDS),
            example={"name": "sensor name", "sensor_type_id": 12},
        ),
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
        dialect="live",
    ),
    Route(
        operation="sensors.delete_id",
        method="DELETE",
        path="/sensors/{client_cid}.{sensor_mid}",
        tag="Sensors",
        summary="Remove sensor",
        handler=delete,
        params=_KEY,
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
    ),
)
