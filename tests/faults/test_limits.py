"""Limits of the service that nobody documents: they are found out, and what fits goes through."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from besmart_async import BatchPolicy, PayloadTooLargeError, ProtocolError, Rejection, SignalData, UnprocessableError
from tests.faults.stage import BULK_WRITE, HOUR_MS, QUICK, Stage, signal, stage_of
from tests.faults.witness import Witness

BULKY = attrs.evolve(QUICK, max_items=500, linger_s=0.02, max_bytes=4_000_000, max_readings=100_000)


async def write_columns(stage: Stage, witness: Witness, *, rows: int, sensors: int = 40) -> None:
    """Write columns of every signal, twice, so that later ones replace earlier ones."""
    times = [1_600_000_000_000 + number * 1000 for number in range(rows)]
    for _ in range(2):
        await stage.all_of(witness.write_columns(signal(sensor), times) for sensor in range(1, sensors + 1))
        await witness.flush()


@pytest.mark.parametrize("close", [False, True], ids=["answered", "closed early"])
@pytest.mark.parametrize("limit", [20_000, 200_000])
async def test_a_body_limit_is_learned_whether_answered_or_closed_early(seed: int, limit: int, close: bool) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.settings.max_body_bytes = limit
        stage.simulator.settings.close_on_413 = close
        async with stage.witness(BULKY) as witness:
            await write_columns(stage, witness, rows=400)
        stage.everything_delivered()
        assert witness.writer.report.splits > 0
        refused = [each for each in stage.simulator.requests if each.body_bytes > limit]
        assert len(refused) < stage.simulator.count(BULK_WRITE) / 2  # learned, not met again and again


@pytest.mark.parametrize("limit", [1, 7, 30])
async def test_an_item_limit_is_learned(seed: int, limit: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.settings.max_items = limit
        async with stage.witness(BULKY) as witness:
            await write_columns(stage, witness, rows=5)
        stage.everything_delivered()


@pytest.mark.parametrize("limit", [10, 333])
async def test_a_limit_of_readings_is_learned(seed: int, limit: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.settings.max_readings = limit
        async with stage.witness(BULKY) as witness:
            await write_columns(stage, witness, rows=50, sensors=10)
        stage.everything_delivered()


async def test_refused_readings_are_named_exactly_while_limits_are_learned(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.settings.max_items = 9
        stage.simulator.settings.max_body_bytes = 20_000
        bad = {(sensor, 1_600_000_000_000 + row * 1000) for sensor, row in [(3, 0), (17, 41), (40, 99)]}
        stage.simulator.faults.poison(readings=[((9, sensor, 34), time) for sensor, time in bad])
        async with stage.witness(BULKY) as witness:
            await write_columns(stage, witness, rows=100)
        stage.nothing_lost()
        assert stage.oracle.handed_back == {"rejected": 2 * len(bad)}


async def test_a_single_write_over_the_limit_is_told_so(seed: int) -> None:
    data = SignalData(signal(1), list(range(5000)), [1.0] * 5000)
    async with stage_of(seed) as stage:
        stage.simulator.settings.max_body_bytes = 20_000
        for close in (False, True):
            stage.simulator.settings.close_on_413 = close
            (error,) = await stage.all_of([stage.client.signals.write(data)])
            assert isinstance(error, PayloadTooLargeError | ProtocolError)
        assert stage.simulator.stored_count() == 0


async def test_reads_over_an_item_limit_are_asked_in_halves(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.settings.max_items = 6
        for sensor in range(1, 41):
            stage.simulator.add_readings(9, sensor, 34, [1000], [float(sensor)])
        async with stage.client.reader() as reader:
            answers = await asyncio.gather(*[reader.read(signal(sensor), 0, HOUR_MS) for sensor in range(1, 41)])
        assert [answer.value.tolist() for answer in answers] == [[float(sensor)] for sensor in range(1, 41)]
        assert reader.report.splits > 0


async def test_a_reading_that_fits_in_no_call_is_handed_back_and_the_others_arrive(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.settings.max_body_bytes = 2_000
        rejected: list[Rejection] = []
        async with stage.client.writer(BatchPolicy(linger_s=0.0), on_reject=rejected.append) as writer:
            await writer.write(signal(1), 1000, "x" * 5_000, type="STR")
            for sensor in range(2, 41):
                await writer.write(signal(sensor), 1000, float(sensor))
        assert [(each.data.key, each.outcome) for each in rejected] == [(signal(1), "rejected")]
        assert isinstance(rejected[0].error, PayloadTooLargeError)
        assert writer.report.delivered == 39 == stage.simulator.stored_count()


async def test_a_service_that_refuses_everything_stops_the_writer_and_nothing_is_lost(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.poison(*((9, sensor, 34) for sensor in range(1, 41)))
        errors = []
        async with stage.witness(QUICK) as witness:
            for time in range(0, 5000, 1000):
                errors += await stage.all_of(witness.deliver(signal(sensor), [time]) for sensor in range(1, 41))
        assert all(errors)
        assert witness.writer.report.state == "stopped"
        assert any(isinstance(error, UnprocessableError) for error in errors)
        assert stage.simulator.count(BULK_WRITE) < 100
        stage.nothing_lost()
