"""The mapping file, in TOML: what the files of a utility look like and mean.

Tables: `[file]`, `[columns]`, `[wide]`, `[time]`, `[values]`, `[origins]`, `[signals]` with `[signals.names]`, and
`[meters]` with `[meters.names]` and `[meters.create]`. All are optional, and so are their
keys; docs/mapping-files.md describes them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

import attrs

from besmart_async.errors import BesmartError, InvalidInputError, visible
from besmart_async.ingest.mapping.meters import Meter, NewSensors
from besmart_async.ingest.mapping.signals import unit_of
from besmart_async.ingest.parse.parser import ORIGINS, ParseOptions
from besmart_async.ingest.parse.zones import DstRule, UnknownZoneError, zone_of
from besmart_async.ingest.sources.layout import COLUMN_NAMES, FileForm, LayoutKind, SlotKind
from besmart_async.ingest.sources.registry import format_names
from besmart_async.models.keys import SensorKey

T = TypeVar("T")

_MOST_BYTES = 16 << 20
"""Bytes of a mapping file: names of 100,000 meters take 4 MB."""
_MOST_PARTS = 100
_LONG_KEY = re.compile(rb"(?:\.[^.\n=\[\]{},]{0,100}){%d}" % _MOST_PARTS)
_DURATION = re.compile(r"([0-9]+)\s*(ms|s|min|h|d)")
_UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class MappingError(BesmartError):
    """A mapping file is wrong.

    Attributes:
        file: its name.
        key: the key at fault, such as `time.zone`; None if the file cannot be read at all.
        problem: what is wrong with its value, and what is allowed.
    """

    def __init__(self, file: str, key: str | None, problem: str) -> None:
        """Name the file, the key and the problem."""
        super().__init__(f"{visible(file, one_line=True)}: {f'{key} ' if key else ''}{problem}")
        self.file = file
        self.key = key
        self.problem = problem


class TomlTable:
    """A TOML table, read key by key. `done` refuses the keys that were never read."""

    def __init__(self, file: str, name: str, values: Mapping[str, object]) -> None:
        self._file = file
        self._name = name
        self._values = values
        self._asked: dict[str, None] = {}

    @classmethod
    def of_file(cls, path: Path) -> TomlTable:
        """Read a file.

        Raises:
            MappingError: the file cannot be read, or is not TOML.
        """
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES + 1)
            if len(text) > _MOST_BYTES:
                raise MappingError(str(path), None, f"has more than {_MOST_BYTES >> 20} MiB; it is not a mapping file")
            if _LONG_KEY.search(text):
                raise MappingError(
                    str(path), None, f"has a key of more than {_MOST_PARTS} parts; it is not a mapping file"
                )
            return cls(str(path), "", tomllib.loads(text.decode()))
        except OSError as error:
            raise MappingError(str(path), None, f"cannot be opened: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MappingError(str(path), None, f"is not TOML: {error}") from None
        except RecursionError:
            raise MappingError(str(path), None, "is nested too deeply for a mapping file") from None
        except ValueError as error:  # a number of thousands of digits
            raise MappingError(str(path), None, f"is not TOML: {error}") from None

    def done(self) -> None:
        """Refuse keys that were never read.

        Raises:
            MappingError: the text names the first of them, and the keys that exist.
        """
        for key in self._values:
            if key not in self._asked:
                place = f"[{self._name}]" if self._name else "the file"
                raise self.error(key, f"is no key of {place}; there are {', '.join(self._asked)}")

    def error(self, key: str, problem: str) -> MappingError:
        """Create an error about a key."""
        value = self._values.get(key)
        shown = "" if value is None or isinstance(value, dict) else f" = {_shown(value)}"
        return MappingError(self._file, f"{self._name}.{key}{shown}" if self._name else f"{key}{shown}", problem)

    def table(self, key: str) -> TomlTable:
        """A table in this one; empty if it is absent."""
        value = self._value(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(key, f"is not a table; write [{self._name + '.' if self._name else ''}{key}]")
        return TomlTable(self._file, f"{self._name}.{key}" if self._name else key, value or {})

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        value = self._value(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise self.error(key, "is no text; write it in quotes")
        return value

    def choice(self, key: str, among: Sequence[T]) -> T | None:
        """One of the given texts."""
        value = self._value(key)
        for one in among:
            if value == one:
                return one
        if value is not None:
            raise self.error(key, f"is not allowed; give one of {', '.join(map(_shown, among))}")
        return None

    def number(self, key: str, lowest: int) -> int | None:
        """An integer."""
        value = self._value(key)
        if value is not None and (type(value) is not int or value < lowest):
            raise self.error(key, f"is not allowed; give a whole number from {lowest}")
        return value

    def duration_ms(self, key: str) -> int | None:
        """A duration such as "15min", in milliseconds."""
        text = self._value(key)
        if text is None:
            return None
        found = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) == 0:
            raise self.error(key, 'is not a duration; write "15min", "1h" or "30s"')
        return int(found[1]) * _UNITS_MS[found[2]]

    def checked(self, key: str, check: Callable[[str], T]) -> T | None:
        """The result of `check` for a text; its ValueError says what is wrong with the text."""
        text = self.text(key)
        try:
            return None if text is None else check(text)
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text."""
        value = self._value(key)
        found = [value] if isinstance(value, str) else value
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.error(key, 'is no list of texts; write ["one", "other"]')
        return tuple(found)

    def columns(self, key: str) -> tuple[str | int, ...]:
        """One or several titles of columns, or the number of a column."""
        value = self._value(key)
        given = value if isinstance(value, list) else [] if value is None else [value]
        found: list[str | int] = []
        for one in given:
            if isinstance(one, bool) or not isinstance(one, str | int) or not one or (isinstance(one, int) and one < 0):
                raise self.error(key, "is no column; give its title, several titles, or its number counted from 1")
            found.append(one)
        if value is not None and not found:
            raise self.error(key, "names no column; give at least one title")
        return tuple(found)

    def pairs(self, check: Callable[[str], T]) -> dict[str, T]:
        """All keys of this table, with the result of `check` for their texts."""
        found: dict[str, T] = {}
        for key in self._values:
            value = self.checked(key, check)
            if value is not None:
                found[key] = value
        return found

    def _value(self, key: str) -> object:
        self._asked[key] = None
        return self._values.get(key)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)


REFUSE = "reject"
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
    whole = TomlTable.of_file(path)
    form = _form(whole.table("file"), whole.table("columns"), whole.table("wide"))
    signals = whole.table("signals")
    reading = _reading(whole, signals, form)
    default = signals.text("default")
    signals.done()
    meters = _meters(whole.table("meters"), path.parent)
    whole.done()
    return FileMapping(form=form, reading=reading, signal_type=default, meters=meters)


def _form(file: TomlTable, columns: TomlTable, wide: TomlTable) -> FileForm:
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
    )
    if found.interval == "end" and found.resolution_ms is None and form.kind != "wide":
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
        names=meters.table("names").pairs(lambda text: Meter(_sensor(text))),
        looked_through=tuple(looked_through),
        create=None if client_cid is None else NewSensors(client_cid, sensor_type or NewSensors.sensor_type),
    )
    meters.done()
    return found


def encoding_of(name: str) -> str:
    """Return the name of an encoding; UTF-8 becomes the variant that skips a byte-order mark.

    Raises:
        ValueError: there is no encoding of that name.
    """
    try:
        "".encode(name)
    except LookupError:
        raise ValueError("is not a known encoding; give one such as cp1250") from None
    return "utf-8-sig" if name.casefold().replace("-", "").replace("_", "") == "utf8" else name


def _delimiter(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise ValueError('is not a delimiter; give one character such as ";" or "\\t"')
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
    except (ValueError, re.error, IndexError, OverflowError) as error:  # re.error: a directive that stands twice
        reason = "a directive stands twice" if isinstance(error, re.error) else error
        raise ValueError(f"is no format of times, such as %d.%m.%Y %H:%M ({reason})") from None
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
