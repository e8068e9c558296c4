from __future__ import annotations

from typing import Any

import httpx
import pytest

CREATE: dict[str, Any] = {"name": "Electric meter no 123", "sensor_type_id": 12, "client_cid": 1}
METER: dict[str, Any] = {"meter_type_name": "Virtual", "meter_type_id": 1, "number_of_phases": 1}
STATES = "/sensors/states"


async def test_a_sensor_lives_from_creation_to_deletion(api: httpx.AsyncClient) -> None:
    details: dict[str, Any] = {"sensor_eid": "E1", "lat": 53.13, "lon": 22.06, "info": '{"a": 1}', "uncertain": True}
    created = await api.post("/sensors", params={**CREATE, **details})
    assert (created.status_code, created.json()) == (201, {"client_cid": 1, "sensor_mid": 4})
    sensor = (await api.get("/sensors/1.4")).json()
    assert sensor == {
        **CREATE,
        **details,
        "sensor_mid": 4,
        "comments": None,
        "negligible": False,
        "sensor_type_name": "meter_station",
        "sensor_type_description": "Stacja",
        "write": True,
        "execute": True,
    }
    changed = await api.put("/sensors/1.4", params={"name": "new", "comments": "c", "negligible": True})
    assert (changed.status_code, changed.json()) == (200, "OK")
    sensor = (await api.get("/sensors/1.4")).json()
    assert (sensor["name"], sensor["comments"], sensor["negligible"], sensor["lat"]) == ("new", "c", True, 53.13)
    assert (await api.delete("/sensors/1.4")).json() == "OK"
    for method in ("GET", "PUT", "DELETE"):
        answer = await api.request(method, "/sensors/1.4")
        assert (answer.status_code, answer.json()) == (404, "Resource not found")


async def test_a_sensor_mid_is_never_used_again(api: httpx.AsyncClient) -> None:
    await api.post("/sensors", params=CREATE)
    await api.delete("/sensors/1.4")
    assert (await api.post("/sensors", params=CREATE)).json()["sensor_mid"] == 5


async def test_an_update_without_changes_is_ok(api: httpx.AsyncClient) -> None:
    before = (await api.get("/sensors/1.1")).json()
    assert (await api.put("/sensors/1.1")).json() == "OK"
    assert (await api.get("/sensors/1.1")).json() == before


async def test_a_new_client_starts_at_one(api: httpx.AsyncClient) -> None:
    created = await api.post("/sensors", params={**CREATE, "client_cid": 77})
    assert created.json() == {"client_cid": 77, "sensor_mid": 1}


async def test_sensor_types_hold_the_documents_own(api: httpx.AsyncClient) -> None:
    types = (await api.get("/sensors/types")).json()
    assert {"id": 1, "name": "virtual", "description": "Wirtualny"}.items() <= types[0].items()
    assert 12 in {one["id"] for one in types}


async def test_meter_types_of_a_client(api: httpx.AsyncClient) -> None:
    path = "/sensors/2/meters"
    assert (await api.get(path)).json() == []
    created = await api.post(path, params={**METER, "is_ami": True})
    assert (created.status_code, created.json()) == (201, "Created")
    expected = {"id": 1, "meter_type_name": "Virtual", "description": None, "number_of_phases": 1}
    flags = {"is_balance": False, "is_ami": True, "is_dcu": False}
    assert (await api.get(path)).json() == [expected | flags]
    again = await api.post(path, params=METER)
    assert (again.status_code, again.json()) == (409, "Conflict")
    assert (await api.post(path, params={**METER, "meter_type_id": 2})).status_code == 409
    assert (await api.put(path, params={**METER, "description": "d"})).json() == "OK"
    assert (await api.put(path, params={**METER, "meter_type_id": 9, "meter_type_name": "B"})).json() == "OK"
    assert (await api.put(path, params={**METER, "meter_type_id": 9})).status_code == 409
    listed = (await api.get(path)).json()
    assert [(one["id"], one["description"], one["is_ami"]) for one in listed] == [(1, "d", True), (9, None, False)]
    assert (await api.delete(path)).json() == "OK"
    assert (await api.get(path)).json() == []
    assert (await api.get("/sensors/13/meters")).json() != []


async def test_the_documents_sensor_state_is_there(api: httpx.AsyncClient) -> None:
    states = (await api.get(STATES, params={"client_cid": 13, "sensor_mid": 44143})).json()
    assert states[1] == {
        "sensor_state_id": 21310,
        "client_cid": 13,
        "sensor_mid": 44143,
        "since": 1449702000000,
        "till": 1549702000000,
        "meter_eid": "135620",
        "info": '{"METER_DEV": 135620, "MM_NAME": "CX2000-9"}',
        "meter_type_name": "CX2000-9",
        "meter_type_is_ami": True,
        "signal_states": [
            {
                "signal_state_id": 798649,
                "signal_type_moid": 32,
                "value_for_since": 6,
                "value_for_till": 120,
                "info": '{"PPECODE":"PL_ZEBB_2006000099","METER_DEV":936692255,"TARIFF_NAME":"C12A"}',
            }
        ],
    }


async def test_states_of_a_sensor_do_not_overlap(api: httpx.AsyncClient) -> None:
    async def create(since: float, till: float | None = None) -> int:
        params = {"client_cid": 1, "sensor_mid": 1, "since": since}
        return (await api.post(STATES, params=params | ({} if till is None else {"till": till}))).status_code

    assert await create(1000, 2000) == 201
    assert await create(1500, 1600) == 409
    assert await create(500, 1001) == 409
    assert await create(1999) == 409
    assert await create(500, 1000) == 201
    assert await create(2000.5) == 201
    assert await create(9000, 9001) == 409
    assert await create(100, 100) == 422
    assert await create(100, 99) == 422
    states = (await api.get(STATES, params={"client_cid": 1, "sensor_mid": 1})).json()
    assert [(one["since"], one["till"]) for one in states] == [(500, 1000), (1000, 2000), (2000, None)]


async def test_a_new_state_shows_no_signal_states(sim: Any, api: httpx.AsyncClient) -> None:
    params: dict[str, Any] = {"client_cid": 13, "sensor_mid": 13781, "since": 1, "till": 2, "meter_eid": "77"}
    created = await api.post(STATES, params={**params, "meter_type_name": "CX2000-9"})
    assert created.status_code == 201
    assert created.json()["signal_states"] == []
    assert created.json()["meter_type_is_ami"] is True
    sim.settings.oddities = True
    created = await api.post(STATES, params={**params, "since": 3, "till": 4})
    assert (created.json()["signal_states"], created.json()["meter_eid"]) == ([[]], 77)


@pytest.mark.parametrize(
    "params",
    [
        {"client_cid": 1, "sensor_mid": 99, "since": 1},
        {"client_cid": 1, "sensor_mid": 1, "since": 1, "meter_type_name": "none such"},
    ],
)
async def test_a_state_needs_its_sensor_and_meter_type(api: httpx.AsyncClient, params: dict[str, Any]) -> None:
    assert (await api.post(STATES, params=params)).status_code == 404


async def test_a_state_is_changed_under_the_rules_of_creation(api: httpx.AsyncClient) -> None:
    path = f"{STATES}/21310"
    assert (await api.put(path, params={"till": 1649702000000, "info": "x"})).json() == "OK"
    assert (await api.put(path, params={"since": 1449701999999})).status_code == 409
    assert (await api.put(path, params={"till": 5})).status_code == 422
    assert (await api.put(path, params={"meter_type_name": "none such"})).status_code == 404
    assert (await api.put(f"{STATES}/1", params={"till": 5})).status_code == 404
    state = (await api.get(STATES, params={"client_cid": 13, "sensor_mid": 44143})).json()[1]
    assert (state["till"], state["info"]) == (1649702000000, "x")


async def test_a_deleted_state_takes_its_signal_states_with_it(api: httpx.AsyncClient) -> None:
    assert (await api.delete(f"{STATES}/21310")).json() == "OK"
    assert (await api.delete(f"{STATES}/21310")).status_code == 404
    assert (await api.delete(f"{STATES}/signals/798649")).status_code == 404


async def test_a_deleted_sensor_takes_its_states_with_it(api: httpx.AsyncClient) -> None:
    assert (await api.delete("/sensors/13.44143")).json() == "OK"
    assert (await api.get(STATES, params={"client_cid": 13, "sensor_mid": 44143})).status_code == 404
    assert (await api.delete(f"{STATES}/7986")).status_code == 404


async def test_signal_states_live_in_a_sensor_state(api: httpx.AsyncClient) -> None:
    params = {"signal_type_moid": 33, "value_for_since": 1, "value_for_till": 2.5}
    created = await api.post(f"{STATES}/21310/signals", params=params)
    assert created.status_code == 201
    state_id = created.json()["signal_state_id"]
    assert created.json() == {"sensor_state_id": 21310, "signal_state_id": state_id, "info": None, **params}
    key = {"client_cid": 13, "sensor_mid": 44143}
    listed = (await api.get(f"{STATES}/signals", params={**key, "signal_type_moid": 33})).json()
    assert [one["sensor_state_id"] for one in listed] == [21310]
    assert [one["signal_state_id"] for one in listed[0]["signal_states"]] == [state_id]
    assert (await api.put(f"{STATES}/signals/{state_id}", params={"value_for_till": 3})).json() == "OK"
    listed = (await api.get(f"{STATES}/signals", params={**key, "signal_type_moid": 33})).json()
    assert listed[0]["signal_states"][0]["value_for_till"] == 3
    assert (await api.delete(f"{STATES}/signals/{state_id}")).json() == "OK"
    assert (await api.get(f"{STATES}/signals", params={**key, "signal_type_moid": 33})).json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{STATES}/1/signals?signal_type_moid=32"),
        ("POST", f"{STATES}/21310/signals?signal_type_moid=999"),
        ("PUT", f"{STATES}/signals/1"),
        ("DELETE", f"{STATES}/signals/1"),
        ("GET", f"{STATES}?client_cid=1&sensor_mid=99"),
        ("GET", f"{STATES}/signals?client_cid=1&sensor_mid=99&signal_type_moid=32"),
        ("GET", f"{STATES}/signals?client_cid=1&sensor_mid=1&signal_type_moid=999"),
    ],
)
async def test_what_does_not_exist_is_not_found(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.json()) == (404, "Resource not found")
