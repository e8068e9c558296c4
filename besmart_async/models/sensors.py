"""Sensors and their types."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from besmart_async.models.keys import SensorKey
from besmart_async.models.values import JsonValue

Info = Mapping[str, JsonValue] | str | None
"""Additional information: an object, whether the service sent it as one or as JSON text; other text stays text."""


@attrs.frozen(kw_only=True)
class SensorType:
    """One of `GET /sensors/types`. Every field may be missing; unknown fields are in `extra`."""

    id: int | None = None
    name: str | None = None
    description: str | None = None
    sensor_state_custom_fields: Info = None
    sensor_custom_fields: Info = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])


@attrs.frozen(kw_only=True)
class Sensor:
    """The answer of `GET /sensors/{client_cid}.{sensor_mid}`. Every field may be missing.

    Unknown fields are in `extra`. Those from `read` on are known from the dialect `live` only.
    `write` and `execute` are this account's rights; `lat` and `lon` are degrees.
    """

    client_cid: int | None = None
    sensor_mid: int | None = None
    name: str | None = None
    sensor_eid: str | None = None
    sensor_type_id: int | None = None
    sensor_type_name: str | None = None
    sensor_type_description: str | None = None
    lat: float | None = None
    lon: float | None = None
    info: Info = None
    comments: str | None = None
    write: bool | None = None
    execute: bool | None = None
    negligible: bool | None = None
    uncertain: bool | None = None
    read: bool | None = None
    balance_calculation: JsonValue = None
    acq_min: JsonValue = None
    existing_sensor_state: JsonValue = None
    sensor_custom_fields: Info = None
    sensor_state_custom_fields: Info = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])

    @property
    def key(self) -> SensorKey | None:
        """The sensor's key, if the answer held both parts of it."""
        if self.client_cid is None or self.sensor_mid is None:
            return None
        return SensorKey(self.client_cid, self.sensor_mid)
