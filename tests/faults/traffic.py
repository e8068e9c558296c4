"""What many callers do at once: writes that replace earlier ones, columns, deliveries, removals, and reads of all."""

from __future__ import annotations

import asyncio

from besmart_async import BesmartError, Reader, SignalKey
from tests.faults.stage import HOUR_MS, QUICK_READS, Stage, signal
from tests.faults.witness import Witness, single_write

SLOTS = 6
"""Times that are written again and again."""


async def read_back(stage: Stage, reader: Reader, key: SignalKey) -> None:
    """Read a signal; what was acknowledged before must be there."""
    promise = stage.oracle.promise(key)
    data = await reader.read(key, 0, HOUR_MS, get_last=True)
    stage.oracle.saw(key, promise, data.rows())


async def one_caller(stage: Stage, witness: Witness, reader: Reader | None, key: SignalKey, rounds: int) -> None:
    """Write and read one signal in many ways, one after the other."""
    dice = stage.dice
    for _ in range(rounds):
        what, time = dice.random(), dice.randrange(SLOTS) * 1000
        if what < 0.45:
            await witness.write(key, time, origin=dice.choice([1, 2]))
        elif what < 0.6:
            write = witness.write_columns if what < 0.52 else witness.write_matrix
            await write(key, [slot * 1000 for slot in range(SLOTS)])
        elif what < 0.8:
            await witness.deliver(key, sorted(dice.sample(range(0, SLOTS * 1000, 1000), 3)))
        elif what < 0.87:
            await witness.remove(key, time)
        elif reader is not None:
            await read_back(stage, reader, key)
        else:
            await asyncio.sleep(dice.random() * 0.01)


async def busy(
    stage: Stage, witness: Witness, *, sensors: int = 40, rounds: int = 10, reads: bool = True
) -> list[BaseException | None]:
    """Let a caller per signal work at once, to the end; return what each raised."""
    async with stage.client.reader(QUICK_READS) as reader:
        callers = (
            one_caller(stage, witness, reader if reads else None, signal(sensor), rounds)
            for sensor in range(1, sensors + 1)
        )
        outcomes = await stage.all_of(callers)
        await witness.flush()
        if reads:
            outcomes += await stage.all_of(read_back(stage, reader, signal(sensor)) for sensor in range(1, sensors + 1))
    return outcomes


async def single_calls(stage: Stage, *, first_sensor: int, sensors: int = 5, rounds: int = 6) -> int:
    """Write and read signals one call at a time, without a writer; return how many calls failed with our own errors."""
    failed = 0

    async def caller(key: SignalKey) -> None:
        nonlocal failed
        for number in range(rounds):
            promise = stage.oracle.promise(key)
            value = float(next(stage.values))
            try:
                await single_write(stage.client, stage.oracle.note, key, number % 3 * 1000, value)
                promise = stage.oracle.promise(key)
                data = await stage.client.signals.read(key, 0, HOUR_MS, get_last=True)
            except BesmartError:
                failed += 1
            else:
                stage.oracle.saw(key, promise, data.rows())

    outcomes = await stage.all_of(caller(signal(sensor)) for sensor in range(first_sensor, first_sensor + sensors))
    assert outcomes == [None] * sensors, outcomes
    return failed
