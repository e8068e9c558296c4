"""Users' own code that fails in the middle of ours: hooks and handlers that raise, at random. Nobody else notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import attrs
import pytest

from besmart_async import Event, Rejection, SignalData, SignalQuery
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_WRITE, LOGIN, QUICK, QUICK_READS, Stage, signal, stage_of
from tests.faults.traffic import busy, read_back


class MineError(Exception):
    """Raised by a user's code."""


def failing(stage: Stage, share: float) -> None:
    """Raise, as often as the dice say."""
    if stage.dice.random() < share:
        raise MineError


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_hooks_that_raise_disturb_nobody(seed: int, share: float, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="besmart_async")
    heard: list[str] = []

    def hook(event: object) -> None:
        heard.append(type(event).__name__)
        failing(stages[0], share)

    def client_hook(event: Event) -> None:
        hook(event)

    stages: list[Stage] = []
    async with stage_of(seed, hooks=[client_hook]) as stage:
        stages.append(stage)
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, probability=0.2, status=500))
        stage.simulator.faults.add(Fault(operation=LOGIN, times=2, status=503))
        async with (
            stage.witness(hooks=[hook]) as witness,
            stage.client.reader(QUICK_READS, hooks=[hook]) as reader,
        ):
            outcomes = await busy(stage, witness, sensors=20, rounds=5)
            outcomes += await stage.all_of(read_back(stage, reader, signal(sensor)) for sensor in range(1, 21))
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
    assert {"BatchSent", "BatchAcknowledged", "BatchRetried", "ReadBatchSent", "RetryScheduled"} <= set(heard)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_handlers_of_rejections_that_raise_disturb_nobody_and_are_told_of_at_the_end(
    seed: int, asynchronous: bool
) -> None:
    async with stage_of(seed) as stage:
        bad = stage.dice.sample(range(1, 41), 5)
        stage.simulator.faults.poison(*((9, sensor, 34) for sensor in bad))
        rejected: list[int] = []

        def on_reject(rejection: Rejection) -> None:
            rejected.append(rejection.data.key.sensor_mid)
            raise MineError

        async def on_reject_later(rejection: Rejection) -> None:
            await asyncio.sleep(0.001)
            on_reject(rejection)

        witness = stage.witness(QUICK, on_reject=on_reject_later if asynchronous else on_reject)
        await stage.all_of(witness.write(signal(sensor), 1000) for sensor in range(1, 41))
        report = await witness.flush()
        assert report.delivered == 35
        await stage.all_of(witness.write(signal(sensor), 2000) for sensor in range(1, 41) if sensor not in bad)
        with pytest.raises(ExceptionGroup) as caught:
            await witness.writer.aclose()
        assert [type(error) for error in caught.value.exceptions] == [MineError] * 5
        assert sorted(rejected) == sorted(bad)
        stage.nothing_lost()


async def test_a_handler_that_never_ends_holds_up_neither_the_writer_nor_the_exit(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.poison((9, 1, 34), (9, 2, 34))
        forever = asyncio.Event()

        async def on_reject(_: Rejection) -> None:
            await forever.wait()

        policy = attrs.evolve(QUICK, close_timeout_s=0.5)
        async with stage.client.writer(policy, on_reject=on_reject) as writer:
            for sensor in range(1, 41):
                await writer.write(signal(sensor), 1000, float(sensor))
            report = await writer.flush(timeout=10)
            assert (report.delivered, report.rejected) == (38, 2)


async def test_a_source_or_error_handler_of_a_stream_that_raises_ends_that_stream_alone(seed: int) -> None:
    async with stage_of(seed) as stage:

        def source() -> Iterator[SignalQuery]:
            for sensor in range(1, 11):
                yield SignalQuery(signal(sensor), 0, 1000)
            raise MineError

        async with stage.client.reader(QUICK_READS) as reader:
            streams = [_count(reader.stream(source())) for _ in range(3)]
            good = [read_back(stage, reader, signal(sensor)) for sensor in range(1, 41)]
            outcomes = await stage.all_of([*streams, *good])
        assert [type(error) for error in outcomes[:3]] == [MineError] * 3
        assert outcomes[3:] == [None] * 40


async def _count(stream: AsyncIterator[SignalData]) -> int:
    return sum([len(data) async for data in stream])
