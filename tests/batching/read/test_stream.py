"""Streams: many windows in bounded memory, whoever is the slower one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError, InvalidInputError, Response, UnprocessableError
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def asked(sensor: int, days: float = 1, since: int = 0) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), since, since + int(days * DAY_MS))


class Service:
    """Holds a reading per hour for every signal, both ends inclusive."""

    def __init__(self) -> None:
        self.latency_s = 0.1
        self.calls: list[list[SignalQuery]] = []
        self.poison: set[SignalKey] = set()
        self.unknown: set[SignalKey] = set()

    async def __call__(self, queries: list[SignalQuery], /) -> list[SignalData]:
        self.calls.append(queries)
        await asyncio.sleep(self.latency_s)
        if any(query.key in self.poison for query in queries):
            raise UnprocessableError(422, "no", "signals.read_bulk", Response(422))
        return [self.answer(query) for query in queries if query.key not in self.unknown]

    def answer(self, query: SignalQuery) -> SignalData:
        times = [hour * HOUR_MS for hour in range(-int(-query.since // HOUR_MS), int(query.till // HOUR_MS) + 1)]
        return SignalData(query.key, times, [float(query.key.sensor_mid)] * len(times))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def reader(service: Service) -> AsyncGenerator[Reader]:
    policy = ReadPolicy(max_items=10, max_outstanding=40, max_in_flight=4, max_window_s=10 * 86_400)
    async with Reader(service, policy) as opened:
        yield opened
    report = opened.report
    assert report.pending == 0
    assert [task for task in asyncio.all_tasks() if "besmart" in task.get_name()] == []


async def test_each_query_of_an_iterable_is_answered(reader: Reader, service: Service) -> None:
    seen = [data async for data in reader.stream(asked(sensor) for sensor in range(123))]
    assert sorted(data.key.sensor_mid for data in seen) == list(range(123))
    assert all(len(data) == 25 for data in seen)
    assert len(service.calls) == 13


async def test_each_query_of_an_async_iterable_is_answered(reader: Reader, service: Service) -> None:
    async def source() -> AsyncIterator[SignalQuery]:
        for sensor in range(30):
            await asyncio.sleep(0.0001)
            yield asked(sensor)

    seen = [data async for data in reader.stream(source())]
    assert sorted(data.key.sensor_mid for data in seen) == list(range(30))
    assert len(service.calls) == 3


async def test_nothing_asked_is_nothing_sent(reader: Reader, service: Service) -> None:
    assert [data async for data in reader.stream([])] == []
    assert service.calls == []


async def test_long_windows_come_in_parts_that_add_up_to_the_whole(reader: Reader, service: Service) -> None:
    queries = [asked(sensor, days=365, since=7) for sensor in range(20)]
    rows: dict[SignalKey, list[float]] = {query.key: [] for query in queries}
    parts = 0
    async for data in reader.stream(queries):
        rows[data.key] += data.time.tolist()
        parts += 1
    assert parts == 20 * 37
    for query in queries:
        assert sorted(rows[query.key]) == service.answer(query).time.tolist()


async def test_parts_of_several_signals_fill_the_calls(reader: Reader, service: Service) -> None:
    queries = [asked(sensor, days=100) for sensor in range(10)]
    assert len([data async for data in reader.stream(queries)]) == 100
    assert [len(call) for call in service.calls] == [10] * 10


async def test_in_order_each_signal_comes_by_time_and_signals_in_the_order_asked(
    reader: Reader, service: Service
) -> None:
    lately = iter((0.9, 0.1, 0.5, 0.3) * 10)

    async def unevenly(queries: list[SignalQuery], /) -> list[SignalData]:
        service.latency_s = next(lately)
        return await service(queries)

    policy = ReadPolicy(max_items=5, max_outstanding=20, max_in_flight=4, max_window_s=10 * 86_400)
    async with Reader(unevenly, policy) as uneven:
        seen = [
            (data.key.sensor_mid, int(data.time[0]))
            async for data in uneven.stream((asked(sensor, days=30) for sensor in range(15)), in_order=True)
        ]
    groups = [range(first, first + 5) for first in (0, 5, 10)]
    assert [sensor for sensor, _ in seen] == [sensor for group in groups for _ in range(3) for sensor in group]
    assert all([time for sensor, time in seen if sensor == one] == [0, 10 * DAY_MS, 20 * DAY_MS] for one in range(15))


async def test_in_order_no_more_is_asked_than_fits_while_the_first_answer_is_awaited(service: Service) -> None:
    gate = asyncio.Event()

    async def first_is_slow(queries: list[SignalQuery], /) -> list[SignalData]:
        if queries[0].key.sensor_mid == 0:
            await gate.wait()
        return await service(queries)

    policy = ReadPolicy(max_items=5, max_outstanding=20, max_in_flight=4)
    async with (
        Reader(first_is_slow, policy) as reader,
        aclosing(reader.stream((asked(sensor) for sensor in range(100)), in_order=True)) as stream,
    ):
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(60)
        assert reader.report.requested == 20
        gate.set()
        assert [(await first).key.sensor_mid, *[data.key.sensor_mid async for data in stream]] == list(range(100))


async def test_short_answers_keep_sixteen_calls_in_flight(service: Service) -> None:
    in_flight: list[int] = [0]

    async def counted(queries: list[SignalQuery], /) -> list[SignalData]:
        in_flight.append(in_flight[-1] + 1)
        answers = await service(queries)
        in_flight.append(in_flight[-1] - 1)
        return answers

    async with Reader(counted, ReadPolicy(max_items=10, max_outstanding=160)) as reader:
        seen = [data async for data in reader.stream(asked(sensor) for sensor in range(1_000))]
    assert (len(seen), max(in_flight)) == (1_000, 16)


async def test_after_long_answers_no_more_is_asked_than_readings_may_be_ahead(service: Service) -> None:
    policy = ReadPolicy(max_items=10, max_outstanding=160, max_readings_ahead=20 * 25)
    async with Reader(service, policy) as reader, aclosing(reader.stream(asked(n) for n in range(2_000))) as stream:
        for _ in range(1_000):
            await anext(stream)
        taken = 1_000
        await asyncio.sleep(60)
        assert reader.report.requested - taken <= 20


async def test_in_order_a_failure_comes_in_its_turn(reader: Reader, service: Service) -> None:
    service.poison = {asked(3).key}
    seen: list[int] = []
    failed: list[int] = []
    queries = [asked(sensor) for sensor in range(6)]
    async for data in reader.stream(
        queries, in_order=True, on_error=lambda query, _: failed.append(query.key.sensor_mid)
    ):
        seen.append(data.key.sensor_mid)
        assert failed == ([3] if data.key.sensor_mid > 3 else [])
    assert seen == [0, 1, 2, 4, 5]


async def test_an_absent_signal_is_told(reader: Reader, service: Service) -> None:
    service.unknown = {asked(1).key}
    seen = {data.key.sensor_mid: data.absent async for data in reader.stream([asked(1), asked(2)])}
    assert seen == {1: True, 2: False}


async def test_a_slow_consumer_stops_the_source(reader: Reader) -> None:
    taken = 0

    def source() -> Iterator[SignalQuery]:
        nonlocal taken
        for sensor in range(1000):
            taken += 1
            yield asked(sensor)

    seen = 0
    async for _ in reader.stream(source()):
        seen += 1
        await asyncio.sleep(1)
        assert reader.report.requested - seen <= 40
        assert taken - seen <= 40 + 10
    assert seen == 1000


async def test_a_fast_consumer_keeps_the_calls_full_and_the_wire_busy(reader: Reader, service: Service) -> None:
    start = asyncio.get_running_loop().time()
    assert len([data async for data in reader.stream(asked(sensor) for sensor in range(1000))]) == 1000
    assert len(service.calls) == 100
    assert asyncio.get_running_loop().time() - start == pytest.approx(25 * 0.1, abs=0.1)


async def test_a_consumer_who_takes_one_at_a_time_does_not_cause_a_call_for_each(
    reader: Reader, service: Service
) -> None:
    async for _ in reader.stream(asked(sensor) for sensor in range(100)):
        await asyncio.sleep(0.02)
    assert len(service.calls) == 10


async def test_a_slow_source_holds_up_nothing_at_hand(reader: Reader) -> None:
    async def source() -> AsyncIterator[SignalQuery]:
        yield asked(1, days=50)
        await asyncio.sleep(1000)
        yield asked(2)

    moments = [asyncio.get_running_loop().time() async for _ in reader.stream(source())]
    assert [moment < 1 for moment in moments] == [True] * 5 + [False]


async def test_leaving_early_asks_nothing_more(reader: Reader, service: Service) -> None:
    async with aclosing(reader.stream(asked(sensor) for sensor in range(1000))) as stream:
        async for _ in stream:
            break
    assert reader.report.pending == 0
    calls = len(service.calls)
    await asyncio.sleep(60)
    assert len(service.calls) == calls <= 8


async def test_leaving_a_plain_loop_early_cleans_up_too(reader: Reader, service: Service) -> None:
    async for _ in reader.stream(asked(sensor) for sensor in range(1000)):
        break
    await asyncio.sleep(60)
    assert len(service.calls) <= 8


async def test_a_cancelled_consumer_leaves_other_readers_alone(reader: Reader) -> None:
    async def consume() -> None:
        async for _ in reader.stream(asked(sensor) for sensor in range(1000)):
            pass

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(0.05)
    other = asyncio.create_task(reader.read_query(asked(3)))
    await asyncio.sleep(0.01)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert reader.report.pending == 1
    assert (await other).key == asked(3).key
    assert reader.report.pending == 0


async def test_the_first_error_ends_the_stream_and_names_the_signal(reader: Reader, service: Service) -> None:
    service.poison = {asked(5).key}
    with pytest.raises(UnprocessableError) as caught:
        async for _ in reader.stream(asked(sensor) for sensor in range(100)):
            pass
    assert caught.value.__notes__ == [f"while streaming signal 12.5.32, 0 to {DAY_MS}"]


async def test_a_handler_gets_the_errors_and_the_stream_goes_on(reader: Reader, service: Service) -> None:
    service.poison = {asked(5).key, asked(50).key}
    failed: list[SignalQuery] = []

    async def on_error(query: SignalQuery, error: BesmartError) -> None:
        assert isinstance(error, UnprocessableError)
        await asyncio.sleep(0)
        failed.append(query)

    seen = [data async for data in reader.stream((asked(sensor) for sensor in range(100)), on_error=on_error)]
    assert len(seen) == 98
    assert sorted(query.key.sensor_mid for query in failed) == [5, 50]


async def test_the_sources_own_error_reaches_the_consumer(reader: Reader) -> None:
    def source() -> Iterator[SignalQuery]:
        yield asked(1)
        raise OSError("the list is gone")

    with pytest.raises(OSError, match="the list is gone"):
        async for _ in reader.stream(source()):
            pass
    with pytest.raises(InvalidInputError):
        async for _ in reader.stream(["12.122.32"]):  # type: ignore[list-item]
            pass


async def test_closing_the_reader_ends_its_streams(service: Service) -> None:
    service.latency_s = 1e6
    reader = Reader(service, ReadPolicy(close_timeout_s=5.0, max_outstanding=10))

    async def consume() -> int:
        return len([data async for data in reader.stream(asked(sensor) for sensor in range(1000))])

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(1)
    await reader.aclose()
    with pytest.raises(BesmartError, match="closed"):
        await consumer


async def test_a_stream_cut_short_by_closing_does_not_look_complete(service: Service) -> None:
    reader = Reader(service)

    async def source() -> AsyncIterator[SignalQuery]:
        yield asked(1)
        await asyncio.sleep(1e6)

    async def consume() -> int:
        return len([data async for data in reader.stream(source())])

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(1)
    await reader.aclose()
    with pytest.raises(BesmartError, match="closed during the stream"):
        await consumer


async def test_closing_delivers_what_was_under_way_to_a_stream(service: Service) -> None:
    reader = Reader(service, ReadPolicy(max_outstanding=10))
    seen: list[SignalData] = []

    async def consume() -> None:
        seen.extend([data async for data in reader.stream(asked(sensor) for sensor in range(8))])

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(0.05)
    await reader.aclose()
    await consumer
    assert len(seen) == 8
