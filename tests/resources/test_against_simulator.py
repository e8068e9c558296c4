"""All 26 operations against the simulator over a real socket, in both dialects: nothing is refused, all is typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from besmart_async import (
    AuthenticationError,
    BesmartClient,
    ConflictError,
    GraphResult,
    MeterType,
    NotFoundError,
    Sensor,
    SensorKey,
    SensorType,
    SignalData,
    SignalKey,
    SignalQuery,
    SignalType,
    Token,
    UnprocessableError,
)
from besmart_async.simulator import Simulator
from tests.resources.calls import CALLS, EVENING, MORNING, TEXT

Dialect = Literal["documented", "live"]


@pytest.fixture(params=["documented", "live"])
def simulator(request: pytest.FixtureRequest) -> Simulator:
    dialect: Dialect = request.param
    return Simulator(dialect=dialect)


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[BesmartClient]:
    async with (
        simulator.serve() as base_url,
        BesmartClient(api_key="API_KEY", login="login", password="password", base_url=base_url) as client,
    ):
        yield client
    simulator.close()


async def new_sensor(client: BesmartClient) -> SensorKey:
    return await client.sensors.create(name="a meter", sensor_type_id=12, client_cid=1)


async def a_token_is_given_and_refreshed(client: BesmartClient) -> None:
    for token in (await client.users.login(), await client.users.refresh()):
        assert isinstance(token, Token)
        assert token.token
        assert token.expiration is not None
        assert token.expiration > 1e12, "milliseconds, whatever the dialect says"
        assert isinstance(token.user_id, int)


async def a_sensor_is_created_read_changed_and_deleted(client: BesmartClient) -> None:
    types = await client.sensors.types()
    assert {type(one) for one in types} == {SensorType}
    info: Any = {"tariff": "G11", "nested": {"ą": [1, None]}}
    key = await client.sensors.create(
        name=TEXT, sensor_type_id=12, client_cid=1, sensor_eid="e-1", lat=53.13, lon=-0.00000022, info=info,
        uncertain=True, negligible=False,
    )  # fmt: skip
    sensor = await client.sensors.get(key.client_cid, key.sensor_mid)
    assert isinstance(sensor, Sensor)
    assert sensor.key == key
    assert (sensor.name, sensor.sensor_eid, sensor.sensor_type_id) == (TEXT, "e-1", 12)
    assert (sensor.lat, sensor.lon, sensor.info) == (53.13, -0.00000022, info)
    assert (sensor.uncertain, sensor.negligible) == (True, False)
    await client.sensors.update(key.client_cid, key.sensor_mid, comments=TEXT, negligible=True)
    changed = await client.sensors.get(key.client_cid, key.sensor_mid)
    assert (changed.comments, changed.negligible, changed.name) == (TEXT, True, TEXT)
    await client.sensors.delete(key.client_cid, key.sensor_mid)
    with pytest.raises(NotFoundError):
        await client.sensors.get(key.client_cid, key.sensor_mid)


async def a_meter_type_is_created_changed_and_deleted(client: BesmartClient) -> None:
    await client.meter_types.create(1, meter_type_name=TEXT, meter_type_id=991, number_of_phases=1, is_ami=True)
    await client.meter_types.update(1, meter_type_name=TEXT, meter_type_id=991, number_of_phases=3, description="d")
    found = [one for one in await client.meter_types.list(1) if one.id == 991]
    assert {type(one) for one in found} == {MeterType}
    assert [(one.meter_type_name, one.number_of_phases, one.description) for one in found] == [(TEXT, 3, "d")]
    await client.meter_types.delete(1, confirm=True)


async def a_state_and_its_signal_states_are_kept(client: BesmartClient) -> None:
    client_cid, sensor_mid = (key := await new_sensor(client)).client_cid, key.sensor_mid
    await client.meter_types.create(1, meter_type_name="CX2000-9", meter_type_id=992, number_of_phases=1)
    state = await client.sensor_states.create(
        client_cid, sensor_mid, MORNING, till=EVENING, info={"q": 1}, meter_eid="135620", meter_type_name="CX2000-9"
    )
    assert (state.since, state.till, state.info, state.meter_eid) == (MORNING, EVENING, {"q": 1}, "135620")
    assert state.signal_states == ()
    assert state.sensor_state_id is not None
    with pytest.raises(ConflictError):
        await client.sensor_states.create(client_cid, sensor_mid, MORNING + 1)
    await client.sensor_states.update(state.sensor_state_id, till=EVENING + 1)
    signal_state = await client.signal_states.create(
        state.sensor_state_id, 32, value_for_since=6, value_for_till=120.5, info="any text"
    )
    assert signal_state.signal_state_id is not None
    await client.signal_states.update(signal_state.signal_state_id, value_for_till=121)
    for states in (
        await client.sensor_states.list(client_cid, sensor_mid),
        await client.sensor_states.list_for_signal(client_cid, sensor_mid, 32),
    ):
        assert [one.till for one in states] == [EVENING + 1]
        (inner,) = states[0].signal_states
        assert (inner.signal_type_moid, inner.value_for_since, inner.value_for_till, inner.info) == (
            32, 6, 121, "any text",
        )  # fmt: skip
    await client.signal_states.delete(signal_state.signal_state_id)
    await client.sensor_states.delete(state.sensor_state_id)
    assert await client.sensor_states.list(client_cid, sensor_mid) == []


async def readings_come_back_as_they_were_written(client: BesmartClient) -> None:
    assert {type(one) for one in await client.signals.types()} == {SignalType}
    one, other = (await new_sensor(client)).signal(32), (await new_sensor(client)).signal(32)
    data = SignalData(one, [MORNING, MORNING + 0.5, MORNING + 1000], [1.5, 2.5, -0.0], unit="kW.h")
    await client.signals.write(data)
    await client.signals.write_bulk([SignalData(other, [MORNING], [7.25]), data])
    assert await client.signals.read(one, MORNING, EVENING, get_last=True) == data
    nowhere = SignalKey(1, 987654321, 32)
    answers = await client.signals.read_bulk(SignalQuery(key, MORNING, EVENING) for key in (other, nowhere, one))
    assert [answer.key for answer in answers] == [other, nowhere, one]
    assert answers[0].value.tolist() == [7.25]
    assert len(answers[1]) == 0
    hourly = await client.signals.read(one, MORNING, EVENING, delta_t=60, raw=False, signal_origin_id=1, is_chart=False)
    assert isinstance(hourly, SignalData)


async def graphs_run_and_their_answers_are_typed(client: BesmartClient) -> None:
    ran = await client.tasks.run_graph({"nodes": [], "edges": []}, task_priority=5, since=MORNING + 0.5, till=EVENING)
    assert isinstance(ran, GraphResult)
    assert not ran.accepted
    named = await client.tasks.run_graph_by_name("estimation", [{"client_cid": "${client_cid}"}])
    assert named.text
    accepted = await client.tasks.run_graph_by_name("estimation", [{}], task_async=True)
    assert accepted.accepted


STORIES = (
    a_token_is_given_and_refreshed,
    a_sensor_is_created_read_changed_and_deleted,
    a_meter_type_is_created_changed_and_deleted,
    a_state_and_its_signal_states_are_kept,
    readings_come_back_as_they_were_written,
    graphs_run_and_their_answers_are_typed,
)


async def test_all_operations_work_over_a_socket(client: BesmartClient, simulator: Simulator) -> None:
    for story in STORIES:
        await story(client)
    assert {call.id for call in CALLS} == set(simulator.counts), "all 26, and no unknown route"


async def test_a_wrong_password_is_an_authentication_failure(simulator: Simulator) -> None:
    async with (
        simulator.serve() as base_url,
        BesmartClient(api_key="API_KEY", login="login", password="wrong", base_url=base_url) as client,
    ):
        with pytest.raises(AuthenticationError, match="check login, password and api_key"):
            await client.sensors.types()
    simulator.close()


async def test_content_the_service_refuses_names_the_reason(client: BesmartClient) -> None:
    with pytest.raises(UnprocessableError) as caught:
        await client.sensors.create(name="a meter", sensor_type_id=987654, client_cid=1)
    assert caught.value.outcome == "rejected"
    assert caught.value.message
    assert "{" not in caught.value.message
