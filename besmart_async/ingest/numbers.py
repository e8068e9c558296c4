"""Values of readings: texts to doubles, in bulk."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PLAIN = frozenset("0123456789+-.eE")


def parse_numbers(texts: NDArray[Any], *, decimal_comma: bool = False) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Return the numbers of a column, and why rows have none.

    Args:
        texts: shape (n,), objects; anything else is taken as numbers already.
        decimal_comma: numbers are written `1,5`.

    Returns:
        Doubles, shape (n,), 0 where a row has none; and the reason for each such row, by its place in the column.
    """
    if texts.dtype != object:
        numbers = texts.astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers)).tolist()
        return np.where(np.isfinite(numbers), numbers, 0.0), dict.fromkeys(bad, "is not finite")
    column: list[str] = texts.tolist()
    if decimal_comma:
        column = [text.replace(",", ".") if "." not in text else text + "?" for text in column]
    # float() takes more than numbers (nan, 1_000, other scripts' digits): only plain characters may go its way unseen.
    if _PLAIN.issuperset("".join(column)):
        try:
            numbers = np.array(list(map(float, column)), np.float64)
        except ValueError:
            pass
        else:
            if np.isfinite(numbers).all():
                return numbers, {}
    return _one_by_one(column, texts)


def _one_by_one(column: list[str], texts: NDArray[Any]) -> tuple[NDArray[np.float64], dict[int, str]]:
    numbers = np.zeros(len(column), np.float64)
    problems: dict[int, str] = {}
    for row, text in enumerate(column):
        plain = text.strip()
        number = float(plain) if _NUMBER.fullmatch(plain) else None
        if number is not None and np.isfinite(number):
            numbers[row] = number
        else:
            problems[row] = _reason(texts[row].strip(), number)
    return numbers, problems


def _reason(text: str, number: float | None) -> str:
    if not text:
        return "is empty"
    if number is not None:
        return "is too large for a double"
    if "," in text and _NUMBER.fullmatch(text.replace(",", ".")):
        return "is not a number; if the comma is a decimal point, say --decimal-comma"
    return "is not a number"
