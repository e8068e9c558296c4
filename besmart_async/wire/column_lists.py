"""Columns from the parsed lists of an answer, with the place of whatever is wrong in them."""

from __future__ import annotations

from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import DecodeError, InvalidInputError
from besmart_async.models.keys import checked_id
from besmart_async.models.times import plain_array, time_column
from besmart_async.models.values import DOUBLE, MEASURED
from besmart_async.wire.found import found, integer


def times(column: list[Any], path: str) -> NDArray[Any]:
    """Return moments as `SignalData.time` holds them; `path` is that of the columns.

    Raises:
        DecodeError: one is no moment.
    """
    if not set(map(type, column)) <= {int, float}:
        row = next(row for row, moment in enumerate(column) if type(moment) not in {int, float})
        raise DecodeError(f"expected milliseconds, found {found(column[row])}", path=f"{path}.time[{row}]")
    try:
        return time_column(column)
    except InvalidInputError as error:
        raise DecodeError(f"expected milliseconds, found {error.value!r}", path=f"{path}.{error.field}") from None


def values(column: list[Any]) -> NDArray[Any]:
    """Return values as `SignalData.value` holds them."""
    kinds = set(map(type, column))
    if kinds == {float} or not kinds:
        return np.array(column, np.float64)
    return plain_array(column)


def types(column: list[Any], path: str) -> str | NDArray[Any] | None:
    """Return one type name for all rows, or one (or None for "not told") per row; `path` is the column's.

    Raises:
        DecodeError: one is no text.
    """
    if not column:
        return DOUBLE
    if not set(map(type, column)) <= {str, NoneType}:
        row = next(row for row, name in enumerate(column) if not isinstance(name, str | None))
        raise DecodeError(f"expected a type name, found {found(column[row])}", path=f"{path}[{row}]")
    if column.count(column[0]) == len(column):
        first: str | None = column[0]
        return first
    return _objects(column)


def origins(column: list[Any], path: str) -> int | NDArray[Any] | None:
    """Return one origin for all rows, or one (or None for "not told") per row; `path` is the column's.

    Raises:
        DecodeError: one is no origin.
    """
    if not column:
        return MEASURED
    if set(map(type, column)) != {int} or min(column) < 0 or max(column) >= 2**63:
        column = [None if origin is None else _origin(origin, f"{path}[{row}]") for row, origin in enumerate(column)]
    if column.count(column[0]) == len(column):
        first: int | None = column[0]
        return first
    return _objects(column) if None in column else np.array(column, np.int64)


def _origin(value: object, path: str) -> int:
    try:
        return checked_id("origin", integer(value))
    except InvalidInputError as error:
        raise DecodeError(f"no origin: {error.value!r}", path=path) from None
    except ValueError as error:
        raise DecodeError(str(error), path=path) from None


def _objects(column: list[Any]) -> NDArray[Any]:
    return np.fromiter(column, object, len(column))
