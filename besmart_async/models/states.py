"""Sensor states (which meter was mounted when) and the signal states within them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from besmart_async.models.sensors import Info
from besmart_async.models.values import JsonValue


@attrs.frozen(kw_only=True)
class SignalState:
    """The register of one signal within a sensor state: its values at the state's start and end."""

    signal_state_id: int | None = None
    sensor_state_id: int | None = None
    signal_type_moid: int | None = None
    value_for_since: float | None = None
    value_for_till: float | None = None
    info: Info = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])


@attrs.frozen(kw_only=True)
class SensorState:
    """One state of a sensor. `since` and `till` are UTC unix milliseconds; an open state has no `till`."""

    sensor_state_id: int | None = None
    client_cid: int | None = None
    sensor_mid: int | None = None
    since: int | float | None = None
    till: int | float | None = None
    meter_eid: str | None = None
    info: Info = None
    meter_type_name: str | None = None
    meter_type_id: int | None = None
    meter_type_is_ami: bool | None = None
    signal_states: tuple[SignalState, ...] = ()
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])
