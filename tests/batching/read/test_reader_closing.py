"""Closing waits for calls under way, whatever cancelled the block around the reader; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import anyio
import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

QUERY = SignalQuery(SignalKey(12, 122, 32), 0, 1000)


class SlowService:
    def __init__(self, latency_s: float = 5.0) -> None:
        self.latency_s = latency_s

    async def __call__(self, queries: list[SignalQuery], /) -> list[SignalData]:
        await asyncio.sleep(self.latency_s)
        return [SignalData(query.key, [0], [1.5]) for query in queries]


def now() -> float:
    return asyncio.get_running_loop().time()


Use = Callable[[], Coroutine[Any, Any, None]]


async def in_a_scope_that_expires(use: Use) -> None:
    with anyio.move_on_after(1):
        await use()


async def in_a_task_group_that_is_cancelled(use: Use) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await anyio.sleep(1)
        group.cancel_scope.cancel()


async def in_a_task_group_with_a_failing_sibling(use: Use) -> None:
    async def fails() -> None:
        await anyio.sleep(1)
        raise KeyError("sibling")

    with pytest.raises(ExceptionGroup):
        async with anyio.create_task_group() as group:
            group.start_soon(use)
            group.start_soon(fails)


async def in_a_timeout_of_asyncio(use: Use) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await use()


async def in_a_response_whose_client_goes_away(use: Use) -> None:
    """As Starlette serves it: the body runs in a task group that a disconnect cancels."""
    from starlette.responses import StreamingResponse

    async def body() -> AsyncIterator[bytes]:
        yield b"one\n"
        await use()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(1)
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        await asyncio.sleep(0)

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "method": "GET", "headers": []}
    await StreamingResponse(body())(scope, receive, send)


WAYS = [
    in_a_scope_that_expires,
    in_a_task_group_that_is_cancelled,
    in_a_task_group_with_a_failing_sibling,
    in_a_timeout_of_asyncio,
    in_a_response_whose_client_goes_away,
]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@every_way
async def test_calls_under_way_are_answered_before_the_block_ends(way: Callable[[Use], Awaitable[None]]) -> None:
    reads: list[asyncio.Future[SignalData]] = []

    async def use() -> None:
        async with Reader(SlowService()) as reader:
            reads.append(reader.ask(QUERY))
            await asyncio.sleep(60)

    await way(use)
    assert reads[0].done()
    assert reads[0].result().value.tolist() == [1.5]
    assert now() == pytest.approx(5, abs=0.1)


@every_way
async def test_waiting_ends_at_the_timeout_of_closing(way: Callable[[Use], Awaitable[None]]) -> None:
    reads: list[asyncio.Future[SignalData]] = []

    async def use() -> None:
        async with Reader(SlowService(1e6), ReadPolicy(close_timeout_s=3)) as reader:
            reads.append(reader.ask(QUERY))
            await asyncio.sleep(60)

    await way(use)
    with pytest.raises(BesmartError, match="closed before"):
        reads[0].result()
    assert now() == pytest.approx(4, abs=0.1)
    assert [task for task in asyncio.all_tasks() if "besmart" in task.get_name()] == []


async def test_a_second_cancellation_ends_the_waiting_at_once() -> None:
    reads: list[asyncio.Future[SignalData]] = []

    async def use() -> None:
        with anyio.move_on_after(1):
            async with Reader(SlowService(1e6)) as reader:
                reads.append(reader.ask(QUERY))
                await asyncio.sleep(60)

    task = asyncio.create_task(use())
    await asyncio.sleep(2)
    assert not reads[0].done(), "the reader is closing"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BesmartError, match="closed before"):
        reads[0].result()
    assert now() == pytest.approx(2)


async def test_a_stream_that_is_cancelled_by_a_scope_closes_its_source_first() -> None:
    closed: list[float] = []

    async def queries() -> AsyncIterator[SignalQuery]:
        try:
            yield QUERY
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(2)  # such as a database cursor takes
            closed.append(now())

    async with Reader(SlowService()) as reader:
        with anyio.move_on_after(1):
            async for _ in reader.stream(queries()):
                pytest.fail("nothing is answered so early")
        for _ in range(3):  # the abandoned generator is closed by the event loop
            await asyncio.sleep(1)
    assert closed == [pytest.approx(3, abs=0.1)]
