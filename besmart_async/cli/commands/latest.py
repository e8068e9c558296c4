"""`besmart latest`: the last reading of each signal."""

from __future__ import annotations

from collections.abc import Mapping

from besmart_async.cli.client import call
from besmart_async.cli.exits import Exit
from besmart_async.cli.options import Chosen, Flag, Named, Origin, Signals, Zone, chosen, moment, named, wall_clock_ms
from besmart_async.cli.terminal.output import cell, error_line, stamp, write_json, write_table
from besmart_async.client import BesmartClient
from besmart_async.export import latest as find_latest
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType

_ORIGINS = {1: "measured", 2: "predicted", 3: "calculated", 4: "estimated", 5: "corrected"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def latest(
    signals: Signals = None,
    /,
    *,
    named_in: Named = Named(),  # noqa: B008 - a frozen value
    since: str | None = None,
    till: str = "now",
    time_zone: Zone = None,
    origin: Origin = None,
    json: Flag = False,
) -> int:
    """Show the last reading of each signal, after all corrections.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some signals could not be read, 4 not authenticated, 5 service
    unavailable.

    Parameters
    ----------
    since
        How far back to look: ISO 8601, unix milliseconds, or a time ago such as 7d, 12h, 2w; by default ten years.
    till
        The last reading up to this moment, in the same forms.
    json
        Print JSON: a list of objects; time and value are null where there is no reading.
    """
    names = named(signals or [], named_in.signals_from)
    end = moment("--till", till, time_zone)
    start = None if since is None else moment("--since", since, time_zone)

    async def ask(client: BesmartClient) -> tuple[Chosen, Mapping[SignalKey, SignalData | None], list[SignalType]]:
        wanted = await chosen(client, names)
        async with client.reader() as reader:
            found = await find_latest(reader, wanted.keys, end, since_ms=start, signal_origin_id=origin)
        return wanted, found, [] if json else await client.signals.types()

    wanted, found, types = call(ask)
    absent = [key for key, data in found.items() if data is None or data.absent]
    unanswered = wanted.unanswered(absent)
    shown = {
        key: data
        for key, data in found.items()
        if data is not None and key not in absent and (len(data) or key not in wanted.guessed)
    }
    if json:
        write_json([_record(data) for data in shown.values()])
    else:
        _write(shown, {kind.signal_type_moid: kind for kind in types})
    for name, problem in unanswered.items():
        error_line(f"{name}: {problem}")
    return Exit.REJECTED if unanswered else Exit.OK


def _record(data: SignalData) -> dict[str, object]:
    time, value, kind, origin = next(data.rows(), (None, None, None, None))
    key = data.key
    return {
        "signal": str(key),
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "time": None if time is None else stamp(time),
        "unix_ms": time,
        "value": value,
        "unit": data.unit,
        "type": kind,
        "origin": origin,
    }


def _write(found: Mapping[SignalKey, SignalData], types: Mapping[int | None, SignalType]) -> None:
    now = wall_clock_ms()
    rows: list[tuple[object, ...]] = []
    for key, data in found.items():
        kind = types.get(key.signal_type_moid)
        symbol = (kind and kind.symbol) or ""
        if not len(data):
            rows.append((key, symbol, "no reading", "", "", data.unit, ""))
            continue
        [(time, value, _, origin)] = data.rows()
        source = _ORIGINS.get(origin, origin) if origin is not None else None
        rows.append((key, symbol, stamp(time), _age(now - time), cell(value), data.unit, source))
    write_table(("signal", "type", "time", "age", "value", "unit", "origin"), rows, right=("age", "value"))


def _age(milliseconds: float) -> str:
    seconds = int(milliseconds // 1000)
    if seconds < 0:
        return ""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), (1, "s"))
    return f"{seconds // size} {unit}"
