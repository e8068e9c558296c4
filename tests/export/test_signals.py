"""The signals of a sensor."""

import pytest

from besmart_async import BesmartClient, NotFoundError, SensorKey
from besmart_async.export import signals_of
from besmart_async.simulator import Simulator


async def test_the_states_name_them_or_else_every_type_is_taken(client: BesmartClient, simulator: Simulator) -> None:
    state = simulator.add_sensor_state(1, 1, 0)
    await client.signal_states.create(state, 33)
    await client.signal_states.create(state, 32)
    types = await client.signals.types()
    named = await signals_of(SensorKey(1, 1), client.sensor_states.list, types)
    assert ([key.signal_type_moid for key in named.keys], named.told_by) == ([32, 33], "states")
    for sensor, every in ((2, False), (1, True)):
        all_types = await signals_of(SensorKey(1, sensor), client.sensor_states.list, types, every=every)
        assert {key.signal_type_moid for key in all_types.keys} == {kind.signal_type_moid for kind in types}
        assert all_types.told_by == "types"


async def test_a_sensor_that_does_not_exist_is_an_error(client: BesmartClient) -> None:
    with pytest.raises(NotFoundError):
        await signals_of(SensorKey(1, 77), client.sensor_states.list, [])
