"""Another process, another event loop, another thread: each is told so, and the owner goes on undisturbed."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from besmart_async import BesmartError, Reader, SignalData
from besmart_async.simulator import Fault
from tests.faults.oracle import Oracle
from tests.faults.stage import BULK_WRITE, HOUR_MS, LOGIN, QUICK, Stage, signal, stage_of
from tests.faults.traffic import busy
from tests.faults.witness import Witness

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

REPOSITORY = Path(__file__).parents[2]
Use = Callable[[], Coroutine[Any, Any, Any]]


def uses_of(stage: Stage, witness: Witness, reader: Reader) -> dict[str, Use]:
    """Ways to use what belongs to somebody else."""
    data = SignalData(signal(1), [1], [-1.0])
    writer, client = witness.writer, stage.client
    return {
        "write": lambda: writer.write(signal(1), 1, -1.0),
        "write_data": lambda: writer.write_data(data),
        "deliver": lambda: writer.deliver(data),
        "remove": lambda: writer.remove(signal(1), 1),
        "flush": writer.flush,
        "writer.aclose": writer.aclose,
        "read": lambda: reader.read(signal(1), 0, 1),
        "reader.aclose": reader.aclose,
        "types": client.signals.types,
        "signals.write": lambda: client.signals.write(data),
        "login": client.users.login,
    }


def told_in_a_fork(use: Use) -> str:
    """What the use says in a child process, which has a loop of its own."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.write(writable, _said(use).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def _said(use: Use) -> str:
    asyncio._set_running_loop(None)
    asyncio.set_event_loop(None)
    loop = asyncio.SelectorEventLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(use(), 3))
    except BesmartError as error:
        return f"BesmartError {error}"
    except BaseException as error:
        return repr(error)
    finally:
        loop.close()
    return "nothing"


async def test_a_forked_child_is_told_so_whatever_it_tries_and_the_parent_goes_on(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, latency_s=0.2))
        slow = attrs.evolve(QUICK, linger_s=0.05)
        async with stage.witness(slow) as witness, stage.client.reader() as reader:
            await reader.read(signal(1), 0, 1)
            await stage.all_of(witness.write(signal(sensor), 1000) for sensor in range(1, 41))
            said = {name: told_in_a_fork(use) for name, use in uses_of(stage, witness, reader).items()}
            stage.simulator.faults.clear()
            outcomes = await busy(stage, witness, sensors=20, rounds=4)
            assert outcomes.count(None) == len(outcomes)
        assert [name for name, words in said.items() if "fork" not in words or "BesmartError" not in words] == []
        stage.everything_delivered()
        assert stage.simulator.count(LOGIN) == 1


async def test_a_second_event_loop_is_told_so_whatever_it_tries_and_the_first_goes_on(seed: int) -> None:
    async with stage_of(seed) as stage:
        async with stage.witness() as witness, stage.client.reader() as reader:
            await witness.deliver(signal(1), [1000])
            await reader.read(signal(1), 0, 1)
            said: dict[str, str] = {}

            def elsewhere() -> None:
                said.update({name: _said(use) for name, use in uses_of(stage, witness, reader).items()})

            thread = threading.Thread(target=elsewhere)
            thread.start()
            while thread.is_alive():
                outcomes = await busy(stage, witness, sensors=20, rounds=2)
                assert outcomes.count(None) == len(outcomes)
            thread.join()
        assert [name for name, words in said.items() if "another event loop" not in words] == []
        stage.everything_delivered()


CHILD = """
import asyncio, sys
from besmart_async import BesmartClient, RetryPolicy, SignalKey
from tests.faults.stage import PATIENT, QUICK
from tests.faults.witness import Witness

async def main(base_url, sensor):
    def tell(told):
        sys.stdout.write(told.line())
        sys.stdout.flush()
    client = BesmartClient(api_key="API_KEY", login="login", password="password", base_url=base_url, retry=PATIENT)
    async with client, Witness(lambda handler: client.writer(QUICK, on_reject=handler), tell) as witness:
        for turn in range(30):
            for mid in range(sensor, sensor + 10):
                await witness.write(SignalKey(9, mid, 34), turn % 7 * 1000)
            await witness.deliver(SignalKey(9, sensor, 34), [100_000 + turn])
        await witness.flush()
    print("accepted", witness.writer.report.accepted, file=sys.stderr)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def started(stage: Stage, first_sensor: int) -> Process:
    """A process that writes ten signals and says in its output what it is told."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, stage.base_url, str(first_sensor), stdout=PIPE, stderr=PIPE, cwd=REPOSITORY
    )


async def test_several_processes_write_at_once_and_the_oracle_hears_them_through_their_pipes(seed: int) -> None:
    async with stage_of(seed) as stage:
        for reset in ("before", "after"):
            stage.simulator.faults.add(Fault(operation=BULK_WRITE, reset=reset, probability=0.1))
        children = [await started(stage, first) for first in (1, 11, 21)]
        ends = await asyncio.gather(*[child.communicate() for child in children])
        for log, errors in ends:
            stage.oracle.read(log.splitlines(keepends=True))
            *warned, last = errors.splitlines()  # a reset may make a writer pause, and it says so
            assert last == b"accepted %d" % (30 * 11), errors
            assert all(line.startswith(b"the besmart writer ") for line in warned), errors
        assert stage.oracle.accepted == 3 * 30 * 11
        verdict = stage.oracle.verdict(stage.simulator.stored)
        assert verdict.clean, str(verdict)


async def test_a_process_killed_while_it_writes_loses_nothing_that_was_acknowledged(seed: int) -> None:
    async with stage_of(seed) as stage:
        for kills in range(3):
            child = await started(stage, 1 + 10 * kills)
            assert child.stdout is not None
            lines = [await child.stdout.readline() for _ in range(stage.dice.randrange(20, 400))]
            child.kill()
            lines += (await child.communicate())[0].splitlines(keepends=True)
            await asyncio.sleep(0.05)
            check_what_was_acknowledged(stage, lines)


def check_what_was_acknowledged(stage: Stage, lines: list[bytes]) -> None:
    """Without a journal, only what was acknowledged is promised: `accepted` is in the memory of the process."""
    told = [orjson.loads(line) for line in lines if line.endswith(b"\n")]
    oracle = Oracle()
    oracle.read(orjson.dumps(each) + b"\n" for each in told if each["what"] in {"offered", "acknowledged"})
    verdict = oracle.verdict(stage.simulator.stored)
    assert verdict.clean, str(verdict)
    assert any(each["what"] == "acknowledged" for each in told)


async def test_a_thread_may_hand_work_to_the_loop_and_nothing_is_lost(seed: int) -> None:
    async with stage_of(seed) as stage:
        loop = asyncio.get_running_loop()
        async with stage.witness() as witness:

            def work(sensor: int) -> None:
                for turn in range(10):
                    call = witness.write(signal(sensor), turn % 3 * 1000)
                    asyncio.run_coroutine_threadsafe(call, loop).result(10)

            await asyncio.gather(*[asyncio.to_thread(work, sensor) for sensor in range(1, 9)])
        stage.everything_delivered()
        data = await stage.client.signals.read(signal(1), 0, HOUR_MS, get_last=True)
        assert len(data) == 3
