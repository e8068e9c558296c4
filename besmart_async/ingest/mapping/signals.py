"""Units of files and of signal types, and the explicit conversion between them.

A unit is known by its dimension and a power of ten. Power is never made energy, nor the other way round: that takes
the length of a period, and is not the conversion of a unit.

What the columns mean to the service: meter and signal type to signal key, values to the signal type's unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.mapping.meters import Meter, Meters
from besmart_async.ingest.parse.parser import Readings
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Coded, Coder, distinct_codes
from besmart_async.models.keys import SignalKey
from besmart_async.models.signal_types import SignalType

_BASES = {
    "w": "W",
    "var": "var",
    "va": "VA",
    "v": "V",
    "a": "A",
    "hz": "Hz",
    "wh": "W.h",
    "varh": "var.h",
    "vah": "VA.h",
    "j": "J",
}
_PREFIXES = {"m": -3, "": 0, "k": 3, "K": 3, "M": 6, "G": 9}
_UNIT = re.compile(r"([mkKMG]?)(wh|varh|vah|w|var|va|v|a|hz|j)", re.IGNORECASE)
_KNOWN = "Wh, kWh, MWh, W, kW, var, kvarh, V, A, Hz and the like"
_JOINTS = re.compile(r"[.*·\s]")


@attrs.frozen
class Unit:
    """A unit of measure.

    Attributes:
        dimension: the unit without a prefix, as the service writes it: `W.h`.
        exponent: its size in that unit, as a power of ten: 3 for `kW.h`.
    """

    dimension: str
    exponent: int

    @property
    def symbol(self) -> str:
        """The unit as the service writes it."""
        prefix = next(name for name, exponent in _PREFIXES.items() if exponent == self.exponent and name != "K")
        return f"{prefix}{self.dimension}"


def unit_of(text: str) -> Unit | None:
    """Return the unit of a text such as `kWh`, `kW.h`, `kVArh` or `MW`; None if it is none that is known.

    Where upper and lower case make a difference, `m` and `M`, nothing is guessed: `mwh` is no unit.
    """
    plain = _JOINTS.sub("", text)
    found = _UNIT.fullmatch(plain)
    if found is None:
        return None
    prefix, base = found[1], found[2]
    if prefix == "m" and base[0].islower() and base[0] != "v":
        return None
    if prefix.casefold() == "g":
        prefix = "G"
    return Unit(_BASES[base.casefold()], _PREFIXES[prefix])


def unit_symbol(text: str) -> str | None:
    """Return a unit as the service writes it: `kWh` is `kW.h`; None for an empty text, anything else as it is."""
    unit = unit_of(text)
    return unit.symbol if unit is not None else text or None


@attrs.frozen
class Conversion:
    """What values of one unit have to be multiplied by, as a power of ten."""

    exponent: int = 0

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert values; by a whole number, so that 1500 W is exactly 1.5 kW."""
        if not self.exponent:
            return values
        factor = 10.0 ** abs(self.exponent)
        return values * factor if self.exponent > 0 else values / factor


@lru_cache(maxsize=1000)
def conversion(text: str, symbol: str | None) -> Conversion | str:
    """Return how to convert from a file's unit to a signal type's, or why that cannot be done.

    Args:
        text: the unit in the file.
        symbol: the unit of the signal type; None where the service tells none: then nothing is converted.
    """
    source, target = unit_of(text), unit_of(symbol or "")
    if symbol is None or text == symbol:
        return Conversion()
    if source is None:
        return f"is no known unit; the signal type has {symbol}, known are {_KNOWN}"
    if target is None or source.dimension != target.dimension:
        return f"cannot be converted to the signal type's {symbol}"
    return Conversion(source.exponent - target.exponent)


_SIGNAL_BITS = 32
_SIGNAL_MASK = (1 << _SIGNAL_BITS) - 1
_NO_SIGNAL = [""]
_OBIS = re.compile(r"(?:[0-9]+-[0-9]+:)?([0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:[*.][0-9]+)?")


class SignalTypes:
    """The service's signal types, found by OBIS code, symbol or id.

    An OBIS code may be written in full (`1-0:1.8.0*255`) or by its C.D.E part (`1.8.0`).
    """

    def __init__(self, types: Iterable[SignalType]) -> None:
        self._by_name: dict[str, set[int]] = {}
        self._asked: dict[str, int | str] = {}
        self._by_moid: dict[int, SignalType] = {}
        self._known: list[str] = []
        for kind in types:
            moid = kind.signal_type_moid
            if moid is None:
                continue
            self._by_moid[moid] = kind
            names = (str(moid), kind.symbol, kind.obis_mapping, kind.obis_mapping and _plain_obis(kind.obis_mapping))
            for name in filter(None, names):
                self._by_name.setdefault(name, set()).add(moid)
            self._known.append(f"{kind.obis_mapping or kind.symbol or moid}")

    def find(self, name: str) -> int | str:
        """Return the type's moid, or why there is none."""
        answer = self._asked.get(name)
        if answer is None:
            answer = self._asked[name] = self._find(name)
        return answer

    def _find(self, name: str) -> int | str:
        found = self._by_name.get(name) or self._by_name.get(_plain_obis(name) or "")
        if not found:
            return f"is no signal type of the service; it knows {_some(self._known)}"
        if len(found) > 1:
            return f"is ambiguous: the signal types {', '.join(map(str, sorted(found)))} are called so; give the id"
        return next(iter(found))

    def unit(self, moid: int) -> str | None:
        """The unit of a type's values, where the service tells it."""
        return self._by_moid[moid].unit_symbol

    def counts_up(self, moid: int) -> bool:
        """Whether a type is a register, whose readings belong to moments and not to periods."""
        return bool(self._by_moid[moid].is_incremental)


@attrs.frozen
class Target:
    """Where the readings of one meter and signal type go.

    Attributes:
        meter: the meter's name in the files.
        key: the signal.
        number: a small number of that signal, the same for every meter and type name that lead to it.
        unit: unit of its values; None where the service does not tell.
        counts_up: whether it is a register.
    """

    meter: str
    key: SignalKey
    number: int
    unit: str | None = None
    counts_up: bool = False


@attrs.frozen
class Resolved:
    """Readings that have a signal: row i goes to `targets[places[i]]`."""

    readings: Readings
    targets: list[Target]
    places: NDArray[np.int64]


class Mapper:
    """Finds the signals of readings; remembers what it has found.

    Args:
        meters: who knows the meters.
        types: the service's signal types.
        signal_type: signal type of rows that do not tell it, and whose meter does not either.
    """

    def __init__(self, meters: Meters, types: SignalTypes, signal_type: str | None = None) -> None:
        self._meters = meters
        self._types = types
        self._default = signal_type
        self._found: dict[str, Meter | str] = {}
        self._numbers: dict[SignalKey, int] = {}
        self._columns: tuple[object, object] = (None, None)
        self._targets: dict[int, Target] = {}  # by pairs of codes, which keep their meaning within a file
        self._problems: dict[int, tuple[str, str]] = {}

    async def resolve(self, readings: Readings) -> tuple[Resolved, list[Reject]]:
        """Find where the readings go; rows that lead nowhere become rejects.

        Raises:
            BesmartError: a sensor had to be made, and that failed.
        """
        distinct, places = _pairs(readings)
        pairs = distinct.tolist()
        await self._meet(readings, pairs)
        targets = [self._targets[pair] for pair in pairs]
        rejects: list[Reject] = []
        if self._problems:
            problems = {place: self._problems[pair] for place, pair in enumerate(pairs) if pair in self._problems}
            failing = np.isin(places, list(problems))
            rejects = [_reject(readings, row, *problems[int(places[row])]) for row in np.flatnonzero(failing).tolist()]
            readings, places = (readings.take(~failing), places[~failing]) if rejects else (readings, places)
        resolved, refused = in_units_of_types(Resolved(_at_starts(readings, targets, places), targets, places))
        return resolved, [*rejects, *refused]

    async def _meet(self, readings: Readings, pairs: Sequence[int]) -> None:
        """Find the targets of pairs of codes that were not seen before."""
        meters, signals = readings.meter.names, readings.signal.names if readings.signal is not None else _NO_SIGNAL
        if self._columns[0] is not meters or self._columns[1] is not signals:  # of another file
            self._columns, self._targets, self._problems = (meters, signals), {}, {}
        new = [pair for pair in pairs if pair not in self._targets]
        names = {meters[pair >> _SIGNAL_BITS] for pair in new} - self._found.keys()
        if names:
            self._found |= await self._meters.find(sorted(names))
        for pair in new:
            signal = signals[pair & _SIGNAL_MASK]
            found = self._target(meters[pair >> _SIGNAL_BITS], readings.how.signals.get(signal, signal))
            if isinstance(found, Target):
                self._targets[pair] = found
            else:
                self._targets[pair], self._problems[pair] = _NOWHERE, found

    def _target(self, name: str, signal: str) -> Target | tuple[str, str]:
        meter = self._found[name]
        if isinstance(meter, str):
            return "meter", meter
        wanted = signal or meter.signal_type or self._default
        if wanted is None:
            return "signal", "no signal type: add a column obis, or say --signal-type, such as 1.8.0"
        moid = self._types.find(wanted)
        if isinstance(moid, str):
            return "signal", moid if signal else f"({wanted}) {moid}"
        key = meter.sensor.signal(moid)
        number = self._numbers.setdefault(key, len(self._numbers))
        return Target(name, key, number, self._types.unit(moid), self._types.counts_up(moid))


_NOWHERE = Target("", SignalKey(0, 0, 0), -1)


def _pairs(readings: Readings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct pairs of codes of meter and signal type, each as a number, and which one each reading has."""
    width = readings.width
    distinct, places = distinct_codes(readings.pairs, len(readings.meter.names) * width)
    return (distinct // width << _SIGNAL_BITS) + distinct % width, places


def _at_starts(readings: Readings, targets: Sequence[Target], places: NDArray[np.int64]) -> Readings:
    """Move the readings of periods from their end to their start, where the file has ends."""
    length = readings.length_ms
    if not length or not targets:
        return readings
    moved = np.array([0 if target.counts_up else length for target in targets], np.int64)[places]
    return attrs.evolve(readings, time=readings.time - moved)


def in_units_of_types(resolved: Resolved) -> tuple[Resolved, list[Reject]]:
    """Convert values to the units of their signal types; values in units that cannot be are rejects.

    Readings without a unit stay as they are, and are sent without one.
    """
    readings, targets, places = resolved.readings, resolved.targets, resolved.places
    if not len(readings) or (readings.unit is None and readings.how.unit is None):
        return resolved, []
    unit = readings.unit if readings.unit is not None else Coded(np.zeros(len(readings), np.int64), [""])
    width = len(unit.names)
    kinds: dict[str | None, int] = {}  # signal types by their unit
    kind = np.array([kinds.setdefault(target.unit, len(kinds)) for target in targets], np.int64)[places]
    distinct, which = distinct_codes(kind * width + unit.codes, len(kinds) * width)
    wanted = list(kinds)
    symbols, refused = Coder(), dict[int, str]()
    named: list[str] = []
    exponents: list[int] = []
    for place, pair in enumerate(distinct.tolist()):
        text, symbol = unit.names[pair % width] or readings.how.unit or "", wanted[pair // width]
        how = conversion(text, symbol) if text else Conversion()
        if isinstance(how, str):
            refused[place] = how
        exponents.append(0 if isinstance(how, str) else how.exponent)
        named.append("" if not text else symbol or unit_symbol(text) or "")
    codes = symbols.encode(named).codes
    codes = codes[which] if len(codes) > 1 else np.broadcast_to(codes, len(readings))
    value = _converted(readings.value, exponents, which)
    converted = attrs.evolve(readings, value=value, unit=Coded(codes, symbols.names))
    if not refused:
        return Resolved(converted, targets, places), []
    failing = np.isin(which, list(refused))
    rejects = [_reject(readings, row, "unit", refused[int(which[row])]) for row in np.flatnonzero(failing).tolist()]
    return Resolved(converted.take(~failing), targets, places[~failing]), rejects


def _converted(value: NDArray[np.float64], exponents: Sequence[int], which: NDArray[np.int64]) -> NDArray[np.float64]:
    if not any(exponents):
        return value
    of_row, value = np.array(exponents)[which], value.copy()
    for exponent in set(exponents):
        rows = of_row == exponent
        value[rows] = Conversion(exponent).of(value[rows])
    return value


def _reject(readings: Readings, row: int, column: str, reason: str) -> Reject:
    held: Coded | None = getattr(readings, column)
    text = held.text(row) if held is not None else (readings.how.unit or "") if column == "unit" else ""
    return Reject(readings.file, int(readings.rows[row]), readings.titles.get(column, column), text, reason)


def _plain_obis(code: str) -> str | None:
    found = _OBIS.fullmatch(code)
    return found[1] if found else None


def _some(names: Sequence[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
