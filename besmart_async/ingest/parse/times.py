"""Times of readings: texts, timestamps and numbers to UTC unix milliseconds, in bulk.

Rules. A time with an offset (or `Z`) is a moment. Digits alone are unix milliseconds. A time without an offset is a
local time: it needs a time zone, from the row or for the whole run. When the clock is set back, an hour repeats; when
it is set forward, an hour does not exist. Such a time is refused unless a rule is given: "earlier" and "later" choose
that one of the two possible moments; "infer" takes the first occurrence of a repeated time as the earlier moment and
the second as the later one, per file and signal, in the order of rows, and refuses times that do not exist. "standard"
says that the clock is never set forward: all times are winter time.

arrow parses most texts. A text that it cannot parse, or would parse less strictly than `parse_time`, is left to that.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.parse.zones import (
    EMPTY,
    NO_ZONE,
    NOT_A_TIME,
    OUT_OF_RANGE,
    Clock,
    DstRule,
    Local,
    Milliseconds,
    Problem,
    UnknownZoneError,
    in_zone,
    on_clock,
    parse_time,
    unix_time,
    zone_of,
)
from besmart_async.ingest.sources.columns import Coded, Column, as_column, as_numpy, as_texts, pa, pc
from besmart_async.models.times import MAX_MS, MIN_MS

_CACHED_TEXTS = 500_000
_TWICE = "comes twice in {zone}, when the clock is set back; add the offset or say --dst earlier, later or infer"
_NEVER = "does not exist in {zone}, where the clock is set forward; add the offset or say --dst earlier or later"
_THRICE = "a third {zone} reading of an hour that comes twice; add the offset"
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_LARGEST_DIGITS = {"Y": (9, 9, 9, 9), "m": (1, 9), "d": (3, 9), "H": (2, 9), "M": (5, 9), "S": (5, 9)}
"""strptime directives of a fixed width: the largest digit at each of their places."""
_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?"
_SMALLEST_PART = 64
"""Texts that are no longer halved to find the one that arrow cannot parse."""

_Parse = Callable[[Column], tuple[NDArray[np.int64], NDArray[np.bool_]]]
SeriesOf = Callable[[int], Hashable]
"""Returns the signal of a row, in any form."""


@attrs.frozen
class TimeShape:
    """A strptime format whose texts all have the same width.

    Attributes:
        written: the format.
        width: bytes of a text.
        digits: (index, largest digit) of each digit.
        day: index of the day of the month.
    """

    written: str
    width: int
    digits: tuple[tuple[int, int], ...]
    day: int

    @classmethod
    def of(cls, written: str) -> TimeShape | None:
        """Return the shape of a format; None if its texts differ in width, or have no date."""
        width, digits, starts = 0, list[tuple[int, int]](), dict[str, int]()
        letters = iter(written)
        for letter in letters:
            if letter == "%":
                directive = next(letters, "")
                if directive not in _LARGEST_DIGITS or directive in starts:
                    return None
                starts[directive] = width
                digits += enumerate(_LARGEST_DIGITS[directive], start=width)
                width = len(_LARGEST_DIGITS[directive]) + width
            elif not letter.isascii():
                return None
            else:
                width += 1
        return cls(written, width, tuple(digits), starts["d"]) if {"Y", "m", "d"} <= starts.keys() else None

    def parse(self, texts: Column) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Parse texts of this width. Return unix milliseconds as if they were in UTC, and which are known.

        arrow's strptime is less strict than Python's: it skips blanks, and moves a 30th of February into March. So
        the digits are checked, and the day.
        """
        _, offsets, content = texts.buffers()
        start = int(np.frombuffer(offsets, np.int32)[texts.offset])
        end = start + len(texts) * self.width
        digits = np.frombuffer(content, np.uint8)[start:end].reshape(len(texts), self.width) - ord("0")
        moments = pc.strptime(texts, self.written, "s", error_is_null=True)
        known = as_numpy(pc.is_valid(moments)).copy()
        for index, largest in self.digits:
            known &= digits[:, index] <= largest
        moments = _filled(moments.cast(pa.int64())).cast(pa.timestamp("s"))
        known &= as_numpy(pc.day(moments)) == digits[:, self.day] * 10 + digits[:, self.day + 1]
        ms = as_numpy(moments.cast(pa.int64())) * 1000
        return ms, known & (ms >= MIN_MS) & (ms <= MAX_MS)


@attrs.frozen(eq=False)
class ParsedTexts:
    """What arrow could parse of a column of texts.

    Attributes:
        ms: unix milliseconds of a text with an offset; else the local time in milliseconds, as if it were in UTC.
        known: whether the text was parsed.
        moment: whether it has an offset, or is unix milliseconds.
    """

    ms: NDArray[np.int64]
    known: NDArray[np.bool_]
    moment: NDArray[np.bool_]

    def fill(self, texts: Column, chosen: Column, parse: _Parse, *, moment: bool) -> None:
        """Parse the chosen texts."""
        rows = np.flatnonzero(as_numpy(chosen))
        if len(rows):
            self.ms[rows], self.known[rows] = parse(texts if len(rows) == len(texts) else texts.filter(chosen))
            self.moment[rows] = moment


def parse_texts(texts: Column, written: str | None = None) -> ParsedTexts:
    """Parse a column of texts.

    Args:
        texts: arrow texts without nulls.
        written: a strptime format; None for ISO 8601 and unix milliseconds.
    """
    rows = len(texts)
    parsed = ParsedTexts(np.zeros(rows, np.int64), np.zeros(rows, np.bool_), np.zeros(rows, np.bool_))
    if not rows:
        return parsed
    if written is not None:
        shape = TimeShape.of(written)
        if shape is not None:
            parsed.fill(texts, pc.equal(pc.binary_length(texts), shape.width), shape.parse, moment=False)
        return parsed
    first = texts[0].as_py()
    shapes = sorted(_SHAPES, key=lambda shape: not re.fullmatch(shape[0], first))
    regex, parse, moment = shapes[0]
    if re.fullmatch(regex, first):
        with contextlib.suppress(pa.ArrowInvalid):  # usually all texts are like the first one
            return ParsedTexts(*parse(texts), np.full(rows, moment))
    for regex, parse, moment in shapes:
        parsed.fill(texts, pc.match_substring_regex(texts, regex), partial(_halving, parse), moment=moment)
    return parsed


def _halving(parse: _Parse, texts: Column) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Parse texts of the right shape. arrow refuses all of them for one impossible date: halve them to find it."""
    try:
        return parse(texts)
    except pa.ArrowInvalid:
        rows = len(texts)
    if rows <= _SMALLEST_PART:
        return np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
    halves = [_halving(parse, texts.slice(start, rows // 2 + 1)) for start in (0, rows // 2 + 1)]
    return np.concatenate([ms for ms, _ in halves]), np.concatenate([known for _, known in halves])


def _iso(texts: Column, zone: str | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    us = as_numpy(pc.cast(texts, pa.timestamp("us", zone)).cast(pa.int64()))
    ms = us // 1000
    return ms, (ms * 1000 == us) & (ms >= MIN_MS) & (ms <= MAX_MS)


def _unix(texts: Column) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    numbers = as_numpy(pc.cast(texts, pa.int64()))
    return numbers, (numbers >= 10**12) & (as_numpy(pc.binary_length(texts)) == 13)


_SHAPES: tuple[tuple[str, _Parse, bool], ...] = (
    (f"^{_ISO}$", partial(_iso, zone=None), False),
    (f"^{_ISO}(?:Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)$", partial(_iso, zone="UTC"), True),
    ("^[1-9][0-9]{12}$", _unix, True),  # from 2001 to 2286
)
"""ISO 8601 without and with an offset, and unix milliseconds: regular expression, parser, whether it is a moment."""


class TimeParser:
    """Parses the time columns of one file; counts the repeated times that it has seen.

    Args:
        default_zone: zone of times that have neither an offset nor a zone in their row.
        rule: what to do with repeated and missing local times; None to refuse them.
        written: format of times, as for strptime; None for ISO 8601 and unix milliseconds.
    """

    def __init__(
        self, default_zone: str | None = None, rule: DstRule | None = None, written: str | None = None
    ) -> None:
        self._default = default_zone
        self._rule: DstRule | None = rule
        self._written = written
        self._clocks: dict[str | None, Clock | Problem] = {}
        self._caches: dict[str | None, dict[str, Milliseconds | Local | Problem]] = {}
        self._seen: dict[tuple[Hashable, int | float], int] = {}

    def clock(self, zone: str | None) -> Clock | Problem:
        """Return the clock of a zone, for an empty name that of the default zone; or why there is none."""
        found = self._clocks.get(zone)
        if found is None:
            found = self._clocks[zone] = self._new_clock(zone or self._default)
        return found

    def parse(self, column: Column, zones: Coded | None, series: SeriesOf) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Return the moments, and why rows have none.

        Args:
            column: texts, timestamps or numbers.
            zones: the zone of each row; an empty text for none.
            series: returns the signal of a row; called only for rows in a repeated hour.

        Returns:
            UTC unix milliseconds, shape (n,), int64 (float64 if any has a fraction), 0 where a row has none; and the
            problem of each such row, by its index in the column.
        """
        column = as_column(column)
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return self._timestamps(column, zones, series)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return _numbers(column)
        return self._texts(as_texts(column), zones, series)

    def settle(
        self, clock_ms: NDArray[np.int64], zones: Coded | None, series: SeriesOf
    ) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Return the moments of local times, given in milliseconds as if they were in UTC; see `parse`."""
        moments, problems, ambiguous = self._moments(clock_ms, zones)
        decided, refused = self._decide(ambiguous, zones, series)
        return _placed(moments, decided, problems | refused)

    def _decide(
        self, ambiguous: dict[int, Local], zones: Coded | None, series: SeriesOf
    ) -> tuple[dict[int, Milliseconds], dict[int, Problem]]:
        """Choose one of two moments by the rule, in the order of rows."""
        decided: dict[int, Milliseconds] = {}
        problems: dict[int, Problem] = {}
        for row in sorted(ambiguous):
            found = self._decided(ambiguous[row], (zones.text(row) if zones else "") or self._default, series(row))
            if isinstance(found, Problem):
                problems[row] = found
            else:
                decided[row] = found
        return decided, problems

    def _moments(
        self, clock_ms: NDArray[np.int64], zones: Coded | None
    ) -> tuple[NDArray[np.int64], dict[int, Problem], dict[int, Local]]:
        moments = np.zeros(len(clock_ms), np.int64)
        problems: dict[int, Problem] = {}
        ambiguous: dict[int, Local] = {}
        for name, rows in _by_zone(zones, len(clock_ms)):
            clock = self.clock(name)
            if isinstance(clock, Problem):
                problems |= dict.fromkeys(np.arange(len(clock_ms))[rows].tolist(), clock)
                continue
            moments[rows], settled = clock.moments(clock_ms[rows])
            for row in np.arange(len(clock_ms))[rows][~settled].tolist():
                one = _one(int(clock_ms[row]), clock)
                if isinstance(one, Local):
                    ambiguous[row] = one
                elif isinstance(one, Problem):
                    problems[row] = one
                else:
                    moments[row] = one
        return moments, problems, ambiguous

    def _texts(self, texts: Column, zones: Coded | None, series: SeriesOf) -> tuple[NDArray[Any], dict[int, Problem]]:
        parsed = parse_texts(texts, self._written)
        moments, problems = parsed.ms, dict[int, Problem]()
        decided: dict[int, Milliseconds] = {}
        ambiguous: dict[int, Local] = {}
        clock_rows = np.flatnonzero(parsed.known & ~parsed.moment)
        if len(clock_rows):
            found, wrong, open_ = self._moments(moments[clock_rows], zones.take(clock_rows) if zones else None)
            moments = moments.copy()
            moments[clock_rows] = found
            problems |= {int(clock_rows[row]): problem for row, problem in wrong.items()}
            ambiguous |= {int(clock_rows[row]): local for row, local in open_.items()}
        for row in np.flatnonzero(~parsed.known).tolist():
            one = self._cache((zones.text(row) if zones else "") or self._default)[texts[row].as_py()]
            if isinstance(one, Local):
                ambiguous[row] = one
            elif isinstance(one, Problem):
                problems[row] = one
            else:
                decided[row] = one
        chosen, refused = self._decide(ambiguous, zones, series)
        return _placed(moments, decided | chosen, problems | refused)

    def _timestamps(
        self, column: Column, zones: Coded | None, series: SeriesOf
    ) -> tuple[NDArray[Any], dict[int, Problem]]:
        empty = np.flatnonzero(as_numpy(column.is_null())).tolist() if column.null_count else []
        if pa.types.is_date(column.type):
            column = pc.cast(column, pa.timestamp("ms"))
        per_ms = _PER_SECOND[column.type.unit] / 1000
        counts = as_numpy(_filled(column.cast(pa.int64())))
        whole = counts if per_ms == 1 else counts // int(per_ms) if per_ms > 1 else counts * 1000
        rest = counts - whole * int(per_ms) if per_ms > 1 else np.zeros(1, np.int64)
        problems: dict[int, Problem]
        if column.type.tz is None:
            moments, problems = self.settle(whole, zones, series)
        else:
            moments, problems = whole, {}
            if len(whole) and (whole.min() < MIN_MS or whole.max() > MAX_MS):
                outside = np.flatnonzero((whole < MIN_MS) | (whole > MAX_MS))
                problems = dict.fromkeys(outside.tolist(), Problem(OUT_OF_RANGE))
        if rest.any():
            moments = moments + rest / per_ms
        return _placed(moments, {}, problems | dict.fromkeys(empty, Problem(EMPTY)))

    def _new_clock(self, name: str | None) -> Clock | Problem:
        if name is None:
            return Problem(NO_ZONE)
        try:
            return Clock(zone_of(name, standard=self._rule == "standard"))
        except UnknownZoneError as error:
            return Problem(str(error), "zone")

    def _cache(self, zone: str | None) -> dict[str, Milliseconds | Local | Problem]:
        cache = self._caches.get(zone)
        if cache is None or len(cache) > _CACHED_TEXTS:
            cache = self._caches[zone] = _TextCache(zone, self._written, standard=self._rule == "standard")
        return cache

    def _decided(self, local: Local, zone: str | None, series: Hashable) -> Milliseconds | Problem:
        if self._rule == "earlier":
            return local.earlier
        if self._rule == "later":
            return local.later
        if not local.twice:
            return Problem(_NEVER.format(zone=zone))
        if self._rule is None:
            return Problem(_TWICE.format(zone=zone))
        seen = self._seen[series, local.earlier] = self._seen.get((series, local.earlier), 0) + 1
        return local.earlier if seen == 1 else local.later if seen == 2 else Problem(_THRICE.format(zone=zone))


class _TextCache(dict[str, Milliseconds | Local | Problem]):
    """Texts of one zone and their meaning; a missing text is parsed once."""

    def __init__(self, zone: str | None, written: str | None, *, standard: bool) -> None:
        super().__init__()
        self._zone, self._written, self._standard = zone, written, standard

    def __missing__(self, text: str) -> Milliseconds | Local | Problem:
        self[text] = found = parse_time(text, self._zone, self._written, standard=self._standard)
        return found


def _one(clock_ms: Milliseconds, clock: Clock) -> Milliseconds | Local | Problem:
    try:
        return in_zone(on_clock(clock_ms), clock.zone)
    except OverflowError:
        return Problem(OUT_OF_RANGE)


def _numbers(column: Column) -> tuple[NDArray[Any], dict[int, Problem]]:
    empty = as_numpy(column.is_null())
    numbers = as_numpy(_filled(column))
    good = (numbers >= MIN_MS) & (numbers <= MAX_MS) & (np.abs(numbers) >= 1e11) & ~empty
    problems: dict[int, Problem] = {}
    for row in np.flatnonzero(~good).tolist():
        found = Problem(EMPTY) if empty[row] else unix_time(float(numbers[row]))
        problems[row] = found if isinstance(found, Problem) else Problem(NOT_A_TIME)
    kept = np.where(good, numbers, 0)
    whole = kept.astype(np.int64)
    return (whole if (whole == kept).all() else kept), problems


def _filled(column: Column) -> Column:
    return pc.fill_null(column, 0) if column.null_count else column


def _by_zone(zones: Coded | None, rows: int) -> list[tuple[str | None, Any]]:
    if zones is None:
        return [(None, slice(None))]
    used = np.unique(zones.codes).tolist()
    if len(used) == 1:
        return [(zones.names[used[0]], slice(None))] if rows else []
    return [(zones.names[code], zones.codes == code) for code in used]


def _placed(
    moments: NDArray[Any], decided: dict[int, Milliseconds], problems: dict[int, Problem]
) -> tuple[NDArray[Any], dict[int, Problem]]:
    if decided:
        fraction = any(isinstance(moment, float) for moment in decided.values())
        moments = moments.astype(np.float64 if fraction else moments.dtype)
        moments[list(decided)] = list(decided.values())
    if problems:
        moments = moments.copy()
        moments[list(problems)] = 0
    return moments, problems
