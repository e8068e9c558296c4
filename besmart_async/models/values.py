"""Normal forms of the value, type and origin columns: what they may hold, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError
from besmart_async.models.keys import checked_id
from besmart_async.models.times import FrameColumn, as_array

JsonValue: TypeAlias = bool | int | float | str | Sequence[Any] | Mapping[str, Any] | None
"""Any JSON value."""

ValueColumn: TypeAlias = "Sequence[JsonValue] | NDArray[Any] | FrameColumn"
"""Many values: doubles, integers, booleans, strings, null, or structured JSON."""

DOUBLE = "DBL"
"""The type name of double readings (API document, examples)."""
REMOVED = "RM"
"""The type name that marks the reading at that time as deleted (live-service knowledge)."""

MEASURED, PREDICTED, CALCULATED, ESTIMATED, CORRECTED = 1, 2, 3, 4, 5
"""Known origins of a reading; the set is open."""

_FINITE = "JSON has no NaN or infinity; leave the reading out, or give None for a null value"
_KINDS = "give doubles, integers of 64 bits, booleans, strings, None, or JSON structures of these"
_BROKEN_TEXT = "not Unicode text (it holds half a surrogate pair)"
_LARGEST = 2**63 - 1
_DEEPEST = 100
"""Levels of a JSON structure: orjson writes 254, and the body around a value takes some."""


def value_column(values: ValueColumn, field: str = "value") -> NDArray[Any]:
    """Return values as a float64, int64, bool or object array that is never a view of `values`.

    Raises:
        InvalidInputError: NaN or infinity, or a value that JSON cannot hold, named with its row.
    """
    column = as_array(values, field)
    kind = column.dtype.kind
    if kind == "f":
        return _doubles(column, field)
    if kind == "i" or (kind == "u" and column.dtype.itemsize < 8):
        return column.astype(np.int64)
    if kind == "b":
        return column.copy()
    if kind not in "uUO" and column.size:  # numpy would turn dates and bytes into something else
        raise InvalidInputError(f"{field}[0]", column[0], _KINDS)
    objects: NDArray[Any] = column.astype(object)
    for row, value in enumerate(objects):
        if not _plain_json(value):
            objects[row] = checked_json(value, f"{field}[{row}]")
    return objects


def checked_json(value: object, field: str, depth: int = 0) -> JsonValue:
    """Return `value` with numpy scalars, subclasses of str and containers as plain Python types.

    Raises:
        InvalidInputError: it holds something JSON cannot, or more than 100 levels.
    """
    if depth > _DEEPEST:
        # The structure itself is not shown: its repr may not end.
        raise InvalidInputError(field.partition(".")[0].partition("[")[0], "…", f"more than {_DEEPEST} levels deep")
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise InvalidInputError(field, name, "JSON objects have string names")
        return {
            checked_unicode(field, name): checked_json(part, f"{field}.{name}", depth + 1)
            for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [checked_json(part, f"{field}[{row}]", depth + 1) for row, part in enumerate(value)]
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, str):
        return checked_unicode(field, value)
    if not _plain_json(value):
        raise InvalidInputError(field, value, _FINITE if isinstance(value, float) else _KINDS)
    return value  # type: ignore[return-value]


def checked_unicode(field: str, text: str) -> str:
    """Return a text as a plain `str` (an enum's member as its value) that UTF-8 can write.

    Raises:
        InvalidInputError: it holds half a surrogate pair.
    """
    plain = str.__str__(text)
    if not _encodable(plain):
        raise InvalidInputError(field, plain, _BROKEN_TEXT)
    return plain


def checked_type(field: str, name: object) -> str:
    """Return a type name as a plain `str`.

    Raises:
        InvalidInputError: it is not a string, or empty.
    """
    if not isinstance(name, str) or not name:
        raise InvalidInputError(field, name, "give a type name such as 'DBL'")
    return checked_unicode(field, name)


def type_column(types: str | Sequence[str] | NDArray[Any] | FrameColumn | None, rows: int) -> str | NDArray[Any] | None:
    """Return one type name for all rows, an object array where rows differ, or None for "not sent".

    Raises:
        InvalidInputError: a name that is not a string, an empty one, or another number of rows than `rows`.
    """
    if types is None:
        return None
    if isinstance(types, str):
        return checked_type("type", types)
    column: NDArray[Any] = _of_length(as_array(types, "type"), rows, "type").astype(object)
    for row, name in enumerate(column):
        column[row] = checked_type(f"type[{row}]", name)
    types_or_one: str | NDArray[Any] = _one_if_uniform(column)
    return types_or_one


def origin_column(
    origins: int | Sequence[int] | NDArray[Any] | FrameColumn | None, rows: int
) -> int | NDArray[Any] | None:
    """Return one origin for all rows, an int64 array where rows differ, or None for "not sent".

    Raises:
        InvalidInputError: an origin that is not an integer, or another number of rows than `rows`.
    """
    if origins is None:
        return None
    if not isinstance(origins, Sequence | np.ndarray) and not hasattr(origins, "to_numpy"):
        return checked_id("origin", origins)
    column = _of_length(as_array(origins, "origin"), rows, "origin")
    if column.dtype.kind not in "iu":
        checked = [checked_id(f"origin[{row}]", origin) for row, origin in enumerate(column)]
        column = np.array(checked, np.int64)
    outside = (column < 0) | (column > _LARGEST)
    if outside.any():
        row = int(outside.argmax())
        raise InvalidInputError(f"origin[{row}]", int(column[row]), "give an origin from 0 to 2**63 - 1")
    origins_or_one: int | NDArray[Any] = _one_if_uniform(column.astype(np.int64))
    return origins_or_one


def _doubles(column: NDArray[Any], field: str) -> NDArray[Any]:
    floats = column.astype(np.float64)
    good = np.isfinite(floats)
    if not good.all():
        row = int(good.argmin())
        raise InvalidInputError(f"{field}[{row}]", float(floats[row]), _FINITE)
    if column.dtype.itemsize > 8 and (floats != column).any():
        row = int((floats != column).argmax())
        raise InvalidInputError(f"{field}[{row}]", column[row], "more digits than a double holds; round it first")
    return floats


def _plain_json(value: object) -> bool:
    kind = type(value)
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if kind is str:
        return _encodable(value)  # type: ignore[arg-type]
    return value is None or kind is bool or (kind is int and -(2**63) <= value < 2**64)  # type: ignore[operator]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _of_length(column: NDArray[Any], rows: int, field: str) -> NDArray[Any]:
    if len(column) != rows:
        raise InvalidInputError(
            field, f"{len(column)} rows", f"time has {rows} rows; give as many, or one value for all"
        )
    return column


def _one_if_uniform(column: NDArray[Any]) -> Any:
    if not column.size:
        return column
    if column.dtype == object:  # compared as Python does: numpy takes trailing NULs for padding
        values = column.tolist()
        return values[0] if values.count(values[0]) == len(values) else column
    return int(column[0]) if (column == column[0]).all() else column
