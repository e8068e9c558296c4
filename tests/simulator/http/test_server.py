"""The simulator on a real socket."""

from __future__ import annotations

import ast
import asyncio
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import besmart_async.simulator
from besmart_async.simulator import Arrival, Fault, Simulator

TYPES = "/sensors/types"
COLUMNS = {"time": [1], "value": [1], "type": ["DBL"], "origin": [1]}
ONE = "/sensors/1.2/signals/32/data"


@pytest.fixture
async def served(sim: Simulator) -> Any:
    headers = {"Authorization": f"Bearer {sim.issue_token()}"}
    base_url = await sim.start()
    async with httpx.AsyncClient(base_url=base_url, headers=headers) as client:
        yield client
    await sim.stop()


async def test_it_serves_under_the_base_path(sim: Simulator) -> None:
    async with sim.serve() as base_url, httpx.AsyncClient() as client:
        assert base_url.startswith("http://127.0.0.1:")
        assert base_url.endswith("/api")
        assert (await client.get(f"{base_url}{TYPES}")).status_code == 401
        root = base_url.removesuffix("/api")
        assert (await client.get(f"{root}/openapi.json")).json()["openapi"] == "3.0.3"
        assert (await client.get(f"{base_url}/openapi.json")).status_code == 200
        assert (await client.get(f"{root}/elsewhere")).status_code == 404


async def test_answers_have_one_date_and_no_server(served: httpx.AsyncClient) -> None:
    answer = await served.get(TYPES)
    assert len(answer.headers.get_list("date")) == 1
    assert answer.headers["date"] == "Sun, 13 Sep 2020 12:26:40 GMT"
    assert "server" not in answer.headers


async def test_a_port_cannot_be_served_twice(sim: Simulator) -> None:
    async with sim.serve() as base_url:
        with pytest.raises(RuntimeError, match="already"):
            await sim.start()
        other = Simulator()
        with pytest.raises(OSError, match="address"):
            await other.start(port=int(base_url.removesuffix("/api").rpartition(":")[2]))
        await other.stop()
        other.close()


async def test_it_can_be_served_again_with_the_same_data(sim: Simulator) -> None:
    for _ in range(2):
        async with sim.serve() as base_url, httpx.AsyncClient() as client:
            assert (await client.get(f"{base_url}{TYPES}")).status_code == 401
    assert sim.count("sensors.get_types") == 2


@pytest.mark.parametrize(("reset", "stored"), [("before", 0), ("after", 1)])
async def test_a_reset_is_a_real_tcp_reset(sim: Simulator, served: httpx.AsyncClient, reset: Any, stored: int) -> None:
    sim.faults.add(Fault(reset=reset, times=1))
    with pytest.raises(httpx.ReadError) as caught:
        await served.put(ONE, json=COLUMNS)
    chain: list[BaseException] = [caught.value]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    assert any(isinstance(error, ConnectionResetError) for error in chain)
    assert len(sim.stored(1, 2, 32)) == stored
    assert (await served.get(TYPES)).status_code == 200


async def test_a_truncated_body_announces_more_than_it_sends(sim: Simulator, served: httpx.AsyncClient) -> None:
    sim.faults.add(Fault(truncate_at=0.5, times=1))
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        await served.get(TYPES)


async def test_a_413_can_close_before_the_body_is_read(sim: Simulator, served: httpx.AsyncClient) -> None:
    sim.settings.max_body_bytes = 10
    sim.settings.close_on_413 = True
    answer = await served.put(ONE, json=COLUMNS)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert (await served.get(TYPES)).status_code == 200


async def test_stopping_is_quick_with_hung_requests_and_idle_connections(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    base_url = await sim.start()
    async with httpx.AsyncClient(base_url=base_url) as client:
        await client.get(TYPES)
        arrived = asyncio.Event()

        def note(_: Arrival) -> bool:
            arrived.set()
            return True

        sim.faults.add(Fault(latency_s=math.inf, where=note))
        hung = asyncio.create_task(client.get(TYPES))
        await arrived.wait()
        async with asyncio.timeout(2):
            await sim.stop()
        with pytest.raises(httpx.TransportError):
            await hung
    assert sim.in_flight == 0
    assert caplog.records == []


async def test_many_requests_at_once_are_counted(sim: Simulator, served: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(served.get(TYPES) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert sim.count("sensors.get_types") == 50
    assert sim.in_flight == 0


async def test_run_server_tells_its_address_and_ends_when_cancelled(sim: Simulator) -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(sim.run_server(0, on_started=started.set_result))
    base_url = await started
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{base_url}{TYPES}")).status_code == 401
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
async def test_run_server_ends_at_sigterm(sim: Simulator) -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(sim.run_server(0, on_started=started.set_result))
    await started
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 5)


def test_in_process_use_needs_no_uvicorn() -> None:
    program = (
        "import sys\n"
        "from besmart_async.simulator import Simulator\n"
        "Simulator().close()\n"
        "assert 'uvicorn' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_simulator_imports_nothing_else_of_the_package() -> None:
    folder = Path(besmart_async.simulator.__file__).parent
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ours = [name for name in names if name.split(".")[0] == "besmart_async"]
            assert all(name.startswith("besmart_async.simulator") for name in ours), file
