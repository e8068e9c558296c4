"""What the hooks of a reader hear, in virtual time, on a service in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.core.coalescer import SendBulkRead
from besmart_async.batching.read.events import (
    ReadBatchAnswered,
    ReadBatchFailed,
    ReadBatchSent,
    ReadBatchSplit,
    ReadEvent,
)
from besmart_async.batching.read.reader import Reader
from besmart_async.client import BesmartClient
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError, Response, ServerError, UnprocessableError
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

REFUSED = UnprocessableError(422, "no", "signals.read_bulk", Response(422))
DOWN = ServerError(503, "", "signals.read_bulk", Response(503))


def asked(sensor: int) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), 0, 1000)


def two_readings(query: SignalQuery) -> SignalData:
    return SignalData(query.key, [1, 2], [1.0, 2.0])


Answers = Callable[[list[SignalQuery]], list[SignalData]]


def service(answers: Answers = lambda queries: list(map(two_readings, queries))) -> SendBulkRead:
    async def send(queries: list[SignalQuery], /) -> list[SignalData]:
        await asyncio.sleep(0.1)
        return answers(queries)

    return send


async def heard(send: SendBulkRead, sensors: int, reads: int = 1) -> list[ReadEvent]:
    """Read as many sensors at once, each as often, and return what a hook heard."""
    events: list[ReadEvent] = []
    async with Reader(send, hooks=[events.append]) as reader:
        queries = [asked(sensor) for sensor in range(sensors)] * reads
        await asyncio.gather(*map(reader.read_query, queries), return_exceptions=True)
    return events


async def test_a_call_is_told_when_it_leaves_and_when_it_is_answered() -> None:
    sent, answered = await heard(service(), sensors=3, reads=5)
    assert sent == ReadBatchSent(batch=1, queries=3)
    assert isinstance(answered, ReadBatchAnswered)
    assert (answered.batch, answered.queries, answered.answered, answered.readings) == (1, 3, 3, 6)
    assert answered.elapsed_s == pytest.approx(0.1)


async def test_everyone_has_been_told_when_the_hooks_hear_of_it() -> None:
    pending: list[int] = []
    async with Reader(service(), hooks=[lambda _: pending.append(reader.report.pending)]) as reader:
        await asyncio.gather(*[reader.read_query(asked(sensor)) for sensor in range(3)])
    assert pending == [3, 0]


async def test_a_signal_missing_in_an_answer_is_a_call_of_its_own() -> None:
    events = await heard(service(lambda queries: [two_readings(query) for query in queries if query != asked(1)]), 3)
    assert [type(event) for event in events] == [ReadBatchSent, ReadBatchAnswered] * 2
    first, alone = events[1], events[3]
    assert isinstance(first, ReadBatchAnswered)
    assert isinstance(alone, ReadBatchAnswered)
    assert (first.batch, first.queries, first.answered, first.readings) == (1, 3, 2, 4)
    assert (alone.batch, alone.queries, alone.answered, alone.readings) == (2, 1, 0, 0)


async def test_a_signal_without_readings_is_answered() -> None:
    _, event = await heard(service(lambda queries: [SignalData(query.key, [], []) for query in queries]), 2)
    assert isinstance(event, ReadBatchAnswered)
    assert (event.answered, event.readings) == (2, 0)


async def test_a_refused_call_is_split_until_the_culprit_has_failed_alone() -> None:
    def poisoned(queries: list[SignalQuery]) -> list[SignalData]:
        if asked(3) in queries:
            raise REFUSED
        return list(map(two_readings, queries))

    events = await heard(service(poisoned), 4)
    assert events[:2] == [ReadBatchSent(batch=1, queries=4), ReadBatchSplit(batch=1, queries=4, error=REFUSED)]
    assert [event.queries for event in events if isinstance(event, ReadBatchSplit)] == [4, 2]
    assert [event.queries for event in events if isinstance(event, ReadBatchFailed)] == [1]
    assert sum(event.answered for event in events if isinstance(event, ReadBatchAnswered)) == 3


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("a bug of ours")])
async def test_a_failed_call_is_told_with_its_error(failure: Exception) -> None:
    def failing(_: list[SignalQuery]) -> list[SignalData]:
        raise failure

    sent, failed = await heard(service(failing), 3)
    assert sent == ReadBatchSent(batch=1, queries=3)
    assert isinstance(failed, ReadBatchFailed)
    assert failure in (failed.error, failed.error.__cause__)


async def test_a_call_that_closing_gives_up_is_told_as_failed() -> None:
    async def silent(_: object) -> list[SignalData]:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    events: list[ReadEvent] = []
    reader = Reader(silent, ReadPolicy(close_timeout_s=1), hooks=[events.append])
    read = asyncio.create_task(reader.read_query(asked(1)))
    await asyncio.sleep(0.1)
    await reader.aclose()
    with pytest.raises(BesmartError, match="closed"):
        await read
    assert isinstance(events[-1], ReadBatchFailed)
    assert "closed" in str(events[-1].error)


async def test_every_call_that_left_comes_to_one_end() -> None:
    def moody(queries: list[SignalQuery]) -> list[SignalData]:
        if asked(77) in queries:
            raise REFUSED
        if asked(123) in queries:
            raise DOWN
        return [two_readings(query) for query in queries if query.key.sensor_mid % 10]

    events = await heard(service(moody), 1_000)
    sent = [event.batch for event in events if isinstance(event, ReadBatchSent)]
    ended = [event.batch for event in events if not isinstance(event, ReadBatchSent)]
    assert sorted(sent) == sorted(ended) == list(range(1, len(sent) + 1))


async def test_a_failing_hook_is_logged_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: ReadEvent) -> None:
        raise RuntimeError("this hook is broken")

    events: list[ReadEvent] = []
    async with Reader(service(), hooks=[broken, events.append]) as reader:
        data = await reader.read_query(asked(1))
    assert data == two_readings(asked(1))
    assert len(events) == 2
    logged = [(record.name, record.levelno, record.getMessage().split(";")[0]) for record in caplog.records]
    assert logged == [
        ("besmart_async", logging.ERROR, f"a hook of the besmart reader failed on {name}")
        for name in ("ReadBatchSent", "ReadBatchAnswered")
    ]


@pytest.mark.parametrize("kind", [ReadBatchSent, ReadBatchAnswered])
async def test_even_a_hook_that_wants_to_end_its_task_leaves_nobody_waiting(kind: type) -> None:
    def rude(event: ReadEvent) -> None:
        if isinstance(event, kind) and event.batch == 1:
            raise asyncio.CancelledError

    async with Reader(service(), ReadPolicy(max_items=1, max_in_flight=1), hooks=[rude]) as reader:
        said = await asyncio.gather(*[reader.read_query(asked(sensor)) for sensor in range(3)], return_exceptions=True)
    assert all(isinstance(one, SignalData | BesmartError) for one in said)
    assert reader.report.pending == 0


async def test_a_client_passes_hooks_on(besmart_client: BesmartClient) -> None:
    events: list[ReadEvent] = []
    async with besmart_client, besmart_client.reader(hooks=[events.append]) as reader:
        await reader.read(SignalKey(12, 122, 32), 0, 1)
    assert [type(event) for event in events] == [ReadBatchSent, ReadBatchAnswered]
