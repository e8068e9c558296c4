"""429 and 503 with every form of Retry-After: good ones are obeyed and capped, bad ones ignored, nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from besmart_async import BatchPolicy, RetryPolicy
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_READ, BULK_WRITE, signal, stage_of
from tests.faults.traffic import busy, single_calls

HASTY: dict[str, dict[str, Any]] = {
    "missing": {},
    "zero": {"retry_after": 0},
    "seconds as a float": {"retry_after": "0.05"},
    "negative": {"retry_after": "-5"},
    "garbage": {"retry_after": "soon"},
    "empty": {"retry_after": ""},
    "more digits than a number has": {"retry_after": "9" * 400},
    "not a number": {"retry_after": "nan"},
    "a date in the past": {"retry_after_date_s": -3600.0},
    "a broken date": {"retry_after": "Fri, 31 Feb 2024 25:61:61 GMT"},
}
"""Forms that mean: no longer than one's own patience."""

PATIENT: dict[str, tuple[dict[str, Any], float, float]] = {
    "seconds": ({"retry_after": 20}, 20, 23),
    "a float": ({"retry_after": "7.5"}, 7.5, 10),
    "a date": ({"retry_after_date_s": 30.0}, 29, 34),
    "huge": ({"retry_after": 99_999_999}, 60, 62),
    "a date years ahead": ({"retry_after_date_s": 1e8}, 60, 62),
}
"""Forms that mean a pause, with its least and most seconds: capped at a minute, with up to a second of jitter."""


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_without_sense_delays_nothing(seed: int, status: int) -> None:
    scenes = [asyncio.create_task(hastened(seed, status, form), name=form) for form in HASTY]
    await asyncio.wait(scenes)
    assert {scene.get_name(): scene.exception() for scene in scenes} == dict.fromkeys(HASTY)


async def hastened(seed: int, status: int, form: str) -> None:
    """Work on while the service says so now and then."""
    async with stage_of(seed, sensors=12) as stage:
        for operation in (BULK_WRITE, BULK_READ, "sensors.*_id_signals_id_data"):
            fault = Fault(operation=operation, status=status, probability=0.15, times=8, **HASTY[form])
            stage.simulator.faults.add(fault)
        async with asyncio.timeout(20), stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=10, rounds=5)
            failed = await single_calls(stage, first_sensor=11, sensors=2, rounds=4)
        assert (outcomes.count(None), failed) == (len(outcomes), 0)
        stage.everything_delivered()


@pytest.mark.looptime
@pytest.mark.parametrize("form", PATIENT)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_the_service_asks_for_is_kept_by_the_writer_and_by_calls(
    seed: int, status: int, form: str
) -> None:
    told, least, most = PATIENT[form]
    loop = asyncio.get_running_loop()
    for operation in (BULK_WRITE, BULK_READ, "sensors.get_types"):
        async with stage_of(seed, sockets=False, retry=RetryPolicy()) as stage:
            await stage.client.users.login()
            stage.simulator.faults.add(Fault(operation=operation, status=status, times=1, **told))
            began = loop.time()
            async with stage.witness() as witness, stage.client.reader() as reader:
                if operation == BULK_WRITE:
                    await witness.deliver(signal(1), [1000])
                elif operation == BULK_READ:
                    await reader.read(signal(1), 0, 1)
                else:
                    await stage.client.sensors.types()
                assert least <= loop.time() - began <= most
            stage.everything_delivered()


@pytest.mark.looptime
async def test_a_service_that_throttles_for_an_hour_gets_everything_in_the_end(seed: int) -> None:
    async with stage_of(seed, sockets=False) as stage:
        throttled = stage.simulator.faults.add(Fault(operation=BULK_WRITE, status=429, retry_after=30))
        policy = BatchPolicy(delivery_timeout_s=7200, close_timeout_s=7200)
        async with stage.witness(policy) as witness:
            for sensor in range(1, 41):
                await witness.write(signal(sensor), 1000)
            await asyncio.sleep(3600)
            stage.simulator.faults.remove(throttled)
        stage.everything_delivered()
        assert throttled.hits <= 3600 / 30 + 4


@pytest.mark.looptime
async def test_calls_at_a_time_shrink_while_the_service_throttles_and_grow_again(seed: int) -> None:
    async with stage_of(seed, sockets=False, sensors=100) as stage:
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, latency_s=0.05))
        throttled = stage.simulator.faults.add(Fault(operation=BULK_WRITE, status=429, after=10, probability=0.2))
        async with stage.witness(BatchPolicy(max_items=2, linger_s=0.0)) as witness:

            async def round_of_deliveries(time: int) -> None:
                await stage.all_of(witness.deliver(signal(sensor), [time]) for sensor in range(1, 101))

            await round_of_deliveries(1000)
            slow = witness.writer.report.max_in_flight
            stage.simulator.faults.remove(throttled)
            for time in range(2000, 8000, 1000):
                await round_of_deliveries(time)
            assert slow < witness.writer.report.max_in_flight
        stage.everything_delivered()
