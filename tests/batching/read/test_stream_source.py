"""A stream closes the generator it reads, however it ends: given inline, nobody else can. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, suppress

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError, Response, ServerError
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

POLICY = ReadPolicy(max_items=10, max_outstanding=20, close_timeout_s=5)


def asked(sensor: int) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), 0, 1000)


async def service(queries: list[SignalQuery], /) -> list[SignalData]:
    await asyncio.sleep(0.1)
    if asked(13) in queries:
        raise ServerError(503, "down", "signals.read_bulk", Response(503))
    return [SignalData(query.key, [0], [1.5]) for query in queries]


class Source:
    """Queries as a generator that holds something open, such as a database cursor."""

    def __init__(self, first: int = 100, *, rows: int = 1000, stalls_at: int = -1, closing_s: float = 0.0) -> None:
        self.first = first
        self.rows = rows
        self.stalls_at = stalls_at
        self.closing_s = closing_s
        self.opened = self.closed = 0

    async def rows_async(self) -> AsyncGenerator[SignalQuery]:
        self.opened += 1
        try:
            for number in range(self.rows):
                if number == self.stalls_at:
                    await asyncio.Event().wait()
                yield asked(self.first + number)
        finally:
            await asyncio.sleep(self.closing_s)
            self.closed += 1

    def rows_sync(self) -> Generator[SignalQuery]:
        self.opened += 1
        try:
            for number in range(self.rows):
                yield asked(self.first + number)
        finally:
            self.closed += 1

    def __aiter__(self) -> AsyncIterator[SignalQuery]:
        return self.rows_async()

    def __iter__(self) -> Iterator[SignalQuery]:
        return self.rows_sync()


Results = AsyncGenerator[SignalData, None]


async def leaves_the_loop(results: Results) -> None:
    async with aclosing(results):
        async for _ in results:
            break


async def leaves_the_loop_without_closing(results: Results) -> None:
    async for _ in results:
        break
    del results
    for _ in range(5):  # the event loop closes abandoned generators
        await asyncio.sleep(0.1)


async def closes_the_generator(results: Results) -> None:
    await anext(results)
    await results.aclose()


async def raises_in_the_loop(results: Results) -> None:
    with suppress(KeyError):
        async with aclosing(results):
            async for _ in results:
                raise KeyError


async def is_cancelled(results: Results) -> None:
    async def consume() -> None:
        async with aclosing(results):
            async for _ in results:
                await asyncio.sleep(60)

    task = asyncio.create_task(consume())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])


WAYS = [
    leaves_the_loop,
    leaves_the_loop_without_closing,
    closes_the_generator,
    raises_in_the_loop,
    is_cancelled,
]


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_generator_is_closed_when_the_consumer(way: Callable[[Results], Awaitable[None]], kind: str) -> None:
    source = Source()
    async with Reader(service, POLICY) as reader:
        await way(reader.stream(source.rows_async() if kind == "async" else source.rows_sync()))
        assert (source.opened, source.closed) == (1, 1)


async def test_a_source_that_waits_for_its_next_row_is_closed() -> None:
    source = Source(stalls_at=5)
    async with Reader(service, POLICY) as reader:
        await leaves_the_loop(reader.stream(source.rows_async()))
        assert source.closed == 1


@pytest.mark.parametrize("in_order", [True, False])
async def test_a_generator_that_an_iterable_makes_is_closed(in_order: bool) -> None:
    source = Source()
    async with Reader(service, POLICY) as reader:
        await leaves_the_loop(reader.stream(source, in_order=in_order))
        assert (source.opened, source.closed) == (1, 1)


async def test_a_generator_is_closed_when_an_answer_ends_the_stream() -> None:
    source = Source(first=13)
    async with Reader(service, POLICY) as reader:
        with pytest.raises(ServerError):
            async for _ in reader.stream(source.rows_async()):
                pytest.fail("the first call fails")
        assert source.closed == 1


async def test_a_generator_is_closed_when_the_reader_is() -> None:
    source = Source()
    reader = Reader(service, POLICY)
    results = reader.stream(source.rows_async())
    await anext(results)
    await reader.aclose()
    assert source.closed == 1
    await results.aclose()


async def test_a_source_that_takes_its_time_to_close_is_waited_for() -> None:
    source = Source(closing_s=3)
    async with Reader(service, POLICY) as reader:
        await leaves_the_loop(reader.stream(source.rows_async()))
        assert source.closed == 1


async def test_a_source_that_does_not_close_is_given_up_at_the_timeout() -> None:
    source = Source(closing_s=1e6)
    async with Reader(service, POLICY) as reader:
        started = asyncio.get_running_loop().time()
        await leaves_the_loop(reader.stream(source.rows_async()))
        assert asyncio.get_running_loop().time() - started == pytest.approx(5, abs=0.5)
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if "besmart" in task.get_name()] == []


async def test_an_error_of_a_source_that_is_closed_comes_out() -> None:
    async def rows() -> AsyncGenerator[SignalQuery]:
        try:
            for sensor in range(100, 1000):
                yield asked(sensor)
        finally:
            raise OSError("the connection is lost")

    async with Reader(service, POLICY) as reader:
        with pytest.raises(OSError, match="connection is lost"):
            await leaves_the_loop(reader.stream(rows()))


async def test_an_iterator_that_is_no_generator_stays_as_it_is() -> None:
    queries = iter([asked(sensor) for sensor in range(100, 200)])
    async with Reader(service, POLICY) as reader:
        await leaves_the_loop(reader.stream(queries))
        assert isinstance(next(queries), SignalQuery)
        assert [data async for data in reader.stream(queries)]
    with pytest.raises(BesmartError, match="closed"):
        await anext(reader.stream(queries))
