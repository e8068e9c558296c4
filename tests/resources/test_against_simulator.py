"""All operations of both dialects against the simulator over a real socket: nothing is refused, all is typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
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
from besmart_async.simulator.routing import router
from besmart_async.simulator.routing.router import routes_of
from besmart_async.wire.dialect import DialectName
from tests.resources.calls import CALLS, EVENING, MORNING, TEXT


@pytest.fixture(params=["documented", "live"])
def simulator(request: pytest.FixtureRequest) -> Simulator:
    dialect: DialectName = request.param
    return Simulator(dialect=dialect)


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[BesmartClient]:
    async with (
        simulator.serve() as base_url,
        BesmartClient(
            api_key="API_KEY",
            login="login",
            password="password",
            base_url=base_url,
            dialect=simulator.settings.dialect,
        ) as client,
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
    named: dict[str, Any] = {"name": TEXT, "sensor_type_id": 12} if client.dialect == "live" else {}
    await client.sensors.update(key.client_cid, key.sensor_mid, comments=TEXT, negligible=True, **named)
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


async def a_live_meter_type_is_created_changed_and_deleted(client: BesmartClient) -> None:
    await client.meter_types.create(1, meter_type_name=TEXT, number_of_phases=1, is_remote=True, prefix_name="CX")
    (made,) = [one for one in await client.meter_types.list(1) if one.meter_type_name == TEXT]
    assert (made.is_remote, made.prefix_name, made.extra) == (True, "CX", {})
    assert made.id is not None
    await client.meter_types.update(1, meter_type_name="new", meter_type_id=made.id, number_of_phases=3)
    found = {one.id: one for one in await client.meter_types.list(1)}
    assert (found[made.id].meter_type_name, found[made.id].number_of_phases) == ("new", 3)
    await client.meter_types.delete(1, meter_type_id=made.id)
    with pytest.raises(NotFoundError):
        await client.meter_types.delete(1, meter_type_id=made.id)


async def meter_type_of(client: BesmartClient) -> dict[str, Any]:
    """A new meter type, as the arguments that name it for a state."""
    if client.dialect == "documented":
        await client.meter_types.create(1, meter_type_name="CX2000-9", meter_type_id=992, number_of_phases=1)
        return {"meter_type_name": "CX2000-9"}
    await client.meter_types.create(1, meter_type_name="CX2000-9", number_of_phases=1)
    (made,) = [one for one in await client.meter_types.list(1) if one.meter_type_name == "CX2000-9"]
    return {"meter_type_id": made.id}


async def a_state_and_its_signal_states_are_kept(client: BesmartClient) -> None:
    client_cid, sensor_mid = (key := await new_sensor(client)).client_cid, key.sensor_mid
    state = await client.sensor_states.create(
        client_cid, sensor_mid, MORNING, till=EVENING, info={"q": 1}, meter_eid="135620",
        **await meter_type_of(client),
    )  # fmt: skip
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


async def a_graph_runs_by_name(client: BesmartClient) -> None:
    named = await client.tasks.run_graph_by_name("estimation", [{"client_cid": "${client_cid}"}])
    assert named.text


async def values_of_a_signal_state_are_patched(client: BesmartClient) -> None:
    key = await new_sensor(client)
    state = await client.sensor_states.create(key.client_cid, key.sensor_mid)
    assert state.since is not None, "it started now"
    assert state.sensor_state_id is not None
    made = await client.signal_states.create(state.sensor_state_id, 32, value_for_since=6)
    assert made.signal_state_id is not None
    await client.signal_states.patch(made.signal_state_id, value_for_till=7)
    (found,) = await client.sensor_states.list(key.client_cid, key.sensor_mid)
    assert [(one.value_for_since, one.value_for_till) for one in found.signal_states] == [(6, 7)]


async def readings_of_version_1_are_those_of_version_2(client: BesmartClient) -> None:
    one, other = (await new_sensor(client)).signal(32), (await new_sensor(client)).signal(32)
    data = SignalData(one, [MORNING, MORNING + 1], [1.5, 2.5], unit="kW.h")
    await client.signals.write(data, version=1)
    await client.signals.write_bulk([SignalData(other, [MORNING], [7.25], origin=2)], version=1)
    queries = [SignalQuery(key, MORNING, EVENING, get_last=True) for key in (one, other)]
    first, second = [await client.signals.read_bulk(queries, version=version) for version in (1, 2)]
    assert first == second
    assert first[0] == data
    measured = [attrs.evolve(query, signal_origin_id=1) for query in queries]
    for version in (1, 2):
        assert [len(answer) for answer in await client.signals.read_bulk(measured, version=version)] == [2, 0]


async def there_is_weather(client: BesmartClient) -> None:
    mid = await client.weather.find_mid(54, 18.63)
    since, till = MORNING, MORNING + 3_600_000
    of_place = await client.weather.read_at(54, 18.63, 32, since, till, variant="a")
    of_sensor = await client.weather.read(mid, 32, since, till, delta_t=60, raw=False, is_chart=False, get_last=True)
    assert of_place == of_sensor
    assert of_place.key == SignalKey(0, mid, 32)
    assert of_place.time.tolist() == [since, till]


BOTH = (
    a_token_is_given_and_refreshed,
    a_sensor_is_created_read_changed_and_deleted,
    a_state_and_its_signal_states_are_kept,
    readings_come_back_as_they_were_written,
)
STORIES = {
    "documented": (*BOTH, a_meter_type_is_created_changed_and_deleted, graphs_run_and_their_answers_are_typed),
    "live": (
        *BOTH,
        a_live_meter_type_is_created_changed_and_deleted,
        a_graph_runs_by_name,
        values_of_a_signal_state_are_patched,
        readings_of_version_1_are_those_of_version_2,
        there_is_weather,
    ),
}


async def test_all_operations_work_over_a_socket(client: BesmartClient, simulator: Simulator) -> None:
    for story in STORIES[client.dialect]:
        await story(client)
    routes = {f"{route.method} {route.path}": route for route in routes_of(client.dialect)}
    assert len(routes) == {"documented": 26, "live": 32}[client.dialect]
    asked = [router.find(client.dialect, request.method, request.path)[0] for request in simulator.requests]
    seen = {f"{route.method} {route.path}" for route in asked}
    assert seen == set(routes), "all of them, and no unknown route"
    if client.dialect == "documented":
        assert {call.id for call in CALLS} == set(simulator.counts)


async def test_a_wrong_password_is_an_authentication_failure(simulator: Simulator) -> None:
    async with (
        simulator.serve() as base_url,
        BesmartClient(
            api_key="API_KEY",
            login="login",
            password="wrong",
            base_url=base_url,
            dialect=simulator.settings.dialect,
        ) as client,
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
