"""One set of readings, through both changes of the clock, in every layout and format: the same arrives in the service.

The readings are OpenDSM's hourly sample from Illinois; the files are made of it here in the ways utilities write them.
"""

import csv
import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async import BesmartClient, SensorKey, SignalKey, SignalQuery
from besmart_async.ingest import IngestJob, KnownMeters, Meter, ParseOptions
from besmart_async.ingest.sources import sources_of
from besmart_async.ingest.sources.layout import FileForm

DATA = Path(__file__).parents[3] / "examples" / "data"
CHICAGO = ZoneInfo("America/Chicago")
METER, OBIS = "IL-1001", "1-0:1.29.0"
KEY = SignalKey(1, 1, 34)
FIRST, LAST = datetime(2016, 3, 1, tzinfo=CHICAGO), datetime(2016, 11, 20, tzinfo=CHICAGO)

Moments = dict[datetime, str]
Write = Callable[[Path, Moments], Path]


@pytest.fixture(scope="module")
def sample() -> Moments:
    """Readings of whole local days from March to November 2016, by UTC time; values as they are written."""
    found: Moments = {}
    with gzip.open(DATA / "il-electricity.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["time"])
            if row["meter"] == METER and FIRST <= moment < LAST:
                found[moment.astimezone(UTC)] = row["value"]
    assert len(found) == 264 * 24
    return found


def days(moments: Moments) -> Iterator[tuple[date, list[datetime]]]:
    """Yield each local day and its moments, 23 to 25 of them."""
    by_day: dict[date, list[datetime]] = {}
    for moment in moments:
        by_day.setdefault(moment.astimezone(CHICAGO).date(), []).append(moment)
    assert {len(found) for found in by_day.values()} == {23, 24, 25}
    return iter(by_day.items())


def clock(moment: datetime) -> str:
    return moment.astimezone(CHICAGO).replace(tzinfo=None).isoformat()


def write_rows(path: Path, rows: list[list[str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def long_moments(folder: Path, moments: Moments) -> Path:
    rows = [[METER, OBIS, moment.isoformat(), value, "kWh"] for moment, value in moments.items()]
    return write_rows(folder / "long.csv.gz", [["meter", "obis", "time", "value", "unit"], *rows])


def long_clock(folder: Path, moments: Moments) -> Path:
    rows = [
        [METER, OBIS, *moment.astimezone(CHICAGO).strftime("%d.%m.%Y %H:%M").split(), f"{value}".replace(".", ",")]
        for moment, value in moments.items()
    ]
    return write_rows(folder / "long.csv", [["Zähler", "OBIS", "Datum", "Uhrzeit", "Wert"], *rows], ";", "cp1252")


def wide_clock(folder: Path, moments: Moments) -> Path:
    """One column for each hour of the clock, 01:00 twice."""
    titles = ["00:00", "01:00A", "01:00B", *(f"{hour:02}:00" for hour in range(2, 24))]
    rows = []
    for day, found in days(moments):
        cells = dict.fromkeys(titles, "")
        for moment in found:
            local = moment.astimezone(CHICAGO)
            mark = "" if local.hour != 1 else "B" if local.fold else "A"
            cells[f"{local.hour:02}:00{mark}"] = moments[moment]
        rows.append([METER, OBIS, day.isoformat(), *cells.values()])
    return write_rows(folder / "wide.csv", [["meter", "obis", "date", *titles], *rows])


def wide_clock_ends(folder: Path, moments: Moments) -> Path:
    """One column for the end of each hour of the clock, 01:00 and 02:00 as the changes leave them."""
    rows = []
    for day, found in days(moments):
        if len(found) != 24:  # ends of the repeated hour need columns of their own: in the other files
            continue
        rows.append([METER, day.isoformat(), *(moments[moment] for moment in found)])
    return write_rows(
        folder / "ends.csv", [["meter", "date", *(f"{hour:02}:00" for hour in range(1, 24)), "24:00"], *rows]
    )


def wide_counted(folder: Path, moments: Moments) -> Path:
    """Values counted from midnight: 25 columns, of which a day has 23, 24 or 25."""
    rows = [
        [METER, OBIS, day.isoformat(), *(moments[moment] for moment in found), *[""] * (25 - len(found))]
        for day, found in days(moments)
    ]
    return write_rows(folder / "wide.csv", [["meter", "obis", "date", *(f"H{n}" for n in range(1, 26))], *rows], "\t")


def wide_ragged(folder: Path, moments: Moments) -> Path:
    """The same, but a header of 24 columns and rows as long as their day."""
    rows = [[METER, OBIS, day.isoformat(), *(moments[moment] for moment in found)] for day, found in days(moments)]
    return write_rows(folder / "wide.csv", [["meter", "obis", "date", *map(str, range(1, 25))], *rows])


def parquet_moments(folder: Path, moments: Moments) -> Path:
    table = pa.table(
        {
            "meter": pa.array([METER] * len(moments)).dictionary_encode(),
            "time": pa.array(list(moments), pa.timestamp("us", "UTC")),
            "value": pa.array([float(value) for value in moments.values()]),
        }
    )
    pq.write_table(table, folder / "long.parquet", row_group_size=1_000)
    return folder / "long.parquet"


def parquet_clock(folder: Path, moments: Moments) -> Path:
    table = pa.table(
        {
            "meter": [METER] * len(moments),
            "time": pa.array(
                [moment.astimezone(CHICAGO).replace(tzinfo=None) for moment in moments], pa.timestamp("s")
            ),
            "value": list(moments.values()),
        }
    )
    pq.write_table(table, folder / "clock.parquet")
    return folder / "clock.parquet"


def parquet_wide(folder: Path, moments: Moments) -> Path:
    counted = list(days(moments))
    columns: dict[str, pa.Array] = {
        "meter": pa.array([METER] * len(counted)),
        "date": pa.array([day for day, _ in counted], pa.date32()),
    }
    for hour in range(25):
        cells = [float(moments[found[hour]]) if hour < len(found) else None for _, found in counted]
        columns[f"H{hour + 1:02}"] = pa.array(cells, pa.float64())
    pq.write_table(pa.table(columns), folder / "wide.parquet", row_group_size=50)
    return folder / "wide.parquet"


GERMAN = FileForm(
    encoding="cp1252",
    delimiter=";",
    columns={"meter": ("Zähler",), "date": ("Datum",), "time": ("Uhrzeit",), "value": ("Wert",)},
)
ZONED = ParseOptions(time_zone="America/Chicago", unit="kWh")
INFERRED = ParseOptions(time_zone="America/Chicago", dst="infer", unit="kWh")


@pytest.mark.parametrize(
    ("write", "reading", "form"),
    [
        (long_moments, ParseOptions(), FileForm()),
        (
            long_clock,
            ParseOptions(
                time_zone="America/Chicago", dst="infer", time_format="%d.%m.%Y %H:%M", decimal_comma=True, unit="kWh"
            ),
            GERMAN,
        ),
        (wide_clock, ZONED, FileForm()),
        (wide_counted, ZONED, FileForm()),
        (wide_ragged, ZONED, FileForm()),
        (parquet_moments, ZONED, FileForm()),
        (parquet_clock, INFERRED, FileForm()),
        (parquet_wide, ZONED, FileForm()),
    ],
)
async def test_the_same_readings_arrive_from_every_layout_and_format(
    client: BesmartClient, tmp_path: Path, sample: Moments, write: Write, reading: ParseOptions, form: FileForm
) -> None:
    source = sources_of([str(write(tmp_path, sample))], form)
    meters = KnownMeters({METER: Meter(SensorKey(1, 1))})
    report = await IngestJob(
        client.signals, client.writer, source, meters=meters, reading=reading, signal_type=OBIS, verify=True
    ).run()
    assert (report.accepted, report.distinct, report.rejects) == (len(sample), len(sample), ())
    assert report.verification is not None
    assert report.verification.ok
    arrived = await client.signals.read(KEY, FIRST, LAST, get_last=True)
    stored = dict(zip(arrived.time.tolist(), arrived.value.tolist(), strict=True))
    assert stored == {round(moment.timestamp() * 1000): float(value) for moment, value in sample.items()}


async def test_periods_named_by_their_end_are_stored_at_their_start(
    client: BesmartClient, tmp_path: Path, sample: Moments
) -> None:
    source = sources_of([str(wide_clock_ends(tmp_path, sample))])
    reading = ParseOptions(time_zone="America/Chicago", unit="kWh", interval="end")
    meters = KnownMeters({METER: Meter(SensorKey(1, 1))})
    report = await IngestJob(
        client.signals, client.writer, source, meters=meters, reading=reading, signal_type=OBIS
    ).run()
    assert (report.accepted, report.rejects) == (262 * 24, ())
    [arrived] = await client.signals.read_bulk([SignalQuery(KEY, FIRST, LAST, get_last=True)])
    stored = dict(zip(arrived.time.tolist(), arrived.value.tolist(), strict=True))
    expected = {round(moment.timestamp() * 1000): float(value) for moment, value in sample.items()}
    assert stored.items() <= expected.items()
    assert min(stored) == FIRST.timestamp() * 1000


async def test_without_a_rule_only_the_doubtful_hours_are_refused(
    client: BesmartClient, tmp_path: Path, sample: Moments
) -> None:
    source = sources_of([str(parquet_clock(tmp_path, sample))])
    meters = KnownMeters({METER: Meter(SensorKey(1, 1))})
    report = await IngestJob(
        client.signals, client.writer, source, meters=meters, reading=ZONED, signal_type=OBIS
    ).run()
    assert (report.accepted, report.rejected) == (len(sample) - 2, 2)
    assert {reject.value for reject in report.rejects} == {"2016-11-06 01:00:00"}
    assert all("comes twice in America/Chicago" in reject.reason for reject in report.rejects)
