"""How much goes on at a time, and that cancelling leaves nothing behind."""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest

from besmart_async import BesmartClient, RequestTimeoutError, RetryPolicy, ServerError, Timeouts, TransportError
from besmart_async.transport.http import ConnectionSlots
from tests.transport.fakes import FakeService, after, raw, read_request, serving, status, token_client_of, until

ONCE = RetryPolicy(max_attempts=1)


class Counting(FakeService):
    """Knows how many requests were under way at one time."""

    in_flight = peak = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await super().handle_async_request(request)
        finally:
            self.in_flight -= 1


@pytest.mark.looptime
async def test_no_more_attempts_than_connections_are_under_way() -> None:
    service = Counting(latency_s=0.1)
    async with token_client_of(service, max_connections=7) as client:
        await asyncio.gather(*(client.sensors.types() for _ in range(100)))
    assert service.peak == 7


@pytest.mark.looptime
async def test_a_slot_comes_free_after_an_error_a_timeout_and_a_cancellation() -> None:
    service = Counting(status(500), httpx.ReadError(""), after(60, status(200)), after(60, status(200)))
    async with token_client_of(service, max_connections=1, retry=ONCE, timeout=1) as client:
        for _ in range(3):
            with pytest.raises((ServerError, TransportError)):
                await client.sensors.types()
        cancelled = asyncio.create_task(client.sensors.types())
        await asyncio.sleep(0.5)
        cancelled.cancel()
        assert await client.sensors.types() == []
    assert (service.in_flight, service.peak) == (0, 1)


@pytest.mark.looptime
async def test_who_waits_too_long_for_a_connection_is_told_and_has_sent_nothing() -> None:
    service = FakeService(after(60, status(200)))
    async with token_client_of(
        service, max_connections=1, retry=ONCE, timeout=Timeouts(pool_s=2, read_s=100)
    ) as client:
        busy = asyncio.create_task(client.sensors.types())
        await asyncio.sleep(0)
        with pytest.raises(
            RequestTimeoutError,
            match=r"sensors\.delete: no free connection within 2 s \(1 are busy\); make fewer calls",
        ) as caught:
            await client.sensors.delete(1, 2)
        busy.cancel()
    assert (caught.value.outcome, caught.value.reached, caught.value.operation) == ("not_sent", False, "sensors.delete")
    assert len(service.requests) == 1


@pytest.mark.looptime
async def test_a_retry_holds_no_slot_while_it_waits() -> None:
    service = FakeService(status(500), status(500))
    policy = RetryPolicy(initial_wait_s=8, max_wait_s=8)
    async with token_client_of(service, max_connections=1, retry=policy, timeout=Timeouts(pool_s=0.01)) as client:
        assert await asyncio.gather(*(client.sensors.types() for _ in range(2))) == [[], []]


@pytest.mark.looptime
async def test_slots_survive_any_mixture_of_timeouts_and_cancellations() -> None:
    rng = random.Random(5)
    slots = ConnectionSlots(3)

    async def hold() -> None:
        if not slots.take():
            await slots.wait(0.5)
        try:
            await asyncio.sleep(rng.uniform(0, 0.6))
        finally:
            slots.release()

    async def cancelled_sometimes() -> None:
        task = asyncio.create_task(hold())
        if rng.random() < 0.5:
            await asyncio.sleep(rng.choice([0, 0.25, 0.5, rng.uniform(0, 1)]))
            task.cancel()
        await asyncio.wait([task])
        _ = task.cancelled() or task.exception()

    for _ in range(100):
        await asyncio.gather(*(cancelled_sometimes() for _ in range(12)))
    assert [slots.take() for _ in range(3)] == [True, True, True]
    with pytest.raises(TimeoutError):
        await slots.wait(0.5)


# -- cancellations on a real socket ------------------------------------------------------------------------------------


class Slow:
    """A server that takes a few milliseconds, and a few more between the halves of its answer."""

    def __init__(self) -> None:
        self.rng = random.Random(3)
        self.connections = self.requests = self.together = 0
        self.gate: asyncio.Barrier | None = None

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await read_request(reader)
                self.requests += 1
                if self.gate is not None:
                    await self.gate.wait()
                await asyncio.sleep(self.rng.uniform(0, 0.004))
                answer = raw(200, b"[        ]", "Content-Type: application/json")
                writer.write(answer[:-4])
                await asyncio.sleep(self.rng.uniform(0, 0.002))
                writer.write(answer[-4:])
        finally:
            self.connections -= 1


async def storm(client: BesmartClient, calls: int, rng: random.Random) -> int:
    """Make calls that are cancelled at random moments, some of them twice; return how many succeeded."""

    async def one() -> bool:
        task = asyncio.create_task(client.sensors.types())
        for _ in range(rng.choice([0, 1, 1, 2])):
            await asyncio.sleep(rng.uniform(0, 0.006))
            task.cancel()
        await asyncio.wait([task])
        return not task.cancelled() and task.exception() is None

    done = 0
    for _ in range(calls // 100):
        done += sum(await asyncio.gather(*(one() for _ in range(100))))
    return done


@pytest.mark.parametrize("calls", [2_000, pytest.param(20_000, marks=pytest.mark.long)])
async def test_random_cancellations_leave_the_pool_whole(calls: int) -> None:
    server = Slow()
    tasks_before = len(asyncio.all_tasks())
    async with serving(server) as url, token_client_of(None, base_url=url, max_connections=16) as client:
        done = await storm(client, calls, random.Random(7))
        assert 0 < done < calls
        await until(lambda: server.connections <= 16)
        server.gate = asyncio.Barrier(16)
        async with asyncio.timeout(5):  # all sixteen at once, else the gate stays shut
            await asyncio.gather(*(client.sensors.types() for _ in range(16)))
        server.gate = None
        await until(lambda: server.connections <= 16)
        assert len(asyncio.all_tasks()) - tasks_before <= 16  # the server's own, one for each connection
        shards = client._transport._exchange._transport._shards  # type: ignore[attr-defined]
        assert sum(shard.in_flight for shard in shards) == 0
    await until(lambda: len(asyncio.all_tasks()) == tasks_before)
