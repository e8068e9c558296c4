"""How a reader opens, closes, and where it may be used; in virtual time, on a service in memory."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from typing import Any

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartConfigError, BesmartError
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes


def asked(sensor: int) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), 0, 1000)


def truth(query: SignalQuery) -> SignalData:
    return SignalData(query.key, [query.since], [float(query.till)])


class Service:
    latency_s = 0.1
    under_way = 0

    async def __call__(self, queries: list[SignalQuery], /) -> list[SignalData]:
        self.under_way += 1
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.under_way -= 1
        return [truth(query) for query in queries]


@pytest.fixture
def service() -> Service:
    return Service()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_closing_waits_for_what_is_under_way_and_hurries_what_lingers(service: Service) -> None:
    reader = Reader(service, ReadPolicy(linger_s=10.0))
    caller = asyncio.create_task(reader.read_query(asked(1)))
    await asyncio.sleep(1)
    await reader.aclose()
    assert await caller == truth(asked(1))
    assert now() == pytest.approx(1.1)


async def test_closing_fails_what_is_not_answered_in_time(service: Service) -> None:
    service.latency_s = 1e6
    reader = Reader(service, ReadPolicy(close_timeout_s=5.0, max_items=1, max_in_flight=1))
    callers = [asyncio.create_task(reader.read_query(asked(sensor))) for sensor in range(3)]
    await asyncio.sleep(1)
    await reader.aclose()
    assert now() == pytest.approx(6.0)
    for caller in callers:
        with pytest.raises(BesmartError, match="closed before"):
            await caller
    assert reader.report.pending == 0
    assert service.under_way == 0


async def test_cancelling_the_closing_fails_the_rest_at_once(service: Service) -> None:
    service.latency_s = 1e6
    reader = Reader(service)
    caller = asyncio.create_task(reader.read_query(asked(1)))
    await asyncio.sleep(1)
    closing = asyncio.create_task(reader.aclose())
    await asyncio.sleep(1)
    closing.cancel()
    with pytest.raises(BesmartError, match="closed before"):
        await caller
    await reader.aclose()


async def test_a_closed_reader_says_so_and_closes_twice(service: Service) -> None:
    reader = Reader(service)
    await reader.aclose()
    await reader.aclose()
    with pytest.raises(BesmartError, match="is closed"):
        await reader.read_query(asked(1))
    async with Reader(service) as used:
        await used.read_query(asked(1))
    with pytest.raises(BesmartError, match="is closed"):
        await used.read_query(asked(1))


async def test_a_reader_may_be_closed_by_another_task(service: Service) -> None:
    reader = await asyncio.create_task(Reader(service).__aenter__())
    await reader.read_query(asked(1))
    await asyncio.create_task(reader.aclose())


async def test_a_fault_of_the_event_loop_hangs_nobody(service: Service) -> None:
    loop = asyncio.get_running_loop()
    async with Reader(service, ReadPolicy(max_items=2)) as reader:
        first = asyncio.create_task(reader.read_query(asked(1)))
        await asyncio.sleep(0)

        def broken(*args: Any, **kwargs: Any) -> Any:
            args[1].close()
            raise RuntimeError("no more tasks")

        loop.set_task_factory(broken)
        try:
            with pytest.raises(BesmartError, match="unexpectedly"):
                await reader.read_query(asked(2))
        finally:
            loop.set_task_factory(None)
        with pytest.raises(BesmartError, match="unexpectedly"):
            await first


async def test_a_reader_whose_calls_are_cancelled_from_outside_hangs_nobody(service: Service) -> None:
    async with Reader(service) as reader:
        caller = asyncio.create_task(reader.read_query(asked(1)))
        await asyncio.sleep(0.05)
        for task in asyncio.all_tasks():
            if task.get_name() == "besmart reader call":
                task.cancel()
        with pytest.raises(BesmartError, match="unexpectedly"):
            await caller


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_calls_that_end_before_their_task_is_made_do_not_pile_up_on_the_stack() -> None:
    async def knows_nothing(_: list[SignalQuery]) -> list[SignalData]:
        return []

    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - unknown to 3.11
    try:
        async with Reader(knows_nothing, ReadPolicy(max_items=5_000)) as reader:
            answers = await asyncio.gather(*[reader.read_query(asked(sensor)) for sensor in range(5_000)])
    finally:
        asyncio.get_running_loop().set_task_factory(None)
    assert all(data.absent for data in answers)


# Where it may be used


def test_another_event_loop_gets_a_clear_error(service: Service) -> None:
    reader = Reader(service)

    async def use() -> None:
        await reader.read_query(asked(1))

    async def use_and_close() -> None:
        await use()
        await reader.aclose()

    first = asyncio.new_event_loop()
    first.run_until_complete(use())
    with pytest.raises(BesmartError, match="another event loop"):
        asyncio.run(use_and_close())
    first.run_until_complete(use_and_close())
    first.close()


def test_after_a_fork_a_reader_gives_a_clear_error(service: Service) -> None:
    async def parent() -> int:
        async with Reader(service) as reader:
            await reader.read_query(asked(1))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                child = os.fork()
            if child == 0:  # in a coroutine of a loop that did not come along
                try:
                    reader.read_query(asked(1)).send(None)
                except BesmartError as error:
                    os._exit(0 if "after a fork" in str(error) else 1)
                finally:
                    os._exit(2)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            return os.waitstatus_to_exitcode(status)

    assert asyncio.run(parent()) == 0


async def test_a_reader_that_was_never_closed_warns(service: Service) -> None:
    readers = [Reader(service)]
    await readers[0].read_query(asked(1))
    await asyncio.sleep(1)
    with pytest.warns(ResourceWarning, match="never closed"):
        readers.clear()


@pytest.mark.parametrize("setting", [{"max_items": 0}, {"linger_s": -1.0}, {"max_window_s": 0.5}, {"max_in_flight": 0}])
def test_settings_that_cannot_work_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(BesmartConfigError):
        ReadPolicy(**setting)
