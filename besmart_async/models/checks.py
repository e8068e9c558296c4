"""Checks of arguments: each returns the value it accepts, or raises an error that names the field and what to give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import numpy as np
import orjson

from besmart_async.errors import InvalidInputError
from besmart_async.models.values import JsonValue, checked_json, checked_unicode

T = TypeVar("T")

_LARGEST = 2**63 - 1


def optional(check: Callable[[str, object], T], field: str, value: object) -> T | None:
    """Return None for None ("not sent"), else the result of `check`."""
    return None if value is None else check(field, value)


def checked_flag(field: str, value: object) -> bool:
    """Return a bool.

    Raises:
        InvalidInputError: anything else, 0 and 1 included.
    """
    if isinstance(value, bool):
        return value
    raise InvalidInputError(field, value, "give True or False")


def checked_number(field: str, value: object) -> int | float:
    """Return a finite int (of 64 bits) or float; numpy's are made plain.

    Raises:
        InvalidInputError: NaN, infinity, a bool or not a number.
    """
    if isinstance(value, np.integer | np.floating):
        value = value.item()
    if type(value) is int and abs(value) <= _LARGEST:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    raise InvalidInputError(field, value, "give a finite number")


def checked_text(field: str, value: object) -> str:
    """Return a text that is not empty.

    Raises:
        InvalidInputError: it is empty, not a string, or not valid Unicode.
    """
    if isinstance(value, str) and value:
        return checked_unicode(field, value)
    raise InvalidInputError(field, value, "give a text that is not empty, or None to leave it out")


def checked_object(field: str, value: object) -> Mapping[str, JsonValue]:
    """Return a JSON object given as a mapping or as JSON text.

    Raises:
        InvalidInputError: the text is not JSON, or it is not an object.
    """
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise InvalidInputError(field, value, f"not JSON ({error}); give a JSON object or a mapping") from None
    if not isinstance(value, Mapping):
        raise InvalidInputError(field, value, "give a JSON object or a mapping")
    return cast("Mapping[str, JsonValue]", checked_json(value, field))


def checked_object_text(field: str, value: object) -> str:
    """Return the JSON text of an object; a text is checked and returned unchanged.

    Raises:
        InvalidInputError: as `checked_object`.
    """
    parsed = checked_object(field, value)
    return value if isinstance(value, str) else orjson.dumps(parsed).decode()


def checked_degrees(field: str, value: object, limit: float) -> int | float:
    """Return degrees from -`limit` to `limit`.

    Raises:
        InvalidInputError: anything else.
    """
    number = checked_number(field, value)
    if abs(number) > limit:
        raise InvalidInputError(field, value, f"give degrees from -{limit} to {limit}")
    return number


def checked_scalar(field: str, value: object) -> bool | int | float | str:
    """Return a bool, a finite number or a text that is not empty.

    Raises:
        InvalidInputError: anything else.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return checked_text(field, value)
    return checked_number(field, value)
