from __future__ import annotations

from typing import Any

import httpx
import pytest

from besmart_async.simulator import Simulator

BULK = "/sensors/signals/data"
HOUR = 3_600_000


def path(mid: int = 2, moid: int = 32) -> str:
    return f"/sensors/1.{mid}/signals/{moid}/data"


async def read(api: httpx.AsyncClient, moid: int = 32, **options: Any) -> dict[str, Any]:
    answer = await api.get(path(moid=moid), params={"since": 0, "till": 100 * HOUR, **options})
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()
    found: dict[str, Any] = item
    return found


async def test_an_empty_window_is_empty_columns(api: httpx.AsyncClient) -> None:
    assert await read(api) == {
        "client_cid": 1,
        "sensor_mid": 2,
        "signal_type_moid": 32,
        "data": {"time": [], "value": [], "type": [], "origin": []},
        "unit": "kW.h",
    }


async def test_both_ends_belong_to_the_window_unless_set_otherwise(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 32, [1, 2, 3], [1, 2, 3])
    assert (await read(api, since=1, till=3))["data"]["time"] == [1, 2, 3]
    assert (await read(api, since=1.5, till=2.5))["data"]["time"] == [2]
    assert (await read(api, since=2, till=2))["data"]["time"] == [2]
    sim.settings.till_inclusive = False
    assert (await read(api, since=1, till=3))["data"]["time"] == [1, 2]


async def test_all_acquisitions_come_in_order_of_time_then_acquisition(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 32, [2, 1], [20, 10])
    sim.add_readings(1, 2, 32, [2], [21])
    sim.add_readings(1, 2, 32, [2], [22], origin=4)
    data = (await read(api))["data"]
    assert list(zip(*data.values(), strict=True)) == [
        (1, 10, "DBL", 1),
        (2, 20, "DBL", 1),
        (2, 21, "DBL", 1),
        (2, 22, "DBL", 4),
    ]
    assert (await read(api, get_last="true"))["data"]["value"] == [10, 21, 22]
    assert (await read(api, signal_origin_id=4))["data"]["value"] == [22]
    assert (await read(api, signal_origin_id=9))["data"]["value"] == []


async def test_deleted_readings_only_show_in_raw(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 32, [1, 2], [1, 2])
    sim.add_readings(1, 2, 32, [1], [None], kind="RM")
    assert (await read(api))["data"]["time"] == [2]
    assert (await read(api, get_last="true"))["data"]["time"] == [2]
    assert (await read(api, raw="true"))["data"]["type"] == ["DBL", "RM", "DBL"]
    assert (await read(api, raw="true", get_last="true"))["data"]["type"] == ["RM", "DBL"]


async def test_a_register_aggregates_to_the_last_value_and_others_to_the_mean(
    sim: Simulator, api: httpx.AsyncClient
) -> None:
    times = [0, HOUR // 2, HOUR - 1, HOUR, 3 * HOUR + 5]
    for moid in (32, 1):
        sim.add_readings(1, 2, moid, times, [1, 2, 6, 10, 20])
        sim.add_readings(1, 2, moid, [0], [100], origin=2)
    register = (await read(api, delta_t=60, signal_origin_id=1))["data"]
    assert (register["time"], register["value"]) == ([0, HOUR, 3 * HOUR], [6, 10, 20])
    profile = (await read(api, moid=1, delta_t=60))["data"]
    assert list(zip(*profile.values(), strict=True)) == [
        (0, 3.0, "DBL", 1),
        (0, 100.0, "DBL", 2),
        (HOUR, 10.0, "DBL", 1),
        (3 * HOUR, 20.0, "DBL", 1),
    ]
    assert (await read(api, moid=1, delta_t=60, since=1, till=2))["data"]["time"] == []


async def test_only_newest_numbers_are_aggregated(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 1, [0, 1, 2], [1, 2, 3])
    sim.add_readings(1, 2, 1, [0], [5])
    sim.add_readings(1, 2, 1, [1], [None], kind="RM")
    sim.add_readings(1, 2, 1, [3], ["text"], kind="TXT")
    assert (await read(api, moid=1, delta_t=1))["data"]["value"] == [4]


async def test_negative_times_fall_on_the_same_grid(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 1, [-1, 0], [1, 2])
    assert (await read(api, moid=1, delta_t=60, since=-HOUR))["data"]["time"] == [-HOUR, 0]


async def test_an_output_unit_converts_values_and_says_so(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 32, [1], [1.5])
    sim.add_readings(1, 2, 32, [2], [9], kind="CODE")
    item = await read(api, output_unit_id=2)
    assert (item["unit"], item["data"]["value"]) == ("W.h", [1500, 9])


async def test_a_chart_shows_a_register_as_power(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 32, [0, HOUR // 4, HOUR], [10, 11, 14])
    item = await read(api, is_chart="true")
    assert (item["unit"], item["data"]["value"], item["data"]["time"]) == ("kW", [4, 4], [HOUR // 4, HOUR])


async def test_a_chart_leaves_alone_what_it_cannot_convert(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.add_readings(1, 2, 1, [0], [1])
    item = await read(api, moid=1, is_chart="true")
    assert (item["unit"], item["data"]["value"]) == ("kW.h", [1])


def asked(mid: int, moid: int = 32, **options: Any) -> dict[str, Any]:
    key = {"client_cid": 1, "sensor_mid": mid, "signal_type_moid": moid}
    return {**key, "since": 0, "till": 10, **options}


async def test_bulk_answers_come_in_the_order_of_the_queries_without_the_unknown(
    sim: Simulator, api: httpx.AsyncClient
) -> None:
    sim.add_readings(1, 2, 32, [1], [1])
    body = [asked(3), asked(99), asked(2, get_last=True, filters={}), asked(2, 999), asked(2, delta_t=1)]
    items = (await api.post(BULK, json=body)).json()
    assert [(item["sensor_mid"], item["data"]["time"]) for item in items] == [(3, []), (2, [1]), (2, [0])]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        [],
        asked(2, since="1"),
        asked(2, get_last=1),
        asked(2, get_last=None),
        asked(2, delta_t=0),
        asked(2, delta_t=1.5),
        asked(2, filters="{}"),
        asked(2, since=11),
        asked(2, output_unit_id=5),
        asked(2, unit="kW.h"),
        {**asked(2), "client_cid": True},
    ],
)
async def test_a_bad_query_refuses_the_bulk(api: httpx.AsyncClient, bad: Any) -> None:
    answer = await api.post(BULK, json=[asked(3), bad])
    assert answer.status_code == 422
    assert "item 1" in answer.json()


async def test_signal_types_hold_the_documents_own(sim: Simulator, api: httpx.AsyncClient) -> None:
    types = {one["signal_type_moid"]: one for one in (await api.get("/sensors/signals/types")).json()}
    assert types[32] == {
        "signal_type_moid": 32,
        "symbol": "A+",
        "is_incremental": True,
        "description": "Energia czynna pobrana z sieci",
        "unit_id": 1,
        "unit_symbol": "kW.h",
        "group_id": 2,
        "group": "Energetyka",
        "obis_mapping": "1.8.0",
        "chart_expected_unit": "kW",
        "keep_prefix": False,
    }
    sim.settings.oddities = True
    assert (await api.get("/sensors/signals/types")).json()[-1]["signal_type_moid"] == "36"
