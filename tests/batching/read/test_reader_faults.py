"""A fault in our own code ends a reader: nobody waits for ever, and the event loop goes on. In virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.read.core.coalescer import ReadBatch, ReadCoalescer
from besmart_async.batching.read.reader import Reader
from besmart_async.config import BatchPolicy, ReadPolicy
from besmart_async.errors import BesmartConfigError, BesmartError, Response, ServerError
from besmart_async.models import SignalData, SignalKey, SignalQuery

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes


def asked(sensor: int) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), 0, 1000)


async def service(queries: list[SignalQuery], /) -> list[SignalData]:
    await asyncio.sleep(1)
    if asked(13) in queries:
        raise ServerError(503, "down", "signals.read_bulk", Response(503))
    return [SignalData(query.key, [0], [1.5]) for query in queries]


def broken(*_: Any) -> Any:
    raise ZeroDivisionError("a bug of ours")


@pytest.mark.parametrize("step", ["poll", "next_wakeup", "settle", "fail", "_counted"])
async def test_every_read_ends_and_later_reads_are_refused(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Reader(service, ReadPolicy(max_items=2, max_in_flight=2)) as reader:
        stream = reader.stream([asked(sensor) for sensor in range(50, 60)])
        streamed = asyncio.ensure_future(anext(stream))
        reads = [reader.ask(asked(sensor)) for sensor in (13, 14, 15, 16, 17)]
        await asyncio.sleep(0.5)  # some are under way, some are queued
        monkeypatch.setattr(ReadCoalescer, step, broken)
        await asyncio.sleep(1)
        monkeypatch.undo()
        for read in (*reads, streamed):
            assert read.done(), "nobody waits for ever"
            assert isinstance(read.exception(), BesmartError | None)
        assert any("a bug of ours" in str(read.exception()) for read in reads)
        with pytest.raises(BesmartError, match=r"stopped after an internal error: .*a bug of ours"):
            await reader.read_query(asked(1))
        with pytest.raises(BesmartError, match="stopped after an internal error"):
            await anext(reader.stream([asked(1)]))


async def test_a_coalescer_that_has_nothing_to_send_for_ever_does_not_freeze_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Reader(service) as reader:
        monkeypatch.setattr(ReadCoalescer, "poll", lambda *_: ReadBatch[Any](1, {}))
        with pytest.raises(BesmartError, match="empty batch"):
            await reader.read_query(asked(1))
        monkeypatch.undo()


async def test_a_call_cancelled_before_its_first_step_leaves_nobody_waiting() -> None:
    async with Reader(service, ReadPolicy(max_items=1, max_in_flight=1)) as reader:
        first, second = reader.ask(asked(1)), reader.ask(asked(2))
        (call,) = [task for task in asyncio.all_tasks() if task.get_name() == "besmart reader call"]
        call.cancel()
        with pytest.raises(BesmartError, match="unexpectedly"):
            await first
        assert (await second).value.tolist() == [1.5]


NOT_WHOLE: list[Any] = [0, -1, 1e3, 10.0, True, "10", float("nan"), float("inf"), 1 + 0j]
NO_DURATION: list[Any] = [-0.1, float("nan"), float("-inf"), True, "1", None, [1]]
SETTINGS = [
    *[(name, value) for name in ("max_items", "max_in_flight", "max_outstanding") for value in NOT_WHOLE],
    *[(name, None) for name in ("max_items", "max_outstanding")],
    *[(name, value) for name in ("linger_s", "max_window_s", "close_timeout_s") for value in NO_DURATION],
    ("linger_s", float("inf")),
    ("max_window_s", 0.999),
]


@pytest.mark.parametrize(("name", "value"), SETTINGS, ids=repr)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(BesmartConfigError, match=rf"ReadPolicy\.{name}=.*: give a .*number of at least"):
        ReadPolicy(**{name: value})


@pytest.mark.parametrize("policy", [BatchPolicy(), {"max_items": 5}, 200], ids=lambda policy: type(policy).__name__)
def test_what_is_not_a_read_policy_is_refused(policy: Any) -> None:
    with pytest.raises(BesmartConfigError, match="give ReadPolicy"):
        Reader(service, policy)
