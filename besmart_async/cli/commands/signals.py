"""`besmart signals`: signal types and readings."""

from __future__ import annotations

from collections.abc import Iterable

from besmart_async.cli.client import call
from besmart_async.cli.exits import UsageError
from besmart_async.cli.options import Flag, Json, Period, Wanted, Zone, moment, queries, window
from besmart_async.cli.terminal.output import counted, write, write_json, write_records
from besmart_async.cli.terminal.readings import write_readings
from besmart_async.client import BesmartClient
from besmart_async.ingest.parse.numbers import parse_numbers
from besmart_async.ingest.sources.columns import as_column
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.values import REMOVED, JsonValue


def types(*, json: Json = False) -> None:
    """List the signal types."""
    found = call(lambda client: client.signals.types())
    if json:
        write_json(found)
    else:
        write_records(found, ("signal_type_moid", "symbol", "obis_mapping", "unit_symbol", "description"))


def read(
    signal: str,
    /,
    *,
    period: Period,
    wanted: Wanted = Wanted(),  # noqa: B008 - a frozen value
    apply_multiplier: bool | None = None,
    time_series_type: int | None = None,
    json: Json = False,
) -> None:
    """Read a signal and print its readings; besmart export writes many signals to a file.

    Parameters
    ----------
    signal
        The signal, such as 12.122.32.
    apply_multiplier
        Apply the multiplier of the signal, or not (dialect live).
    time_series_type
        Kind of time series, 0 to 2 (dialect live).
    """
    key = SignalKey.parse(signal)
    since, till = window(period)

    async def ask(client: BesmartClient) -> SignalData:
        [query] = await queries(client, [key], since, till, wanted)
        return await client.signals.read(
            query.key,
            query.since,
            query.till,
            get_last=query.get_last,
            delta_t=query.delta_t,
            raw=query.raw,
            output_unit_id=query.output_unit_id,
            signal_origin_id=query.signal_origin_id,
            apply_multiplier=apply_multiplier,
            time_series_type=time_series_type,
        )

    write_readings(call(ask), json=json)


def write_(
    signal: str,
    readings: list[str],
    /,
    *,
    unit: str | None = None,
    type: str = "DBL",  # noqa: A002 - the API's name
    origin: int = 1,
    time_zone: Zone = None,
    remove: Flag = False,
) -> None:
    """Write a few readings of a signal; besmart ingest sends files.

    Parameters
    ----------
    signal
        The signal, such as 12.122.32.
    readings
        Time and value of each, such as 2020-01-01T00:00:00Z=10.5; with --remove only times.
    unit
        Unit of the values, such as kW.h; by default that of the signal type.
    type
        Type name of the readings.
    origin
        Their origin: 1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected. Readings of other origins stay.
    remove
        Mark the readings of this origin at these times as removed.
    """
    key = SignalKey.parse(signal)
    if not readings:
        raise UsageError("give at least one TIME=VALUE")
    pairs = [(text, "") if remove else _pair(text) for text in readings]
    times = [moment("reading", time, time_zone) for time, _ in pairs]
    values: list[JsonValue] = [None] * len(pairs) if remove else list(_numbers(value for _, value in pairs))
    data = SignalData(key, times, values, REMOVED if remove else type, origin, unit)
    call(lambda client: client.signals.write(data))
    write(f"{'removed' if remove else 'wrote'} {counted(len(data), 'reading')} of {key}")


def _pair(text: str) -> tuple[str, str]:
    time, equals, value = text.rpartition("=")
    if not equals:
        raise UsageError(f"{text!r}: write a reading as TIME=VALUE, such as 2020-01-01T00:00:00Z=10.5")
    return time, value


def _numbers(texts: Iterable[str]) -> Iterable[float]:
    import numpy as np

    column = list(texts)
    numbers = parse_numbers(as_column(np.array(column, object)))
    for place, reason in numbers.problems.items():
        raise UsageError(f"{column[place]!r} {reason}")
    if numbers.absent.any():
        raise UsageError(f"{column[int(numbers.absent.argmax())]!r} is empty; write a reading as TIME=VALUE")
    found: list[float] = numbers.values.tolist()
    return found
