"""An OpenAPI 3 description of the API document, made from its parsed text alone."""

from __future__ import annotations

from typing import Any

from tests.document import DocumentedOperation, Field, Parameter, operations

_ANY_JSON: dict[str, Any] = {}


def openapi() -> dict[str, Any]:
    """The description: strict about requests, with the document's examples as answers."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations().values():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    security = {
        "ApiKeyAuth": {"type": "apiKey", "in": "header", "name": "X-Auth"},
        "BearerAuth": {"type": "http", "scheme": "bearer"},
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "besmart REST API", "version": "0.1.5"},
        "servers": [{"url": "/api"}],
        "paths": paths,
        "components": {"securitySchemes": security},
    }


def _operation(operation: DocumentedOperation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "parameters": [_parameter(row) for row in operation.parameters if row.where != "body"],
        "responses": {
            str(status): {"description": meaning} | (_answer(operation) if status == operation.status else {})
            for status, meaning in operation.statuses.items()
        },
    }
    for row in operation.parameters:
        if row.where == "body":
            content = {operation.content_type: {"schema": _type(row.type)}}
            described["requestBody"] = {"required": row.required, "content": content}
    return described


def _answer(operation: DocumentedOperation) -> dict[str, Any]:
    schema = _schema(operation.fields, operation.example)
    return {"content": {"application/json": {"schema": schema, "example": operation.example}}}


def _parameter(row: Parameter) -> dict[str, Any]:
    return {"name": row.name, "in": row.where, "required": row.required, "schema": _type(row.type)}


def _type(written: str) -> dict[str, Any]:
    if written.startswith("["):  # [integer], [object], [oneOf], [any]
        return {"type": "array", "items": _type(written.strip("[]"))}
    if written.startswith("array["):
        return {"type": "array", "items": _type(written.removeprefix("array[").removesuffix("]"))}
    return _ANY_JSON if written in {"oneOf", "any"} else {"type": written}


def _schema(fields: tuple[Field, ...], example: Any) -> dict[str, Any]:
    if not fields:
        return {"type": "string"}
    entity, _ = _entity(list(fields), fields[0].depth)
    return {"type": "array", "items": entity} if isinstance(example, list) else entity


def _entity(rows: list[Field], depth: int) -> tuple[dict[str, Any], list[Field]]:
    properties: dict[str, Any] = {}
    while rows and rows[0].depth == depth:
        row, rows = rows[0], rows[1:]
        schema = _type(row.type)
        if rows and rows[0].depth > depth:
            inner, rows = _entity(rows, rows[0].depth)
            schema = {"type": "array", "items": inner} if row.type.startswith("[") else inner
        properties[row.name] = schema
    return {"type": "object", "properties": properties}, rows
