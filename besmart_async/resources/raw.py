"""Requests that no typed method makes: `BesmartClient.request`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from besmart_async.errors import InvalidInputError, Response
from besmart_async.wire.operation import Operation

_READS = {"GET", "HEAD", "OPTIONS"}
_METHODS = {*_READS, "POST", "PUT", "PATCH", "DELETE"}
_OF_TOKENS = "/users/token"


def raw_operation(
    method: str,
    path: str,
    *,
    query: Mapping[str, str | int | float],
    body: bytes | None,
    content_type: str,
    replay: bool,
) -> Operation[Response]:
    """Return an operation whose result is the answer itself.

    Raises:
        InvalidInputError: a method or path that cannot be sent.
    """
    if method not in _METHODS:
        raise InvalidInputError("method", method, f"give one of {', '.join(sorted(_METHODS))}")
    if not re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+/?", path) or "/.." in path:
        raise InvalidInputError("path", path, "give a path below the base URL, such as '/sensors/types', no query")
    if path.startswith(_OF_TOKENS):
        raise InvalidInputError("path", path, "use client.users.login() or refresh(): tokens are not shown")
    if body is not None and not isinstance(body, bytes):
        raise InvalidInputError("body", type(body).__name__, "give bytes, such as orjson.dumps(...)")
    return Operation(
        name=f"{method} {path}",
        method=method,
        path=path,
        replay=replay or method in _READS,
        writes=method not in _READS,
        decode=_itself,
        query=tuple((name, str(value)) for name, value in query.items()),
        body=body,
        content_type=content_type if body is not None else None,
    )


def _itself(response: Response) -> Response:
    return response
