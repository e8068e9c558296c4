"""Putting things into a simulator from a test, past the API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from besmart_async.simulator import units
from besmart_async.simulator.readings import Columns
from besmart_async.simulator.seed import signal_type_row
from besmart_async.simulator.store import Store


class Stocking:
    """The `add_*` methods of a simulator, and `forget_replaced`. They check nothing a request would have to obey."""

    _store: Store

    def _now(self) -> float:
        raise NotImplementedError

    def add_sensor_type(self, sensor_type_id: int, name: str, description: str = "") -> int:
        """Add a sensor type and return its id."""
        row = {"id": sensor_type_id, "name": name, "description": description}
        self._store.insert("sensor_type", {**row, "sensor_state_custom_fields": "{}", "sensor_custom_fields": "{}"})
        return sensor_type_id

    def add_signal_type(
        self,
        signal_type_moid: int,
        symbol: str,
        *,
        unit: str = "kW.h",
        incremental: bool = False,
        description: str = "",
        obis: str | None = None,
        chart_unit: str | None = None,
    ) -> int:
        """Add a signal type and return its moid."""
        row = signal_type_row(
            signal_type_moid, symbol, incremental, description, units.BY_SYMBOL[unit].unit_id, obis, chart_unit
        )
        self._store.insert("signal_type", row)
        return signal_type_moid

    def add_sensor(
        self,
        client_cid: int,
        sensor_mid: int | None = None,
        *,
        name: str | None = None,
        sensor_type_id: int = 2,
        sensor_eid: str | None = None,
    ) -> tuple[int, int]:
        """Add a sensor, by default with the client's next `sensor_mid`; return (client_cid, sensor_mid)."""
        row = {"name": name or "meter", "sensor_type_id": sensor_type_id, "sensor_eid": sensor_eid}
        return client_cid, self._store.add_sensor(client_cid, sensor_mid, row)

    def add_sensors(self, client_cid: int, sensor_mids: Iterable[int]) -> None:
        """Add many sensors at once."""
        for sensor_mid in sensor_mids:
            self.add_sensor(client_cid, sensor_mid)

    def add_meter_type(
        self, client_cid: int, meter_type_id: int, name: str, *, phases: int = 3, is_ami: bool = True
    ) -> int:
        """Add a meter type and return its id."""
        row = {"client_cid": client_cid, "id": meter_type_id, "meter_type_name": name}
        self._store.insert("meter_type", {**row, "number_of_phases": phases, "is_ami": is_ami})
        return meter_type_id

    def add_sensor_state(
        self,
        client_cid: int,
        sensor_mid: int,
        since: int,
        till: int | None = None,
        *,
        meter_eid: str | None = None,
        meter_type_name: str | None = None,
        info: str | None = None,
    ) -> int:
        """Add a sensor state and return its id."""
        row = {"client_cid": client_cid, "sensor_mid": sensor_mid, "since": since, "till": till, "info": info}
        return self._store.insert("sensor_state", {**row, "meter_eid": meter_eid, "meter_type_name": meter_type_name})

    def add_readings(
        self,
        client_cid: int,
        sensor_mid: int,
        signal_type_moid: int,
        time: Sequence[float],
        value: Sequence[Any],
        *,
        kind: str = "DBL",
        origin: int = 1,
    ) -> None:
        """Store readings of one signal in the unit of its type, acquired now."""
        count = len(time)
        columns = Columns(list(time), list(value), [kind] * count, [origin] * count)
        self._store.readings.append((client_cid, sensor_mid, signal_type_moid), columns, self._now())

    def forget_replaced(self) -> None:
        """Drop every acquisition but the newest of each reading, so that a long run needs no more memory."""
        self._store.readings.forget_replaced()
