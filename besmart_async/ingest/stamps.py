"""Time texts of a fixed width to numbers, many at a time: their characters are a matrix of bytes.

What does not fit a pattern exactly is left to whoever parses single texts, and says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.arrow import as_numpy, pa, pc
from besmart_async.ingest.columns import Column
from besmart_async.models.times import MAX_MS, MIN_MS

_ZERO = ord("0")
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_MONTH_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
_MILLISECONDS = 13
"""Digits of unix milliseconds from 2001 to 2286."""


@attrs.frozen
class Pattern:
    """Where the parts of a time text are.

    Attributes:
        width: its length in bytes.
        parts: (position, digits) of year, month and so on, by their strptime letter; "f" is a fraction of a second.
        literals: (position, allowed bytes) of the characters between.
        zone: position of an offset such as `+01:00`; -1 for a `Z`, which is a literal; None for a time on a clock.
    """

    width: int
    parts: Mapping[str, tuple[int, int]]
    literals: tuple[tuple[int, bytes], ...]
    zone: int | None = None


def pattern_of(written: str) -> Pattern | None:
    """Return the pattern of a strptime format; None if its texts differ in width."""
    parts: dict[str, tuple[int, int]] = {}
    literals: list[tuple[int, bytes]] = []
    place = 0
    letters = iter(written)
    for letter in letters:
        if letter != "%":
            if not letter.isascii():
                return None
            literals.append((place, letter.encode()))
            place += 1
            continue
        directive = next(letters, "")
        if directive not in _WIDTHS or directive in parts:
            return None
        parts[directive] = place, _WIDTHS[directive]
        place += _WIDTHS[directive]
    return Pattern(place, parts, tuple(literals)) if {"Y", "m", "d"} <= parts.keys() else None


def _iso_patterns() -> dict[int, Pattern]:
    found: dict[int, Pattern] = {}
    for clock, fraction in (("%H:%M", 0), ("%H:%M:%S", 0), ("%H:%M:%S", 3), ("%H:%M:%S", 6)):
        plain = pattern_of(f"%Y-%m-%dT{clock}")
        if plain is None:  # pragma: no cover - the formats above have a fixed width
            continue
        parts, width = dict(plain.parts), plain.width
        literals = tuple((place, b"T " if text == b"T" else text) for place, text in plain.literals)
        if fraction:
            literals, parts["f"], width = (*literals, (width, b".,")), (width + 1, fraction), width + 1 + fraction
        found[width] = Pattern(width, parts, literals)
        found[width + 1] = Pattern(width + 1, parts, (*literals, (width, b"Z")), -1)
        found[width + 6] = Pattern(width + 6, parts, (*literals, (width, b"+-"), (width + 3, b":")), width)
    return found


ISO = _iso_patterns()
"""ISO 8601 to the minute, second, millisecond or microsecond, plain or with an offset, by their width."""


@attrs.frozen(eq=False)
class Stamps:
    """What could be read of a column of texts.

    Attributes:
        ms: unix milliseconds where the text has an offset, else milliseconds of the clock, as if it were in UTC.
        known: whether the text was read.
        moment: whether it has an offset.
    """

    ms: NDArray[np.int64]
    known: NDArray[np.bool_]
    moment: NDArray[np.bool_]


def read_stamps(texts: Column, patterns: Mapping[int, Pattern], *, unix: bool) -> Stamps:
    """Read a column of texts.

    Args:
        texts: arrow texts without nulls.
        patterns: by their width.
        unix: whether 13 digits are unix milliseconds.
    """
    rows = len(texts)
    stamps = Stamps(np.zeros(rows, np.int64), np.zeros(rows, np.bool_), np.zeros(rows, np.bool_))
    if not rows:
        return stamps
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + rows + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    widths = np.diff(bounds)
    for width in np.flatnonzero(np.bincount(np.minimum(widths, 64))).tolist():
        pattern = patterns.get(width)
        if pattern is None and not (unix and width == _MILLISECONDS):
            continue
        chosen: Any = slice(None)
        if (widths == width).all():
            if pattern is not None and pattern is ISO.get(width) and (ms := _by_arrow(texts, pattern)) is not None:
                return Stamps(ms, (ms >= MIN_MS) & (ms <= MAX_MS), np.full(rows, pattern.zone is not None))
            matrix = content[bounds[0] : bounds[-1]].reshape(rows, width)
        else:
            chosen = np.flatnonzero(widths == width)
            matrix = content[bounds[chosen][:, None] + np.arange(width)]
        ms, good = _instants(matrix, pattern) if pattern else _digits(matrix)
        stamps.ms[chosen] = ms
        stamps.known[chosen] = good
        stamps.moment[chosen] = pattern is None or pattern.zone is not None
    return stamps


def _by_arrow(texts: Column, pattern: Pattern) -> NDArray[np.int64] | None:
    """Let arrow read texts of a width that ISO 8601 has; None if one of them is not what it would write so.

    It knows less than we do (no decimal comma, no microseconds), and takes a third of the time for what it knows.
    """
    try:
        moments = pc.cast(texts, pa.timestamp("ms", None if pattern.zone is None else "UTC"))
    except pa.ArrowInvalid:
        return None
    return as_numpy(moments.cast(pa.int64()))


def _digits(matrix: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    digits = matrix - _ZERO
    powers = 10 ** np.arange(matrix.shape[1] - 1, -1, -1, dtype=np.int64)
    # A leading zero makes them no number that anybody would take for milliseconds: left to the single texts.
    return digits @ powers, (digits < 10).all(axis=1) & (digits[:, 0] > 0)


def _instants(matrix: NDArray[np.uint8], pattern: Pattern) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    columns = np.ascontiguousarray(matrix.T)
    good = np.ones(len(matrix), np.bool_)

    def number(place: int, width: int) -> NDArray[np.int32]:
        total = np.zeros(len(matrix), np.int32)
        for column in columns[place : place + width]:
            digit = column - _ZERO  # wraps round below "0": above 9 like anything else that is no digit
            np.logical_and(good, digit < 10, out=good)
            total = total * 10 + digit
        return total

    for place, allowed in pattern.literals:
        matches = columns[place] == allowed[0]
        for other in allowed[1:]:
            matches |= columns[place] == other
        good &= matches
    year, month, day = (number(*pattern.parts[letter]) for letter in "Ymd")
    hour, minute, second = (
        number(*pattern.parts[letter]) if letter in pattern.parts else np.zeros(1, np.int32) for letter in "HMS"
    )
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= day <= _MONTH_DAYS[np.minimum(month, 12)] - ((month == 2) & ~leap)
    ms = _days(year, month, day) * 86_400_000 + (hour * 3_600 + minute * 60 + second).astype(np.int64) * 1000
    if "f" in pattern.parts:
        place, width = pattern.parts["f"]
        fraction = number(place, width)
        if width == 6:
            good &= fraction % 1000 == 0  # what is finer is left to the single texts
            fraction = fraction // 1000
        ms += fraction
    if pattern.zone is not None and pattern.zone >= 0:
        hours, minutes = number(pattern.zone + 1, 2), number(pattern.zone + 4, 2)
        good &= (hours < 24) & (minutes < 60)
        ms -= np.where(columns[pattern.zone] == ord("-"), -1, 1) * (hours * 60 + minutes).astype(np.int64) * 60_000
    good &= (ms >= MIN_MS) & (ms <= MAX_MS)
    return ms, good


def _days(year: NDArray[np.int32], month: NDArray[np.int32], day: NDArray[np.int32]) -> NDArray[np.int64]:
    """Days since 1970-01-01, of years that begin in March: the leap day is then the last of its year."""
    shifted = year - (month <= 2)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days: NDArray[np.int64] = shifted.astype(np.int64) * 365 + shifted // 4 - shifted // 100 + shifted // 400
    return days + day_of_year - 719_468
