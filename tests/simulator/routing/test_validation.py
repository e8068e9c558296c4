"""Strictness: what the document does not allow is refused, and the refusal names what is wrong."""

from __future__ import annotations

import ast
from typing import Any

import httpx
import pytest

CREATE = "/sensors?name=a&sensor_type_id=12&client_cid=1"
READ = "/sensors/12.122/signals/32/data"
STATE = "/sensors/states?client_cid=1&sensor_mid=1"


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("POST", f"{CREATE}&color=red", "color"),
        ("POST", f"{CREATE}&name=b", "name"),
        ("POST", "/sensors?name=a&sensor_type_id=12", "client_cid"),
        ("POST", "/sensors?name=a&sensor_type_id=999&client_cid=1", "sensor_type_id"),
        ("POST", "/sensors?name=a&sensor_type_id=12.0&client_cid=1", "sensor_type_id"),
        ("POST", "/sensors?name=a&sensor_type_id=&client_cid=1", "sensor_type_id"),
        ("POST", "/sensors?name=a&sensor_type_id=%D9%A1&client_cid=1", "sensor_type_id"),
        ("POST", "/sensors?name=a&sensor_type_id=99999999999999999999&client_cid=1", "sensor_type_id"),
        ("POST", f"{CREATE}&uncertain=True", "uncertain"),
        ("POST", f"{CREATE}&uncertain=1", "uncertain"),
        ("POST", f"{CREATE}&lat=nan", "lat"),
        ("POST", f"{CREATE}&lat=inf", "lat"),
        ("POST", f"{CREATE}&lat=1e999", "lat"),
        ("POST", f"{CREATE}&lat=91", "lat"),
        ("POST", f"{CREATE}&lon=-181", "lon"),
        ("POST", f"{CREATE}&info=nojson", "info"),
        ("POST", "/sensors?name=%FF&sensor_type_id=12&client_cid=1", "query"),
        ("PUT", "/sensors/1.1?sensor_type_id=999", "sensor_type_id"),
        ("POST", "/sensors/1/meters?meter_type_name=a&meter_type_id=5&number_of_phases=4", "number_of_phases"),
        ("POST", f"{STATE}", "since"),
        ("PUT", "/sensors/states/21310?since=1.5", "since"),
        ("GET", READ, "since"),
        ("GET", f"{READ}?since=1&till=x", "till"),
        ("GET", f"{READ}?since=2&till=1", "since"),
        ("GET", f"{READ}?since=1&till=2&delta_t=0", "delta_t"),
        ("GET", f"{READ}?since=1&till=2&filters=[]", "filters"),
        ("GET", f"{READ}?since=1&till=2&filters=x", "filters"),
        ("GET", f"{READ}?since=1&till=2&output_unit_id=999", "output_unit_id"),
        ("GET", f"{READ}?since=1&till=2&output_unit_id=5", "output_unit_id"),
        ("GET", "/sensors/states/signals?client_cid=1&sensor_mid=1", "signal_type_moid"),
    ],
)
async def test_bad_parameters_are_refused_by_name(api: httpx.AsyncClient, method: str, path: str, named: str) -> None:
    # The request line goes out as written: httpx itself would tidy the query.
    answer = await api.request(method, httpx.URL("http://sim/api" + path))
    assert answer.status_code == 422
    message = ast.literal_eval(answer.json())
    assert message["status_code"] == -1
    assert named in message["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/sensors/1", 404),
        ("GET", "/sensors/a.b", 404),
        ("GET", "/sensors/1.2.3", 404),
        ("GET", "/sensors/1.99999999999999999999", 404),
        ("GET", "/sensors/types/", 404),
        ("GET", "/sensors/%7Bclient_cid%7D.%7Bsensor_mid%7D", 404),
        ("GET", "/sensors/a/meters", 404),
        ("GET", "/sensors", 405),
        ("DELETE", "/sensors/types", 405),
        ("GET", "/sensors/states/21310", 405),
        ("PATCH", "/sensors/1.1", 405),
        ("POST", "/sensors/states/signals", 405),
        ("PUT", "/users/token", 405),
    ],
)
async def test_unknown_routes_and_methods(api: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await api.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {404: "Resource not found", 405: "NotAllowed"}[status]
    assert ("allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/sensors/types", "sensors.get_types"),
        ("GET", "/sensors/signals/types", "sensors.get_signals_types"),
        ("GET", "/sensors/states", "sensors.get_states"),
        ("GET", "/sensors/states/signals", "sensors.get_states_signals"),
        ("PUT", "/sensors/states/signals/798649", "sensors.put_states_signals_id"),
        ("POST", "/sensors/states/21310/signals", "sensors.post_states_id_signals"),
        ("GET", "/sensors/1/meters", "sensors.get_meters"),
        ("GET", "/sensors/1.1", "sensors.get_id"),
        ("POST", "/sensors/signals/data", "sensors.post_signals_data"),
    ],
)
async def test_routes_that_look_alike_are_told_apart(
    sim: Any, api: httpx.AsyncClient, method: str, path: str, operation: str
) -> None:
    await api.request(method, path)
    assert sim.requests[-1].operation == operation
    assert sim.count(f"api.endpoints.{operation}") == 1


async def test_the_token_is_looked_at_before_the_parameters(api: httpx.AsyncClient) -> None:
    del api.headers["Authorization"]
    assert (await api.post("/sensors?color=red")).status_code == 401


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=latin-1"]
)
async def test_json_bodies_must_say_so(api: httpx.AsyncClient, media: str) -> None:
    answer = await api.put("/sensors/signals/data", content="[]", headers={"Content-Type": media})
    assert answer.status_code == 415


async def test_a_charset_of_utf_8_is_fine(api: httpx.AsyncClient) -> None:
    media = {"Content-Type": "application/json; charset=UTF-8"}
    assert (await api.put("/sensors/signals/data", content="[]", headers=media)).status_code == 200


async def test_compressed_bodies_are_not_supported(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await api.put("/sensors/signals/data", content="[]", headers=headers)).status_code == 415


async def test_a_body_where_none_belongs_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.request("PUT", "/sensors/1.1", json={"name": "a"})
    assert answer.status_code == 422


async def test_a_numeric_parameter_may_have_a_sign(api: httpx.AsyncClient) -> None:
    params = {"client_cid": "1", "sensor_mid": "1", "since": "-1.5e3", "till": "+10"}
    answer = await api.post("/sensors/states", params=params)
    assert (answer.status_code, answer.json()["since"], answer.json()["till"]) == (201, -1500, 10)
