"""Several processes for one ingest."""

from collections.abc import Callable
from pathlib import Path

import pytest

from besmart_async import BesmartError, ConnectError
from besmart_async.ingest import CsvSource, Progress, Reject, RejectLimit, SourceError, TooManyRejectsError, WorkerPool
from tests.ingest.connecting import death, nobody, own_service

START = 1704067200000


def rows(count: int) -> list[str]:
    return [f"1.{1 + n % 9},1.8.0,{START + n * 900_000},{n / 7!r},kWh" for n in range(count)]


async def test_each_meter_is_sent_by_one_worker_and_the_reports_add_up(csv_file: Callable[..., Path]) -> None:
    steps: list[Progress] = []
    rejects: list[Reject] = []
    path = csv_file(*rows(900), "1.1,1.8.0,never,1,kWh", "5.5,1.8.0,1704067200000,1,kWh")
    pool = WorkerPool(
        own_service, [CsvSource(path)], 3, verify=True, on_progress=steps.append, on_reject=rejects.append
    )
    report = await pool.run()
    assert (report.state, report.rows_read, report.accepted, report.rejected) == ("completed", 902, 900, 2)
    assert (report.meters, report.distinct) == (9, 900)
    assert report.verification is not None
    assert (report.verification.verified, report.verification.expected) == (900, 900)
    assert sorted(reject.row for reject in rejects) == [902, 903]
    assert steps[-1].bytes_total == path.stat().st_size
    assert pool.largest is not None
    assert pool.largest.readings == 100


async def test_what_no_worker_can_begin_is_raised(csv_file: Callable[..., Path]) -> None:
    with pytest.raises(ConnectError, match="nobody is there"):
        await WorkerPool(nobody, [CsvSource(csv_file(*rows(9)))], 2).run()


async def test_a_file_that_cannot_be_read_is_refused_before_any_process_starts(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        await WorkerPool(death, [CsvSource(tmp_path / "none.csv")], 2).run()


async def test_a_worker_that_dies_ends_the_run_with_a_word(csv_file: Callable[..., Path]) -> None:
    with pytest.raises(BesmartError, match=r"besmart-worker-\d died \(exit code 7\)"):
        await WorkerPool(death, [CsvSource(csv_file(*rows(9)))], 2).run()


async def test_rejects_are_judged_over_all_workers(csv_file: Callable[..., Path]) -> None:
    bad = [f"1.{1 + n % 9},1.8.0,never,1,kWh" for n in range(9)]
    pool = WorkerPool(own_service, [CsvSource(csv_file(*bad))], 3, max_rejects=RejectLimit(8))
    report = await pool.run()
    assert report.state == "failed"
    assert isinstance(report.error, TooManyRejectsError)
