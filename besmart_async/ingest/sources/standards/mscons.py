"""MSCONS, the EDIFACT messages by which German and Austrian market parties exchange metered values.

A message holds metering points (LOC+172), their registers (PIA+5, an OBIS code) and quantities (QTY) with the period
that each is about (DTM+163 start, DTM+164 end) or the moment of a register reading (DTM+7 or DTM+9). A message that is
cut off is rejected as a whole. Its number of segments (UNT) is not compared: senders count differently.

Times with an offset (format 303) are moments. Times without one (203) are local, and need `--time-zone`.

Statuses: 220 (true value) is measured; 67 (substitute), 201 (proposed) and Z18 (preliminary) are estimated; 187
(forecast) is predicted; 79 (sum) is calculated; 20 (not usable) is left out. A quantity without a unit is in kWh or
kvarh, as its OBIS code says.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

import attrs

from besmart_async.ingest.sources.base import CHUNK_ROWS, Page, SourceError, is_stream
from besmart_async.ingest.sources.compression import opened, pieces
from besmart_async.ingest.sources.standards.edifact import Segment, Syntax, segments
from besmart_async.ingest.sources.standards.readings import NUMBER, Series, StandardPages
from besmart_async.ingest.sources.stored import StoredFile, name_of, size_of

_TITLES = {"meter": "LOC+172", "signal": "PIA+5", "time": "DTM+163", "value": "QTY", "unit": "QTY", "origin": "QTY"}
_ORIGINS = MappingProxyType(
    {
        "220": "measured",
        "67": "estimated",
        "201": "estimated",
        "Z18": "estimated",
        "187": "predicted",
        "79": "calculated",
    }
)
_UNUSABLE = "20"
_UNITS = {"KWH": "kWh", "MWH": "MWh", "WHR": "Wh", "KWT": "kW", "MAW": "MW", "K3": "kvarh", "KVR": "kvar", "MTQ": "m3"}
"""Codes of UN/ECE Recommendation 20 that differ from the unit; others are taken as they are."""
_OBIS = re.compile(r"(?:([0-9]+)-[0-9]+:)?([0-9]+)\.([0-9]+)\.[0-9]+(?:[*&][0-9]+)?")
_ENERGY_OF_PERIODS = {"9", "29"}
_REGISTERS = {"8"}
_MOMENT = re.compile(r"([0-9]{12})([+-][0-9]{2})([0-9]{2})?")
_CLOCK = re.compile(r"[0-9]{12}")
_MOST_QUANTITIES = 2_000_000
_PERIOD_START, _PERIOD_END = "163", "164"
_READ_AT = ("7", "9")


@attrs.define
class _Quantity:
    """A QTY segment and the DTM segments that follow it."""

    segment: Segment
    meter: str
    obis: str
    unit: str
    times: dict[str, tuple[str, str]] = attrs.field(factory=dict[str, tuple[str, str]])


@attrs.frozen
class MsconsSource:
    """An interchange of MSCONS messages; its rows are segments.

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
        """Check that the first message is an MSCONS message; see `Source`."""
        if is_stream(self.path):
            return ()
        with opened(self.path, self.name) as raw:
            for _, segment in segments(pieces(raw, self.path, self.name), self.name):
                if segment.tag == "UNH":
                    _refuse_others(segment, self.name)
                    return ()
                if segment.tag not in ("UNB", "UNG"):
                    break
        raise SourceError(self.name, "is not an EDIFACT interchange: it has no message (UNH)")

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        found = StandardPages(self.name, _TITLES, {}, local=True)
        interchange = _Interchange(self.name, found)
        failure: SourceError | None = None
        with opened(self.path, self.name) as raw:
            try:
                for syntax, segment in segments(pieces(raw, self.path, self.name), self.name):
                    interchange.read(segment, syntax)
                    if len(found) >= self.chunk_rows:
                        yield found.take(raw.tell() if raw.seekable() else 0)
            except SourceError as error:  # raised after the page of what was read before the damage
                failure = error
        interchange.end()
        yield found.take(self.size_bytes or 0)
        if failure is not None:
            raise failure


class _Interchange:
    """Reads segments one by one; the quantities of a message count once its last segment (UNT) has confirmed them."""

    def __init__(self, name: str, found: StandardPages) -> None:
        self._name = name
        self._found = found
        self._ended = False
        self._messages = 0
        self._last: Segment | None = None
        self._begin(None)

    def _begin(self, header: Segment | None) -> None:
        self._header = header
        self._quantities: list[_Quantity] = []
        self._meter = self._obis = self._unit = ""
        self._open = False

    def read(self, segment: Segment, syntax: Syntax) -> None:
        self._last = segment
        tag = segment.tag
        if tag == "UNH":
            self._cut_off()
            _refuse_others(segment, self._name)
            self._begin(segment)
            self._messages += 1
        elif tag == "UNT":
            self._confirm(segment, syntax)
        elif tag == "UNZ":
            self._ended = True
            if segment.get(0).isdigit() and int(segment.get(0)) != self._messages:
                reason = f"says {segment.get(0)} messages, and there are {self._messages}: fetch the file again"
                self._found.reject(segment.number, segment.text, reason)
        elif self._header is not None:
            self._within(segment)

    def _within(self, segment: Segment) -> None:
        """A segment of a message's body."""
        tag = segment.tag
        if tag in ("NAD", "LOC", "LIN", "PIA", "UNS"):
            self._open = False  # times that follow are not of the quantity above
        if tag == "NAD":
            self._meter = self._obis = self._unit = ""
        elif tag == "LOC":
            self._meter = segment.get(1) if segment.get(0) == "172" else ""
            self._obis = self._unit = ""
        elif tag == "LIN":
            self._obis = self._unit = ""
        elif tag == "PIA":
            self._obis = segment.get(1)
        elif tag == "MEA":
            self._unit = segment.get(2)
        elif tag == "QTY":
            unit = segment.get(0, 2) or self._unit
            self._quantities.append(_Quantity(segment, self._meter, self._obis, unit))
            self._open = True
            if len(self._quantities) > _MOST_QUANTITIES:
                raise SourceError(self._name, f"a message has more than {_MOST_QUANTITIES:,} quantities")
        elif tag == "DTM" and self._open:
            self._quantities[-1].times[segment.get(0)] = (segment.get(0, 1), segment.get(0, 2))

    def end(self) -> None:
        """Report what is cut off."""
        self._cut_off()
        if not self._ended and self._last is not None:
            reason = "is the last segment, but not UNZ: the file is cut off; fetch it again"
            self._found.reject(self._last.number, self._last.text, reason)

    def _cut_off(self) -> None:
        if self._header is not None:
            self._found.reject(self._header.number, self._header.text, "begins a message that has no end (UNT)")
            self._begin(None)

    def _confirm(self, segment: Segment, syntax: Syntax) -> None:
        header = self._header
        if header is None:
            self._found.reject(segment.number, segment.text, "ends a message that has not begun (UNH)")
            return
        if segment.get(1) != header.get(0):
            reason = f"begins a message that is damaged: its end is that of another one ({segment.text})"
            self._found.reject(header.number, header.text, reason)
        else:
            for quantity in self._quantities:
                self._add(quantity, syntax)
        self._begin(None)

    def _add(self, quantity: _Quantity, syntax: Syntax) -> None:
        segment = quantity.segment
        status, number = segment.get(0), segment.get(0, 1)
        if syntax.decimal != ".":
            number = number.replace(".", "?").replace(syntax.decimal, ".")
        origin = _ORIGINS.get(status, "")
        found = _time_of(quantity)
        unit = _UNITS.get(quantity.unit.upper(), quantity.unit) or _implied_unit(quantity.obis)
        problem = ""
        if not quantity.meter:
            problem = "belongs to no metering point: no LOC+172 above it"
        elif not quantity.obis:
            problem = "belongs to no register: no PIA+5 with an OBIS code above it"
        elif not origin and status != _UNUSABLE:
            problem = f"has the status {status!r}; known are {', '.join([*_ORIGINS, _UNUSABLE])}"
        elif isinstance(found, str):
            problem = found
        elif not NUMBER.fullmatch(number) and status != _UNUSABLE:
            problem = f"holds {segment.get(0, 1)!r}, which is not a number"
        elif not unit:
            problem = f"has no unit, and the OBIS code {quantity.obis} does not say one"
        if problem or isinstance(found, str):
            self._found.reject(segment.number, segment.text, problem)
            return
        value = None if status == _UNUSABLE else float(number)
        series = Series(row=segment.number, meter=quantity.meter, signal=quantity.obis, unit=unit)
        self._found.add(series, [found[0]], [value], [origin or "measured"], zone=found[1])


def _time_of(quantity: _Quantity) -> tuple[int, str] | str:  # noqa: PLR0911 - a kind of fault each
    """Return the milliseconds and zone of a period's start, or of when a register was read; or what is wrong."""
    times = quantity.times
    code = _OBIS.fullmatch(quantity.obis)
    register = code is not None and code[3] in _REGISTERS
    if _PERIOD_START in times and _PERIOD_END in times:
        start, end = _milliseconds(*times[_PERIOD_START]), _milliseconds(*times[_PERIOD_END])
        if isinstance(start, str):
            return f"DTM+163 {start}"
        if isinstance(end, str):
            return f"DTM+164 {end}"
        if register:
            return f"is about a period, and {quantity.obis} is a register, whose readings have a moment"
        if start[1] == end[1] == "UTC" and start[0] >= end[0]:
            return "is about a period that ends (DTM+164) before it starts (DTM+163)"
        return start
    if _PERIOD_START in times or _PERIOD_END in times:
        return "has only one end of its period: DTM+163 and DTM+164 are needed"
    read = next((times[qualifier] for qualifier in _READ_AT if qualifier in times), None)
    if read is None:
        return "has no time: DTM+163 and DTM+164 are needed, or DTM+7 or DTM+9 for a register"
    if not register:
        return f"has no period (DTM+163, DTM+164), and {quantity.obis} is not a register"
    found = _milliseconds(*read)
    return f"DTM+7 or DTM+9 {found}" if isinstance(found, str) else found


def _milliseconds(text: str, form: str) -> tuple[int, str] | str:
    """Return a time as milliseconds and zone: unix milliseconds and "UTC", or local time and ""; or what is wrong."""
    offset = _MOMENT.fullmatch(text) if form == "303" else None
    if offset is None and not (form == "203" and _CLOCK.fullmatch(text)):
        return f"is {text!r} in format {form!r}; known are 303 (202406010000+00) and 203 (202406010000)"
    days = 0
    digits = text[:12]
    if digits[8:] == "2400":
        digits, days = f"{digits[:8]}0000", 1
    try:
        clock = datetime.strptime(digits, "%Y%m%d%H%M").replace(tzinfo=timezone.utc)  # noqa: UP017
        clock += timedelta(days=days)
    except (ValueError, OverflowError):
        return f"is {text!r}, which is not a time"
    milliseconds = int(clock.timestamp()) * 1000
    if offset is None:
        return milliseconds, ""
    hours, minutes = int(offset[2]), int(offset[3] or 0)
    return milliseconds - (hours * 60 + (minutes if hours >= 0 else -minutes)) * 60_000, "UTC"


def _implied_unit(obis: str) -> str:
    """The unit of a quantity that says none: energy of periods and registers is in kWh or kvarh."""
    found = _OBIS.fullmatch(obis)
    if found is None or found[1] not in (None, "1") or found[3] not in _ENERGY_OF_PERIODS | _REGISTERS:
        return ""
    return {"1": "kWh", "2": "kWh"}.get(found[2], "kvarh" if found[2] in "345678" else "")


def _refuse_others(header: Segment, name: str) -> None:
    kind = header.get(1)
    if kind != "MSCONS":
        raise SourceError(name, f"holds an EDIFACT message of type {kind or '?'}; only MSCONS has readings")
