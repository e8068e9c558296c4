"""The reader's shell, in virtual time, on a service in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from typing import Any

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError, InvalidInputError, Response, ServerError, UnprocessableError
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

KEY = SignalKey(12, 122, 32)


def asked(sensor: int, since: float = 0, till: float | None = None) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), since, since + 1000 if till is None else till)


def truth(query: SignalQuery) -> SignalData:
    """The right answer to a query, and to no other: its window is in it."""
    return SignalData(query.key, [query.since], [float(query.till)])


class FakeService:
    def __init__(self, latency_s: float = 0.1) -> None:
        self.latency_s = latency_s
        self.calls: list[list[SignalQuery]] = []
        self.under_way = self.most_under_way = 0
        self.answer: Callable[[SignalQuery], SignalData] = truth
        self.unknown: set[SignalKey] = set()
        self.poison: set[SignalKey] = set()
        self.error: BaseException | None = None
        self.careless: random.Random | None = None

    async def __call__(self, queries: list[SignalQuery], /) -> list[SignalData]:
        self.calls.append(queries)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.under_way -= 1
        if self.error is not None:
            raise self.error
        if any(query.key in self.poison for query in queries):
            raise UnprocessableError(422, "no", "signals.read_bulk", Response(422))
        answers = [self.answer(query) for query in queries if query.key not in self.unknown]
        return answers if self.careless is None or len(answers) < 2 else self.mixed_up(answers, self.careless)

    def mixed_up(self, answers: list[SignalData], dice: random.Random) -> list[SignalData]:
        answers = [one for one in answers for _ in range(dice.choice((0, *[1] * 18, 2)))]
        answers += [truth(asked(900_000 + dice.randrange(100))) for _ in range(3)]
        dice.shuffle(answers)
        return answers

    @property
    def requests(self) -> list[SignalQuery]:
        return [query for call in self.calls for query in call]


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def reader(service: FakeService) -> AsyncGenerator[Reader]:
    async with Reader(service) as opened:
        yield opened
    assert opened.report.pending == 0
    assert [task for task in asyncio.all_tasks() if "besmart" in task.get_name()] == []


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_concurrent_reads_share_one_call(reader: Reader, service: FakeService) -> None:
    queries = [asked(sensor) for sensor in range(150)]
    answers = await asyncio.gather(*[reader.read(query.key, query.since, query.till) for query in queries])
    assert answers == [truth(query) for query in queries]
    assert len(service.calls) == 1
    assert now() == pytest.approx(0.105)


async def test_every_option_reaches_the_service(reader: Reader, service: FakeService) -> None:
    options: dict[str, Any] = {
        "get_last": True,
        "delta_t": 60,
        "raw": False,
        "output_unit_id": 1,
        "signal_origin_id": 2,
        "filters": {"phase": 1},
        "is_chart": True,
    }
    await reader.read(KEY, 0, 1000, **options)
    assert {name: getattr(service.calls[0][0], name) for name in options} == options


async def test_what_is_refused_locally_sends_nothing(reader: Reader, service: FakeService) -> None:
    with pytest.raises(InvalidInputError):
        await reader.read(KEY, 1000, 0)
    with pytest.raises(InvalidInputError):
        await reader.read_query("12.122.32")  # type: ignore[arg-type]
    assert (service.calls, reader.report.requested) == ([], 0)


async def test_ten_thousand_reads_of_distinct_signals_take_fifty_calls(reader: Reader, service: FakeService) -> None:
    queries = [asked(sensor) for sensor in range(10_000)]
    answers = await asyncio.gather(*map(reader.read_query, queries))
    assert answers == [truth(query) for query in queries]
    assert len(service.calls) == 50
    assert service.most_under_way <= 16


async def test_ten_thousand_reads_of_a_hundred_requests_ask_each_once(reader: Reader, service: FakeService) -> None:
    queries = [asked(number % 100) for number in range(10_000)]
    answers = await asyncio.gather(*map(reader.read_query, queries))
    assert answers == [truth(query) for query in queries]
    assert sorted(query.key for query in service.requests) == [asked(sensor).key for sensor in range(100)]
    assert reader.report.shared == 9_900


@pytest.mark.parametrize("reads", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_a_careless_service_never_gets_an_answer_to_the_wrong_reader(
    reader: Reader, service: FakeService, reads: int
) -> None:
    dice = service.careless = random.Random(11)
    queries = [asked(dice.randrange(2000), dice.randrange(10)) for _ in range(reads)]
    answers: list[SignalData] = []
    for start in range(0, reads, 10_000):
        answers += await asyncio.gather(*map(reader.read_query, queries[start : start + 10_000]))
    assert answers == [truth(query) for query in queries]
    report = reader.report
    assert (report.answered, report.requested) == (reads, reads)
    assert report.asked_again > 0
    assert report.extra > 0


async def test_the_number_of_calls_at_a_time_can_be_fixed(service: FakeService) -> None:
    async with Reader(service, ReadPolicy(max_items=1, max_in_flight=3)) as reader:
        await asyncio.gather(*[reader.read_query(asked(sensor)) for sensor in range(20)])
    assert service.most_under_way == 3


async def test_a_read_issued_after_an_acknowledged_write_sees_it(reader: Reader, service: FakeService) -> None:
    stored = 1.0
    service.answer = lambda query: SignalData(query.key, [0], [stored])

    async def sent(queries: Any) -> list[SignalData]:
        before = [service.answer(query) for query in queries]  # what the service sees when the call arrives
        await asyncio.sleep(0.1)
        return before

    async with Reader(sent) as slow:
        early = asyncio.create_task(slow.read_query(asked(1)))
        await asyncio.sleep(0.05)
        stored = 2.0
        late = await slow.read_query(asked(1))
        assert (await early).value.tolist() == [1.0]
        assert late.value.tolist() == [2.0]


async def test_absent_is_told_apart_from_empty(reader: Reader, service: FakeService) -> None:
    service.unknown = {asked(1).key}
    service.answer = lambda query: SignalData(query.key, [], [])
    absent, empty = await asyncio.gather(reader.read_query(asked(1)), reader.read_query(asked(2)))
    assert (absent.absent, empty.absent) == (True, False)


async def test_one_bad_signal_fails_its_own_readers_only_each_with_an_error_of_its_own(
    reader: Reader, service: FakeService
) -> None:
    service.poison = {asked(77).key}
    queries = [asked(sensor) for sensor in range(200)]
    said = await asyncio.gather(*map(reader.read_query, [*queries, asked(77)]), return_exceptions=True)
    assert [one for one in said if isinstance(one, SignalData)] == [
        truth(query) for query in queries if query != asked(77)
    ]
    one, other = said[77], said[200]
    assert isinstance(one, UnprocessableError)
    assert isinstance(other, UnprocessableError)
    assert one is not other
    assert len(service.calls) <= 20


@pytest.mark.parametrize(
    "error", [ServerError(503, "", "signals.read_bulk", Response(503)), RuntimeError("a bug of ours")]
)
async def test_an_error_reaches_every_waiter_in_its_own_instance(
    reader: Reader, service: FakeService, error: Exception
) -> None:
    service.error = error
    said = await asyncio.gather(*[reader.read_query(asked(sensor)) for sensor in range(3)], return_exceptions=True)
    assert all(isinstance(one, BesmartError) for one in said)
    assert len({id(one) for one in said}) == 3
    assert len(service.calls) == 1


async def test_an_answer_that_is_none_hangs_nobody() -> None:
    async def nonsense(_: Any) -> Any:
        return [None]

    async with Reader(nonsense) as reader:
        with pytest.raises(BesmartError, match="unexpectedly"):
            await reader.read_query(asked(1))


# Cancelling


async def test_a_cancelled_caller_leaves_the_others_alone(reader: Reader, service: FakeService) -> None:
    callers = [asyncio.create_task(reader.read_query(asked(number // 2))) for number in range(6)]
    await asyncio.sleep(0.05)  # under way
    callers[0].cancel()
    callers[2].cancel()
    callers[3].cancel()
    said = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in said] == [True, False, True, True, False, False]
    assert said[1] == truth(asked(0))
    assert (reader.report.cancelled, reader.report.answered) == (3, 3)


async def test_a_read_that_is_cancelled_before_it_left_is_not_asked(reader: Reader, service: FakeService) -> None:
    caller = asyncio.create_task(reader.read_query(asked(1)))
    await asyncio.sleep(0.001)
    caller.cancel()
    await asyncio.sleep(1)
    assert service.calls == []


@pytest.mark.parametrize("reads", [4_000, pytest.param(20_000, marks=pytest.mark.long)])
async def test_random_cancellations_leave_nothing_behind(reader: Reader, service: FakeService, reads: int) -> None:
    dice = service.careless = random.Random(3)

    async def caller(number: int) -> SignalData:
        await asyncio.sleep(dice.random())
        async with asyncio.timeout(dice.choice((0.004, 0.05, 0.1, 0.15, 60))):
            return await reader.read_query(asked(number % 700, number % 3))

    said = await asyncio.gather(*map(caller, range(reads)), return_exceptions=True)
    for number, one in enumerate(said):
        assert isinstance(one, TimeoutError) or one == truth(asked(number % 700, number % 3))
    report = reader.report
    assert (report.pending, report.failed, report.requested) == (0, 0, reads)
    assert report.cancelled == sum(isinstance(one, TimeoutError) for one in said)
