"""Values of readings: texts and numbers to doubles, in bulk."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.sources.columns import Column, as_column, as_numpy, as_texts, pa, pc

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUPS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+")
_BLANKS = " \t\r\n"
_GROUPED = (
    "may have {mark!r} between thousands, since it has three digits behind it wherever it stands; say"
    " values.thousands = {mark!r}, or 'none' if it is the decimal point"
)

Thousands = Literal[",", ".", " ", "'", "none"]
"""What separates groups of three digits; "none": nothing does."""


@attrs.frozen(eq=False)
class Numbers:
    """The values of a column.

    Attributes:
        values: doubles, shape (n,); 0 where a row has none.
        problems: why rows have none, by index.
        absent: rows that hold a null, an empty text, or what stands for a missing value.
        named: rows among them that hold what the user says is a missing value.
    """

    values: NDArray[np.float64]
    problems: dict[int, str]
    absent: NDArray[np.bool_]
    named: NDArray[np.bool_]


def parse_numbers(
    column: Column, *, decimal_comma: bool = False, missing: Collection[str] = (), thousands: Thousands | None = None
) -> Numbers:
    """Return the numbers of a column.

    Args:
        column: texts or numbers.
        decimal_comma: numbers are written `1,5`.
        missing: what stands for a missing value, in addition to the empty text: a text, or a number in any spelling.
        thousands: what separates groups of three digits, or "none"; None refuses columns that look as if one did.
    """
    column = as_column(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type):
        found = _of_texts(as_texts(column), decimal_comma, missing, thousands)
    else:
        found = _of_numbers(column)
    if not missing:
        return _finite(found)
    single = pa.types.is_float32(column.type) or pa.types.is_float16(column.type)
    return _finite(_without_missing(found, missing, single=single))


def _finite(found: Numbers) -> Numbers:
    """Put 0 where a row has no value."""
    if np.isfinite(found.values).all():
        return found
    return attrs.evolve(found, values=np.where(np.isfinite(found.values), found.values, 0.0))


def _of_numbers(column: Column) -> Numbers:
    absent = as_numpy(column.is_null()) if column.null_count else np.zeros(len(column), np.bool_)
    named = np.zeros(len(column), np.bool_)
    try:
        doubles = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:  # an integer that a double cannot hold exactly
        doubles = pc.cast(column, pa.float64(), safe=False)
    numbers = as_numpy(pc.fill_null(doubles, 0.0) if doubles.null_count else doubles)
    finite = np.isfinite(numbers)
    if finite.all():
        return Numbers(numbers, {}, absent, named)
    bad = np.flatnonzero(~finite).tolist()
    return Numbers(numbers, dict.fromkeys(bad, "is not finite"), absent, named)


def _without_missing(found: Numbers, missing: Collection[str], *, single: bool) -> Numbers:
    """Mark the values that stand for a missing one by their value, however they are written."""
    named = found.named.copy()
    values = found.values.astype(np.float32) if single else found.values
    for text in missing:
        number = _value_of(text)
        if number is None:
            continue
        alike = np.isnan(values) if np.isnan(number) else values == (np.float32(number) if single else number)
        named |= alike & ~found.absent
    named[[row for row, reason in found.problems.items() if named[row] and reason != "is not finite"]] = False
    problems = {row: reason for row, reason in found.problems.items() if not named[row]}
    return attrs.evolve(found, problems=problems, absent=found.absent | named, named=named)


def _value_of(text: str) -> float | None:
    """The number that a text for missing values is: `-9999`, `-9999.0`, `-9999,0`, `NaN`; None for other texts."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def _of_texts(texts: Column, decimal_comma: bool, missing: Collection[str], thousands: Thousands | None) -> Numbers:
    none = np.zeros(len(texts), np.bool_)
    grouped = texts if thousands is None or thousands == "none" else _ungrouped(texts, thousands, decimal_comma)
    plain = _pointed(grouped) if decimal_comma else grouped
    if not missing or not pc.any(pc.is_in(texts, value_set=pa.array(list(missing), pa.string()))).as_py():
        try:
            numbers = as_numpy(pc.cast(plain, pa.float64()))
        except pa.ArrowInvalid:
            pass
        else:
            if np.isfinite(numbers).all():
                grouping = {} if thousands else _maybe_grouped(texts, numbers, "," if decimal_comma else ".")
                return Numbers(numbers, grouping, none, none)
    trimmed = pc.utf8_trim(texts, _BLANKS)
    named = as_numpy(pc.is_in(trimmed, value_set=pa.array(list(missing), pa.string())))
    absent = named | as_numpy(pc.equal(trimmed, ""))
    found = _one_by_one(texts, pc.utf8_trim(plain, _BLANKS), absent, named)
    if not thousands:
        good = ~absent
        good[list(found.problems)] = False
        rows = np.flatnonzero(good)
        grouping = _maybe_grouped(trimmed.filter(pa.array(good)), found.values[rows], "," if decimal_comma else ".")
        found.problems.update({int(rows[row]): reason for row, reason in grouping.items()})
    return found


def _ungrouped(texts: Column, separator: Thousands, decimal_comma: bool) -> Column:
    """Take out what separates groups of three digits; a text that has it elsewhere is made invalid."""
    mark = {" ": r"[ \x{00A0}\x{2009}\x{202F}]", "'": r"['\x{2019}]"}.get(separator, re.escape(separator))
    point = "," if decimal_comma else r"\."
    trimmed = pc.utf8_trim(texts, _BLANKS)
    has_mark = pc.match_substring_regex(trimmed, mark)
    if not pc.any(has_mark).as_py():
        return texts
    right = pc.match_substring_regex(trimmed, f"^[+-]?[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?:{point}[0-9]*)?$")
    joined = pc.replace_substring_regex(trimmed, mark, "")
    wrong = pc.binary_join_element_wise(trimmed, "?", "")
    return pc.if_else(has_mark, pc.if_else(right, joined, wrong), texts)


def _maybe_grouped(texts: Column, numbers: NDArray[np.float64], mark: str) -> dict[int, str]:
    """Refuse numbers such as 1,012 beside 998: the mark may separate thousands, since it never stands elsewhere.

    So it is if all numbers with the mark have groups of three digits behind it, and all others are below 1000.
    """
    for part in (numbers[:1000], numbers):  # most columns show it in their first values
        # With groups, `1,012` is 1.012 here: no value is 1000 or more, and none has more than three digits.
        if not len(part) or (np.abs(part) >= 1000).any() or (np.round(part, 3) != part).any():
            return {}
        if ((np.abs(part) < 1) & (part != 0)).any():
            return {}
    has_mark = as_numpy(pc.match_substring(texts, mark))
    if not has_mark.any() or has_mark.all():
        return {}
    grouped = as_numpy(pc.match_substring_regex(texts, f"^[+-]?[1-9][0-9]{{0,2}}{re.escape(mark)}[0-9]{{3}}$"))
    if (has_mark & ~grouped).any():
        return {}
    return dict.fromkeys(np.flatnonzero(grouped).tolist(), _GROUPED.format(mark=mark))


def _pointed(texts: Column) -> Column:
    """Turn decimal commas into points; a text that already has a point is made invalid."""
    pointed = pc.replace_substring(texts, ",", ".")
    has_point = pc.match_substring(texts, ".")
    if pc.any(has_point).as_py():
        return pc.if_else(has_point, pc.binary_join_element_wise(texts, "?", ""), pointed)
    return pointed


def _one_by_one(texts: Column, plain: Column, absent: NDArray[np.bool_], named: NDArray[np.bool_]) -> Numbers:
    """Cast the texts that certainly are numbers, and parse the others one by one."""
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
    return Numbers(values, problems, absent, named)


def _reason(text: str, number: float | None) -> str:
    if number is not None:
        return "is too large for a double"
    if _GROUPS.fullmatch(text):
        return "is not a number; say values.thousands = ',' if the comma separates thousands, --decimal-comma if not"
    if "," in text and _NUMBER.fullmatch(text.replace(",", ".")):
        return "is not a number; if the comma is a decimal point, say --decimal-comma"
    return "is not a number"
