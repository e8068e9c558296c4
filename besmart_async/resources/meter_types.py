"""`client.meter_types`: meter types of a client. Source: section Sensors of the API document."""

from __future__ import annotations

from besmart_async.errors import InvalidInputError
from besmart_async.models.checks import checked_flag, checked_text, optional
from besmart_async.models.keys import checked_id
from besmart_async.models.meter_types import MeterType
from besmart_async.wire import codec
from besmart_async.wire.operation import Operation, OperationSender
from besmart_async.wire.parameters import query


class MeterTypes:
    """Meter types. Arguments left at None are not sent; a cancelled change may be applied all the same."""

    def __init__(self, sender: OperationSender) -> None:
        self._sender = sender

    async def list(self, client_cid: int) -> list[MeterType]:
        """List a client's meter types (`GET /sensors/{client_cid}/meters`)."""
        return await self._sender.send(
            Operation(
                name="meter_types.list",
                method="GET",
                path="/sensors/{client_cid}/meters",
                path_params={"client_cid": checked_id("client_cid", client_cid)},
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
        meter_type_id: int,
        number_of_phases: int,
        description: str | None = None,
        is_ami: bool | None = None,
        is_balance: bool | None = None,
        is_dcu: bool | None = None,
    ) -> None:
        """Create a meter type (`POST /sensors/{client_cid}/meters`).

        Not repeated after a lost answer: such a failure has `outcome` `"in_doubt"`.

        Raises:
            InvalidInputError: an argument is refused locally.
            NotFoundError: no such client.
            ConflictError: it contradicts one that exists.
            UnprocessableError: the service refuses the content.
        """
        await self._sender.send(
            Operation(
                name="meter_types.create",
                method="POST",
                path="/sensors/{client_cid}/meters",
                path_params={"client_cid": checked_id("client_cid", client_cid)},
                query=_fields(
                    meter_type_name, meter_type_id, number_of_phases, description, is_ami, is_balance, is_dcu
                ),
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
    ) -> None:
        """Change a meter type (`PUT /sensors/{client_cid}/meters`); the document requires the first three fields.

        Raises:
            InvalidInputError: an argument is refused locally.
        """
        await self._sender.send(
            Operation(
                name="meter_types.update",
                method="PUT",
                path="/sensors/{client_cid}/meters",
                path_params={"client_cid": checked_id("client_cid", client_cid)},
                query=_fields(
                    meter_type_name, meter_type_id, number_of_phases, description, is_ami, is_balance, is_dcu
                ),
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def delete(self, client_cid: int, *, confirm: bool) -> None:
        """Delete meter types (`DELETE /sensors/{client_cid}/meters`).

        Warning: the document gives this operation no meter type id. Nobody outside the service can tell which one it
        deletes; it may be **all** meter types of the client. Therefore `confirm=True` has to be given.

        Raises:
            InvalidInputError: `confirm` is not True.
        """
        if confirm is not True:
            raise InvalidInputError(
                "confirm", confirm, "this may delete all meter types of the client; confirm=True to go on"
            )
        await self._sender.send(
            Operation(
                name="meter_types.delete",
                method="DELETE",
                path="/sensors/{client_cid}/meters",
                path_params={"client_cid": checked_id("client_cid", client_cid)},
                replay=True,
                writes=True,
                done_if_repeated=frozenset({404}),
                decode=codec.acknowledged,
            )
        )


def _fields(
    meter_type_name: str,
    meter_type_id: int,
    number_of_phases: int,
    description: str | None,
    is_ami: bool | None,
    is_balance: bool | None,
    is_dcu: bool | None,
) -> tuple[tuple[str, str], ...]:
    return query(
        ("meter_type_name", checked_text("meter_type_name", meter_type_name)),
        ("meter_type_id", checked_id("meter_type_id", meter_type_id)),
        ("description", optional(checked_text, "description", description)),
        ("number_of_phases", checked_id("number_of_phases", number_of_phases)),
        ("is_ami", optional(checked_flag, "is_ami", is_ami)),
        ("is_balance", optional(checked_flag, "is_balance", is_balance)),
        ("is_dcu", optional(checked_flag, "is_dcu", is_dcu)),
    )
