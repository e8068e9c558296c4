"""The answers and schemas that many operations share."""

from __future__ import annotations

from typing import Any

from besmart_async.simulator.routes import Reply, Schema

INT: Schema = {"type": "integer", "format": "int64"}
NUMBER: Schema = {"type": "number"}
BOOL: Schema = {"type": "boolean"}
TEXT: Schema = {"type": "string"}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return {**schema, "nullable": True}


def listed(schema: Schema) -> Schema:
    """A list of it."""
    return {"type": "array", "items": schema}


def model(fields: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object; the service may add fields, so it is open."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": fields, "required": required}


def closed(fields: dict[str, Schema], required: list[str]) -> Schema:
    """An object of a request: nothing unknown is taken."""
    schema: Schema = {"type": "object", "properties": fields, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


_TIMES = listed({"type": "number", "minimum": -8.64e15, "maximum": 8.64e15})
COLUMNS: dict[str, Schema] = {
    "time": _TIMES,
    "value": listed({}),
    "type": listed(TEXT),
    "origin": listed({**INT, "minimum": -(2**63), "maximum": 2**63 - 1}),
}
COLUMNS_EXAMPLE: dict[str, Any] = {"time": [1577836800000], "value": [10.01], "type": ["DBL"], "origin": [1]}

ID: Schema = INT
UNAUTHORIZED = Reply(401, "Not valid authentication credentials", TEXT, "No authorization token provided")
NOT_FOUND = Reply(404, "Failed attempt - no resource", TEXT, "Resource not found")
CONFLICT = Reply(409, "Conflict", TEXT, "Conflict")
UNPROCESSABLE = Reply(422, "Unprocessable entity", TEXT, "{'status_code': -1, 'message': 'An error occured'}")
SERVER_ERROR = Reply(500, "Server Error", TEXT, "ServerError")
OK = Reply(200, "OK", TEXT, "OK")
CREATED = Reply(201, "Created", TEXT, "Created")
