"""`besmart meter-types`: meter types of a client."""

from __future__ import annotations

from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Json, Yes
from besmart_async.cli.terminal.output import write, write_json, write_records

ClientCid = Annotated[int, Parameter(help="The client.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class MeterTypeFields:
    """Fields of a meter type."""

    meter_type_name: str
    """Name of the type."""

    meter_type_id: int
    """Its id."""

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


def list_(client_cid: ClientCid, /, *, json: Json = False) -> None:
    """List the meter types of a client."""
    found = call(lambda client: client.meter_types.list(client_cid))
    if json:
        write_json(found)
    else:
        write_records(found, ("id", "meter_type_name", "number_of_phases", "is_ami", "is_balance", "is_dcu"))


def create(client_cid: ClientCid, /, *, fields: MeterTypeFields) -> None:
    """Create a meter type."""
    call(lambda client: client.meter_types.create(client_cid, **attrs.asdict(fields)))
    write(f"created meter type {fields.meter_type_id} of client {client_cid}")


def update(client_cid: ClientCid, /, *, fields: MeterTypeFields) -> None:
    """Change a meter type; the API requires its name, id and number of phases every time."""
    call(lambda client: client.meter_types.update(client_cid, **attrs.asdict(fields)))
    write(f"changed meter type {fields.meter_type_id} of client {client_cid}")


def delete(client_cid: ClientCid, /, *, yes: Yes = False) -> None:
    """Delete meter types of a client: the API takes no id here, so it may be all of them."""
    confirm(f"Delete meter types of client {client_cid}? The API takes no id: it may delete all of them.", yes=yes)
    call(lambda client: client.meter_types.delete(client_cid, confirm=True))
    write(f"deleted meter types of client {client_cid}")
