"""Users: log in and refresh the token."""

from __future__ import annotations

from typing import Any, cast

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import not_found, unauthorized
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    NOT_FOUND,
    TEXT,
    UNAUTHORIZED,
    Body,
    Reply,
    Route,
    field,
    fields_schema,
    model,
)

USER_ID = 1


def log_in(context: RequestContext) -> ServiceResponse:
    """Issue a token: 401 for a wrong key or password, 404 for an unknown login."""
    settings = context.settings
    key_expected = context.dialect.key_required or context.api_key is not None
    if key_expected and context.api_key != settings.api_key:
        unauthorized()
    if not isinstance(context.body, dict):
        unauthorized("The body holds no login and password")
    body = cast("dict[str, Any]", context.body)
    if body.keys() != {"login", "password"} or set(map(type, body.values())) != {str}:
        unauthorized("The body must hold login and password, and nothing else")
    if body["login"] != settings.login:
        not_found()
    if body["password"] != settings.password:
        unauthorized()
    context.tokens.logins += 1
    return _token(context, *context.tokens.issue())


def refresh(context: RequestContext) -> ServiceResponse:
    """Prolong or rotate the token of the request."""
    token = context.tokens.check(context.token)
    context.tokens.refreshes += 1
    return _token(context, *context.tokens.refresh(token))


def _token(context: RequestContext, token: str, expires_ms: float) -> ServiceResponse:
    return ServiceResponse.of(200, context.dialect.token(token, expires_ms, USER_ID))


_TOKEN = model({"expiration": {"type": "number"}, "user_id": {"type": "integer"}, "token": TEXT})
_EXAMPLE = {"expiration": 1586861098825, "user_id": 1, "token": "ab9d27c9044820c9998f326021dc4003"}

_LOGIN = Route(
    operation="users.get_token",
    method="POST",
    path="/users/token",
    tag="Users",
    summary="Login and get token",
    handler=log_in,
    description="Every body that is not the right login and password is a 401, unreadable ones too.",
    body=Body(
        media="text/plain",
        schema=TEXT,
        example='{ "login": "login", "password": "password" }',
    ),
    replies=(Reply(200, "User logged in", _TOKEN, _EXAMPLE), UNAUTHORIZED, NOT_FOUND),
    security="ApiKeyAuth",
    dialect="documented",
)
_CREDENTIALS = Body(
    media="application/json",
    schema=fields_schema((field("login", "string", required=True), field("password", "string", required=True))),
    example={"login": "login", "password": "password"},
    or_text=True,
)

ROUTES = (
    _LOGIN,
    attrs.evolve(_LOGIN, dialect="live", body=_CREDENTIALS),
    Route(
        operation="users.get_token_info",
        method="GET",
        path="/users/token",
        tag="Users",
        summary="Refresh token and get token info",
        handler=refresh,
        replies=(Reply(200, "Successfully token was refreshed", _TOKEN, _EXAMPLE), UNAUTHORIZED),
    ),
)
