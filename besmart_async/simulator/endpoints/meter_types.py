"""Meter types of a client."""

from __future__ import annotations

import sqlite3
from typing import Any

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import conflict, not_found
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    BOOL,
    CONFLICT,
    CREATED,
    INT,
    NOT_FOUND,
    OK,
    SERVER_ERROR,
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

_FLAGS = ("is_balance", "is_ami", "is_dcu", "is_remote")


def list_all(context: RequestContext) -> ServiceResponse:
    """The client's meter types; a client without any, or unknown, has an empty list (no 404 is documented)."""
    sql = (
        "SELECT id, meter_type_name, description, number_of_phases, is_balance, is_ami, is_dcu, is_remote,"
        " prefix_name, default_cap_period FROM meter_type WHERE client_cid = ? ORDER BY id"
    )
    rows = context.store.rows(sql, context.params["client_cid"])
    for row in rows:
        row.update((flag, bool(row[flag])) for flag in _FLAGS)
    return ServiceResponse.of(200, [context.dialect.meter_type(row) for row in rows])


def create(context: RequestContext) -> ServiceResponse:
    """Create a meter type; 409 if the client has one of that id or name."""
    try:
        context.store.insert("meter_type", _row(context))
    except sqlite3.IntegrityError:
        conflict()
    return ServiceResponse.of(201, "Created")


def update(context: RequestContext) -> ServiceResponse:
    """Change the meter type of that id; one that is missing is created, as the document's 200 says."""
    row = _row(context)
    key = {"client_cid": row.pop("client_cid"), "id": row.pop("id")}
    try:
        if not context.store.update("meter_type", row, **key):
            context.store.insert("meter_type", {**key, **row})
    except sqlite3.IntegrityError:
        conflict()
    return context.dialect.changed()


def delete_all(context: RequestContext) -> ServiceResponse:
    """Delete all meter types of the client: the operation takes no id."""
    context.store.delete("meter_type", client_cid=context.params["client_cid"])
    return context.dialect.changed()


def create_with_next_id(context: RequestContext) -> ServiceResponse:
    """Create a meter type of an id that no other has; 409 if the client has one of that name."""
    row = _named({**context.params, **body_values(context.body, _BODY_FIELDS)})
    found = context.store.row("SELECT coalesce(max(id), 0) + 1 AS id FROM meter_type")
    row["id"] = found["id"] if found else 1
    try:
        context.store.insert("meter_type", row)
    except sqlite3.IntegrityError:
        conflict()
    return ServiceResponse.of(201, {"id": row["id"]})


def update_by_id(context: RequestContext) -> ServiceResponse:
    """Change the meter type of that id."""
    row = _named(context.params)
    key = {"client_cid": row.pop("client_cid"), "id": row.pop("meter_type_id")}
    try:
        if not context.store.update("meter_type", row, **key):
            not_found()
    except sqlite3.IntegrityError:
        conflict()
    return context.dialect.changed()


def delete_by_id(context: RequestContext) -> ServiceResponse:
    """Delete the meter type of that id."""
    key = {"client_cid": context.params["client_cid"], "id": context.params["meter_type_id"]}
    if not context.store.delete("meter_type", **key):
        not_found()
    return context.dialect.changed()


def _named(params: dict[str, Any]) -> dict[str, Any]:
    row = dict(params)
    row["meter_type_name"] = row.pop("name")
    return row


def _row(context: RequestContext) -> dict[str, Any]:
    row = dict(context.params)
    row["id"] = row.pop("meter_type_id")
    return row


_CLIENT = path("client_cid", 1, "Client CID")
_PARAMS = (
    _CLIENT,
    query("meter_type_name", "string", required=True, description="Meter type name"),
    query("meter_type_id", "integer", required=True, description="Meter type ID"),
    query("description", "string", description="Description"),
    query(
        "number_of_phases",
        "integer",
        required=True,
        description="Number of phases",
        minimum=1,
        maximum=3,
    ),
    query("is_ami", "boolean", description="Is ami meter"),
    query("is_balance", "boolean", description="Is balance meter"),
    query("is_dcu", "boolean", description="Is DCU"),
)
_METER_TYPE = model(
    {
        "id": INT,
        "meter_type_name": TEXT,
        "description": nullable(TEXT),
        "number_of_phases": INT,
        "is_balance": BOOL,
        "is_ami": BOOL,
        "is_dcu": BOOL,
    }
)
_PATH = "/sensors/{client_cid}/meters"
_LIVE_PATH = "/clients/{client_cid}/meters"
_BY_ID = f"{_LIVE_PATH}/{{meter_type_id}}"
_BODY_FIELDS = (
    field("name", "string", required=True, description="Meter type name"),
    field("number_of_phases", "integer", required=True, description="Number of phases", minimum=1, maximum=3),
    field("description", "string", description="Description"),
    field("is_balance", "boolean", description="Is balance meter"),
    field("is_ami", "boolean", description="Is ami meter"),
    field("is_dcu", "boolean", description="Is DCU"),
    field("is_remote", "boolean", description="Is remote"),
    field("prefix_name", "string", description="Prefix of the name"),
    field("default_cap_period", "integer", description="Default period between readings"),
)
_KEY = (_CLIENT, path("meter_type_id", 1, "Meter type ID"))
_LIVE_METER_TYPE = model(
    {
        "id": INT,
        "name": TEXT,
        "description": nullable(TEXT),
        "number_of_phases": INT,
        **dict.fromkeys(_FLAGS, BOOL),
        "prefix_name": nullable(TEXT),
        "default_cap_period": nullable(INT),
    }
)
_CONFLICT_HERE = Reply(409, "Conflict", TEXT, "Conflict", documented=False)

ROUTES = (
    Route(
        operation="sensors.get_meters",
        method="GET",
        path=_PATH,
        tag="Sensors",
        summary="Get list of meter types",
        handler=list_all,
        params=(_CLIENT,),
        replies=(Reply(200, "Successfully read meter types", listed(_METER_TYPE)), UNAUTHORIZED),
        dialect="documented",
    ),
    Route(
        operation="sensors.post_meter",
        method="POST",
        path=_PATH,
        tag="Sensors",
        summary="Create meter type",
        handler=create,
        params=_PARAMS,
        replies=(CREATED, UNAUTHORIZED, NOT_FOUND, CONFLICT, UNPROCESSABLE, SERVER_ERROR),
        dialect="documented",
    ),
    Route(
        operation="sensors.put_meter",
        method="PUT",
        path=_PATH,
        tag="Sensors",
        summary="Update meter type",
        handler=update,
        description="Creates the meter type if none has that id.",
        params=_PARAMS,
        replies=(OK, UNAUTHORIZED, _CONFLICT_HERE),
        dialect="documented",
    ),
    Route(
        operation="sensors.delete_meter",
        method="DELETE",
        path=_PATH,
        tag="Sensors",
        summary="Delete meter type",
        handler=delete_all,
        description="Deletes all meter types of the client: the operation takes no id.",
        params=(_CLIENT,),
        replies=(OK, UNAUTHORIZED),
        dialect="documented",
    ),
    Route(
        operation="sensors.get_meters",
        method="GET",
        path=_LIVE_PATH,
        tag="Clients",
        summary="Get list of meter types",
        handler=list_all,
        params=(_CLIENT,),
        replies=(Reply(200, "Successfully read meter types", listed(_LIVE_METER_TYPE)), UNAUTHORIZED),
        dialect="live",
    ),
    Route(
        operation="sensors.post_meter",
        method="POST",
        path=_LIVE_PATH,
        tag="Clients",
        summary="Create meter type",
        handler=create_with_next_id,
        params=(_CLIENT,),
        body=Body(
            media="application/json",
            schema=fields_schema(_BODY_FIELDS),
            example={"name": "Virtual", "number_of_phases": 1},
        ),
        replies=(Reply(201, "Created", model({"id": INT}), {"id": 1}), UNAUTHORIZED, CONFLICT, UNPROCESSABLE),
        dialect="live",
    ),
    Route(
        operation="sensors.put_meter",
        method="PUT",
        path=_BY_ID,
        tag="Clients",
        summary="Update meter type",
        handler=update_by_id,
        params=(*_KEY, *(attrs.evolve(one, place="query") for one in _BODY_FIELDS)),
        replies=(OK, UNAUTHORIZED, NOT_FOUND, _CONFLICT_HERE),
        dialect="live",
    ),
    Route(
        operation="sensors.delete_meter",
        method="DELETE",
        path=_BY_ID,
        tag="Clients",
        summary="Delete meter type",
        handler=delete_by_id,
        params=_KEY,
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
        dialect="live",
    ),
)
