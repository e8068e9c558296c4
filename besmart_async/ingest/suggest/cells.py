"""What the texts of a column are: times and how they are written, numbers, units, OBIS codes, names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs

from besmart_async.ingest.mapping.signals import unit_of
from besmart_async.ingest.parse.zones import Problem, parse_time

NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:[ .,'\u2019\u00a0\u202f][0-9]{3})+)?(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?"
)
OBIS: Final = re.compile(r"(?:[0-9]+-[0-9]+:)?[0-9]+\.[0-9]+\.[0-9]+(?:[*.&][0-9]+)?|[0-9]+-[0-9]+:[0-9]+\.[0-9]+")
_DATE: Final = re.compile(
    r"(?P<year>(?:19|20)[0-9]{2})(?P<s1>[-./]?)(?P<m1>[0-9]{1,2})(?P=s1)(?P<d1>[0-9]{1,2})"
    r"|(?P<a>[0-9]{1,2})(?P<s2>[-./])(?P<b>[0-9]{1,2})(?P=s2)(?P<y2>[0-9]{4}|[0-9]{2})"
    r"|(?P<d3>[0-9]{1,2})(?P<s3>[- ])(?P<month>[A-Za-z]{3})(?P=s3)(?P<y3>[0-9]{4})"
)
_CLOCK: Final = re.compile(
    r"(?P<hour>[0-9]{1,2})(?P<mark>[abAB]?)(?P<colon>[:.h]?)(?P<minute>[0-9]{2})(?:(?P=colon)(?P<second>[0-9]{2})"
    r"(?P<fraction>[.][0-9]+)?)?(?P<half>\s*[AaPp][Mm])?"
)
_OFFSET: Final = re.compile(r"(?P<blank>\s*)(?:Z|[+-][0-9]{2}:?[0-9]{2})")
_GAP: Final = re.compile(r"[ T,_-]*")
_COMPACT: Final = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:(?:[01][0-9]|2[0-4])[0-5][0-9](?:[0-5][0-9])?)?"
)


def plain_word(text: str) -> str:
    """Return a title in small letters and digits, without accents: `Zählpunkt-Nr.` is `zahlpunktnr`."""
    simple = unicodedata.normalize("NFKD", text.casefold().replace("ł", "l").replace("ß", "ss"))
    return re.sub(r"[^a-z0-9]", "", simple)


@attrs.frozen
class Writing:
    """How the times of a column are written.

    Attributes:
        formats: strptime formats that fit all texts, the most likely one first; empty if none is needed.
        moments: the texts have an offset, or are unix milliseconds.
        clock: "date" for days only, "time" for times of the day only, else "moment".
        midnight: hour 24 occurs.
        unix: "s" or "ms" for unix time; else an empty text.
        counted: the texts are hours counted from 0 or 1.
        marked: hours have marks such as 2A and 2B.
    """

    formats: tuple[str, ...] = ()
    moments: bool = False
    clock: str = "moment"
    midnight: bool = False
    unix: str = ""
    counted: bool = False
    marked: bool = False


def writing_of(texts: Collection[str]) -> Writing | None:
    """Return how times are written; None if some text is not a time like the others."""
    plain = [text.strip() for text in texts if text.strip()]
    if not plain:
        return None
    if all(text.isdigit() for text in plain):
        return _digits(plain)
    shapes = {_shape(text) for text in plain}
    kinds = {shape[1] for shape in shapes if shape}
    if None in shapes or ("time" in kinds and len(kinds) > 1):
        return None
    found = [shape for shape in shapes if shape]
    clock, moments = max(shape[1] for shape in found), all(shape[3] for shape in found)
    midnight = any(shape[2] for shape in found)
    marked = any(shape[4] for shape in found)
    if clock != "time" and all(_native(text) for text in plain):
        return Writing((), moments, clock, midnight, marked=marked)
    formats = [one for one in dict.fromkeys(each for shape in found for each in shape[0]) if _fits(one, plain)]
    if not formats and not marked:
        return None
    return Writing(tuple(formats), moments, clock, midnight, marked=marked)


def _digits(plain: Sequence[str]) -> Writing | None:
    """Times of digits only: unix time, or years, months, days and clock times without anything between."""
    sizes = {len(text) for text in plain}
    if sizes == {13} and all(text[0] in "12" for text in plain):
        return Writing(moments=True, unix="ms")
    if sizes == {10} and all("0800000000" <= text < "4102444800" for text in plain):
        return Writing(moments=True, unix="s")
    if len(sizes) == 1 and all(_COMPACT.fullmatch(text) for text in plain):
        formats = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[sizes.pop()]
        midnight = any(text[8:10] == "24" for text in plain)
        return Writing((formats,), clock="date" if formats == "%Y%m%d" else "moment", midnight=midnight)
    if max(sizes) <= 2 and {int(text) for text in plain} <= set(range(26)) and len(set(plain)) > 1:
        return Writing(clock="time", counted=True)
    return None


def _native(text: str) -> bool:
    return not isinstance(parse_time(_without_24(text), "UTC"), Problem)


def _without_24(text: str) -> str:
    return re.sub(r"(?<![0-9:])24(?=:?00)", "00", text)


def _fits(written: str, texts: Iterable[str]) -> bool:
    try:
        for text in texts:
            datetime.strptime(
                _without_24(text).replace("Z", "+00:00") if "%z" in written else _without_24(text), written
            )
    except ValueError:
        return False
    return True


def _shape(text: str) -> tuple[tuple[str, ...], str, bool, bool, bool] | None:
    """Return (formats, kind, hour 24, has an offset, has a mark A or B) of one text."""
    date = _DATE.match(text)
    dates = _dates(date) if date else ("",)
    place = date.end() if date else 0
    gap = _GAP.match(text, place)
    between = gap[0] if gap and date else ""
    place += len(between)
    clock = _CLOCK.match(text, place)
    if clock is None or (date is None and clock["colon"] not in (":", "h") and not clock["half"]):
        return (tuple(dates), "date", False, False, False) if date and place == len(text) and not between else None
    place = clock.end()
    offset = _OFFSET.match(text, place)
    place = offset.end() if offset else place
    if place != len(text):
        return None
    times = _times(clock)
    tail = f"{offset['blank']}%z" if offset else ""
    kind = "moment" if date else "time"
    midnight = int(clock["hour"]) == 24
    formats = tuple(f"{one}{between}{times}{tail}" for one in dates)
    return formats, kind, midnight, offset is not None, bool(clock["mark"])


def _dates(found: re.Match[str]) -> tuple[str, ...]:
    if found["year"]:
        return (found["s1"].join(("%Y", "%m", "%d")),)
    if found["month"]:
        return (found["s3"].join(("%d", "%b", "%Y")),)
    year = "%Y" if len(found["y2"]) == 4 else "%y"
    mark = found["s2"]
    day_first, month_first = mark.join(("%d", "%m", year)), mark.join(("%m", "%d", year))
    return (day_first,) if mark == "." else (day_first, month_first)  # points: nobody writes the month first


def _times(found: re.Match[str]) -> str:
    half = found["half"]
    parts = ["%I" if half else "%H", "%M", *(["%S"] if found["second"] else [])]
    blanks = half[: len(half) - 2] if half else ""
    return found["colon"].join(parts) + (".%f" if found["fraction"] else "") + (f"{blanks}%p" if half else "")


@attrs.frozen
class NumberWriting:
    """How numbers are written.

    Attributes:
        decimal: "," or "."; None if it is not certain.
        thousands: the mark between thousands; empty for none.
        example: a text that shows why, or that can be read in two ways.
    """

    decimal: str | None = "."
    thousands: str = ""
    example: str = ""


def number_writing(texts: Iterable[str]) -> NumberWriting:
    """Return how numbers are written."""
    numbers = [text.strip().lstrip("+-") for text in texts if NUMBER.fullmatch(text.strip()) and text.strip()]
    for mark, other in ((",", "."), (".", ",")):
        both = next((text for text in numbers if mark in text and other in text), None)
        if both is not None:
            decimal = mark if both.rindex(mark) > both.rindex(other) else other
            return NumberWriting(decimal, other if decimal == mark else mark, both)
    for blank in (" ", "\u00a0", "\u202f", "'", "\u2019"):
        spaced = next((text for text in numbers if blank in text), None)
        if spaced is not None:
            return NumberWriting("," if any("," in text for text in numbers) else ".", blank, spaced)
    for mark in (",", "."):
        marked = [text for text in numbers if mark in text]
        if not marked:
            continue
        many = next((text for text in marked if text.count(mark) > 1), None)
        if many is not None:
            return NumberWriting("." if mark == "," else ",", mark, many)
        proof = next((text for text in marked if not re.fullmatch(r"[1-9][0-9]{0,2}[.,][0-9]{3}", text)), None)
        long = next((text for text in numbers if mark not in text and len(text) > 3), None)
        if proof is not None or long is not None or (len(marked) == len(numbers) > 3 and mark == "."):
            return NumberWriting(mark, "", proof or marked[0])
        return NumberWriting(None, mark, max(marked, key=len))
    return NumberWriting()


def is_number(text: str) -> bool:
    """Return whether a text is a number, however it is written."""
    plain = text.strip()
    return bool(plain) and plain not in "+-" and NUMBER.fullmatch(plain) is not None


def is_time(text: str) -> bool:
    """Return whether a text has a date, with or without a time of the day."""
    plain = text.strip()
    if plain.isdigit():
        return writing_of((plain,)) is not None and len(plain) >= 8
    found = _shape(plain)
    return found is not None and found[1] != "time"


def unit_in(title: str) -> str | None:
    """Return the unit in a title such as `Energy [kWh]`, `consumptionKWh` or `Import T1 kWh`."""
    for found in re.findall(r"[\[(]([^\])]+)[\])]", title)[::-1] + re.split(r"[\s_|]+", title)[::-1]:
        unit = found.strip(" ()[]")
        if unit_of(unit) is not None and len(unit) > 1:
            return str(unit)
    joined = re.search(r"(?<=[a-z])([kM]?[KM]?Wh|[Kk]VArh|[Kk]varh|[Kk]W)$", title)
    return joined[1].replace("KW", "kW") if joined else None
