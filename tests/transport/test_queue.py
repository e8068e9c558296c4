"""Waiting for a connection of one's own: in order, bounded by the call's total timeout, at no cost, left at once."""

from __future__ import annotations

import asyncio

import pytest

from besmart_async import RequestTimeoutError, RetryPolicy, SignalKey, Timeouts
from besmart_async.transport.http import ConnectionSlots
from tests.transport.fakes import FakeService, after, now, status, token_client_of

pytestmark = pytest.mark.looptime


async def test_many_more_calls_than_connections_all_succeed() -> None:
    service = FakeService(latency_s=0.25)
    async with token_client_of(service, max_connections=16) as client:
        reads = [client.signals.read(SignalKey(1, 2, 3), 0, 1) for _ in range(600)]
        results = await asyncio.gather(*reads)
        assert client._transport._budget.tokens == 500
    assert len(results) == 600
    assert now() == pytest.approx(600 / 16 * 0.25, abs=0.3)


async def test_a_call_that_never_gets_a_connection_ends_with_its_total_timeout_and_costs_no_budget() -> None:
    service = FakeService(after(60, status(200)))
    retry = RetryPolicy(total_timeout_s=7)
    async with token_client_of(service, max_connections=1, retry=retry, timeout=100) as client:
        busy = asyncio.create_task(client.sensors.types())
        await asyncio.sleep(0)
        with pytest.raises(RequestTimeoutError, match="waited for a free connection of this client") as caught:
            await client.sensors.delete(1, 2)
        assert now() == pytest.approx(7, abs=0.01)
        assert client._transport._budget.tokens == 500
        await asyncio.wait([busy])
        _ = busy.exception()
    assert (caught.value.outcome, caught.value.reached, caught.value.queued) == ("not_sent", False, True)


async def test_a_limit_of_the_wait_is_not_waited_for_again() -> None:
    service = FakeService(after(60, status(200)))
    timeout = Timeouts(pool_s=2, read_s=100)
    async with token_client_of(service, max_connections=1, timeout=timeout) as client:
        busy = asyncio.create_task(client.sensors.types())
        await asyncio.sleep(0)
        with pytest.raises(RequestTimeoutError, match="no free connection within 2 s") as caught:
            await client.sensors.types()
        assert now() == pytest.approx(2, abs=0.01)
        assert (caught.value.queued, client._transport._budget.tokens) == (True, 500)
        busy.cancel()


async def test_slots_are_handed_on_in_the_order_asked() -> None:
    slots = ConnectionSlots(1)
    assert slots.take()
    got: list[int] = []

    async def one(number: int) -> None:
        await slots.wait(60)
        got.append(number)
        slots.release()

    tasks = [asyncio.create_task(one(number)) for number in range(50)]
    await asyncio.sleep(0)
    for number in range(0, 50, 3):
        tasks[number].cancel()
    slots.release()
    await asyncio.wait(tasks)
    assert got == [number for number in range(50) if number % 3]
    assert slots.take()


async def test_a_slot_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    slots = ConnectionSlots(1)
    assert slots.take()
    first, second = (asyncio.create_task(slots.wait(60)) for _ in range(2))
    await asyncio.sleep(0)
    slots.release()
    first.cancel()
    await second
    assert first.cancelled()
    assert not slots.take()
    slots.release()
    assert slots.take()
