"""The mapping file, in TOML: what the files of a utility look like and mean.

Tables: `[file]`, `[preamble]`, `[columns]`, `[[series]]`, `[wide]`, `[time]`, `[values]`, `[origins]`, `[signals]` with
`[signals.names]`, and `[meters]` with `[meters.names]`, `[meters.factors]` and `[meters.create]`. All are optional, and
so are their keys; docs/mapping-files.md describes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast, get_args

import attrs

from besmart_async.errors import InvalidInputError
from besmart_async.ingest.mapping.form import encoding_of, form_of
from besmart_async.ingest.mapping.meters import Meter, NewSensors
from besmart_async.ingest.mapping.signals import unit_of
from besmart_async.ingest.mapping.toml import MappingError, TomlTable
from besmart_async.ingest.parse.formats import NUMBERED, refusal_of
from besmart_async.ingest.parse.numbers import Thousands
from besmart_async.ingest.parse.parser import ORIGINS, ParseOptions
from besmart_async.ingest.parse.passes import WORDS, fixed_zone
from besmart_async.ingest.parse.zones import DstRule, UnknownZoneError, zone_of
from besmart_async.ingest.sources.layout import FileForm, plain_cell
from besmart_async.models.keys import SensorKey
from besmart_async.models.times import to_ms

__all__ = ["FileMapping", "MappingError", "MeterRules", "encoding_of", "mapping_of", "read_mapping"]

REFUSE = "reject"
_CALENDARS: tuple[Literal["clock", "elapsed"], ...] = ("clock", "elapsed")
_MOST_SENSORS = 100_000


@attrs.frozen(kw_only=True)
class MeterRules:
    """How to find the sensor of a meter.

    Attributes:
        table: CSV file of meters; None for none.
        names: meters by name, in addition to the table.
        looked_through: sensors whose `sensor_eid` may be a meter's name.
        create: properties of sensors to create for meters that are not found; None to create none.
    """

    table: Path | None = None
    names: dict[str, Meter] = attrs.field(factory=dict[str, Meter])
    looked_through: tuple[SensorKey, ...] = ()
    create: NewSensors | None = None


@attrs.frozen(kw_only=True)
class FileMapping:
    """The content of a mapping file.

    Attributes:
        form: what the files look like.
        reading: how to parse them.
        signal_type: OBIS code, symbol or id of the signal type if neither the row nor the meter names one.
        meters: how to find the sensor of a meter.
    """

    form: FileForm = attrs.field(factory=FileForm)
    reading: ParseOptions = attrs.field(factory=ParseOptions)
    signal_type: str | None = None
    meters: MeterRules = attrs.field(factory=MeterRules)


def read_mapping(path: Path) -> FileMapping:
    """Read a mapping file.

    Raises:
        MappingError: the text names the file, the key, its value and what is allowed.
    """
    return _mapping(TomlTable.of_file(path), path.parent)


def mapping_of(text: str, name: str, folder: Path | None = None) -> FileMapping:
    """Read the text of a mapping file.

    Args:
        text: the content.
        name: the file's name in errors.
        folder: where a table of meters is; None: the working folder.

    Raises:
        MappingError: the text names the file, the key, its value and what is allowed.
    """
    return _mapping(TomlTable.of_text(text.encode(), name), folder or Path())


def _mapping(whole: TomlTable, folder: Path) -> FileMapping:
    form = form_of(whole)
    signals, meters = whole.table("signals"), whole.table("meters")
    factors = meters.table("factors").factors()
    reading = attrs.evolve(
        _reading(whole, signals, form), factors={plain_cell(name): by for name, by in factors.items()}
    )
    default = signals.text("default")
    signals.done()
    rules = _meters(meters, folder)
    whole.done()
    return FileMapping(form=form, reading=reading, signal_type=default, meters=rules)


def _reading(whole: TomlTable, signals: TomlTable, form: FileForm) -> ParseOptions:
    time, values, origins = whole.table("time"), whole.table("values"), whole.table("origins")
    rules = cast("tuple[DstRule | Literal['reject'], ...]", (REFUSE, *get_args(DstRule)))
    rule = time.choice("dst", rules)
    interval = time.choice("interval", cast("tuple[Literal['start', 'end'], ...]", ("start", "end")))
    decimal = values.choice("decimal", (".", ","))
    found = ParseOptions(
        time_zone=time.checked("zone", _zone),
        dst=None if rule is None or rule == "reject" else rule,
        time_format=time.checked("format", _time_format),
        interval=interval or "start",
        resolution_ms=time.duration_ms("resolution"),
        decimal_comma=decimal == ",",
        missing=values.texts("missing"),
        unit=values.checked("unit", _unit),
        origins=origins.pairs(_origin),
        signals=signals.table("names").pairs(str),
        ignored=frozenset(signals.texts("ignore")),
        ends=time.choice("ends", _CALENDARS) or "clock",
        hours=time.choice("hours", _CALENDARS) or "clock",
        zone_names=time.table("zones").pairs(_zone_or_pass),
        thousands=values.choice("thousands", cast("tuple[Thousands, ...]", get_args(Thousands))),
        earliest_ms=time.checked("earliest", _moment),
        latest_ms=time.checked("latest", _moment),
        history=signals.choice("history", cast("tuple[Literal['reject', 'ignore'], ...]", ("reject", "ignore")))
        or "reject",
    )
    if found.thousands == ("," if found.decimal_comma else "."):
        raise values.error("thousands", 'is the decimal point as well; say values.decimal, "." or ","')
    wide = form.kind == "wide" and form.slots != "moments"
    if found.interval == "end" and found.resolution_ms is None and not wide:
        raise time.error("interval", 'needs the length of a period: say time.resolution, such as "15min"')
    for table in (time, values):
        table.done()
    return found


def _meters(meters: TomlTable, folder: Path) -> MeterRules:
    table = meters.text("table")
    looked_through: list[SensorKey] = []
    for text in meters.texts("sensor_eid"):
        try:
            looked_through += _sensors(text)
        except ValueError as error:
            raise meters.error("sensor_eid", str(error)) from None
    creation = meters.table("create")
    client_cid = creation.number("client_cid", 0)
    sensor_type = creation.text("sensor_type")
    if client_cid is None and sensor_type is not None:
        raise creation.error("sensor_type", "needs create.client_cid, the client the sensors belong to")
    creation.done()
    found = MeterRules(
        table=folder / table if table else None,
        names={
            plain_cell(name): meter
            for name, meter in meters.table("names").pairs(lambda text: Meter(_sensor(text))).items()
        },
        looked_through=tuple(looked_through),
        create=None if client_cid is None else NewSensors(client_cid, sensor_type or NewSensors.sensor_type),
    )
    meters.done()
    return found


def _zone_or_pass(text: str) -> str:
    if text in WORDS or fixed_zone(text) is not None:
        return text
    try:
        zone_of(text)
    except UnknownZoneError:
        raise ValueError(f"is no time zone; give one, or one of {', '.join(WORDS)}") from None
    return text


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError('is no date; write it like "2024-03-31"') from None
    return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _zone(name: str) -> str:
    try:
        zone_of(name)
    except UnknownZoneError:
        raise ValueError("is no time zone; give an IANA name such as Europe/Warsaw, UTC, or +01:00") from None
    return name


def _time_format(written: str) -> str:
    if written in NUMBERED:
        return written
    problem = refusal_of(written)
    if problem is not None:
        raise ValueError(problem)
    return written


def _unit(text: str) -> str:
    if unit_of(text) is None:
        raise ValueError("is no known unit; give one such as Wh, kWh, MWh, W, kW, var, kvarh, V, A or Hz")
    return text


def _origin(name: str) -> int:
    origin = ORIGINS.get(name.casefold()) if name else None
    if origin is None:
        raise ValueError(f"is no origin; give one of {', '.join(filter(None, ORIGINS))}")
    return origin


def _sensor(text: str) -> SensorKey:
    try:
        return SensorKey.parse(text)
    except InvalidInputError:
        raise ValueError("is not a sensor; write client_cid.sensor_mid, such as 12.122") from None


def _sensors(text: str) -> Iterator[SensorKey]:
    first, _, last = text.partition("-")
    try:
        start, end = SensorKey.parse(first.strip()), SensorKey.parse((last or first).strip())
    except InvalidInputError:
        raise ValueError("is not a sensor or a range; write 12.122, or a range such as 12.100-12.400") from None
    if start.client_cid != end.client_cid or not 0 <= end.sensor_mid - start.sensor_mid < _MOST_SENSORS:
        raise ValueError(f"is no range of one client's sensors, up to {_MOST_SENSORS:,} of them")
    return (SensorKey(start.client_cid, mid) for mid in range(start.sensor_mid, end.sensor_mid + 1))
