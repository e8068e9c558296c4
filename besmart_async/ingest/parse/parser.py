"""Chunks to readings: times, values and origins become numbers; rows that hold no reading become rejects."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.parse.days import DayParser
from besmart_async.ingest.parse.numbers import Thousands, parse_numbers
from besmart_async.ingest.parse.obis import obis_code
from besmart_async.ingest.parse.repeats import SeriesOf
from besmart_async.ingest.parse.times import TimeParser
from besmart_async.ingest.parse.zones import DstRule, Problem
from besmart_async.ingest.rejects import of_column
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Chunk, Coded, DaySlots
from besmart_async.models.times import from_ms
from besmart_async.models.values import CALCULATED, CORRECTED, ESTIMATED, MEASURED, PREDICTED

ORIGINS = {
    "": MEASURED,
    "measured": MEASURED,
    "predicted": PREDICTED,
    "calculated": CALCULATED,
    "estimated": ESTIMATED,
    "corrected": CORRECTED,
}
"""Names that an origin column may use instead of numbers; an empty field means measured."""

_MAX_ORIGIN_DIGITS = 9
_SERIES_BITS = 20
_EARLIEST_MS = 978_307_200_000  # 2001-01-01
_MOST_AHEAD_MS = 7 * 86_400_000


@attrs.frozen(kw_only=True)
class ParseOptions:
    """How to parse a file.

    Attributes:
        time_zone: zone of times without an offset, if the row names none.
        dst: what to do with local times that come twice or do not exist; None refuses them.
        time_format: format of times, as for strptime, or one of `formats.NUMBERED`; None for ISO 8601 and unix
            milliseconds.
        interval: which end of its period the time of a reading is. The service gets the start; readings of registers,
            which have no period, keep their time.
        resolution_ms: length of a period, for times that are ends; the columns of a wide file say it.
        decimal_comma: values are written `1,5`.
        missing: what stands for a missing value, as a text or as a number in any spelling: such readings are left out,
            not rejected.
        unit: unit of values if the row names none.
        origins: the file's own names of origins.
        signals: the file's own names of signal types, with the OBIS code, symbol or id of each.
        ignored: names of signal types whose readings are left out.
        factors: what the values of a meter are multiplied by, by the meter's name: the ratio of its transformers.
        ends: what local labels at the end of periods are: "clock": the start on the clock plus the length; "elapsed":
            the time at the end. They differ where the clock changes.
        hours: "elapsed": hours are counted from the beginning of the day, from 0 or 1 to 25.
        zone_names: texts of the column for the zone, with a zone, or with a pass of a repeated hour
            (`passes.WORDS`).
        thousands: what separates groups of three digits; None refuses columns that look as if something did.
        earliest_ms: readings before are refused; None for the year 2001: a clock that was not set counts from 2000.
        latest_ms: readings after are refused; None for some days from now, but for predicted ones.
        history: "ignore" leaves out values of past billing periods (OBIS `*01`), instead of refusing them.
    """

    time_zone: str | None = None
    dst: DstRule | None = None
    time_format: str | None = None
    interval: Literal["start", "end"] = "start"
    resolution_ms: int | None = None
    decimal_comma: bool = False
    missing: tuple[str, ...] = ()
    unit: str | None = None
    origins: Mapping[str, int] = attrs.field(factory=dict[str, int])
    signals: Mapping[str, str] = attrs.field(factory=dict[str, str])
    ignored: frozenset[str] = frozenset()
    factors: Mapping[str, float] = attrs.field(factory=dict[str, float])
    ends: Literal["clock", "elapsed"] = "clock"
    hours: Literal["clock", "elapsed"] = "clock"
    zone_names: Mapping[str, str] = attrs.field(factory=dict[str, str])
    thousands: Thousands | None = None
    earliest_ms: float | None = None
    latest_ms: float | None = None
    history: Literal["reject", "ignore"] = "reject"

    def __repr__(self) -> str:
        """The fields, with the former name of the class, and without the newer ones if they are not set.

        `besmart ingest` digests this text into the scope of its checkpoints: with another text it would not find what
        earlier versions have sent, and send it again.
        """
        plain = type(self)()
        held = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if field.name not in _NEWER or getattr(self, field.name) != getattr(plain, field.name)
        }
        values = ", ".join(f"{name}={value!r}" for name, value in held.items())
        return f"Reading({values})"


_NEWER = {"factors", "ends", "hours", "zone_names", "thousands", "earliest_ms", "latest_ms", "history"}

Reading = ParseOptions
"""The former name of `ParseOptions`."""


@attrs.frozen(eq=False)
class ParsedReadings:
    """Readings of a file, not yet mapped to signals: columns of equal length.

    Attributes:
        file: the file's name.
        rows: row numbers.
        meter: meter names.
        signal: names of signal types; None without such a column.
        time: UTC unix milliseconds.
        value: doubles.
        origin: origins.
        unit: unit symbols as written; None without such a column.
        zone: time zones as written; None without such a column.
        titles: the file's own column titles, by role.
        options: how the file was parsed.
        length_ms: length of the periods that end at `time`; 0 if `time` is their start.
        column: the title of the column of each value, in files with several readings in a row; else None.
    """

    file: str
    rows: NDArray[np.int64]
    meter: Coded
    signal: Coded | None
    time: NDArray[Any]
    value: NDArray[np.float64]
    origin: NDArray[np.int64]
    unit: Coded | None
    zone: Coded | None
    titles: dict[str, str]
    options: ParseOptions = attrs.field(factory=ParseOptions)
    length_ms: int = 0
    column: Coded | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """The number of signal types that a meter may have."""
        return len(self.signal.names) if self.signal is not None else 1

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Meter and signal type of each reading as one number: `width` times the meter's code plus the type's."""
        return self.meter.codes * self.width + self.signal.codes if self.signal is not None else self.meter.codes

    def take(self, rows: NDArray[Any]) -> ParsedReadings:
        """The readings at these rows (a mask or indexes)."""
        return attrs.evolve(
            self,
            rows=self.rows[rows],
            meter=self.meter.take(rows),
            signal=self.signal.take(rows) if self.signal is not None else None,
            time=self.time[rows],
            value=self.value[rows],
            origin=self.origin[rows],
            unit=self.unit.take(rows) if self.unit is not None else None,
            zone=self.zone.take(rows) if self.zone is not None else None,
            column=self.column.take(rows) if self.column is not None else None,
        )


class Parser:
    """Parses the chunks of one file, in order.

    Args:
        options: how to parse.
        now_ms: the present, for times that cannot be; None for the clock's.
    """

    def __init__(self, options: ParseOptions, now_ms: float | None = None) -> None:
        self._options = options
        self._now_ms = time.time() * 1000 if now_ms is None else now_ms
        ends = options.interval == "end"
        self._times = TimeParser(
            options.time_zone,
            options.dst,
            options.time_format,
            ahead_ms=(options.resolution_ms or 0) if ends and options.ends == "clock" else 0,
            counting=options.hours == "elapsed",
            ends=ends,
            names=options.zone_names,
        )
        self._standard_times = TimeParser(options.time_zone, options.dst)
        self._origins = ORIGINS | {name.casefold(): origin for name, origin in options.origins.items()}

    def parse(self, chunk: Chunk) -> tuple[ParsedReadings, list[Reject]]:
        """Return the readings of a chunk, and for each row without a reading a reject with the first reason.

        Missing values of wide files, values in `ParseOptions.missing`, and ignored signals are in neither.
        """
        options = self._options
        numbers = parse_numbers(
            chunk.value, decimal_comma=options.decimal_comma, missing=options.missing, thousands=options.thousands
        )
        time, time_problems = self._parse_times(chunk, numbers.absent)
        origin, bad_origins = self._parse_origins(chunk)
        time_problems |= self._implausible(time, origin, numbers.absent, time_problems)
        left_out = self._left_out(chunk, numbers.absent, numbers.named)
        readings = ParsedReadings(
            chunk.file,
            chunk.rows,
            chunk.meter,
            chunk.signal,
            time,
            numbers.values,
            origin,
            chunk.unit,
            chunk.zone,
            chunk.titles,
            self._options_of(chunk),
            self._length_ms(chunk),
            chunk.column,
        )
        nameless = chunk.meter.code("")
        names = ", ".join(filter(None, self._origins))
        problems: dict[int, tuple[str, str]] = {  # of several problems of a row, the last one here is reported
            **dict.fromkeys(bad_origins, ("origin", f"is no origin; give a number or one of {names}")),
            **dict.fromkeys(np.flatnonzero(numbers.absent & ~left_out).tolist(), ("value", "is empty")),
            **{row: ("value", reason) for row, reason in numbers.problems.items()},
            **{row: (problem.column, problem.reason) for row, problem in time_problems.items()},
        }
        if nameless >= 0:
            problems |= dict.fromkeys(np.flatnonzero(chunk.meter.codes == nameless).tolist(), ("meter", "is empty"))
        if not problems and not left_out.any():
            return readings, []
        good = ~left_out
        wrong = [row for row in sorted(problems) if good[row]]
        good[wrong] = False
        return readings.take(good), [_reject(chunk, row, *problems[row]) for row in wrong]

    @cached_property
    def _days(self) -> DayParser:
        return DayParser(self._times, self._options.time_format)

    def _options_of(self, chunk: Chunk) -> ParseOptions:
        """The options, with the signal types of the file's standard for the names that the user does not explain."""
        if chunk.standard is None or not chunk.standard.signals:
            return self._options
        return attrs.evolve(self._options, signals={**chunk.standard.signals, **self._options.signals})

    def _parse_times(self, chunk: Chunk, absent: NDArray[np.bool_]) -> tuple[NDArray[Any], dict[int, Problem]]:
        series = _series(chunk)
        if isinstance(chunk.time, DaySlots):
            ahead_ms = self._length_ms(chunk) if self._options.ends == "clock" else 0
            return self._days.parse(chunk.rows, chunk.time, absent, chunk.zone, series, ahead_ms)
        times = self._times if chunk.standard is None else self._standard_times
        return times.parse(chunk.time, chunk.zone, series)

    def _length_ms(self, chunk: Chunk) -> int:
        if self._options.interval == "start" or chunk.standard is not None:
            return 0
        if not isinstance(chunk.time, DaySlots):
            return self._options.resolution_ms or 0
        if chunk.time.slots.numbered:  # the number of a period is its own start
            return 0
        return self._options.resolution_ms or chunk.time.slots.step_ms

    def _implausible(
        self,
        time: NDArray[Any],
        origin: NDArray[np.int64],
        absent: NDArray[np.bool_],
        problems: Mapping[int, Problem],
    ) -> dict[int, Problem]:
        """Times that no reading has: clocks that were not set, and numbers taken for times."""
        earliest, latest = self._options.earliest_ms, self._options.latest_ms
        first = _EARLIEST_MS if earliest is None else earliest
        last = self._now_ms + _MOST_AHEAD_MS if latest is None else latest
        if not len(time) or (time.min() >= first and time.max() <= last):
            return {}
        early, late = (time < first) & ~absent, (time > last) & ~absent
        if latest is None:
            late &= origin != PREDICTED
        if problems:
            early[list(problems)] = late[list(problems)] = False
        found = dict.fromkeys(np.flatnonzero(early).tolist(), "earliest") | dict.fromkeys(
            np.flatnonzero(late).tolist(), "latest"
        )
        return {row: Problem(_implausible_reason(float(time[row]), side)) for row, side in found.items()}

    def _left_out(self, chunk: Chunk, absent: NDArray[np.bool_], named: NDArray[np.bool_]) -> NDArray[np.bool_]:
        blank_is_none = isinstance(chunk.time, DaySlots) or chunk.standard is not None
        left_out = absent.copy() if blank_is_none else named.copy()
        if (self._options.ignored or self._options.history == "ignore") and chunk.signal is not None:
            codes = [code for code, name in enumerate(chunk.signal.names) if self._ignores(name)]
            left_out |= np.isin(chunk.signal.codes, codes)
        return left_out

    def _ignores(self, signal: str) -> bool:
        if signal in self._options.ignored:
            return True
        if self._options.history != "ignore" or signal in self._options.signals:
            return False
        code = obis_code(signal)
        return code is not None and code.is_history

    def _parse_origins(self, chunk: Chunk) -> tuple[NDArray[np.int64], list[int]]:
        if chunk.origin is None:
            return np.broadcast_to(np.int64(MEASURED), len(chunk)), []
        numbers = np.array([self._origin(name) for name in chunk.origin.names], np.int64)
        origin = numbers[chunk.origin.codes]
        return origin, np.flatnonzero(origin < 0).tolist()

    def _origin(self, name: str) -> int:
        known = self._origins.get(name.casefold())
        if known is not None:
            return known
        return int(name) if name.isascii() and name.isdigit() and len(name) <= _MAX_ORIGIN_DIGITS else -1


def _series(chunk: Chunk) -> SeriesOf:
    """Numbers of the signals of rows; columns of one row that have the same one count as several."""

    def series(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = chunk.meter.codes[rows].astype(np.int64)
        for column in (chunk.signal, chunk.column):
            if column is not None:
                numbers = (numbers << _SERIES_BITS) + column.codes[rows]
        return numbers

    return series


def _implausible_reason(ms: float, side: str) -> str:
    day = from_ms(int(ms)).date()
    if side == "latest":
        return f"is not plausible: {day} is in the future; if it is right, say time.latest"
    return f"is not plausible: {day} is too early, as of a clock that was not set; if it is right, say time.earliest"


def _reject(chunk: Chunk, row: int, column: str, reason: str) -> Reject:
    return Reject(
        chunk.file,
        int(chunk.rows[row]),
        chunk.title(column, row),
        chunk.text(column, row),
        reason,
        of_column(chunk.column, row),
    )
