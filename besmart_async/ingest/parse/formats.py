"""Texts of times in a format that the user names, and in ISO 8601 with the marks of metering files.

Beyond `strptime`: hour 24 (the next midnight), a mark of the pass of a repeated hour (`02a:15`, `02X`, `02:15 B`), the
abbreviation of a zone (`CEST`, `MESZ`, `EDT`), and hours that count the time elapsed since the day began (1 to 25).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import attrs

UNIX_S, UNIX_MS, EXCEL = "unix-seconds", "unix-milliseconds", "excel"
NUMBERED = (UNIX_S, UNIX_MS, EXCEL)
"""Formats of times that are numbers: the seconds or milliseconds since 1970, or the days of a spreadsheet."""

_NUMBERS = {
    "Y": r"[0-9]{4}",
    "y": r"[0-9]{2}",
    "m": r"[0-9]{1,2}",
    "d": r"[0-9]{1,2}",
    "H": r"[0-9]{1,2}",
    "I": r"[0-9]{1,2}",
    "M": r"[0-9]{1,2}",
    "S": r"[0-9]{1,2}",
    "j": r"[0-9]{1,3}",
}
_TEXTS = {"f": r"[0-9]{1,6}", "b": r"\w+\.?", "B": r"\w+", "a": r"\w+\.?", "A": r"\w+", "p": r"[AaPp]\.?[Mm]\.?"}
_OFFSET = r"Z|[+-][0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?"
_NAME = r"[A-Za-z]{2,5}"
_MARK = r"[AaBbXx*]"
_LATER_MARKS = "BX*"
_ISO = re.compile(
    rf"(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[T ](?P<H>[0-9]{{2}})(?P<mark>{_MARK})?:(?P<M>[0-9]{{2}})"
    rf"(?P<S>:[0-9]{{2}}(?:\.[0-9]{{1,6}})?)?(?:\s?(?P<end>{_MARK}))?(?P<z>{_OFFSET})?(?:\s?(?P<Z>{_NAME}))?"
)


_LATE = re.compile(r"[ T](?P<H>24(?=:)|25(?![0-9]))")
"""An hour above 23, after the day."""


@attrs.frozen
class WrittenTime:
    """What a text says.

    Attributes:
        clock: the time; with an offset it is a moment.
        second: whether a mark names the second pass of a repeated hour, or the first; None without a mark.
        mark: the mark; empty without one.
        zone: abbreviation of its zone; None without one.
        elapsed: time since the day of `clock` began, for hours that count; else None.
    """

    clock: datetime
    second: bool | None = None
    zone: str | None = None
    elapsed: timedelta | None = None
    mark: str = ""


@attrs.frozen
class TimeFormat:
    """A format that was checked: a regular expression of its texts, and the format for `strptime`.

    Attributes:
        pattern: the texts, with the groups `H`, `M`, `S`, `mark`, `end` and `Z` as far as they are there.
        written: the format without the zone's abbreviation.
    """

    pattern: re.Pattern[str]
    written: str

    def read(self, text: str, *, counting: bool) -> WrittenTime | None:
        """Return what a text says; None if it is not written in this format.

        Args:
            text: without outer blanks.
            counting: hours are counted, from 0 or 1 to 25.

        Raises:
            OverflowError: the time is outside the years 1 to 9999.
        """
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        groups = found.groupdict()
        cut = sorted((found.span(name) for name in ("mark", "end", "Z") if groups.get(name)), reverse=True)
        hour = int(groups["H"]) if groups.get("H") else 0
        late = hour == 24 and not any(int(groups.get(part) or 0) for part in "MS")
        if counting or late:
            cut = sorted([*cut, found.span("H")] if groups.get("H") else cut, reverse=True)
        plain = text
        for start, end in cut:
            filling = "00" if (counting or late) and (start, end) == found.span("H") else ""
            plain = f"{plain[:start]}{filling}{plain[end:]}"
        try:
            clock = datetime.strptime(plain.strip(), self.written)
        except ValueError:
            return None
        return _told(clock, hour, groups, counting=counting, late=late)


def read_iso(text: str, *, counting: bool) -> WrittenTime | None:
    """Return what an ISO 8601 text says that has hour 24, a mark or the abbreviation of a zone; None for other texts.

    Raises:
        OverflowError: the time is outside the years 1 to 9999.
    """
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    groups = found.groupdict()
    hour, rest = int(groups["H"]), groups["M"] + (groups["S"] or "")
    late = hour == 24 and not rest.strip("0:.")
    shown = 0 if counting or late else hour
    try:
        clock = datetime.fromisoformat(f"{groups['day']}T{shown:02}:{rest}{groups['z'] or ''}")
    except ValueError:
        return None
    return _told(clock, hour, groups, counting=counting, late=late)


def _told(
    clock: datetime, hour: int, groups: dict[str, str | None], *, counting: bool, late: bool
) -> WrittenTime | None:
    marks = [mark for mark in (groups.get("mark"), groups.get("end")) if mark]
    if len(marks) > 1 or (marks and clock.tzinfo is not None):
        return None
    second = marks[0].upper() in _LATER_MARKS if marks else None
    zone = groups.get("Z")
    if counting:
        if marks or zone or clock.tzinfo is not None:
            return None
        day = clock.replace(hour=0, minute=0, second=0, microsecond=0)
        return WrittenTime(day, elapsed=clock - day + timedelta(hours=hour))
    return WrittenTime(clock + timedelta(days=1) if late else clock, second, zone, mark=marks[0] if marks else "")


def hint_about_hours(text: str) -> str:
    """Return what to say of a text that has an hour above 23 and cannot be read; empty for other texts."""
    found = _LATE.search(text)
    if found is None:
        return ""
    if found["H"] == "24":
        return "; after 24:00 no time of that day follows"
    return '; if hours count from the beginning of the day, say time.hours = "elapsed"'


@lru_cache(maxsize=100)
def time_format(written: str) -> TimeFormat:
    """Return the format of a text that `refusal_of` does not refuse."""
    parts, plain, names = list[str](), list[str](), _directives(written)
    for place, (name, literal) in enumerate(names):
        if name == "Z":
            parts.append(rf"(?P<Z>{_NAME})")
            continue
        plain.append(f"%{name}" if name else literal)
        if not name:
            parts.append(r"\s*" if literal.isspace() else re.escape(literal))
        elif name == "z":
            parts.append(f"(?:{_OFFSET})")
        elif name in _NUMBERS:
            parts.append(_number(names, place))
        else:
            parts.append(_TEXTS.get(name, ".+"))
    if names[-1][0] in ("H", "M", "S"):
        parts.append(rf"(?:\s?(?P<end>{_MARK}))?")
    return TimeFormat(re.compile("".join(parts), re.DOTALL), "".join(plain).strip())


def _number(names: list[tuple[str, str]], place: int) -> str:
    """The expression of a directive: of its full width if digits follow or go before, since it is uncertain then."""
    name = names[place][0]
    beside = [names[index][0] for index in (place - 1, place + 1) if 0 <= index < len(names)]
    width = r"[0-9]{2}" if any(one in _NUMBERS for one in beside) and name not in "Yj" else _NUMBERS[name]
    found = f"(?P<{name}>{width})"
    return rf"{found}(?P<mark>{_MARK})?" if name == "H" and place + 1 < len(names) else found


def _directives(written: str) -> list[tuple[str, str]]:
    """The directives of a format and the texts between them, as (directive, "") and ("", text)."""
    letters = iter(written)
    found = [(next(letters, ""), "") if letter == "%" else ("", letter) for letter in letters]
    return [("", "%") if one == ("%", "") else one for one in found]


def refusal_of(written: str) -> str | None:
    """Return why a format of times cannot work; None if it can."""
    names = [name for name, _ in _directives(written) if name]
    twice = next((name for name in names if names.count(name) > 1), None)
    problem: str | None = None
    if "p" in names and "I" not in names:
        problem = "has %p, which needs the hour of 12: write %I, not %H"
    elif "I" in names and "p" not in names:
        problem = "has %I, the hour of 12, which needs %p (AM or PM); write %H for the hour of 24"
    elif twice is not None:
        problem = f"is no format of times, such as %d.%m.%Y %H:%M (a directive stands twice: %{twice})"
    elif "Z" in names and "z" in names:
        problem = "has the zone twice, as %z and %Z; leave out one"
    return problem or _refusal_by_trying(written)


def _refusal_by_trying(written: str) -> str | None:
    moment = datetime(2024, 12, 31, 23, 59, 58, tzinfo=UTC)
    plain = "".join(f"%{name}" if name else literal for name, literal in _directives(written) if name != "Z")
    try:
        read = datetime.strptime(moment.strftime(plain), plain)
    except (ValueError, re.error, IndexError, OverflowError) as error:
        return f"is no format of times, such as %d.%m.%Y %H:%M ({error})"
    return None if read.date() == moment.date() else "does not tell year, month and day; write it like %d.%m.%Y %H:%M"
