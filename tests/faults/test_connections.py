"""Connections that break, at every point of a request: what was accepted arrives, and reads tell the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import httpx
import pytest

from besmart_async import ReadPolicy, RetryPolicy, Timeouts, aiohttp_transport
from besmart_async.simulator import Fault
from tests.faults.front import Mischief, answer_twice, close_at_reuse, cut_answers, drip, no_http
from tests.faults.stage import BULK_READ, BULK_WRITE, QUICK, signal, stage_of
from tests.faults.traffic import busy, single_calls
from tests.faults.witness import single_write

BACKENDS: dict[str, Callable[[], httpx.AsyncBaseTransport | None]] = {
    "httpx": lambda: None,
    "aiohttp": aiohttp_transport,
}


@pytest.mark.parametrize("reset", ["before", "after"])
async def test_resets_before_and_after_the_application_lose_nothing(
    seed: int, reset: Literal["before", "after"]
) -> None:
    async with stage_of(seed) as stage:
        for operation in (BULK_WRITE, BULK_READ, "sensors.*_id_signals_id_data"):
            stage.simulator.faults.add(Fault(operation=operation, reset=reset, probability=0.15))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=30)
            failed = await single_calls(stage, first_sensor=31)
        assert (outcomes.count(None), failed) == (len(outcomes), 0)
        stage.everything_delivered()
        assert witness.writer.report.retries > 0


@pytest.mark.parametrize("share", [0.5, 0.99], ids=["half", "last byte missing"])
async def test_half_an_answer_is_no_answer(seed: int, share: float) -> None:
    async with stage_of(seed) as stage:
        for operation in (BULK_WRITE, BULK_READ, "sensors.*_id_signals_id_data"):
            stage.simulator.faults.add(Fault(operation=operation, truncate_at=share, probability=0.15))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=30)
            failed = await single_calls(stage, first_sensor=31)
        assert (outcomes.count(None), failed) == (len(outcomes), 0)
        stage.everything_delivered()


MISCHIEF: dict[str, Callable[[], Mischief]] = {
    "cut anywhere": lambda: cut_answers(0.15),
    "not http": lambda: no_http(0.15),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mischief", MISCHIEF)
async def test_broken_answers_are_never_taken_for_good_ones(seed: int, backend: str, mischief: str) -> None:
    async with stage_of(seed, mischief=MISCHIEF[mischief](), transport=BACKENDS[backend]()) as stage:
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=8)
            failed = await single_calls(stage, first_sensor=31, sensors=3)
        assert (outcomes.count(None), failed) == (len(outcomes), 0)
        stage.everything_delivered()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(seed: int, backend: str) -> None:
    async with stage_of(seed, mischief=answer_twice(0.15), transport=BACKENDS[backend]()) as stage:
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=8)
            failed = await single_calls(stage, first_sensor=31, sensors=3)
        assert (outcomes.count(None), failed) == (len(outcomes), 0)
        stage.everything_delivered()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_answers_of_a_byte_now_and_then_are_given_up_and_asked_again(seed: int, backend: str) -> None:
    settings: dict[str, Any] = {"transport": BACKENDS[backend](), "timeout": Timeouts(read_s=0.3)}
    async with stage_of(seed, mischief=drip(3, 0.05), **settings) as stage:
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=10, rounds=4)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
        assert witness.writer.report.retries > 0


@pytest.mark.parametrize("backend", BACKENDS)
async def test_300_single_writes_over_connections_closed_exactly_at_reuse_all_arrive(seed: int, backend: str) -> None:
    async with stage_of(seed, mischief=close_at_reuse, transport=BACKENDS[backend]()) as stage:
        for number in range(300):
            await single_write(stage.client, stage.oracle.note, signal(1), number % 7, float(number))
        assert stage.nothing_lost().writes == 300


@pytest.mark.parametrize("backend", BACKENDS)
async def test_300_deliveries_over_connections_closed_exactly_at_reuse_all_arrive(seed: int, backend: str) -> None:
    async with stage_of(seed, mischief=close_at_reuse, transport=BACKENDS[backend]()) as stage:
        async with stage.witness(QUICK) as witness:
            for number in range(300):
                await witness.deliver(signal(1), [number])
        assert stage.everything_delivered().writes == 300


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_burst_leaves_idle_connections_that_all_die_and_the_next_call_gets_through(
    seed: int, backend: str
) -> None:
    settings: dict[str, Any] = {"transport": BACKENDS[backend](), "retry": RetryPolicy()}
    async with stage_of(seed, mischief=close_at_reuse, **settings) as stage:
        async with stage.client.reader(ReadPolicy(max_items=1, max_in_flight=16)) as reader:
            burst = [reader.read(signal(sensor), 0, 1) for sensor in range(1, 33)]
            assert await stage.all_of(burst) == [None] * 32
        calls = [stage.client.sensors.get(9, sensor) for sensor in range(1, 33)]
        assert await stage.all_of(calls) == [None] * 32
        assert await stage.all_of([stage.client.sensors.delete(9, 1)]) == [None]


async def test_reads_over_connections_closed_exactly_at_reuse_are_answered(seed: int) -> None:
    async with stage_of(seed, mischief=close_at_reuse) as stage:
        stage.simulator.add_readings(9, 1, 34, [1000], [5.0])
        async with stage.client.reader() as reader:
            for _ in range(100):
                assert (await reader.read(signal(1), 0, 2000)).value.tolist() == [5.0]
        assert reader.report.answered == 100
