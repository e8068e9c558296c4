"""Chunks to readings: times, values and origins become numbers; rows that hold no reading become rejects."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.parse.days import DayParser
from besmart_async.ingest.parse.times import SeriesOf, TimeParser
from besmart_async.ingest.parse.zones import DstRule, Problem
from besmart_async.ingest.rejects import of_column
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Chunk, Coded, Column, DaySlots, as_column, as_numpy, as_texts, pa, pc
from besmart_async.models.values import CALCULATED, CORRECTED, ESTIMATED, MEASURED, PREDICTED

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BLANKS = " \t\r\n"


@attrs.frozen(eq=False)
class Numbers:
    """The values of a column.

    Attributes:
        values: doubles, shape (n,); 0 where a row has none.
        problems: why rows have none, by index.
        absent: rows that hold a null, an empty text, or a text that stands for a missing value.
    """

    values: NDArray[np.float64]
    problems: dict[int, str]
    absent: NDArray[np.bool_]


def parse_numbers(column: Column, *, decimal_comma: bool = False, missing: Collection[str] = ()) -> Numbers:
    """Return the numbers of a column.

    Args:
        column: texts or numbers.
        decimal_comma: numbers are written `1,5`.
        missing: texts that stand for a missing value, in addition to the empty text.
    """
    column = as_column(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type):
        return _of_texts(as_texts(column), decimal_comma, missing)
    absent = as_numpy(column.is_null()) if column.null_count else np.zeros(len(column), np.bool_)
    try:
        doubles = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:  # an integer that a double cannot hold exactly
        doubles = pc.cast(column, pa.float64(), safe=False)
    numbers = as_numpy(pc.fill_null(doubles, 0.0) if doubles.null_count else doubles)
    finite = np.isfinite(numbers)
    if finite.all():
        return Numbers(numbers, {}, absent)
    bad = np.flatnonzero(~finite).tolist()
    return Numbers(np.where(finite, numbers, 0.0), dict.fromkeys(bad, "is not finite"), absent)


def _of_texts(texts: Column, decimal_comma: bool, missing: Collection[str]) -> Numbers:
    none = np.zeros(len(texts), np.bool_)
    plain = _pointed(texts) if decimal_comma else texts
    if not missing or not pc.any(pc.is_in(texts, value_set=pa.array(list(missing), pa.string()))).as_py():
        try:
            numbers = as_numpy(pc.cast(plain, pa.float64()))
        except pa.ArrowInvalid:
            pass
        else:
            if np.isfinite(numbers).all():
                return Numbers(numbers, {}, none)
    trimmed = pc.utf8_trim(texts, _BLANKS)
    absent = as_numpy(pc.is_in(trimmed, value_set=pa.array(["", *missing], pa.string())))
    return _one_by_one(texts, pc.utf8_trim(plain, _BLANKS), absent)


def _pointed(texts: Column) -> Column:
    """Turn decimal commas into points; a text that already has a point is made invalid."""
    pointed = pc.replace_substring(texts, ",", ".")
    has_point = pc.match_substring(texts, ".")
    if pc.any(has_point).as_py():
        return pc.if_else(has_point, pc.binary_join_element_wise(texts, "?", ""), pointed)
    return pointed


def _one_by_one(texts: Column, plain: Column, absent: NDArray[np.bool_]) -> Numbers:
    """Cast the texts that certainly are numbers, and parse the others one by one."""
    simple = as_numpy(pc.match_substring_regex(plain, r"^-?[0-9]{1,15}(\.[0-9]{1,17})?$"))
    values = np.zeros(len(texts), np.float64)
    values[simple] = as_numpy(pc.cast(plain.filter(pa.array(simple)), pa.float64()))
    problems: dict[int, str] = {}
    for row in np.flatnonzero(~simple & ~absent).tolist():
        text = plain[row].as_py()
        number = float(text) if _NUMBER.fullmatch(text) else None
        if number is not None and np.isfinite(number):
            values[row] = number
        else:
            problems[row] = _reason(texts[row].as_py().strip(), number)
    return Numbers(values, problems, absent)


def _reason(text: str, number: float | None) -> str:
    if number is not None:
        return "is too large for a double"
    if "," in text and _NUMBER.fullmatch(text.replace(",", ".")):
        return "is not a number; if the comma is a decimal point, say --decimal-comma"
    return "is not a number"


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


@attrs.frozen(kw_only=True)
class ParseOptions:
    """How to parse a file.

    Attributes:
        time_zone: zone of times without an offset, if the row names none.
        dst: what to do with local times that come twice or do not exist; None refuses them.
        time_format: format of times, as for strptime; None for ISO 8601 and unix milliseconds.
        interval: which end of its period the time of a reading is. The service gets the start; readings of registers,
            which have no period, keep their time.
        resolution_ms: length of a period, for times that are ends; the columns of a wide file say it.
        decimal_comma: values are written `1,5`.
        missing: texts that stand for a missing value: such readings are left out, not rejected.
        unit: unit of values if the row names none.
        origins: the file's own names of origins.
        signals: the file's own names of signal types, with the OBIS code, symbol or id of each.
        ignored: names of signal types whose readings are left out.
        factors: what the values of a meter are multiplied by, by the meter's name: the ratio of its transformers.
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

    def __repr__(self) -> str:
        """The fields, with the former name of the class, and without `factors` if there are none.

        `besmart ingest` digests this text into the scope of its checkpoints: with another text it would not find what
        earlier versions have sent, and send it again.
        """
        held = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        if not self.factors:
            del held["factors"]
        values = ", ".join(f"{name}={value!r}" for name, value in held.items())
        return f"Reading({values})"


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
    """Parses the chunks of one file, in order."""

    def __init__(self, options: ParseOptions) -> None:
        self._options = options
        self._times = TimeParser(options.time_zone, options.dst, options.time_format)
        self._standard_times = TimeParser(options.time_zone, options.dst)
        self._origins = ORIGINS | {name.casefold(): origin for name, origin in options.origins.items()}

    def parse(self, chunk: Chunk) -> tuple[ParsedReadings, list[Reject]]:
        """Return the readings of a chunk, and for each row without a reading a reject with the first reason.

        Missing values of wide files, values in `ParseOptions.missing`, and ignored signals are in neither.
        """
        numbers = parse_numbers(chunk.value, decimal_comma=self._options.decimal_comma, missing=self._options.missing)
        time, time_problems = self._parse_times(chunk, numbers.absent)
        origin, bad_origins = self._parse_origins(chunk)
        left_out = self._left_out(chunk, numbers.absent)
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
            return self._days.parse(chunk.rows, chunk.time, absent, chunk.zone, series)
        times = self._times if chunk.standard is None else self._standard_times
        return times.parse(chunk.time, chunk.zone, series)

    def _length_ms(self, chunk: Chunk) -> int:
        if self._options.interval == "start" or chunk.standard is not None:
            return 0
        if not isinstance(chunk.time, DaySlots):
            return self._options.resolution_ms or 0
        if chunk.time.slots.kind == "elapsed":  # the number of a period is its own start
            return 0
        return self._options.resolution_ms or chunk.time.slots.step_ms

    def _left_out(self, chunk: Chunk, absent: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if isinstance(chunk.time, DaySlots) or chunk.standard is not None:
            left_out = absent.copy()
        else:
            left_out = np.zeros(len(chunk), np.bool_)
            for row in np.flatnonzero(absent).tolist():
                left_out[row] = chunk.text("value", row).strip() in self._options.missing
        if self._options.ignored and chunk.signal is not None:
            codes = [code for code, name in enumerate(chunk.signal.names) if name in self._options.ignored]
            left_out |= np.isin(chunk.signal.codes, codes)
        return left_out

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
    def series(row: int) -> tuple[int, int]:
        return int(chunk.meter.codes[row]), int(chunk.signal.codes[row]) if chunk.signal is not None else 0

    return series


def _reject(chunk: Chunk, row: int, column: str, reason: str) -> Reject:
    return Reject(
        chunk.file,
        int(chunk.rows[row]),
        chunk.title(column, row),
        chunk.text(column, row),
        reason,
        of_column(chunk.column, row),
    )
