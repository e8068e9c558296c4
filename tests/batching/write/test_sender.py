"""How a writer ends, whoever cancels it; what it logs; in which context it works; and its way back."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import anyio
import attrs
import pytest

from besmart_async.batching.write.core.events import WriterEvent
from besmart_async.batching.write.sender import Put
from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, UndeliveredError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import ServiceModel, api_error, unreachable

pytestmark = pytest.mark.looptime

KEY = SignalKey(12, 122, 32)
READINGS = 1_000

Work = Callable[[], Coroutine[Any, Any, None]]


@attrs.define
class Service:
    """Answers after `latency_s` what the model, or `fail`, says."""

    latency_s: float = 0.01
    model: ServiceModel = attrs.field(factory=ServiceModel)
    fail: Callable[[], BesmartError | None] = lambda: None

    async def __call__(self, body: bytes, /) -> None:
        await asyncio.sleep(self.latency_s)
        error = self.fail() or self.model.put(body)
        if error is not None:
            raise error


def writer(service: Put, *, on_reject: Any = None, **policy: Any) -> Writer:
    return Writer(service, BatchPolicy(**policy), on_reject=on_reject, rng=random.Random(0))


def now() -> float:
    return asyncio.get_running_loop().time()


# -- cancelled while it drains ---------------------------------------------------------------------------------------


async def application(service: Service, opened: list[Writer]) -> None:
    """Write for a moment, and then wait for something that never happens."""
    async with writer(service, max_items=100, max_in_flight=2) as w:
        opened.append(w)
        for sensor in range(READINGS):
            await w.write(SignalKey(12, sensor, 32), 1, 1.0)
        await asyncio.sleep(math.inf)


async def by_a_scope_that_times_out(work: Work) -> None:
    with anyio.move_on_after(0.1) as scope:
        await work()
    assert scope.cancelled_caught


async def by_a_task_group_that_is_cancelled(work: Work) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await asyncio.sleep(0.1)
        group.cancel_scope.cancel()


async def by_a_task_group_in_which_another_task_fails(work: Work) -> None:
    with pytest.raises(ExceptionGroup):
        async with anyio.create_task_group() as group:
            group.start_soon(work)
            await asyncio.sleep(0.1)
            raise RuntimeError("another task")


async def by_asyncio_timeout(work: Work) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await work()


async def by_task_cancel(work: Work) -> None:
    task = asyncio.create_task(work())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "cancelled",
    [
        by_a_scope_that_times_out,
        by_a_task_group_that_is_cancelled,
        by_a_task_group_in_which_another_task_fails,
        by_asyncio_timeout,
        by_task_cancel,
    ],
)
async def test_what_was_accepted_is_stored_though_the_body_is_cancelled(
    cancelled: Callable[[Work], Awaitable[None]],
) -> None:
    service, opened = Service(latency_s=2.0), list[Writer]()
    await cancelled(lambda: application(service, opened))
    assert len(service.model.stored) == READINGS
    assert (opened[0].report.delivered, opened[0].report.pending) == (READINGS, 0)
    assert now() >= 10.0  # five rounds of two calls
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_second_cancel_of_the_task_ends_the_drain_and_accounts_for_every_reading() -> None:
    service, opened = Service(latency_s=2.0), list[Writer]()
    task = asyncio.create_task(application(service, opened))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.sleep(3.0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    report = opened[0].report
    assert now() < 5.0
    assert report.delivered == len(service.model.stored) == 200
    assert (report.in_doubt, report.rejected, report.pending) == (200, 600, 0)


# -- what is logged --------------------------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture, words: str) -> list[int]:
    return [record.levelno for record in caplog.records if words in record.getMessage()]


@pytest.mark.looptime(False)
def test_a_writer_that_nobody_closes_logs_how_many_readings_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def forget() -> None:
        w = writer(Service(), linger_s=60.0)
        for minute in range(7):
            await w.write(KEY, minute, 1.0)

    with pytest.warns(ResourceWarning, match="7 readings pending"):  # noqa: PT031 - collecting is part of it
        asyncio.run(forget())
        gc.collect()
    assert logged(caplog, "7 of 7 accepted readings were not delivered and are lost") == [logging.ERROR]


async def test_readings_given_up_without_a_handler_are_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(model=ServiceModel(poison_signals={(12, 1, 32), (12, 2, 32)}))
    with pytest.raises(UndeliveredError):
        async with writer(service) as w:
            for sensor in range(5):
                await w.write(SignalKey(12, sensor, 32), [1, 2], [1.0, 2.0])
    lost = [record for record in caplog.records if "gave up" in record.message]
    assert {record.levelno for record in lost} == {logging.ERROR}
    assert sum(record.args[0] for record in lost if isinstance(record.args, tuple)) == 4  # type: ignore[misc]


async def test_with_a_handler_or_a_deliver_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    service, got = Service(model=ServiceModel(poison_signals={(12, 122, 32)})), list[Rejection]()
    async with writer(service, on_reject=got.append) as w:
        await w.write(KEY, 1, 1.0)
    assert len(got) == 1
    async with writer(service) as w:
        with pytest.raises(BesmartError):
            await w.deliver(SignalData(KEY, [1], [1.0]))
    assert caplog.records == []


async def test_an_outage_and_its_end_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(fail=lambda: unreachable() if now() < 60.0 else None)
    async with writer(service, delivery_timeout_s=math.inf) as w:
        for sensor in range(READINGS):
            await w.write(SignalKey(12, sensor, 32), 1, 1.0)
        await w.flush()
    assert logged(caplog, "pauses for") == [logging.WARNING]
    assert logged(caplog, "sends again") == [logging.WARNING]
    assert len(caplog.records) == 2


async def test_what_is_not_kept_is_counted_in_the_error_of_the_flush() -> None:
    service = Service(fail=lambda: api_error(422))
    async with writer(service, max_memory_bytes=20_000, max_refused_share=math.inf) as w:
        for sensor in range(300):
            await w.write(SignalKey(12, sensor, 32), 1, 1.0)
        with pytest.raises(
            UndeliveredError, match="more readings were not delivered; their data was not kept"
        ) as error:
            await w.flush()
        assert error.value.dropped > 0
        assert len(error.value.undelivered) + error.value.dropped == 300
        assert w.report.rejected == 300


# -- the context -----------------------------------------------------------------------------------------------------

request: ContextVar[str] = ContextVar("request", default="none")


async def test_calls_hooks_and_handlers_run_in_no_request_of_anybody() -> None:
    seen = dict[str, set[str]]()

    def note(who: str) -> None:
        seen.setdefault(who, set()).add(request.get())

    model = ServiceModel(poison_signals={(12, 1, 32)})

    async def put(body: bytes, /) -> None:
        note("call")
        await asyncio.sleep(0.01)
        note("call")
        if (error := model.put(body)) is not None:
            raise error

    async def handle(rejection: Rejection) -> None:
        note("handler")

    def hook(event: WriterEvent) -> None:
        note("hook")

    w = Writer(put, BatchPolicy(max_items=3), on_reject=handle, hooks=[hook], rng=random.Random(0))
    token = request.set("mine")
    try:
        async with w:
            for sensor in range(10):
                await w.write(SignalKey(12, sensor, 32), 1, 1.0)
            await w.deliver(SignalData(KEY, [1], [1.0]))
    finally:
        request.reset(token)
    assert seen == {"call": {"none"}, "handler": {"none"}, "hook": {"none"}}


# -- a service that refuses everything -------------------------------------------------------------------------------


@attrs.define
class Wrong:
    """A service that refuses everything until it is put right."""

    model: ServiceModel = attrs.field(factory=ServiceModel)
    right: bool = False

    async def __call__(self, body: bytes, /) -> None:
        await asyncio.sleep(0.01)
        error = self.model.put(body) if self.right else api_error(422)
        if error is not None:
            raise error


async def stopped(w: Writer) -> None:
    """Write until the writer has stopped, since everything is refused."""
    for sensor in range(5_000):
        await w.write(SignalKey(12, sensor, 32), 1, 1.0)
    with pytest.raises(BesmartError, match="the writer stopped because the service refused"):
        await w.flush()
    assert w.report.state == "stopped"


async def test_a_writer_that_stopped_goes_on_when_it_is_told_to(caplog: pytest.LogCaptureFixture) -> None:
    service, got = Wrong(), list[Rejection]()
    async with writer(service, on_reject=got.append) as w:
        assert not w.resume()
        await stopped(w)
        with pytest.raises(BesmartError, match="the writer stopped"):
            await w.write(KEY, 1, 1.0)
        service.right = True
        assert w.resume()
        assert not w.resume()
        await w.deliver(SignalData(KEY, [1], [1.0]))
        assert w.report.state == "open"
    assert sum(rejection.readings for rejection in got) == 5_000
    assert len(service.model.stored) == 1
    assert logged(caplog, "accepts readings again") == [logging.WARNING]


async def test_a_writer_that_stopped_accepts_readings_again_after_a_while() -> None:
    service = Wrong()
    async with writer(service, on_reject=lambda _: None, refusal_window_s=30.0) as w:
        await stopped(w)
        service.right = True
        await asyncio.sleep(29.0)
        with pytest.raises(BesmartError, match="the writer stopped"):
            await w.write(KEY, 1, 1.0)
        await asyncio.sleep(1.0)
        await w.write(KEY, 1, 1.0)
        assert (await w.flush()).state == "open"
    assert len(service.model.stored) == 1


async def test_one_producer_of_rubbish_among_ten_others_stops_nobody() -> None:
    bad, good = 10_000, 100
    service, got = Service(model=ServiceModel(poison_signals={(99, n, 32) for n in range(bad)})), list[Rejection]()
    async with writer(service, on_reject=got.append) as w:

        async def rubbish() -> None:
            for n in range(bad):
                await w.write(SignalKey(99, n, 32), 1, 1.0)

        async def produce(producer: int) -> None:
            for n in range(good):
                await w.write(SignalKey(producer, n, 32), 1, 1.0)
                await asyncio.sleep(0.05)

        await asyncio.gather(rubbish(), *map(produce, range(10)))
        report = await w.flush()
        assert report.state == "open"
        assert (report.delivered, report.rejected, report.pending) == (10 * good, bad, 0)
    assert len(service.model.stored) == 10 * good
    assert {rejection.data.key for rejection in got} == {SignalKey(99, n, 32) for n in range(bad)}
