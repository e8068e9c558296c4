"""Leaving a writer delivers what it accepted, whatever cancelled the block around it; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import anyio
import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

KEY = SignalKey(12, 122, 32)
READINGS = 20


class SlowService:
    """Acknowledges each call after some time."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.stored = 0

    async def __call__(self, body: bytes, /) -> None:
        await asyncio.sleep(self.latency_s)
        self.stored += 1


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


async def in_a_task_that_is_cancelled(use: Use) -> None:
    task = asyncio.create_task(use())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


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
    in_a_task_that_is_cancelled,
    in_a_response_whose_client_goes_away,
]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


async def use(writer: Writer) -> None:
    """Write, and wait until somebody cancels it."""
    async with writer:
        for minute in range(READINGS):
            await writer.write(KEY, minute * 60_000, 1.0)
        await asyncio.Event().wait()


@every_way
async def test_what_was_accepted_is_delivered_before_the_block_ends(way: Callable[[Use], Awaitable[None]]) -> None:
    service = SlowService(5.0)
    writer = Writer(service, BatchPolicy(linger_s=60.0, close_timeout_s=30.0))
    await way(lambda: use(writer))
    assert (service.stored, writer.report.delivered, writer.report.pending) == (1, READINGS, 0)
    assert now() == pytest.approx(1 + 5, abs=0.1)


@every_way
async def test_the_draining_ends_at_its_timeout_and_what_is_given_up_is_logged(
    way: Callable[[Use], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(SlowService(1e6), BatchPolicy(linger_s=0.5, close_timeout_s=7.0))
    await way(lambda: use(writer))
    assert writer.report.in_doubt == READINGS
    assert now() == pytest.approx(1 + 7, abs=1.0)
    logged = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert any(f"gave up {READINGS} readings of 1 signals (in_doubt)" in message for message in logged), logged


async def test_a_second_cancellation_of_the_task_ends_the_draining_at_once() -> None:
    writer = Writer(SlowService(1e6), BatchPolicy(linger_s=0.0, close_timeout_s=1e5))
    task = asyncio.create_task(use(writer))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert writer.report.pending == 0
    assert now() == pytest.approx(2, abs=1.0)


async def test_aclose_in_a_cancelled_scope_delivers_as_well() -> None:
    service = SlowService(5.0)
    writer = Writer(service, BatchPolicy(linger_s=60.0))
    await writer.write(KEY, 0, 1.0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await writer.aclose()
    assert writer.report.delivered == service.stored == 1
