"""Reading from dask workers; dask's own synchronous and threaded schedulers stand in for them."""

from __future__ import annotations

import asyncio
import functools
import pickle
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

pytest.importorskip("dask")
pytest.importorskip("pandas")

from dask.base import compute as dask_compute

from besmart_async import BesmartClient, InvalidInputError, SignalData, SignalKey, SignalQuery, UnprocessableError
from besmart_async.integrations.dataframes import from_pandas
from besmart_async.integrations.distributed import read_partitions
from besmart_async.simulator import Fault, Simulator

KEYS = [SignalKey(12, 122, 32), SignalKey(1, 1, 1), SignalKey(1, 2, 32)]
MakeClient = Callable[[], BesmartClient]
compute_here: Callable[..., tuple[Any, ...]] = dask_compute


@pytest.fixture
async def make_remote_client(besmart_simulator: Simulator) -> AsyncGenerator[MakeClient]:
    """What makes clients of a served simulator in any thread; picklable."""
    async with besmart_simulator.serve() as base_url:
        yield functools.partial(BesmartClient, api_key="API_KEY", login="login", password="password", base_url=base_url)


async def write(make_client: MakeClient) -> list[SignalData]:
    written = [SignalData(key, [n, 10 + n], [float(n), 10.0 + n]) for n, key in enumerate(KEYS)]
    async with make_client() as client:
        await client.signals.write_bulk(written)
    return written


async def compute(parts: list[Any], scheduler: str = "synchronous") -> list[Any]:
    return list(await asyncio.to_thread(compute_here, *parts, scheduler=scheduler))


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
async def test_every_partition_is_a_frame_of_its_signals(
    make_remote_client: MakeClient, besmart_simulator: Simulator, scheduler: str
) -> None:
    written = await write(make_remote_client)
    besmart_simulator.forget_requests()
    queries = [SignalQuery(key, 0, 100) for key in KEYS]
    frames = await compute(read_partitions(queries, make_remote_client, queries_per_partition=2), scheduler)
    found = [data for frame in frames for data in from_pandas(frame)]
    assert [(data.key, data.time.tolist(), data.value.tolist()) for data in found] == [
        (data.key, data.time.tolist(), data.value.tolist()) for data in written
    ]
    assert besmart_simulator.logins == 2
    assert besmart_simulator.in_flight == 0


async def test_nothing_is_sent_before_it_is_computed(
    make_remote_client: MakeClient, besmart_simulator: Simulator
) -> None:
    parts = read_partitions([SignalQuery(key, 0, 100) for key in KEYS], make_remote_client)
    assert len(parts) == 1
    assert besmart_simulator.requests == []


async def test_one_signal_may_be_asked_for_twice(make_remote_client: MakeClient) -> None:
    await write(make_remote_client)
    queries = [SignalQuery(KEYS[0], 0, 5), SignalQuery(KEYS[1], 0, 5), SignalQuery(KEYS[0], 6, 20)]
    (frame,) = await compute(read_partitions(queries, make_remote_client))
    assert {data.key: data.time.tolist() for data in from_pandas(frame)} == {KEYS[0]: [0, 10], KEYS[1]: [1]}


async def test_a_failure_is_the_tasks(make_remote_client: MakeClient, besmart_simulator: Simulator) -> None:
    besmart_simulator.faults.add(Fault(operation="sensors.post_signals_data", status=422))
    parts = read_partitions([SignalQuery(KEYS[0], 0, 1)], make_remote_client)
    with pytest.raises(UnprocessableError):
        await compute(parts)
    assert besmart_simulator.in_flight == 0


async def test_a_frame_tells_which_signals_had_no_answer(make_remote_client: MakeClient) -> None:
    (frame,) = await compute(read_partitions([SignalQuery(SignalKey(1, 999, 32), 0, 1)], make_remote_client))
    assert frame.attrs == {"absent": ["1.999.32"]}


async def test_it_works_where_a_loop_is_running(make_client: MakeClient) -> None:
    (part,) = read_partitions([SignalQuery(KEYS[0], 0, 1)], make_client)
    (frame,) = compute_here(part, scheduler="synchronous")  # in this thread, as in a notebook
    assert len(frame) == 0


async def test_equal_tasks_do_not_share_a_result(make_client: MakeClient) -> None:
    queries = [SignalQuery(KEYS[0], 0, 1)]
    (one,), (other,) = read_partitions(queries, make_client), read_partitions(queries, make_client)
    assert one.key != other.key


def test_a_task_without_a_client_of_its_own_carries_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESMART_LOGIN", "me")
    monkeypatch.setenv("BESMART_PASSWORD", "sesame")
    cloudpickle = pytest.importorskip("cloudpickle")
    (part,) = read_partitions([SignalQuery(KEYS[0], 0, 1)])
    dumped = cloudpickle.dumps(part)
    assert b"sesame" not in dumped
    assert pickle.loads(dumped).key == part.key


def test_no_queries_are_no_partitions() -> None:
    assert read_partitions([]) == []


def test_wrong_arguments_are_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidInputError, match=r"queries\[0\]"):
        read_partitions(["12.122.32"])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="at least 1"):
        read_partitions([SignalQuery(KEYS[0], 0, 1)], queries_per_partition=0)


async def test_partitions_make_a_dask_frame(make_remote_client: MakeClient) -> None:
    dd = pytest.importorskip("dask.dataframe")
    from besmart_async.integrations.dataframes import to_pandas

    await write(make_remote_client)
    parts = read_partitions([SignalQuery(key, 0, 100) for key in KEYS], make_remote_client, queries_per_partition=1)
    frame = dd.from_delayed(parts, meta=to_pandas([]))
    total = await asyncio.to_thread(frame["value"].sum().compute, scheduler="synchronous")
    assert total == sum(n + 10.0 + n for n in range(3))
