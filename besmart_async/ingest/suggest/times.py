"""The tables `[time]` and `[wide]` of a suggestion."""

from __future__ import annotations

from datetime import timedelta

from besmart_async.ingest.sources.layout import DAY_MS
from besmart_async.ingest.suggest.clock import ClockFacts
from besmart_async.ingest.suggest.document import Document
from besmart_async.ingest.suggest.known import Told
from besmart_async.ingest.suggest.roles import Roles

_HOURS = 24
_SIZES = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def duration(step: timedelta) -> str:
    """Return a duration as mapping files write it, such as `15min`."""
    seconds = int(step.total_seconds())
    size, name = next((size, name) for name, size in _SIZES if seconds % size == 0)
    return f"{seconds // size}{name}"


def write_wide(made: Document, roles: Roles) -> None:
    """Write which columns are the periods of a day."""
    layout = roles.layout
    if layout is None:
        return
    if layout.series:
        made.set("wide", "slots", "moments", "the titles are dates with times")
        made.set("wide", "first", layout.series[0].title)
        made.set("wide", "last", layout.series[-1].title)
        return
    slots = layout.slots
    assert slots is not None  # noqa: S101 - a layout of days has one or the other
    made.set("file", "layout", "wide", f"{len(slots)} columns of values in a row")
    made.set("wide", "first", slots.titles[0].strip())
    made.set("wide", "last", slots.titles[-1].strip())
    why = "titles are times on the wall clock" if slots.kind == "clock" else "titles count the periods of the day"
    made.set("wide", "slots", slots.kind, why)
    made.set("wide", "step", duration(timedelta(milliseconds=slots.step_ms)))


def write_times(made: Document, roles: Roles, clock: ClockFacts, told: Told) -> None:
    """Write how times are written, their zone, and which end of a period they are."""
    writing = clock.writing
    if writing is not None and writing.unix == "s":
        made.set("time", "format", "unix-seconds")
    elif writing is None:
        made.leave("time", "format", "%d.%m.%Y %H:%M", "how times are written; they are not all alike")
    elif len(clock.formats) == 1:
        made.set("time", "format", clock.formats[0], clock.why)
    elif clock.formats:
        made.leave("time", "format", clock.formats[0], f"whether the day or the month is first, or {clock.formats[1]}")
    _write_counted(made, roles)
    if writing is None or not writing.moments:
        _write_zone(made, clock, told)
    if clock.order:
        made.note("time", f"rows: {clock.order}")
    if roles.layout is not None:
        _write_wide_interval(made, roles)
    else:
        _write_interval(made, roles, clock)


def _write_counted(made: Document, roles: Roles) -> None:
    """Hours that are numbers: a 25th one shows that they count what has elapsed since midnight."""
    time = roles.facts("time")
    if time is None or time.writing is None or not time.writing.counted:
        return
    first, last = min(map(int, time.distinct)), max(map(int, time.distinct))
    if first == 1:
        made.set("time", "interval", "end", "hours are counted from 1")
        made.set("time", "resolution", "1h")
    if last > _HOURS:
        made.set("time", "hours", "elapsed", "a day has 25")
    else:
        made.leave("time", "hours", "elapsed", "whether the long day has 25 hours, and the short one 23")


def _write_zone(made: Document, clock: ClockFacts, told: Told) -> None:
    if told.time_zone:
        made.set("time", "zone", told.time_zone, "as --time-zone says")
    else:
        made.leave("time", "zone", "Europe/Warsaw", "the zone of these times; they have no offset")
    if told.dst:
        made.set("time", "dst", told.dst)
    elif clock.twice and not told.time_zone:
        made.leave("time", "dst", "infer", f"{clock.twice} stands twice; infer, if the clock was set back then")


def _write_interval(made: Document, roles: Roles, clock: ClockFacts) -> None:
    step = clock.step
    if step is not None:
        made.note("time", f"step: {duration(step)}")
    if clock.interval == "end":
        made.set("time", "interval", "end", clock.because)
        if step is not None:
            made.set("time", "resolution", duration(step))
        else:
            made.leave("time", "resolution", "1h", "the length of a period")
    elif clock.interval == "start":
        made.set("time", "interval", "start", clock.because)
    elif step is not None and step < timedelta(days=1):
        made.leave("time", "interval", "end", "whether times are ends of periods; without this they are starts")
        made.note("time", f'resolution = "{duration(step)}"')


def _write_wide_interval(made: Document, roles: Roles) -> None:
    slots = roles.layout.slots if roles.layout is not None else None
    if slots is None or slots.kind != "clock":
        return
    first, last = slots.starts_ms[0], slots.starts_ms[-1]
    if any("-" in title or "\u2013" in title for title in slots.titles):
        made.set("time", "interval", "start", "the titles name start and end")
    elif first > 0 and last == DAY_MS:
        made.set("time", "interval", "end", f"the titles go from {slots.titles[0].strip()} to the end of the day")
    elif first == 0 and last < DAY_MS:
        made.set("time", "interval", "start", f"the titles go from {slots.titles[0].strip()}")
