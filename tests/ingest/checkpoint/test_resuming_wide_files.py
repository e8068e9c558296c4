"""Rows with many readings: such a row is done when all of its readings are."""

from pathlib import Path

import pytest

from besmart_async import BatchPolicy, ConnectError
from besmart_async.ingest import Checkpoint, CsvSource, IngestJob, IngestReport, ParseOptions, Reject
from tests.ingest.service import Service

DAYS = 6
HOURS = [f"{hour:02}:00" for hour in range(24)]
SMALL = BatchPolicy(linger_s=0, max_in_flight=1, max_readings=5, initial_wait_s=0, delivery_timeout_s=0, hold_off_s=0)


def wide(path: Path, *, bad: dict[tuple[int, int], str] | None = None) -> Path:
    """Each reading has a value of its own: day and hour."""
    lines = [",".join(["meter", "obis", "unit", "date", *HOURS])]
    for day in range(DAYS):
        values = [(bad or {}).get((day, hour), str(100 * day + hour)) for hour in range(24)]
        lines.append(",".join(["1.1", "1.8.0", "kWh", f"2024-01-0{day + 1}", *values]))
    path.write_text("\n".join(lines) + "\n")
    return path


async def run(
    service: Service, file: Path, told: list[Reject] | None = None, how: ParseOptions | None = None
) -> IngestReport:
    with Checkpoint(file.with_suffix(".sqlite3")) as checkpoint:
        job = IngestJob(
            service,
            service.writer,
            [CsvSource(file, chunk_rows=72)],
            reading=how or ParseOptions(time_zone="UTC"),
            policy=SMALL,
            checkpoint=checkpoint,
            on_reject=None if told is None else told.append,
        )
        report = await job.run()
    total = report.skipped + report.accepted + report.rejected + report.in_doubt + report.not_sent
    assert report.rows_read == total
    return report


def fails_at(number: int) -> Service:
    return Service(lambda call: ConnectError("gone", outcome="not_sent") if call >= number else None)


def works() -> Service:
    return Service(lambda _: None)


def values(*services: Service) -> list[float]:
    return sorted({value for service in services for _, value in service.arrived})


async def test_a_second_run_sends_nothing_new(tmp_path: Path) -> None:
    file = wide(tmp_path / "wide.csv")
    assert (await run(works(), file)).accepted == DAYS * 24
    again = await run(works(), file)
    assert (again.skipped, again.accepted, again.requests) == (DAYS * 24, 0, 0)


@pytest.mark.parametrize("call", [2, 8, 14, 20])
async def test_after_an_outage_within_a_row_all_of_the_row_is_sent_again(tmp_path: Path, call: int) -> None:
    file = wide(tmp_path / "wide.csv")
    failing, service = fails_at(call), works()
    first = await run(failing, file)
    assert (first.state, first.accepted) == ("failed", len(failing.arrived))
    second = await run(service, file)
    assert second.state == "completed"
    assert second.skipped == first.accepted // 24 * 24  # whole rows only
    assert values(failing, service) == sorted(100.0 * day + hour for day in range(DAYS) for hour in range(24))


@pytest.mark.parametrize("call", [2, 8, 14])
async def test_rejects_of_a_row_that_is_not_done_are_told_once(tmp_path: Path, call: int) -> None:
    bad = {(0, 7): "x", (0, 8): "y", (2, 3): "z"}
    file = wide(tmp_path / "wide.csv", bad=bad)
    failing, service = fails_at(call), works()
    await run(failing, file)
    told: list[Reject] = []
    report = await run(service, file, told)
    assert sorted(one.value for one in told) == ["x", "y", "z"]
    assert report.rejected + report.rejected_before == 3
    assert {(one.value, one.column) for one in told} == {("x", "07:00"), ("y", "08:00"), ("z", "03:00")}
    rows = [[text for role, _, text in one.record if role == "slot"] for one in told if one.record]
    assert ["x", "y"] in [row[7:9] for row in rows]  # the row as a whole, for whoever mends it
    assert len(values(failing, service)) == DAYS * 24 - 3


async def test_values_that_are_missing_count_as_nothing_in_each_run(tmp_path: Path) -> None:
    file = wide(tmp_path / "wide.csv", bad={(1, 5): "-", (4, 0): ""})
    how = ParseOptions(time_zone="UTC", missing=("-",))
    first = await run(works(), file, how=how)
    second = await run(works(), file, how=how)
    assert (first.rows_read, first.accepted) == (DAYS * 24 - 2, DAYS * 24 - 2)
    assert (second.rows_read, second.skipped) == (DAYS * 24 - 2, DAYS * 24 - 2)
