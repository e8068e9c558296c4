"""kill -9 at any moment: whatever `write` returned for is delivered by the next writer on the journal, in order.

Each round a process writes through a journal and says in its pipe what it was told, until it is killed; the next round
takes over its journal. Meanwhile the service resets connections and is slow, so that requests of the dead are applied
after their successor has begun.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from besmart_async import JournalError
from besmart_async.simulator import Fault
from besmart_async.wire.dialect import DialectName
from tests.faults.stage import BULK_WRITE, QUICK, Stage, stage_of

REPOSITORY = Path(__file__).parents[2]
READINGS_A_ROUND = 100_000

CHILD = """
import asyncio, itertools, os, random, sys, threading, time, warnings
from besmart_async import BesmartClient
from tests.faults.stage import PATIENT, QUICK, signal
from tests.faults.witness import Witness

base_url, journal, first_value, seed, forks = *sys.argv[1:3], *map(int, sys.argv[3:])
values = itertools.count(first_value)

def tell(told):
    os.write(1, told.line().encode())

async def work(witness, dice, mid):
    while True:
        turn = dice.random()
        times = dice.sample(range(12), dice.randint(2, 6))
        if turn < 0.6:
            await witness.write(signal(mid), times[0] * 1000)
        elif turn < 0.8:
            await witness.write_columns(signal(mid), [time * 1000 for time in times])
        elif turn < 0.9:
            await witness.deliver(signal(mid), [time * 1000 for time in times])
        else:
            await asyncio.sleep(dice.random() * 0.01)

async def main():
    client = BesmartClient(api_key="API_KEY", login="login", password="password", base_url=base_url, retry=PATIENT,
                           dialect=os.environ["BESMART_FAULT_DIALECT"])
    async with client, Witness(lambda on: client.writer(QUICK, journal=journal, on_reject=on), tell, values) as witness:
        await asyncio.gather(*(work(witness, random.Random(seed + mid), mid) for mid in range(1, 9)))

thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
if forks:
    warnings.simplefilter("ignore")
    time.sleep(0.2)
    if os.fork() == 0:
        sys.exit()  # all that is left of the writer in the child is cleared away, as Python does at the end
thread.join()
"""


async def started(stage: Stage, journal: Path, number: int, *, forks: bool = False) -> Process:
    """Start a process that writes through the journal."""
    first_value = str((number + 1) * READINGS_A_ROUND)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", CHILD, stage.base_url, str(journal), first_value),
        *(str(stage.dice.randrange(10**6)), str(int(forks))),
        stdout=PIPE,
        stderr=PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "BESMART_FAULT_DIALECT": stage.client.dialect},
        limit=1 << 24,
    )


async def killed_round(stage: Stage, journal: Path, number: int, *, forks: bool = False) -> None:
    """Let a process write, kill it, and take down what it was told until then."""
    child = await started(stage, journal, number, forks=forks)
    assert child.stdout is not None
    first = await child.stdout.readline()
    reading = asyncio.ensure_future(child.communicate())
    await asyncio.sleep(stage.dice.random() * 0.3)
    child.kill()
    log, errors = await reading
    assert first, errors.decode()
    stage.oracle.read([first, *log.splitlines(keepends=True)])


async def check(stage: Stage, journal: Path) -> None:
    stage.simulator.faults.clear()
    async with stage.client.writer(QUICK, journal=journal) as last:
        await last.flush()
    verdict = stage.oracle.verdict(stage.simulator.stored)
    assert verdict.clean, str(verdict)
    assert stage.oracle.accepted > 0
    assert not list(journal.parent.glob("*damaged*"))


def misbehave(stage: Stage) -> None:
    for reset in ("before", "after"):
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, reset=reset, probability=0.05))
    stage.simulator.faults.add(Fault(operation=BULK_WRITE, latency_s=0.1, probability=0.3))
    stage.simulator.faults.add(Fault(operation=BULK_WRITE, status=500, apply=True, probability=0.05))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.long)])
async def test_every_reading_in_the_journal_of_a_killed_process_arrives(tmp_path: Path, seed: int, rounds: int) -> None:
    async with stage_of(seed) as stage:
        misbehave(stage)
        for number in range(rounds):
            await killed_round(stage, tmp_path / "journal", number)
        await check(stage, tmp_path / "journal")


@pytest.mark.parametrize("dialect", ["documented", "live"])
async def test_a_forked_child_that_ends_does_not_take_the_journal_with_it(
    tmp_path: Path, seed: int, dialect: DialectName
) -> None:
    async with stage_of(seed, dialect=dialect) as stage:
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, status=503))
        for number in range(3):
            await killed_round(stage, tmp_path / "journal", number, forks=True)
        await check(stage, tmp_path / "journal")


async def test_a_second_process_on_a_journal_is_refused_until_the_first_is_gone(tmp_path: Path, seed: int) -> None:
    async with stage_of(seed) as stage:
        child = await started(stage, tmp_path / "journal", 0)
        assert child.stdout is not None
        await child.stdout.readline()
        with pytest.raises(JournalError, match=f"process {child.pid} has it open"):
            async with stage.client.writer(QUICK, journal=tmp_path / "journal"):
                pytest.fail("it must not open")
        child.kill()
        await child.communicate()
        async with stage.client.writer(QUICK, journal=tmp_path / "journal") as writer:
            assert (await writer.flush()).pending == 0
