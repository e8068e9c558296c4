from __future__ import annotations

from typing import Any

import httpx
import pytest

STATES = "/sensors/states"
CALLS = [
    ("GET", "/sensors/types", 200),
    ("POST", "/sensors?name=a&sensor_type_id=12&client_cid=1", 201),
    ("GET", "/sensors/1.1", 200),
    ("PUT", "/sensors/1.1?name=b", 204),
    ("DELETE", "/sensors/1.1", 204),
    ("GET", "/sensors/13/meters", 200),
    ("POST", "/sensors/1/meters?meter_type_name=a&meter_type_id=1&number_of_phases=1", 201),
    ("PUT", "/sensors/1/meters?meter_type_name=a&meter_type_id=1&number_of_phases=1", 204),
    ("DELETE", "/sensors/1/meters", 204),
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
    ("GET", "/users/token", 200),
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
    assert (await live.post("/tasks/graphs/run", json={"nodes": []})).status_code == 201
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
