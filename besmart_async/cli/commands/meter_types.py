"""`besmart meter-types`: meter types of a client."""

from __future__ import annotations

from besmart_async.cli.client import call, confirm
from besmart_async.cli.options import Flag
from besmart_async.cli.terminal.output import write, write_json, write_records


def list_(client_cid: int, /, *, json: Flag = False) -> None:
    """List the meter types of a client.

    Parameters
    ----------
    client_cid
        The client.
    json
        Print JSON.
    """
    found = call(lambda client: client.meter_types.list(client_cid))
    if json:
        write_json(found)
    else:
        write_records(found, ("id", "meter_type_name", "number_of_phases", "is_ami", "is_balance", "is_dcu"))


def create(
    client_cid: int,
    /,
    *,
    meter_type_name: str,
    meter_type_id: int,
    number_of_phases: int,
    description: str | None = None,
    is_ami: bool | None = None,
    is_balance: bool | None = None,
    is_dcu: bool | None = None,
) -> None:
    """Create a meter type.

    Parameters
    ----------
    client_cid
        The client it is for.
    meter_type_name
        Its name.
    meter_type_id
        Its id.
    number_of_phases
        Number of phases.
    description
        Description.
    is_ami
        Whether it is an AMI meter.
    is_balance
        Whether it is a balance meter.
    is_dcu
        Whether it is a DCU.
    """
    call(
        lambda client: client.meter_types.create(
            client_cid,
            meter_type_name=meter_type_name,
            meter_type_id=meter_type_id,
            number_of_phases=number_of_phases,
            description=description,
            is_ami=is_ami,
            is_balance=is_balance,
            is_dcu=is_dcu,
        )
    )
    write(f"created meter type {meter_type_id} of client {client_cid}")


def update(
    client_cid: int,
    /,
    *,
    meter_type_name: str,
    meter_type_id: int,
    number_of_phases: int,
    description: str | None = None,
    is_ami: bool | None = None,
    is_balance: bool | None = None,
    is_dcu: bool | None = None,
) -> None:
    """Change a meter type; the API wants its name, id and number of phases every time.

    Parameters
    ----------
    client_cid
        The client it is of.
    meter_type_name
        Its name.
    meter_type_id
        Its id.
    number_of_phases
        Number of phases.
    description
        Description.
    is_ami
        Whether it is an AMI meter.
    is_balance
        Whether it is a balance meter.
    is_dcu
        Whether it is a DCU.
    """
    call(
        lambda client: client.meter_types.update(
            client_cid,
            meter_type_name=meter_type_name,
            meter_type_id=meter_type_id,
            number_of_phases=number_of_phases,
            description=description,
            is_ami=is_ami,
            is_balance=is_balance,
            is_dcu=is_dcu,
        )
    )
    write(f"changed meter type {meter_type_id} of client {client_cid}")


def delete(client_cid: int, /, *, yes: Flag = False) -> None:
    """Delete meter types of a client: the API takes no id here, so it may be all of them.

    Parameters
    ----------
    client_cid
        The client.
    yes
        Do not ask.
    """
    confirm(f"Delete meter types of client {client_cid}? The API takes no id: it may delete all of them.", yes=yes)
    call(lambda client: client.meter_types.delete(client_cid, confirm=True))
    write(f"deleted meter types of client {client_cid}")
