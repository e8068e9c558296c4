"""Meters and signal types of readings to signal keys, and values to the units of their signal types.

A unit has a dimension and a power of ten. Power is never converted to energy or back: that depends on the length of a
period, and is not a conversion of units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.mapping.meters import Meter, Meters
from besmart_async.ingest.parse.obis import ObisCode, obis_code
from besmart_async.ingest.parse.parser import ParsedReadings
from besmart_async.ingest.rejects import of_column
from besmart_async.ingest.report import UNKNOWN_SIGNAL, Reject
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
class MeasureUnit:
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


def unit_of(text: str) -> MeasureUnit | None:
    """Return the unit of a text such as `kWh`, `kW.h`, `kVArh` or `MW`; None if it is unknown.

    Where case matters (`m` and `M`), nothing is guessed: `mwh` is not a unit.
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
    return MeasureUnit(_BASES[base.casefold()], _PREFIXES[prefix])


def unit_symbol(text: str) -> str | None:
    """Return a unit as the service writes it: `kWh` is `kW.h`; unknown units unchanged; None for an empty text."""
    unit = unit_of(text)
    return unit.symbol if unit is not None else text or None


@attrs.frozen
class Conversion:
    """The power of ten by which values are multiplied."""

    exponent: int = 0

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert values, multiplying or dividing by a whole number: 1500 W is exactly 1.5 kW."""
        if not self.exponent:
            return values
        factor = 10.0 ** abs(self.exponent)
        return values * factor if self.exponent > 0 else values / factor


@lru_cache(maxsize=1000)
def conversion(text: str, symbol: str | None) -> Conversion | str:
    """Return the conversion from a file's unit to a signal type's, or why there is none.

    Args:
        text: the unit in the file.
        symbol: the unit of the signal type; None if the service does not report it: then nothing is converted.
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


class SignalTypes:
    """The service's signal types, found by OBIS code, symbol or id.

    An OBIS code may be written in full (`1-0:1.8.0*255`) or by its C.D.E part (`1.8.0`). Its medium, channel and
    billing period count: a gas meter's `7-0:1.8.0` or last month's `1.8.0*01` is not the type of `1.8.0`.
    """

    def __init__(self, types: Iterable[SignalType]) -> None:
        self._by_name: dict[str, set[int]] = {}
        self._asked: dict[str, int | str] = {}
        self._by_moid: dict[int, SignalType] = {}
        self._known: list[str] = []
        self._codes: dict[str, list[tuple[ObisCode, int]]] = {}
        for kind in types:
            moid = kind.signal_type_moid
            if moid is None:
                continue
            self._by_moid[moid] = kind
            names = (str(moid), kind.symbol, kind.obis_mapping)
            code = obis_code(kind.obis_mapping) if kind.obis_mapping else None
            if code is not None:
                self._codes.setdefault(code.quantity, []).append((code, moid))
            for name in filter(None, names):
                self._by_name.setdefault(name, set()).add(moid)
            self._known.append(f"{kind.obis_mapping or kind.symbol or moid}")

    def find(self, name: str) -> int | str:
        """Return the moid of a type, or why it was not found."""
        answer = self._asked.get(name)
        if answer is None:
            answer = self._asked[name] = self._find(name)
        return answer

    def _find(self, name: str) -> int | str:
        code = obis_code(name)
        alike = self._codes.get(code.quantity, []) if code else []
        found = self._by_name.get(name) or {moid for other, moid in alike if code and code.means(other)}
        if not found:
            said = f" (the code {code.said})" if code and code.said else ""
            return f"{UNKNOWN_SIGNAL}{said}; it knows {_some(self._known)}"
        if len(found) > 1:
            return f"is ambiguous: the signal types {', '.join(map(str, sorted(found)))} are called so; give the id"
        return next(iter(found))

    def unit(self, moid: int) -> str | None:
        """The unit of a type's values; None if the service does not report it."""
        return self._by_moid[moid].unit_symbol

    def counts_up(self, moid: int) -> bool:
        """Whether a type is a register, whose readings are taken at a moment and not over a period."""
        return bool(self._by_moid[moid].is_incremental)


@attrs.frozen
class Target:
    """Where the readings of one meter and signal type go.

    Attributes:
        meter: the meter's name in the files.
        key: the signal.
        number: a small number for that signal, the same for all meter and type names that mean it.
        unit: unit of its values; None if the service does not report it.
        counts_up: whether it is a register.
        factor: what the values are multiplied by.
    """

    meter: str
    key: SignalKey
    number: int
    unit: str | None = None
    counts_up: bool = False
    factor: float = 1.0


@attrs.frozen
class Resolved:
    """Readings that have a signal: row i goes to `targets[target[i]]`."""

    readings: ParsedReadings
    targets: list[Target]
    target: NDArray[np.int64]

    @property
    def signals(self) -> NDArray[np.int64]:
        """The number of each reading's signal (`Target.number`), shape (n,)."""
        return np.array([target.number for target in self.targets], np.int64)[self.target]

    def take(self, rows: NDArray[Any]) -> Resolved:
        """The readings at these rows (a mask or indexes)."""
        return Resolved(self.readings.take(rows), self.targets, self.target[rows])


class Mapper:
    """Finds the signals of readings; caches what it has found.

    Args:
        meters: finds the sensors of meters.
        types: the service's signal types.
        signal_type: signal type of readings for which neither the row nor the meter names one.
    """

    def __init__(self, meters: Meters, types: SignalTypes, signal_type: str | None = None) -> None:
        self._meters = meters
        self._types = types
        self._default = signal_type
        self._found: dict[str, Meter | str] = {}
        self._numbers: dict[SignalKey, int] = {}
        self._channels: dict[SignalKey, int] = {}
        self._columns: tuple[object, object] = (None, None)
        self._targets: dict[int, Target] = {}  # by pairs of codes, which keep their meaning within a file
        self._problems: dict[int, tuple[str, str]] = {}

    async def resolve(self, readings: ParsedReadings) -> tuple[Resolved, list[Reject]]:
        """Find the signals of readings; rows without a signal become rejects.

        Raises:
            BesmartError: a sensor had to be created, and that failed.
        """
        distinct, target = _pairs(readings)
        pairs = distinct.tolist()
        await self._find_new(readings, pairs)
        resolved = Resolved(readings, [self._targets[pair] for pair in pairs], target)
        rejects: list[Reject] = []
        if self._problems:
            problems = {number: self._problems[pair] for number, pair in enumerate(pairs) if pair in self._problems}
            failing = np.isin(target, list(problems))
            rejects = [_reject(readings, row, *problems[int(target[row])]) for row in np.flatnonzero(failing).tolist()]
            resolved = resolved.take(~failing) if rejects else resolved
        resolved, refused = in_units_of_types(_multiplied(_at_starts(resolved)))
        return resolved, [*rejects, *refused]

    async def _find_new(self, readings: ParsedReadings, pairs: Sequence[int]) -> None:
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
            name = meters[pair >> _SIGNAL_BITS]
            factor = readings.options.factors.get(name)
            found = self._target(name, readings.options.signals.get(signal, signal), factor)
            if isinstance(found, Target):
                self._targets[pair] = found
            else:
                self._targets[pair], self._problems[pair] = _NOWHERE, found

    def _target(self, name: str, signal: str, factor: float | None) -> Target | tuple[str, str]:
        meter = self._found[name]
        if isinstance(meter, str):
            return "meter", meter
        wanted = signal or meter.signal_type or self._default
        if wanted is None:
            return "signal", "no signal type: add a column obis, or say --signal-type, such as 1.8.0"
        moid = self._types.find(wanted)
        if isinstance(moid, str):
            if not signal:
                return "signal", f"({wanted}) {moid}"
            named = "" if _OBIS_LIKE.match(signal) else "; say which one it is under [signals.names] of a mapping file"
            return "signal", f"{moid}{named}"
        key = meter.sensor.signal(moid)
        code = obis_code(signal)
        channel = None if code is None else code.channel
        if channel is not None and self._channels.setdefault(key, channel) != channel:
            other = self._channels[key]
            return "signal", f"is of channel {channel}, and readings of channel {other} go to the same signal"
        number = self._numbers.setdefault(key, len(self._numbers))
        factor = meter.factor if factor is None else factor
        return Target(name, key, number, self._types.unit(moid), self._types.counts_up(moid), factor)


_OBIS_LIKE = re.compile(r"(?:[0-9]+-[0-9]+:)?[0-9]+(?:\.[0-9]+)+")
_NOWHERE = Target("", SignalKey(0, 0, 0), -1)


def _pairs(readings: ParsedReadings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct pairs of codes (meter and signal type), each as one number, and the pair of each reading."""
    width = readings.width
    distinct, index = distinct_codes(readings.pairs, len(readings.meter.names) * width)
    return (distinct // width << _SIGNAL_BITS) + distinct % width, index


def _at_starts(resolved: Resolved) -> Resolved:
    """Move readings of periods from the end to the start of their period, if the file has ends."""
    readings, length = resolved.readings, resolved.readings.length_ms
    if not length or not resolved.targets:
        return resolved
    moved = np.array([0 if target.counts_up else length for target in resolved.targets], np.int64)[resolved.target]
    return attrs.evolve(resolved, readings=attrs.evolve(readings, time=readings.time - moved))


def _multiplied(resolved: Resolved) -> Resolved:
    """Multiply the values of meters that have a factor, such as the ratio of their transformers."""
    factors = [target.factor for target in resolved.targets]
    if all(factor == 1 for factor in factors):
        return resolved
    value = resolved.readings.value * np.array(factors)[resolved.target]
    return attrs.evolve(resolved, readings=attrs.evolve(resolved.readings, value=value))


def in_units_of_types(resolved: Resolved) -> tuple[Resolved, list[Reject]]:
    """Convert values to the units of their signal types; values whose unit cannot be converted become rejects.

    Readings without a unit stay as they are, and are sent without one.
    """
    readings, targets = resolved.readings, resolved.targets
    if not len(readings) or (readings.unit is None and readings.options.unit is None):
        return resolved, []
    unit = readings.unit if readings.unit is not None else Coded(np.zeros(len(readings), np.int64), [""])
    width = len(unit.names)
    kinds: dict[str | None, int] = {}  # signal types by their unit
    kind = np.array([kinds.setdefault(target.unit, len(kinds)) for target in targets], np.int64)[resolved.target]
    distinct, which = distinct_codes(kind * width + unit.codes, len(kinds) * width)
    wanted = list(kinds)
    symbols, refused = Coder(), dict[int, str]()
    named: list[str] = []
    exponents: list[int] = []
    for number, pair in enumerate(distinct.tolist()):
        text, symbol = unit.names[pair % width] or readings.options.unit or "", wanted[pair // width]
        found = conversion(text, symbol) if text else Conversion()
        if isinstance(found, str):
            refused[number] = found
        exponents.append(0 if isinstance(found, str) else found.exponent)
        named.append("" if not text else symbol or unit_symbol(text) or "")
    codes = symbols.encode(named).codes
    codes = codes[which] if len(codes) > 1 else np.broadcast_to(codes, len(readings))
    value = _converted(readings.value, exponents, which)
    converted = attrs.evolve(resolved, readings=attrs.evolve(readings, value=value, unit=Coded(codes, symbols.names)))
    if not refused:
        return converted, []
    failing = np.isin(which, list(refused))
    rejects = [_reject(readings, row, "unit", refused[int(which[row])]) for row in np.flatnonzero(failing).tolist()]
    return converted.take(~failing), rejects


def _converted(value: NDArray[np.float64], exponents: Sequence[int], which: NDArray[np.int64]) -> NDArray[np.float64]:
    if not any(exponents):
        return value
    of_row, value = np.array(exponents)[which], value.copy()
    for exponent in set(exponents):
        rows = of_row == exponent
        value[rows] = Conversion(exponent).of(value[rows])
    return value


def _reject(readings: ParsedReadings, row: int, column: str, reason: str) -> Reject:
    held: Coded | None = getattr(readings, column)
    text = held.text(row) if held is not None else (readings.options.unit or "") if column == "unit" else ""
    title = readings.titles.get(column, column)
    return Reject(readings.file, int(readings.rows[row]), title, text, reason, of_column(readings.column, row))


def _some(names: Sequence[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
