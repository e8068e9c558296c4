"""`besmart signals`: signal types and readings."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from besmart_async.cli.exits import UsageError
from besmart_async.cli.output import cell, error_line, write, write_json, write_records
from besmart_async.cli.session import client_for
from besmart_async.ingest.time_texts import Problem, parse_time
from besmart_async.ingest.zones import Local
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType
from besmart_async.models.times import from_ms
from besmart_async.wire.columns import encode_item

Json = Annotated[bool, Parameter(negative="")]


def types(*, json: Json = False) -> None:
    """List the signal types.

    Parameters
    ----------
    json
        Print JSON.
    """

    async def ask() -> list[SignalType]:
        async with client_for() as client:
            return await client.signals.types()

    found = asyncio.run(ask())
    if json:
        write_json(found)
    else:
        write_records(found, ("signal_type_moid", "symbol", "obis_mapping", "unit_symbol", "description"))


def read(
    signal: str,
    /,
    *,
    since: str,
    till: str,
    time_zone: str | None = None,
    last: Annotated[bool, Parameter(negative="")] = False,
    origin: int | None = None,
    delta_t: int | None = None,
    json: Json = False,
) -> None:
    """Read a signal.

    Parameters
    ----------
    signal
        The signal, such as 12.122.32.
    since
        Start: ISO 8601 such as 2020-01-01T00:00:00Z, or unix milliseconds.
    till
        End, in the same forms.
    time_zone
        Zone of times without an offset, such as Europe/Warsaw.
    last
        Of readings that were written more than once, only the newest.
    origin
        Only readings of this origin: 1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected.
    delta_t
        Aggregate to so many minutes.
    json
        Print JSON.
    """
    key = SignalKey.parse(signal)
    window = _moment("--since", since, time_zone), _moment("--till", till, time_zone)

    async def ask() -> SignalData:
        async with client_for() as client:
            return await client.signals.read(
                key, *window, get_last=last or None, signal_origin_id=origin, delta_t=delta_t
            )

    found = asyncio.run(ask())
    if json:
        write(encode_item(found).decode())
        return
    value = f"value [{found.unit}]" if found.unit else "value"
    write(f"{'time':<24} {value:>20} type origin")
    for time, reading, kind, code in found.rows():
        stamp = from_ms(time).isoformat().replace("+00:00", "Z")
        write(f"{stamp:<24} {cell(reading):>20} {cell(kind):<4} {cell(code):>6}")
    error_line(f"{len(found):,} readings")


def _moment(option: str, text: str, zone: str | None) -> int | float:
    moment = parse_time(text, zone)
    if isinstance(moment, Problem):
        raise UsageError(f"{option} {text!r} {moment.reason}")
    if isinstance(moment, Local):
        raise UsageError(f"{option} {text!r} is no single moment in {zone}; give it with its offset")
    return moment
