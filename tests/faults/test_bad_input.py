"""A thousand generated calls that are wrong: each refused on the spot by name, and nobody else is disturbed."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

from besmart_async import BesmartConfigError, BesmartError, InvalidInputError, Rejection, SignalData
from besmart_async.simulator import Fault
from tests.faults.malformed import Malformed, draw
from tests.faults.stage import BULK_READ, BULK_WRITE, LOGIN, QUICK_READS, signal, stage_of
from tests.faults.traffic import one_caller
from tests.faults.witness import Witness

CALLS = 1_000


async def problem_with(call: Malformed) -> str | None:
    """Make a wrong call; what is wrong about the way it is refused, None if nothing is."""
    try:
        made = call.make()
        if inspect.isawaitable(made):
            await made
    except InvalidInputError as error:
        base = error.field.partition("[")[0].partition(".")[0]
        if call.setting:
            return f"{call.what}: a setting was refused as an argument"
        if base not in call.fields:
            return f"{call.what}: named {error.field!r} instead of {set(call.fields)}: {error}"
        if error.outcome != "not_sent" or not str(error).startswith(f"{error.field}="):
            return f"{call.what}: {error.outcome}, {error}"
        return None
    except BesmartConfigError as error:
        told = call.setting and any(field in str(error) for field in call.fields)
        return None if told else f"{call.what}: {error!r}"
    except Exception as error:
        return f"{call.what}: an untyped error: {error!r}"
    return f"{call.what}: accepted"


async def test_a_thousand_malformed_calls_are_refused_by_name_amid_good_traffic(seed: int) -> None:
    async with stage_of(seed, dialect="documented") as stage:
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, probability=0.1, status=500))
        async with stage.witness() as witness, stage.client.reader(QUICK_READS) as reader:
            good = asyncio.gather(*[one_caller(stage, witness, reader, signal(sensor), 20) for sensor in range(1, 31)])
            problems = []
            for number in range(CALLS):
                problem = await problem_with(draw(stage.dice, witness.writer, reader, stage.client))
                problems += [problem] if problem else []
                if number % 10 == 0:
                    await asyncio.sleep(0)  # let the good ones in between
            await good
        assert problems == []
        stage.everything_delivered()
        assert set(stage.simulator.counts) <= {LOGIN, BULK_WRITE, BULK_READ}  # nothing else was sent


async def test_malformed_calls_at_once_from_many_tasks_are_each_told_for_themselves(seed: int) -> None:
    async with (
        stage_of(seed, dialect="documented") as stage,
        stage.witness() as witness,
        stage.client.reader() as reader,
    ):
        calls = [draw(stage.dice, witness.writer, reader, stage.client) for _ in range(300)]
        problems = await asyncio.gather(*map(problem_with, calls))
        assert [problem for problem in problems if problem] == []
        assert witness.writer.report.accepted == 0
        assert stage.simulator.requests == []


async def test_a_stream_with_malformed_queries_ends_with_the_error_and_the_reader_goes_on(seed: int) -> None:
    async with stage_of(seed, dialect="documented") as stage, stage.client.reader() as reader:
        for wrong in ([None], ["9.1.34"], [5, 6]):
            (error,) = await stage.all_of([_drained(reader.stream(wrong))])  # type: ignore[arg-type]
            assert isinstance(error, InvalidInputError)
            assert error.field == "queries"
        assert stage.simulator.requests == []
        assert len(await reader.read(signal(1), 0, 1)) == 0


async def _drained(stream: AsyncIterator[SignalData]) -> None:
    async for _ in stream:
        raise AssertionError("a malformed query was answered")


async def test_what_only_the_service_can_know_is_refused_by_it_and_named(seed: int) -> None:
    """Unknown sensors are no malformed input: they go out, and come back as rejections of exactly those."""
    async with stage_of(seed, dialect="documented") as stage:
        rejected: list[Rejection] = []
        async with stage.witness(on_reject=rejected.append) as witness:
            for sensor in range(1, 41):
                await witness.write(signal(sensor), 1000)
            await _write_to_strangers(witness)
        assert {each.data.key.sensor_mid for each in rejected} == {777, 888}
        stage.nothing_lost()
        (error,) = await stage.all_of([stage.client.sensors.get(9, 777)])
        assert isinstance(error, BesmartError)


async def _write_to_strangers(witness: Witness) -> None:
    for sensor in (777, 888):
        await witness.write(signal(sensor), 1000)
