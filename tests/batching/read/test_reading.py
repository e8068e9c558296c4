"""Reads that are futures: asked at once, awaited later or never."""

import asyncio
from collections.abc import AsyncIterator

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError, InvalidInputError
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

KEY = SignalKey(12, 122, 32)
QUERY = SignalQuery(KEY, 0, 1000)
ANSWER = SignalData(KEY, [0], [1.5])

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes


class Service:
    """Answers a second after it was asked."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: BesmartError | None = None

    async def __call__(self, queries: list[SignalQuery]) -> list[SignalData]:
        self.calls += 1
        await asyncio.sleep(1)
        if self.error is not None:
            raise self.error
        return [SignalData(query.key, [0], [1.5]) for query in queries]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def reader(service: Service) -> AsyncIterator[Reader]:
    async with Reader(service) as reader:
        yield reader


async def test_many_reads_asked_at_once_need_no_tasks(reader: Reader) -> None:
    before = asyncio.all_tasks()
    together = asyncio.gather(*[reader.ask(SignalQuery(SignalKey(12, sensor, 32), 0, 1000)) for sensor in range(150)])
    await asyncio.sleep(0.5)
    assert len(asyncio.all_tasks() - before) == 1, "the call"
    assert len(await together) == 150


async def test_what_was_asked_can_be_waited_for_in_every_way(reader: Reader) -> None:
    done, pending = await asyncio.wait([reader.ask(QUERY), reader.ask(QUERY)])
    assert [reading.result() for reading in done] == [ANSWER, ANSWER]
    assert not pending
    assert await asyncio.wait_for(asyncio.shield(reader.ask(QUERY)), 5) == ANSWER
    assert await asyncio.ensure_future(reader.ask(QUERY)) == ANSWER


@pytest.mark.parametrize("after_s", [0, 0.001, 0.5], ids=["at once", "while queued", "under way"])
async def test_cancelling_withdraws_the_read(reader: Reader, after_s: float) -> None:
    reading, other = reader.ask(QUERY), reader.ask(QUERY)
    await asyncio.sleep(after_s)
    assert reading.cancel()
    assert not reading.cancel()
    assert await other == ANSWER
    assert (reader.report.cancelled, reader.report.answered, reader.report.pending) == (1, 1, 0)


async def test_what_is_cancelled_before_it_left_is_not_asked(reader: Reader, service: Service) -> None:
    reader.ask(QUERY).cancel()
    await asyncio.sleep(1)
    assert (reader.report.cancelled, service.calls) == (1, 0)


async def test_cancelling_the_task_that_awaits_it_withdraws_it(reader: Reader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await reader.ask(QUERY)
    assert (reader.report.cancelled, reader.report.pending) == (1, 0)


async def test_cancelling_after_the_answer_changes_nothing(reader: Reader) -> None:
    reading = reader.ask(QUERY)
    assert await reading == ANSWER
    assert not reading.cancel()
    assert (reader.report.cancelled, reader.report.answered) == (0, 1)


async def test_the_error_of_a_call_comes_out_of_the_future(reader: Reader, service: Service) -> None:
    service.error = BesmartError("down")
    with pytest.raises(BesmartError, match="down"):
        await reader.ask(QUERY)


async def test_what_cannot_be_asked_is_refused_at_once(service: Service) -> None:
    reader = Reader(service, ReadPolicy())
    with pytest.raises(InvalidInputError, match="SignalQuery"):
        reader.ask("12.122.32")  # type: ignore[arg-type]
    await reader.aclose()
    with pytest.raises(BesmartError, match="closed"):
        reader.ask(QUERY)
