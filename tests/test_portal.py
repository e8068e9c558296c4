"""The client for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import assert_type

import pytest

from besmart_async import (
    BesmartClient,
    BesmartConfigError,
    BesmartError,
    BlockingRunner,
    NotFoundError,
    Sensor,
    SignalData,
    SignalKey,
    SignalQuery,
    blocking,
)
from besmart_async.simulator import Simulator
from besmart_async.testing import simulated_client

KEY = SignalKey(12, 122, 32)
DAY_MS = 86_400_000
SINCE = 1_700_006_400_000


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    yield simulator
    simulator.close()


@pytest.fixture
def session(simulator: Simulator) -> Iterator[tuple[BesmartClient, BlockingRunner]]:
    with blocking(simulated_client(simulator)) as session:
        yield session


@pytest.fixture
def others() -> set[threading.Thread]:
    """Threads that other tests left: one that never closes its client, say."""
    return set(threading.enumerate())


def threads(others: set[threading.Thread]) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "besmart" and thread not in others]


def test_calls_return_their_typed_results(session: tuple[BesmartClient, BlockingRunner]) -> None:
    client, run = session
    sensor = run(client.sensors.get(12, 122))
    assert_type(sensor, Sensor)
    assert sensor.key == KEY.sensor
    data = run(client.signals.read(KEY, SINCE, SINCE + DAY_MS))
    assert_type(data, SignalData)
    assert data.key == KEY


def test_errors_come_as_they_are(session: tuple[BesmartClient, BlockingRunner]) -> None:
    client, run = session
    with pytest.raises(NotFoundError):
        run(client.sensors.get(12, 999_999))


def test_a_writer_delivers_when_its_block_ends(
    session: tuple[BesmartClient, BlockingRunner], simulator: Simulator
) -> None:
    client, run = session
    with run.entered(client.writer()) as writer:
        for row in range(10):
            run(writer.write(KEY, SINCE + row, float(row)))
    assert len([reading for reading in simulator.stored(12, 122, 32) if reading.time >= SINCE]) == 10
    assert run(client.signals.read(KEY, SINCE, SINCE + 9)).value.tolist() == [float(row) for row in range(10)]


def test_threads_share_bulk_calls(session: tuple[BesmartClient, BlockingRunner]) -> None:
    client, run = session
    with run.entered(client.reader()) as reader, ThreadPoolExecutor(20) as pool:
        keys = [SignalKey(12, 122, moid) for moid in range(1, 21)]
        answers = list(pool.map(lambda key: run(reader.read(key, SINCE, SINCE + DAY_MS)), keys))
        assert [answer.key for answer in answers] == keys
        assert reader.report.requests < 20


def test_what_is_streamed_is_iterated(session: tuple[BesmartClient, BlockingRunner]) -> None:
    client, run = session
    with run.entered(client.writer()) as writer:
        run(writer.write(KEY, SINCE, 1.5))
    queries = [SignalQuery(KEY, SINCE, SINCE + DAY_MS)]
    with run.entered(client.reader()) as reader:
        parts = list(run.iterated(reader.stream(queries)))
    assert [value for part in parts for value in part.value.tolist()] == [1.5]


async def test_it_works_while_another_event_loop_runs_as_in_a_notebook(simulator: Simulator) -> None:
    with blocking(simulated_client(simulator)) as (client, run):
        assert run(client.sensors.get(12, 122)).key == KEY.sensor


def test_the_thread_ends_with_the_block_and_late_calls_are_refused_with_the_reason(
    simulator: Simulator, others: set[threading.Thread]
) -> None:
    with blocking(simulated_client(simulator)) as (client, run):
        assert threads(others) == ["besmart"]
    assert threads(others) == []
    with pytest.raises(BesmartError, match="block has ended"):
        run(client.sensors.get(12, 122))


def test_an_error_in_the_block_ends_the_thread_too(simulator: Simulator, others: set[threading.Thread]) -> None:
    with pytest.raises(ZeroDivisionError), blocking(simulated_client(simulator)) as (_, run):
        run(asyncio.sleep(0))
        raise ZeroDivisionError
    assert threads(others) == []


def test_a_call_in_the_thread_of_the_client_is_refused(session: tuple[BesmartClient, BlockingRunner]) -> None:
    client, run = session

    async def inside() -> None:
        run(client.sensors.get(12, 122))

    with pytest.raises(BesmartError, match="use `await` there"):
        run(inside())


def test_something_that_is_no_client_is_refused() -> None:
    with pytest.raises(BesmartConfigError, match="client=str"):
        blocking("client")  # type: ignore[arg-type]


def test_it_can_be_kept_open_in_an_exit_stack_and_closed_from_another_thread(
    simulator: Simulator, others: set[threading.Thread]
) -> None:
    with ExitStack() as stack:
        client, run = stack.enter_context(blocking(simulated_client(simulator)))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: run(client.sensors.get(12, 122))).result().key == KEY.sensor
            pool.submit(stack.close).result()
    assert threads(others) == []


def test_what_is_still_open_is_closed_before_the_client(simulator: Simulator, others: set[threading.Thread]) -> None:
    with blocking(simulated_client(simulator)) as (client, run):
        entered = run.entered(client.writer())
        writer = entered.__enter__()
        run(writer.write(KEY, SINCE, 1.5))
    assert [reading.value for reading in simulator.stored(12, 122, 32) if reading.time == SINCE] == [1.5]
    assert threads(others) == []
    assert entered.__exit__(None, None, None) is None


_SCRIPT = """
import asyncio, sys
from besmart_async import SignalKey, blocking
from besmart_async.simulator import Simulator
from besmart_async.testing import simulated_client

simulator = Simulator()
try:
    with blocking(simulated_client(simulator)) as (client, run):
        with run.entered(client.writer()) as writer:
            run(writer.write(SignalKey(12, 122, 32), 1_700_006_400_000, 1.5))
            print("waits", flush=True)
            run(asyncio.sleep(1000))
except KeyboardInterrupt:
    stored = [each.value for each in simulator.stored(12, 122, 32) if each.time == 1_700_006_400_000]
    print("stored", stored, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_cancels_the_call_and_delivers_what_was_accepted() -> None:
    with subprocess.Popen([sys.executable, "-c", _SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "stored [1.5]\n"
    assert process.returncode == 0


def test_a_script_that_never_closes_it_ends_and_delivers_what_was_accepted() -> None:
    script = """
import asyncio, atexit, threading
from besmart_async import SignalKey, blocking
from besmart_async.simulator import Simulator
from besmart_async.testing import simulated_client

simulator = Simulator()
atexit.register(lambda: print([r.value for r in simulator.stored(12, 122, 32) if r.time == 1_700_006_400_000]))
client, run = blocking(simulated_client(simulator)).__enter__()
writer = run.entered(client.writer()).__enter__()
run(writer.write(SignalKey(12, 122, 32), 1_700_006_400_000, 1.5))
threading.Thread(target=run, args=(asyncio.Event().wait(),), daemon=True).start()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[1.5]\n"
