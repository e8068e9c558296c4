"""`client.signal_states`: register values at a state's ends. Source: section Signals of the API document."""

from __future__ import annotations

from besmart_async.models.checks import checked_number, optional
from besmart_async.models.keys import checked_id
from besmart_async.models.states import SignalState
from besmart_async.models.values import JsonValue
from besmart_async.resources.sensor_states import Information, checked_information
from besmart_async.wire import codec
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import OperationSender


class SignalStates:
    """Signal states. Arguments left at None are not sent; a cancelled change may be applied all the same."""

    def __init__(self, sender: OperationSender, dialect: Dialect = DOCUMENTED) -> None:
        self._sender = sender
        self._dialect = dialect

    async def create(
        self,
        sensor_state_id: int,
        signal_type_moid: int,
        *,
        value_for_since: float | None = None,
        value_for_till: float | None = None,
        info: Information | None = None,
    ) -> SignalState:
        """Create a signal state (`POST /sensors/states/{sensor_state_id}/signals`) and return it.

        Not repeated after a lost answer, since that could create it twice: such a failure has `outcome` `"in_doubt"`.

        Args:
            sensor_state_id: the sensor state.
            signal_type_moid: the signal's type.
            value_for_since: the register's value at the state's start, in the signal's unit.
            value_for_till: the register's value at its end.
            info: additional information.

        Raises:
            InvalidInputError: an argument is refused locally.
            NotFoundError: no such sensor state or signal type.
        """
        return await self._sender.send(
            self._dialect.operation(
                "signal_states.create",
                {
                    "sensor_state_id": checked_id("sensor_state_id", sensor_state_id),
                    "signal_type_moid": checked_id("signal_type_moid", signal_type_moid),
                    **_values(value_for_since, value_for_till),
                    "info": checked_information(info),
                },
                replay=False,
                writes=True,
                decode=codec.one(SignalState),
            )
        )

    async def update(
        self,
        signal_state_id: int,
        *,
        value_for_since: float | None = None,
        value_for_till: float | None = None,
        info: Information | None = None,
    ) -> None:
        """Change a signal state (`PUT /sensors/states/signals/{signal_state_id}`); what is None stays as it is.

        Raises:
            InvalidInputError: an argument is refused locally, or there is nothing to change.
            NotFoundError: no such signal state.
        """
        changes: dict[str, JsonValue] = {
            "signal_state_id": checked_id("signal_state_id", signal_state_id),
            **_values(value_for_since, value_for_till),
            "info": checked_information(info),
        }
        self._dialect.check_changes("signal_states.update", changes)
        await self._sender.send(
            self._dialect.operation(
                "signal_states.update",
                changes,
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def patch(
        self,
        signal_state_id: int,
        *,
        value_for_since: float | None = None,
        value_for_till: float | None = None,
    ) -> None:
        """Change values of a signal state (`PATCH /sensors/states/signals/{signal_state_id}`; dialect `live` only).

        Raises:
            InvalidInputError: an argument is refused locally, or there is nothing to change.
            UnsupportedOperationError: the client's dialect is not `live`.
            NotFoundError: no such signal state.
        """
        changes: dict[str, JsonValue] = {
            "signal_state_id": checked_id("signal_state_id", signal_state_id),
            **_values(value_for_since, value_for_till),
        }
        self._dialect.check_changes("signal_states.patch", changes)
        await self._sender.send(
            self._dialect.operation(
                "signal_states.patch",
                changes,
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def delete(self, signal_state_id: int) -> None:
        """Delete a signal state (`DELETE /sensors/states/signals/{signal_state_id}`).

        A 404 after a lost answer means that the first attempt deleted it: that is not an error.

        Raises:
            NotFoundError: no such signal state.
        """
        await self._sender.send(
            self._dialect.operation(
                "signal_states.delete",
                {"signal_state_id": checked_id("signal_state_id", signal_state_id)},
                replay=True,
                writes=True,
                done_if_repeated=frozenset({404}),
                decode=codec.acknowledged,
            )
        )


def _values(value_for_since: float | None, value_for_till: float | None) -> dict[str, JsonValue]:
    return {
        "value_for_since": optional(checked_number, "value_for_since", value_for_since),
        "value_for_till": optional(checked_number, "value_for_till", value_for_till),
    }
