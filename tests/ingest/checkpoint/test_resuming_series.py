"""Rows with a reading of each of several meters: such a row is done when all of its readings are."""

from pathlib import Path

import pytest

from besmart_async import BatchPolicy, ConnectError
from besmart_async.ingest import Checkpoint, CsvSource, FileForm, IngestJob, IngestReport, ParseOptions, Reject
from besmart_async.ingest.sources.series import SeriesForm, TextPattern
from tests.ingest.service import Service

ROWS, METERS = 8, 5
FORM = FileForm(series=(SeriesForm(pattern=TextPattern.of("{meter}")),))
SMALL = BatchPolicy(linger_s=0, max_in_flight=1, max_readings=3, initial_wait_s=0, delivery_timeout_s=0, hold_off_s=0)


def matrix(path: Path, bad: dict[tuple[int, int], str] | None = None) -> Path:
    """Each reading has a value of its own: row and meter."""
    lines = [",".join(["time", *(f"1.{meter}" for meter in range(METERS))])]
    for row in range(ROWS):
        values = [(bad or {}).get((row, meter), str(100 * row + meter)) for meter in range(METERS)]
        lines.append(",".join([f"2024-01-01T0{row}:00Z", *values]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def run(service: Service, file: Path, told: list[Reject] | None = None) -> IngestReport:
    with Checkpoint(file.with_suffix(".sqlite3")) as checkpoint:
        return await IngestJob(
            service,
            service.writer,
            [CsvSource(file, chunk_rows=20, form=FORM)],
            reading=ParseOptions(),
            signal_type="1.8.0",
            policy=SMALL,
            checkpoint=checkpoint,
            on_reject=None if told is None else told.append,
        ).run()


def works() -> Service:
    return Service(lambda _: None)


@pytest.mark.parametrize("fails_at", [2, 5, 9, 13])
async def test_after_an_outage_the_rest_is_sent_and_then_nothing(tmp_path: Path, fails_at: int) -> None:
    bad = {(0, 1): "x", (5, 4): ""}
    file = matrix(tmp_path / "matrix.csv", bad)
    failing = Service(lambda call: ConnectError("gone", outcome="not_sent") if call >= fails_at else None)
    service, told = works(), list[Reject]()
    assert (await run(failing, file)).state == "failed"
    report = await run(service, file, told)
    assert report.state == "completed"
    expected = {100.0 * row + meter for row in range(ROWS) for meter in range(METERS) if (row, meter) not in bad}
    assert {value for one in (failing, service) for _, value in one.arrived} == expected
    assert {(one.row, one.column, one.value) for one in told} == {(2, "1.1", "x")}
    again = await run(works(), file)
    assert (again.accepted, again.requests) == (0, 0)
