"""The signals of a sensor, as far as the API lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import attrs

from besmart_async.models.keys import SensorKey, SignalKey
from besmart_async.models.signal_types import SignalType
from besmart_async.models.states import SensorState


class ListStates(Protocol):
    """Lists a sensor's states: `client.sensor_states.list`."""

    async def __call__(self, client_cid: int, sensor_mid: int) -> list[SensorState]:
        """The states with their signal states."""
        ...


@attrs.frozen
class SensorSignals:
    """The signals of a sensor.

    Attributes:
        sensor: the sensor.
        keys: its signals.
        told_by: "states" if its states name them; "types" if they name none: then the keys are every signal type the
            service has, of which most will have no readings.
    """

    sensor: SensorKey
    keys: tuple[SignalKey, ...]
    told_by: Literal["states", "types"]


async def signals_of(
    sensor: SensorKey, states: ListStates, types: Sequence[SignalType], *, every: bool = False
) -> SensorSignals:
    """Return the signals of a sensor.

    Args:
        sensor: the sensor.
        states: lists its states.
        types: the service's signal types.
        every: return every signal type, regardless of the states.

    Raises:
        NotFoundError: the sensor does not exist.
    """
    known = [] if every else await states(sensor.client_cid, sensor.sensor_mid)
    named = {signal.signal_type_moid for state in known for signal in state.signal_states} - {None}
    told = {kind.signal_type_moid for kind in types} - {None}
    moids = sorted(moid for moid in named or told if moid is not None)
    return SensorSignals(sensor, tuple(map(sensor.signal, moids)), "states" if named else "types")
