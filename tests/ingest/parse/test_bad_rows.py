"""Twenty kinds of bad rows in one file: each is named with its row, column, value and reason; the good ones arrive."""

from collections.abc import Callable
from pathlib import Path

import pytest

from besmart_async import BesmartClient
from besmart_async.ingest import CsvSource, IngestJob, ParseOptions, Reject
from besmart_async.simulator import Simulator

HEADER = "meter,obis,time,value,unit,origin,zone"
GOOD = "1.1,1-0:1.8.0,2024-10-27T0{hour}:00:00Z,{hour}.5,kWh,1,"

BAD: list[tuple[bytes, str | None, str, str]] = [
    # what the row is, the column at fault, its value, words of the reason
    (b"1.1,1-0:1.8.0,yesterday,1,kWh,1,", "time", "yesterday", "is not an ISO 8601 time"),
    (b"1.1,1-0:1.8.0,,1,kWh,1,", "time", "", "is empty"),
    (b"1.1,1-0:1.8.0,2024-02-30T00:00Z,1,kWh,1,", "time", "2024-02-30T00:00Z", "is not an ISO 8601 time"),
    (b"1.1,1-0:1.8.0,1704067200,1,kWh,1,", "time", "1704067200", "looks like unix seconds"),
    (b"1.1,1-0:1.8.0,17040672000000000,1,kWh,1,", "time", "17040672000000000", "outside the years"),
    (b"1.1,1-0:1.8.0,2024-10-27T00:00:00,1,kWh,1,", "time", "2024-10-27T00:00:00", "has no UTC offset"),
    (b"1.1,1-0:1.8.0,2024-10-27T02:30,1,kWh,1,Europe/Warsaw", "time", "2024-10-27T02:30", "comes twice in Europe"),
    (b"1.1,1-0:1.8.0,2024-03-31T02:30,1,kWh,1,Europe/Warsaw", "time", "2024-03-31T02:30", "does not exist in Europe"),
    (b"1.1,1-0:1.8.0,2024-10-27T00:00:00,1,kWh,1,Mars", "zone", "Mars", "is no time zone"),
    (b"1.1,1-0:1.8.0,1704067200000,,kWh,1,", "value", "", "is empty"),
    (b"1.1,1-0:1.8.0,1704067200000,twelve,kWh,1,", "value", "twelve", "is not a number"),
    (b'1.1,1-0:1.8.0,1704067200000,"1,5",kWh,1,', "value", "1,5", "say --decimal-comma"),
    (b"1.1,1-0:1.8.0,1704067200000,NaN,kWh,1,", "value", "NaN", "is not a number"),
    (b"1.1,1-0:1.8.0,1704067200000,1e999,kWh,1,", "value", "1e999", "too large for a double"),
    (b"1.1,1-0:1.8.0,1704067200000,1,kWh,guessed,", "origin", "guessed", "is no origin"),
    (b"1.1,1-0:1.8.0,1704067200000,1,furlong,1,", "unit", "furlong", "is no known unit"),
    (b"1.1,1-0:1.8.0,1704067200000,1,kW,1,", "unit", "kW", "cannot be converted to the signal type's kW.h"),
    (b",1-0:1.8.0,1704067200000,1,kWh,1,", "meter", "", "is empty"),
    (b"M-77,1-0:1.8.0,1704067200000,1,kWh,1,", "meter", "M-77", "is no known meter"),
    (b"1.1,9.9.9,1704067200000,1,kWh,1,", "obis", "9.9.9", "is no signal type of the service"),
    (b"1.1,1-0:1.8.0,1704067200000", None, "1.1,1-0:1.8.0,1704067200000", "has 3 fields where the header has 7"),
    (b"1.1,1-0:1.8.0,1704067200000,1,kWh,1,,x,y", None, "1.1,1-0:1.8.0,1704067200000,1,kWh,1,,x,y", "has 9 fields"),
    (b'1.1,"1-0:1.8.0,1704067200000,1,kWh,1,', None, '1.1,"1-0:1.8.0,1704067200000,1,kWh,1,', "a quote is not closed"),
    (b'"1.1"x,1-0:1.8.0,"1",1,kWh,1,"', None, '"1.1"x,1-0:1.8.0,"1",1,kWh,1,"', "is not CSV"),
    (b"1.1\xb3,1-0:1.8.0,1704067200000,1,kWh,1,", None, "1.1�,1-0:1.8.0,1704067200000,1,kWh,1,", "is not UTF-8 text"),
    (b"1.99,1-0:1.8.0,1704067200000,1,kWh,1,", None, "1.99 1.99.32 2024-01-01T00:00:00Z 1.0 kW.h", "unknown sensor"),
]


@pytest.fixture
def bad_file(tmp_path: Path) -> tuple[Path, dict[int, tuple[str | None, str, str]]]:
    """A file in which good and bad rows take turns, and what is wrong with its rows by their number."""
    lines, expected = [HEADER.encode()], dict[int, tuple[str | None, str, str]]()
    for place, (row, *wrong) in enumerate(BAD):
        lines.append(row)
        expected[len(lines)] = (wrong[0], wrong[1] or "", wrong[2] or "")
        lines.append(GOOD.format(hour=place % 10).encode())
    path = tmp_path / "bad.csv"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path, expected


@pytest.mark.parametrize("block_bytes", [200, 1_000, 1 << 20])
async def test_each_is_named_and_the_good_rows_arrive(
    client: BesmartClient,
    simulator: Simulator,
    bad_file: tuple[Path, dict[int, tuple[str | None, str, str]]],
    block_bytes: int,
) -> None:
    path, expected = bad_file
    seen: list[Reject] = []
    source = CsvSource(path, block_bytes=block_bytes)
    report = await IngestJob(client.signals, client.writer, [source], verify=True, on_reject=seen.append).run()
    found = {reject.row: (reject.column, reject.value) for reject in seen}
    assert found == {row: wrong[:2] for row, wrong in expected.items()}
    for reject in seen:
        assert expected[reject.row][2] in reject.reason
        assert reject.file == str(path)
    assert (report.accepted, report.rejected) == (len(BAD), len(BAD))
    assert report.distinct == 10
    assert {reading.value for reading in simulator.stored(1, 1, 32)} == {hour + 0.5 for hour in range(10)}


async def test_wide_rows_are_refused_as_a_whole_where_their_day_is_not_sure(
    client: BesmartClient, csv_file: Callable[..., Path]
) -> None:
    ordinary, spring, autumn, unwritten = "2024-06-01", "2024-03-31", "2024-10-27", "27.10.2024"
    path = csv_file(
        f"1.1,{ordinary}," + ",".join(["1"] * 96),  # row 2: whole
        f"1.1,{ordinary}," + ",".join(["1", "x", "", "1"] * 24),  # row 3: one bad value in four, one missing
        f"1.1,{spring}," + ",".join(["1"] * 96),  # row 4: four more than the day has
        f"1.1,{autumn}," + ",".join(["1"] * 96),  # row 5: four fewer
        f"1.1,{spring}," + ",".join(["1"] * 92),  # row 6: as long as its day
        f"1.1,{autumn}," + ",".join(["1"] * 100),  # row 7: too
        f"1.1,{unwritten}," + ",".join(["1"] * 96),
        f"1.1,{ordinary}," + ",".join(["1"] * 95),
        header="meter,date," + ",".join(f"Q{n}" for n in range(1, 97)),
    )
    seen: list[Reject] = []
    reading = ParseOptions(time_zone="Europe/Warsaw", unit="kWh")
    report = await IngestJob(
        client.signals, client.writer, [CsvSource(path)], reading=reading, signal_type="1.29.0", on_reject=seen.append
    ).run()
    by_row: dict[int, list[Reject]] = {}
    for reject in seen:
        by_row.setdefault(reject.row, []).append(reject)
    assert {row: len(found) for row, found in by_row.items()} == {3: 24, 4: 96, 5: 96, 8: 96, 9: 1}
    assert (by_row[3][0].column, by_row[3][0].value, by_row[3][0].reason) == ("Q2", "x", "is not a number")
    assert "the day lasts 92 periods of 15 min in Europe/Warsaw" in by_row[4][0].reason
    assert "the day lasts 100 periods of 15 min in Europe/Warsaw" in by_row[5][0].reason
    assert (by_row[8][0].column, by_row[8][0].value, by_row[8][0].reason) == (
        "date",
        unwritten,
        "is not a date such as 2024-03-31",
    )
    assert by_row[9][0].reason == "has 97 fields where the header has 98"
    assert report.accepted == 96 + 48 + 92 + 100
