"""The data of a new simulator: everything that the samples in the document refer to.

Sensor types and signal types are as the document shows them where it does, and plausible elsewhere. Clients are 1, 2,
12 and 13; sensors 1.1 to 1.3, 2.12, 12.122 (with a day of readings), 13.44143 (with the states 21310 and 7986) and
13.13781.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from besmart_async.simulator.storage.database import transaction
from besmart_async.simulator.storage.readings import ReadingColumns
from besmart_async.simulator.storage.store import EntityStore

DAY_START_MS = 1_577_836_800_000  # 2020-01-01, the time of the document's examples
QUARTER_MS = 900_000
_FIELDS = '{"tariff": {"required": true}, "meter_max_digits": {"required": false}}'


@attrs.frozen(kw_only=True)
class Seed:
    """What to start with.

    Attributes:
        sensor_types: (id, name, description) of each.
        signal_types: (moid, symbol, incremental, description, unit id, obis, chart unit) of each.
        sensors: (client_cid, sensor_mid, name, sensor_type_id) of each.
        meter_types: (client_cid, id, name, phases, is_ami) of each.
        states: Whether the document's states 21310 and 7986 are there.
        readings: Whether 12.122.32 has a day of readings, and 1.1.1 some.
    """

    sensor_types: tuple[tuple[int, str, str], ...] = (
        (1, "virtual", "Wirtualny"),
        (2, "meter", "Licznik"),
        (3, "meter_balance", "Licznik bilansujący"),
        (4, "concentrator", "Koncentrator"),
        (12, "meter_station", "Stacja"),
    )
    signal_types: tuple[tuple[int, str, bool, str, int, str | None, str | None], ...] = (
        (1, "E", False, "Energia w okresie", 1, None, "kW"),
        (2, "P+", False, "Moc czynna pobrana", 5, "1.7.0", "kW"),
        (3, "P-", False, "Moc czynna oddana", 5, "2.7.0", "kW"),
        (4, "Q+", False, "Moc bierna pobrana", 11, "3.7.0", "kvar"),
        (5, "U1", False, "Napięcie fazy 1", 13, "32.7.0", "V"),
        (6, "I1", False, "Prąd fazy 1", 16, "31.7.0", "A"),
        (7, "f", False, "Częstotliwość", 17, "14.7.0", "Hz"),
        (8, "status", False, "Status", 18, None, None),
        (24, "profile-", False, "Profil oddany", 1, "2.29.0", "kW"),
        (25, "Rprofile+", False, "Profil mocy biernej pobranej", 8, "3.29.0", "kvar"),
        (26, "Rprofile-", False, "Profil mocy biernej oddanej", 8, "4.29.0", "kvar"),
        (32, "A+", True, "Energia czynna pobrana z sieci", 1, "1.8.0", "kW"),
        (33, "A-", True, "Energia czynna oddana do sieci", 1, "2.8.0", "kW"),
        (34, "profile", False, "Profil", 1, "1.29.0", "kW"),
        (35, "R+", True, "Energia bierna pobrana", 8, "3.8.0", "kvar"),
        (36, "R-", True, "Energia bierna oddana", 8, "4.8.0", "kvar"),
    )
    sensors: tuple[tuple[int, int, str, int], ...] = (
        (1, 1, "sensor name", 12),
        (1, 2, "Electric meter no 2", 2),
        (1, 3, "Electric meter no 3", 2),
        (2, 12, "Electric meter no 12", 12),
        (12, 122, "Electric meter no 122", 2),
        (13, 44143, "Electric meter no 44143", 2),
        (13, 13781, "Electric meter no 13781", 2),
    )
    meter_types: tuple[tuple[int, int, str, int, bool], ...] = (
        (1, 1206095, "Meter type name", 3, True),
        (13, 1, "Virtual", 1, False),
        (13, 2, "CX2000-9", 3, True),
    )
    states: bool = True
    readings: bool = True


TYPES_ONLY = Seed(sensors=(), meter_types=(), states=False, readings=False)


def fill(store: EntityStore, seed: Seed) -> None:
    """Fill an empty database."""
    with transaction(store.connection):
        for type_id, name, description in seed.sensor_types:
            fields = {"sensor_state_custom_fields": _FIELDS, "sensor_custom_fields": _FIELDS}
            store.insert("sensor_type", {"id": type_id, "name": name, "description": description, **fields})
        for signal_type in seed.signal_types:
            store.insert("signal_type", signal_type_row(*signal_type))
        for client_cid, sensor_mid, name, type_id in seed.sensors:
            store.add_sensor(client_cid, sensor_mid, {"name": name, "sensor_type_id": type_id})
        for client_cid, type_id, name, phases, is_ami in seed.meter_types:
            row = {"client_cid": client_cid, "id": type_id, "meter_type_name": name}
            store.insert("meter_type", {**row, "number_of_phases": phases, "is_ami": is_ami})
        if seed.states:
            _add_states(store)
        if seed.readings:
            _add_readings(store)


def signal_type_row(
    moid: int,
    symbol: str,
    incremental: bool,
    description: str,
    unit_id: int,
    obis: str | None,
    chart_unit: str | None,
) -> dict[str, Any]:
    """A signal type as its table holds it."""
    return {
        "signal_type_moid": moid,
        "symbol": symbol,
        "is_incremental": incremental,
        "description": description,
        "unit_id": unit_id,
        "group_id": 2,
        "group_name": "Energetyka",
        "obis_mapping": obis,
        "chart_expected_unit": chart_unit,
        "keep_prefix": False,
    }


def _add_states(store: EntityStore) -> None:
    state: dict[str, Any] = {
        "client_cid": 13,
        "sensor_mid": 44143,
        "meter_eid": "135620",
        "info": '{"METER_DEV": 135620, "MM_NAME": "CX2000-9"}',
        "meter_type_name": "CX2000-9",
    }
    first = {"sensor_state_id": 7986, "since": 1_349_702_000_000, "till": 1_449_702_000_000}
    store.insert("sensor_state", {**state, **first})
    second = {"sensor_state_id": 21310, "since": 1_449_702_000_000, "till": 1_549_702_000_000}
    store.insert("sensor_state", {**state, **second})
    signal_state = {"signal_type_moid": 32, "value_for_since": 6, "value_for_till": 120}
    info = '{"PPECODE":"PL_ZEBB_2006000099","METER_DEV":936692255,"TARIFF_NAME":"C12A"}'
    store.insert("signal_state", {"signal_state_id": 798649, "sensor_state_id": 21310, **signal_state, "info": info})


def _add_readings(store: EntityStore) -> None:
    times: list[float] = [DAY_START_MS + i * QUARTER_MS for i in range(96)]
    used = [round(0.2 + 0.15 * math.sin(i / 96 * 2 * math.pi), 3) for i in range(96)]
    register = [round(10.01 + sum(used[:i]), 3) for i in range(96)]
    kinds, origins = ["DBL"] * 96, [1] * 96
    store.readings.append((12, 122, 32), ReadingColumns(times, list(register), kinds, origins), DAY_START_MS)
    store.readings.append((1, 1, 1), ReadingColumns(times, list(used), kinds, origins), DAY_START_MS)
