"""Meter types of a client."""

from __future__ import annotations

import sqlite3
from typing import Any

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import conflict
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
    Reply,
    Route,
    listed,
    model,
    nullable,
    path,
    query,
)

_FLAGS = ("is_balance", "is_ami", "is_dcu")


def list_all(context: RequestContext) -> ServiceResponse:
    """The client's meter types; a client without any, or unknown, has an empty list (no 404 is documented)."""
    sql = (
        "SELECT id, meter_type_name, description, number_of_phases, is_balance, is_ami, is_dcu"
        " FROM meter_type WHERE client_cid = ? ORDER BY id"
    )
    rows = context.store.rows(sql, context.params["client_cid"])
    for row in rows:
        row.update((flag, bool(row[flag])) for flag in _FLAGS)
    return ServiceResponse.of(200, rows)


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
        replies=(OK, UNAUTHORIZED, Reply(409, "Conflict", TEXT, "Conflict", documented=False)),
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
    ),
)
