"""In whose context what runs: calls in nobody's, the source of a stream in its consumer's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.events import ReadBatchSent, ReadEvent
from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


def asked(sensor: int) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), 0, 1000)


class Service:
    def __init__(self) -> None:
        self.tenants: list[str] = []

    async def __call__(self, queries: list[SignalQuery], /) -> list[SignalData]:
        await asyncio.sleep(0.1)
        self.tenants.append(TENANT.get())
        return [SignalData(query.key, [0], [1.5]) for query in queries]


async def read_as(reader: Reader, tenant: str, *sensors: int) -> None:
    TENANT.set(tenant)
    await asyncio.gather(*[reader.ask(asked(sensor)) for sensor in sensors])


@pytest.mark.parametrize("max_items", [1, 200], ids=["full at once", "after lingering"])
async def test_a_call_runs_in_the_context_of_no_request(max_items: int) -> None:
    service, hooks = Service(), list[str]()
    policy = ReadPolicy(max_items=max_items, max_in_flight=2)
    async with Reader(service, policy, hooks=[lambda _: hooks.append(TENANT.get())]) as reader:
        TENANT.set("the one who opened it")
        await asyncio.gather(*[asyncio.create_task(read_as(reader, tenant, *range(5))) for tenant in "ABC"])
    assert set(service.tenants) == {"nobody"}
    assert set(hooks) == {"nobody"}


async def test_hooks_get_the_contexts_of_the_requests_in_a_call_each_read_once_and_a_stream_once() -> None:
    events: list[ReadEvent] = []

    async def stream_as(reader: Reader, tenant: str) -> None:
        TENANT.set(tenant)
        assert len([data async for data in reader.stream(map(asked, range(10, 15)))]) == 5

    async with Reader(Service(), hooks=[events.append]) as reader:
        requests = [read_as(reader, "A", 1, 2), read_as(reader, "B", 2), stream_as(reader, "C")]
        await asyncio.gather(*map(asyncio.create_task, requests))
    sent = [event for event in events if isinstance(event, ReadBatchSent)]
    tenants = sorted(context[TENANT] for event in sent for context in event.contexts)
    assert tenants == ["A", "A", "B", "C"]


async def test_the_source_of_a_stream_runs_in_the_context_of_its_consumer() -> None:
    seen: list[str] = []

    async def queries() -> AsyncIterator[SignalQuery]:
        for sensor in range(3):
            seen.append(TENANT.get())
            yield asked(sensor)

    async with Reader(Service()) as reader:
        TENANT.set("A")
        assert len([data async for data in reader.stream(queries())]) == 3
    assert seen == ["A"] * 3
