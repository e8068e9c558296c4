"""Columns from the JSON text of a list, without a look at each element from Python.

A column that says one thing throughout is compared with that thing repeated. Numbers are parsed by `orjson` and packed
by `struct`, which takes a quarter of the time that numpy needs for a list of floats and refuses texts, lists and null.
Whatever is unusual raises a ValueError: the same column as a parsed list (`column_lists`) decodes, or is told what is
wrong with it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.models.times import MAX_MS, MIN_MS, plain_array, time_column

K = TypeVar("K")


def times(text: bytes) -> NDArray[Any]:
    """Return moments as `SignalData.time` holds them.

    Raises:
        ValueError: there is something else among them.
    """
    column = _array(text, _list(text))
    if len(column) and column.dtype.kind == "i" and column.min() >= MIN_MS and column.max() <= MAX_MS:
        return column
    return time_column(column)


def values(text: bytes, rows: int) -> NDArray[Any]:
    """Return values as `SignalData.value` holds them.

    Raises:
        ValueError: no list of `rows` elements.
    """
    column = _list(text)
    if len(column) != rows:
        raise ValueError("not as many as moments")
    return _array(text, column) if rows else np.empty(0, np.float64)


def kinds(text: bytes, rows: int, decode: Callable[[list[Any], str], K]) -> K | None:
    """Return types or origins, decoded by `column_lists.types` or `.origins`: one for all, one per row, None for none.

    Raises:
        ValueError: no list of `rows` elements.
        DecodeError: one is no type or origin.
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
        raise ValueError("no list")  # noqa: TRY004 - of an answer, not of an argument
    return column


def _repeated(text: bytes, rows: int) -> bytes | None:
    """Return the element that the list consists of `rows` times, as text; None if it is no such list.

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
