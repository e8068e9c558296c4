from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from besmart_async.simulator import Simulator

STATES = "/sensors/states"
CALLS = [
    ("GET", "/sensors/types", 200),
    ("POST", "/sensors?name=a&sensor_type_id=12&client_cid=1", 201),
    ("GET", "/sensors/1.1", 200),
    ("DELETE", "/sensors/1.1", 204),
    ("GET", "/clients/13/meters", 200),
    ("PUT", "/clients/13/meters/1?name=a&number_of_phases=1", 204),
    ("DELETE", "/clients/13/meters/1", 204),
    ("GET", "/sensors/signals/types", 200),
    ("GET", f"{STATES}?client_cid=13&sensor_mid=44143", 200),
    ("POST", f"{STATES}?client_cid=1&sensor_mid=2&since=1", 201),
    ("PUT", f"{STATES}/21310?meter_eid=1", 204),
    ("DELETE", f"{STATES}/21310", 204),
    ("POST", f"{STATES}/21310/signals?signal_type_moid=1", 201),
    ("GET", f"{STATES}/signals?client_cid=13&sensor_mid=44143&signal_type_moid=32", 200),
    ("PUT", f"{STATES}/signals/798649?info=x", 204),
    ("DELETE", f"{STATES}/signals/798649", 204),
    ("GET", "/sensors/12.122/signals/32/data?since=1577836800000&till=1580515200000", 200),
    ("GET", "/weather/external/find/mid?lat=54.38&lon=18.63", 200),
    ("GET", "/weather/external/52308/signals/32/data?since=0&till=3600000", 200),
    ("GET", "/weather/external/54.38/-18.63/32/data?since=0&till=3600000&variant=a", 200),
    ("GET", "/users/token", 200),
]
GONE = [
    ("GET", "/sensors/13/meters", 404),
    ("POST", "/sensors/1/meters?meter_type_name=a&meter_type_id=1&number_of_phases=1", 404),
    ("PUT", "/sensors/1/meters?meter_type_name=a&meter_type_id=1&number_of_phases=1", 404),
    ("DELETE", "/sensors/1/meters", 404),
    ("POST", "/tasks/graphs/run", 404),
    ("PUT", "/sensors/1.1?name=b", 422),
    ("POST", f"{STATES}?client_cid=1&sensor_mid=2&since=1&meter_type_name=Virtual", 422),
    ("GET", "/sensors/12.122/signals/32/data?since=1577836800000&till=1580515200000&filters=%7B%7D", 422),
    ("DELETE", "/clients/13/meters", 405),
]
LIVE_ONLY = [
    ("GET", "/clients/13/meters", 404),
    ("GET", "/weather/external/find/mid?lat=54.38&lon=18.63", 404),
    ("PUT", "/sensors/signals/data/v2", 404),
    ("POST", "/sensors/signals/data/v2", 404),
    ("PUT", "/sensors/1.1/signals/32/data/v2", 404),
    ("PATCH", f"{STATES}/signals/798649", 405),
    ("POST", f"{STATES}?client_cid=1&sensor_mid=2&since=1&meter_type_id=1", 422),
]


@pytest.mark.parametrize(("method", "path", "status"), CALLS)
async def test_the_documents_operations_answer_with_live_statuses(
    live: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await live.request(method, path)
    assert answer.status_code == status
    if status == 204:
        assert answer.content == b""
        assert "content-length" not in answer.headers


async def test_operations_with_bodies_take_json_and_text(live: httpx.AsyncClient) -> None:
    columns = {"time": [1], "value": [1], "type": ["DBL"], "origin": [1]}
    key = {"client_cid": 1, "sensor_mid": 1, "signal_type_moid": 32}
    assert (await live.put("/sensors/1.1/signals/32/data", json=columns)).status_code == 204
    assert (await live.put("/sensors/signals/data", json=[{**key, "data": columns}])).status_code == 204
    read = await live.post("/sensors/signals/data", json=[{**key, "since": 0, "till": 9}])
    assert read.json()[0].keys() > {"data", "unit", "time_tstorage", "time_other"}
    assert (await live.post("/tasks/graphs/run/name?graph_name=string", json=[{}])).status_code == 200
    text = {"Content-Type": "text/plain"}
    named = await live.post("/tasks/graphs/run/name?graph_name=string", content="[{}]", headers=text)
    assert named.status_code == 200


async def test_states_have_iso_times_and_info_objects(live: httpx.AsyncClient) -> None:
    (_, state) = (await live.get(f"{STATES}?client_cid=13&sensor_mid=44143")).json()
    assert state["since"] == "2015-12-09T23:00:00+00:00"
    assert state["info"] == {"METER_DEV": 135620, "MM_NAME": "CX2000-9"}
    assert state["signal_states"][0]["info"]["TARIFF_NAME"] == "C12A"


@pytest.mark.parametrize(
    ("method", "path", "media"),
    [
        ("GET", "/sensors/1.99", "application/json"),
        ("GET", "/sensors/1.1/signals/32/data", "application/json"),
        ("POST", f"{STATES}?client_cid=13&sensor_mid=44143&since=1449702000001", "application/json"),
        ("PATCH", "/sensors", "application/problem+json"),
    ],
)
async def test_errors_carry_a_detail(live: httpx.AsyncClient, method: str, path: str, media: str) -> None:
    answer = await live.request(method, path)
    assert answer.status_code >= 400
    assert answer.headers["content-type"] == media
    detail: Any = answer.json()["detail"]
    assert isinstance(detail, list if answer.status_code == 422 else str)


async def test_live_entities_carry_more(live: httpx.AsyncClient) -> None:
    sensor = (await live.get("/sensors/1.1")).json()
    assert sensor.keys() > {"read", "balance_calculation", "acq_min", "existing_sensor_state", "comments"}
    assert "is_measurement" in (await live.get("/sensors/signals/types")).json()[0]


@pytest.mark.parametrize(("method", "path", "status"), GONE)
async def test_the_live_service_refuses_what_it_no_longer_has(
    live: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert (await live.request(method, path)).status_code == status


@pytest.mark.parametrize(("method", "path", "status"), LIVE_ONLY)
async def test_the_documented_service_refuses_what_only_the_live_one_has(
    api: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert (await api.request(method, path)).status_code == status


async def test_the_documented_answers_do_not_show_columns_of_the_live_service(api: httpx.AsyncClient) -> None:
    (_, state) = (await api.get(f"{STATES}?client_cid=13&sensor_mid=44143")).json()
    assert "meter_type_id" not in state
    assert not {"balance_calculation", "node_id"} & (await api.get("/sensors/1.1")).json().keys()
    assert not {"is_remote", "name"} & (await api.get("/sensors/13/meters")).json()[0].keys()


async def test_meter_types_have_ids_that_the_service_chooses(live: httpx.AsyncClient) -> None:
    made = await live.post("/clients/13/meters", json={"name": "G4", "number_of_phases": 1, "is_remote": True})
    assert made.status_code == 201
    by_id = f"/clients/13/meters/{made.json()['id']}"
    assert (await live.post("/clients/13/meters", json={"name": "G4", "number_of_phases": 1})).status_code == 409
    assert (await live.post("/clients/13/meters", json={"name": "G4"})).status_code == 422
    assert (await live.put(f"{by_id}?name=G6&number_of_phases=3")).status_code == 204
    found = {one["id"]: one for one in (await live.get("/clients/13/meters")).json()}
    assert (found[made.json()["id"]]["name"], found[made.json()["id"]]["is_remote"]) == ("G6", True)
    assert (await live.delete(by_id)).status_code == 204
    assert (await live.delete(by_id)).status_code == 404
    assert (await live.put(f"{by_id}?name=G6&number_of_phases=3")).status_code == 404


async def test_a_sensor_is_changed_by_a_body(live: httpx.AsyncClient) -> None:
    body = {"name": "new", "sensor_type_id": 12, "balance_calculation": True, "node_id": 7, "info": '{"a": 1}'}
    assert (await live.put("/sensors/1.1", json=body)).status_code == 204
    sensor = (await live.get("/sensors/1.1")).json()
    assert (sensor["name"], sensor["balance_calculation"], sensor["info"]) == ("new", True, {"a": 1})
    refused: list[Any] = [{"name": "new"}, {**body, "unknown": 1}, {**body, "info": "no"}, {**body, "name": None}, []]
    for bad in refused:
        assert (await live.put("/sensors/1.1", json=bad)).status_code == 422


async def test_a_state_has_the_id_of_its_meter_type_and_may_start_now(live: httpx.AsyncClient, clock: Any) -> None:
    made = await live.post(f"{STATES}?client_cid=13&sensor_mid=13781&meter_type_id=2")
    assert made.status_code == 201
    assert (made.json()["meter_type_id"], made.json()["meter_type_name"]) == (2, "CX2000-9")
    assert made.json()["since"] == "2020-09-13T12:26:40+00:00"
    assert (await live.post(f"{STATES}?client_cid=13&sensor_mid=13781&meter_type_id=99")).status_code == 404
    patched = await live.patch(f"{STATES}/signals/798649", json={"value_for_till": 121})
    assert patched.status_code == 204
    (_, state) = (await live.get(f"{STATES}?client_cid=13&sensor_mid=44143")).json()
    assert (state["signal_states"][0]["value_for_since"], state["signal_states"][0]["value_for_till"]) == (6, 121)
    assert (await live.patch(f"{STATES}/signals/1", json={"value_for_till": 1})).status_code == 404


async def test_version_2_of_the_operations_for_readings(live: httpx.AsyncClient) -> None:
    columns = {"time": [1], "value": [1], "type": ["DBL"], "origin": [2]}
    key = {"client_cid": 1, "sensor_mid": 1, "signal_type_moid": 32}
    assert (await live.put("/sensors/1.1/signals/32/data/v2", json={"data": columns})).status_code == 204
    assert (await live.put("/sensors/1.1/signals/32/data/v2", json=columns)).status_code == 422
    assert (await live.put("/sensors/signals/data/v2", json=[{**key, "data": columns}])).status_code == 204
    window = {**key, "since": 0, "till": 9, "last_acq": True}
    for asked, status in (
        ({**window, "signal_origin_id": 2, "apply_multiplier": True}, 200),
        ({**window, "get_last": True}, 422),
    ):
        answer = await live.post("/sensors/signals/data/v2", json=[asked])
        assert answer.status_code == status
        if status == 200:
            assert answer.json()[0]["data"] == columns
    first = await live.post("/sensors/signals/data", json=[{**window, "origin_id": 1}])
    assert first.json()[0]["data"]["time"] == []


async def test_weather_is_the_same_for_a_place_and_its_sensor(live: httpx.AsyncClient, clock: Any) -> None:
    mid = (await live.get("/weather/external/find/mid?lat=54.38&lon=18.63")).json()["sensor_mid"]
    hour = 3_600_000
    at = int(clock()) // hour * hour
    window = f"since={at - hour}&till={at + hour}"
    (place,) = (await live.get(f"/weather/external/54.38/18.63/32/data?{window}")).json()
    (sensor,) = (await live.get(f"/weather/external/{mid}/signals/32/data?{window}")).json()
    assert place == sensor
    assert place["sensor_mid"] == mid
    assert place["data"]["time"] == [at - hour, at, at + hour]
    assert place["data"]["origin"] == [1, 1, 2]
    (predicted,) = (await live.get(f"/weather/external/{mid}/signals/32/data?{window}&signal_origin_id=2")).json()
    assert predicted["data"]["time"] == [at + hour]
    (quarters,) = (await live.get(f"/weather/external/{mid}/signals/32/data?{window}&delta_t=15")).json()
    assert len(quarters["data"]["time"]) == 9
    for path, status in (
        ("/weather/external/find/mid?lat=91&lon=0", 422),
        (f"/weather/external/99.5/18.63/32/data?{window}", 422),
        (f"/weather/external/north/18.63/32/data?{window}", 404),
        (f"/weather/external/0/signals/32/data?{window}", 404),
        (f"/weather/external/{mid}/signals/999/data?{window}", 404),
        (f"/weather/external/{mid}/signals/32/data?since=1&till=0", 422),
        (f"/weather/external/{mid}/signals/32/data?since=0&till=8.64e15", 422),
        (f"/weather/external/{mid}/signals/32/data?{window}&output_unit_id=13", 422),
    ):
        assert (await live.get(path)).status_code == status, path


def test_a_file_of_an_earlier_version_gets_the_new_columns(tmp_path: Path) -> None:
    file = tmp_path / "simulator.sqlite"
    Simulator(database=file).close()
    connection = sqlite3.connect(file)
    connection.execute("ALTER TABLE sensor DROP COLUMN node_id")
    connection.execute("ALTER TABLE meter_type DROP COLUMN is_remote")
    connection.close()
    reopened = Simulator(database=file, dialect="live")
    reopened.add_meter_type(1, 7, "G4")
    reopened.close()
