"""The shell in virtual time, against a service of a few lines."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import warnings
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import numpy as np
import pytest

from besmart_async.batching.write.core.events import BatchAcknowledged, BatchSent, WriterEvent
from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.errors import (
    BesmartError,
    InvalidInputError,
    UndeliveredError,
    UnprocessableError,
    WriterTimeoutError,
)
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import ServiceModel, api_error, reset, timed_out, unreachable

pytestmark = pytest.mark.looptime

KEY = SignalKey(12, 122, 32)
TRIPLE = (12, 122, 32)


@attrs.define
class Service:
    """Stores what it is sent after `latency_s`; `fail` may say otherwise."""

    latency_s: float = 0.01
    model: ServiceModel = attrs.field(factory=ServiceModel)
    fail: Callable[[bytes], BesmartError | None] = lambda body: None
    bodies: list[bytes] = attrs.field(factory=list[bytes])
    under_way: int = 0
    most_under_way: int = 0

    async def __call__(self, body: bytes, /) -> None:
        self.bodies.append(body)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.latency_s)
            error = self.fail(body) or self.model.put(body)
            if error is not None:
                raise error
        finally:
            self.under_way -= 1


def writer(service: Callable[[bytes], Awaitable[None]], **settings: Any) -> Writer:
    on_reject = settings.pop("on_reject", None)
    hooks = settings.pop("hooks", ())
    return Writer(service, BatchPolicy(**settings), on_reject=on_reject, hooks=hooks, rng=random.Random(0))  # type: ignore[arg-type]


async def test_writes_of_many_tasks_leave_in_few_full_calls() -> None:
    service = Service()
    async with writer(service) as w:

        async def work(sensor: int) -> None:
            for minute in range(20):
                await w.write(SignalKey(12, sensor, 32), minute * 60_000, float(minute))

        await asyncio.gather(*(work(sensor) for sensor in range(500)))
    assert len(service.model.stored) == 10_000
    assert len(service.bodies) <= 25
    assert w.report.delivered == w.report.accepted == 10_000


async def test_a_write_that_has_room_does_not_suspend() -> None:
    async with writer(Service()) as w:
        for minute in range(100):
            with pytest.raises(StopIteration):
                w.write(KEY, minute, 1.0).send(None)


TIMES = np.arange(6) * 900_000
VALUES = np.arange(6) + 0.5


@pytest.mark.parametrize(
    ("times", "values", "kwargs"),
    [
        (TIMES, VALUES, {}),
        (TIMES, VALUES, {"origin": 2, "unit": "kW"}),
        (TIMES, VALUES, {"unit": "°C"}),
        (TIMES, VALUES, {"type": "INT"}),
        (TIMES, VALUES, {"type": ["DBL", "RM"] * 3, "origin": [1, 2] * 3}),
        (TIMES[::2], VALUES[1::2], {}),
        (TIMES[::-1], VALUES, {}),
        (TIMES // 1_800_000, VALUES, {}),
        (TIMES.astype(np.int32), VALUES.astype(np.float32), {}),
        (TIMES.astype(">i8"), VALUES.astype(">f8"), {}),
        (TIMES.astype("M8[ms]"), VALUES.astype(object), {}),
        (TIMES + 0.5, TIMES, {}),
        (TIMES[:1], VALUES[:1], {}),
        (TIMES[:0], VALUES[:0], {}),
        (TIMES, VALUES * 1e300, {}),
    ],
)
async def test_arrays_are_sent_as_the_columns_made_of_them_are(times: Any, values: Any, kwargs: dict[str, Any]) -> None:
    plain, made = Service(), Service()
    async with writer(plain) as one, writer(made) as other:
        for sensor in range(3):  # the second and third find the times known
            key = SignalKey(12, sensor, 32)
            await one.write(key, times, values, **kwargs)
            await other.write_data(SignalData(key, times, values, **kwargs))
    assert plain.bodies == made.bodies
    assert one.report == other.report


@pytest.mark.parametrize(
    ("times", "values", "field"),
    [
        (TIMES, np.where(TIMES, VALUES, np.nan), "value[0]"),
        (TIMES, np.where(TIMES, VALUES, np.inf), "value[0]"),
        (TIMES, VALUES[1:], "value"),
        (TIMES.reshape(2, 3), VALUES.reshape(2, 3), "time"),
        (TIMES - 10**15, VALUES, "time[0]"),
        (TIMES, np.ma.masked_less(VALUES, 1), "value"),
    ],
)
async def test_arrays_that_columns_refuse_are_refused(times: Any, values: Any, field: str) -> None:
    service = Service()
    async with writer(service) as w:
        await w.write(KEY, TIMES, VALUES)
        with pytest.raises(InvalidInputError) as refused:
            await w.write(KEY, times, values)
    assert refused.value.field == field
    assert w.report.accepted == len(service.model.stored) == len(TIMES)


async def test_arrays_may_be_used_again_once_they_are_accepted() -> None:
    service = Service()
    times, values = TIMES.copy(), VALUES.copy()
    async with writer(service) as w:
        for sensor in range(3):
            await w.write(SignalKey(12, sensor, 32), times, values)
            times += 1
            values += 100.0
    for sensor in range(3):
        stored = {reading[1]: value for reading, (value, _) in service.model.stored.items() if reading[0][1] == sensor}
        assert stored == dict(zip((TIMES + sensor).tolist(), (VALUES + 100.0 * sensor).tolist(), strict=True))


async def test_every_form_of_time_and_value_is_accepted() -> None:
    service = Service()
    async with writer(service) as w:
        await w.write(KEY, datetime(2020, 1, 1, tzinfo=UTC), 1)
        await w.write(KEY, 1.5, "text", type="STR")
        await w.write(KEY, int(np.int64(7)), np.float64(2.5), origin=2, unit="kW")
        await w.write(KEY, [10, 11], [1.0, 2.0])
        await w.write(KEY, np.array(["2020-01-02"], "datetime64[ms]"), [None])
        await w.write_data(SignalData(KEY, [20], [3.0]))
        await w.remove(KEY, 30)
        await w.remove(KEY, [31, 32], origin=2)
    stored = {reading[1:]: value for reading, value in service.model.stored.items()}
    assert stored[(1577836800000, 1)] == (1, None)
    assert stored[(1.5, 1)] == ("text", None)
    assert stored[(7, 2)] == (2.5, "kW")
    assert stored[(1577923200000, 1)] == (None, None)
    assert {(10, 1), (11, 1), (20, 1), (30, 1), (31, 2), (32, 2)} <= stored.keys()
    assert b'"RM"' in b"".join(service.bodies)


@pytest.mark.parametrize(
    ("time", "value", "more"),
    [
        (1, math.nan, {}),
        (1, math.inf, {}),
        (1.0, math.nan, {}),
        ([1, 2], [1.0], {}),
        (datetime(2020, 1, 1), 1.0, {}),
        (10**18, 1.0, {}),
        (1, object(), {}),
        (1, 1.0, {"type": ""}),
        (1, 1.0, {"type": 3}),
        (1, 1.0, {"origin": -1}),
        (1, 1.0, {"origin": True}),
        (1, 1.0, {"origin": 2**63}),
        (1, 1.0, {"unit": ""}),
        (1, 1.0, {"unit": "half a pair: \ud800"}),
        (1, 1.0, {"type": "half a pair: \ud800"}),
        ("now", 1.0, {}),
    ],
)
async def test_what_json_cannot_hold_is_refused_at_the_door(time: Any, value: Any, more: dict[str, Any]) -> None:
    async with writer(Service()) as w:
        with pytest.raises(InvalidInputError):
            await w.write(KEY, time, value, **more)
        with pytest.raises(InvalidInputError):
            await w.write("12.122.32", time, value)  # type: ignore[arg-type]
        assert w.report.accepted == 0


async def test_deliver_returns_once_the_service_has_stored_it() -> None:
    service = Service(latency_s=3.0)
    async with writer(service) as w:
        await w.deliver(SignalData(KEY, [1, 2], [1.0, 2.0]))
        assert len(service.model.stored) == 2
        assert asyncio.get_running_loop().time() == pytest.approx(3.05, abs=0.01)


async def test_deliver_raises_what_the_service_refused_and_nobody_else_hears_of_it() -> None:
    service = Service(model=ServiceModel(poison_readings={(TRIPLE, 2.0)}))
    async with writer(service) as w:
        results = await asyncio.gather(
            w.deliver(SignalData(KEY, [1, 2, 3], [1.0, 2.0, 3.0])),
            w.deliver(SignalData(KEY, [4], [4.0])),
            return_exceptions=True,
        )
        assert isinstance(results[0], UnprocessableError)
        assert results[0].outcome == "rejected"
        assert "2 of these 3 readings were delivered" in results[0].__notes__[0]
        assert results[1] is None


async def test_rejections_without_a_handler_are_raised_at_flush_with_their_data_and_only_once() -> None:
    service = Service(model=ServiceModel(poison_readings={(TRIPLE, 2.0)}))
    async with writer(service) as w:
        await w.write(KEY, [1, 2], [1.0, 2.0])
        with pytest.raises(UndeliveredError, match="1 readings were not delivered") as caught:
            await w.flush()
        assert caught.value.report.delivered == 1
        assert [rejection.data.time.tolist() for rejection in caught.value.undelivered] == [[2]]
        assert (await w.flush()).rejected == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_on_reject_gets_every_rejection_and_what_it_raises_comes_out_at_the_end(asynchronous: bool) -> None:
    got: list[Rejection] = []

    def handle(rejection: Rejection) -> None:
        got.append(rejection)
        if len(got) == 1:
            raise RuntimeError("disk full")

    async def handle_later(rejection: Rejection) -> None:
        await asyncio.sleep(0.5)
        handle(rejection)

    service = Service(model=ServiceModel(poison_readings={(TRIPLE, 2.0), (TRIPLE, 3.0)}))
    with pytest.raises(ExceptionGroup) as caught:
        async with writer(service, on_reject=handle_later if asynchronous else handle) as w:
            await w.write(KEY, [1, 2, 3], [1.0, 2.0, 3.0])
            await w.flush()
            await w.write(KEY, 4, 4.0)
    assert [str(error) for error in caught.value.exceptions] == ["disk full"]
    assert sorted(rejection.data.time.item() for rejection in got) == [2, 3]
    assert len(service.model.stored) == 2


async def test_back_pressure_blocks_until_there_is_room() -> None:
    service = Service(latency_s=5.0)
    async with writer(service, max_memory_bytes=20_000, max_in_flight=1) as w:
        for minute in range(1_000):
            await w.write(KEY, minute, 1.0)
            assert w.report.memory_bytes <= 60_000  # the bodies in flight come on top
        assert asyncio.get_running_loop().time() > 5.0
    assert w.report.delivered == 1_000


async def test_no_room_within_the_admission_timeout_is_an_error_and_nothing_was_accepted() -> None:
    service = Service(latency_s=1000.0)
    async with writer(service, max_memory_bytes=20_000, admission_timeout_s=7.0, close_timeout_s=0.0) as w:
        with pytest.raises(WriterTimeoutError, match="no room") as caught:
            for minute in range(1_000):
                await w.write(KEY, minute, 1.0)
        assert caught.value.outcome == "not_sent"
        assert asyncio.get_running_loop().time() == pytest.approx(7.0, abs=0.1)
        accepted = w.report.accepted
        with pytest.raises(UndeliveredError):
            await w.aclose()
        assert w.report.in_doubt + w.report.rejected == accepted


async def in_line(w: Writer, sensor: int) -> asyncio.Task[None]:
    """Deliver more than there is room for besides what is under way."""
    task = asyncio.create_task(w.deliver(SignalData(SignalKey(12, sensor, 32), np.arange(500), np.ones(500))))
    await asyncio.sleep(0)
    return task


async def test_a_delivery_without_room_ends_with_the_admission_timeout_and_its_readings_are_not_accepted() -> None:
    service = Service(latency_s=10.0)
    async with writer(service, max_memory_bytes=20_000, admission_timeout_s=7.0) as w:
        first, second = await in_line(w, 1), await in_line(w, 2)
        with pytest.raises(WriterTimeoutError, match="no room") as caught:
            await second
        assert caught.value.outcome == "not_sent"
        assert asyncio.get_running_loop().time() == pytest.approx(7.0, abs=0.1)
        await first
        await w.write(KEY, 1, 1.0)  # nobody is in its way
    assert w.report.accepted == w.report.delivered == len(service.model.stored) == 501


async def test_deliveries_in_line_are_accepted_in_their_order_and_one_that_is_cancelled_is_not() -> None:
    service = Service(latency_s=1.0)
    async with writer(service, max_memory_bytes=20_000) as w:
        tasks = [await in_line(w, sensor) for sensor in range(1, 5)]
        assert w.report.accepted == 500
        tasks[1].cancel()
        ended: list[asyncio.Task[None]] = []
        for task in tasks:
            task.add_done_callback(ended.append)
        await asyncio.wait(tasks)
        assert [tasks.index(task) for task in ended] == [1, 0, 2, 3]
    assert {signal[1] for signal, *_ in service.model.stored} == {1, 3, 4}
    assert w.report.accepted == 1_500


async def test_deliveries_in_line_of_a_writer_that_closes_are_told_so() -> None:
    service = Service(latency_s=1.0)
    async with writer(service, max_memory_bytes=20_000) as w:
        tasks = [await in_line(w, sensor) for sensor in range(1, 4)]
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in told[1:]] == ["this writer is closed"] * 2
    assert told[0] is None
    assert w.report.accepted == w.report.delivered == 500


async def test_cancelled_callers_only_detach() -> None:
    rng, service = random.Random(3), Service(latency_s=0.2)
    async with writer(service, max_memory_bytes=60_000) as w:
        accepted = 0

        async def work(sensor: int) -> None:
            nonlocal accepted
            for minute in range(20):
                await w.write(SignalKey(12, sensor, 32), minute, 1.0)
                accepted += 1
            await w.deliver(SignalData(SignalKey(12, sensor, 32), [1000], [2.0]))

        tasks = [asyncio.create_task(work(sensor)) for sensor in range(200)]
        for _ in range(400):
            await asyncio.sleep(0.002)
            rng.choice(tasks).cancel()
        await asyncio.wait(tasks)
        assert any(task.cancelled() for task in tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        report = await w.flush()
        assert report.pending == 0
        assert report.delivered == report.accepted >= accepted
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_no_task_starves_while_a_thousand_write() -> None:
    service = Service(latency_s=0.05)
    longest = [0.0] * 1000
    async with writer(service, max_memory_bytes=1 << 20) as w:

        async def work(sensor: int) -> None:
            loop = asyncio.get_running_loop()
            for minute in range(100):
                before = loop.time()
                await w.write(SignalKey(12, sensor, 32), minute, 1.0)
                longest[sensor] = max(longest[sensor], loop.time() - before)

        await asyncio.gather(*(work(sensor) for sensor in range(1000)))
    assert len(service.model.stored) == 100_000
    assert max(longest) < 2.0


async def test_exit_with_a_dead_service_returns_in_time_and_accounts_for_every_reading() -> None:
    service = Service(latency_s=math.inf)
    service.latency_s = 10_000.0
    start = asyncio.get_running_loop().time()
    with pytest.raises(UndeliveredError) as caught:
        async with writer(service, close_timeout_s=5.0) as w:
            for sensor in range(50_000):
                await w.write(SignalKey(12, sensor, 32), 1, 1.0)
    assert asyncio.get_running_loop().time() - start <= 6.0
    report = caught.value.report
    assert report.pending == 0
    assert report.accepted == 50_000 == report.rejected + report.in_doubt
    assert sum(rejection.readings for rejection in caught.value.undelivered) == 50_000
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_if_the_body_raised_its_error_goes_out_with_a_note() -> None:
    with pytest.raises(KeyError) as caught:
        async with writer(Service(model=ServiceModel(poison_signals={TRIPLE}))) as w:
            await w.write(KEY, 1, 1.0)
            raise KeyError("mine")
    assert "1 readings were not delivered" in caught.value.__notes__[0]


async def test_a_cancelled_body_drains_and_is_cancelled_all_the_same() -> None:
    service = Service(latency_s=2.0)

    async def application() -> None:
        async with writer(service) as w:
            await w.write(KEY, 1, 1.0)
            await asyncio.sleep(1000)

    task = asyncio.create_task(application())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(service.model.stored) == 1


async def test_cancelled_while_draining_it_gives_up_at_once() -> None:
    w = writer(Service(latency_s=1000.0))
    await w.write(KEY, 1, 1.0)
    task = asyncio.create_task(w.aclose())
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert w.report.pending == 0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stopped_engine_fails_every_waiter_with_an_error_of_its_own() -> None:
    service = Service(latency_s=1.0, fail=lambda body: BesmartError("the client is closed"))
    with pytest.raises(UndeliveredError):
        async with writer(service, max_memory_bytes=20_000) as w:
            waiting = [asyncio.create_task(w.deliver(SignalData(KEY, [n], [1.0]))) for n in range(5)]
            waiting += [asyncio.create_task(w.write(KEY, np.arange(700), np.ones(700))) for _ in range(5)]
            done, _ = await asyncio.wait(waiting)
            errors = [task.exception() for task in done if task.exception() is not None]
            assert len(errors) >= 6
            assert len({id(error) for error in errors}) == len(errors)
            assert all(isinstance(error, BesmartError) for error in errors)
            with pytest.raises(BesmartError, match="the client is closed"):
                await w.write(KEY, 1, 1.0)


async def test_stopped_it_hands_back_what_waits_and_lets_what_is_under_way_arrive() -> None:
    service, rejections = Service(latency_s=1.0), list[Rejection]()
    w = writer(service, on_reject=rejections.append, linger_s=0, max_readings=10, max_in_flight=1)
    for start in (0, 10, 20):
        await w.write_data(SignalData(KEY, range(start, start + 10), [1.0] * 10))
    flush = asyncio.create_task(w.flush())
    await asyncio.sleep(0.5)
    w.stop(BesmartError("enough"))
    w.stop(BesmartError("more than enough"))
    with pytest.raises(BesmartError, match=r"^enough"):
        await w.write(KEY, 1, 1.0)
    with pytest.raises(BesmartError, match=r"^enough"):
        await flush
    await w.aclose()
    assert (w.report.delivered, w.report.rejected, w.report.in_doubt, w.report.pending) == (10, 20, 0, 0)
    assert {(rejection.outcome, str(rejection.error)) for rejection in rejections} == {("not_sent", "enough")}
    assert len(service.bodies) == 1


def numbers(ranges: Sequence[tuple[int, int]]) -> list[int]:
    return [number for start, stop in ranges for number in range(start, stop)]


async def test_numbers_tell_which_readings_were_refused_even_those_replaced_while_queued() -> None:
    rejections = list[Rejection]()
    service = Service(fail=lambda body: api_error(422) if b"13.5" in body else None)
    async with writer(service, on_reject=rejections.append) as w:
        assert await w.write_data(SignalData(KEY, [1, 2, 3], [1.0, 2.0, 13.5])) == range(3)
        assert await w.write_data(SignalData(KEY, [2, 1], [13.5, 4.0])) == range(3, 5)
    assert sorted(sorted(numbers(rejection.numbers)) for rejection in rejections) in ([[1, 2, 3]], [[1, 3], [2]])
    assert (w.report.delivered, w.report.rejected) == (2, 3)


async def test_numbers_tell_which_readings_were_stored_even_those_replaced_while_queued() -> None:
    events = list[WriterEvent]()
    service = Service(fail=lambda body: api_error(422) if b"13.5" in body else None)
    async with writer(service, on_reject=lambda _: None, hooks=[events.append]) as w:
        await w.write_data(SignalData(KEY, [1, 2, 3], [1.0, 2.0, 13.5]))
        assert await w.write_data(SignalData(KEY, [2], [4.0])) == range(3, 4)
        await w.write(KEY, 9, 1.0)
    stored = [n for event in events if isinstance(event, BatchAcknowledged) for n in numbers(event.numbers)]
    assert sorted(stored) == [0, 1, 3, 4]


async def test_a_fault_in_the_sending_code_is_no_endless_wait() -> None:
    async def broken(body: bytes) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(UndeliveredError, match="a bug"):
        async with writer(broken) as w:
            await w.write(KEY, 1, 1.0)
            await w.flush()


async def test_flush_with_a_timeout_says_so_and_loses_nothing() -> None:
    service = Service(latency_s=10.0)
    async with writer(service) as w:
        await w.write(KEY, 1, 1.0)
        with pytest.raises(WriterTimeoutError):
            await w.flush(timeout=1.0)
        assert w.report.pending == 1
    assert w.report.delivered == 1


async def test_a_closed_writer_says_so_and_closing_twice_is_fine() -> None:
    w = writer(Service())
    await w.write(KEY, 1, 1.0)
    await asyncio.gather(w.aclose(), w.aclose())
    await w.aclose()
    with pytest.raises(BesmartError, match="closed"):
        await w.write(KEY, 2, 1.0)
    assert w.report.delivered == 1


async def test_hooks_see_what_happens_and_cannot_break_it(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[object] = []

    def broken(event: object) -> None:
        raise RuntimeError("hook")

    async with writer(Service(), hooks=(broken, seen.append)) as w:
        await w.write(KEY, 1, 1.0)
    assert any(isinstance(event, BatchSent) for event in seen)
    assert w.report.delivered == 1
    assert "hook" in caplog.text


@pytest.mark.parametrize("failure", [unreachable, timed_out, reset, lambda: api_error(500)])
async def test_a_passing_failure_is_retried_until_it_is_stored(failure: Callable[[], BesmartError]) -> None:
    failures = [failure() for _ in range(3)]
    service = Service(fail=lambda body: failures.pop() if failures else None)
    async with writer(service) as w:
        await w.deliver(SignalData(KEY, [1], [1.0]))
    assert w.report.retries == 3


@pytest.mark.looptime(False)
def test_another_loop_and_another_process_are_told() -> None:
    w = writer(Service())

    async def write() -> None:
        await w.write(KEY, 1, 1.0)

    async def use_and_fork() -> int:
        await write()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                w.write(KEY, 2, 1.0).send(None)
            except BesmartError as error:
                code = 0 if "fork" in str(error) else 2
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])  # noqa: ASYNC222 - a child that ends at once

    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert first.run(use_and_fork()) == 0
        with pytest.raises(BesmartError, match="another event loop"):
            second.run(write())
        first.run(w.aclose())


@pytest.mark.looptime(False)
def test_a_writer_that_was_never_closed_is_warned_about() -> None:
    async def forget() -> None:
        w = writer(Service(), linger_s=0.0)
        await w.write(KEY, 1, 1.0)
        await asyncio.sleep(0.1)

    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031 - collecting is part of it
        asyncio.run(forget())
        gc.collect()


@pytest.fixture
async def opened() -> Any:
    async with writer(Service()) as w:
        yield w


async def test_it_may_be_opened_in_a_fixture_and_closed_by_another_task(opened: Writer) -> None:
    await opened.write(KEY, 1, 1.0)
    await asyncio.create_task(opened.aclose())
    assert opened.report.delivered == 1
