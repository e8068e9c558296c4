"""Everything at once: faults drawn from the seed, many callers, replaced values, and reads after acknowledgements."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import attrs
import pytest

from besmart_async import BesmartError, Rejection, Timeouts
from besmart_async.simulator import Fault
from besmart_async.wire.dialect import DialectName
from tests.faults.front import Exchange, Fate, cut_answers, no_http
from tests.faults.stage import BULK_READ, BULK_WRITE, QUICK, QUICK_READS, Stage, signal, stage_of, unexpected
from tests.faults.traffic import one_caller, read_back

GIVEN_UP_S, LATE_S = 0.3, 0.5
"""A call is given up after so long, and applied all the same after so long."""
CAUTIOUS = attrs.evolve(QUICK, hold_off_s=0.8)
"""Holds newer values back for longer than an old call can be late, on a busy machine as well."""

TROUBLE: tuple[dict[str, Any], ...] = (
    {"reset": "before"},
    {"reset": "after"},
    {"truncate_at": 0.5},
    {"status": 500},
    {"status": 500, "apply": True},
    {"status": 502, "body": "<html></html>", "content_type": "text/html"},
    {"status": 503, "retry_after": "0.05"},
    {"status": 429, "retry_after": "0.05"},
    {"status": 401},
    {"status": 408},
    {"latency_s": 0.05},
    {"latency_s": LATE_S},
    {"latency_after_s": LATE_S},
)
WRITE_TROUBLE: tuple[dict[str, Any], ...] = ({"apply_items": 1}, {"garbage": True}, {"html": True})
READ_TROUBLE: tuple[dict[str, Any], ...] = (
    {"drop": 1, "where": lambda call: len(call.keys) > 1},  # asked alone, no answer would be an answer: absent
    {"duplicate": 1},
    {"shuffle": True},
)


def draw_faults(stage: Stage, *, share: float) -> None:
    """Put six kinds of trouble to work on writes and reads, which together hit about `share` of the calls."""
    stage.simulator.faults.clear()
    for operation, pool in ((BULK_WRITE, TROUBLE + WRITE_TROUBLE), (BULK_READ, TROUBLE + READ_TROUBLE)):
        for fields in stage.dice.sample(pool, 3):
            stage.simulator.faults.add(Fault(operation=operation, probability=share / 3, **fields))


async def wave(stage: Stage, seed: int, *, share: float, callers: int, rounds: int) -> list[BaseException | None]:
    """Let callers work under freshly drawn faults; each signal has one that writes, and others that read."""
    draw_faults(stage, share=share)
    async with stage.witness(CAUTIOUS) as witness, stage.client.reader(QUICK_READS) as reader:
        work = [one_caller(stage, witness, reader, signal(sensor), rounds) for sensor in range(1, callers + 1)]
        work += [read_back(stage, reader, signal(stage.dice.randint(1, callers))) for _ in range(callers * 2)]
        random.Random(seed).shuffle(work)
        outcomes = await stage.all_of(work)
        stage.simulator.faults.clear()
        await witness.flush()
        outcomes += await stage.all_of(read_back(stage, reader, signal(sensor)) for sensor in range(1, callers + 1))
    return outcomes


@pytest.mark.parametrize(("share", "dialect"), [(0.1, "documented"), (0.25, "documented"), (0.25, "live")])
async def test_randomly_mixed_faults_lose_nothing_and_no_read_is_stale(
    seed: int, share: float, dialect: DialectName
) -> None:
    async with stage_of(seed, dialect=dialect, timeout=Timeouts(read_s=GIVEN_UP_S)) as stage:
        for number in range(3):
            outcomes = await wave(stage, seed + number, share=share, callers=25, rounds=8)
            assert unexpected(outcomes) == []
        await asyncio.sleep(LATE_S)  # what was late has come
        stage.nothing_lost()
        assert not stage.oracle.handed_back


async def test_randomly_mixed_faults_before_a_front_end_that_breaks_answers(seed: int) -> None:
    cut, noise = cut_answers(0.08), no_http(0.08)

    async def either(exchange: Exchange) -> Fate:
        fate = await cut(exchange)
        return await noise(exchange) if fate == "relay" else fate

    async with stage_of(seed, mischief=either, timeout=Timeouts(read_s=GIVEN_UP_S)) as stage:
        outcomes = await wave(stage, seed, share=0.1, callers=25, rounds=8)
        assert unexpected(outcomes) == []
        await asyncio.sleep(LATE_S)
        stage.nothing_lost()


async def test_refused_readings_among_mixed_faults_are_exactly_those_handed_back(seed: int) -> None:
    async with stage_of(seed, timeout=Timeouts(read_s=GIVEN_UP_S)) as stage:
        bad = {sensor: stage.dice.randrange(5) * 1000 for sensor in stage.dice.sample(range(1, 41), 6)}
        stage.simulator.faults.poison(readings=[((9, sensor, 34), time) for sensor, time in bad.items()])
        for fields in stage.dice.sample(TROUBLE, 3):
            stage.simulator.faults.add(Fault(operation=BULK_WRITE, probability=0.05, **fields))
        rejected: list[Rejection] = []
        async with stage.witness(CAUTIOUS, on_reject=rejected.append) as witness:
            for _ in range(3):
                await stage.all_of(
                    witness.write_columns(signal(sensor), list(range(0, 5000, 1000))) for sensor in range(1, 41)
                )
                await witness.flush()
        stage.nothing_lost()
        found = {(each.data.key.sensor_mid, time) for each in rejected for time in each.data.time.tolist()}
        assert found == set(bad.items())


async def test_impatient_callers_under_mixed_faults_are_told_the_truth(seed: int) -> None:
    """Batches are given up early here, so much is handed back: each with the outcome that is true."""
    async with stage_of(seed, timeout=Timeouts(read_s=0.15)) as stage:
        draw_faults(stage, share=0.6)
        async with stage.witness(attrs.evolve(CAUTIOUS, delivery_timeout_s=0.2, close_timeout_s=1.0)) as witness:
            outcomes = await stage.all_of(
                one_caller(stage, witness, None, signal(sensor), 8) for sensor in range(1, 31)
            )
        assert all(error is None or isinstance(error, BesmartError) for error in outcomes)
        await asyncio.sleep(LATE_S)
        stage.nothing_lost()
