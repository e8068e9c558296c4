"""Parquet: any type a column may reasonably have, row group by row group, in little memory."""

import random
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async.ingest.parse.parser import ParsedReadings, ParseOptions, Parser
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import ParquetSource, SourceError

START = 1704067200000


def parsed(
    path: Path, how: ParseOptions | None = None, chunk_rows: int = 50_000
) -> tuple[list[ParsedReadings], list[Reject]]:
    parser = Parser(how or ParseOptions())
    found = [parser.parse(page.chunk) for page in ParquetSource(path, chunk_rows).pages()]
    return [readings for readings, _ in found], [reject for _, rejects in found for reject in rejects]


def write(folder: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), folder / "file.parquet")
    return folder / "file.parquet"


@pytest.mark.parametrize(
    "time",
    [
        pa.array([START], pa.int64()),
        pa.array([float(START)]),
        pa.array([START], pa.timestamp("ms", "UTC")),
        pa.array([START * 1000], pa.timestamp("us", "Europe/Warsaw")),
        pa.array([START * 1_000_000], pa.timestamp("ns", "UTC")),
        pa.array([START // 1000], pa.timestamp("s", "America/Chicago")),
        pa.array(["2024-01-01T00:00:00Z"]),
        pa.array(["2024-01-01T01:00:00+01:00"], pa.large_string()),
        pa.array(["2024-01-01T00:00:00Z"]).dictionary_encode(),
        pa.array([datetime(2024, 1, 1, 1)], pa.timestamp("us")),
    ],
)
def test_times_of_any_type_are_moments(tmp_path: Path, time: pa.Array) -> None:
    path = write(tmp_path, meter=["1.1"], time=time, value=[1.5])
    [readings], rejects = parsed(path, ParseOptions(time_zone="Europe/Warsaw"))
    assert rejects == []
    assert readings.time.tolist() == [START]


@pytest.mark.parametrize(
    "value",
    [
        pa.array([1.5]),
        pa.array([1.5], pa.float32()),
        pa.array(["1.5"]),
        pa.array([Decimal("1.500")]),
        pa.array(["1.5"]).dictionary_encode(),
    ],
)
def test_values_of_any_type_are_doubles(tmp_path: Path, value: pa.Array) -> None:
    [readings], rejects = parsed(write(tmp_path, meter=["1.1"], time=[START], value=value))
    assert rejects == []
    assert readings.value.tolist() == [1.5]


def test_fractions_of_a_millisecond_are_kept(tmp_path: Path) -> None:
    time = pa.array([START * 1000 + 250, START * 1000], pa.timestamp("us", "UTC"))
    [readings], _ = parsed(write(tmp_path, meter=["1.1"] * 2, time=time, value=[1, 2]))
    assert readings.time.tolist() == [START + 0.25, START]


def test_nulls_and_what_is_no_number_are_rejects_with_their_row(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        meter=pa.array(["1.1", None, "1.1", "1.1", "1.1", "1.1"]),
        time=pa.array([START, START, None, START, START, 1704067200]),
        value=pa.array([1.0, 1.0, 1.0, None, float("nan"), 1.0]),
    )
    [readings], rejects = parsed(path)
    assert readings.rows.tolist() == [1]
    assert [(reject.row, reject.column, reject.value, reject.reason) for reject in rejects] == [
        (2, "meter", "", "is empty"),
        (3, "time", "", "is empty"),
        (4, "value", "", "is empty"),
        (5, "value", "nan", "is not finite"),
        (6, "time", "1704067200", "looks like unix seconds; milliseconds are expected"),
    ]


def test_numbers_as_meters_and_a_date_beside_a_time_are_taken(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        meter=pa.array([590543570101234567]),
        date=pa.array([date(2024, 1, 1)], pa.date32()),
        time=pa.array(["01:00"]),
        value=[1],
        note=["x"],
    )
    [readings], rejects = parsed(path, ParseOptions(time_zone="Europe/Warsaw"))
    assert rejects == []
    assert (readings.meter.text(0), readings.time.tolist()) == ("590543570101234567", [START])
    assert ParquetSource(path).check() == ("note",)


def test_pages_are_as_small_as_asked_for_and_count_rows_over_row_groups(tmp_path: Path) -> None:
    table = pa.table({"meter": ["1.1"] * 250, "time": np.arange(250) + START, "value": np.arange(250.0)})
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=100)
    pages = list(ParquetSource(tmp_path / "f.parquet", 40).pages())
    assert max(len(page.chunk) for page in pages) <= 40
    assert np.concatenate([page.chunk.rows for page in pages]).tolist() == list(range(1, 251))
    assert pages[-1].position == (tmp_path / "f.parquet").stat().st_size


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("meter,time,value\n")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    for name, words in {
        "none.parquet": "no such file",
        "text.parquet": "cannot be read as Parquet",
        "other.parquet": "no column for the meter",
    }.items():
        with pytest.raises(SourceError, match=words):
            ParquetSource(tmp_path / name).check()


def test_one_row_group_of_many_readings_takes_little_memory(tmp_path: Path) -> None:
    rows = 3_000_000
    table = pa.table(
        {
            "meter": pa.DictionaryArray.from_arrays(np.arange(rows) // 3000, [f"1.{n}" for n in range(1000)]),
            "time": pa.array(START + np.arange(rows) % 3000 * 900_000, pa.timestamp("ms", "UTC")),
            "value": np.random.default_rng(1).random(rows),
        }
    )
    path = tmp_path / "large.parquet"
    pq.write_table(table, path, row_group_size=rows)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from besmart_async.ingest.parse.parser import Parser, ParseOptions\n"
        "from besmart_async.ingest.sources import ParquetSource\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "parser, before, rows = Parser(ParseOptions()), None, 0\n"
        "for page in ParquetSource(Path(sys.argv[1])).pages():\n"
        "    rows += len(parser.parse(page.chunk)[0])\n"
        "    before = before or peak()\n"
        "print(rows, peak() - before, before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    read, grown_mb, _ = map(float, done.stdout.split())
    assert read == rows
    assert grown_mb < 60  # the file is 30 MB and its readings are 72 MB


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_that_no_calendar_has_are_rejects(tmp_path: Path, zone: str | None) -> None:
    time = pa.array([10**17, -(10**17), START], pa.timestamp("ms", zone))
    path = write(tmp_path, meter=["1.1"] * 3, time=time, value=[1, 2, 3])
    [readings], rejects = parsed(path, ParseOptions(time_zone="Europe/Warsaw"))
    assert len(readings) == 1
    assert [(reject.row, reject.reason[:17]) for reject in rejects] == [
        (1, "is outside the ye"),
        (2, "is outside the ye"),
    ]


def test_moments_before_1970_and_in_the_far_future_are_what_they_are(tmp_path: Path) -> None:
    moments = [datetime(1901, 5, 1, tzinfo=UTC), datetime(2399, 1, 1, tzinfo=UTC)]
    path = write(tmp_path, meter=["1.1"] * 2, time=pa.array(moments, pa.timestamp("ms", "UTC")), value=[1, 2])
    [readings], _ = parsed(path, ParseOptions(earliest_ms=-3e12, latest_ms=2e13))
    assert readings.time.tolist() == [round(moment.timestamp() * 1000) for moment in moments]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("files", [40, pytest.param(1200, marks=pytest.mark.long)])
def test_a_corrupted_file_is_read_or_refused_by_name(tmp_path: Path, files: int) -> None:
    """Flipped bits, bytes that are missing, doubled or zero, and cut ends: never another error than a typed one."""
    count, rng = 500, random.Random(14)
    path = write(
        tmp_path,
        meter=[f"1.{place % 7}" for place in range(count)],
        time=pa.array([START + place * 900_000 for place in range(count)], pa.timestamp("ms", "UTC")),
        value=[place / 8 for place in range(count)],
    )
    whole, refused = path.read_bytes(), list[str]()
    for _ in range(files):
        path.write_bytes(corrupted(whole, rng))
        try:
            parsed(path)
        except SourceError as error:
            refused.append(error.file)
    assert set(refused) == {str(path)}
    assert len(refused) > files // 4


def corrupted(whole: bytes, rng: random.Random) -> bytes:
    start = rng.choice([rng.randrange(len(whole)), rng.randrange(len(whole) - 1500, len(whole))])
    size = rng.choice([1, 4, 40, 400])
    match rng.randrange(5):
        case 0:
            content = bytearray(whole)
            content[start] ^= 1 << rng.randrange(8)
            return bytes(content)
        case 1:
            return whole[:start] + whole[start + size :]
        case 2:
            return whole[: start + size] + whole[start:]
        case 3:
            return whole[:start] + bytes(size) + whole[start + size :]
        case _:
            return whole[:start]
