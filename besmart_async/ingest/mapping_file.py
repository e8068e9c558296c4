"""The mapping file: what a utility's files look like and mean, in TOML.

Tables: `[file]`, `[columns]`, `[wide]`, `[time]`, `[values]`, `[origins]`, `[signals]` with `[signals.names]`, and
`[meters]` with `[meters.names]` and `[meters.create]`. All are optional, and so are their keys; README describes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, cast, get_args

import attrs

from besmart_async.errors import InvalidInputError
from besmart_async.ingest.layout import COLUMN_NAMES, FileForm, LayoutKind
from besmart_async.ingest.meters import Meter, NewSensors
from besmart_async.ingest.parsing import ORIGINS, Reading
from besmart_async.ingest.slots import SlotKind
from besmart_async.ingest.sources.formats import format_names
from besmart_async.ingest.toml_tables import Table
from besmart_async.ingest.units import unit_of
from besmart_async.ingest.zones import DstRule, UnknownZoneError, zone_of
from besmart_async.models.keys import SensorKey

REFUSE = "reject"
_MOST_SENSORS = 100_000


@attrs.frozen(kw_only=True)
class MeterRules:
    """Which sensor a meter is.

    Attributes:
        table: CSV file of meters; None for none.
        names: meters by name, beside the table.
        looked_through: sensors whose `sensor_eid` may be a meter's name.
        create: what the sensors of meters that are not found are made like; None if that is not told.
    """

    table: Path | None = None
    names: dict[str, Meter] = attrs.field(factory=dict[str, Meter])
    looked_through: tuple[SensorKey, ...] = ()
    create: NewSensors | None = None


@attrs.frozen(kw_only=True)
class FileMapping:
    """What a mapping file tells.

    Attributes:
        form: what the files look like.
        reading: what their texts mean.
        signal_type: OBIS code, symbol or id of the signal type where neither the row nor the meter tells it.
        meters: which sensor a meter is.
    """

    form: FileForm = attrs.field(factory=FileForm)
    reading: Reading = attrs.field(factory=Reading)
    signal_type: str | None = None
    meters: MeterRules = attrs.field(factory=MeterRules)


def read_mapping(path: Path) -> FileMapping:
    """Read a mapping file.

    Raises:
        MappingError: naming the file, the key, its value and what is allowed.
    """
    whole = Table.of_file(path)
    form = _form(whole.table("file"), whole.table("columns"), whole.table("wide"))
    signals = whole.table("signals")
    reading = _reading(whole, signals, form)
    default = signals.text("default")
    signals.done()
    meters = _meters(whole.table("meters"), path.parent)
    whole.done()
    return FileMapping(form=form, reading=reading, signal_type=default, meters=meters)


def _form(file: Table, columns: Table, wide: Table) -> FileForm:
    first, last = wide.columns("first"), wide.columns("last")
    titles = {role: columns.columns(role) for role in COLUMN_NAMES}
    header_row = file.number("header_row", 0)
    found = FileForm(
        format=file.choice("format", format_names()),
        encoding=file.checked("encoding", encoding_of) or "utf-8-sig",
        delimiter=file.checked("delimiter", _delimiter),
        header_row=1 if header_row is None else header_row,
        kind=file.choice("layout", cast("tuple[LayoutKind, ...]", get_args(LayoutKind))),
        columns={role: names for role, names in titles.items() if names},
        first_slot=first[0] if first else None,
        last_slot=last[0] if last else None,
        slots=wide.choice("slots", cast("tuple[SlotKind, ...]", get_args(SlotKind))),
        step_ms=wide.duration_ms("step"),
    )
    for table in (file, columns, wide):
        table.done()
    if found.header_row == 0:
        for role, names in found.columns.items():
            if not all(isinstance(name, int) for name in names):
                raise columns.error(role, "is a title, and file.header_row = 0 says that there are none; give a number")
    return found


def _reading(whole: Table, signals: Table, form: FileForm) -> Reading:
    time, values, origins = whole.table("time"), whole.table("values"), whole.table("origins")
    rules = cast("tuple[DstRule | Literal['reject'], ...]", (REFUSE, *get_args(DstRule)))
    rule = time.choice("dst", rules)
    interval = time.choice("interval", cast("tuple[Literal['start', 'end'], ...]", ("start", "end")))
    decimal = values.choice("decimal", (".", ","))
    found = Reading(
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
    )
    if found.interval == "end" and found.resolution_ms is None and form.kind != "wide":
        raise time.error("interval", 'needs the length of a period: say time.resolution, such as "15min"')
    for table in (time, values):
        table.done()
    return found


def _meters(meters: Table, folder: Path) -> MeterRules:
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
        names=meters.table("names").pairs(lambda text: Meter(_sensor(text))),
        looked_through=tuple(looked_through),
        create=None if client_cid is None else NewSensors(client_cid, sensor_type or NewSensors.sensor_type),
    )
    meters.done()
    return found


def encoding_of(name: str) -> str:
    """Return the name of an encoding as Python knows it; that of UTF-8 leaves out a byte-order mark.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        "".encode(name)
    except LookupError:
        raise ValueError("is no encoding; give one such as cp1250") from None
    return "utf-8-sig" if name.casefold().replace("-", "").replace("_", "") == "utf8" else name


def _delimiter(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise ValueError('is no delimiter; give one character such as ";" or "\\t"')
    return text


def _zone(name: str) -> str:
    try:
        zone_of(name)
    except UnknownZoneError:
        raise ValueError("is no time zone; give an IANA name such as Europe/Warsaw, UTC, or +01:00") from None
    return name


def _time_format(written: str) -> str:
    moment = datetime(2024, 12, 31, 23, 59, 58)
    try:
        read = datetime.strptime(moment.strftime(written), written)
    except ValueError as error:
        raise ValueError(f"is no format of times, such as %d.%m.%Y %H:%M ({error})") from None
    if read.date() != moment.date():
        raise ValueError("does not tell year, month and day; write it like %d.%m.%Y %H:%M")
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
        raise ValueError("is no sensor; write client_cid.sensor_mid, such as 12.122") from None


def _sensors(text: str) -> Iterator[SensorKey]:
    first, _, last = text.partition("-")
    try:
        start, end = SensorKey.parse(first.strip()), SensorKey.parse((last or first).strip())
    except InvalidInputError:
        raise ValueError("are no sensors; write 12.122, or a range such as 12.100-12.400") from None
    if start.client_cid != end.client_cid or not 0 <= end.sensor_mid - start.sensor_mid < _MOST_SENSORS:
        raise ValueError(f"is no range of one client's sensors, up to {_MOST_SENSORS:,} of them")
    return (SensorKey(start.client_cid, mid) for mid in range(start.sensor_mid, end.sensor_mid + 1))
