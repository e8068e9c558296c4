"""The OpenAPI document, built from the route table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from besmart_async.simulator.dialect import dialect_of
from besmart_async.simulator.routing.declarations import OK, Param, Reply, Route
from besmart_async.simulator.settings import Settings

_ELSEWHERE = {
    401: "Not valid authentication credentials",
    404: "Failed attempt - no resource",
    405: "Method not allowed",
    413: "Request body too large",
    415: "Unsupported media type",
    422: "Unprocessable entity",
}


def openapi(routes: tuple[Route, ...], settings: Settings, choices: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The OpenAPI document of the service as it is set.

    Args:
        routes: The route table.
        settings: The simulator's settings.
        choices: The values there are for parameters that must be one of them, by name.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, settings, choices)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "besmart REST API",
            "version": dialect_of(settings).version,
            "description": (
                "As the embedded simulator speaks it. Answers marked `x-documented: false` are ones the"
                " document does not list for the operation."
            ),
        },
        "servers": [{"url": "/api"}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "ApiKeyAuth": {"type": "apiKey", "in": "header", "name": "X-Auth"},
                "BearerAuth": {"type": "http", "scheme": "bearer"},
            }
        },
    }


def _operation(route: Route, settings: Settings, choices: Mapping[str, list[Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"api.endpoints.{route.operation}{f'_v{route.version}' if route.version > 1 else ''}",
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [_parameter(param, choices) for param in route.params],
        "responses": _responses(route, settings),
        "security": _security(route, settings),
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        content = {"schema": route.body.schema, "example": route.body.example}
        required = route.body.required or not settings.samples
        as_text = {"schema": {"type": "string"}}
        contents = {media: content if media == route.body.media else as_text for media in route.body.media_types}
        operation["requestBody"] = {"required": required, "content": contents}
    return operation


def _security(route: Route, settings: Settings) -> list[dict[str, list[str]]]:
    optional = route.security == "ApiKeyAuth" and not dialect_of(settings).key_required
    return [{route.security: []}, {}] if optional else [{route.security: []}]


def _parameter(param: Param, choices: Mapping[str, list[Any]]) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": param.name, "in": param.place, "required": param.required}
    if param.holds_json:
        # A string to the document; OpenAPI's way to say that it is the text of a JSON object.
        parameter["content"] = {"application/json": {"schema": {"type": "object"}}}
    elif param.name in choices:
        parameter["schema"] = {"type": param.kind, "enum": choices[param.name]}
    else:
        parameter["schema"] = param.schema()
    if param.description:
        parameter["description"] = param.description
    if param.example is not None:
        parameter["example"] = param.example
    return parameter


def _responses(route: Route, settings: Settings) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for reply in route.replies:
        status = dialect_of(settings).changed_status() if reply is OK else reply.status
        responses[str(status)] = _response(reply, status, settings)
    for status, description in _ELSEWHERE.items():
        if str(status) not in responses:
            reply = Reply(status, description, {"type": "string"}, documented=False)
            responses[str(status)] = _response(reply, status, settings)
    return responses


def _response(reply: Reply, status: int, settings: Settings) -> dict[str, Any]:
    response: dict[str, Any] = {"description": reply.description}
    if not reply.documented:
        response["x-documented"] = False
    if status == 204 or reply.schema is None or (status == 202 and settings.accepted_body == "empty"):
        return response
    if status == 413:
        response["content"] = {"text/html": {"schema": reply.schema}}
        return response
    content: dict[str, Any] = {"schema": reply.schema}
    if reply.example is not None:
        content["example"] = reply.example
    if status >= 400:
        response["content"] = dialect_of(settings).error_content(status, content)
    else:
        response["content"] = {"application/json": content}
    return response
