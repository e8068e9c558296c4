"""`client.meter_types`: meter types of a client. Source: section Sensors of the API document.

In the dialect `live` they are under `/clients/{client_cid}/meters`, and the service chooses the id.
"""

from __future__ import annotations

from besmart_async.errors import InvalidInputError
from besmart_async.models.checks import checked_flag, checked_scalar, checked_text, optional
from besmart_async.models.keys import checked_id
from besmart_async.models.meter_types import MeterType
from besmart_async.models.values import JsonValue
from besmart_async.wire import codec
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import OperationSender


class MeterTypes:
    """Meter types. Arguments left at None are not sent; a cancelled change may be applied all the same."""

    def __init__(self, sender: OperationSender, dialect: Dialect = DOCUMENTED) -> None:
        self._sender = sender
        self._dialect = dialect

    async def list(self, client_cid: int) -> list[MeterType]:
        """List a client's meter types (`GET /sensors/{client_cid}/meters`)."""
        return await self._sender.send(
            self._dialect.operation(
                "meter_types.list",
                {"client_cid": checked_id("client_cid", client_cid)},
                replay=True,
                writes=False,
                decode=codec.many(MeterType),
            )
        )

    async def create(
        self,
        client_cid: int,
        *,
        meter_type_name: str,
        meter_type_id: int | None = None,
        number_of_phases: int,
        description: str | None = None,
        is_ami: bool | None = None,
        is_balance: bool | None = None,
        is_dcu: bool | None = None,
        is_remote: bool | None = None,
        prefix_name: str | None = None,
        default_cap_period: int | str | None = None,
    ) -> None:
        """Create a meter type (`POST /sensors/{client_cid}/meters`).

        Not repeated after a lost answer: such a failure has `outcome` `"in_doubt"`.

        Args:
            client_cid: the client.
            meter_type_name: name of the type.
            meter_type_id: its id, required in the dialect `documented`. In the dialect `live` the service chooses it;
                `list` shows it.
            number_of_phases: number of phases.
            description: description.
            is_ami: whether it is an AMI meter.
            is_balance: whether it is a balance meter.
            is_dcu: whether it is a DCU.
            is_remote: whether it is read remotely (dialect `live` only, like what follows).
            prefix_name: prefix of the name.
            default_cap_period: default period between readings; its unit is not known.

        Raises:
            InvalidInputError: an argument is refused locally, or the client's dialect does not have it.
            NotFoundError: no such client.
            ConflictError: it contradicts one that exists.
            UnprocessableError: the service refuses the content.
        """
        fields = _fields(meter_type_name, meter_type_id, number_of_phases, description, is_ami, is_balance, is_dcu)
        await self._sender.send(
            self._dialect.operation(
                "meter_types.create",
                {
                    "client_cid": checked_id("client_cid", client_cid),
                    **fields,
                    **_live_fields(is_remote, prefix_name, default_cap_period),
                },
                replay=False,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def update(
        self,
        client_cid: int,
        *,
        meter_type_name: str,
        meter_type_id: int,
        number_of_phases: int,
        description: str | None = None,
        is_ami: bool | None = None,
        is_balance: bool | None = None,
        is_dcu: bool | None = None,
        is_remote: bool | None = None,
        prefix_name: str | None = None,
        default_cap_period: int | str | None = None,
    ) -> None:
        """Change a meter type (`PUT /sensors/{client_cid}/meters`); the service requires the first three fields.

        In the dialect `live` it is `PUT /clients/{client_cid}/meters/{meter_type_id}`.

        Raises:
            InvalidInputError: an argument is refused locally, or the client's dialect does not have it.
            NotFoundError: no such meter type.
        """
        fields = _fields(meter_type_name, meter_type_id, number_of_phases, description, is_ami, is_balance, is_dcu)
        await self._sender.send(
            self._dialect.operation(
                "meter_types.update",
                {
                    "client_cid": checked_id("client_cid", client_cid),
                    **fields,
                    "meter_type_id": checked_id("meter_type_id", meter_type_id),
                    **_live_fields(is_remote, prefix_name, default_cap_period),
                },
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def delete(self, client_cid: int, *, meter_type_id: int | None = None, confirm: bool = False) -> None:
        """Delete a meter type (`DELETE /clients/{client_cid}/meters/{meter_type_id}`; dialect `live`).

        Warning: in the dialect `documented` (`DELETE /sensors/{client_cid}/meters`) there is no meter type id. Nobody
        outside the service can tell which one it deletes; it may be **all** meter types of the client. Therefore
        `confirm=True` has to be given there.

        Raises:
            InvalidInputError: `confirm` is not True, or there is no `meter_type_id` where the dialect has it.
            NotFoundError: no such meter type. After a lost answer it means that the first try deleted it, and is no
                error.
        """
        operation = self._dialect.operation(
            "meter_types.delete",
            {
                "client_cid": checked_id("client_cid", client_cid),
                "meter_type_id": optional(checked_id, "meter_type_id", meter_type_id),
            },
            replay=True,
            writes=True,
            done_if_repeated=frozenset({404}),
            decode=codec.acknowledged,
        )
        if meter_type_id is None and confirm is not True:
            raise InvalidInputError(
                "confirm", confirm, "this may delete all meter types of the client; confirm=True to go on"
            )
        await self._sender.send(operation)


def _fields(
    meter_type_name: str,
    meter_type_id: int | None,
    number_of_phases: int,
    description: str | None,
    is_ami: bool | None,
    is_balance: bool | None,
    is_dcu: bool | None,
) -> dict[str, JsonValue]:
    return {
        "meter_type_name": checked_text("meter_type_name", meter_type_name),
        "meter_type_id": optional(checked_id, "meter_type_id", meter_type_id),
        "description": optional(checked_text, "description", description),
        "number_of_phases": checked_id("number_of_phases", number_of_phases),
        "is_ami": optional(checked_flag, "is_ami", is_ami),
        "is_balance": optional(checked_flag, "is_balance", is_balance),
        "is_dcu": optional(checked_flag, "is_dcu", is_dcu),
    }


def _live_fields(
    is_remote: bool | None, prefix_name: str | None, default_cap_period: int | str | None
) -> dict[str, JsonValue]:
    return {
        "is_remote": optional(checked_flag, "is_remote", is_remote),
        "prefix_name": optional(checked_text, "prefix_name", prefix_name),
        "default_cap_period": optional(checked_scalar, "default_cap_period", default_cap_period),
    }
