"""Typed uses of the public API. Never run: mypy and pyright check it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, assert_type

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from besmart_async import (
    ApiError,
    BesmartClient,
    DecodeError,
    GraphOutput,
    GraphResult,
    MeterType,
    Outcome,
    RetryPolicy,
    Sensor,
    SensorKey,
    SensorState,
    SensorType,
    SignalData,
    SignalKey,
    SignalQuery,
    SignalState,
    SignalType,
    Timeouts,
    Token,
)

KEY = SignalKey(12, 122, 32)
SINCE, TILL = datetime(2020, 1, 1, tzinfo=UTC), np.datetime64("2020-02-01")


async def clients() -> None:
    async with BesmartClient(
        api_key="k", login="l", password="p", timeout=5, retry=RetryPolicy(max_attempts=1)
    ) as client:
        assert_type(client, BesmartClient)
    assert_type(BesmartClient.from_env(), BesmartClient)
    assert_type(await BesmartClient(token="t", timeout=Timeouts(read_s=1.5)).aclose(), None)


async def users_and_sensors(client: BesmartClient) -> None:
    assert_type(await client.users.login(), Token)
    assert_type((await client.users.refresh()).expiration, float | None)
    assert_type(await client.sensors.types(), list[SensorType])
    key = await client.sensors.create(name="a", sensor_type_id=1, client_cid=1, lat=53, lon=22.5, info={"a": [1]})
    assert_type(key, SensorKey)
    assert_type(key.signal(32), SignalKey)
    sensor = await client.sensors.get(key.client_cid, key.sensor_mid)
    assert_type(sensor, Sensor)
    assert_type(sensor.key, SensorKey | None)
    assert_type(await client.sensors.update(1, 2, info='{"a": 1}', uncertain=False), None)
    assert_type(await client.sensors.delete(1, 2), None)
    assert_type(await client.meter_types.list(1), list[MeterType])
    assert_type(
        await client.meter_types.create(1, meter_type_name="a", meter_type_id=1, number_of_phases=3, is_ami=True), None
    )
    assert_type(await client.meter_types.delete(1, confirm=True), None)


async def states(client: BesmartClient) -> None:
    state = await client.sensor_states.create(1, 2, SINCE, till=TILL, info="any text")
    assert_type(state, SensorState)
    assert_type(state.signal_states, tuple[SignalState, ...])
    assert_type(state.since, int | float | None)
    assert_type(await client.sensor_states.list(1, 2), list[SensorState])
    assert_type(await client.sensor_states.list_for_signal(1, 2, 32), list[SensorState])
    assert_type(await client.sensor_states.update(1, since=1577836800000), None)
    assert_type(await client.signal_states.create(1, 32, value_for_since=6), SignalState)
    assert_type(await client.signal_states.update(1, value_for_till=6.5), None)


async def readings(client: BesmartClient) -> None:
    assert_type(await client.signals.types(), list[SignalType])
    data = await client.signals.read(KEY, SINCE, TILL, get_last=True, filters={"phase": 1})
    assert_type(data, SignalData)
    assert_type(data.time, NDArray[Any])
    assert_type(data.type, str | NDArray[Any] | None)
    assert_type(data.to_pandas(), pd.DataFrame)
    assert_type(data.to_polars(), pl.DataFrame)
    assert_type(data.between(SINCE, TILL).sorted(), SignalData)
    assert_type(SignalData.concat([data, data]), SignalData)
    assert_type(await client.signals.read_bulk(SignalQuery(key, 0, 1.5) for key in [KEY]), list[SignalData])
    async with client.reader() as reader:
        assert_type(await reader.read(KEY, SINCE, TILL, filters={"phase": 1}), SignalData)
        assert_type(await asyncio.create_task(reader.read_query(SignalQuery(KEY, 0, 1))), SignalData)
        assert_type(await asyncio.gather(*[reader.ask(SignalQuery(key, 0, 1)) for key in [KEY]]), list[SignalData])
    assert_type(await client.signals.write(data), None)
    assert_type(await client.signals.write_bulk([data]), None)


def columns(frame: pd.DataFrame, table: pl.DataFrame, values: NDArray[np.float32]) -> list[SignalData]:
    return [
        SignalData(KEY, [1, 2.5], [1.0, None]),
        SignalData(KEY, [SINCE, TILL, 1], ["on", True, {"a": [1]}], type=["DBL", "RM", "DBL"], origin=[1, 2, 3]),
        SignalData(KEY, np.array([1, 2]), values, type=None, origin=None, unit="kW.h"),
        SignalData(SignalKey.parse("12.122.32"), range(3), [1, 2, 3]),
        SignalData(KEY, frame.index, frame["value"], type=frame["type"], origin=frame["origin"]),
        SignalData(KEY, table["time"], table["value"], type=table["type"], origin=table["origin"]),
    ]


async def graphs(client: BesmartClient, params: Mapping[str, Any]) -> None:
    result = await client.tasks.run_graph({"nodes": [], "edges": []}, task_async=True)
    assert_type(result, GraphResult)
    assert_type(result.outputs, tuple[GraphOutput, ...])
    assert_type(await client.tasks.run_graph_by_name("estimation", [params], since=SINCE), GraphResult)


def errors(error: ApiError | DecodeError) -> None:
    assert_type(error.outcome, Outcome | None)
    if isinstance(error, ApiError):
        assert_type(error.status, int)
        assert_type(error.retry_after_s, float | None)
    else:
        assert_type(error.path, str)
