"""Time texts of a fixed width to numbers, many at a time: their characters are a matrix of bytes.

What does not fit a pattern exactly is left to whoever parses single texts, and says what is wrong with them.

Times of readings: texts and timestamps to UTC unix milliseconds, in bulk.

Rules. A time with an offset (or `Z`) is a moment. Digits alone are unix milliseconds. A time without an offset was read
from a clock, and nobody can tell which: it needs a time zone, from the row or for the whole run. Where the clock is set
back an hour of it comes twice, and where it is set forward an hour does not exist. Such a time is refused unless a rule
for it is given: "earlier" and "later" take that one of the two possible moments; "infer" takes the first occurrence of
a time that comes twice as the earlier moment and the second as the later one, per file and signal, in the order of
rows, and refuses what does not exist. "standard" says that the clock is never set forward: all times are winter time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
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


_CACHED_TEXTS = 500_000
_TWICE = "comes twice in {zone}, when the clock is set back; add the offset or say --dst earlier, later or infer"
_NEVER = "does not exist in {zone}, where the clock is set forward; add the offset or say --dst earlier or later"
_THRICE = "a third {zone} reading of an hour that comes twice; add the offset"
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


SeriesOf = Callable[[int], Hashable]
"""Tells which signal a row belongs to."""


class TimeParser:
    """Parses the time columns of one file; remembers the repeated hours it has seen.

    Args:
        default_zone: zone of times that have neither an offset nor a zone in their row.
        rule: what to make of times that come twice or do not exist; None to refuse them.
        written: how times are written, as for strptime; None for ISO 8601 and unix milliseconds.
    """

    def __init__(
        self, default_zone: str | None = None, rule: DstRule | None = None, written: str | None = None
    ) -> None:
        self._default = default_zone
        self._rule: DstRule | None = rule
        self._written = written
        own = pattern_of(written) if written else None
        self._patterns: dict[int, Pattern] = ({own.width: own} if own else {}) if written else ISO
        self._clocks: dict[str | None, Clock | Problem] = {}
        self._caches: dict[str | None, dict[str, Milliseconds | Local | Problem]] = {}
        self._seen: dict[tuple[Hashable, int | float], int] = {}

    def clock(self, zone: str | None) -> Clock | Problem:
        """The clock of a zone, of the default one for an empty name; or why there is none."""
        found = self._clocks.get(zone)
        if found is None:
            found = self._clocks[zone] = self._new_clock(zone or self._default)
        return found

    def parse(self, column: Column, zones: Coded | None, series: SeriesOf) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Return the moments, and why rows have none.

        Args:
            column: texts, timestamps or numbers.
            zones: the zone of each row; empty for none.
            series: tells which signal a row belongs to; asked only for rows in a repeated hour.

        Returns:
            UTC unix milliseconds, shape (n,), int64 (float64 if any has a fraction), 0 where a row has none; and the
            problem of each such row, by its place in the column.
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
        """Return the moments of times on a clock, given as its milliseconds as if it were in UTC; see `parse`."""
        moments, problems, doubtful = self._moments(clock_ms, zones)
        decided, refused = self.decide(doubtful, zones, series)
        return _placed(moments, decided, problems | refused)

    def decide(
        self, doubtful: dict[int, Local], zones: Coded | None, series: SeriesOf
    ) -> tuple[dict[int, Milliseconds], dict[int, Problem]]:
        """Choose one of two moments by the rule, in the order of rows."""
        decided: dict[int, Milliseconds] = {}
        problems: dict[int, Problem] = {}
        for row in sorted(doubtful):
            found = self._decided(doubtful[row], (zones.text(row) if zones else "") or self._default, series(row))
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
        doubtful: dict[int, Local] = {}
        for name, rows in _by_zone(zones, len(clock_ms)):
            clock = self.clock(name)
            if isinstance(clock, Problem):
                problems |= dict.fromkeys(np.arange(len(clock_ms))[rows].tolist(), clock)
                continue
            found, settled = clock.moments(clock_ms[rows])
            moments[rows] = found
            for row in np.arange(len(clock_ms))[rows][~settled].tolist():
                one = _one(int(clock_ms[row]), clock)
                if isinstance(one, Local):
                    doubtful[row] = one
                elif isinstance(one, Problem):
                    problems[row] = one
                else:
                    moments[row] = one
        return moments, problems, doubtful

    def _texts(self, texts: Column, zones: Coded | None, series: SeriesOf) -> tuple[NDArray[Any], dict[int, Problem]]:
        stamps = read_stamps(texts, self._patterns, unix=self._written is None)
        moments, problems = stamps.ms, dict[int, Problem]()
        decided: dict[int, Milliseconds] = {}
        doubtful: dict[int, Local] = {}
        clock_rows = np.flatnonzero(stamps.known & ~stamps.moment)
        if len(clock_rows):
            found, wrong, open_ = self._moments(moments[clock_rows], zones.take(clock_rows) if zones else None)
            moments = moments.copy()
            moments[clock_rows] = found
            problems |= {int(clock_rows[row]): problem for row, problem in wrong.items()}
            doubtful |= {int(clock_rows[row]): local for row, local in open_.items()}
        for row in np.flatnonzero(~stamps.known).tolist():
            one = self._cache((zones.text(row) if zones else "") or self._default)[texts[row].as_py()]
            if isinstance(one, Local):
                doubtful[row] = one
            elif isinstance(one, Problem):
                problems[row] = one
            else:
                decided[row] = one
        chosen, refused = self.decide(doubtful, zones, series)
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
            cache = self._caches[zone] = _Moments(zone, self._written, standard=self._rule == "standard")
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


class _Moments(dict[str, Milliseconds | Local | Problem]):
    """Texts of one zone and what they mean; a missing text is parsed once."""

    def __init__(self, zone: str | None, written: str | None, *, standard: bool) -> None:
        super().__init__()
        self._how: tuple[str | None, str | None, bool] = zone, written, standard

    def __missing__(self, text: str) -> Milliseconds | Local | Problem:
        zone, written, standard = self._how
        self[text] = found = parse_time(text, zone, written, standard=standard)
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
