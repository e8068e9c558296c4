"""Ctrl-C and SIGTERM, in a real process: what was accepted is delivered, or the report says what was not."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import pytest

from besmart_async.simulator import Fault, Simulator

READINGS = 1_000

CHILD = """
import asyncio, signal, sys
from besmart_async import BatchPolicy, BesmartClient, SignalKey

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    client = BesmartClient(api_key="API_KEY", login="login", password="password", base_url=sys.argv[1])
    policy = BatchPolicy(linger_s=60, close_timeout_s=float(sys.argv[2]))
    async with client:
        await client.users.login()
        async with client.writer(policy) as writer:
            for n in range(1000):
                await writer.write(SignalKey(12, 122, 35), 1577836800000 + n, float(n))
            print("accepted", writer.report.accepted, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def service() -> AsyncIterator[tuple[Simulator, str]]:
    simulator = Simulator()
    async with simulator.serve() as base_url:
        yield simulator, base_url
    simulator.close()


async def started(base_url: str, close_timeout_s: float) -> Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, base_url, str(close_timeout_s), stdout=PIPE, stderr=PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"accepted 1000\n"
    return child


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_drains_what_was_accepted(service: tuple[Simulator, str], sent: signal.Signals) -> None:
    simulator, base_url = service
    child = await started(base_url, 30.0)
    assert simulator.stored(12, 122, 35) == []
    child.send_signal(sent)
    _, errors = await child.communicate()
    assert len(simulator.stored(12, 122, 35)) == READINGS
    assert child.returncode != 0
    assert b"undelivered" not in errors


async def test_a_signal_with_a_dead_service_says_what_was_not_delivered(service: tuple[Simulator, str]) -> None:
    simulator, base_url = service
    child = await started(base_url, 0.5)
    simulator.faults.add(Fault(operation="sensors.put_signals_data", latency_s=math.inf))
    child.send_signal(signal.SIGINT)
    _, errors = await child.communicate()
    assert b"1000 readings were not delivered" in errors
    assert b"KeyboardInterrupt" in errors
