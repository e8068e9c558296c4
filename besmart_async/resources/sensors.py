"""`client.sensors`: sensors and their types. Source: section Sensors of the API document."""

from __future__ import annotations

from collections.abc import Mapping

from besmart_async.models.checks import (
    checked_degrees,
    checked_flag,
    checked_object_text,
    checked_scalar,
    checked_text,
    optional,
)
from besmart_async.models.keys import SensorKey, checked_id
from besmart_async.models.sensors import Sensor, SensorType
from besmart_async.models.values import JsonValue
from besmart_async.wire import codec
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import OperationSender


class Sensors:
    """Sensors. Arguments left at None are not sent; a cancelled change may be applied all the same."""

    def __init__(self, sender: OperationSender, dialect: Dialect = DOCUMENTED) -> None:
        self._sender = sender
        self._dialect = dialect

    async def types(self) -> list[SensorType]:
        """List the sensor types (`GET /sensors/types`)."""
        return await self._sender.send(
            self._dialect.operation(
                "sensors.types",
                replay=True,
                writes=False,
                decode=codec.many(SensorType),
            )
        )

    async def create(
        self,
        *,
        name: str,
        sensor_type_id: int,
        client_cid: int,
        sensor_eid: str | None = None,
        lat: float | None = None,
        lon: float | None = None,
        info: Mapping[str, object] | str | None = None,
        uncertain: bool | None = None,
        negligible: bool | None = None,
    ) -> SensorKey:
        """Create a sensor (`POST /sensors`) and return its key.

        Not repeated after a lost answer, since that could create it twice: such a failure has `outcome` `"in_doubt"`.

        Args:
            name: name of the sensor.
            sensor_type_id: one of `types()`.
            client_cid: the client it belongs to.
            sensor_eid: external id.
            lat: latitude in degrees.
            lon: longitude in degrees.
            info: additional information: a mapping, or JSON text of an object.
            uncertain: uncertain sensor.
            negligible: negligible sensor.

        Raises:
            InvalidInputError: an argument is refused locally.
            UnprocessableError: the service refuses the content.
        """
        return await self._sender.send(
            self._dialect.operation(
                "sensors.create",
                {
                    "name": checked_text("name", name),
                    "sensor_type_id": checked_id("sensor_type_id", sensor_type_id),
                    "client_cid": checked_id("client_cid", client_cid),
                    **_attributes(sensor_eid, lat, lon, info),
                    **_marks(uncertain, negligible),
                },
                replay=False,
                writes=True,
                decode=codec.created_sensor,
            )
        )

    async def get(self, client_cid: int, sensor_mid: int) -> Sensor:
        """Return a sensor (`GET /sensors/{client_cid}.{sensor_mid}`).

        Raises:
            NotFoundError: no such sensor.
        """
        return await self._sender.send(
            self._dialect.operation(
                "sensors.get",
                _path(client_cid, sensor_mid),
                replay=True,
                writes=False,
                decode=codec.one(Sensor),
            )
        )

    async def update(
        self,
        client_cid: int,
        sensor_mid: int,
        *,
        name: str | None = None,
        sensor_type_id: int | None = None,
        sensor_eid: str | None = None,
        lat: float | None = None,
        lon: float | None = None,
        info: Mapping[str, object] | str | None = None,
        comments: str | None = None,
        uncertain: bool | None = None,
        negligible: bool | None = None,
        balance_calculation: bool | int | str | None = None,
        node_id: int | None = None,
    ) -> None:
        """Change a sensor (`PUT /sensors/{client_cid}.{sensor_mid}`); what is None stays as it is. See `create`.

        Raises:
            InvalidInputError: an argument is refused locally, or there is nothing to change.
            NotFoundError: no such sensor.
        """
        changes: dict[str, JsonValue] = {
            **_path(client_cid, sensor_mid),
            "name": optional(checked_text, "name", name),
            "sensor_type_id": optional(checked_id, "sensor_type_id", sensor_type_id),
            **_attributes(sensor_eid, lat, lon, info),
            "comments": optional(checked_text, "comments", comments),
            **_marks(uncertain, negligible),
            "balance_calculation": optional(checked_scalar, "balance_calculation", balance_calculation),
            "node_id": optional(checked_id, "node_id", node_id),
        }
        self._dialect.check_changes("sensors.update", changes)
        await self._sender.send(
            self._dialect.operation(
                "sensors.update",
                changes,
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def delete(self, client_cid: int, sensor_mid: int) -> None:
        """Delete a sensor (`DELETE /sensors/{client_cid}.{sensor_mid}`).

        A 404 after a lost answer means that the first attempt deleted it: that is not an error.

        Raises:
            NotFoundError: no such sensor.
        """
        await self._sender.send(
            self._dialect.operation(
                "sensors.delete",
                _path(client_cid, sensor_mid),
                replay=True,
                writes=True,
                done_if_repeated=frozenset({404}),
                decode=codec.acknowledged,
            )
        )


def _path(client_cid: int, sensor_mid: int) -> dict[str, JsonValue]:
    return {"client_cid": checked_id("client_cid", client_cid), "sensor_mid": checked_id("sensor_mid", sensor_mid)}


def _attributes(
    sensor_eid: str | None, lat: float | None, lon: float | None, info: Mapping[str, object] | str | None
) -> dict[str, JsonValue]:
    return {
        "sensor_eid": optional(checked_text, "sensor_eid", sensor_eid),
        "lat": None if lat is None else checked_degrees("lat", lat, 90),
        "lon": None if lon is None else checked_degrees("lon", lon, 180),
        "info": optional(checked_object_text, "info", info),
    }


def _marks(uncertain: bool | None, negligible: bool | None) -> dict[str, JsonValue]:
    return {
        "uncertain": optional(checked_flag, "uncertain", uncertain),
        "negligible": optional(checked_flag, "negligible", negligible),
    }
