"""Query parameters as the API writes them: `true`/`false`, whole or fractional milliseconds, JSON for structures."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import orjson

from besmart_async.models.values import JsonValue


def query(*parameters: tuple[str, JsonValue]) -> tuple[tuple[str, str], ...]:
    """Return the parameters that are not None, in order, as texts."""
    return tuple((name, text_of(value)) for name, value in parameters if value is not None)


def text_of(value: JsonValue) -> str:
    """Return one value as it is written in a query or a path."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return orjson.dumps(value).decode()
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")  # never an exponent
    return str(value)
