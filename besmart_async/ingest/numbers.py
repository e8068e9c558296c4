"""Values of readings: texts to doubles, in bulk."""

from __future__ import annotations

import re
from collections.abc import Collection

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.arrow import as_numpy, pa, pc
from besmart_async.ingest.columns import Column, as_column, as_texts

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BLANKS = " \t\r\n"


@attrs.frozen(eq=False)
class Numbers:
    """The values of a column.

    Attributes:
        values: doubles, shape (n,), 0 where a row has none.
        problems: why rows have none, by their place.
        absent: rows that hold nothing (a null, an empty text) or a text that was said to mean that.
    """

    values: NDArray[np.float64]
    problems: dict[int, str]
    absent: NDArray[np.bool_]


def parse_numbers(column: Column, *, decimal_comma: bool = False, missing: Collection[str] = ()) -> Numbers:
    """Return the numbers of a column.

    Args:
        column: texts or numbers.
        decimal_comma: numbers are written `1,5`.
        missing: texts that stand for a value that is missing, beside the empty one.
    """
    column = as_column(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type):
        return _of_texts(as_texts(column), decimal_comma, missing)
    absent = as_numpy(column.is_null()) if column.null_count else np.zeros(len(column), np.bool_)
    try:
        doubles = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:  # an integer that no double holds
        doubles = pc.cast(column, pa.float64(), safe=False)
    numbers = as_numpy(pc.fill_null(doubles, 0.0) if doubles.null_count else doubles)
    finite = np.isfinite(numbers)
    if finite.all():
        return Numbers(numbers, {}, absent)
    bad = np.flatnonzero(~finite).tolist()
    return Numbers(np.where(finite, numbers, 0.0), dict.fromkeys(bad, "is not finite"), absent)


def _of_texts(texts: Column, decimal_comma: bool, missing: Collection[str]) -> Numbers:
    none = np.zeros(len(texts), np.bool_)
    plain = _pointed(texts) if decimal_comma else texts
    if not missing or not pc.any(pc.is_in(texts, value_set=pa.array(list(missing), pa.string()))).as_py():
        try:
            numbers = as_numpy(pc.cast(plain, pa.float64()))
        except pa.ArrowInvalid:
            pass
        else:
            if np.isfinite(numbers).all():
                return Numbers(numbers, {}, none)
    trimmed = pc.utf8_trim(texts, _BLANKS)
    absent = as_numpy(pc.is_in(trimmed, value_set=pa.array(["", *missing], pa.string())))
    return _one_by_one(texts, pc.utf8_trim(plain, _BLANKS), absent)


def _pointed(texts: Column) -> Column:
    """Turn decimal commas into points; a text that has a point already becomes no number."""
    pointed = pc.replace_substring(texts, ",", ".")
    has_point = pc.match_substring(texts, ".")
    if pc.any(has_point).as_py():
        return pc.if_else(has_point, pc.binary_join_element_wise(texts, "?", ""), pointed)
    return pointed


def _one_by_one(texts: Column, plain: Column, absent: NDArray[np.bool_]) -> Numbers:
    """Cast the texts that are numbers beyond doubt, and look at the others alone."""
    simple = as_numpy(pc.match_substring_regex(plain, r"^-?[0-9]{1,15}(\.[0-9]{1,17})?$"))
    values = np.zeros(len(texts), np.float64)
    values[simple] = as_numpy(pc.cast(plain.filter(pa.array(simple)), pa.float64()))
    problems: dict[int, str] = {}
    for row in np.flatnonzero(~simple & ~absent).tolist():
        text = plain[row].as_py()
        number = float(text) if _NUMBER.fullmatch(text) else None
        if number is not None and np.isfinite(number):
            values[row] = number
        else:
            problems[row] = _reason(texts[row].as_py().strip(), number)
    return Numbers(values, problems, absent)


def _reason(text: str, number: float | None) -> str:
    if number is not None:
        return "is too large for a double"
    if "," in text and _NUMBER.fullmatch(text.replace(",", ".")):
        return "is not a number; if the comma is a decimal point, say --decimal-comma"
    return "is not a number"
