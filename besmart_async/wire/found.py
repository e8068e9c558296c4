"""What a field of an answer holds, in words for an error, and as an integer."""

from __future__ import annotations

import reprlib

_NAMES: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
_BRIEFLY = reprlib.Repr()
_BRIEFLY.maxlevel, _BRIEFLY.maxstring, _BRIEFLY.maxdict, _BRIEFLY.maxlist = 2, 40, 2, 2
_LONGEST_INTEGER = 20
"""Digits of an integer in a text: more than 64 bits hold is none."""


def found(value: object) -> str:
    """Say what was found; a short part of it is shown, however large or deep it is."""
    if value is None:
        return "nothing"
    return f"{_NAMES.get(type(value), 'a number')} ({_BRIEFLY.repr(value)})"


def integer(value: object) -> int:
    """Return an integer that came as one, as a whole float or as digits in a text.

    Raises:
        ValueError: it is anything else.
    """
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        digits = value.strip()
        if digits.removeprefix("-").isdecimal() and len(digits) <= _LONGEST_INTEGER:
            return int(digits)
    raise ValueError(f"expected an integer, found {found(value)}")
