"""Many signals at once: what `write_matrix` takes, refuses, and leaves with the service."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.batching.write.validation import ManyColumns
from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, InvalidInputError, WriterTimeoutError
from besmart_async.models.keys import SignalKey
from tests.batching.write.service_model import ServiceModel

HOUR_MS = 3_600_000


def keys(signals: int) -> list[SignalKey]:
    return [SignalKey(12, 100 + number, 32) for number in range(signals)]


@attrs.define
class Service:
    model: ServiceModel = attrs.field(factory=ServiceModel)
    bodies: list[bytes] = attrs.field(factory=list[bytes])
    latency_s: float = 0.0

    async def __call__(self, body: bytes, /) -> None:
        self.bodies.append(body)
        await asyncio.sleep(self.latency_s)
        error = self.model.put(body)
        if error is not None:
            raise error

    def values(self, key: SignalKey) -> dict[int, Any]:
        name = (key.client_cid, key.sensor_mid, key.signal_type_moid)
        return {int(time): value for (of, time, _), (value, _) in self.model.stored.items() if of == name}


def writer(service: Service, **settings: Any) -> Writer:
    return Writer(service, BatchPolicy(**settings))


@pytest.mark.looptime
@pytest.mark.parametrize("signals", [1, 63, 64, 65, 700])
async def test_each_signal_gets_its_row_of_values_and_calls_are_full(signals: int) -> None:
    service, times = Service(), HOUR_MS * np.arange(100)
    values = np.arange(signals * 100.0).reshape(signals, 100) / 8
    async with writer(service) as w:
        await w.write_matrix(keys(signals), times, values, unit="kW.h", origin=4)
        report = await w.flush()
    for number, key in enumerate(keys(signals)):
        assert service.values(key) == dict(zip(times.tolist(), values[number].tolist(), strict=True))
    assert {reading[2] for reading in service.model.stored} == {4}
    assert {unit for _, unit in service.model.stored.values()} == {"kW.h"}
    assert report.delivered == report.accepted == signals * 100
    assert len(service.bodies) <= 1 + signals * 100 // 25_000


@pytest.mark.looptime
async def test_a_frame_with_a_column_for_each_signal_is_written_as_it_is() -> None:
    frame = pd.DataFrame(
        {str(key): np.arange(4) + 0.5 * number for number, key in enumerate(keys(3))},
        index=pd.date_range("2024-03-31", periods=4, freq="h", tz="Europe/Berlin"),
    )
    service = Service()
    async with writer(service) as w:
        await w.write_matrix([SignalKey.parse(name) for name in frame.columns], frame.index, frame.to_numpy().T)
    times = [1_711_839_600_000 + HOUR_MS * hour for hour in range(4)]
    assert service.values(keys(3)[2]) == dict(zip(times, [1.0, 2.0, 3.0, 4.0], strict=True))


@pytest.mark.looptime
@pytest.mark.parametrize("kind", [np.float32, np.int64, np.int16, bool])
async def test_other_numbers_arrive_as_write_would_send_them(kind: type[np.generic]) -> None:
    values = np.array([[0, 1, 1], [1, 0, 0]], kind)
    together, apart = Service(), Service()
    async with writer(together) as one, writer(apart) as other:
        await one.write_matrix(keys(2), [1, 2, 3], values)
        for key, column in zip(keys(2), values, strict=True):
            await other.write(key, [1, 2, 3], column)
    assert together.bodies == apart.bodies


@pytest.mark.looptime
async def test_columns_may_be_lists_of_whatever_json_holds() -> None:
    service = Service()
    async with writer(service) as w:
        await w.write_matrix(keys(2), [1, 2], [["on", None], [{"a": 1}, 2**53 + 1]])
    assert service.values(keys(2)[0]) == {1: "on", 2: None}
    assert service.values(keys(2)[1]) == {1: {"a": 1}, 2: 2**53 + 1}


@pytest.mark.looptime
async def test_times_need_not_ascend_and_the_last_of_equal_ones_wins() -> None:
    service = Service()
    async with writer(service) as w:
        await w.write_matrix(keys(2), [3, 1, 3], np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        report = await w.flush()
    assert service.values(keys(2)[1]) == {3: 6.0, 1: 5.0}
    assert report.delivered == 6


@pytest.mark.looptime
async def test_a_signal_given_twice_keeps_its_last_row() -> None:
    service = Service()
    async with writer(service) as w:
        await w.write_matrix([*keys(1), *keys(1)], [1, 2], np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert service.values(keys(1)[0]) == {1: 3.0, 2: 4.0}


@pytest.mark.looptime
async def test_nothing_in_it_is_nothing_to_do() -> None:
    service = Service()
    async with writer(service) as w:
        await w.write_matrix([], [], np.empty((0, 0)))
        await w.write_matrix(keys(2), [], np.empty((2, 0)))
        await w.write_matrix([], [1, 2], [])
        assert w.report.accepted == 0
    assert service.bodies == []


@pytest.mark.parametrize(
    ("given_keys", "times", "values", "named"),
    [
        (keys(2), [1, 2], np.zeros((1, 2)), "values='1 rows'.*2 signals"),
        (keys(2), [1, 2], np.zeros((2, 3)), r"values\[0\]='3 values'.*time has 2 rows"),
        (keys(2), [1, 2], [[1.0, 2.0], [3.0]], r"values\[1\]='1 values'.*time has 2 rows"),
        (keys(2), [1, 2], np.zeros(4), "values.*for each signal"),
        (keys(2), [1, 2], 7.0, "values.*for each signal"),
        (["12.1.32"], [1], np.zeros((1, 1)), "key.*SignalKey.parse"),
        (keys(1), [math.nan], np.zeros((1, 1)), "time"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given_keys: Any, times: Any, values: Any, named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        ManyColumns.checked(given_keys, times, values)


@pytest.mark.parametrize("option", [{"type": ""}, {"type": 7}, {"origin": -1}, {"origin": True}, {"unit": ""}])
def test_options_are_refused_by_name(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(option))):
        ManyColumns.checked(keys(1), [1], np.zeros((1, 1)), **option)


@pytest.mark.looptime
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
async def test_one_value_that_json_does_not_have_refuses_all_of_it(bad: float) -> None:
    service, values = Service(), np.zeros((300, 100))
    values[255, 17] = bad
    async with writer(service) as w:
        with pytest.raises(InvalidInputError, match=r"values\[255\]\[17\].*of 12\.355\.32"):
            await w.write_matrix(keys(300), np.arange(100), values)
        assert w.report.accepted == 0
    assert service.bodies == []


@pytest.mark.looptime
async def test_nan_put_in_while_it_waits_for_room_is_never_sent() -> None:
    service, values = Service(latency_s=1.0), np.ones((300, 100))
    async with writer(service, max_memory_bytes=60_000) as w:
        writing = asyncio.create_task(w.write_matrix(keys(300), np.arange(100), values))
        await asyncio.sleep(0.5)
        assert 0 < w.report.accepted < 30_000
        values[:] = math.nan
        with pytest.raises(InvalidInputError, match="NaN"):
            await writing
    assert {value for value, _ in service.model.stored.values()} == {1.0}
    assert w.report.delivered == w.report.accepted


@pytest.mark.looptime
async def test_more_than_there_is_memory_for_waits_and_arrives() -> None:
    service = Service(latency_s=0.01)
    async with writer(service, max_memory_bytes=60_000) as w:
        await w.write_matrix(keys(300), np.arange(100), np.ones((300, 100)))
        assert w.report.memory_bytes <= 60_000
        report = await w.flush()
    assert report.delivered == len(service.model.stored) == 30_000


@pytest.mark.looptime
async def test_without_room_in_time_the_first_signals_were_accepted_and_again_does_no_harm() -> None:
    service = Service(latency_s=20.0)
    async with writer(service, max_memory_bytes=60_000, admission_timeout_s=5.0, close_timeout_s=1000.0) as w:
        with pytest.raises(WriterTimeoutError):
            await w.write_matrix(keys(100), np.arange(100), np.ones((100, 100)))
        accepted = w.report.accepted
        assert accepted % 100 == 0
        assert 0 < accepted < 10_000
        service.latency_s = 0.01
        await asyncio.sleep(20.0)
        await w.write_matrix(keys(100), np.arange(100), np.ones((100, 100)))
        report = await w.flush()
    assert len(service.model.stored) == 10_000
    assert report.delivered == accepted + 10_000


@pytest.mark.looptime
async def test_the_caller_may_change_his_arrays_afterwards() -> None:
    service, times, values = Service(), np.arange(3), np.ones((2, 3))
    async with writer(service) as w:
        await w.write_matrix(keys(2), times, values)
        times += 10
        values[:] = 9.0
    assert service.values(keys(2)[1]) == {0: 1.0, 1: 1.0, 2: 1.0}


@pytest.mark.looptime
async def test_others_have_their_turn_while_much_is_written() -> None:
    service, turns = Service(), 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with writer(service) as w:
        counting = asyncio.create_task(count())
        await w.write_matrix(keys(2_000), np.arange(100), np.ones((2_000, 100)))
        counting.cancel()
    assert turns > 20


@pytest.mark.looptime
async def test_a_closed_writer_takes_nothing() -> None:
    w = writer(Service())
    async with w:
        pass
    with pytest.raises(BesmartError, match="closed"):
        await w.write_matrix(keys(1), [1], np.ones((1, 1)))


async def test_with_a_journal_it_is_on_disk_and_delivered_by_the_next_writer(tmp_path: Path) -> None:
    away, service = Service(latency_s=60.0), Service()
    values = np.arange(200.0).reshape(100, 2)
    with pytest.raises(BesmartError):
        async with Writer(away, BatchPolicy(close_timeout_s=0.0), journal=tmp_path / "journal") as w:
            await w.write_matrix(keys(100), [1, 2], values)
            assert w.report.accepted == 200
    async with Writer(service, BatchPolicy(hold_off_s=0.0), journal=tmp_path / "journal") as w:
        await w.flush()
    assert service.values(keys(100)[99]) == {1: 198.0, 2: 199.0}


@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(1, 200),
)
def test_blocks_hold_every_row_once_in_order(signals: int, rows: int, width: int) -> None:
    rows *= width
    many = ManyColumns.checked(keys(signals), np.arange(rows), np.arange(float(signals * rows)).reshape(signals, rows))
    taken = [(key, value) for some, values in many.blocks() for key, value in zip(some, values, strict=True)]
    assert [key for key, _ in taken] == keys(signals)
    assert all((value[:1] == number * rows).all() and len(value) == rows for number, (_, value) in enumerate(taken))
