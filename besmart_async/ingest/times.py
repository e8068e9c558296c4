"""Times of readings: texts and timestamps to UTC unix milliseconds, in bulk.

Rules. A time with an offset (or `Z`) is a moment. Digits alone are unix milliseconds. A time without an offset was read
from a clock, and nobody can tell which: it needs a time zone, from the row or for the whole run. Where the clock is set
back an hour of it comes twice, and where it is set forward an hour does not exist. Such a time is refused unless a rule
for it is given: "earlier" and "later" take that one of the two possible moments; "infer" takes the first occurrence of
a time that comes twice as the earlier moment and the second as the later one, per file and signal, in the order of
rows, and refuses what does not exist. "standard" says that the clock is never set forward: all times are winter time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.arrow import as_numpy, pa, pc
from besmart_async.ingest.columns import Coded, Column, as_column, as_texts
from besmart_async.ingest.stamps import ISO, Pattern, pattern_of, read_stamps
from besmart_async.ingest.time_texts import EMPTY, NO_ZONE, NOT_A_TIME, OUT_OF_RANGE, Problem, parse_time, unix_time
from besmart_async.ingest.zones import (
    Clock,
    DstRule,
    Local,
    Milliseconds,
    UnknownZoneError,
    in_zone,
    on_clock,
    zone_of,
)
from besmart_async.models.times import MAX_MS, MIN_MS

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
