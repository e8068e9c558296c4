"""Single texts of times: what one means, or what is wrong with it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

import attrs

from besmart_async.ingest.zones import Local, Milliseconds, UnknownZoneError, in_zone, milliseconds, zone_of
from besmart_async.models.times import MAX_MS, MIN_MS

NO_ZONE = "has no UTC offset; add it, or say --time-zone (or a column zone), such as Europe/Warsaw"
NOT_A_TIME = "is not an ISO 8601 time such as 2024-03-31T02:30:00+01:00, nor unix milliseconds"
_SECONDS = "looks like unix seconds; milliseconds are expected"
OUT_OF_RANGE = "is outside the years 1 to 9999; unix times are milliseconds here"
EMPTY = "is empty"
_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]*)?")


@attrs.frozen
class Problem:
    """Why a reading has no time; `column` is what is at fault."""

    reason: str
    column: Literal["time", "slot", "zone", "value"] = "time"


def parse_time(
    text: str, zone: str | None = None, written: str | None = None, *, standard: bool = False
) -> Milliseconds | Local | Problem:
    """Return what one text means: a moment, a local time that needs a rule, or why it is neither."""
    plain = text.strip()
    if written is None and _DIGITS.fullmatch(plain):
        return unix_time(float(plain))
    try:
        moment = datetime.strptime(plain, written) if written else datetime.fromisoformat(plain)
        if moment.tzinfo is not None:
            return milliseconds(moment)
        return in_zone(moment, zone_of(zone, standard=standard)) if zone is not None else Problem(NO_ZONE)
    except UnknownZoneError as error:
        return Problem(str(error), "zone")
    except OverflowError:
        return Problem(OUT_OF_RANGE)
    except ValueError:
        return Problem(EMPTY if not plain else f"is not written as {written}" if written else NOT_A_TIME)


def unix_time(number: float) -> Milliseconds | Problem:
    """Return unix milliseconds, or why a number is none."""
    if not MIN_MS <= number <= MAX_MS:
        return Problem(OUT_OF_RANGE)
    if abs(number) < 1e11:
        # 1e11 ms is March 1973, and 1e11 s the year 5138: no reading of today is on the wrong side.
        return Problem(_SECONDS if abs(number) >= 1e8 else NOT_A_TIME)
    return int(number) if number.is_integer() else number
