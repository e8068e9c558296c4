"""The writer with a real client, over a socket, against the simulator and its faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import attrs
import numpy as np
import pytest

from besmart_async.batching.write.core.accumulator import QUANTUM
from besmart_async.batching.write.writer import Writer
from besmart_async.client import BesmartClient
from besmart_async.config import BatchPolicy, Timeouts
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.resources.signals import bulk_write
from besmart_async.simulator import Fault, Simulator

BULK_WRITE = "sensors.put_signals_data"
MOID = 34


def key(sensor: int) -> SignalKey:
    return SignalKey(9, sensor, MOID)


@pytest.fixture(params=["documented", "live"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    embedded = Simulator(seed=False, dialect=request.param)
    embedded.add_sensors(9, range(1, 1001))
    yield embedded
    embedded.close()


async def connected(stack: AsyncExitStack, simulator: Simulator, **settings: Any) -> BesmartClient:
    base_url = await stack.enter_async_context(simulator.serve())
    settings = {"dialect": simulator.settings.dialect, **settings}
    client = BesmartClient(api_key="API_KEY", login="login", password="password", base_url=base_url, **settings)
    return await stack.enter_async_context(client)


def stored_values(simulator: Simulator, sensor: int) -> dict[float, Any]:
    return {row.time: row.value for row in simulator.latest(9, sensor, MOID)}


@pytest.mark.parametrize("writes", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
async def test_a_thousand_tasks_write_and_the_last_value_of_each_reading_is_stored(
    simulator: Simulator, writes: int
) -> None:
    each = writes // 1000
    done = [0] * 1000
    furthest_apart = 0
    most_memory = 0
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        writer = await stack.enter_async_context(client.writer(BatchPolicy(max_memory_bytes=8 << 20)))

        async def work(sensor: int) -> None:
            nonlocal furthest_apart, most_memory
            for number in range(each):
                await writer.write(key(sensor), (number % (each // 2 + 1)) * 1000, float(number))
                done[sensor - 1] += 1
                if not number % 16:
                    most_memory = max(most_memory, writer.report.memory_bytes)
                    furthest_apart = max(furthest_apart, max(done) - min(done))

        await asyncio.gather(*(work(sensor) for sensor in range(1, 1001)))
        report = await writer.flush()
    assert report.delivered == writes
    assert furthest_apart <= max(QUANTUM, each * 3 // 4)  # nobody is done while somebody is kept waiting
    assert most_memory <= 8 << 20
    last = {(number % (each // 2 + 1)) * 1000: float(number) for number in range(each)}
    assert all(stored_values(simulator, sensor) == last for sensor in range(1, 1001, 37))
    assert simulator.count(BULK_WRITE) < writes / 400


@pytest.mark.parametrize(("culprits", "most_calls"), [(1, 20), (5, 80), (50, 400)])
async def test_poison_items_are_rejected_exactly(simulator: Simulator, culprits: int, most_calls: int) -> None:
    bad = set(random.Random(culprits).sample(range(1, 501), culprits))
    simulator.faults.poison(*((9, sensor, MOID) for sensor in bad))
    rejected: list[Rejection] = []
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        writer = await stack.enter_async_context(client.writer(on_reject=rejected.append))
        for sensor in range(1, 501):
            await writer.write(key(sensor), 1000, 1.0)
    assert {rejection.data.key.sensor_mid for rejection in rejected} == bad
    assert simulator.stored_count() == 500 - culprits
    assert simulator.count(BULK_WRITE) <= most_calls


async def test_a_poison_reading_is_named_to_the_reading(simulator: Simulator) -> None:
    simulator.faults.poison(readings=[((9, 7, MOID), 5000)])
    rejected: list[Rejection] = []
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        writer = await stack.enter_async_context(client.writer(on_reject=rejected.append))
        for sensor in range(1, 51):
            await writer.write(key(sensor), np.arange(96) * 1000, np.arange(96) / 4)
    assert [(rejection.data.key, rejection.data.time.tolist()) for rejection in rejected] == [(key(7), [5000])]
    assert simulator.stored_count() == 50 * 96 - 1


@pytest.mark.parametrize("close", [False, True], ids=["413", "closed early"])
async def test_bodies_over_the_services_limit_are_split_and_nothing_is_lost(simulator: Simulator, close: bool) -> None:
    simulator.settings.max_body_bytes = 1_000_000
    simulator.settings.close_on_413 = close
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        policy = BatchPolicy(max_bytes=4_000_000, max_readings=200_000, linger_s=0.2)
        writer = await stack.enter_async_context(client.writer(policy))
        for sensor in range(1, 101):
            await writer.write(key(sensor), np.arange(1500) * 1000 + 1_600_000_000_000, np.arange(1500) / 8)
        report = await writer.flush()
    assert report.delivered == 150_000 == simulator.stored_count()
    assert report.splits > 0


@pytest.mark.parametrize("reset", ["before", "after"])
async def test_connections_reset_around_the_application_lose_nothing(simulator: Simulator, reset: Any) -> None:
    simulator.faults.add(Fault(operation=BULK_WRITE, reset=reset, probability=0.2))
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        policy = BatchPolicy(max_items=20, linger_s=0.0, initial_wait_s=0.05)
        writer = await stack.enter_async_context(client.writer(policy))
        for sensor in range(1, 401):
            await writer.write(key(sensor), 1000, float(sensor))
        report = await writer.flush()
    assert report.delivered == 400
    assert all(stored_values(simulator, sensor) == {1000: float(sensor)} for sensor in range(1, 401))


async def test_random_503s_cost_at_most_half_as_many_calls_again(simulator: Simulator) -> None:
    simulator.faults.add(Fault(operation=BULK_WRITE, status=503, probability=0.3))
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        policy = BatchPolicy(max_items=5, linger_s=0.0, initial_wait_s=0.05)
        writer = await stack.enter_async_context(client.writer(policy))
        for sensor in range(1, 1001):
            await writer.write(key(sensor), 1000, 1.0)
        report = await writer.flush()
    assert report.delivered == 1000
    assert report.requests / (report.requests - report.retries) <= 1.52


async def test_a_delayed_old_request_never_overwrites_a_newer_acknowledged_value(simulator: Simulator) -> None:
    simulator.faults.add(Fault(operation=BULK_WRITE, latency_s=2.0, times=1))
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator, timeout=Timeouts(read_s=0.3))

        async def put(body: bytes) -> None:
            await client._transport.send(bulk_write(body, client._dialect), attempts=1)

        policy = BatchPolicy(linger_s=0.0, initial_wait_s=0.05)
        writer = await stack.enter_async_context(Writer(put, attrs.evolve(policy, hold_off_s=3.0)))
        await writer.deliver(SignalData(key(1), [1000], [1.0]))  # lost, and then acknowledged
        await asyncio.wait_for(writer.deliver(SignalData(key(1), [2000], [5.0])), 1.0)  # another reading goes on
        await writer.deliver(SignalData(key(1), [1000], [2.0]))
    values = [row.value for row in simulator.stored(9, 1, MOID) if row.time == 1000]
    assert values[-1] == 2.0
    assert values.count(1.0) == 2, "the old request did come through late"


async def test_an_expired_token_never_loses_what_is_buffered(simulator: Simulator) -> None:
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        writer = await stack.enter_async_context(client.writer(BatchPolicy(max_items=10, linger_s=0.0)))
        for sensor in range(1, 301):
            await writer.write(key(sensor), 1000, 1.0)
            if not sensor % 50:
                simulator.revoke_tokens()
                await asyncio.sleep(0.01)
    assert simulator.stored_count() == 300


@pytest.mark.parametrize("cancellations", [1_000, pytest.param(20_000, marks=pytest.mark.long)])
async def test_random_cancellations_leave_the_pool_whole(simulator: Simulator, cancellations: int) -> None:
    rng = random.Random(7)
    async with AsyncExitStack() as stack:
        client = await connected(stack, simulator)
        writer = await stack.enter_async_context(client.writer(BatchPolicy(max_memory_bytes=100_000, linger_s=0.002)))
        for turn in range(cancellations // 100):

            async def work(number: int, turn: int = turn) -> None:
                await writer.deliver(SignalData(key(1 + number), [turn], [1.0]))

            tasks = [asyncio.create_task(work(number)) for number in range(200)]
            await asyncio.sleep(rng.random() * 0.01)
            for task in rng.sample(tasks, 100):
                task.cancel()
            done, _ = await asyncio.wait(tasks, timeout=10.0)
            assert len(done) == 200
            assert all(task.cancelled() or task.exception() is None for task in tasks)
        report = await writer.flush()
        assert report.delivered == report.accepted
        assert not writer._sender.deliveries
        assert len(await client.signals.types()) > 0
    assert {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task()}
