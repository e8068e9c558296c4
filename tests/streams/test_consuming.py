from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from functools import partial

import pytest

from besmart_async import BatchPolicy, BesmartClient, BesmartConfigError, BesmartError, Writer
from besmart_async.simulator import Fault, Simulator
from besmart_async.streams import PoisonMessageError, StreamPolicy, StreamReport, consume
from tests.streams.brokers import Batch, Letters, feed, feed_and_wait, message, stored

SOON = StreamPolicy(retry_wait_s=0.001)


async def test_everything_is_stored_before_it_is_acknowledged(simulator: Simulator, writer: Writer) -> None:
    seen: list[bool] = []

    def note(end: int) -> None:
        seen.append(len(stored(simulator)) >= end)

    batches = [
        Batch([message(number) for number in range(end - 100, end)], partial(note, end)) for end in range(100, 600, 100)
    ]
    report = await consume(feed(*batches), writer)
    assert stored(simulator) == {number: float(number) for number in range(500)}
    assert seen == [True] * 5
    assert [batch.committed for batch in batches] == [1] * 5
    assert report == StreamReport(received=500, committed=500, readings=500)


async def test_poison_goes_to_the_dead_letters_with_its_reason(simulator: Simulator, writer: Writer) -> None:
    letters = Letters()
    bad = [b"{", None, b"[]", b'{"signal":"1.2","time":1,"value":1}', b'{"signal":"1.1.32","time":1}']
    batch = Batch([message(0), *bad, message(1)])
    report = await consume(feed(batch), writer, dead_letters=letters)
    assert stored(simulator) == {0: 0.0, 1: 1.0}
    assert [payload for payload, _ in letters] == bad
    assert "no content" in letters[1][1]
    assert "client_cid.sensor_mid.signal_type_moid" in letters[3][1]
    assert (report.dead, report.committed, batch.committed) == (5, 7, 1)


async def test_a_message_whose_readings_the_service_refuses_is_a_dead_letter(
    simulator: Simulator, writer: Writer
) -> None:
    letters = Letters()
    refused = [message(number, sensor=99) for number in (3, 5)]
    both = b"[" + message(7) + b"," + message(7, sensor=99) + b"]"
    batch = Batch([message(1), refused[0], message(2), refused[1], both, message(4)])
    report = await consume(feed(batch), writer, dead_letters=letters)
    assert [payload for payload, _ in letters] == [*refused, both]
    assert all("the service refuses 1.99.32" in reason for _, reason in letters)
    assert {1, 2, 4} <= set(stored(simulator))
    assert (report.dead, report.readings, batch.committed) == (3, 3, 1)


async def test_without_a_sink_the_first_poison_ends_the_stream_and_is_not_acknowledged(writer: Writer) -> None:
    good, bad = Batch([message(1)]), Batch([message(2), b"nonsense"])
    with pytest.raises(PoisonMessageError, match=r"message test@1: .*place for dead letters"):
        await consume(feed(good, bad), writer)
    assert (bad.committed, bad.released) == (0, 1)
    assert good.committed + good.released == 1


async def test_a_sink_that_fails_leaves_the_batch_unacknowledged(writer: Writer) -> None:
    async def full(_: object) -> None:
        raise OSError("the disk is full")

    batch = Batch([b"nonsense"])
    with pytest.raises(OSError, match="disk is full"):
        await consume(feed(batch), writer, dead_letters=full)
    assert (batch.committed, batch.released) == (0, 1)


async def test_while_the_service_is_down_nothing_is_acknowledged(simulator: Simulator, writer: Writer) -> None:
    down = simulator.faults.add(Fault(operation="*data*", status=503))
    batches = [Batch([message(number)]) for number in range(3)]
    waits = asyncio.Event()

    def progress(report: StreamReport) -> None:
        if report.waiting:
            assert not any(batch.committed for batch in batches)
            waits.set()

    running = asyncio.create_task(consume(feed(*batches), writer, policy=SOON, on_progress=progress))
    await waits.wait()
    assert stored(simulator) == {}
    simulator.faults.remove(down)
    report = await running
    assert stored(simulator) == {0: 0.0, 1: 1.0, 2: 2.0}
    assert (report.committed, report.dead, report.waiting) == (3, 0, "")
    assert report.rewrites >= 1


async def test_what_is_written_again_does_not_replace_what_came_later(simulator: Simulator, writer: Writer) -> None:
    down = simulator.faults.add(Fault(operation="*data*", status=503))
    waits = asyncio.Event()
    batches = [Batch([message(1, value=1.0)]), Batch([message(1, value=2.0)])]
    running = asyncio.create_task(
        consume(feed(*batches), writer, policy=SOON, on_progress=lambda report: waits.set() if report.waiting else None)
    )
    await waits.wait()
    simulator.faults.remove(down)
    await running
    assert stored(simulator) == {1: 2.0}


async def test_a_service_that_is_down_for_too_long_ends_it(simulator: Simulator, writer: Writer) -> None:
    simulator.faults.add(Fault(operation="*data*", status=503))
    batch = Batch([message(1)])
    with pytest.raises(BesmartError):
        await consume(feed(batch), writer, policy=StreamPolicy(retry_wait_s=0.001, give_up_after_s=0.1))
    assert (batch.committed, batch.released) == (0, 1)


async def test_a_stop_delivers_and_acknowledges_what_was_received(simulator: Simulator, writer: Writer) -> None:
    stop = asyncio.Event()
    batch = Batch([message(number) for number in range(50)])
    report = await consume(feed_and_wait(batch), writer, stop=stop, on_progress=lambda _: stop.set())
    assert (report.committed, report.uncommitted, batch.committed) == (50, 0, 1)
    assert len(stored(simulator)) == 50


async def test_a_stop_while_the_service_is_down_gives_the_messages_back(
    simulator: Simulator, client: BesmartClient
) -> None:
    down = simulator.faults.add(Fault(operation="*data*", status=503))
    stop = asyncio.Event()
    batch = Batch([message(1)])
    policy = BatchPolicy(delivery_timeout_s=math.inf, close_timeout_s=0.01, linger_s=0.001)
    with pytest.raises(BesmartError):
        async with client.writer(policy) as writer:
            task = asyncio.create_task(
                consume(feed_and_wait(batch), writer, stop=stop, policy=StreamPolicy(drain_timeout_s=0.05))
            )
            while not down.hits:  # noqa: ASYNC110 - the service has no event for it
                await asyncio.sleep(0)
            stop.set()
            report = await task
    assert (report.committed, report.uncommitted) == (0, 1)
    assert (batch.committed, batch.released) == (0, 1)


async def test_no_more_is_pulled_than_may_be_unacknowledged(simulator: Simulator, client: BesmartClient) -> None:
    hang = simulator.faults.add(Fault(operation="*data*", latency_s=math.inf))
    pulled: list[Batch] = []

    async def endless() -> AsyncIterator[Batch]:
        while len(pulled) < 100:
            pulled.append(Batch([message(len(pulled))]))
            yield pulled[-1]

    async with client.writer(BatchPolicy(linger_s=0.0, close_timeout_s=0.01)) as writer:
        task = asyncio.create_task(consume(endless(), writer, policy=StreamPolicy(max_uncommitted=5)))
        while not hang.hits:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        assert len(pulled) <= 5
        simulator.faults.remove(hang)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [(batch.released, batch.committed) for batch in pulled] == [(1, 0)] * len(pulled)
        writer.stop(BesmartError("over"))
        with pytest.raises(BesmartError):
            await writer.aclose()


async def test_a_writer_that_others_write_to_is_refused(client: BesmartClient) -> None:
    rejections: list[object] = []
    async with client.writer(on_reject=rejections.append) as writer:
        batch = Batch([message(1), message(2, sensor=99)])
        with pytest.raises(BesmartConfigError, match="on_reject"):
            await consume(feed(batch), writer, dead_letters=Letters())
    assert batch.committed == 0


async def test_a_second_delivery_changes_nothing(simulator: Simulator, writer: Writer) -> None:
    batch = [message(number) for number in range(20)]
    await consume(feed(Batch(batch)), writer)
    before = stored(simulator)
    await consume(feed(Batch(batch)), writer)
    assert stored(simulator) == before
