"""Options that several commands share, and what they stand for: points in time, signals, queries."""

from __future__ import annotations

import importlib.util
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.exits import UsageError
from besmart_async.cli.outputs import check_replaceable
from besmart_async.cli.terminal.output import error_line
from besmart_async.client import BesmartClient
from besmart_async.errors import InvalidInputError, NotFoundError
from besmart_async.export import SensorSignals, signals_of
from besmart_async.ingest.parse.zones import Local, Problem, UnknownZoneError, parse_time, zone_of
from besmart_async.models.keys import SensorKey, SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.signal_types import SignalType
from besmart_async.plots import ImageFormat, image_format, is_picture

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""An option without a value."""
Json = Annotated[bool, Parameter(negative="", show_default=False, help="Print JSON.")]
Yes = Annotated[bool, Parameter(negative="", show_default=False, help="Do not ask for confirmation.")]
Sensor = Annotated[str, Parameter(help="The sensor, such as 12.122.")]
Signals = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        help="Signals such as 12.122.32, sensors such as 12.122 (the signals that their states name), or 12.122.*"
        " (every signal type).",
    ),
]
Origin = Annotated[
    int | None,
    Parameter(help="Only readings of this origin: 1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected."),
]
DeltaT = Annotated[int | None, Parameter(help="Have the service aggregate to periods of this many minutes.")]
UnitWanted = Annotated[
    str | None, Parameter(help="Unit of the values: a symbol such as kW.h, or the service's id of the unit.")
]
Zone = Annotated[str | None, Parameter(help="Time zone of times without an offset, such as Europe/Warsaw.")]
_START = Parameter(help="Start: ISO 8601 such as 2020-01-01T00:00:00Z, or unix milliseconds.")
StartTime = Annotated[str, _START]
Start = Annotated[str | None, _START]
End = Annotated[str | None, Parameter(help="End, in the same forms.")]
Info = Annotated[str | None, Parameter(help="Additional information: a JSON object or any text.")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Named:
    """Signals in addition to those named as arguments."""

    signals_from: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None
    """File with one signal or sensor per line; - for standard input."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Period:
    """A period."""

    since: str
    """Start: ISO 8601 such as 2020-01-01T00:00:00Z, unix milliseconds, a time ago such as 7d, 12h, 2w, or yesterday or
    today: midnight in --time-zone, without it in UTC. With --time-zone also a date: its midnight there."""

    till: str = "now"
    """End, in the same forms."""

    time_zone: Zone = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Wanted:
    """Which readings to read, and in what form: the options of the API."""

    get_last: Annotated[Flag, Parameter(name=("--get-last", "--last"))] = False
    """Of readings that were written more than once, only the newest."""

    raw: Flag = False
    """The raw signal, including readings that are marked as removed."""

    delta_t: DeltaT = None

    origin: Origin = None

    unit: UnitWanted = None


_AGO = re.compile(r"([0-9]{1,5})([mhdw])")
_DAYS_AGO = {"today": 0, "yesterday": 1}
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_NAMED = 8


def wall_clock_ms() -> int:
    """Return the current time, UTC unix milliseconds."""
    return time.time_ns() // 1_000_000


def moment(
    option: str, text: str, zone: str | None, *, days: bool = False, now_ms: Callable[[], int] = wall_clock_ms
) -> int | float:
    """Return the point in time that an option gives, UTC unix milliseconds.

    Args:
        option: its name.
        text: its value.
        zone: the zone of times without an offset.
        days: `today` and `yesterday` are taken, too: for periods, whose times need not be those of readings.
        now_ms: the clock.

    Raises:
        UsageError: the text is not a time, or can mean two.
    """
    plain = text.strip()
    if plain == "now":
        return now_ms()
    ago = _AGO.fullmatch(plain)
    if ago:
        return now_ms() - int(ago[1]) * _SECONDS[ago[2]] * 1000
    if days and plain in _DAYS_AGO:
        zone = zone or "UTC"
        plain = _date(_DAYS_AGO[plain], zone, now_ms())
    found = parse_time(plain, zone)
    if isinstance(found, Problem):
        raise UsageError(f"{option} {text!r} {found.reason}")
    if isinstance(found, Local):
        raise UsageError(
            f"{option} {text!r} is no single moment in {zone} (clocks change then); give it with its offset"
        )
    return found


def _date(days_ago: int, zone: str, now_ms: int) -> str:
    try:
        return str(datetime.fromtimestamp(now_ms / 1000, zone_of(zone)).date() - timedelta(days=days_ago))
    except UnknownZoneError as error:
        raise UsageError(f"--time-zone: {error}") from None


def window(period: Period) -> tuple[int | float, int | float]:
    """Return the start and end of a period.

    Raises:
        UsageError: one of them is not a time, or the start is not before the end.
    """
    since = moment("--since", period.since, period.time_zone, days=True)
    till = moment("--till", period.till, period.time_zone, days=True)
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


@attrs.frozen(kw_only=True)
class Chosen:
    """Signals to read.

    Attributes:
        keys: the signals, each once, in the order given.
        guessed: those among them that the user did not name: a sensor's signal types, some of which may not exist.
        unknown: sensors that the service does not know.
    """

    keys: list[SignalKey]
    guessed: frozenset[SignalKey]
    unknown: list[SensorKey]

    def unanswered(self, absent: Iterable[SignalKey]) -> dict[SignalKey | SensorKey, str]:
        """Return the signals and sensors for which there is no answer, with a text that says so.

        Args:
            absent: the signals that the service gave no answer for. A signal that was guessed is only one of them if
                no signal of its sensor has an answer.
        """
        missing = set(absent)
        answered = {key.sensor for key in self.keys if key not in missing}
        signals = [key for key in self.keys if key in missing and key not in self.guessed]
        silent = dict.fromkeys(key.sensor for key in self.keys if key in missing and key in self.guessed)
        sensors = [*self.unknown, *(sensor for sensor in silent if sensor not in answered)]
        return {
            **dict.fromkeys(signals, "no answer; is there such a signal?"),
            **dict.fromkeys(sensors, "no answer; is there such a sensor?"),
        }


async def chosen(client: BesmartClient, names: Sequence[str]) -> Chosen:
    """Return the signals that names stand for: for a sensor (`12.122`) those that its states name, or all its types.

    What a sensor stands for is written to standard error.

    Raises:
        InvalidInputError: a name is neither a signal nor a sensor.
    """
    keys: dict[SignalKey, bool] = {}
    unknown: list[SensorKey] = []
    types: list[SignalType] | None = None
    for name in names:
        sensor, every = _sensor(name)
        if sensor is None:
            keys[SignalKey.parse(name)] = False
            continue
        types = await client.signals.types() if types is None else types
        try:
            found = await signals_of(sensor, client.sensor_states.list, types, every=every)
        except NotFoundError:
            unknown.append(sensor)
            continue
        error_line(_described(found))
        for key in found.keys:
            keys.setdefault(key, found.told_by == "types")
    guessed = frozenset(key for key, guess in keys.items() if guess)
    return Chosen(keys=list(keys), guessed=guessed, unknown=unknown)


async def queries(
    client: BesmartClient, keys: Sequence[SignalKey], since: float, till: float, wanted: Wanted
) -> list[SignalQuery]:
    """Return the queries that read some signals.

    Raises:
        UsageError: the unit is unknown.
        InvalidInputError: an option has an impossible value.
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
        raise UsageError(
            f"--unit {unit!r}: the signal types of the service have only {symbols}; give the id of the unit"
        )
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


def _described(found: SensorSignals) -> str:
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


def picture_format(path: Path, option: str) -> ImageFormat:
    """Return the format of a picture's file; what can be checked before anything is read or sent is checked.

    Raises:
        InvalidInputError: the name has another ending.
        UsageError: there is no such folder, the extra `plot` is not installed, or there is a file that is something
            else than a picture of an earlier run.
    """
    form = image_format(path)
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")
    missing = [name for name in ("altair", "vl_convert") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"pictures need an extra ({' and '.join(missing)}): pip install 'besmart-async[plot]'")
    check_replaceable(option, path, is_picture)
    return form
