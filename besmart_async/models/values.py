"""Normal forms of the value, type and origin columns: what may be in them, and what is refused at the door."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError
from besmart_async.models.keys import checked_id
from besmart_async.models.times import as_array

JsonValue: TypeAlias = bool | int | float | str | Sequence[Any] | Mapping[str, Any] | None
"""Whatever JSON can hold."""

ValueColumn: TypeAlias = "Sequence[JsonValue] | NDArray[Any]"
"""Many values: doubles, integers, booleans, strings, null, or structured JSON."""

DOUBLE = "DBL"
"""The type name of double readings (API document, examples)."""
REMOVED = "RM"
"""The type name that marks the reading at that time as deleted (live-service knowledge)."""

MEASURED, PREDICTED, CALCULATED, ESTIMATED, CORRECTED = 1, 2, 3, 4, 5
"""Known origins of a reading; the set is open."""

_FINITE = "JSON has no NaN or infinity; leave the reading out, or give None for a null value"
_KINDS = "give doubles, integers, booleans, strings, None, or JSON structures of these"


def value_column(values: ValueColumn, field: str = "value") -> NDArray[Any]:
    """Return values as a float64, int64, bool or object array that is never a view of `values`.

    Raises:
        InvalidInputError: NaN or infinity, or a value that JSON cannot hold, named with its row.
    """
    column = as_array(values, field)
    kind = column.dtype.kind
    if kind == "f":
        floats = column.astype(np.float64)
        finite = np.isfinite(floats)
        if not finite.all():
            row = int(finite.argmin())
            raise InvalidInputError(f"{field}[{row}]", float(floats[row]), _FINITE)
        return floats
    if kind == "i" or (kind == "u" and column.dtype.itemsize < 8):
        return column.astype(np.int64)
    if kind == "b":
        return column.copy()
    objects: NDArray[Any] = column.astype(object)
    for row, value in enumerate(objects):
        if not _plain_json(value):
            objects[row] = checked_json(value, f"{field}[{row}]")
    return objects


def checked_json(value: object, field: str) -> JsonValue:
    """Return `value` with numpy scalars and containers made plain.

    Raises:
        InvalidInputError: it holds something JSON cannot.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InvalidInputError(field, key, "JSON objects have string names")
        return {key: checked_json(part, f"{field}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [checked_json(part, f"{field}[{row}]") for row, part in enumerate(value)]
    if not _plain_json(value):
        raise InvalidInputError(field, value, _FINITE if isinstance(value, float) else _KINDS)
    return value  # type: ignore[return-value]


def type_column(types: str | Sequence[str] | NDArray[Any] | None, rows: int) -> str | NDArray[Any] | None:
    """Return one type name for all rows, an object array where rows differ, or None for "not sent".

    Raises:
        InvalidInputError: a name that is not a string, an empty one, or another number of rows than `rows`.
    """
    if types is None or (type(types) is str and types):
        return types
    if isinstance(types, str):
        raise InvalidInputError("type", types, "give a type name such as 'DBL'")
    column: NDArray[Any] = _of_length(as_array(types, "type"), rows, "type").astype(object)
    for row, name in enumerate(column):
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"type[{row}]", name, "give a type name such as 'DBL'")
        column[row] = str(name)
    types_or_one: str | NDArray[Any] = _one_if_uniform(column)
    return types_or_one


def origin_column(origins: int | Sequence[int] | NDArray[Any] | None, rows: int) -> int | NDArray[Any] | None:
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
    if column.size and column.min() < 0:
        row = int((column < 0).argmax())
        raise InvalidInputError(f"origin[{row}]", int(column[row]), "give an origin of at least 0")
    origins_or_one: int | NDArray[Any] = _one_if_uniform(column.astype(np.int64))
    return origins_or_one


def _plain_json(value: object) -> bool:
    kind = type(value)
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    return value is None or kind is bool or kind is str or (kind is int and -(2**63) <= value < 2**64)  # type: ignore[operator]


def _of_length(column: NDArray[Any], rows: int, field: str) -> NDArray[Any]:
    if len(column) != rows:
        raise InvalidInputError(
            field, f"{len(column)} rows", f"time has {rows} rows; give as many, or one value for all"
        )
    return column


def _one_if_uniform(column: NDArray[Any]) -> Any:
    if column.size and (column == column[0]).all():
        return column[0] if column.dtype == object else int(column[0])
    return column
