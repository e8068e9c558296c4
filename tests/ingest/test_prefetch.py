"""Prefetching: items from a thread, a few ahead, and an end that does not wait for what cannot be ended."""

import asyncio
import threading
from collections.abc import Generator

import pytest

from besmart_async.ingest.pages import Prefetch


async def test_steps_come_in_order_and_the_iteration_ends() -> None:
    def produce() -> Generator[int, None, None]:
        yield from range(100)

    async with Prefetch(produce) as items:
        assert [step async for step in items] == list(range(100))


async def test_the_thread_is_only_a_few_steps_ahead() -> None:
    made: list[int] = []

    def produce() -> Generator[int, None, None]:
        for step in range(100):
            made.append(step)
            yield step

    async with Prefetch(produce, ahead=3) as items:
        assert await anext(items) == 0
        await asyncio.sleep(0)
        assert len(made) <= 5


async def test_an_error_of_the_thread_is_raised_where_the_steps_are_awaited() -> None:
    def produce() -> Generator[int, None, None]:
        yield 1
        raise ValueError("the file is damaged")

    async with Prefetch(produce) as items:
        assert await anext(items) == 1
        with pytest.raises(ValueError, match="damaged"):
            await anext(items)


async def test_leaving_early_closes_what_is_being_read() -> None:
    closed = threading.Event()

    def produce() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async with Prefetch(produce) as items:
        await anext(items)
    assert closed.is_set()


async def test_leaving_does_not_wait_for_a_read_that_never_ends() -> None:
    release = threading.Event()

    def produce() -> Generator[int, None, None]:
        yield 1
        release.wait(30)

    async with Prefetch(produce) as items:
        await anext(items)
    assert not release.is_set()
    release.set()
