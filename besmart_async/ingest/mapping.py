"""What the columns mean to the service: meter and signal type to signal key, unit to the service's symbol."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.meters import Meter, Meters
from besmart_async.ingest.parsing import Readings
from besmart_async.ingest.report import Reject
from besmart_async.models.keys import SignalKey
from besmart_async.models.signal_types import SignalType

_OBIS = re.compile(r"(?:[0-9]+-[0-9]+:)?([0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:[*.][0-9]+)?")
_ENERGY = re.compile(r"([kMG]?)(W|var|VA)h")


class SignalTypes:
    """The service's signal types, found by OBIS code, symbol or id.

    An OBIS code may be written in full (`1-0:1.8.0*255`) or by its C.D.E part (`1.8.0`).
    """

    def __init__(self, types: Iterable[SignalType]) -> None:
        self._by_name: dict[str, set[int]] = {}
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
        found = self._by_name.get(name) or self._by_name.get(_plain_obis(name) or "")
        if not found:
            return f"is no signal type of the service; it knows {_some(self._known)}"
        if len(found) > 1:
            return f"is ambiguous: the signal types {', '.join(map(str, sorted(found)))} are called so; give the id"
        return next(iter(found))

    def unit_id(self, symbol: str) -> int | None:
        """The id of a unit, as far as the signal types tell it."""
        return next((kind.unit_id for kind in self._by_moid.values() if kind.unit_symbol == symbol), None)


def unit_symbol(text: str) -> str | None:
    """Return a unit as the service writes it: `kWh` is `kW.h`; None for an empty text, anything else as it is."""
    energy = _ENERGY.fullmatch(text)
    return f"{energy[1]}{energy[2]}.h" if energy else text or None


@attrs.frozen
class Target:
    """Where the readings of one meter and signal type go.

    Attributes:
        meter: the meter's name in the files.
        key: the signal.
        number: a small number of that signal, the same for every meter and type name that lead to it.
    """

    meter: str
    key: SignalKey
    number: int


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
        self._targets: dict[tuple[str, str], Target | tuple[str, str]] = {}
        self._numbers: dict[SignalKey, int] = {}

    async def resolve(self, readings: Readings) -> tuple[Resolved, list[Reject]]:
        """Find where the readings go; rows that lead nowhere become rejects.

        Raises:
            BesmartError: a sensor had to be made, and that failed.
        """
        signals = readings.signal
        width = len(signals.names) if signals else 1
        pairs = readings.meter.codes * width + (signals.codes if signals else 0)
        distinct, places = np.unique(pairs, return_inverse=True)
        named = [
            (readings.meter.names[pair // width], signals.names[pair % width] if signals else "")
            for pair in distinct.tolist()
        ]
        await self._find(sorted({meter for meter, _ in named} - self._found.keys()))
        targets: list[Target] = []
        problems: dict[int, tuple[str, str]] = {}
        for place, names in enumerate(named):
            found = self._target(*names)
            if not isinstance(found, Target):
                problems[place] = found
            targets.append(found if isinstance(found, Target) else _NOWHERE)
        if not problems:
            return Resolved(readings, targets, places), []
        failing = np.isin(places, list(problems))
        rejects = [_reject(readings, row, *problems[int(places[row])]) for row in np.flatnonzero(failing).tolist()]
        return Resolved(readings.take(~failing), targets, places[~failing]), rejects

    async def _find(self, meters: Sequence[str]) -> None:
        if meters:
            self._found |= await self._meters.find(meters)

    def _target(self, name: str, signal: str) -> Target | tuple[str, str]:
        target = self._targets.get((name, signal))
        if target is None:
            target = self._targets[name, signal] = self._new_target(name, signal)
        return target

    def _new_target(self, name: str, signal: str) -> Target | tuple[str, str]:
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
        return Target(name, key, self._numbers.setdefault(key, len(self._numbers)))


_NOWHERE = Target("", SignalKey(0, 0, 0), -1)


def _reject(readings: Readings, row: int, column: str, reason: str) -> Reject:
    held = readings.meter if column == "meter" else readings.signal
    text = held.text(row) if held else ""
    return Reject(readings.file, int(readings.rows[row]), readings.titles.get(column, column), text, reason)


def _plain_obis(code: str) -> str | None:
    found = _OBIS.fullmatch(code)
    return found[1] if found else None


def _some(names: Sequence[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
