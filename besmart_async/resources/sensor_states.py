"""`client.sensor_states`: which meter was mounted when. Source: section Signals of the API document."""

from __future__ import annotations

from collections.abc import Mapping

from besmart_async.errors import InvalidInputError
from besmart_async.models.checks import checked_object, checked_text, optional
from besmart_async.models.keys import checked_id
from besmart_async.models.states import SensorState
from besmart_async.models.times import TimeLike, to_ms, to_whole_ms
from besmart_async.models.values import JsonValue
from besmart_async.wire import codec
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import OperationSender

_States = list[SensorState]  # inside the class, `list` is the method

Information = Mapping[str, object] | str
"""Additional information: a mapping, sent as JSON, or any text."""


class SensorStates:
    """Sensor states. Arguments left at None are not sent; a cancelled change may be applied all the same."""

    def __init__(self, sender: OperationSender, dialect: Dialect = DOCUMENTED) -> None:
        self._sender = sender
        self._dialect = dialect

    async def list(self, client_cid: int, sensor_mid: int) -> list[SensorState]:
        """List a sensor's states with their signal states (`GET /sensors/states`).

        Raises:
            NotFoundError: no such sensor.
        """
        return await self._sender.send(
            self._dialect.operation(
                "sensor_states.list",
                {
                    "client_cid": checked_id("client_cid", client_cid),
                    "sensor_mid": checked_id("sensor_mid", sensor_mid),
                },
                replay=True,
                writes=False,
                decode=codec.many(SensorState),
            )
        )

    async def list_for_signal(self, client_cid: int, sensor_mid: int, signal_type_moid: int) -> _States:
        """List a sensor's states with the signal states of one signal (`GET /sensors/states/signals`).

        Raises:
            NotFoundError: no such sensor or signal.
        """
        return await self._sender.send(
            self._dialect.operation(
                "sensor_states.list_for_signal",
                {
                    "client_cid": checked_id("client_cid", client_cid),
                    "sensor_mid": checked_id("sensor_mid", sensor_mid),
                    "signal_type_moid": checked_id("signal_type_moid", signal_type_moid),
                },
                replay=True,
                writes=False,
                decode=codec.many(SensorState),
            )
        )

    async def create(
        self,
        client_cid: int,
        sensor_mid: int,
        since: TimeLike | None = None,
        *,
        till: TimeLike | None = None,
        info: Information | None = None,
        meter_eid: str | None = None,
        meter_type_name: str | None = None,
        meter_type_id: int | None = None,
    ) -> SensorState:
        """Create a state of a sensor (`POST /sensors/states`) and return it.

        Repeated after a lost answer: two states cannot overlap. A 409 that then follows has `outcome` `"in_doubt"`,
        since the state in the way may be the one the first try created.

        Args:
            client_cid: the client.
            sensor_mid: the sensor.
            since: start, UTC unix ms or an aware datetime; a fraction of a ms is allowed. May be left out in the
                dialect `live` only; such a call is not repeated after a lost answer.
            till: end, likewise; None for an open end.
            info: additional information.
            meter_eid: the meter's external id.
            meter_type_name: the meter's type (dialect `documented`).
            meter_type_id: the meter's type (dialect `live`).

        Raises:
            InvalidInputError: an argument is refused locally, or `since` is not before `till`.
            NotFoundError: no such sensor or meter type.
            ConflictError: there is another state in that period.
            UnprocessableError: the service refuses the content.
        """
        start = None if since is None else to_ms(since, "since")
        end = None if till is None else to_ms(till, "till")
        _in_order(start, end)
        return await self._sender.send(
            self._dialect.operation(
                "sensor_states.create",
                {
                    "client_cid": checked_id("client_cid", client_cid),
                    "sensor_mid": checked_id("sensor_mid", sensor_mid),
                    "since": start,
                    "till": end,
                    **_meter(info, meter_eid, meter_type_name, meter_type_id),
                },
                replay=start is not None,
                writes=True,
                decode=codec.one(SensorState),
            )
        )

    async def update(
        self,
        sensor_state_id: int,
        *,
        since: TimeLike | None = None,
        till: TimeLike | None = None,
        info: Information | None = None,
        meter_eid: str | None = None,
        meter_type_name: str | None = None,
        meter_type_id: int | None = None,
    ) -> None:
        """Change a state (`PUT /sensors/states/{sensor_state_id}`); what is None stays as it is.

        Times are whole milliseconds here.

        Raises:
            InvalidInputError: an argument is refused locally, or there is nothing to change.
            NotFoundError: no such state.
            ConflictError: there is another state in that period.
            UnprocessableError: the service refuses the content.
        """
        start = None if since is None else to_whole_ms(since, "since")
        end = None if till is None else to_whole_ms(till, "till")
        _in_order(start, end)
        changes: dict[str, JsonValue] = {
            "sensor_state_id": checked_id("sensor_state_id", sensor_state_id),
            "since": start,
            "till": end,
            **_meter(info, meter_eid, meter_type_name, meter_type_id),
        }
        self._dialect.check_changes("sensor_states.update", changes)
        await self._sender.send(
            self._dialect.operation(
                "sensor_states.update",
                changes,
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def delete(self, sensor_state_id: int) -> None:
        """Delete a state (`DELETE /sensors/states/{sensor_state_id}`).

        A 404 after a lost answer means that the first attempt deleted it: that is not an error.

        Raises:
            NotFoundError: no such state.
        """
        await self._sender.send(
            self._dialect.operation(
                "sensor_states.delete",
                {"sensor_state_id": checked_id("sensor_state_id", sensor_state_id)},
                replay=True,
                writes=True,
                done_if_repeated=frozenset({404}),
                decode=codec.acknowledged,
            )
        )


def checked_information(info: Information | None) -> Mapping[str, JsonValue] | str | None:
    """Return additional information that can be sent.

    Raises:
        InvalidInputError: it is neither a mapping nor a text, or an empty text.
    """
    if info is None:
        return None
    return checked_object("info", info) if isinstance(info, Mapping) else checked_text("info", info)


def _meter(
    info: Information | None, meter_eid: str | None, meter_type_name: str | None, meter_type_id: int | None
) -> dict[str, JsonValue]:
    return {
        "info": checked_information(info),
        "meter_eid": optional(checked_text, "meter_eid", meter_eid),
        "meter_type_name": optional(checked_text, "meter_type_name", meter_type_name),
        "meter_type_id": optional(checked_id, "meter_type_id", meter_type_id),
    }


def _in_order(since: float | None, till: float | None) -> None:
    if since is not None and till is not None and since >= till:
        raise InvalidInputError("since", since, f"not before till={till}")
