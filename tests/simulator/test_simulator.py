from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from besmart_async.simulator import Seed, Simulator


async def test_what_a_test_adds_is_served(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_sensor_type(50, "gas_meter", "Gas")
    sim.add_signal_type(60, "V", unit="1", incremental=True, obis="7.0")
    cid, mid = sim.add_sensor(40, name="gas", sensor_type_id=50, sensor_eid="G1")
    sim.add_meter_type(cid, 3, "G4")
    state = sim.add_sensor_state(cid, mid, 1, 2, meter_eid="E", meter_type_name="G4")
    sim.add_readings(cid, mid, 60, [1, 2], [5, 6], origin=2)
    sensor = (await api.get(f"/sensors/{cid}.{mid}")).json()
    assert (sensor["name"], sensor["sensor_type_name"], sensor["sensor_eid"]) == ("gas", "gas_meter", "G1")
    (found,) = (await api.get(f"/sensors/states?client_cid={cid}&sensor_mid={mid}")).json()
    assert (found["sensor_state_id"], found["meter_type_is_ami"]) == (state, True)
    read: Any = (await api.get(f"/sensors/{cid}.{mid}/signals/60/data?since=0&till=9")).json()
    assert read[0]["data"] == {"time": [1, 2], "value": [5, 6], "type": ["DBL", "DBL"], "origin": [2, 2]}
    assert read[0]["unit"] == "1"
    assert sim.stored_count() == 2 + 192


def test_many_sensors_can_be_added_at_once() -> None:
    sim = Simulator(seed=False)
    sim.add_sensors(9, range(1, 4))
    assert sim.add_sensor(9) == (9, 4)
    assert sim.stored_count() == 0
    sim.close()


def test_a_file_keeps_its_data_and_is_not_seeded_again(tmp_path: Path) -> None:
    file = tmp_path / "simulator.sqlite"
    first = Simulator(database=file, seed=Seed(sensors=((7, 1, "a", 2),), states=False, readings=False))
    first.add_readings(7, 1, 32, [1], [1])
    first.close()
    second = Simulator(database=file)
    second.add_readings(7, 1, 32, [2], [2])
    assert [(row.time, row.sequence) for row in second.stored(7, 1, 32)] == [(1, 1), (2, 2)]
    assert second.stored(12, 122, 32) == []
    second.close()


def test_what_was_replaced_can_be_forgotten() -> None:
    sim = Simulator(seed=False)
    for value in (1, 2):
        sim.add_readings(7, 1, 32, [1, 2], [value, value])
    sim.add_readings(7, 1, 32, [1], [0], kind="RM")
    sim.add_readings(7, 1, 32, [1], [3], origin=2)
    sim.forget_replaced()
    found = [(row.time, row.value, row.type, row.origin) for row in sim.stored(7, 1, 32)]
    assert found == [(2, 2, "DBL", 1), (1, 0, "RM", 1), (1, 3, "DBL", 2)]
    sim.close()
