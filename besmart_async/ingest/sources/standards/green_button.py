"""Green Button files, by which North American utilities give customers their data (NAESB ESPI, Atom XML).

A meter is a usage point: the last part of its address, or the file's name if the file has none. A signal type is called
`Wh forward` or `Wh reverse`: unit and direction of flow. Times are unix seconds (UTC), so the file's local time and its
clock changes do not matter.

Qualities: 0, 14, 17, 18 and 19 (valid, raw, validated, verified, revenue quality), or none, are measured; 7 (edited) is
corrected; 8, 9, 10 and 13 (estimated, questionable, mixed) are estimated; 11 and 15 (derived, normalized) are
calculated; 12 (projected) is predicted. A reading without a value is left out.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import attrs

from besmart_async.ingest.sources.base import CHUNK_ROWS, Page, SourceError
from besmart_async.ingest.sources.compression import opened, pieces
from besmart_async.ingest.sources.standards.espi import Entry, IntervalReading, espi
from besmart_async.ingest.sources.standards.readings import NUMBER, Series, StandardPages
from besmart_async.ingest.sources.stored import StoredFile, name_of, size_of

GREEN_BUTTON_SIGNALS = MappingProxyType(
    {
        "Wh forward": "1.29.0",
        "Wh reverse": "2.29.0",
        "varh forward": "3.29.0",
        "varh reverse": "4.29.0",
        "Wh forward register": "1.8.0",
        "Wh reverse register": "2.8.0",
        "varh forward register": "3.8.0",
        "varh reverse register": "4.8.0",
    }
)
"""Signal types of the usual kinds of reading; for others the mapping file must name one."""

_TITLES = {
    "meter": "UsagePoint",
    "signal": "ReadingType",
    "time": "start",
    "value": "value",
    "unit": "uom",
    "origin": "quality",
}
_UNITS = {
    "5": "A",
    "29": "V",
    "31": "J",
    "33": "Hz",
    "38": "W",
    "42": "m3",
    "61": "VA",
    "63": "var",
    "71": "VAh",
    "72": "Wh",
    "73": "varh",
    "119": "ft3",
    "132": "Btu",
    "134": "l",
    "169": "therm",
}
"""Units by the standard's codes (uom)."""
_PREFIXED = {"A", "V", "J", "Hz", "W", "VA", "var", "VAh", "Wh", "varh"}
_PREFIXES = {-3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_DIRECTIONS = {"1": "forward", "19": "reverse", "4": "net", "20": "total"}
_REGISTERS = {"1", "2", "3"}
_ORIGINS = (
    ("estimated", ("8", "9", "10", "13")),
    ("predicted", ("12",)),
    ("calculated", ("11", "15")),
    ("corrected", ("7",)),
    ("measured", ("0", "14", "17", "18", "19")),
)
_SECONDS = re.compile(r"[0-9]{9,11}")
_LATEST_S = 4_102_444_800
"""The year 2100: a larger number is not seconds."""


@attrs.frozen
class _Kind:
    """What the readings of an entry share: the series without its row, and the power of ten of their values."""

    meter: str
    signal: str
    unit: str
    power: int


@attrs.frozen
class GreenButtonSource:
    """A Green Button file; its rows are its interval readings.

    Attributes:
        path: the file.
        chunk_rows: approximate readings per page.
        meter: the meter's name; None: the usage point's.
    """

    path: Path | StoredFile
    chunk_rows: int = CHUNK_ROWS
    meter: str | None = None

    @property
    def name(self) -> str:
        """The path as given."""
        return name_of(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Size of the file on disk, compressed or not."""
        return size_of(self.path)

    def check(self) -> tuple[str, ...]:
        """Check that the whole file is XML with readings that have a type; see `Source`."""
        self._kinds()
        return ()

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        kinds = self._kinds()
        found = StandardPages(self.name, _TITLES, _signals(kinds.values()))
        failure: SourceError | None = None
        with opened(self.path, self.name) as raw:
            try:
                for item in espi(pieces(raw, self.path, self.name), self.name, readings=True):
                    if isinstance(item, IntervalReading):
                        _add(found, item, kinds.get(item.entry, "belongs to no interval block of an entry"))
                        if len(found) >= self.chunk_rows:
                            yield found.take(raw.tell() if raw.seekable() else 0)
            except SourceError as error:  # raised after the page of what was read before the damage
                failure = error
        yield found.take(self.size_bytes or 0)
        if failure is not None:
            raise failure

    def _kinds(self) -> dict[int, _Kind | str]:
        """Return by entry what its readings share, or why they cannot be read."""
        with opened(self.path, self.name) as raw:
            items = espi(pieces(raw, self.path, self.name), self.name, readings=False)
            entries = [item for item in items if isinstance(item, Entry) and item.kind]
        if not any(entry.kind == "IntervalBlock" for entry in entries):
            raise SourceError(self.name, "holds no interval readings (IntervalBlock), such as a file of customer data")
        return _Entries(entries, self.meter, self._stem()).kinds()

    def _stem(self) -> str:
        return self.path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[0] or self.path.name


class _Entries:
    """Finds the usage point and the reading type of each interval block by the links between entries."""

    def __init__(self, entries: Sequence[Entry], meter: str | None, stem: str) -> None:
        self._blocks = [entry for entry in entries if entry.kind == "IntervalBlock"]
        self._types = [entry for entry in entries if entry.kind == "ReadingType"]
        self._readings = [entry for entry in entries if entry.kind == "MeterReading"]
        self._points = sorted({point for entry in entries if (point := _part(entry, "UsagePoint"))})
        self._unnamed = sum(entry.kind == "UsagePoint" for entry in entries)
        self._meter = meter
        self._stem = stem

    def kinds(self) -> dict[int, _Kind | str]:
        """Return by entry what its readings share, or why they cannot be read."""
        found: dict[int, _Kind | str] = {}
        of_names: dict[tuple[str, str], set[int]] = {}
        types: dict[int, int] = {}
        for block in self._blocks:
            kind = self._type(block)
            meter = self._meter_of(block)
            if isinstance(kind, str):
                found[block.number] = kind
            elif meter is None:
                found[block.number] = "names no usage point, and the file has several"
            else:
                made = _kind(meter, kind)
                found[block.number] = made
                if isinstance(made, _Kind):
                    types[block.number] = kind.number
                    of_names.setdefault((made.meter, made.signal), set()).add(kind.number)
        lengths = {entry.number: entry.fields.get("intervalLength", "?") for entry in self._types}
        for number, made in found.items():  # two types must not become one signal
            if isinstance(made, _Kind) and len(of_names[made.meter, made.signal]) > 1:
                signal = (
                    f"{made.signal or made.unit} {lengths[types[number]]} s, ReadingType {self._name(types[number])}"
                )
                found[number] = attrs.evolve(made, signal=signal)
        return found

    def _name(self, number: int) -> str:
        entry = next(entry for entry in self._types if entry.number == number)
        return _part(entry, "ReadingType") or str(number)

    def _type(self, block: Entry) -> Entry | str:
        """The reading type that the meter reading of a block links to; the only one of a file without links."""
        if len(self._types) == 1:
            return self._types[0]
        if not self._types:
            return "has no reading type (ReadingType) in the file, so that its unit is not known"
        reading = _address(block, "MeterReading")
        for entry in self._readings:
            if reading and _address(entry, "MeterReading") == reading:
                named = {link.rstrip("/") for link in entry.links.get("related", [])}
                chosen = [kind for kind in self._types if _own(kind) & named]
                if len(chosen) == 1:
                    return chosen[0]
        return "links to no reading type, and the file has several"

    def _meter_of(self, block: Entry) -> str | None:
        point = _part(block, "UsagePoint")
        if self._meter is not None:
            return self._meter if len(self._points) <= 1 and self._unnamed <= 1 else None
        if point:
            return point
        if len(self._points) == 1 and self._unnamed <= 1:
            return self._points[0]
        return self._stem if not self._points and self._unnamed <= 1 else None


def _signals(kinds: Iterable[_Kind | str]) -> dict[str, str]:
    """Return the signal types by name. The only kind of a usage point, such as gas, has what the user says of all."""
    of_points: dict[str, set[str]] = {}
    for kind in kinds:
        if isinstance(kind, _Kind):
            of_points.setdefault(kind.meter, set()).add(kind.signal)
    alone = {next(iter(names)) for names in of_points.values() if len(names) == 1}
    among = {name for names in of_points.values() if len(names) > 1 for name in names}
    return {**dict.fromkeys(alone - among, ""), **GREEN_BUTTON_SIGNALS}


def _own(entry: Entry) -> set[str]:
    return {link.rstrip("/") for link in entry.links.get("self", [])}


def _address(entry: Entry, kind: str) -> str:
    """The address of the resource of a kind that an entry is, or is part of: `…/UsagePoint/1/MeterReading/2`."""
    for link in (*entry.links.get("self", []), *entry.links.get("up", [])):
        parts = PurePosixPath(link).parts
        places = [place for place, part in enumerate(parts[:-1]) if part == kind]
        if places:
            return "/".join(parts[: places[-1] + 2])
    return ""


def _part(entry: Entry, kind: str) -> str:
    return _address(entry, kind).rpartition("/")[2]


def _kind(meter: str, entry: Entry) -> _Kind | str:
    fields = entry.fields
    uom, power = fields.get("uom", ""), fields.get("powerOfTenMultiplier", "") or "0"
    base = _UNITS.get(uom)
    if base is None:
        known = ", ".join(f"{code} ({unit})" for code, unit in _UNITS.items())
        return f"has the unit code (uom) {uom!r}; known are {known}"
    if not re.fullmatch(r"-?[0-9]{1,2}", power) or not -12 <= int(power) <= 12:
        return f"has the powerOfTenMultiplier {power!r}, which is not a number from -12 to 12"
    rest, prefix = int(power), ""
    if base in _PREFIXED:
        nearest = max(exponent for exponent in _PREFIXES if exponent <= max(int(power), -3))
        rest, prefix = int(power) - nearest, _PREFIXES[nearest]
    direction = _DIRECTIONS.get(fields.get("flowDirection", ""), "")
    register = "register" if fields.get("accumulationBehaviour") in _REGISTERS else ""
    signal = " ".join(filter(None, (base, direction, register))) if direction else ""
    return _Kind(meter, signal, f"{prefix}{base}", rest)


def _add(found: StandardPages, reading: IntervalReading, kind: _Kind | str) -> None:
    text = f"start {reading.start or '-'}, duration {reading.duration or '-'}, value {reading.value or '-'}"
    origin = _origin(reading.qualities)
    value = reading.value
    problem = ""
    if isinstance(kind, str):
        problem = f"is of an interval block that {kind}"
    elif not _SECONDS.fullmatch(reading.start) or int(reading.start) > _LATEST_S:
        problem = f"starts at {reading.start!r}, which is not unix seconds"
    elif value is not None and not NUMBER.fullmatch(value):
        problem = f"has the value {value!r}, which is not a number"
    elif origin is None:
        problem = f"has the quality {', '.join(reading.qualities)!r}, whose meaning is not known"
    if problem or isinstance(kind, str) or origin is None:
        found.reject(reading.number, text, problem)
        return
    number = None if value is None else _scaled(float(value), kind.power)
    series = Series(row=reading.number, meter=kind.meter, signal=kind.signal, unit=kind.unit)
    found.add(series, [int(reading.start) * 1000], [number], [origin])


def _scaled(value: float, power: int) -> float:
    """Multiply by a power of ten; dividing by a whole number is exact where multiplying by a fraction is not."""
    return value * 10.0**power if power >= 0 else value / 10.0**-power


def _origin(qualities: Sequence[str]) -> str | None:
    """The origin of the least certain quality; measured without any; None for an unknown one."""
    known = {code for _, codes in _ORIGINS for code in codes}
    if not set(qualities) <= known:
        return None
    return next((origin for origin, codes in _ORIGINS if set(codes) & set(qualities)), "measured")
