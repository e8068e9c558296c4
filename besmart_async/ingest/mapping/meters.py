"""Meters of files to sensors: by a table, by names that are sensor keys, or by creating sensors on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from besmart_async.errors import BesmartError, InvalidInputError, NotFoundError
from besmart_async.ingest.mapping.meter_table import Meter, append_meter, read_meter_table
from besmart_async.ingest.sources.base import SourceError
from besmart_async.models.keys import SensorKey
from besmart_async.models.sensors import Sensor, SensorType

__all__ = [
    "CreatedMeters",
    "EidMeters",
    "KnownMeters",
    "MadeMeters",
    "Meter",
    "MeterTable",
    "Meters",
    "NewSensors",
    "SensorService",
    "read_meter_table",
]

MeterTable = Mapping[str, Meter]
"""Meters by the name that files call them."""

_UNKNOWN = "is no known meter; list it in --meters FILE.csv (meter,client_cid,sensor_mid), or name meters like 12.122"
_CONCURRENT_READS = 16
"""Sensors read at a time."""


class Meters(Protocol):
    """Finds meters by name."""

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Return the meter of each name, or why there is none."""
        ...


@attrs.frozen
class KnownMeters:
    """The meters of a table, and names that are sensor keys, such as `12.122`."""

    table: MeterTable = attrs.field(factory=dict[str, Meter])

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Look the names up, without asking the service."""
        return {name: self._one(name) for name in names}

    def _one(self, name: str) -> Meter | str:
        meter = self.table.get(name)
        if meter is not None:
            return meter
        try:
            return Meter(SensorKey.parse(name))
        except InvalidInputError:
            return _UNKNOWN


class SensorService(Protocol):
    """What finding and creating sensors needs of the service: `BesmartClient.sensors`."""

    async def types(self) -> list[SensorType]:
        """All sensor types."""
        ...

    async def get(self, client_cid: int, sensor_mid: int) -> Sensor:
        """Read a sensor."""
        ...

    async def create(
        self, *, name: str, sensor_type_id: int, client_cid: int, sensor_eid: str | None = None
    ) -> SensorKey:
        """Create a sensor."""
        ...


class EidMeters:
    """Meters whose name is the `sensor_eid` of a sensor.

    The API has no search by `sensor_eid`. So the candidate sensors are read one by one, once, when the first meter is
    not found otherwise.

    Args:
        known: asked first.
        sensors: the service.
        among: the candidate sensors; those that do not exist are skipped.
    """

    def __init__(self, known: Meters, sensors: SensorService, among: Sequence[SensorKey]) -> None:
        self._known = known
        self._sensors = sensors
        self._among = among
        self._by_eid: dict[str, list[SensorKey]] | None = None

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Return the meter of each name, unless several sensors have that `sensor_eid`.

        Raises:
            BesmartError: a sensor could not be read.
        """
        found = await self._known.find(names)
        unknown = [name for name, meter in found.items() if isinstance(meter, str)]
        if unknown and self._by_eid is None:
            self._by_eid = await self._read()
        for name in unknown:
            keys = (self._by_eid or {}).get(name, [])
            if len(keys) == 1:
                found[name] = Meter(keys[0])
            elif keys:
                found[name] = f"is the sensor_eid of several sensors: {', '.join(map(str, keys))}; list it in --meters"
        return found

    async def _read(self) -> dict[str, list[SensorKey]]:
        limit = asyncio.Semaphore(_CONCURRENT_READS)
        by_eid: dict[str, list[SensorKey]] = {}

        async def read(key: SensorKey) -> None:
            async with limit:
                with contextlib.suppress(NotFoundError):
                    sensor = await self._sensors.get(key.client_cid, key.sensor_mid)
                    if sensor.sensor_eid:
                        by_eid.setdefault(sensor.sensor_eid, []).append(key)

        async with asyncio.TaskGroup() as tasks:
            for key in self._among:
                tasks.create_task(read(key))
        return by_eid


@attrs.frozen
class NewSensors:
    """Properties of new sensors.

    Attributes:
        client_cid: the client they belong to.
        sensor_type: name or id of their type.
    """

    client_cid: int
    sensor_type: str = "meter"


class CreatedMeters:
    """Creates a sensor for every meter that is not found, and adds it to the table of meters at once.

    The next run finds it there: a meter gets one sensor, however often its files are ingested.

    Args:
        known: asked first.
        sensors: the service.
        new: properties of the sensors.
        table: CSV file of meters to add them to; created if it does not exist.
    """

    def __init__(self, known: Meters, sensors: SensorService, new: NewSensors, table: Path) -> None:
        self._known = known
        self._sensors = sensors
        self._new = new
        self._table = table
        self._type_id: int | None = None
        self.created: list[SensorKey] = []

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Return the meter of each name, creating its sensor if there is none.

        Raises:
            SourceError: the table cannot be written, or the sensor type does not exist.
            BesmartError: the service does not answer; it may have created a sensor that is not in the table.
        """
        found = await self._known.find(names)
        for name, meter in found.items():
            if isinstance(meter, str) and name:
                found[name] = Meter(await self._create(name))
        return found

    async def _create(self, name: str) -> SensorKey:
        if self._type_id is None:
            self._type_id = await self._find_type()
            await asyncio.to_thread(append_meter, self._table, None)
        try:
            key = await self._sensors.create(
                name=name, sensor_type_id=self._type_id, client_cid=self._new.client_cid, sensor_eid=name
            )
        except BesmartError as error:
            error.add_note(f"while the sensor of meter {name!r} was created; look whether it exists before going on")
            raise
        await asyncio.to_thread(append_meter, self._table, (name, key.client_cid, key.sensor_mid))
        self.created.append(key)
        return key

    async def _find_type(self) -> int:
        types = await self._sensors.types()
        wanted = self._new.sensor_type
        for kind in types:
            if kind.id is not None and wanted in (kind.name, str(kind.id)):
                return kind.id
        known = ", ".join(str(kind.name or kind.id) for kind in types)
        raise SourceError(str(self._table), f"no sensor type {wanted!r} for new sensors; the service has {known}")


@attrs.frozen
class MadeMeters:
    """Creates a sensor for every unknown meter in the embedded service.

    Attributes:
        known: meters whose sensor keys are known.
        create: creates a sensor of that name.
        provide: creates a sensor of that key, unless it exists.
    """

    known: KnownMeters
    create: Callable[[str], Awaitable[SensorKey]]
    provide: Callable[[str, SensorKey], None]

    async def find(self, names: Sequence[str]) -> dict[str, Meter | str]:
        """Return the meter of each name, creating its sensor if necessary."""
        found = await self.known.find(names)
        for name, meter in found.items():
            if isinstance(meter, Meter):
                self.provide(name, meter.sensor)
            else:
                found[name] = Meter(await self.create(name))
        return found
