"""NEM12, the interval data of Australia's electricity market (AEMO's Meter Data File Format).

Records are lines: 100 header, 200 channel (meter, register, unit, length of intervals), 300 a day of a channel, 400
qualities of some intervals of the day above, 500 manual readings (not read), 900 end. Times are NEM time, which is
UTC+10 all year. A value stands for the interval that begins at its time.

Qualities: A (actual) is measured; S (substituted) and E (forward estimate) are estimated; F (final substitute) is
corrected; N (null) is left out. V (varying) means that 400 records say it for each interval.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Sequence
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from types import MappingProxyType

import attrs
import numpy as np

from besmart_async.ingest.sources.base import CHUNK_ROWS, Page, SourceError, is_stream
from besmart_async.ingest.sources.blocks import blocks
from besmart_async.ingest.sources.compression import opened, pieces
from besmart_async.ingest.sources.standards.readings import NUMBER, Series, StandardPages
from besmart_async.ingest.sources.stored import StoredFile, name_of, size_of

NEM12_SIGNALS = MappingProxyType({"E1": "1.29.0", "B1": "2.29.0", "Q1": "3.29.0", "K1": "4.29.0"})
"""Signal types of the first register of each kind: energy taken from (E) and given to (B) the grid, reactive (Q, K).

A second register (E2) is not the same signal, so the mapping file must say what it is.
"""

_TITLES = {
    "meter": "NMI",
    "signal": "NMISuffix",
    "time": "IntervalDate",
    "value": "IntervalValue",
    "unit": "UOM",
    "origin": "QualityMethod",
}
_ORIGINS = {"A": "measured", "E": "estimated", "S": "estimated", "F": "corrected"}
_NULL, _VARYING = "N", "V"
_QUALITY = re.compile(r"([AEFNSV])[0-9]{0,2}")
_NEM_TIME_MS = 10 * 3_600_000
_DAY_MINUTES = 1440


@attrs.frozen
class _Channel:
    nmi: str
    suffix: str
    unit: str
    minutes: int

    @property
    def per_day(self) -> int:
        return _DAY_MINUTES // self.minutes


@attrs.frozen
class _DayRecord:
    """A 300 record; `qualities` has a letter for each interval, or an empty text where a 400 record must say it."""

    row: int
    line: str
    channel: _Channel
    start_ms: int
    values: Sequence[str]
    qualities: list[str]


@attrs.frozen
class Nem12Source:
    """A NEM12 file; its rows are lines.

    Attributes:
        path: the file; None for standard input.
        chunk_rows: approximate readings per page.
    """

    path: Path | StoredFile | None
    chunk_rows: int = CHUNK_ROWS

    @property
    def name(self) -> str:
        """The path as given."""
        return name_of(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Size of the file on disk, compressed or not."""
        return size_of(self.path)

    def check(self) -> tuple[str, ...]:
        """Check that the file begins with a NEM12 record; see `Source`."""
        if not is_stream(self.path):
            with opened(self.path, self.name) as raw:
                first = next(pieces(raw, self.path, self.name), b"").lstrip(b"\xef\xbb\xbf \r\n")[:100]
            _refuse_nem13(first.split(b"\n")[0].decode("latin-1"), self.name)
            if not first.startswith((b"100,", b"200,")):
                raise SourceError(self.name, "is not NEM12: it does not begin with a record 100,NEM12")
        return ()

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        found = StandardPages(self.name, _TITLES, NEM12_SIGNALS)
        records = _Records(self.name, found)
        failure: SourceError | None = None
        with opened(self.path, self.name) as raw:
            try:
                for block in blocks(pieces(raw, self.path, self.name), "latin-1", self.name):
                    for row, line in enumerate(block.text.decode().split("\n")[:-1], block.first_row):
                        records.read(row, line)
                        if len(found) >= self.chunk_rows:
                            yield found.take(raw.tell() if raw.seekable() else 0)
                records.end()
            except SourceError as error:  # raised after the page of what was read before the damage
                failure = error
        yield found.take(self.size_bytes or 0)
        if failure is not None:
            raise failure


class _Records:
    """Reads records one by one; a day is complete when a record other than 400 follows."""

    def __init__(self, name: str, found: StandardPages) -> None:
        self._name = name
        self._found = found
        self._channel: _Channel | None = None
        self._day: _DayRecord | None = None
        self._dropped = False
        self._ended = False
        self._row, self._line = 0, ""

    def read(self, row: int, line: str) -> None:
        line = line.lstrip("\ufeff\u00ef\u00bb\u00bf").strip()
        if not line:
            return
        self._row, self._line = row, line
        try:
            fields = [field.strip() for field in next(csv.reader([line], strict=True))]
        except csv.Error as error:
            self._reject(row, line, f"is not CSV: {error}")
            return
        if fields[0] == "400":
            self._event(row, line, fields)
            return
        self._finish()
        self._dropped = False
        self._ended = fields[0] == "900"
        if fields[0] == "200":
            self._channel = self._channel_of(row, line, fields)
        elif fields[0] == "300":
            self._day = self._day_of(row, line, fields)
        elif fields[0] == "100":
            _refuse_nem13(line, self._name)
            self._channel = None
        elif fields[0] in ("250", "550"):
            _refuse_nem13(line, self._name)
        elif fields[0] not in ("500", "900"):
            self._reject(row, line, "is not a NEM12 record (100, 200, 300, 400, 500, 900)")

    def end(self) -> None:
        """Complete the last day, and report a file without its last record."""
        self._finish()
        if not self._ended:
            self._reject(self._row, self._line, "is the last record, but not 900: the file is cut off; fetch it again")

    def _reject(self, row: int, line: str, reason: str) -> None:
        self._found.reject(row, line, reason)

    def _channel_of(self, row: int, line: str, fields: Sequence[str]) -> _Channel | None:
        nmi, suffix, unit, minutes = (fields[index] if index < len(fields) else "" for index in (1, 4, 7, 8))
        problem = ""
        if not nmi:
            problem = "has no NMI (field 2)"
        elif not suffix:
            problem = "has no NMI suffix (field 5)"
        elif not unit:
            problem = "has no unit (field 8)"
        elif not minutes.isdigit() or not 0 < int(minutes) <= 30 or _DAY_MINUTES % int(minutes):
            problem = f"has the interval length {minutes!r} (field 9), which must be 5, 15 or 30 minutes"
        if problem:
            self._reject(row, line, f"{problem}: the days of this channel cannot be read")
            return None
        return _Channel(nmi, suffix, unit, int(minutes))

    def _day_of(self, row: int, line: str, fields: Sequence[str]) -> _DayRecord | None:
        channel = self._channel
        problem: str | None = None
        if channel is None:
            problem = "belongs to no channel: the 200 record above is missing or cannot be read"
        else:
            start = _start_of(fields[1] if len(fields) > 1 else "")
            values, rest = fields[2 : 2 + channel.per_day], fields[2 + channel.per_day :]
            quality = _QUALITY.fullmatch(rest[0]) if rest else None
            if start is None:
                problem = "has no date such as 20240601 (field 2)"
            elif quality is None or len(rest) > 5:
                problem = (
                    f"does not have {channel.per_day} values and then a quality (A, S, F, E, N or V), as intervals of"
                    f" {channel.minutes} minutes need"
                )
            elif (wrong := next((text for text in values if text and not NUMBER.fullmatch(text)), None)) is not None:
                problem = f"has the value {wrong!r}, which is not a number"
            else:
                letter = quality[1].replace(_VARYING, "")
                return _DayRecord(row, line, channel, start, values, [letter] * channel.per_day)
        self._dropped = True
        self._reject(row, line, problem)
        return None

    def _event(self, row: int, line: str, fields: Sequence[str]) -> None:
        """A 400 record: the quality of some intervals of the day above."""
        day = self._day
        if day is None:
            if not self._dropped:
                self._reject(row, line, "follows no 300 record")
            return
        first, last, quality = (fields[index] if index < len(fields) else "" for index in (1, 2, 3))
        found = _QUALITY.fullmatch(quality)
        numbers = first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= len(day.values)
        if not numbers or found is None or found[1] == _VARYING:
            self._drop(row, line, f"does not say a quality for some of the intervals 1 to {len(day.values)}")
            return
        day.qualities[int(first) - 1 : int(last)] = [found[1]] * (int(last) - int(first) + 1)

    def _drop(self, row: int, line: str, reason: str) -> None:
        """Reject a record and the day that it is about."""
        assert self._day is not None  # noqa: S101 - the caller checked
        self._reject(self._day.row, self._day.line, f"its 400 record in row {row} {reason}: {line[:40]}")
        self._day, self._dropped = None, True

    def _finish(self) -> None:
        day, self._day = self._day, None
        if day is None:
            return
        open_ = [place + 1 for place, letter in enumerate(day.qualities) if not letter]
        empty = [
            place + 1
            for place, (text, letter) in enumerate(zip(day.values, day.qualities, strict=True))
            if not text and letter != _NULL
        ]
        if open_:
            self._reject(day.row, day.line, f"has quality V, and no 400 record says that of interval {open_[0]}")
            return
        if empty:
            self._reject(day.row, day.line, f"has no value for interval {empty[0]}, whose quality is not N")
            return
        values = [None if mark == _NULL else float(text) for text, mark in zip(day.values, day.qualities, strict=True)]
        if not np.isfinite([value for value in values if value is not None]).all():
            self._reject(day.row, day.line, "has a value that is too large for a double")
            return
        channel = day.channel
        series = Series(row=day.row, meter=channel.nmi, signal=channel.suffix, unit=channel.unit)
        step = channel.minutes * 60_000
        times = list(range(day.start_ms, day.start_ms + step * len(values), step))
        origins = [_ORIGINS.get(letter, "") for letter in day.qualities]
        titles = [f"interval {number}" for number, _ in zip(count(1), values, strict=False)]
        self._found.add(series, times, values, origins, columns=titles)


def _start_of(date: str) -> int | None:
    """The start of a day in NEM time, in unix milliseconds."""
    if len(date) != 8 or not date.isdigit():
        return None
    try:
        day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=timezone.utc)  # noqa: UP017 - as in the package
    except ValueError:
        return None
    return int(day.timestamp()) * 1000 - _NEM_TIME_MS


def _refuse_nem13(line: str, name: str) -> None:
    fields = line.upper().split(",")
    if fields[0] in ("250", "550") or (fields[0] == "100" and len(fields) > 1 and fields[1].strip() == "NEM13"):
        raise SourceError(name, "is NEM13 (accumulated register readings), which is not supported; ask for NEM12")
    if fields[0] == "100" and (len(fields) < 2 or fields[1].strip() != "NEM12"):
        raise SourceError(name, f"has the header {line.strip()[:40]!r}, not 100,NEM12")
