from __future__ import annotations

import ast
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from besmart_async.simulator import Simulator

BULK = "/sensors/signals/data"
ONE = "/sensors/1.2/signals/32/data"
COLUMNS: dict[str, Any] = {"time": [1000], "value": [1.5], "type": ["DBL"], "origin": [1]}


def item(mid: int = 2, moid: int = 32, cid: int = 1, **changes: Any) -> dict[str, Any]:
    data = {**COLUMNS, **changes.pop("data", {})}
    return {"client_cid": cid, "sensor_mid": mid, "signal_type_moid": moid, "data": data, **changes}


def columns(time: list[float], value: list[Any], kind: str = "DBL", origin: int = 1) -> dict[str, Any]:
    return {"time": time, "value": value, "type": [kind] * len(time), "origin": [origin] * len(time)}


async def test_every_acquisition_is_kept_in_order(sim: Any, api: httpx.AsyncClient, clock: Any) -> None:
    assert (await api.put(BULK, json=[item(), item(3)])).json() == "OK"
    clock.forward(1)
    assert (await api.put(ONE, json=columns([500, 1000.5, 1000], [1, 2.5, 3]))).json() == "OK"
    rows = sim.stored(1, 2, 32)
    first = 1_600_000_000_000.0
    assert [tuple(row)[:5] for row in rows] == [
        (1000, 1.5, "DBL", 1, first),
        (500, 1, "DBL", 1, first + 1000),
        (1000.5, 2.5, "DBL", 1, first + 1000),
        (1000, 3, "DBL", 1, first + 1000),
    ]
    sequences = [row.sequence for row in rows]
    assert sequences == sorted(set(sequences))
    assert [(row.time, row.value) for row in sim.latest(1, 2, 32)] == [(500, 1), (1000, 3), (1000.5, 2.5)]


async def test_origins_are_different_readings(sim: Any, api: httpx.AsyncClient) -> None:
    await api.put(ONE, json=columns([1, 1], [1, 2]) | {"origin": [1, 4]})
    assert [(row.origin, row.value) for row in sim.latest(1, 2, 32)] == [(1, 1), (4, 2)]


async def test_a_deletion_hides_what_was_written_before_it(sim: Any, api: httpx.AsyncClient) -> None:
    await api.put(ONE, json=columns([1, 2], [1, 2]))
    await api.put(ONE, json=columns([1], [None], "RM"))
    assert [row.time for row in sim.latest(1, 2, 32)] == [2]
    await api.put(ONE, json=columns([1], [9]))
    assert [(row.time, row.value) for row in sim.latest(1, 2, 32)] == [(1, 9), (2, 2)]
    assert [row.type for row in sim.stored(1, 2, 32)] == ["DBL", "DBL", "RM", "DBL"]


@pytest.mark.parametrize("value", ["text", "1", {"a": [1]}, [1, 2], True, None, 3])
async def test_other_types_hold_any_json(sim: Any, api: httpx.AsyncClient, value: Any) -> None:
    await api.put(ONE, json=columns([1], [value], "TXT"))
    assert [row.value for row in sim.stored(1, 2, 32)] == [value]
    read = await api.get(ONE, params={"since": 0, "till": 9})
    assert read.json()[0]["data"]["value"] == [value]


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (item(99), "item 1 (1.99.32)"),
        (item(moid=999), "item 1 (1.2.999)"),
        (item(data={"value": [True]}), "value 0"),
        (item(data={"value": [None]}), "value 0"),
        (item(data={"value": ["1"]}), "value 0"),
        (item(data={"value": []}), "unequal length"),
        (item(data={"time": ["1"]}), "time 0"),
        (item(data={"time": [True]}), "time 0"),
        (item(data={"time": [1e20]}), "time"),
        (item(data={"time": 1}), "'time' must be a list"),
        (item(data={"type": [1]}), "type 0"),
        (item(data={"origin": [1.0]}), "origin 0"),
        (item(data={"origin": [2**63]}), "origin"),
        (item(data={"quality": [1]}), "quality"),
        (item(unit="furlong"), "furlong"),
        (item(unit="kW"), "kW"),
        (item(unit=None), "unit"),
        (item(extra=1), "extra"),
        (item(cid=2**63), "item 1"),
        ({**item(), "client_cid": "1"}, "client_cid"),
        ({**item(), "client_cid": True}, "client_cid"),
        ({**item(), "data": None}, "data"),
        ({**item(), "data": {"time": [1], "value": [1], "type": ["DBL"]}}, "origin"),
        ([], "item 1"),
    ],
)
async def test_one_bad_item_refuses_the_whole_bulk(sim: Any, api: httpx.AsyncClient, bad: Any, named: str) -> None:
    answer = await api.put(BULK, json=[item(3), bad])
    assert answer.status_code == 422
    message = ast.literal_eval(answer.json())["message"]
    assert named in message
    assert "item 1" in message
    assert sim.stored(1, 3, 32) == []


@pytest.mark.parametrize("body", ["{}", "null", '"a"', "", "[", "[NaN]"])
async def test_a_bulk_body_must_be_a_list(api: httpx.AsyncClient, body: str) -> None:
    answer = await api.put(BULK, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


async def test_one_signal_requires_no_column_and_defaults_type_and_origin(sim: Any, api: httpx.AsyncClient) -> None:
    assert (await api.put(ONE, json={})).json() == "OK"
    assert (await api.put(ONE, json={"time": [1, 2], "value": [3, 4]})).json() == "OK"
    assert [tuple(row)[:4] for row in sim.stored(1, 2, 32)] == [(1, 3, "DBL", 1), (2, 4, "DBL", 1)]
    assert (await api.put(ONE, json={"time": [1, 2], "value": [3]})).status_code == 422


@pytest.mark.parametrize("path", ["/sensors/1.99/signals/32/data", "/sensors/1.2/signals/999/data"])
async def test_one_signal_that_does_not_exist_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.put(path, json=COLUMNS)).status_code == 404
    assert (await api.get(path, params={"since": 0, "till": 1})).status_code == 404


@pytest.mark.parametrize(("unit", "value", "stored"), [("W.h", 1500, 1.5), ("MW.h", 1.5, 1500), ("kW.h", 7, 7)])
async def test_a_unit_is_converted_to_the_signal_types(
    sim: Any, api: httpx.AsyncClient, unit: str, value: float, stored: float
) -> None:
    assert (await api.put(ONE, params={"unit": unit}, json=columns([1], [value]))).json() == "OK"
    assert (await api.put(BULK, json=[item(3, unit=unit, data=columns([1], [value]))])).json() == "OK"
    assert sim.stored(1, 2, 32)[0].value == sim.stored(1, 3, 32)[0].value == stored


async def test_limits_of_items_and_readings(sim: Any, api: httpx.AsyncClient) -> None:
    sim.settings.max_items = 2
    sim.settings.max_readings = 3
    assert (await api.put(BULK, json=[item(2), item(3)])).status_code == 200
    assert (await api.put(BULK, json=[item(2), item(3), item(2)])).status_code == 422
    assert (await api.put(ONE, json=columns([1, 2, 3, 4], [1, 2, 3, 4]))).status_code == 422
    query = {"client_cid": 1, "sensor_mid": 2, "signal_type_moid": 32, "since": 0, "till": 1}
    assert (await api.post(BULK, json=[query] * 3)).status_code == 422


async def test_integers_beyond_sqlite_become_doubles(sim: Any, api: httpx.AsyncClient) -> None:
    assert (await api.put(ONE, json=columns([1], [2**64 - 1]))).status_code == 200
    assert sim.stored(1, 2, 32)[0].value == float(2**64 - 1)


READING = st.tuples(
    st.integers(0, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["DBL", "RM"]),
    st.integers(1, 3),
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(READING, max_size=8), max_size=5))
async def test_latest_is_what_a_dictionary_would_hold(
    sim: Simulator, api: httpx.AsyncClient, batches: list[list[tuple[int, float, str, int]]]
) -> None:
    cid, mid = sim.add_sensor(5)
    held: dict[tuple[int, int], float | None] = {}
    for batch in batches:
        rows = list(map(list, zip(*batch, strict=True)))
        body = dict(zip(("time", "value", "type", "origin"), rows, strict=True)) if batch else {}
        assert (await api.put(f"/sensors/{cid}.{mid}/signals/32/data", json=body)).status_code == 200
        for time, value, kind, origin in batch:
            held[time, origin] = None if kind == "RM" else value
    expected = {reading: value for reading, value in held.items() if value is not None}
    assert {(row.time, row.origin): row.value for row in sim.latest(cid, mid, 32)} == expected
    read = await api.get(f"/sensors/{cid}.{mid}/signals/32/data?since=0&till=9&get_last=true")
    data = read.json()[0]["data"]
    assert dict(zip(zip(data["time"], data["origin"], strict=True), data["value"], strict=True)) == expected
    assert len(sim.stored(cid, mid, 32)) == sum(map(len, batches))
