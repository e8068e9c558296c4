"""Logs of DSMR P1 telegrams, which Dutch, Belgian and other meters send every 1 to 10 seconds.

The library `dsmr-parser` (extra `dsmr`) knows the checksum, and the lines of each version of the standard. A telegram
that is cut off or has a wrong checksum is rejected as a whole. Times carry S or W for summer or winter time, which
makes them moments; times of old meters do not, and need a time zone like any local time.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.base import CHUNK_ROWS, Page, SourceError, is_stream
from besmart_async.ingest.sources.blocks import blocks
from besmart_async.ingest.sources.columns import Chunk, Coder, pa
from besmart_async.ingest.sources.compression import opened, pieces
from besmart_async.ingest.sources.stored import StoredFile, name_of, size_of

if TYPE_CHECKING:
    from besmart_async.ingest.sources.dsmr_lines import TelegramLines

_START, _END = "/", "!"
_LONGEST = 500
"""Most lines of a telegram: a damaged telegram does not swallow the rest of the file."""
_STAMP = re.compile(r"\(([0-9]{12})([SW]?)\)")
_CLOCK = "1.0.0"
_OFFSETS = {"S": "+02:00", "W": "+01:00", "": ""}
_TITLES = {"meter": "equipment", "signal": "obis", "time": "time", "value": "value", "unit": "unit"}
_ELECTRICITY = "0"
_IDENTIFIER = re.compile(r"0-([0-9]):96\.1\.[0-2]\(([0-9A-Fa-f]*)\)")


@attrs.frozen
class _Telegram:
    row: int
    lines: Sequence[str]
    whole: bool


@attrs.frozen
class _Reading:
    row: int
    meter: str
    obis: str
    time: str
    value: str
    unit: str


@attrs.frozen
class TelegramSource:
    """A log of P1 telegrams; its rows are lines.

    A meter is named by its equipment identifier: decoded if that gives a printable text, else as sent. Every line
    with a value and a unit is a reading.

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
        """Check that the library is installed and the file starts with a telegram; see `Source`."""
        self._lines()
        if is_stream(self.path):
            return ()
        with opened(self.path, self.name) as raw:
            start = next(pieces(raw, self.path, self.name), b"")
        if not any(line.startswith(b"/") for line in start.splitlines()):
            raise SourceError(self.name, "holds no P1 telegram: none of its lines begins with /")
        return ()

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        lines = self._lines()
        coders = {role: Coder() for role in ("meter", "signal", "unit")}
        readings: list[_Reading] = []
        rejects: list[Reject] = []
        failure: SourceError | None = None
        with opened(self.path, self.name) as raw:
            try:
                for telegram in _telegrams(self._numbered(raw)):
                    for found in self._read(telegram, lines):
                        if isinstance(found, Reject):
                            rejects.append(found)
                        else:
                            readings.append(found)
                    if len(readings) + len(rejects) >= self.chunk_rows:
                        yield self._page(readings, rejects, coders, raw.tell() if raw.seekable() else 0)
                        readings, rejects = [], []
            except SourceError as error:  # raised after the page of what was read before the damage
                failure = error
        yield self._page(readings, rejects, coders, self.size_bytes or 0)
        if failure is not None:
            raise failure

    def _lines(self) -> TelegramLines:
        try:
            from besmart_async.ingest.sources.dsmr_lines import TelegramLines  # noqa: PLC0415 - of an extra
        except ModuleNotFoundError as error:
            raise SourceError(self.name, f"P1 telegrams need {error.name}: pip install 'besmart-async[dsmr]'") from None
        return TelegramLines()

    def _numbered(self, raw: Any) -> Iterator[tuple[int, str]]:
        for block in blocks(pieces(raw, self.path, self.name), "latin-1", self.name):
            yield from enumerate(block.text.decode().split("\n")[:-1], block.first_row)

    def _fault(self, telegram: _Telegram, lines: TelegramLines) -> Reject | None:
        if not telegram.whole:
            return Reject(self.name, telegram.row, None, telegram.lines[0], "begins a telegram that is cut off")
        problem = lines.checksum_problem("\r\n".join(telegram.lines) + "\r\n")
        return Reject(self.name, telegram.row, None, telegram.lines[0], problem) if problem else None

    def _read(self, telegram: _Telegram, lines: TelegramLines) -> Iterator[_Reading | Reject]:
        fault = self._fault(telegram, lines)
        if fault is not None:
            yield fault
            return
        joined = list(_joined(telegram))
        meters, time = _meters_and_time(joined)
        for row, line in joined:
            found = lines.value_of(line)
            if found is None:
                continue
            if isinstance(found, str):
                yield Reject(self.name, row, "value", line, found)
                continue
            value, unit, own_time = found
            obis = line.partition("(")[0]
            channel = obis[2:3] if obis.startswith("0-") and obis[2:3] in meters else _ELECTRICITY
            at = _iso(line) if own_time else time
            if not at:
                reason = "its telegram tells no time: old meters send no clock line"
                yield Reject(self.name, row, "time", line, reason)
            else:
                yield _Reading(row, meters.get(channel, ""), obis, at, str(value), unit)

    def _page(
        self, readings: Sequence[_Reading], rejects: Sequence[Reject], coders: dict[str, Coder], position: int
    ) -> Page:
        chunk = Chunk(
            self.name,
            np.array([reading.row for reading in readings], np.int64),
            coders["meter"].encode(reading.meter for reading in readings),
            pa.array([reading.time for reading in readings], pa.string()),
            pa.array([reading.value for reading in readings], pa.string()),
            coders["signal"].encode(reading.obis for reading in readings),
            coders["unit"].encode(reading.unit for reading in readings),
            titles=_TITLES,
        )
        return Page(chunk, tuple(rejects), position)


def _telegrams(lines: Iterator[tuple[int, str]]) -> Iterator[_Telegram]:
    """Gather the lines of each telegram; lines between telegrams are ignored."""
    row, gathered = 0, list[str]()
    for number, line in lines:
        if line.startswith(_START):
            if gathered:
                yield _Telegram(row, gathered, whole=False)
            row, gathered = number, [line]
        elif gathered:
            gathered.append(line)
            if line.startswith(_END) or len(gathered) > _LONGEST:
                yield _Telegram(row, gathered, whole=line.startswith(_END))
                gathered = []
    if gathered:
        yield _Telegram(row, gathered, whole=False)


def _joined(telegram: _Telegram) -> Iterator[tuple[int, str]]:
    """Yield (row, line), with continuation lines joined: old gas meters split a line in two."""
    held: tuple[int, str] | None = None
    for row, line in enumerate(telegram.lines, telegram.row):
        if held is not None and line.startswith("("):
            held = held[0], f"{held[1]}\r\n{line}"
            continue
        if held is not None:
            yield held
        held = row, line
    if held is not None:
        yield held


def _meters_and_time(lines: Sequence[tuple[int, str]]) -> tuple[dict[str, str], str]:
    """Return the meter of each channel, and the time of the telegram; empty if it has none."""
    meters: dict[str, str] = {}
    time = ""
    for _, line in lines:
        named = _IDENTIFIER.match(line)
        if named:
            meters.setdefault(named[1], _equipment(named[2]))
        elif line.partition("(")[0].endswith(f":{_CLOCK}"):
            time = _iso(line)
    return meters, time


def _iso(line: str) -> str:
    """The time of a line in ISO 8601; empty if it has none."""
    found = _STAMP.search(line)
    if found is None:
        return ""
    year, month, day, hour, minute, second = re.findall("..", found[1])
    return f"20{year}-{month}-{day}T{hour}:{minute}:{second}{_OFFSETS[found[2]]}"


def _equipment(code: str) -> str:
    try:
        text = bytes.fromhex(code).decode("ascii")
    except ValueError:
        return code
    return text if text.isprintable() and text else code
