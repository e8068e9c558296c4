"""Columns of an answer as arrays: from the JSON text of a list, or from the parsed list.

From the text, Python looks at no element. A column that has one value throughout is compared with that value repeated.
Numbers are parsed by `orjson` and packed by `struct`, which takes a quarter of the time that numpy needs for a list of
floats, and refuses texts, lists and null. Whatever is unusual raises a ValueError: as a parsed list the same column is
decoded, or its error names the place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from types import NoneType
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.errors import DecodeError, InvalidInputError
from besmart_async.models.keys import checked_id
from besmart_async.models.times import MAX_MS, MIN_MS, plain_array, time_column
from besmart_async.models.values import DOUBLE, MEASURED
from besmart_async.wire.found import found, integer

K = TypeVar("K")


def times_from_text(text: bytes) -> NDArray[Any]:
    """Return moments as `SignalData.time` holds them.

    Raises:
        ValueError: there is something else among them.
    """
    parsed = _list(text)
    if not parsed:
        return np.empty(0, np.int64)
    column = _array(text, parsed)
    if column.dtype.kind == "i" and column.min() >= MIN_MS and column.max() <= MAX_MS:
        return column
    return time_column(column)


def values_from_text(text: bytes, rows: int) -> NDArray[Any]:
    """Return values as `SignalData.value` holds them.

    Raises:
        ValueError: no list of `rows` elements.
    """
    column = _list(text)
    if len(column) != rows:
        raise ValueError("not as many as moments")
    return _array(text, column) if rows else np.empty(0, np.float64)


def kinds_from_text(text: bytes, rows: int, decode: Callable[[list[Any], str], K]) -> K | None:
    """Return types or origins, decoded by `decode`: one for all, one per row, None for none.

    Raises:
        ValueError: no list of `rows` elements.
        DecodeError: an element is not a type or origin.
    """
    if text == b"null":
        return None
    element = _repeated(text, rows)
    if element is not None:
        return decode([orjson.loads(element)], "")
    column = _list(text)
    if len(column) != rows:
        raise ValueError("not as many as moments")
    return decode(column, "")


def _array(text: bytes, column: list[Any]) -> NDArray[Any]:
    """Return what `plain_array` makes of a parsed column; its text shows what it holds before each element is seen."""
    rows = len(column)
    points = text.count(b".")
    try:
        if points == rows:  # one in each, unless one is a text or a list: those cannot be packed
            return np.frombuffer(_packing("d", rows)(*column), np.float64)
        if not points and b"u" not in text and b"s" not in text:  # no true and false, which would pass for numbers
            return np.frombuffer(_packing("q", rows)(*column), np.int64)
    except struct.error:
        pass
    return plain_array(column)


@lru_cache(maxsize=64)
def _packing(kind: str, rows: int) -> Callable[..., bytes]:
    return struct.Struct(f"{rows}{kind}").pack


def _list(text: bytes) -> list[Any]:
    column = orjson.loads(text)
    if not isinstance(column, list):
        raise ValueError("not a list")  # noqa: TRY004 - of an answer, not of an argument
    return column


def _repeated(text: bytes, rows: int) -> bytes | None:
    """Return the element that the list consists of `rows` times, as text; None if it is another list.

    It need not be JSON; if it is, so is the list.
    """
    if not rows:
        return None
    comma = text.find(b",")
    element = text[1:comma]  # up to the bracket if it is the only one
    gap = b", " if text.startswith(b", ", comma) else b","
    if len(text) != rows * (len(element) + len(gap)) - len(gap) + 2:
        return None  # before as much memory is asked for
    return element if text == b"[%b]" % ((element + gap) * (rows - 1) + element) else None


def times_from_list(column: list[Any], path: str) -> NDArray[Any]:
    """Return moments as `SignalData.time` holds them; `path` is that of the columns.

    Raises:
        DecodeError: an element is not a moment.
    """
    if not set(map(type, column)) <= {int, float}:
        row = next(row for row, moment in enumerate(column) if type(moment) not in {int, float})
        raise DecodeError(f"expected milliseconds, found {found(column[row])}", path=f"{path}.time[{row}]")
    try:
        return time_column(column)
    except InvalidInputError as error:
        raise DecodeError(f"expected milliseconds, found {error.value!r}", path=f"{path}.{error.field}") from None


def values_from_list(column: list[Any]) -> NDArray[Any]:
    """Return values as `SignalData.value` holds them."""
    kinds = set(map(type, column))
    if kinds == {float} or not kinds:
        return np.array(column, np.float64)
    return plain_array(column)


def types_from_list(column: list[Any], path: str) -> str | NDArray[Any] | None:
    """Return one type name for all rows, or one (or None for "not given") per row; `path` is the column's.

    Raises:
        DecodeError: an element is not a text.
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


def origins_from_list(column: list[Any], path: str) -> int | NDArray[Any] | None:
    """Return one origin for all rows, or one (or None for "not given") per row; `path` is the column's.

    Raises:
        DecodeError: an element is not an origin.
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
