"""Checks: what is in files, told without sending anything."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from besmart_async import SignalType
from besmart_async.ingest import KnownMeters, ParseOptions, Reject, SourceError
from besmart_async.ingest.check.job import CheckJob
from besmart_async.ingest.check.report import distance, iso
from besmart_async.ingest.mapping.signals import Mapper, SignalTypes
from besmart_async.ingest.report import Progress
from besmart_async.ingest.sources import CsvSource, sources_of

DATA = Path(__file__).parents[3] / "examples" / "data"
START = 1704067200000
TYPES = SignalTypes([SignalType(signal_type_moid=32, obis_mapping="1.8.0", is_incremental=True, unit_symbol="kW.h")])


def row(minute: int, value: float, meter: str = "1.1", obis: str = "1-0:1.8.0", unit: str = "kWh") -> str:
    return f"{meter},{obis},{START + minute * 60_000},{value},{unit}"


@pytest.mark.parametrize("in_memory", [1_000_000, 1_000])
async def test_the_sample_is_as_its_notice_says(in_memory: int) -> None:
    report = await CheckJob(sources_of([str(DATA / "*.csv.gz")]), in_memory=in_memory).run()
    assert (report.rows, report.readings, report.rejected, report.distinct) == (96_838, 96_838, 0, 96_799)
    assert (report.repeats_equal, report.repeats_conflicting, report.out_of_order) == (39, 0, 0)
    assert (report.meters, report.signals, report.resolutions) == (4, 4, {1_800_000: 2, 3_600_000: 2})
    assert report.gaps == 32
    assert iso(report.since_ms or 0) == "2012-01-03T00:00Z"
    assert report.findings[0].kind == "gap"
    assert str(report.findings[0]).endswith(
        "row 23: UK-2001 1-0:1.29.0 2012-10-12T11:30Z nothing since 2012-10-12T10:30Z"
    )


async def test_each_kind_of_finding_is_counted_and_named_with_its_row(csv_file: Callable[..., Path]) -> None:
    path = csv_file(row(0, 1), row(15, 2), row(15, 2), row(15, 3), row(45, 2.5), row(30, 2.75), row(90, 4), "1.1,x")
    report = await CheckJob([CsvSource(path)]).run()
    assert (report.rows, report.readings, report.rejected, report.distinct) == (8, 7, 1, 5)
    assert (report.repeats_equal, report.repeats_conflicting, report.out_of_order) == (1, 1, 1)
    assert (report.gaps, report.missing, report.falling) == (1, 2, 2)
    assert [(finding.kind, finding.row, finding.detail) for finding in report.findings] == [
        ("conflict", 5, "is 3, and was 2 above"),
        ("falling", 6, "falls from 2.75 to 2.5"),
        ("falling", 7, "falls from 3 to 2.75"),
        ("gap", 8, "nothing since 2024-01-01T00:45Z"),
        ("out of order", 7, "stands below 2024-01-01T00:45Z"),
    ]
    (reject,) = report.rejects
    assert (reject.row, reject.value, reject.reason) == (9, "1.1,x", "has 2 fields where the header has 5")
    assert reject.record[-1] == ("line", "", "1.1,x")


async def test_only_registers_can_fall(csv_file: Callable[..., Path]) -> None:
    path = csv_file(*(row(minute, 9 - minute, obis=obis) for obis in ("1.29.0", "1.8.0", "A+") for minute in (0, 1)))
    assert (await CheckJob([CsvSource(path)]).run()).falling == 1
    named = ParseOptions(signals={"A+": "1.8.0"})
    report = await CheckJob([CsvSource(path)], reading=named).run()
    assert (report.signals, report.repeats_equal, report.falling) == (2, 2, 1)


async def test_values_in_several_units_are_compared_as_one(csv_file: Callable[..., Path]) -> None:
    path = csv_file(row(0, 1.0), row(0, 1000, unit="Wh"), row(1, 1500, unit="Wh"))
    report = await CheckJob([CsvSource(path)]).run()
    assert (report.repeats_equal, report.repeats_conflicting, report.falling) == (1, 0, 0)


async def test_with_the_services_types_rows_that_it_does_not_know_are_rejects(csv_file: Callable[..., Path]) -> None:
    path = csv_file(row(0, 2), row(15, 1), row(0, 1, meter="M"), row(0, 1, obis="9.9.9"), row(0, 1, unit="kW"))
    seen: list[Reject] = []
    job = CheckJob([CsvSource(path)], mapper=Mapper(KnownMeters(), TYPES), on_reject=seen.append)
    report = await job.run()
    assert [(reject.row, reject.column) for reject in seen] == [(4, "meter"), (5, "obis"), (6, "unit")]
    assert (report.readings, report.falling, report.signals) == (2, 1, 1)
    assert report.findings[0].signal == "1.1.32"


async def test_a_file_that_cannot_be_read_on_is_an_error_beside_what_was_read(tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes((DATA / "uk-electricity.csv.gz").read_bytes()[:-5_000])
    report = await CheckJob([CsvSource(cut)]).run()
    assert report.readings > 40_000
    assert "damaged or incomplete gzip" in str(report.error)
    assert report.as_dict()["error"] == str(report.error)
    with pytest.raises(SourceError, match="no such file"):
        await CheckJob([CsvSource(tmp_path / "none.csv")]).run()


async def test_missing_values_and_ignored_signals_are_counted_as_left_out(csv_file: Callable[..., Path]) -> None:
    path = csv_file(row(0, 1), "1.1,1.8.0,1704067200000,-,kWh", row(0, 1, obis="0-0:96.14.0"))
    reading = ParseOptions(missing=("-",), ignored=frozenset({"0-0:96.14.0"}))
    report = await CheckJob([CsvSource(path)], reading=reading).run()
    assert (report.rows, report.left_out, report.rejected) == (1, 2, 0)


async def test_progress_is_told_and_nothing_is_a_report_too(csv_file: Callable[..., Path]) -> None:
    seen: list[Progress] = []
    report = await CheckJob([CsvSource(csv_file())], on_progress=seen.append).run()
    assert (report.rows, report.since_ms, report.resolutions) == (0, None, {})
    path = csv_file(*(row(minute, minute) for minute in range(100)))
    await CheckJob([CsvSource(path, chunk_rows=30)], on_progress=seen.append).run()
    assert [step.rows_read for step in seen] == [30, 60, 90, 100]
    assert seen[-1].bytes_read == seen[-1].bytes_total == path.stat().st_size


def test_distances_are_in_the_largest_unit_that_fits() -> None:
    assert [distance(ms) for ms in (900_000, 3_600_000, 86_400_000, 90_000, 1, 0)] == [
        "15 min",
        "1 h",
        "1 d",
        "90 s",
        "1 ms",
        "one reading",
    ]


async def test_gz_of_long_and_wide_files_together_is_one_report(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"meter,time,value\n1.1,1704067200000,1\n"))
    hours = ",".join(f"{hour:02}:00" for hour in range(24))
    (tmp_path / "b.csv").write_text(f"meter,date,{hours}\n1.1,2024-01-02{',1' * 24}\n", encoding="utf-8")
    report = await CheckJob(sources_of([str(tmp_path)]), reading=ParseOptions(time_zone="UTC")).run()
    assert (report.readings, report.signals, report.gaps, report.missing) == (25, 1, 1, 23)


async def test_the_order_of_a_wide_file_is_that_of_its_rows(csv_file: Callable[..., Path]) -> None:
    header = "meter,date," + ",".join(map(str, range(1, 25)))
    days = [f"1.1,2024-01-0{day}" + f",{day}" * 24 for day in (1, 2, 4, 3)]
    report = await CheckJob([CsvSource(csv_file(*days, header=header))], reading=ParseOptions(time_zone="UTC")).run()
    assert (report.readings, report.out_of_order, report.gaps) == (96, 24, 0)
    assert {finding.row for finding in report.findings} == {5}
