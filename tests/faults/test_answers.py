"""Answers that are none: garbage, pages, parts of a write applied before a 500. Nothing is lost, nothing made up."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from besmart_async import DecodeError, RetryPolicy, SignalData, SignalKey
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_READ, BULK_WRITE, HOUR_MS, QUICK, signal, stage_of
from tests.faults.traffic import busy, single_calls

PAGE = "<html><title>502 Bad Gateway</title></html>"
FALSE_ANSWERS: dict[str, dict[str, Any]] = {
    "garbage": {"garbage": True},
    "a page": {"html": True},
    "a page with 502": {"status": 502, "body": PAGE, "content_type": "text/html"},
    "500 though applied": {"status": 500, "apply": True},
    "504 though applied": {"status": 504, "apply": True},
    "408": {"status": 408},
}


@pytest.mark.parametrize("answer", FALSE_ANSWERS)
async def test_writes_answered_with_nonsense_are_sent_again(seed: int, answer: str) -> None:
    async with stage_of(seed) as stage:
        fault = stage.simulator.faults.add(Fault(operation=BULK_WRITE, probability=0.15, **FALSE_ANSWERS[answer]))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=30)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
        assert fault.hits > 0


@pytest.mark.parametrize("answer", ["a page with 502", "408"])
async def test_reads_and_single_calls_in_trouble_are_asked_again(seed: int, answer: str) -> None:
    async with stage_of(seed) as stage:
        for operation in (BULK_READ, "sensors.*_id_signals_id_data"):
            stage.simulator.faults.add(Fault(operation=operation, probability=0.2, **FALSE_ANSWERS[answer]))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20)
            failed = await single_calls(stage, first_sensor=31)
        assert (outcomes.count(None), failed) == (len(outcomes), 0)
        stage.everything_delivered()


@pytest.mark.parametrize("answer", ["garbage", "a page"])
async def test_a_read_answered_with_nonsense_fails_for_its_own_callers_only(seed: int, answer: str) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.add_readings(9, 1, 34, [1000], [5.0])
        stage.simulator.faults.add(Fault(operation=BULK_READ, times=1, **FALSE_ANSWERS[answer]))
        async with stage.client.reader() as reader:
            first = await stage.all_of([reader.read(signal(1), 0, HOUR_MS), reader.read(signal(2), 0, HOUR_MS)])
            assert [type(error) for error in first] == [DecodeError, DecodeError]
            assert first[0] is not first[1]
            assert (await reader.read(signal(1), 0, HOUR_MS)).value.tolist() == [5.0]


@pytest.mark.parametrize("applied", [0, 1, 3])
async def test_a_write_applied_in_part_before_a_500_is_completed(seed: int, applied: int) -> None:
    async with stage_of(seed) as stage:
        fault = stage.simulator.faults.add(Fault(operation=BULK_WRITE, apply_items=applied, probability=0.15))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=30)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
        assert fault.hits > 0


async def test_a_late_old_write_never_overwrites_a_newer_value(seed: int) -> None:
    async with stage_of(seed, timeout=0.1) as stage:
        fault = stage.simulator.faults.add(Fault(operation=BULK_WRITE, latency_s=0.25, probability=0.1))
        async with stage.witness(attrs.evolve(QUICK, hold_off_s=0.6)) as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=6, reads=False)
        assert outcomes.count(None) == len(outcomes)
        await asyncio.sleep(0.3)
        stage.everything_delivered()
        assert fault.hits > 0


async def test_answers_in_any_order_with_holes_and_repetitions_find_their_readers(seed: int) -> None:
    stranger = {"client_cid": 9, "sensor_mid": 99, "signal_type_moid": 34, "data": {"time": [], "value": []}}
    async with stage_of(seed) as stage:
        faults = stage.simulator.faults
        faults.add(Fault(operation=BULK_READ, where=lambda call: len(call.keys) > 1, drop=1, duplicate=1))
        faults.add(Fault(operation=BULK_READ, shuffle=True, extra=(stranger,)))
        for sensor in range(1, 41):
            stage.simulator.add_readings(9, sensor, 34, [1000], [float(sensor)])

        async def read(key: SignalKey) -> SignalData:
            return await reader.read(key, 0, HOUR_MS)

        async with stage.client.reader() as reader:
            for _ in range(10):
                sensors = stage.dice.sample(range(1, 41), 20)
                answers = await asyncio.gather(*[read(signal(sensor)) for sensor in sensors])
                assert [answer.value.tolist() for answer in answers] == [[float(sensor)] for sensor in sensors]
        assert reader.report.asked_again > 0


async def test_a_creation_whose_answer_is_lost_is_in_doubt_and_not_repeated(seed: int) -> None:
    async with stage_of(seed, retry=RetryPolicy(initial_wait_s=0.01)) as stage:
        stage.simulator.faults.add(Fault(operation="sensors.post", reset="after"))
        (error,) = await stage.all_of([stage.client.sensors.create(name="x", sensor_type_id=2, client_cid=9)])
        assert getattr(error, "outcome", None) == "in_doubt"
        assert stage.simulator.count("sensors.post") == 1
