"""Times of readings: texts, timestamps and numbers to UTC unix milliseconds, in bulk.

Rules. A time with an offset (or `Z`) is a moment. Digits alone are unix milliseconds. A time without an offset is a
local time: it needs a time zone, from the row or for the whole run. When the clock is set back, an hour repeats; when
it is set forward, an hour does not exist. Such a time is refused unless a rule is given: "earlier" and "later" choose
that one of the two possible moments; "infer" looks at the rows of the same signal around it (`repeats`), and refuses
what stays uncertain and times that do not exist. "standard" says that the clock is never set forward: all times are
winter time. A mark (`02b`) or the abbreviation of the zone (`CEST`) names the pass (`passes`).

arrow parses most texts. A text that it cannot parse, or would parse less strictly than `parse_time`, is left to that.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.parse.formats import (
    EXCEL,
    NUMBERED,
    UNIX_MS,
    UNIX_S,
    WrittenTime,
    hint_about_hours,
    read_iso,
    time_format,
)
from besmart_async.ingest.parse.numbers import parse_numbers
from besmart_async.ingest.parse.passes import WORDS, NamedPass, fixed_zone, is_abbreviation
from besmart_async.ingest.parse.repeats import Doubles, Repeats, SeriesOf
from besmart_async.ingest.parse.zones import (
    EMPTY,
    HOUR_MS,
    NO_ZONE,
    OUT_OF_RANGE,
    Clock,
    DstRule,
    Local,
    Milliseconds,
    Problem,
    UnknownZoneError,
    first_moment,
    in_zone,
    is_local,
    milliseconds,
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
_UNCERTAIN = (
    "comes twice in {zone}, and the rows around it do not say which of the two it is; add the offset or say --dst"
    " earlier or later"
)
_DOUBLE = "is the same moment as another row of this signal, near the hour that repeats in {zone}: {advice}"
_TWO_PASSES = "--dst {rule} takes two passes for one; say --dst infer, or add the offset"
_WRONG_ENDS = "time.ends = '{other}' takes it in another way"
_OTHER_ENDS = "; it is the end of a period here: time.ends = '{other}' takes it in another way"
_NOT_IN_DAY = "is not in that day, which has {hours:g} hours in {zone}; hours are counted from the day's first moment"
_NO_MARK_HERE = "names the pass or zone of a time, and the row names a zone as well"
_UNCLEAR_MARK = (
    'has a mark for a pass, and the same time stands without one; say what the mark means, such as {mark} = "second" in'
    " [time.zones]"
)
_ABBREVIATION = "has {name}, which does not say the offset by itself; say time.zone, or what it means in [time.zones]"
_NOT_A_NUMBER = "is not a number, as {written} wants"
_EXCEL_DIGITS = "has too few digits for a time of a spreadsheet: it is not a whole second"
_MOMENTS = ("UTC", "GMT", "Z")
_EXCEL_EPOCH = 25_569  # days from 1899-12-30 to 1970-01-01
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_LARGEST_DIGITS = {"Y": (9, 9, 9, 9), "m": (1, 9), "d": (3, 9), "H": (2, 9), "M": (5, 9), "S": (5, 9)}
"""strptime directives of a fixed width: the largest digit at each of their places."""
_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?"
_SMALLEST_PART = 64
"""Texts that are no longer halved to find the one that arrow cannot parse."""

_Parse = Callable[[Column], tuple[NDArray[np.int64], NDArray[np.bool_]]]


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
    """Parses the time columns of one file; remembers the repeated times that it has seen.

    Args:
        default_zone: zone of times that have neither an offset nor a zone in their row.
        rule: what to do with repeated and missing local times; None to refuse them.
        written: format of times, as for strptime, or one of `NUMBERED`; None for ISO 8601 and unix milliseconds.
        ahead_ms: how much later a label on the clock is than the time that the zone is asked for: the length of a
            period, if labels are the start of the period plus its length.
        counting: hours are counted from the beginning of the day, from 0 or 1 to 25.
        ends: a count is the end of its hour.
        names: texts for zones in the files, with the zone or pass of each (`passes.WORDS`).
    """

    def __init__(
        self,
        default_zone: str | None = None,
        rule: DstRule | None = None,
        written: str | None = None,
        *,
        ahead_ms: int = 0,
        counting: bool = False,
        ends: bool = False,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._default = default_zone
        self._rule: DstRule | None = rule
        self._written = written
        self._ahead = ahead_ms
        self._counting = counting
        self._ends = ends
        self._names = names or {}
        self._clocks: dict[str | None, Clock | Problem] = {}
        self._caches: dict[str | None, dict[str, Milliseconds | Local | Problem]] = {}
        self._repeats = Repeats()
        self._marked: dict[str, tuple[str, Milliseconds]] = {}
        self._unmarked = set[Milliseconds]()
        self._doubles = Doubles()

    def clock(self, zone: str | None) -> Clock | Problem:
        """Return the clock of a zone, for an empty name that of the default zone; or why there is none."""
        found = self._clocks.get(zone)
        if found is None:
            found = self._clocks[zone] = self._new_clock(zone or None)
        return found

    def parse(self, column: Column, zones: Coded | None, series: SeriesOf) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Return the moments, and why rows have none.

        Args:
            column: texts, timestamps or numbers.
            zones: the zone of each row; an empty text for none.
            series: returns the signals of rows; called only if a row is in a repeated hour.

        Returns:
            UTC unix milliseconds, shape (n,), int64 (float64 if any has a fraction), 0 where a row has none; and the
            problem of each such row, by its index in the column.
        """
        column = as_column(column)
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return self._timestamps(column, zones, series)
        if self._written in NUMBERED:
            return self._numbered(column, zones, series)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            if self._written is None:
                return _numbers(column)
            return self._texts(_digits(column, self._written), zones, series)
        return self._texts(as_texts(column), zones, series)

    def settle(
        self, clock_ms: NDArray[np.int64], zones: Coded | None, series: SeriesOf, ahead_ms: int | None = None
    ) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Return the moments of local times, given in milliseconds as if they were in UTC; see `parse`.

        Args:
            clock_ms: the times.
            zones: the zone of each.
            series: returns the signals of rows.
            ahead_ms: see `TimeParser`; None for the file's.
        """
        moments, problems, ambiguous = self._moments(clock_ms, zones, self._ahead if ahead_ms is None else ahead_ms)
        decided, refused = self._decide(ambiguous, zones, series, moments, problems)
        moments, problems = _placed(moments, decided, problems | refused)
        local = np.ones(len(moments), np.bool_)
        return _placed(moments, {}, problems | self._doubled(local, decided, zones, series, moments, problems))

    def _doubled(
        self,
        local: NDArray[np.bool_],
        decided: Mapping[int, Milliseconds],
        zones: Coded | None,
        series: SeriesOf,
        moments: NDArray[Any],
        problems: Collection[int],
    ) -> dict[int, Problem]:
        """Refuse local times of one signal that became one moment near a change of the clock.

        Args:
            local: the rows with local times; changed.
            decided: the rows whose pass the rule chose: "infer" did so by the rows around them.
            zones: the zone of each row.
            series: returns the signals of rows.
            moments: the moments of all rows.
            problems: rows without a moment.
        """
        local[[*problems, *(decided if self._rule == "infer" else ())]] = False
        good = np.flatnonzero(local)
        found: dict[int, Problem] = {}
        around_ms = HOUR_MS * (2 if self._ends else 1)
        for name, chosen in _by_zone(zones.take(good) if zones else None, len(good)):
            clock = self.clock(name)
            if isinstance(clock, Problem):
                continue
            here = good[chosen]
            double = self._doubles.find(here, moments[here], clock.zone, around_ms, series)
            if len(double):
                found |= dict.fromkeys(here[double].tolist(), Problem(self._double_reason(clock.zone)))
        return found

    def _double_reason(self, zone: tzinfo) -> str:
        advice = [_TWO_PASSES.format(rule=self._rule)] if self._rule in ("earlier", "later") else []
        if self._ends:
            advice.append(_WRONG_ENDS.format(other="elapsed" if self._ahead else "clock"))
        return _DOUBLE.format(zone=zone, advice=", or ".join(advice) or "add the offset")

    def _decide(
        self,
        ambiguous: dict[int, Local],
        zones: Coded | None,
        series: SeriesOf,
        moments: NDArray[Any],
        problems: Collection[int],
    ) -> tuple[dict[int, Milliseconds], dict[int, Problem]]:
        """Choose one of two moments by the rule.

        Args:
            ambiguous: the times, by row.
            zones: the zone of each row.
            series: returns the signals of rows.
            moments: the moments of all other rows.
            problems: rows without a moment.
        """
        decided: dict[int, Milliseconds] = {}
        refused: dict[int, Problem] = {}
        for row in sorted(ambiguous):
            found = self._decided(ambiguous[row], (zones.text(row) if zones else "") or self._default)
            if isinstance(found, Problem):
                refused[row] = found
            else:
                decided[row] = found
        if self._rule == "infer":
            known = moments.astype(np.float64)
            known[[*problems, *ambiguous]] = np.nan
            rows = np.arange(len(moments))
            numbers = np.broadcast_to(np.asarray(series(rows), np.int64), len(rows))
            if not ambiguous:
                self._repeats.skip(numbers, known)
                return {}, {}
            decided = self._repeats.settle(numbers, known, {row: one for row, one in ambiguous.items() if one.twice})
            refused = {row: problem for row, problem in refused.items() if row not in decided}
        return decided, refused

    def _moments(
        self, clock_ms: NDArray[np.int64], zones: Coded | None, ahead_ms: int
    ) -> tuple[NDArray[np.int64], dict[int, Problem], dict[int, Local]]:
        moments = np.zeros(len(clock_ms), np.int64)
        problems: dict[int, Problem] = {}
        ambiguous: dict[int, Local] = {}
        asked_ms = clock_ms - ahead_ms if ahead_ms else clock_ms
        for name, rows in _by_zone(zones, len(clock_ms)):
            clock = self.clock(name)
            numbers = np.arange(len(clock_ms))[rows]
            if isinstance(clock, Problem):
                problems |= dict.fromkeys(numbers.tolist(), clock)
                continue
            found, settled = clock.moments(asked_ms[rows])
            moments[rows] = found + ahead_ms if ahead_ms else found
            open_ = ~settled if clock.told is None else ~settled | _contradicted(clock, asked_ms[rows], found)
            for row in numbers[open_].tolist():
                one = _later(_one(int(asked_ms[row]), clock), ahead_ms)
                if isinstance(one, Local):
                    ambiguous[row] = one
                elif isinstance(one, Problem):
                    problems[row] = one
                else:
                    moments[row] = one
        return moments, problems, ambiguous

    def _texts(self, texts: Column, zones: Coded | None, series: SeriesOf) -> tuple[NDArray[Any], dict[int, Problem]]:
        if self._counting:
            none = np.zeros(len(texts), np.bool_)
            parsed = ParsedTexts(np.zeros(len(texts), np.int64), none, none)
        else:
            parsed = parse_texts(texts, self._written)
        moments, problems = parsed.ms, dict[int, Problem]()
        decided: dict[int, Milliseconds] = {}
        ambiguous: dict[int, Local] = {}
        clock_rows = np.flatnonzero(parsed.known & ~parsed.moment)
        if len(clock_rows):
            taken = zones.take(clock_rows) if zones else None
            found, wrong, open_ = self._moments(moments[clock_rows], taken, self._ahead)
            moments = moments.copy()
            moments[clock_rows] = found
            problems |= {int(clock_rows[row]): problem for row, problem in wrong.items()}
            ambiguous |= {int(clock_rows[row]): local for row, local in open_.items()}
        for row in np.flatnonzero(~parsed.known).tolist():
            one = self._cache((zones.text(row) if zones else "") or None)[texts[row].as_py()]
            if isinstance(one, Local):
                ambiguous[row] = one
            elif isinstance(one, Problem):
                problems[row] = one
            else:
                decided[row] = one
        self._unmarked |= {local.earlier for local in ambiguous.values()}
        seconds = {moment for _, moment in self._marked.values()} if self._rule == "infer" else set[Milliseconds]()
        for row in [row for row, local in ambiguous.items() if local.twice and local.later in seconds]:
            decided[row] = ambiguous.pop(row).earlier  # the other pass has a mark
        moments, _ = _placed(moments, decided, {})
        chosen, refused = self._decide(ambiguous, zones, series, moments, problems)
        if self._marked:
            self._unmarked |= set(chosen.values())
            refused |= self._unclear_marks(texts, decided)
        moments, problems = _placed(moments, chosen, problems | refused)
        local = parsed.known & ~parsed.moment
        local[list(ambiguous)] = True
        return _placed(moments, {}, problems | self._doubled(local, chosen, zones, series, moments, problems))

    def _unclear_marks(self, texts: Column, decided: Mapping[int, Milliseconds]) -> dict[int, Problem]:
        """Refuse marks whose moment a time without a mark may have as well: `02A` beside `02` is not the first pass."""
        found: dict[int, Problem] = {}
        paired = any(mark.upper() == "B" for mark, _ in self._marked.values())
        for row, moment in decided.items():
            mark, marked = self._marked.get(texts[row].as_py(), ("", None))
            if marked == moment and moment in self._unmarked and not (paired and mark.upper() == "A"):
                found[row] = Problem(_UNCLEAR_MARK.format(mark=mark))
        return found

    def _numbered(
        self, column: Column, zones: Coded | None, series: SeriesOf
    ) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Times that are numbers: seconds or milliseconds since 1970, or days of a spreadsheet, which are local."""
        numbers = parse_numbers(column)
        wrong = {row: Problem(_NOT_A_NUMBER.format(written=self._written)) for row in numbers.problems}
        wrong |= dict.fromkeys(np.flatnonzero(numbers.absent).tolist(), Problem(EMPTY))
        size = {UNIX_S: 1000.0, UNIX_MS: 1.0, EXCEL: 86_400_000.0}[self._written or UNIX_MS]
        ms = (numbers.values - (_EXCEL_EPOCH if self._written == EXCEL else 0)) * size
        outside = (ms < MIN_MS) | (ms > MAX_MS)
        wrong |= dict.fromkeys(np.flatnonzero(outside).tolist(), Problem(OUT_OF_RANGE))
        ms = np.where(outside, 0, ms)
        if self._written != EXCEL:
            ms = np.round(ms * 1000) / 1000  # 1717200000.1 s is 100 ms, whatever a double says
            whole = ms.astype(np.int64)
            return _placed(whole if (whole == ms).all() else ms, {}, wrong)
        seconds = np.round(ms / 1000)
        wrong |= dict.fromkeys(np.flatnonzero(np.abs(ms - seconds * 1000) > 2).tolist(), Problem(_EXCEL_DIGITS))
        moments, problems = self.settle(seconds.astype(np.int64) * 1000, zones, series)
        return _placed(moments, {}, problems | wrong)

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
        standard, default = self._rule == "standard", self._default
        meant = self._names.get(name, name) if name else default
        if meant is None or (meant in WORDS and default is None):
            return Problem(NO_ZONE)
        try:
            if name and default is not None:
                zone = zone_of(default, standard=standard)
                if meant in WORDS:
                    return Clock(zone, NamedPass(meant, name))
                if is_abbreviation(meant, zone_of(default)):
                    return Clock(zone, NamedPass(meant.upper(), name))
            return Clock(_zone_named(meant, standard=standard))
        except UnknownZoneError as error:
            return Problem(str(error), "zone")

    def _cache(self, zone: str | None) -> dict[str, Milliseconds | Local | Problem]:
        cache = self._caches.get(zone)
        if cache is None or len(cache) > _CACHED_TEXTS:
            cache = self._caches[zone] = _TextCache(partial(self._one_text, zone))
        return cache

    def _one_text(  # noqa: PLR0911 - one return for each outcome
        self, zone: str | None, text: str
    ) -> Milliseconds | Local | Problem:
        """The meaning of one text that arrow did not parse."""
        plain = text.strip()
        told = self._told(plain, zone)
        if not isinstance(told, WrittenTime):
            late = hint_about_hours(plain) if isinstance(told, Problem) else ""
            return attrs.evolve(told, reason=f"{told.reason}{late}") if isinstance(told, Problem) and late else told
        if told.clock.tzinfo is not None:
            return milliseconds(told.clock)
        if (told.second is not None or told.zone) and zone:
            return Problem(_NO_MARK_HERE)
        if told.zone and self._default is None and told.zone not in (*_MOMENTS, *self._names):
            return _without_zone(told.clock, told.zone)
        clock = self.clock(told.zone or zone)
        if isinstance(clock, Problem):
            return clock
        try:
            if told.elapsed is not None:
                return self._counted(told.clock, told.elapsed, clock)
            found = in_zone(told.clock - timedelta(milliseconds=self._ahead), clock.zone)
        except OverflowError:
            return Problem(OUT_OF_RANGE)
        pass_ = clock.told
        if told.second is not None:
            word = self._names.get(told.mark) or ("second" if told.second else "first")
            pass_ = NamedPass(word, plain, strict=True)
        chosen = found if pass_ is None else pass_.choose(found, clock.zone)
        if told.mark and not isinstance(chosen, Local | Problem):
            self._marked[text] = (told.mark, chosen + self._ahead)
        return _later(chosen, self._ahead)

    def _told(self, plain: str, zone: str | None) -> WrittenTime | Milliseconds | Local | Problem:
        """What a text says; the moment or times that a plain ISO 8601 text means; or why it is not a time."""
        if self._written is None:
            return read_iso(plain, counting=self._counting) or self._of_iso(plain, zone)
        told = time_format(self._written).read(plain, counting=self._counting)
        return told or Problem(EMPTY if not plain else f"is not written as {self._written}")

    def _of_iso(self, plain: str, zone: str | None) -> Milliseconds | Local | Problem:
        clock = self.clock(zone)
        found = parse_time(plain, None if isinstance(clock, Problem) else clock.zone, ahead_ms=self._ahead)
        if isinstance(clock, Problem):
            return clock if isinstance(found, Problem) and found.reason == NO_ZONE else found
        if clock.told is None or isinstance(found, Problem) or not is_local(plain):
            return found
        asked = _later(found, -self._ahead)
        return asked if isinstance(asked, Problem) else _later(clock.told.choose(asked, clock.zone), self._ahead)

    def _counted(self, day: datetime, elapsed: timedelta, clock: Clock) -> Milliseconds | Problem:
        first, following = (first_moment(date, clock.zone) for date in (day, day + timedelta(days=1)))
        ms = elapsed // timedelta(milliseconds=1)
        length = following - first
        if not (0 < ms <= length if self._ends else 0 <= ms < length):
            return Problem(_NOT_IN_DAY.format(hours=length / 3_600_000, zone=clock.zone))
        return first + ms

    def _decided(self, local: Local, zone: str | None) -> Milliseconds | Problem:
        if self._rule == "earlier":
            return local.earlier
        if self._rule == "later":
            return local.later
        hint = _OTHER_ENDS.format(other="elapsed" if self._ahead else "clock") if self._ends else ""
        if not local.twice:
            return Problem(_NEVER.format(zone=zone) + hint)
        return Problem((_TWICE if self._rule is None else _UNCERTAIN).format(zone=zone) + hint)


class _TextCache(dict[str, Milliseconds | Local | Problem]):
    """Texts of one zone and their meaning; a missing text is parsed once."""

    def __init__(self, parse: Callable[[str], Milliseconds | Local | Problem]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, text: str) -> Milliseconds | Local | Problem:
        self[text] = found = self._parse(text)
        return found


def _without_zone(clock: datetime, name: str) -> Milliseconds | Problem:
    """The moment of a time with an abbreviation, without a zone: in summer, `CET` may be what clocks show."""
    fixed = fixed_zone(name)
    if fixed is None:
        return Problem(_ABBREVIATION.format(name=name))
    moment = clock.replace(tzinfo=fixed)
    in_summer = moment.astimezone(zone_of("Europe/Berlin")).dst()
    return Problem(_ABBREVIATION.format(name=name)) if in_summer and "S" not in name else milliseconds(moment)


def _zone_named(name: str, *, standard: bool) -> tzinfo:
    try:
        return zone_of(name, standard=standard)
    except UnknownZoneError:
        fixed = fixed_zone(name)
        if fixed is None:
            raise
        return fixed


def _contradicted(clock: Clock, clock_ms: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which settled moments are not what their row says of them: all of one offset are alike."""
    offsets, first, which = np.unique(clock_ms - moments, return_index=True, return_inverse=True)
    assert clock.told is not None  # noqa: S101 - the caller checked
    wrong = [not clock.told.fits(int(moments[row]), clock.zone) for row in first.tolist()]
    return np.array(wrong, np.bool_)[which] if len(offsets) else np.zeros(0, np.bool_)


def _later(found: Milliseconds | Local | Problem, ms: int) -> Milliseconds | Local | Problem:
    """Return the end of a period of this length."""
    if not ms or isinstance(found, Problem):
        return found
    if isinstance(found, Local):
        return attrs.evolve(found, earlier=found.earlier + ms, later=found.later + ms)
    return found + ms


def _digits(column: Column, written: str) -> Column:
    """Whole numbers as the digits that a format describes: a leading zero is missing in them."""
    shape = TimeShape.of(written)
    numbers = column if pa.types.is_integer(column.type) else _whole(column)
    texts = pc.cast(numbers, pa.string())
    texts = pc.utf8_lpad(texts, shape.width, "0") if shape is not None else texts
    return pc.fill_null(texts, "")


def _whole(column: Column) -> Column:
    """Floating numbers as integers; null for others."""
    is_whole = pc.and_(pc.is_finite(column), pc.equal(pc.floor(column), column))
    is_whole = pc.and_(is_whole, pc.less(pc.abs(column), 1e18))
    return pc.cast(pc.if_else(is_whole, column, None), pa.int64())


def _one(clock_ms: Milliseconds, clock: Clock) -> Milliseconds | Local | Problem:
    try:
        found = in_zone(on_clock(clock_ms), clock.zone)
    except OverflowError:
        return Problem(OUT_OF_RANGE)
    return found if clock.told is None else clock.told.choose(found, clock.zone)


def _numbers(column: Column) -> tuple[NDArray[Any], dict[int, Problem]]:
    empty = as_numpy(column.is_null())
    numbers = as_numpy(_filled(column))
    good = (numbers >= MIN_MS) & (numbers <= MAX_MS) & (np.abs(numbers) >= 1e11) & ~empty
    good &= ~(((numbers >= 1.9e11) & (numbers < 2.2e11)) | ((numbers >= 1.9e13) & (numbers < 2.2e13)))  # dates
    problems: dict[int, Problem] = {}
    for row in np.flatnonzero(~good).tolist():
        found = Problem(EMPTY) if empty[row] else unix_time(float(numbers[row]))
        if isinstance(found, Problem):
            problems[row] = found
        else:
            good[row] = True
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
