"""Used too late, elsewhere, or closed in the middle: clear errors, and nothing hangs."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable

import anyio
import pytest

from besmart_async import BesmartClient, BesmartError, TransportError
from tests.transport.fakes import (
    FakeService,
    after,
    client_of,
    raw,
    read_request,
    serving,
    status,
    token_client_of,
    until,
)


async def test_a_closed_client_says_so() -> None:
    client = client_of(FakeService())
    async with client:
        await client.sensors.types()
    for call in (client.sensors.types, client.users.login, client.users.refresh):
        with pytest.raises(BesmartError, match="this client is closed; make a new one"):
            await call()


async def test_closing_twice_is_closing_once() -> None:
    service = FakeService()
    client = client_of(service)
    await client.aclose()
    await client.aclose()
    assert service.closed == 1


def test_in_another_event_loop_it_says_so() -> None:
    client = client_of(FakeService())
    asyncio.run(_types(client))
    with pytest.raises(BesmartError, match="this client belongs to another event loop; make one client per process"):
        asyncio.run(_types(client))
    with pytest.raises(BesmartError, match="another event loop"):
        asyncio.run(client.aclose())


async def _types(client: BesmartClient) -> None:
    await client.sensors.types()


def test_made_outside_of_any_loop_it_belongs_to_the_loop_that_uses_it_first() -> None:
    client = client_of(None)
    asyncio.run(client.aclose())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_after_a_fork_it_says_so_and_closing_leaves_the_parents_connections_alone() -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    await read_request(reader)
                    writer.write(raw())
            finally:
                closed.set()

        async with serving(handler) as url, token_client_of(None, base_url=url) as client:
            await client.sensors.types()
            fork = multiprocessing.get_context("fork")
            queue = fork.SimpleQueue()
            child = fork.Process(target=_in_child, args=(client, queue))
            child.start()
            said = await asyncio.to_thread(queue.get)
            assert said.startswith("this client belongs to another process (after a fork); make one client per process")
            await asyncio.to_thread(child.join, 5)
            assert child.exitcode == 0
            assert not closed.is_set()
            assert await client.sensors.types() == []

    asyncio.run(main())


def _in_child(client: BesmartClient, queue: multiprocessing.SimpleQueue[str]) -> None:
    asyncio.events._set_running_loop(None)  # the parent's loop was running at the fork

    async def main() -> None:
        try:
            await client.sensors.types()
        except BesmartError as error:
            queue.put(str(error))
        await client.aclose()

    asyncio.run(main())
    os._exit(0)


async def test_closing_ends_calls_under_way_at_once_and_tells_what_became_of_them() -> None:
    service = FakeService(after(60, status(200)), after(60, status(200)), status(429, retry_after="60"))
    client = token_client_of(service)
    read = asyncio.create_task(client.sensors.types())
    write = asyncio.create_task(client.sensors.delete(1, 2))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(client.sensors.delete(1, 3))
    await asyncio.sleep(0.01)
    paused = asyncio.create_task(client.sensors.delete(1, 4))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(client.aclose(), 10)  # of the 60 s that the service takes
    for task, outcome in ((read, None), (write, "in_doubt"), (waiting, "not_sent"), (paused, "not_sent")):
        with pytest.raises(TransportError, match="the client was closed while this call was under way") as caught:
            await task
        assert caught.value.outcome == outcome
    assert service.closed == 1


async def test_closing_ends_requests_on_real_connections_and_leaves_no_task() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(60)

    before = asyncio.all_tasks()
    async with serving(silent) as url:
        client = token_client_of(None, base_url=url)
        calls = [asyncio.create_task(client.sensors.types()) for _ in range(20)]
        await asyncio.sleep(0.1)
        await client.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {TransportError}
    await until(lambda: asyncio.all_tasks() == before)


async def test_closing_during_a_background_refresh_ends_it() -> None:
    service = FakeService()
    service.refresh_script = [after(60, status(500))]
    before = asyncio.all_tasks()
    client = client_of(service, token="given-token-0001")
    refresh = asyncio.create_task(client.users.refresh())
    await asyncio.sleep(0.01)
    await client.aclose()
    with pytest.raises(BesmartError, match="closed"):
        await refresh
    assert asyncio.all_tasks() == before


async def test_it_may_be_closed_by_another_task_than_the_one_that_used_it() -> None:
    service = FakeService()
    client = client_of(service)
    await asyncio.create_task(_types(client))
    await asyncio.create_task(client.aclose())
    assert service.closed == 1


@pytest.mark.looptime
async def test_a_call_can_be_cancelled_in_every_phase_and_the_next_one_works() -> None:
    for delay in (0, 0.001, 0.005, 0.011, 0.015):
        service = FakeService(status(500), latency_s=0.005)
        async with client_of(service) as client:
            call = asyncio.create_task(client.sensors.types())
            await asyncio.sleep(delay)
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            assert await client.sensors.types() == []


# -- where it cannot be used, and how it can be copied -----------------------------------------------------------------


@pytest.mark.parametrize("run", ["trio.run", "anyio.run"])
def test_under_trio_one_sentence_says_so(run: str) -> None:
    trio = pytest.importorskip("trio")
    service = FakeService()
    said: list[str] = []

    async def main() -> None:
        async with client_of(service) as client:
            for call in (client.sensors.types, client.users.login, client.users.refresh):
                with pytest.raises(BesmartError) as caught:
                    await call()
                said.append(str(caught.value))

    if run == "trio.run":
        trio.run(main)
    else:
        anyio.run(main, backend="trio")
    only = "besmart-async runs on asyncio, and this is trio: use asyncio.run(), or anyio.run() with its asyncio backend"
    assert said == [only] * 3
    assert service.requests == []


def test_without_an_event_loop_it_says_so() -> None:
    client = client_of(FakeService())
    call = client.sensors.types()
    with pytest.raises(BesmartError, match="no asyncio event loop is running"):
        call.send(None)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_cannot_be_pickled_or_copied_and_says_why(copied: Callable[[object], object]) -> None:
    with pytest.raises(BesmartError, match=r"a BesmartClient cannot be pickled or copied: .* one in each process"):
        copied(client_of(FakeService()))


def test_a_client_whose_settings_were_refused_has_a_repr() -> None:
    client = BesmartClient.__new__(BesmartClient)
    with pytest.raises(BesmartError):
        client.__init__(base_url="https://jan:s3cret@h/api", token="t")  # type: ignore[misc]
    assert repr(client) == "<BesmartClient (its settings were refused)>"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_processes_forked_after_a_client_was_made_have_different_jitter() -> None:
    client = client_of(FakeService())
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    children = [fork.Process(target=_tell_jitter, args=(client, queue)) for _ in range(3)]
    for child in children:
        child.start()
    told = {queue.get() for _ in children}
    for child in children:
        child.join(5)
    assert len(told) == 3


def _tell_jitter(client: BesmartClient, queue: multiprocessing.SimpleQueue[tuple[float, float]]) -> None:
    queue.put((client._transport._rng(), client._transport._auth._rng.uniform(-1, 1)))
    os._exit(0)
