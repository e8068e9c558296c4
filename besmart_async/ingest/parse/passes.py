"""The pass of a repeated hour that a row itself names: by a mark, a word for it, or the abbreviation of its zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal

import attrs

from besmart_async.ingest.parse.zones import Local, Milliseconds, Problem

PassWord = Literal["first", "second", "summer", "winter"]
"""What `[time.zones]` may say that a row's text means: a pass of a repeated hour, or summer or winter time."""

WORDS: tuple[PassWord, ...] = ("first", "second", "summer", "winter")

_HOURS = {"WET": 0, "WEST": 1, "CET": 1, "MEZ": 1, "CEST": 2, "MESZ": 2, "EET": 2, "OEZ": 2, "EEST": 3, "OESZ": 3}
"""Offsets of abbreviations that mean the same everywhere; those of America (CST) and Asia need a zone."""

_NOT_TWICE = "is marked as a pass of a repeated hour, which does not come twice then in {zone}"
_NEVER = "does not exist in {zone}, where the clock is set forward"
_OTHER = (
    "is said to be {said}, and {zone} has {has} then; if the clock stays so all year, say its offset in [time.zones]"
)


@attrs.frozen
class NamedPass:
    """What a row says about its time.

    Attributes:
        word: "first", "second", "summer", "winter", or an abbreviation in capitals.
        said: the row's own text.
        strict: a time that does not come twice is refused, although it is the first pass.
    """

    word: str
    said: str
    strict: bool = False

    def choose(self, found: Milliseconds | Local, zone: tzinfo) -> Milliseconds | Problem:
        """Return the moment that the row means, or why there is none.

        Args:
            found: the moment of its local time, or the two that it can mean.
            zone: the zone.
        """
        if isinstance(found, Local) and not found.twice:
            return Problem(_NEVER.format(zone=zone))
        if self.word in ("first", "second"):
            if isinstance(found, Local):
                return found.later if self.word == "second" else found.earlier
            return Problem(_NOT_TWICE.format(zone=zone)) if self.strict or self.word == "second" else found
        for moment in (found.earlier, found.later) if isinstance(found, Local) else (found,):
            if self.fits(moment, zone):
                return moment
        one = found.earlier if isinstance(found, Local) else found
        return Problem(_OTHER.format(said=self.said, zone=zone, has=_local(one, zone).tzname()), "zone")

    def fits(self, moment: Milliseconds, zone: tzinfo) -> bool:
        """Whether a moment is in the pass or the part of the year that the row says; for a settled time."""
        if self.word in ("first", "second"):
            return self.word == "first" and not self.strict
        local = _local(moment, zone)
        offset = local.utcoffset()
        if self.word in ("summer", "winter"):
            return (offset != _winter_offset(zone, local.year)) == (self.word == "summer")
        return offset == fixed_offset(self.word) or local.tzname() == self.word


def fixed_offset(name: str) -> timedelta | None:
    """The offset of an abbreviation that means the same everywhere; None for others."""
    hours = _HOURS.get(name.upper())
    return None if hours is None else timedelta(hours=hours)


def fixed_zone(name: str) -> timezone | None:
    """The zone of an abbreviation that means the same everywhere; None for others."""
    offset = fixed_offset(name)
    return None if offset is None else timezone(offset, name)


@lru_cache(maxsize=1000)
def is_abbreviation(name: str, zone: tzinfo) -> bool:
    """Whether a name is an abbreviation that may say which time a zone has: `CEST`, or `EDT` in New York."""
    plain = name.upper()
    if not 2 <= len(plain) <= 5 or not plain.isalpha() or plain == "UTC":
        return False
    return plain in _HOURS or plain in {datetime(2024, month, 1, tzinfo=zone).tzname() for month in (1, 7)}


def _local(moment: Milliseconds, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC).astimezone(zone)


def _winter_offset(zone: tzinfo, year: int) -> timedelta:
    sides = (datetime(year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7))
    return min(side for side in sides if side is not None)
