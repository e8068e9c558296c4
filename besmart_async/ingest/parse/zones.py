"""Time zones, and single time texts: the moment that a local time means, or the two when the clock changes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.models.times import EPOCH, MAX_MS, MIN_MS

if TYPE_CHECKING:
    from besmart_async.ingest.parse.passes import NamedPass

DstRule = Literal["earlier", "later", "infer", "standard"]
"""What to do with local times that come twice or do not exist (see `times`)."""

Milliseconds = int | float

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_LAST_YEAR = 2100
"""Changes of the clock are looked for up to this year: a file may have times of the year 9999 by mistake."""
_MOST_SPANS = 4_000_000
"""Days (all) or hours (456 years) that a table of offsets covers; times beyond that are settled one by one."""
_UNSETTLED = np.iinfo(np.int64).min
_MILLISECOND = timedelta(milliseconds=1)
_NAIVE_EPOCH = datetime(1970, 1, 1)


class UnknownZoneError(ValueError):
    """There is no time zone of that name."""


@attrs.frozen
class Local:
    """A local time that a clock change makes ambiguous.

    Attributes:
        earlier: the earlier of the two moments that it can mean, UTC unix milliseconds.
        later: the later one.
        twice: the time comes twice; otherwise it does not exist.
    """

    earlier: Milliseconds
    later: Milliseconds
    twice: bool


@lru_cache(maxsize=1000)
def zone_of(name: str, *, standard: bool = False) -> tzinfo:
    """Return the zone of an IANA name such as `Europe/Warsaw`, `UTC`, or a fixed offset such as `+01:00`.

    Args:
        name: the name.
        standard: winter time all year round.

    Raises:
        UnknownZoneError: there is no zone of that name.
    """
    fixed = _fixed(name)
    if fixed is not None:
        return fixed
    try:
        found = UTC if name in ("UTC", "Z") else ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not found, a folder of zones, or an absolute path
        raise UnknownZoneError(f"{name!r} is no time zone; give an IANA name such as Europe/Warsaw") from None
    return WinterTime(found) if standard else found


def _fixed(name: str) -> timezone | None:
    text = name.removeprefix("UTC")
    digits = text[1:].replace(":", "", 1)
    if text[:1] not in ("+", "-") or len(digits) != 4 or not (digits.isascii() and digits.isdigit()):
        return None
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if offset >= timedelta(days=1):
        return None
    return timezone(-offset if text[0] == "-" else offset)


class WinterTime(tzinfo):
    """A zone whose clock is never set forward: in each year the smaller of its offsets in January and July."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._offsets: dict[int, timedelta] = {}

    def utcoffset(self, moment: datetime | None, /) -> timedelta | None:
        """The offset in that year."""
        if moment is None:
            return None
        offset = self._offsets.get(moment.year)
        if offset is None:
            sides = [self._zone.utcoffset(datetime(moment.year, month, 1)) for month in (1, 7)]
            offset = self._offsets[moment.year] = min(side for side in sides if side is not None)
        return offset

    def dst(self, moment: datetime | None, /) -> timedelta | None:
        """Always zero."""
        return timedelta(0)

    def tzname(self, moment: datetime | None, /) -> str | None:
        """The zone's name, and that it is winter time."""
        return f"{self._zone} winter time"


def in_zone(clock: datetime, zone: tzinfo) -> Milliseconds | Local:
    """Return the moment of a local time, or the two that it can mean.

    Raises:
        OverflowError: the moment is outside the years 1 to 9999.
    """
    before, after = clock.replace(tzinfo=zone), clock.replace(tzinfo=zone, fold=1)
    first, second = before.utcoffset(), after.utcoffset()
    if first == second or first is None or second is None:
        return milliseconds(before)
    # The offset is `first` before the clock change and `second` after it: if it gets smaller, times repeat.
    one, other = milliseconds(before), milliseconds(after)
    return Local(min(one, other), max(one, other), twice=second < first)


def milliseconds(moment: datetime) -> Milliseconds:
    """Return the UTC unix milliseconds of an aware time.

    Raises:
        OverflowError: the moment is outside the years 1 to 9999.
    """
    whole, rest = divmod(moment - EPOCH, _MILLISECOND)
    if not MIN_MS <= whole <= MAX_MS:
        raise OverflowError
    return whole + rest.microseconds / 1000 if rest else whole


def on_clock(ms: Milliseconds) -> datetime:
    """Return a local time as a naive datetime, from its milliseconds as if it were in UTC."""
    whole = int(ms // 1)
    return _NAIVE_EPOCH + timedelta(milliseconds=whole, microseconds=round((ms - whole) * 1000))


class Clock:
    """Turns local times of a zone into moments, many at a time.

    The offset is looked up once a day: if it is the same at both ends of the day, and for both passes of a repeated
    time, it holds all day, since no zone has ever changed its offset twice within three days. Other days are looked
    up hour by hour. Times in hours with a change are left to be settled one by one.

    arrow's `assume_timezone` is not used: it has its own copy of the zones, and none of winter time.

    Args:
        zone: the zone.
        told: what rows say of their times beyond the zone; the caller applies it.
    """

    def __init__(self, zone: tzinfo, told: NamedPass | None = None) -> None:
        self.zone = zone
        self.told = told
        self._offsets: dict[int, dict[int, int]] = {DAY_MS: {}, HOUR_MS: {}}

    def moments(self, ms: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return UTC unix milliseconds, and which of them are settled.

        Args:
            ms: local times in milliseconds, as if they were in UTC.
        """
        outside = (ms < MIN_MS) | (ms > MAX_MS)
        if outside.any():
            ms = np.where(outside, 0, ms)
        offsets = self._look_up(ms, DAY_MS)
        changing = offsets == _UNSETTLED
        if changing.any():
            offsets[changing] = self._look_up(ms[changing], HOUR_MS)
        settled = offsets != _UNSETTLED
        moments = ms - np.where(settled, offsets, 0)
        settled &= (moments >= MIN_MS) & (moments <= MAX_MS) & ~outside
        return moments, settled

    def _look_up(self, ms: NDArray[np.int64], span: int) -> NDArray[np.int64]:
        """The offset of each time, if it is the same throughout the day or hour that the time is in."""
        if not len(ms):
            return np.empty(0, np.int64)
        spans = ms // span
        first, last = int(spans.min()), int(spans.max())
        if last - first > _MOST_SPANS:
            return np.full(len(ms), _UNSETTLED, np.int64)
        present = np.zeros(last - first + 1, np.bool_)
        present[spans - first] = True
        table = np.full(len(present), _UNSETTLED, np.int64)
        for place in np.flatnonzero(present).tolist():
            table[place] = self._offset(first + place, span)
        found: NDArray[np.int64] = table[spans - first]
        return found

    def _offset(self, number: int, span: int) -> int:
        offset = self._offsets[span].get(number)
        if offset is None:
            start = on_clock(number * span)
            end = start + (timedelta(milliseconds=span) - timedelta(microseconds=1))
            sides = {time.replace(tzinfo=self.zone, fold=fold).utcoffset() for time in (start, end) for fold in (0, 1)}
            side = sides.pop()
            offset = _UNSETTLED if sides or side is None else side // _MILLISECOND
            self._offsets[span][number] = offset
        return offset


def set_backs(zone: tzinfo, since_ms: float, till_ms: float) -> tuple[Milliseconds, ...]:
    """Return the moments within a day of a period at which the clock is set back."""
    years = range(on_clock(int(since_ms) - DAY_MS).year, min(on_clock(int(till_ms) + DAY_MS).year, _LAST_YEAR) + 1)
    found = [moment for year in years for moment in _set_backs_of(zone, year)]
    return tuple(moment for moment in found if since_ms - DAY_MS <= moment <= till_ms + DAY_MS)


@lru_cache(maxsize=1000)
def _set_backs_of(zone: tzinfo, year: int) -> tuple[Milliseconds, ...]:
    found: list[Milliseconds] = []
    first, last = (int(milliseconds(datetime(year, *day, tzinfo=UTC))) for day in ((1, 1), (12, 31)))
    for day in range(first, last + 1, DAY_MS):
        if _offset_at(day, zone) <= _offset_at(day + DAY_MS, zone):
            continue
        before, after = day, day + DAY_MS
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if _offset_at(middle, zone) == _offset_at(day, zone) else (before, middle)
        found.append(after)
    return tuple(found)


def _offset_at(ms: Milliseconds, zone: tzinfo) -> timedelta:
    return on_clock(ms).replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta(0)


def first_moment(date: datetime, zone: tzinfo) -> Milliseconds:
    """Return the first moment of a day: midnight, the first of two, or the clock change that skipped it.

    Raises:
        OverflowError: it is outside the years 1 to 9999.
    """
    midnight = in_zone(date, zone)
    if not isinstance(midnight, Local):
        return midnight
    if midnight.twice:
        return midnight.earlier
    for minutes in range(1, 24 * 60):
        moment = in_zone(date + timedelta(minutes=minutes), zone)
        if not isinstance(moment, Local):
            return moment
    return 0  # pragma: no cover - no zone skips a whole day


NO_ZONE = "has no UTC offset; add it, or say --time-zone (or a column zone), such as Europe/Warsaw"
NOT_A_TIME = "is not an ISO 8601 time such as 2024-03-31T02:30:00+01:00, nor unix milliseconds"
_SECONDS = "looks like unix seconds; milliseconds are expected"
OUT_OF_RANGE = "is outside the years 1 to 9999; unix times are milliseconds here"
EMPTY = "is empty"
_DATES = {8: ("YYYYMMDD", "%Y%m%d"), 12: ("YYYYMMDDHHMM", "%Y%m%d%H%M"), 14: ("YYYYMMDDHHMMSS", "%Y%m%d%H%M%S")}
"""Dates in digits, by their number."""
_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]*)?")


@attrs.frozen
class Problem:
    """Why a reading has no time; `column` is the role of the column at fault."""

    reason: str
    column: Literal["time", "slot", "zone", "value"] = "time"


def parse_time(  # noqa: PLR0911 - one return for each outcome
    text: str,
    zone: str | tzinfo | None = None,
    written: str | None = None,
    *,
    standard: bool = False,
    ahead_ms: int = 0,
) -> Milliseconds | Local | Problem:
    """Return the meaning of one text: a moment, a local time that needs a rule, or why it is neither.

    Args:
        text: the text.
        zone: zone of a time without an offset, or its name.
        written: format, as for strptime; None for ISO 8601 and unix milliseconds.
        standard: winter time all year round, for a zone that is named.
        ahead_ms: how much later a local time is than the time that the zone is asked for.
    """
    plain = text.strip()
    if written is None and _DIGITS.fullmatch(plain):
        return unix_time(float(plain))
    try:
        moment = datetime.strptime(plain, written) if written else datetime.fromisoformat(plain)
        if moment.tzinfo is not None:
            return milliseconds(moment)
        if zone is None:
            return Problem(NO_ZONE)
        known = zone_of(zone, standard=standard) if isinstance(zone, str) else zone
        found = in_zone(moment - timedelta(milliseconds=ahead_ms), known)
    except UnknownZoneError as error:
        return Problem(str(error), "zone")
    except OverflowError:
        return Problem(OUT_OF_RANGE)
    except ValueError:
        return Problem(EMPTY if not plain else f"is not written as {written}" if written else NOT_A_TIME)
    if isinstance(found, Local):
        return Local(found.earlier + ahead_ms, found.later + ahead_ms, found.twice)
    return found + ahead_ms


def is_local(text: str) -> bool:
    """Whether an ISO 8601 text has no offset."""
    return not _DIGITS.fullmatch(text) and datetime.fromisoformat(text).tzinfo is None


def unix_time(number: float) -> Milliseconds | Problem:
    """Return unix milliseconds, or why a number is not a time."""
    dated = _reads_as_date(number)
    if dated is not None:
        return dated
    if not MIN_MS <= number <= MAX_MS:
        return Problem(OUT_OF_RANGE)
    if abs(number) < 1e11:
        # 1e11 ms is March 1973, and 1e11 s is the year 5138: no reading of today is on the wrong side.
        return Problem(_SECONDS if abs(number) >= 1e8 else NOT_A_TIME)
    return int(number) if number.is_integer() else number


def _reads_as_date(number: float) -> Problem | None:
    """Refuse digits that are a date and time: as milliseconds they are in the years 1976, 2610 or 1970."""
    digits = f"{number:.0f}"
    name, written = _DATES.get(len(digits), ("", ""))
    if not name or not float(number).is_integer():
        return None
    try:
        moment = datetime.strptime(digits[:8], "%Y%m%d")
    except ValueError:
        return None
    hour, rest = digits[8:10] or "0", (digits[10:12] or "0", digits[12:14] or "0")
    if not 1900 <= moment.year <= 2100 or int(hour) > 24 or any(int(part) > 59 for part in rest):
        return None
    return Problem(f'{NOT_A_TIME}: it reads as {name}; say time.format = "{written}"')
