"""What the times of a table show: how they are written, the step, the order of rows, and starts or ends of periods."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

import attrs

from besmart_async.ingest.suggest.cells import Writing, writing_of
from besmart_async.ingest.suggest.roles import ColumnFacts, Roles

_DAY = timedelta(days=1)
_FEWEST = 2


@attrs.frozen
class ClockFacts:
    """What the times of a table show.

    Attributes:
        writing: how they are written; None if not all of them are times.
        formats: the formats that remain; empty if none is needed.
        why: why these.
        step: the most common distance of the times of a series.
        order: "oldest first", "newest first" or "mixed"; empty for few rows.
        interval: "start" or "end"; None if the times do not show it.
        because: why.
        twice: a local time that stands twice in a series an hour apart in the order of rows.
    """

    writing: Writing | None
    formats: tuple[str, ...] = ()
    why: str = ""
    step: timedelta | None = None
    order: str = ""
    interval: str | None = None
    because: str = ""
    twice: str = ""


def clock_facts(roles: Roles) -> ClockFacts:
    """Look at the times of a table."""
    texts = time_texts(roles)
    distinct = list(dict.fromkeys(text for text in texts if text))
    time = roles.facts("time") or roles.facts("date")
    whole = time is not None and (time.exact or time.naive)
    writing = time.writing if time is not None and whole else _counted_hours(roles) or writing_of(distinct)
    if writing is None or writing.marked or writing.counted or roles.layout is not None:
        return ClockFacts(writing, *_told_apart(writing, texts))
    formats, why = _told_apart(writing, texts)
    if writing.unix:
        return ClockFacts(writing, formats, why)
    series = _series(roles, texts, formats[0] if formats else None)
    step = _step(series)
    order = _order(series)
    interval, because = _interval(roles, writing, series, step)
    return ClockFacts(
        writing, formats, why, step, order, interval, because, _twice(series) if len(formats) < _FEWEST else ""
    )


def _counted_hours(roles: Roles) -> Writing | None:
    """How days with numbers of hours are written: `01.07.2024 25`."""
    time, date = roles.facts("time"), roles.facts("date")
    if time is None or date is None or time.writing is None or not time.writing.counted or date.writing is None:
        return None
    days = date.writing.formats or ("%Y-%m-%d",)
    return Writing(tuple(f"{day} %H" for day in days), counted=True)


def time_texts(roles: Roles) -> list[str]:
    """The times of the rows, with date and time of day joined as ingest joins them."""
    time, date = roles.facts("time"), roles.facts("date")
    if time is not None and date is not None:
        return [f"{day.strip()} {clock.strip()}".strip() for day, clock in zip(date.texts, time.texts, strict=True)]
    one: ColumnFacts | None = time or date
    return [] if one is None else [text.strip() for text in one.texts]


def moment_of(text: str, written: str | None) -> datetime | None:
    """Return a time on the clock; hour 24 is the next midnight."""
    plain = re.sub(r"(?<![0-9:])24(?=:?00)", "00", text)
    try:
        found = datetime.strptime(plain, written) if written else datetime.fromisoformat(plain)
    except ValueError:
        return None
    return found.replace(tzinfo=None) + (_DAY if plain != text else timedelta())


def _told_apart(writing: Writing | None, texts: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Decide whether day or month comes first, if the rows show it."""
    if writing is None or len(writing.formats) < _FEWEST:
        formats = writing.formats if writing is not None else ()
        parts = f"{formats[0]} " if formats else ""
        shown = "%d" in parts and "%m" in parts and parts[:2] != "%Y" and "." not in parts
        return formats, "one part is above 12" if shown else ""
    smooth = [written for written in writing.formats if _is_smooth(texts, written)]
    if len(smooth) == 1:
        return (smooth[0],), "the other order of day and month would leave gaps"
    return writing.formats, ""


def _is_smooth(texts: Sequence[str], written: str) -> bool:
    """Whether the times, read in this way, cover more than a day without leaving one out."""
    days = sorted({moment.date() for text in set(texts) if (moment := moment_of(text, written))})
    return len(days) > 1 and all(after - before == _DAY for before, after in pairwise(days))


def _series(roles: Roles, texts: Sequence[str], written: str | None) -> list[list[datetime]]:
    """The times of each meter and signal type, in the order of rows."""
    keys = [facts.texts for role in ("meter", "signal", "origin") if (facts := roles.facts(role)) is not None]
    found: dict[tuple[str, ...], list[datetime]] = defaultdict(list)
    cached = lru_cache(maxsize=None)(moment_of)
    names = zip(*keys, strict=True) if keys else ((),) * len(texts)
    for name, text in zip(names, texts, strict=False):
        moment = cached(text, written)
        if moment is not None:
            found[tuple(name)].append(moment)
    return list(found.values())


def _step(series: Sequence[Sequence[datetime]]) -> timedelta | None:
    steps: Counter[timedelta] = Counter()
    for moments in series:
        ordered = sorted(set(moments))
        steps.update(after - before for before, after in pairwise(ordered))
    return steps.most_common(1)[0][0] if steps else None


def _order(series: Sequence[Sequence[datetime]]) -> str:
    signs: Counter[bool] = Counter()
    for moments in series:
        signs.update(after > before for before, after in pairwise(moments) if after != before)
    if sum(signs.values()) < _FEWEST:
        return ""
    most, many = signs.most_common(1)[0]
    if many < 0.95 * sum(signs.values()):
        return "mixed"
    return "oldest first" if most else "newest first"


def _interval(
    roles: Roles, writing: Writing, series: Sequence[Sequence[datetime]], step: timedelta | None
) -> tuple[str | None, str]:
    midnights = any(moment.hour == moment.minute == 0 for moments in series for moment in moments)
    time = roles.facts("time")
    if roles.until is not None:
        return "start", f"column {roles.columns[roles.until].title!r} has the ends"
    if writing.midnight and midnights:
        return "end", "the last label of a day is 24:00"
    for end in ("end", "start"):
        if time is not None and time.named(end):
            return end, f"the title {time.title!r}"
    return (None, "") if step is None or step >= _DAY else _of_days(series, step)


def _of_days(series: Sequence[Sequence[datetime]], step: timedelta) -> tuple[str | None, str]:
    """What the first and the last time show, if they are those of whole days."""
    first = min(min(moments) for moments in series)
    last = max(max(moments) for moments in series)
    midnight = datetime.min.time()
    if first.time() == midnight and (last + step).time() == midnight:
        return "start", f"the days go from 00:00 to {last:%H:%M}"
    if (first - step).time() == midnight and last.time() == midnight:
        return "end", f"the days go from {first:%H:%M} to 00:00"
    return None, ""


def _twice(series: Sequence[Sequence[datetime]]) -> str:
    """A time that occurs exactly twice in a series, as a repeated hour does, while nearly all occur once."""
    for moments in series:
        counts = Counter(moments)
        twice = sorted(moment for moment, many in counts.items() if many == 2)
        if twice and len(twice) * 10 <= len(counts) + 30 and {moment.date() for moment in twice} == {twice[0].date()}:
            return f"{twice[0]:%Y-%m-%d %H:%M}"
    return ""
