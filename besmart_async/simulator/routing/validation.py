"""Strict checks of parameters and bodies against the route table."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, unquote_to_bytes

import orjson

from besmart_async.simulator.http.refusals import Refusal, not_found, unprocessable
from besmart_async.simulator.routing.declarations import INT64_MAX, INT64_MIN, Param, Route

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def path_values(route: Route, found: Mapping[str, str], *, samples: bool) -> dict[str, Any]:
    """The path's parameters; a value that is not an integer (or a number) is an unknown resource.

    Raises:
        Refusal: 404 for a value that is not an integer.
    """
    values: dict[str, Any] = {}
    for param in route.path_params:
        text = found[param.name]
        if param.kind == "number":
            values[param.name] = float(text)
            _check_limits(param, values[param.name], "path parameter", "path")
        elif _INTEGER.fullmatch(text) and INT64_MIN <= int(text) <= INT64_MAX:
            values[param.name] = int(text)
        elif samples and text == f"{{{param.name}}}" and not route.documents(404):
            values[param.name] = param.example
        else:
            not_found()
    return values


def query_values(route: Route, raw: bytes) -> dict[str, Any]:
    """The query's parameters, converted.

    Raises:
        Refusal: 422 naming the parameter that is unknown, repeated, missing or of a wrong type.
    """
    declared = {p.name: p for p in route.query_params}
    values: dict[str, Any] = {}
    for name, text in _pairs(raw):
        param = declared.get(name)
        if param is None:
            unprocessable(f"unknown query parameter {name!r}", "query", name)
        if name in values:
            unprocessable(f"query parameter {name!r} is given more than once", "query", name)
        values[name] = _converted(param, text)
    for param in declared.values():
        if param.required and param.name not in values:
            unprocessable(f"missing query parameter {param.name!r}", "query", param.name)
    return values


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    if not raw:
        return []
    try:
        unquote_to_bytes(raw).decode()
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        unprocessable("the query string is not valid UTF-8", "query")


def _converted(param: Param, text: str) -> Any:
    value: Any = text
    if param.kind == "integer":
        if not _INTEGER.fullmatch(text) or len(text) > 20:
            unprocessable(f"query parameter {param.name!r} must be an integer", "query", param.name)
        value = int(text)
    elif param.kind == "number":
        if not _NUMBER.fullmatch(text):
            unprocessable(f"query parameter {param.name!r} must be a finite number", "query", param.name)
        value = int(text) if _INTEGER.fullmatch(text) and len(text) < 300 else float(text)
    elif param.kind == "boolean":
        if text not in _BOOLEANS:
            unprocessable(f"query parameter {param.name!r} must be true or false", "query", param.name)
        return _BOOLEANS[text]
    elif param.holds_json:
        _check_json(param, text, "query parameter", "query")
    _check_limits(param, value, "query parameter", "query")
    return value


def _check_json(param: Param, text: str, what: str, *where: str | int) -> None:
    try:
        held = orjson.loads(text)
    except orjson.JSONDecodeError:
        held = None
    if not isinstance(held, dict):
        unprocessable(f"{what} {param.name!r} must hold a JSON object", *where, param.name)


def _check_limits(param: Param, value: Any, what: str, *where: str | int) -> None:
    if param.kind not in {"integer", "number"}:
        return
    low = INT64_MIN if param.minimum is None and param.kind == "integer" else param.minimum
    high = INT64_MAX if param.maximum is None and param.kind == "integer" else param.maximum
    if not math.isfinite(_as_float(value)) or (low is not None and value < low) or (high is not None and value > high):
        unprocessable(f"{what} {param.name!r} is out of range", *where, param.name)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def json_body(raw: bytes) -> Any:
    """A body's JSON.

    Raises:
        Refusal: 422 if it is not JSON.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refusal(422, f"the body is not JSON: {error}", ("body",)) from None


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "object": (dict,),
}


def item_values(item: Any, fields: Mapping[str, Param], position: int) -> dict[str, Any]:
    """One object of a bulk request, checked field by field.

    Raises:
        Refusal: 422 naming the item and the field.
    """
    return _object_values(item, fields, f"item {position}", ("body", position))


def body_values(body: Any, fields: tuple[Param, ...]) -> dict[str, Any]:
    """The object in a body, checked field by field.

    Raises:
        Refusal: 422 naming the field.
    """
    return _object_values(body, {one.name: one for one in fields}, "the body", ("body",))


def _object_values(value: Any, fields: Mapping[str, Param], what: str, where: tuple[str | int, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        unprocessable(f"{what} must be an object", *where)
    values = cast("dict[str, Any]", value)
    for name, part in values.items():
        param = fields.get(name)
        if param is None:
            unprocessable(f"{what}: unknown field {name!r}", *where, name)
        # bool is an int in Python, not in JSON: hence the exact type.
        if type(part) not in _JSON_TYPES[param.kind]:
            unprocessable(f"{what}: {name!r} must be of type {param.kind}", *where, name)
        if param.holds_json:
            _check_json(param, part, f"{what}:", *where)
        _check_limits(param, part, f"{what}:", *where)
    for name, param in fields.items():
        if param.required and name not in values:
            unprocessable(f"{what}: {name!r} is missing", *where, name)
    return values
