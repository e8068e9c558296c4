"""Meters of files and the sensors they are: a table, names that are sensor keys already, or sensors made on demand."""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from besmart_async.errors import InvalidInputError
from besmart_async.ingest.sources import SourceError
from besmart_async.models.keys import SensorKey

MeterTable = Mapping[str, "Meter"]
"""Meters by the name that files call them."""

_COLUMNS = ("meter", "client_cid", "sensor_mid")
_UNKNOWN = "is no known meter; list it in --meters FILE.csv (meter,client_cid,sensor_mid), or name meters like 12.122"


@attrs.frozen
class Meter:
    """What a file's meter is to the service.

    Attributes:
        sensor: its sensor.
        signal_type: signal type of its readings where rows do not tell: OBIS code, symbol or id.
    """

    sensor: SensorKey
    signal_type: str | None = None


class Meters(Protocol):
    """Finds meters by name."""

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Return each name's meter, or why there is none."""
        ...


@attrs.frozen
class KnownMeters:
    """The meters of a table, and names that are sensor keys, such as `12.122`."""

    table: MeterTable = attrs.field(factory=dict[str, Meter])

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Look the names up; nothing is asked of the service."""
        return {name: self._one(name) for name in names}

    def _one(self, name: str) -> Meter | str:
        meter = self.table.get(name)
        if meter is not None:
            return meter
        try:
            return Meter(SensorKey.parse(name))
        except InvalidInputError:
            return _UNKNOWN


@attrs.frozen
class MadeMeters:
    """Makes a sensor for every meter that is not known, for the embedded service.

    Attributes:
        known: meters that have their sensor's numbers already.
        create: makes a new sensor of that name.
        provide: makes a sensor of these numbers, unless there is one.
    """

    known: KnownMeters
    create: Callable[[str], Awaitable[SensorKey]]
    provide: Callable[[str, SensorKey], None]

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Return each name's meter, making its sensor first."""
        found = await self.known.find(names)
        for name, meter in found.items():
            if isinstance(meter, Meter):
                self.provide(name, meter.sensor)
            else:
                found[name] = Meter(await self.create(name))
        return found


def read_meter_table(path: Path) -> dict[str, Meter]:
    """Read `meter,client_cid,sensor_mid[,signal_type]`.

    Raises:
        SourceError: naming the file, the row and what is wrong.
    """
    table: dict[str, Meter] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(str(path), f"no column {missing[0]}; the header must be {','.join(_COLUMNS)}")
            for number, row in enumerate(reader, start=2):
                name = (row["meter"] or "").strip()
                if not name or name in table:
                    problem = f"meter {name!r} is there twice" if name else "the meter is empty"
                    raise SourceError(str(path), f"row {number}: {problem}")
                table[name] = _meter(row, path, number)
    except OSError as error:
        raise SourceError(str(path), f"cannot be opened: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SourceError(str(path), "is not UTF-8 text") from None
    except csv.Error as error:
        raise SourceError(str(path), f"is not CSV: {error}") from None
    return table


def _meter(row: Mapping[str, str | None], path: Path, number: int) -> Meter:
    key = f"{(row['client_cid'] or '').strip()}.{(row['sensor_mid'] or '').strip()}"
    try:
        return Meter(SensorKey.parse(key), (row.get("signal_type") or "").strip() or None)
    except InvalidInputError:
        raise SourceError(str(path), f"row {number}: client_cid and sensor_mid must be whole numbers") from None
