"""`besmart meter-types`: meter types of a client."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Json, Yes
from besmart_async.cli.terminal.output import write, write_json, write_records

ClientCid = Annotated[int, Parameter(help="The client.")]
MeterTypeId = Annotated[int | None, Parameter(help="Id of the meter type; besmart meter-types list shows the ids.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class MeterTypeFields:
    """Fields of a meter type."""

    meter_type_name: str
    """Name of the type."""

    number_of_phases: int
    """Number of phases."""

    description: str | None = None
    """Description."""

    is_ami: bool | None = None
    """Whether it is an AMI meter."""

    is_balance: bool | None = None
    """Whether it is a balance meter."""

    is_dcu: bool | None = None
    """Whether it is a DCU."""

    is_remote: bool | None = None
    """Whether it is read remotely (dialect live, like what follows)."""

    prefix_name: str | None = None
    """Prefix of the name."""

    default_cap_period: str | None = None
    """Default period between readings."""

    def arguments(self) -> dict[str, Any]:
        """Return them as the client takes them."""
        period = self.default_cap_period
        whole = int(period) if period is not None and period.isascii() and period.isdecimal() else period
        return {**attrs.asdict(self), "default_cap_period": whole}


def list_(client_cid: ClientCid, /, *, json: Json = False) -> None:
    """List the meter types of a client."""
    found = call(lambda client: client.meter_types.list(client_cid))
    if json:
        write_json(found)
    else:
        write_records(found, ("id", "meter_type_name", "number_of_phases", "is_ami", "is_balance", "is_dcu"))


def create(client_cid: ClientCid, /, *, meter_type_id: MeterTypeId = None, fields: MeterTypeFields) -> None:
    """Create a meter type. Its id is required, but not in the dialect live, where the service chooses it."""
    call(lambda client: client.meter_types.create(client_cid, meter_type_id=meter_type_id, **fields.arguments()))
    name = repr(fields.meter_type_name) if meter_type_id is None else meter_type_id
    write(f"created meter type {name} of client {client_cid}")


def update(client_cid: ClientCid, /, *, meter_type_id: int, fields: MeterTypeFields) -> None:
    """Change a meter type; the API requires its name, id and number of phases every time.

    Parameters
    ----------
    meter_type_id
        Its id.
    """
    call(lambda client: client.meter_types.update(client_cid, meter_type_id=meter_type_id, **fields.arguments()))
    write(f"changed meter type {meter_type_id} of client {client_cid}")


def delete(client_cid: ClientCid, /, *, meter_type_id: MeterTypeId = None, yes: Yes = False) -> None:
    """Delete a meter type by its id (dialect live).

    In the dialect documented the API takes no id here, so it may delete all of the client.
    """
    if meter_type_id is not None:
        confirm(f"Delete meter type {meter_type_id} of client {client_cid}?", yes=yes)
        call(lambda client: client.meter_types.delete(client_cid, meter_type_id=meter_type_id))
        write(f"deleted meter type {meter_type_id} of client {client_cid}")
        return
    confirm(f"Delete meter types of client {client_cid}? The API takes no id: it may delete all of them.", yes=yes)
    call(lambda client: client.meter_types.delete(client_cid, confirm=True))
    write(f"deleted meter types of client {client_cid}")
