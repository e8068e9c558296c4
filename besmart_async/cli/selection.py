"""What the options of a command mean to the service: moments, signals, queries."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs

from besmart_async.cli.exits import UsageError
from besmart_async.cli.options import Period, Wanted
from besmart_async.cli.output import error_line
from besmart_async.client import BesmartClient
from besmart_async.errors import InvalidInputError
from besmart_async.export import SensorSignals, signals_of
from besmart_async.ingest.parse.zones import Local, Problem, parse_time
from besmart_async.models.keys import SensorKey, SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.signal_types import SignalType

_AGO = re.compile(r"([0-9]{1,5})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_NAMED = 8


def wall_clock_ms() -> int:
    """The moment it is, UTC unix milliseconds."""
    return time.time_ns() // 1_000_000


def moment(option: str, text: str, zone: str | None, *, now_ms: Callable[[], int] = wall_clock_ms) -> int | float:
    """Return the moment that an option names.

    Raises:
        UsageError: it names none, or more than one.
    """
    plain = text.strip()
    if plain == "now":
        return now_ms()
    ago = _AGO.fullmatch(plain)
    if ago:
        return now_ms() - int(ago[1]) * _SECONDS[ago[2]] * 1000
    found = parse_time(plain, zone)
    if isinstance(found, Problem):
        raise UsageError(f"{option} {text!r} {found.reason}")
    if isinstance(found, Local):
        raise UsageError(f"{option} {text!r} is no single moment in {zone}; give it with its offset")
    return found


def window(period: Period) -> tuple[int | float, int | float]:
    """Return the start and end of a period.

    Raises:
        UsageError: one of them is no moment, or they are in the wrong order.
    """
    since = moment("--since", period.since, period.time_zone)
    till = moment("--till", period.till, period.time_zone)
    if since >= till:
        raise UsageError(f"--since {period.since} is not before --till {period.till}")
    return since, till


def named(arguments: Iterable[str], signals_from: Path | None) -> list[str]:
    """Return the names of signals and sensors from the command line and a file, each once.

    Raises:
        UsageError: there are none, or the file cannot be read.
    """
    names = list(arguments)
    if signals_from is not None:
        names += _lines(signals_from)
    if not names:
        raise UsageError("name at least one signal such as 12.122.32, or a sensor such as 12.122 for all its signals")
    return list(dict.fromkeys(names))


@attrs.frozen
class Chosen:
    """Signals to read.

    Attributes:
        keys: each once, in the order given.
        guessed: those of them that nobody named: a sensor's signal types, of which some may not exist.
    """

    keys: list[SignalKey]
    guessed: frozenset[SignalKey]


async def chosen(client: BesmartClient, names: Sequence[str]) -> Chosen:
    """Return the signals that are meant, each once: signals as they are, sensors as their signals.

    What `12.122` comes to is told on standard error: the signals that its states name; every signal type if they name
    none, or for `12.122.*`.

    Raises:
        InvalidInputError: a name is neither a signal nor a sensor.
        NotFoundError: no such sensor.
    """
    keys: dict[SignalKey, bool] = {}
    types: list[SignalType] | None = None
    for name in names:
        sensor, every = _sensor(name)
        if sensor is None:
            keys[SignalKey.parse(name)] = False
            continue
        types = await client.signals.types() if types is None else types
        found = await signals_of(sensor, client.sensor_states.list, types, every=every)
        error_line(_told(found))
        for key in found.keys:
            keys.setdefault(key, found.told_by == "types")
    return Chosen(list(keys), frozenset(key for key, guess in keys.items() if guess))


async def queries(
    client: BesmartClient, keys: Sequence[SignalKey], since: float, till: float, wanted: Wanted
) -> list[SignalQuery]:
    """Return what to ask for those signals.

    Raises:
        UsageError: the unit is not known.
        InvalidInputError: an option is refused locally.
    """
    unit = await _unit_id(client, wanted.unit) if wanted.unit is not None else None
    return [
        SignalQuery(
            key,
            since,
            till,
            get_last=wanted.get_last or None,
            delta_t=wanted.delta_t,
            raw=wanted.raw or None,
            output_unit_id=unit,
            signal_origin_id=wanted.origin,
        )
        for key in keys
    ]


async def _unit_id(client: BesmartClient, unit: str) -> int:
    if unit.isascii() and unit.isdigit():
        return int(unit)
    known = {kind.unit_symbol: kind.unit_id for kind in await client.signals.types() if kind.unit_symbol is not None}
    found = known.get(unit)
    if found is None:
        symbols = ", ".join(sorted(known))
        raise UsageError(f"--unit {unit!r}: the service's signal types tell ids of {symbols}; give the unit's id")
    return found


def _sensor(name: str) -> tuple[SensorKey | None, bool]:
    every = name.endswith(".*")
    plain = name.removesuffix(".*")
    if not every and plain.count(".") != 1:
        return None, False
    try:
        return SensorKey.parse(plain), every
    except InvalidInputError:
        problem = "write a signal as 12.122.32, or a sensor as 12.122 (its signals) or 12.122.* (every signal type)"
        raise InvalidInputError("signal", name, problem) from None


def _told(found: SensorSignals) -> str:
    if found.told_by == "types":
        return f"{found.sensor}: asking for each of the service's {len(found.keys)} signal types"
    names = ", ".join(map(str, found.keys[:_NAMED])) + (", …" if len(found.keys) > _NAMED else "")
    return f"{found.sensor}: {names}"


def _lines(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"--signals-from {path}: cannot be read: {reason}") from None
    plain = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in plain if line]
