"""`besmart meter-types`: meter types of a client."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from besmart_async.cli.output import write_json, write_records
from besmart_async.cli.session import client_for
from besmart_async.models.meter_types import MeterType


def list_(client_cid: int, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the meter types of a client.

    Parameters
    ----------
    client_cid
        The client.
    json
        Print JSON.
    """

    async def ask() -> list[MeterType]:
        async with client_for() as client:
            return await client.meter_types.list(client_cid)

    found = asyncio.run(ask())
    if json:
        write_json(found)
    else:
        write_records(found, ("id", "meter_type_name", "number_of_phases", "is_ami", "is_balance", "is_dcu"))
