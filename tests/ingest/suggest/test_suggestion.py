"""Suggested mapping files, filled in as their comments say: they are accepted, and read what the file says."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async.ingest import SourceError
from besmart_async.ingest.mapping.file import mapping_of
from besmart_async.ingest.sources import sources_of
from besmart_async.ingest.suggest import Suggestion, Told, suggestion_of
from tests.ingest.file_readings import FileReadings, readings_of

T0 = 1_719_792_000_000  # 2024-07-01T00:00Z
HOUR = 3_600_000
UTC = {"zone": "UTC", "default": "1.29.0", "unit": "kWh"}


def suggested(path: Path, told: Told | None = None) -> Suggestion:
    return suggestion_of(sources_of([str(path)], fitting=False)[0], told)


def filled_in(text: str, values: dict[str, str]) -> str:
    """Uncomment the lines that only the user can fill in, with these values."""
    lines: list[str] = []
    for line in text.split("\n"):
        found = re.match(r"# (\"?)(.*?)\1 = .*only you can know", line)
        known = found is not None and found[2] in values
        lines.append(f'"{found[2]}" = "{values[found[2]]}"' if found is not None and known else line)
    return "\n".join(lines)


def read(path: Path, values: dict[str, str] | None = None) -> FileReadings:
    text = filled_in(suggested(path).text, UTC if values is None else values)
    again = mapping_of(text, "m.toml")
    assert mapping_of(text, "m.toml", Path()) == again
    return readings_of(path, text)


def written(tmp_path: Path, text: str, encoding: str = "utf-8", name: str = "readings.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


HOURS = [(T0 + n * HOUR, 0.5 + n) for n in range(4)]

LONG = {
    "plain": "meter,obis,time,value,unit\n" + "".join(f"M1,1.29.0,2024-07-01T0{n}:00Z,{n}.5,kWh\n" for n in range(4)),
    "unknown titles, day first, decimal comma": "PPE;Doba i godzina;Zuzycie [kWh]\n"
    + "".join(f"M1;01.07.2024 0{n}:00;{n},5\n" for n in range(4)),
    "date and time in two columns": "Zaehlpunkt|Datum|Uhrzeit|Verbrauch kWh\n"
    + "".join(f"M1|01.07.2024|0{n}:00|{n}.5\n" for n in range(4)),
    "starts and ends": "From (date);From (time);Until (date);Until (time);EAN;Volume;Unit\n"
    + "".join(f"01/07/2024;0{n}:00:00;01/07/2024;0{n + 1}:00:00;M1;{n},5;kWh\n" for n in range(4)),
    "digits only": "prm;horodate;kWh\n" + "".join(f"M1;202407010{n}00;{n},5\n" for n in range(4)),
    "unix seconds": "meter;ts;kWh\n" + "".join(f"M1;{T0 // 1000 + n * 3600};{n},5\n" for n in range(4)),
    "unix milliseconds": "meter;ts;kWh\n" + "".join(f"M1;{T0 + n * HOUR};{n},5\n" for n in range(4)),
    "lines above and below": "Report;\nUnit;kWh\n\nmeter;time;wert\n"
    + "".join(f"M1;2024-07-01 0{n}:00;{n},5\n" for n in range(4))
    + "Summe;;10,0\n",
    "no header": "".join(f"M1;2024-07-01 0{n}:00;{n},5\n" for n in range(4)),
    "twelve hours": "Meter Number,Date,Start Time,Usage\n"
    + "".join(f"M1,07/01/2024,{12 if n == 0 else n}:00 AM,{n}.5\n" for n in range(4)),
}

FORMATS = {"twelve hours": "%m/%d/%Y %I:%M %p", "starts and ends": "%d/%m/%Y %H:%M:%S"}


@pytest.mark.parametrize("name", LONG)
def test_the_suggestion_for_a_long_file_reads_it(tmp_path: Path, name: str) -> None:
    found = read(written(tmp_path, LONG[name]), {**UTC, "format": FORMATS.get(name, "")})
    assert not found.rejects
    assert {meter: sorted(readings) for meter, readings in found.by_meter.items()} == {"M1": HOURS}


@pytest.mark.parametrize(
    ("titles", "shift"),
    [
        ([f"{n:02d}:00" for n in range(24)], 0),
        ([f"{n + 1:02d}:00" for n in range(24)], HOUR),
        ([f"{n:02d}:00-{n + 1:02d}:00" for n in range(24)], 0),
        ([f"H{n + 1}" for n in range(24)], 0),
    ],
)
def test_the_suggestion_for_a_wide_file_reads_it(tmp_path: Path, titles: list[str], shift: int) -> None:
    rows = [";".join(["M1", day, *(f"{n},5" for n in range(24))]) for day in ("01.07.2024", "02.07.2024")]
    path = written(tmp_path, "\n".join([";".join(["POD", "Giorno", *titles]), *rows, ""]))
    found = read(path)
    assert not found.rejects
    expected = [(T0 + (24 * day + n) * HOUR + shift, n + 0.5) for day in range(2) for n in range(24)]
    assert sorted(found.by_meter["M1"]) == expected


def test_24_00_shows_that_labels_are_ends(tmp_path: Path) -> None:
    rows = "".join(f"M1;13/07/2024;{n:02d}:00;{n},5\n" for n in range(1, 25))
    path = written(tmp_path, f"cups;fecha;hora;kWh\n{rows}")
    assert 'interval = "end"' in suggested(path).text
    found = read(path)
    assert not found.rejects
    assert len(found.by_meter["M1"]) == 24


def test_a_25th_hour_shows_that_hours_count(tmp_path: Path) -> None:
    rows = "".join(f"M1;27.10.2024;{n};{n},5\n" for n in range(1, 26))
    path = written(tmp_path, f"POD;Tag;Stunde;kWh\n{rows}")
    text = suggested(path).text
    assert 'format = "%d.%m.%Y %H"' in text
    assert 'hours = "elapsed"' in text
    found = read(path, {**UTC, "zone": "Europe/Berlin"})
    assert not found.rejects
    assert len({time for time, _ in found.by_meter["M1"]}) == 25


def test_registers_side_by_side_are_series_whose_signal_types_are_open(tmp_path: Path) -> None:
    path = written(
        tmp_path, "time,Import T1 kWh,Export T1 kWh\n2024-07-01 00:00,8350.274,1.5\n2024-07-01 01:00,8350.3,2.5\n"
    )
    found = read(path, {"zone": "UTC", "meter": "M1", "Import T1 kWh": "1.8.1", "Export T1 kWh": "2.8.1"})
    assert {signal: readings for (_, signal, _), readings in found.readings.items()} == {
        "1.8.1": [(T0, 8350.274), (T0 + HOUR, 8350.3)],
        "2.8.1": [(T0, 1.5), (T0 + HOUR, 2.5)],
    }


def test_a_column_for_each_meter_has_the_meter_in_its_title(tmp_path: Path) -> None:
    text = "".join(f"2024-07-01 0{n}:00;{n},5;{n},5\n" for n in range(4))
    found = read(written(tmp_path, f";MT_001;MT_002\n{text}"))
    assert found.by_meter == {"MT_001": HOURS, "MT_002": HOURS}


def test_the_column_that_tells_readings_of_one_time_apart_is_that_of_signal_types(tmp_path: Path) -> None:
    rows = "".join(f"M1;2024-07-01 0{n}:00;{kind};{n},5\n" for n in range(4) for kind in ("Bezug", "Abgabe"))
    text = suggested(written(tmp_path, f"Zaehler;Zeit;Art;kWh\n{rows}")).text
    assert 'signal = "Art"' in text
    assert '# Bezug = "1.29.0"' in text


def test_parquet_is_suggested_by_its_types(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    times = pa.array([T0 + n * HOUR for n in range(4)], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"id": ["M1"] * 4, "when": times, "kWh": [0.5, 1.5, -9999.0, 3.5]}), path)
    text = suggested(path).text
    assert "zone" not in text
    assert 'missing = ["-9999' in text


def test_a_file_that_is_not_utf_8_names_its_encoding(tmp_path: Path) -> None:
    text = "Zähler;Zeit;Verbrauch für Straße [kWh]\n" + "".join(f"M1;2024-07-01 0{n}:00;{n},5\n" for n in range(4))
    path = written(tmp_path, text, "cp1252")
    assert 'encoding = "cp1252"' in suggested(path).text
    assert read(path).by_meter == {"M1": HOURS}


def test_day_and_month_are_left_open_if_nothing_tells_them_apart(tmp_path: Path) -> None:
    path = written(tmp_path, "meter,time,kWh\nM1,07/01/2024 00:00,0.5\nM1,07/01/2024 01:00,1.5\n")
    assert '# format = "%d/%m/%Y %H:%M"' in suggested(path).text
    days = "".join(f"M1,07/{n:02d}/2024 00:00,{n}.5\n" for n in range(1, 4))
    text = suggested(written(tmp_path, f"meter,time,kWh\n{days}")).text
    assert '\nformat = "%m/%d/%Y %H:%M"' in text


def test_a_comma_before_three_digits_is_left_open(tmp_path: Path) -> None:
    path = written(tmp_path, 'meter,time,kWh\nM1,2024-07-01T00:00Z,998\nM1,2024-07-01T01:00Z,"1,012"\n')
    text = suggested(path).text
    assert '# thousands = ","' in text
    assert "\ndecimal" not in text


def test_labels_that_go_from_the_first_period_to_midnight_are_ends(tmp_path: Path) -> None:
    rows = "".join(f"M1;2024-07-01 {n:02d}:00;{n},5\n" for n in range(1, 24)) + "M1;2024-07-02 00:00;24,5\n"
    path = written(tmp_path, f"meter;time;kWh\n{rows}")
    text = suggested(path).text
    assert 'interval = "end"' in text
    assert 'resolution = "1h"' in text
    assert read(path).by_meter["M1"][0] == (T0 + HOUR, 1.5)  # the label; the period is taken off for the service


def test_what_options_say_is_in_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path, "time;kWh\n" + "".join(f"2024-10-27 0{hour}:00;{n}\n" for n, hour in enumerate((1, 2, 2, 3), 1))
    )
    found = suggested(path, Told(meter="M1", signal_type="1.29.0", time_zone="Europe/Warsaw"))
    assert 'dst = "infer"' in found.text
    assert readings_of(path, found.text).by_meter["M1"] == [
        (1_729_983_600_000 + n * HOUR, float(n + 1)) for n in range(4)
    ]


def test_a_format_that_says_it_itself_needs_no_mapping(tmp_path: Path) -> None:
    values = ",".join(f"{n}.5" for n in range(48))
    text = "100,NEM12,202407020100,A,B\n" + "".join(
        f"200,NMI0000001,E1E2,{kind},{kind},N1,M1,KWH,30,\n300,20240701,{values},A,,,20240702010000,\n"
        for kind in ("E1", "E2")
    )
    found = suggested(written(tmp_path, f"{text}900\n"))
    assert "no mapping is needed" in found.text
    assert '# E2 = "1.29.0"' in found.text
    assert "# E1" not in found.text


def test_a_file_without_readings_has_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no rows with a time and a number"):
        suggested(written(tmp_path, "Dear customer,\nplease log in.\n"))


def test_a_column_that_may_say_summer_time_is_left_open(tmp_path: Path) -> None:
    rows = "M1,11/03/2024,01:00,N,1.5\nM1,11/03/2024,02:00,N,2.5\nM1,11/03/2024,02:00,Y,3.5\n"
    text = suggested(written(tmp_path, f"Meter,DeliveryDate,Start,DSTFlag,kWh\n{rows}")).text
    assert '# zone = "DSTFlag"' in text
