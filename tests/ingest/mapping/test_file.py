"""The mapping file: what it tells, and that each error names file, key, value and what is allowed."""

from pathlib import Path

import pytest

from besmart_async import SensorKey
from besmart_async.ingest.mapping.file import FileMapping, MappingError, read_mapping
from besmart_async.ingest.mapping.meters import Meter, NewSensors

FULL = """
[file]
format = "csv"
encoding = "cp1250"
delimiter = ";"
header_row = 3
layout = "wide"

[columns]
meter = ["PPE", "Licznik"]
date = "Data"
signal = 2

[wide]
first = "00:15"
last = "24:00"
slots = "clock"
step = "15min"

[time]
zone = "Europe/Warsaw"
dst = "infer"
format = "%d.%m.%Y"
interval = "end"
resolution = "15min"

[values]
decimal = ","
unit = "kWh"
missing = ["-", "brak"]

[origins]
S = "estimated"

[signals]
default = "1-0:1.29.0"
ignore = ["0-0:96.14.0"]

[signals.names]
"A+ profil" = "1-0:1.29.0"

[meters]
table = "meters.csv"
sensor_eid = ["12.100-12.102", "13.5"]

[meters.names]
"PL-1" = "12.122"

[meters.create]
client_cid = 12
sensor_type = "meter"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.toml"


def mapping(path: Path, text: str) -> FileMapping:
    path.write_text(text, encoding="utf-8")
    return read_mapping(path)


def test_everything_it_can_tell_is_taken(path: Path) -> None:
    found = mapping(path, FULL)
    form, reading, meters = found.form, found.reading, found.meters
    assert (form.format, form.encoding, form.delimiter, form.header_row) == ("csv", "cp1250", ";", 3)
    assert form.columns == {"meter": ("PPE", "Licznik"), "date": ("Data",), "signal": (2,)}
    assert (form.kind, form.first_slot, form.last_slot) == ("wide", "00:15", "24:00")
    assert (form.slots, form.step_ms) == ("clock", 900_000)
    assert (reading.time_zone, reading.dst, reading.time_format) == ("Europe/Warsaw", "infer", "%d.%m.%Y")
    assert (reading.interval, reading.resolution_ms) == ("end", 900_000)
    assert (reading.decimal_comma, reading.unit, reading.missing) == (True, "kWh", ("-", "brak"))
    assert (reading.origins, reading.signals) == ({"S": 4}, {"A+ profil": "1-0:1.29.0"})
    assert (found.signal_type, reading.ignored) == ("1-0:1.29.0", frozenset({"0-0:96.14.0"}))
    assert meters.table == path.parent / "meters.csv"
    assert meters.looked_through == (*(SensorKey(12, mid) for mid in (100, 101, 102)), SensorKey(13, 5))
    assert meters.names == {"PL-1": Meter(SensorKey(12, 122))}
    assert meters.create == NewSensors(12, "meter")


def test_an_empty_file_tells_nothing(path: Path) -> None:
    assert mapping(path, "") == FileMapping()


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('[time]\ndst = "guess"', 'time.dst = "guess"', 'one of "reject", "earlier", "later", "infer", "standard"'),
        ('[time]\nzone = "Mars"', 'time.zone = "Mars"', "an IANA name such as Europe/Warsaw"),
        ("[time]\nzone = 1", "time.zone = 1", "is no text"),
        ('[time]\nformat = "%d.%m."', 'time.format = "%d.%m."', "does not tell year, month and day"),
        ('[time]\nformat = "%Q"', 'time.format = "%Q"', "no format of times"),
        ('[time]\ninterval = "middle"', 'time.interval = "middle"', 'give one of "start", "end"'),
        ('[time]\ninterval = "end"', 'time.interval = "end"', "say time.resolution"),
        ('[time]\nresolution = "often"', 'time.resolution = "often"', 'write "15min", "1h" or "30s"'),
        ('[time]\nresolution = "0min"', 'time.resolution = "0min"', 'write "15min"'),
        ("[time]\nresolution = 15", "time.resolution = 15", 'write "15min"'),
        ('[time]\ntimezone = "UTC"', 'time.timezone = "UTC"', "is no key of [time]; there are dst, interval, zone"),
        ('[file]\nformat = "xls"', 'file.format = "xls"', 'give one of "csv", "parquet", "dsmr"'),
        ('[file]\nencoding = "klingon"', 'file.encoding = "klingon"', "such as cp1250"),
        ('[file]\ndelimiter = "::"', 'file.delimiter = "::"', "one character"),
        ("[file]\nheader_row = -1", "file.header_row = -1", "a whole number from 0"),
        ("[file]\nheader_row = true", "file.header_row = true", "a whole number from 0"),
        ('[file]\nlayout = "tall"', 'file.layout = "tall"', 'give one of "long", "wide"'),
        ('[file]\nheader_row = 0\n[columns]\nmeter = "PPE"', 'columns.meter = "PPE"', "give a number"),
        ("[columns]\nmeter = 0", "columns.meter = 0", "its number counted from 1"),
        ("[columns]\nmeter = []", "columns.meter = []", "at least one title"),
        ("[columns]\nmeter = true", "columns.meter = true", "is no column"),
        (
            '[columns]\nmetre = "x"',
            'columns.metre = "x"',
            "there are meter, client_cid, sensor_mid, signal",
        ),
        ('[wide]\nslots = "x"', 'wide.slots = "x"', 'give one of "clock", "elapsed"'),
        ('[values]\ndecimal = "·"', 'values.decimal = "·"', 'give one of ".", ","'),
        ('[values]\nunit = "furlong"', 'values.unit = "furlong"', "such as Wh, kWh"),
        ("[values]\nmissing = [1]", "values.missing = [1]", "no list of texts"),
        ('[origins]\nS = "guess"', 'origins.S = "guess"', "one of measured, predicted"),
        ("[signals]\nnames = 1", "signals.names = 1", "write [signals.names]"),
        ('[meters.names]\nX = "12"', 'meters.names.X = "12"', "such as 12.122"),
        ('[meters]\nsensor_eid = ["12"]', 'meters.sensor_eid = ["12"]', "12.100-12.400"),
        ('[meters]\nsensor_eid = "12.5-12.1"', 'meters.sensor_eid = "12.5-12.1"', "is no range"),
        ('[meters]\nsensor_eid = "12.5-13.9"', 'meters.sensor_eid = "12.5-13.9"', "one client's sensors"),
        ('[meters.create]\nsensor_type = "m"', 'meters.create.sensor_type = "m"', "needs create.client_cid"),
        ('[meters.create]\nclient_cid = "12"', 'meters.create.client_cid = "12"', "a whole number from 0"),
        ("time = 1", "time = 1", "write [time]"),
        ("[zeit]", "zeit", "is no key of the file; there are file, columns"),
        ("[time\n", None, "is not TOML"),
    ],
)
def test_what_cannot_work_is_named_with_its_key_its_value_and_what_is_allowed(
    path: Path, text: str, key: str | None, words: str
) -> None:
    with pytest.raises(MappingError) as caught:
        mapping(path, text)
    assert str(caught.value).startswith(f"{path}: {key}" if key else f"{path}: ")
    assert words in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_told(path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be opened: No such file"):
        read_mapping(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(MappingError, match="is not TOML"):
        read_mapping(path)
