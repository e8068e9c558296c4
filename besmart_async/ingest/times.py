"""Times of readings: texts to UTC unix milliseconds, in bulk.

Rules. A time with an offset (or `Z`) is a moment. Digits alone are unix milliseconds. A time without an offset was read
from a clock, and nobody can tell which: it needs a time zone, from the row or for the whole run. Where the clock is set
back an hour of it comes twice, and where it is set forward an hour does not exist. Such a time is refused unless a rule
for it is given: "earlier" and "later" take that one of the two possible moments; "infer" takes the first occurrence of
a time that comes twice as the earlier moment and the second as the later one, per file and signal, in the order of
rows, and refuses what does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.columns import Coded
from besmart_async.models.times import EPOCH, MAX_MS, MIN_MS

DstRule = Literal["earlier", "later", "infer"]
"""What to make of local times that come twice or do not exist."""

Milliseconds = int | float

_CACHED_TEXTS = 500_000
_NO_ZONE = "has no UTC offset; add it, or say --time-zone (or a column zone), such as Europe/Warsaw"
_TWICE = "comes twice in {zone}, when the clock is set back; add the offset or say --dst earlier, later or infer"
_NEVER = "does not exist in {zone}, where the clock is set forward; add the offset or say --dst earlier or later"
_THRICE = "a third {zone} reading of an hour that comes twice; add the offset"
_NOT_A_TIME = "is not an ISO 8601 time such as 2024-03-31T02:30:00+01:00, nor unix milliseconds"
_SECONDS = "looks like unix seconds; milliseconds are expected"
_RANGE = "is outside the years 1 to 9999; unix times are milliseconds here"
_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]*)?")
_FIXED = re.compile(r"(?:UTC)?([+-])([0-9]{2}):?([0-9]{2})")
_MILLISECOND = timedelta(milliseconds=1)


class UnknownZoneError(ValueError):
    """A name that no time zone has."""


@attrs.frozen
class Local:
    """A time that depends on its zone's rule: it comes twice there (`twice`), or never.

    Attributes:
        earlier: the earlier of the two moments it can mean, UTC unix milliseconds.
        later: the later one.
        twice: it comes twice; else it does not exist.
    """

    earlier: Milliseconds
    later: Milliseconds
    twice: bool


@attrs.frozen
class Problem:
    """Why a text is no time; `column` is what is at fault."""

    reason: str
    column: Literal["time", "zone"] = "time"


@lru_cache(maxsize=1000)
def zone_of(name: str) -> tzinfo:
    """Return the zone of an IANA name such as `Europe/Warsaw`, `UTC`, or a fixed offset such as `+01:00`.

    Raises:
        UnknownZoneError: there is none of that name.
    """
    fixed = _FIXED.fullmatch(name)
    if fixed:
        sign, hours, minutes = fixed.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if offset < timedelta(days=1):
            return timezone(-offset if sign == "-" else offset)
    try:
        return UTC if name in ("UTC", "Z") else ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # not found, a folder of zones, or no relative path
        raise UnknownZoneError(f"{name!r} is no time zone; give an IANA name such as Europe/Warsaw") from None


class TimeParser:
    """Parses the time columns of one file; remembers the repeated hours it has seen.

    Args:
        default_zone: zone of times that have neither an offset nor a zone in their row.
        rule: what to make of times that come twice or do not exist; None to refuse them.
    """

    def __init__(self, default_zone: str | None = None, rule: DstRule | None = None) -> None:
        self._default = default_zone
        self._rule: DstRule | None = rule
        self._caches: dict[str | None, dict[str, Milliseconds | Local | Problem]] = {}
        self._seen: dict[tuple[Hashable, int | float], int] = {}

    def parse(
        self, texts: NDArray[Any], zones: Coded | None, series: Callable[[int], Hashable]
    ) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Return the moments, and why rows have none.

        Args:
            texts: shape (n,), objects; anything else is taken as milliseconds already.
            zones: the zone of each row; empty for none.
            series: tells which signal a row belongs to; asked only for rows in a repeated hour.

        Returns:
            UTC unix milliseconds, shape (n,), int64 (float64 if any has a fraction), 0 where a row has none; and the
            problem of each such row, by its place in the column.
        """
        if texts.dtype != object:
            return texts, {}
        moments = self._moments(texts, zones)
        problems: dict[int, Problem] = {}
        if not set(map(type, moments)) <= {int, float}:
            for row, moment in enumerate(moments):
                if isinstance(moment, Local):
                    moments[row] = self._decided(moment, self._zone_name(zones, row), series(row))
                found = moments[row]
                if isinstance(found, Problem):
                    problems[row] = found
                    moments[row] = 0
        kinds = set(map(type, moments))
        return np.array(moments, np.float64 if float in kinds else np.int64), problems

    def _moments(self, texts: NDArray[Any], zones: Coded | None) -> list[Any]:
        if zones is None:
            cache = self._cache(self._default)
            return [cache[text] for text in texts.tolist()]
        used = np.unique(zones.codes).tolist()
        caches = {code: self._cache(zones.names[code] or self._default) for code in used}
        return [caches[code][text] for code, text in zip(zones.codes.tolist(), texts.tolist(), strict=True)]

    def _cache(self, zone: str | None) -> dict[str, Milliseconds | Local | Problem]:
        cache = self._caches.get(zone)
        if cache is None or len(cache) > _CACHED_TEXTS:
            cache = self._caches[zone] = _Moments(zone)
        return cache

    def _zone_name(self, zones: Coded | None, row: int) -> str | None:
        return (zones.text(row) if zones is not None else "") or self._default

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

    def __init__(self, zone: str | None) -> None:
        super().__init__()
        self._name = zone

    def __missing__(self, text: str) -> Milliseconds | Local | Problem:
        self[text] = found = parse_time(text, self._name)
        return found


def parse_time(text: str, zone: str | None = None) -> Milliseconds | Local | Problem:
    """Return what one text means: a moment, a local time that needs a rule, or why it is neither."""
    plain = text.strip()
    if _DIGITS.fullmatch(plain):
        return _unix(plain)
    try:
        return _moment(datetime.fromisoformat(plain), zone)
    except UnknownZoneError as error:
        return Problem(str(error), "zone")
    except OverflowError:
        return Problem(_RANGE)
    except ValueError:
        return Problem(_NOT_A_TIME if plain else "is empty")


def _moment(moment: datetime, zone: str | None) -> Milliseconds | Local | Problem:
    if moment.tzinfo is not None:
        return _milliseconds(moment)
    return _in_zone(moment, zone_of(zone)) if zone is not None else Problem(_NO_ZONE)


def _in_zone(moment: datetime, zone: tzinfo) -> Milliseconds | Local:
    before, after = moment.replace(tzinfo=zone), moment.replace(tzinfo=zone, fold=1)
    first, second = before.utcoffset(), after.utcoffset()
    if first == second or first is None or second is None:
        return _milliseconds(before)
    # The clock shows offset `first` before the change and `second` after it: a smaller one afterwards repeats times.
    one, other = _milliseconds(before), _milliseconds(after)
    return Local(min(one, other), max(one, other), twice=second < first)


def _milliseconds(moment: datetime) -> Milliseconds:
    whole, rest = divmod(moment - EPOCH, _MILLISECOND)
    if not MIN_MS <= whole <= MAX_MS:
        raise OverflowError
    return whole + rest.microseconds / 1000 if rest else whole


def _unix(digits: str) -> Milliseconds | Problem:
    number = float(digits)
    if not MIN_MS <= number <= MAX_MS:
        return Problem(_RANGE)
    if abs(number) < 1e11:
        # 1e11 ms is March 1973, and 1e11 s the year 5138: no reading of today is on the wrong side.
        return Problem(_SECONDS if abs(number) >= 1e8 else _NOT_A_TIME)
    return int(number) if number.is_integer() else number
