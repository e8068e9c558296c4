"""Faults one by one, in-process: no socket, no real waiting."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import attrs
import httpx
import looptime  # noqa: F401  # its plugin gives tests marked with it virtual time
import pytest

from besmart_async.simulator import Fault, Simulator

TYPES = "/sensors/types"
BULK = "/sensors/signals/data"


def write(*mids: int, time: float = 1) -> list[dict[str, Any]]:
    data = {"time": [time], "value": [1], "type": ["DBL"], "origin": [1]}
    key = {"client_cid": 1, "signal_type_moid": 32}
    return [{**key, "sensor_mid": mid, "data": data} for mid in mids]


def asked(*mids: int) -> list[dict[str, Any]]:
    key = {"client_cid": 1, "signal_type_moid": 32, "since": 0, "till": 9}
    return [{**key, "sensor_mid": mid} for mid in mids]


async def statuses(api: httpx.AsyncClient, count: int) -> list[int]:
    return [(await api.get(TYPES)).status_code for _ in range(count)]


async def test_times_and_after_say_which_requests_are_hit(sim: Simulator, api: httpx.AsyncClient) -> None:
    active = sim.faults.add(Fault(status=503, after=1, times=2))
    assert await statuses(api, 5) == [200, 503, 503, 200, 200]
    assert (active.hits, active.spent) == (2, True)


async def test_probability_is_seeded(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.faults.add(Fault(status=503, probability=0.5))
    first = await statuses(api, 40)
    assert 5 < Counter(first)[503] < 35
    twin = Simulator()
    twin.faults.add(Fault(status=503, probability=0.5))
    headers = {"Authorization": f"Bearer {twin.issue_token()}"}
    transport = httpx.ASGITransport(app=twin.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sim/api", headers=headers) as other:
        assert await statuses(other, 40) == first
    twin.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "sensors.put_signals_data"},
        {"operation": "api.endpoints.sensors.put_*"},
        {"method": "put"},
        {"path": "signals/data$"},
        {"keys": {(1, 3, 32)}},
        {"where": lambda arrival: b"sensor_mid" in arrival.body},
    ],
)
async def test_conditions_choose_requests(sim: Simulator, api: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    sim.faults.add(Fault(status=500, **fields))
    assert (await api.get(TYPES)).status_code == 200
    assert (await api.put(BULK, json=write(2, 3))).status_code == 500
    assert sim.stored(1, 2, 32) == []
    sim.faults.clear()
    assert (await api.put(BULK, json=write(2, 3))).status_code == 200


async def test_keys_match_the_path_too(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.faults.add(Fault(keys={(1, 3, 32)}, status=500))
    window = {"since": 0, "till": 1}
    assert (await api.get("/sensors/1.3/signals/32/data", params=window)).status_code == 500
    assert (await api.get("/sensors/1.2/signals/32/data", params=window)).status_code == 200


async def test_a_removed_fault_hits_no_more(sim: Simulator, api: httpx.AsyncClient) -> None:
    active = sim.faults.add(Fault(status=500))
    sim.faults.remove(active)
    sim.faults.remove(active)
    assert await statuses(api, 1) == [200]


@pytest.mark.parametrize(
    ("fault", "content", "media"),
    [
        (Fault(status=500), b'"ServerError"', "application/json"),
        (Fault(status=403), b'"Forbidden"', "application/json"),
        (Fault(status=429, body={"a": 1}), b'{"a":1}', "application/json"),
        (Fault(status=502, body="<html>", content_type="text/html"), b"<html>", "text/html"),
        (Fault(status=200, body=b"\xff"), b"\xff", "application/json"),
    ],
)
async def test_a_status_with_its_body(
    sim: Simulator, api: httpx.AsyncClient, fault: Fault, content: bytes, media: str
) -> None:
    sim.faults.add(fault)
    answer = await api.get(TYPES)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (fault.status, content, media)


async def test_a_status_can_come_after_the_write_was_applied(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.faults.add(Fault(status=504, apply=True, times=1))
    assert (await api.put(BULK, json=write(2))).status_code == 504
    assert len(sim.stored(1, 2, 32)) == 1
    assert sim.requests[-1].applied


async def test_retry_after_in_both_forms(sim: Simulator, api: httpx.AsyncClient, clock: Any) -> None:
    sim.faults.add(Fault(status=503, retry_after=7, headers={"X-Why": "busy"}, times=1))
    answer = await api.get(TYPES)
    assert (answer.headers["retry-after"], answer.headers["x-why"]) == ("7", "busy")
    sim.faults.add(Fault(status=503, retry_after_date_s=30))
    answer = await api.get(TYPES)
    at = parsedate_to_datetime(answer.headers["retry-after"]).timestamp()
    assert at == clock() / 1000 + 30


async def test_the_date_header_follows_the_clock_and_its_skew(
    sim: Simulator, api: httpx.AsyncClient, clock: Any
) -> None:
    sim.faults.add(Fault(date_skew_s=-3600))
    answer = await api.get(TYPES)
    assert parsedate_to_datetime(answer.headers["date"]).timestamp() == clock() / 1000 - 3600
    assert answer.status_code == 200


@pytest.mark.parametrize(("reset", "stored"), [("before", 0), ("after", 1)])
async def test_a_reset_in_process_is_a_connection_error(
    sim: Simulator, api: httpx.AsyncClient, reset: Any, stored: int
) -> None:
    sim.faults.add(Fault(reset=reset, times=1))
    with pytest.raises(ConnectionResetError):
        await api.put(BULK, json=write(2))
    assert len(sim.stored(1, 2, 32)) == stored
    assert (sim.requests[-1].status, sim.requests[-1].applied) == (None, stored == 1)


async def test_only_the_first_items_can_be_applied(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.faults.add(Fault(apply_items=1, times=1))
    answer = await api.put(BULK, json=write(2, 3))
    assert (answer.status_code, answer.json()) == (500, "ServerError")
    assert (len(sim.stored(1, 2, 32)), len(sim.stored(1, 3, 32))) == (1, 0)


@pytest.mark.parametrize("cut", [0, 10, 0.5, 10_000])
async def test_a_truncated_body_ends_early(sim: Simulator, api: httpx.AsyncClient, cut: float) -> None:
    sim.faults.add(Fault(truncate_at=cut))
    with pytest.raises(ConnectionResetError):
        await api.get(TYPES)


async def test_garbage_and_pages_in_place_of_json(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.faults.add(Fault(garbage=True, times=1))
    answer = await api.put(BULK, json=write(2))
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"codec|Expecting"):
        answer.json()
    assert len(sim.stored(1, 2, 32)) == 1
    sim.faults.add(Fault(html=True))
    answer = await api.get(TYPES)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")


async def test_bulk_answers_can_be_rearranged(sim: Simulator, api: httpx.AsyncClient) -> None:
    mids = [sim.add_sensor(1)[1] for _ in range(20)]

    async def answered(**fields: Any) -> list[int]:
        sim.faults.add(Fault(times=1, **fields))
        return [one["sensor_mid"] for one in (await api.post(BULK, json=asked(*mids))).json()]

    assert await answered(latency_s=0) == mids
    shuffled = await answered(shuffle=True)
    assert shuffled != mids
    assert sorted(shuffled) == mids
    fewer = await answered(drop=3)
    assert len(fewer) == 17
    assert set(fewer) < set(mids)
    assert await answered(drop_keys={(1, mids[0], 32)}) == mids[1:]
    twice = Counter(await answered(duplicate=2))
    assert sorted(twice) == mids
    assert Counter(twice.values()) == {1: 18, 2: 2}
    assert await answered(extra=({"sensor_mid": 777},)) == [*mids, 777]


async def test_poison_refuses_the_whole_write(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.faults.poison((1, 3, 32), readings=[((1, 2, 32), 5)])
    assert (await api.put(BULK, json=write(2))).status_code == 200
    answer = await api.put(BULK, json=write(1, 2, 3))
    assert (answer.status_code, answer.json()) == (422, "{'status_code': -1, 'message': 'An error occured'}")
    assert (await api.put(BULK, json=write(2, time=5))).status_code == 422
    assert (await api.put("/sensors/1.3/signals/32/data", json=write(3)[0]["data"])).status_code == 422
    assert len(sim.stored(1, 2, 32)) == 1
    assert sim.stored(1, 1, 32) == []
    sim.faults.poison(named=True)
    assert "item 1 (1.3.32)" in (await api.put(BULK, json=write(2, 3))).json()
    sim.faults.cure()
    assert (await api.put(BULK, json=write(2, 3))).status_code == 200


async def test_a_body_above_the_limit_meets_the_front_end(sim: Simulator, api: httpx.AsyncClient) -> None:
    sim.settings.max_body_bytes = 300
    assert (await api.put(BULK, json=write(2))).status_code == 200
    for close in (False, True):
        sim.settings.close_on_413 = close
        answer = await api.put(BULK, json=write(2, 3, 2))
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "text/html"
        assert answer.headers.get("connection") == ("close" if close else None)
        assert sim.requests[-1].body_bytes > 300
    assert len(sim.stored(1, 2, 32)) == 1


async def test_faults_that_decide_take_turns_and_delays_add_up(sim: Simulator, api: httpx.AsyncClient) -> None:
    first = sim.faults.add(Fault(status=500, times=1))
    second = sim.faults.add(Fault(status=502, times=1))
    delay = sim.faults.add(Fault(date_skew_s=1))
    assert await statuses(api, 3) == [500, 502, 200]
    assert (first.hits, second.hits, delay.hits) == (1, 1, 3)


async def test_requests_are_recorded(sim: Simulator, api: httpx.AsyncClient, clock: Any) -> None:
    sim.settings.keep_bodies = True
    await api.put(BULK, json=[])
    record = sim.requests[-1]
    assert attrs.asdict(record, filter=attrs.filters.exclude("headers")) == {
        "method": "PUT",
        "path": BULK,
        "query": "",
        "operation": "sensors.put_signals_data",
        "at": clock(),
        "body_bytes": 2,
        "body": b"[]",
        "status": 200,
        "applied": True,
        "finished_at": clock(),
        "faults": 0,
    }
    assert record.headers["content-type"] == "application/json"
    assert (sim.count("sensors.put_signals_data"), sim.in_flight, sim.peak_in_flight) == (1, 0, 1)
    sim.forget_requests()
    assert (sim.requests, sim.counts, sim.logins) == ([], {}, 0)


@pytest.mark.looptime
async def test_latency_passes_in_the_loops_time(sim: Simulator, api: httpx.AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    sim.faults.add(Fault(latency_s=30, latency_after_s=12, times=1))
    assert (await api.get(TYPES)).status_code == 200
    assert loop.time() - start == pytest.approx(42)


@pytest.mark.looptime
async def test_a_slow_body_takes_its_time(sim: Simulator, api: httpx.AsyncClient) -> None:
    loop = asyncio.get_running_loop()
    size = len((await api.get(TYPES)).content)
    start = loop.time()
    sim.faults.add(Fault(bytes_per_s=10))
    answer = await api.get(TYPES)
    assert loop.time() - start == pytest.approx(size / 10, rel=0.01)
    assert len(answer.json()) == 5


@pytest.mark.looptime
@pytest.mark.parametrize(("fields", "stored"), [({"latency_s": math.inf}, 0), ({"latency_after_s": math.inf}, 1)])
async def test_a_hung_request_is_applied_before_or_not_at_all(
    sim: Simulator, api: httpx.AsyncClient, fields: dict[str, float], stored: int
) -> None:
    sim.faults.add(Fault(**fields))  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(api.put(BULK, json=write(2)), 5)
    assert len(sim.stored(1, 2, 32)) == stored
    assert sim.in_flight == 0
