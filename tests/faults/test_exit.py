"""Leaving `async with` during every phase of a writer's work: in time, and with every reading accounted for."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from besmart_async import BatchPolicy, BesmartClient, BesmartError, ReadPolicy, SignalData, UndeliveredError, Writer
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_READ, BULK_WRITE, QUICK, Stage, signal, stage_of
from tests.faults.witness import Witness, told_by_undelivered

BRIEF = attrs.evolve(QUICK, close_timeout_s=0.4)

PHASES: dict[str, tuple[dict[str, Any], BatchPolicy]] = {
    "lingering": ({}, attrs.evolve(QUICK, linger_s=60.0)),  # delivered in time, on a busy machine too
    "in flight": ({"latency_s": 30.0}, BRIEF),
    "applied, answer awaited": ({"latency_after_s": 30.0}, BRIEF),
    "retry wait": ({"status": 500}, attrs.evolve(BRIEF, initial_wait_s=600.0, max_wait_s=600.0)),
    "paused by Retry-After": ({"status": 429, "retry_after": 600}, BRIEF),
    "paused by refused credentials": ({"status": 401}, BRIEF),
    "service down": ({"reset": "before"}, BRIEF),
    "search under way": ({"latency_s": 0.06}, BRIEF),
    "admission blocked": ({"latency_s": 30.0}, attrs.evolve(BRIEF, max_memory_bytes=8_000)),
}
DELIVERED_IN_TIME = {"lingering"}


async def begin(stage: Stage, phase: str) -> None:
    """Bring the service into the state that makes the phase."""
    await stage.client.users.login()
    fields, _ = PHASES[phase]
    if fields:
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, **fields))
    if phase == "search under way":
        stage.simulator.faults.poison(*((9, sensor, 34) for sensor in stage.dice.sample(range(1, 41), 4)))


async def at_work(stage: Stage, witness: Witness) -> list[asyncio.Future[Any]]:
    """Write, deliver and flush at once, until the phase is reached."""
    calls = [witness.write_columns(signal(sensor), list(range(0, 30_000, 1000))) for sensor in range(1, 41)]
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(call) for call in calls]
    waiting += [asyncio.ensure_future(witness.deliver(signal(sensor), [50_000])) for sensor in range(1, 11)]
    waiting.append(asyncio.ensure_future(witness.flush()))
    await asyncio.sleep(0.05)
    return waiting


WAYS = ("at its end", "by an error", "cancelled", "cancelled twice", "from another task")


@pytest.mark.parametrize("phase", PHASES)
async def test_leaving_in_every_phase_and_way_ends_in_time_and_every_waiter_hears_of_it(seed: int, phase: str) -> None:
    scenes = [asyncio.create_task(left(seed, phase, way), name=way) for way in WAYS]
    await asyncio.wait(scenes)
    assert {scene.get_name(): scene.exception() for scene in scenes} == dict.fromkeys(WAYS)


async def left(seed: int, phase: str, way: str) -> None:
    """Leave a writer in a phase, in a way, and see what became of everything."""
    async with stage_of(seed) as stage:
        await begin(stage, phase)
        witness = stage.witness(PHASES[phase][1])
        waiting: list[asyncio.Future[Any]] = []
        entered = asyncio.Event()

        async def body() -> None:
            async with witness:
                waiting.extend(await at_work(stage, witness))
                entered.set()
                if way == "by an error":
                    raise KeyError(way)
                if way.startswith("cancelled"):
                    await asyncio.Event().wait()
                if way == "from another task":
                    await asyncio.create_task(witness.writer.aclose())

        leaving = asyncio.create_task(body())
        await entered.wait()
        await _see_off(leaving, way)
        await witness.writer.aclose()
        done, unresolved = await asyncio.wait(waiting, timeout=5)
        assert not unresolved
        assert all(isinstance(each.exception(), BesmartError | None) for each in done if not each.cancelled())
        await asyncio.sleep(0.05)
        stage.simulator.faults.clear()
        stage.nothing_lost()
        if phase in DELIVERED_IN_TIME and way != "cancelled twice":
            assert not stage.oracle.handed_back


async def _see_off(leaving: asyncio.Task[None], way: str) -> None:
    if way.startswith("cancelled"):
        leaving.cancel()
    if way == "cancelled twice":
        await asyncio.sleep(0.05)
        leaving.cancel()
    await asyncio.wait([leaving], timeout=5)
    assert leaving.done()
    assert leaving.cancelled() == way.startswith("cancelled")
    assert leaving.cancelled() or isinstance(leaving.exception(), KeyError) == (way == "by an error")


@pytest.mark.parametrize("phase", ["in flight", "retry wait", "service down"])
async def test_without_a_handler_the_exit_itself_carries_what_did_not_arrive(seed: int, phase: str) -> None:
    async with stage_of(seed) as stage:
        await begin(stage, phase)
        writer = stage.client.writer(PHASES[phase][1])
        witness = Witness(lambda _: writer, stage.oracle.note, stage.values)
        for sensor in range(1, 41):
            await witness.write(signal(sensor), 1000)
        error = await told_by_undelivered(writer.aclose(), stage.oracle.note)
        assert isinstance(error, UndeliveredError)
        assert {key for each in error.undelivered for key in [each.data.key]} == {signal(n) for n in range(1, 41)}
        verdict = stage.oracle.verdict(stage.simulator.stored, [writer.report])
        assert verdict.clean, str(verdict)


@pytest.mark.parametrize("first", ["client", "simulator"])
async def test_a_client_or_service_that_is_closed_first_leaves_no_waiter_behind(seed: int, first: str) -> None:
    async with stage_of(seed) as stage:
        await begin(stage, "in flight")
        async with stage.witness(BRIEF) as witness:
            waiting = await at_work(stage, witness)
            await (stage.client.aclose() if first == "client" else stage.simulator.stop())
        done, unresolved = await asyncio.wait(waiting, timeout=5)
        assert not unresolved
        assert all(isinstance(each.exception(), BesmartError | None) for each in done)
        stage.nothing_lost()


async def test_a_reader_closed_in_the_middle_tells_every_waiter(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(operation=BULK_READ, latency_s=30.0))
        async with stage.client.reader(ReadPolicy(close_timeout_s=0.2, max_items=5)) as reader:
            reads = [asyncio.ensure_future(reader.read(signal(sensor), 0, 1)) for sensor in range(1, 41)]
            await asyncio.sleep(0.05)
        done, unresolved = await asyncio.wait(reads, timeout=5)
        assert not unresolved
        errors = [read.exception() for read in done]
        assert all(isinstance(error, BesmartError) for error in errors)
        assert len(set(map(id, errors))) == 40


async def test_writes_after_the_exit_are_refused_and_nothing_of_them_is_stored(seed: int) -> None:
    async with stage_of(seed) as stage:
        async with stage.witness() as witness:
            await witness.deliver(signal(1), [1000])
        late = [witness.write(signal(1), 1000), witness.deliver(signal(2), [1000]), witness.remove(signal(1), 1000)]
        errors = await stage.all_of([*late, witness.write_columns(signal(3), [1])])
        assert ["writer is closed" in str(error) for error in errors] == [True] * 4
        assert stage.nothing_lost().writes == 5


def test_a_writer_left_open_when_its_loop_ends_does_not_hang_the_exit_of_the_loop(seed: int) -> None:
    left_open: list[Writer] = []

    async def main() -> None:
        async with stage_of(seed) as stage:
            writer = stage.client.writer(BatchPolicy(linger_s=60.0))
            await writer.write(signal(1), 1000, 1.0)
            waiting = asyncio.create_task(writer.deliver(SignalData(signal(2), [1], [1.0])))
            await asyncio.sleep(0.01)
            left_open.append(writer)
            assert not waiting.done()

    asyncio.run(main())
    with pytest.warns(ResourceWarning, match="never closed"):
        left_open.clear()


async def test_a_client_that_is_never_used_closes_at_once(seed: int) -> None:
    client = BesmartClient(token=f"token-{seed}", base_url="http://localhost:1/api")
    async with client, client.writer(), client.reader():
        pass
