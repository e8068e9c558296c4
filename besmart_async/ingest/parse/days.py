"""Times of wide files: the day of a row and the slot of a column to UTC unix milliseconds.

A slot that is a local time is settled like any local time (`times`). Counted slots are the time elapsed since the day
began, which is never ambiguous if the row has as many slots as the day: on a day with a clock change, the last value
must be in the day's last slot, else the whole row is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.parse.repeats import SeriesOf
from besmart_async.ingest.parse.times import TimeParser
from besmart_async.ingest.parse.zones import Clock, Local, Milliseconds, Problem, first_moment, in_zone
from besmart_async.ingest.sources.columns import Coded, DaySlots, distinct_codes
from besmart_async.ingest.sources.layout import DAY_MS

_NOT_A_DAY = "is not a date such as 2024-03-31"
_NOT_TWICE = "has a value, though that hour does not come twice on {day:%Y-%m-%d} in {zone}"
_WRONG_LENGTH = (
    "the day lasts {slots} periods of {minutes:g} min in {zone}, but this row's last value is in the {last}.; if its"
    " columns are local times, say wide.slots = 'clock'"
)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_ONE_DAY = timedelta(days=1)


@attrs.frozen
class _Day:
    """A day in a zone: its date, local midnight as if it were in UTC, its first moment and its length."""

    date: datetime
    clock_ms: int
    start_ms: Milliseconds
    length_ms: Milliseconds


@attrs.frozen(eq=False)
class _Days:
    """The distinct days of a column, or why they are not days, and the index among them of each value's day."""

    found: list[_Day | Problem]
    index: NDArray[np.int64]

    def column(self, of: Callable[[_Day], Milliseconds]) -> NDArray[np.int64]:
        """A number of each value's day; 0 for invalid days."""
        table = np.array([int(of(day)) if isinstance(day, _Day) else 0 for day in self.found], np.int64)
        return table[self.index]

    def problems(self) -> dict[int, Problem]:
        """The problem of each value whose day is invalid."""
        refused = {number: day for number, day in enumerate(self.found) if isinstance(day, Problem)}
        if not refused:
            return {}
        wrong = np.flatnonzero(np.isin(self.index, list(refused)))
        return {row: refused[int(self.index[row])] for row in wrong.tolist()}


class DayParser:
    """Parses the slots of days in one file.

    Args:
        times: parses the local times of the same file.
        written: format of days, as for strptime; None for ISO 8601.
    """

    def __init__(self, times: TimeParser, written: str | None = None) -> None:
        self._times = times
        self._written = written
        self._days: dict[tuple[str, str | None], _Day | Problem] = {}

    def parse(
        self,
        rows: NDArray[np.int64],
        column: DaySlots,
        absent: NDArray[np.bool_],
        zones: Coded | None,
        series: SeriesOf,
        ahead_ms: int = 0,
    ) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Return the moments, and why values have none; see `TimeParser.parse`.

        Args:
            rows: row number of each value.
            column: days and slots.
            absent: missing values: they do not count as the last of their row.
            zones: the zone of each value.
            series: returns the signals of values.
            ahead_ms: how much later a title is than the time that the zone is asked for: see `TimeParser`.
        """
        days = self._of(column.day, zones)
        elapsed = column.slots.kind == "elapsed"
        starts = days.column(lambda day: day.start_ms if elapsed else day.clock_ms)
        ms = starts + np.array(column.slots.starts_ms, np.int64)[column.slot]
        refused = days.problems()
        if elapsed:
            refused |= self._of_wrong_length(rows, column, absent, days, zones)
            ms[list(refused)] = 0
            return ms, refused
        ms[list(refused)] = 0
        present = np.flatnonzero(~absent)
        order = present[np.lexsort((column.slot[present], rows[present]))]  # as the file has them
        return self._on_clock(ms, order, column, days, zones, series, refused, ahead_ms)

    def _on_clock(
        self,
        ms: NDArray[Any],
        order: NDArray[np.int64],
        column: DaySlots,
        days: _Days,
        zones: Coded | None,
        series: SeriesOf,
        refused: dict[int, Problem],
        ahead_ms: int,
    ) -> tuple[NDArray[Any], dict[int, Problem]]:
        """Settle local times: those whose titles name their pass at once, the others by the rule."""
        named = np.array(column.slots.passes, np.int64)[column.slot]
        if refused:
            order = order[~np.isin(order, list(refused))]
        plain = order[named[order] < 0]
        moments, problems = self._times.settle(
            ms[plain], zones.take(plain) if zones else None, lambda some: series(plain[some]), ahead_ms
        )
        out = np.zeros(len(ms), moments.dtype)
        out[plain] = moments
        found = {int(plain[row]): _of_slot(problem) for row, problem in problems.items()}
        decided: dict[tuple[int, int], Milliseconds | Problem] = {}
        for row in order[named[order] >= 0].tolist():
            number, slot = int(days.index[row]), int(column.slot[row])
            day = days.found[number]
            if isinstance(day, Problem):
                continue
            if (number, slot) not in decided:
                zone = zones.text(row) if zones else None
                decided[number, slot] = self._in_pass(day, column, slot, zone, ahead_ms)
            moment = decided[number, slot]
            if isinstance(moment, Problem):
                found[row] = moment
            else:
                out[row] = moment
        found |= refused
        out[list(found)] = 0
        return out, found

    def _in_pass(
        self, day: _Day, column: DaySlots, slot: int, zone: str | None, ahead_ms: int
    ) -> Milliseconds | Problem:
        clock = self._times.clock(zone)
        if isinstance(clock, Problem):
            return clock
        if column.slots.extra is not None and day.length_ms > DAY_MS:  # all columns of this day, one after the other
            return day.start_ms + slot * column.slots.step_ms
        time = in_zone(day.date + timedelta(milliseconds=column.slots.starts_ms[slot] - ahead_ms), clock.zone)
        second = column.slots.passes[slot] == 1
        if isinstance(time, Local) and time.twice:
            return (time.later if second else time.earlier) + ahead_ms
        if second or isinstance(time, Local):
            return Problem(_NOT_TWICE.format(day=day.date, zone=clock.zone), "value")
        return time + ahead_ms

    def _of_wrong_length(
        self,
        rows: NDArray[np.int64],
        column: DaySlots,
        absent: NDArray[np.bool_],
        days: _Days,
        zones: Coded | None,
    ) -> dict[int, Problem]:
        """The problem of each value whose row does not have as many slots as its day."""
        if not len(rows):
            return {}
        first = int(rows.min())
        last = np.full(int(rows.max()) - first + 1, -1, np.int64)
        present = np.flatnonzero(~absent)
        last[rows[present] - first] = column.slot[present]  # slots ascend, so the last assignment wins
        reached = last[rows - first] + 1
        step = column.slots.step_ms
        slots = days.column(lambda day: day.length_ms // step)
        # An invalid day has 0 slots here, and has its own problem already.
        wrong = (slots > 0) & (reached > 0) & ((reached > slots) | ((slots != DAY_MS // step) & (reached != slots)))
        found: dict[int, Problem] = {}
        for row in np.flatnonzero(wrong).tolist():
            clock = self._times.clock(zones.text(row) if zones else None)
            zone = clock.zone if isinstance(clock, Clock) else ""
            reason = _WRONG_LENGTH.format(slots=slots[row], minutes=step / 60_000, zone=zone, last=reached[row])
            found[row] = Problem(reason)
        return found

    def _of(self, days: Coded, zones: Coded | None) -> _Days:
        width = len(zones.names) if zones is not None else 1
        pairs = days.codes * width + (zones.codes if zones is not None else 0)
        distinct, index = distinct_codes(pairs, len(days.names) * width)
        zone_names = zones.names if zones is not None else [None]
        return _Days(
            [self._day(days.names[pair // width], zone_names[pair % width]) for pair in distinct.tolist()], index
        )

    def _day(self, text: str, zone: str | None) -> _Day | Problem:
        day = self._days.get((text, zone))
        if day is None:
            day = self._days[text, zone] = self._new_day(text, zone)
        return day

    def _new_day(self, text: str, zone: str | None) -> _Day | Problem:
        if not text:
            return Problem("is empty")
        try:
            date = datetime.strptime(text, self._written) if self._written else datetime.fromisoformat(text)
        except ValueError:
            return Problem(f"is not written as {self._written}" if self._written else _NOT_A_DAY)
        if date.tzinfo is not None or date.time() != datetime.min.time():
            return Problem(_NOT_A_DAY)
        clock = self._times.clock(zone)
        if isinstance(clock, Problem):
            return clock
        try:
            start, end = first_moment(date, clock.zone), first_moment(date + _ONE_DAY, clock.zone)
        except OverflowError:
            return Problem("is outside the years 1 to 9999")
        return _Day(date, (date - _NAIVE_EPOCH) // timedelta(milliseconds=1), start, end - start)


def _of_slot(problem: Problem) -> Problem:
    """Blame the slot, not its day."""
    return attrs.evolve(problem, column="slot") if problem.column == "time" else problem
