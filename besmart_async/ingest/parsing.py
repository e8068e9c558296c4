"""Chunks to readings: times, values and origins become numbers; rows that are none become rejects."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.columns import Chunk, Coded
from besmart_async.ingest.numbers import parse_numbers
from besmart_async.ingest.report import Reject
from besmart_async.ingest.times import DstRule, TimeParser
from besmart_async.models.values import CALCULATED, CORRECTED, ESTIMATED, MEASURED, PREDICTED

ORIGINS = {
    "": MEASURED,
    "measured": MEASURED,
    "predicted": PREDICTED,
    "calculated": CALCULATED,
    "estimated": ESTIMATED,
    "corrected": CORRECTED,
}
"""Names an origin column may use beside numbers; an empty field means measured."""

_MAX_ORIGIN_DIGITS = 9


@attrs.frozen(kw_only=True)
class Reading:
    """How to read the texts of a file.

    Attributes:
        time_zone: zone of times without an offset, where the row names none.
        dst: what to make of local times that come twice or do not exist; None refuses them.
        decimal_comma: values are written `1,5`.
    """

    time_zone: str | None = None
    dst: DstRule | None = None
    decimal_comma: bool = False


@attrs.frozen
class Readings:
    """Readings of a file, not yet mapped to signals; columns of one length.

    Attributes:
        file: the file's name.
        rows: row numbers.
        meter: names of the meters.
        signal: names of the signal types; None where the file has no such column.
        time: UTC unix milliseconds.
        value: doubles.
        origin: origins.
        unit: unit symbols as written; None without such a column.
        zone: time zones as written; None without such a column.
        titles: what the file calls each column.
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

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[Any]) -> Readings:
        """The readings at these places (a mask or numbers)."""
        return Readings(
            self.file,
            self.rows[rows],
            self.meter.take(rows),
            self.signal.take(rows) if self.signal else None,
            self.time[rows],
            self.value[rows],
            self.origin[rows],
            self.unit.take(rows) if self.unit else None,
            self.zone.take(rows) if self.zone else None,
            self.titles,
        )


class Parser:
    """Parses the chunks of one file, in their order."""

    def __init__(self, how: Reading) -> None:
        self._decimal_comma = how.decimal_comma
        self._times = TimeParser(how.time_zone, how.dst)

    def parse(self, chunk: Chunk) -> tuple[Readings, list[Reject]]:
        """Return the readings of a chunk, and the rows that hold none with the first reason of each."""

        def series(row: int) -> tuple[int, int]:
            return int(chunk.meter.codes[row]), int(chunk.signal.codes[row]) if chunk.signal else 0

        time, time_problems = self._times.parse(chunk.time, chunk.zone, series)
        value, value_problems = parse_numbers(chunk.value, decimal_comma=self._decimal_comma)
        origin, bad_origins = _origins(chunk)
        readings = Readings(
            chunk.file,
            chunk.rows,
            chunk.meter,
            chunk.signal,
            time,
            value,
            origin,
            chunk.unit,
            chunk.zone,
            chunk.titles,
        )
        problems: dict[int, tuple[str, str]] = {}
        for row in _empty(chunk.meter):
            problems[row] = "meter", "is empty"
        for row, problem in time_problems.items():
            problems.setdefault(row, (problem.column, problem.reason))
        for row, reason in value_problems.items():
            problems.setdefault(row, ("value", reason))
        for row in bad_origins:
            problems.setdefault(row, ("origin", f"is no origin; give a number or one of {', '.join(ORIGINS)[2:]}"))
        if not problems:
            return readings, []
        good = np.ones(len(chunk), np.bool_)
        good[list(problems)] = False
        return readings.take(good), [_reject(chunk, row, *problems[row]) for row in sorted(problems)]


def _origins(chunk: Chunk) -> tuple[NDArray[np.int64], list[int]]:
    if chunk.origin is None:
        return np.full(len(chunk), MEASURED, np.int64), []
    numbers = np.array([_origin(name) for name in chunk.origin.names], np.int64)
    origin = numbers[chunk.origin.codes]
    return origin, np.flatnonzero(origin < 0).tolist()


def _origin(name: str) -> int:
    if name.isascii() and name.isdigit() and len(name) <= _MAX_ORIGIN_DIGITS:
        return int(name)
    return ORIGINS.get(name.casefold(), -1)


def _empty(column: Coded) -> list[int]:
    if "" not in column.names:
        return []
    return np.flatnonzero(column.codes == column.names.index("")).tolist()


def _reject(chunk: Chunk, row: int, column: str, reason: str) -> Reject:
    held: Coded | NDArray[Any] | None = getattr(chunk, column)
    text = held.text(row) if isinstance(held, Coded) else "" if held is None else str(held[row])
    return Reject(chunk.file, int(chunk.rows[row]), chunk.titles.get(column, column), text, reason)
