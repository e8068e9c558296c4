"""Cancellation everywhere, at random moments: who is cancelled only detaches, the others go on, nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
import pytest

from besmart_async import ReadPolicy, SignalQuery
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_READ, BULK_WRITE, HOUR_MS, QUICK, QUICK_READS, Stage, signal, stage_of
from tests.faults.traffic import busy, read_back
from tests.faults.witness import Witness

TIGHT = attrs.evolve(QUICK, max_memory_bytes=12_000)
"""Little room, so that many callers stand in line when they are cancelled."""


async def cancelled_at_random(stage: Stage, work: list[Coroutine[Any, Any, Any]], share: float = 0.5) -> int:
    """Run them at once, cancel some at moments drawn from the seed; return how many ended cancelled."""
    tasks = [asyncio.ensure_future(each) for each in work]
    for task in stage.dice.sample(tasks, int(len(tasks) * share)):
        if stage.dice.random() < 0.2:
            await asyncio.sleep(stage.dice.random() * 0.01)
        else:
            await asyncio.sleep(0)
        task.cancel()
    done, unresolved = await asyncio.wait(tasks, timeout=30)
    for task in unresolved:
        stage.oracle.unresolved(repr(task))
    failed = [task.exception() for task in done if not task.cancelled() and task.exception() is not None]
    assert failed == []
    return sum(task.cancelled() for task in tasks)


def only_this_task_is_left() -> bool:
    return {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task()}


CALLS: dict[str, Callable[[Witness, int, int], Coroutine[Any, Any, Any]]] = {
    "write": lambda witness, sensor, time: witness.write(signal(sensor), time),
    "write columns": lambda witness, sensor, time: witness.write_columns(signal(sensor), list(range(time, time + 40))),
    "write matrix": lambda witness, sensor, time: witness.write_matrix(signal(sensor), list(range(time, time + 40))),
    "deliver": lambda witness, sensor, time: witness.deliver(signal(sensor), [time, time + 1]),
    "flush": lambda witness, sensor, time: witness.flush(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("trouble", [None, {"status": 500}, {"latency_s": 0.03}], ids=["well", "500s", "slow"])
async def test_cancelled_callers_of_a_writer_only_detach(seed: int, call: str, trouble: dict[str, Any] | None) -> None:
    async with stage_of(seed) as stage:
        if trouble is not None:
            stage.simulator.faults.add(Fault(operation=BULK_WRITE, probability=0.2, **trouble))
        cancelled = 0
        async with stage.witness(TIGHT) as witness:
            for turn in range(6):
                if call == "flush":
                    await stage.all_of(witness.write(signal(sensor), turn * 1000) for sensor in range(1, 41))
                work = [CALLS[call](witness, sensor, turn * 1000) for sensor in range(1, 41)]
                cancelled += await cancelled_at_random(stage, work)
            await witness.flush()
        stage.everything_delivered()
        assert cancelled > 0 or call == "write"  # with room, a write is done before anybody can cancel it
        assert not witness.writer._sender.deliveries
        assert (await stage.client.signals.types()) != []
    assert only_this_task_is_left()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [6, pytest.param(165, marks=pytest.mark.long)])  # 480 reads, or 13,200
async def test_cancelled_reads_leave_the_others_their_answers(seed: int, rounds: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(operation=BULK_READ, latency_s=0.005, probability=0.5))
        async with stage.witness() as witness, stage.client.reader(QUICK_READS) as reader:
            await busy(stage, witness, rounds=3, reads=False)
            cancelled = 0
            for _ in range(rounds):
                work = [read_back(stage, reader, signal(stage.dice.randint(1, 40))) for _ in range(80)]
                cancelled += await cancelled_at_random(stage, work)
            report = reader.report
        assert cancelled > 0
        assert report.requested == report.answered + report.absent + report.failed + report.cancelled + report.pending
        assert report.failed == 0
        stage.everything_delivered()
    assert only_this_task_is_left()


async def test_cancelled_streams_leave_nothing_behind(seed: int) -> None:
    async with stage_of(seed) as stage:
        for sensor in range(1, 41):
            stage.simulator.add_readings(9, sensor, 34, list(range(0, 20_000, 1000)), [float(sensor)] * 20)

        async def all_rows(first: int) -> int:
            queries = [SignalQuery(signal(sensor), 0, HOUR_MS) for sensor in range(first, first + 10)]
            return sum([len(data) async for data in reader.stream(queries)])

        policy = ReadPolicy(linger_s=0.002, max_items=4, max_outstanding=8, max_window_s=600.0)
        async with stage.client.reader(policy) as reader:
            for _ in range(6):
                await cancelled_at_random(stage, [all_rows(first) for first in (1, 11, 21, 31)])
            assert await all_rows(1) == 200
        assert reader.report.pending == 0
    assert only_this_task_is_left()


async def test_single_calls_can_be_cancelled_in_every_phase(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(probability=0.3, status=503, retry_after="0.01"))
        stage.simulator.faults.add(Fault(probability=0.3, latency_s=0.01))
        cancelled = 0
        for _ in range(8):
            work: list[Coroutine[Any, Any, Any]] = [stage.client.sensors.get(9, sensor) for sensor in range(1, 31)]
            cancelled += await cancelled_at_random(stage, work)
            stage.simulator.revoke_tokens()
        assert cancelled > 0
        stage.simulator.faults.clear()
        assert await stage.all_of(stage.client.sensors.get(9, sensor) for sensor in range(1, 41)) == [None] * 40
    assert only_this_task_is_left()


async def test_closing_can_be_cancelled_at_any_moment_and_accounts_for_every_reading(seed: int) -> None:
    for _ in range(6):
        async with stage_of(seed) as stage:
            stage.simulator.faults.add(Fault(operation=BULK_WRITE, latency_s=0.02))
            async with stage.client:
                witness = stage.witness(attrs.evolve(QUICK, max_in_flight=2))
                await stage.all_of(witness.write(signal(sensor), 1000) for sensor in range(1, 41))
                closing = asyncio.create_task(witness.writer.aclose())
                await asyncio.sleep(stage.dice.random() * 0.1)
                closing.cancel()
                await asyncio.wait([closing], timeout=10)
                assert closing.done()
                await witness.writer.aclose()
                await asyncio.sleep(0.05)  # what was cancelled on the wire arrives, or does not
            stage.nothing_lost()
    assert only_this_task_is_left()
