"""Jobs that end early, and the ones after them: everything arrives, little comes twice, the last value holds."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from besmart_async import BatchPolicy, BesmartClient, ConnectError, Response, UnprocessableError
from besmart_async.ingest import Checkpoint, CsvSource, IngestJob, IngestReport, Progress, Reject, ResumePoint
from besmart_async.simulator import Simulator
from tests.ingest.service import Service

START = 1704067200000
SMALL = BatchPolicy(linger_s=0, max_in_flight=1, max_readings=4, initial_wait_s=0, delivery_timeout_s=0, hold_off_s=0)


def rows(meter: str, count: int, *, first: int = 0) -> list[str]:
    return [f"{meter},1.8.0,{START + place * 900_000},{place / 7!r},kWh" for place in range(first, first + count)]


@attrs.define
class Runs:
    """Jobs with one checkpoint."""

    path: Path
    starts: list[ResumePoint] = attrs.field(factory=list[ResumePoint])
    rejects: list[Reject] = attrs.field(factory=list[Reject])

    async def run(self, service: Any, *files: Path, chunk_rows: int = 6, **settings: Any) -> IngestReport:
        self.starts.clear()
        self.rejects.clear()
        signals = service.signals if isinstance(service, BesmartClient) else service
        with Checkpoint(self.path) as checkpoint:
            job = IngestJob(
                signals,
                service.writer,
                [CsvSource(file, chunk_rows=chunk_rows) for file in files],
                checkpoint=checkpoint,
                on_start=self.starts.append,
                on_reject=self.rejects.append,
                **{"policy": SMALL} | settings,
            )
            report = await job.run()
        total = report.skipped + report.accepted + report.rejected + report.in_doubt + report.not_sent
        assert report.rows_read == total
        return report


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "state" / "checkpoint.sqlite3")


def fails_at(number: int) -> Service:
    return Service(lambda call: ConnectError("gone", outcome="not_sent") if call >= number else None)


def works() -> Service:
    return Service(lambda _: None)


async def test_a_second_run_sends_nothing_new(runs: Runs, csv_file: Callable[..., Path]) -> None:
    file = csv_file(*rows("1.1", 50))
    first = await runs.run(works(), file)
    assert (first.accepted, runs.starts[0].known) == (50, "new")
    service = works()
    second = await runs.run(service, file)
    assert (second.state, second.skipped, second.accepted, second.requests) == ("completed", 50, 0, 0)
    assert (runs.starts[0].known, runs.starts[0].rows) == ("resumed", 50)
    assert service.bodies == []


@pytest.mark.parametrize("chunk_rows", [1, 7, 100])
async def test_after_an_outage_only_what_is_missing_is_sent(
    runs: Runs, csv_file: Callable[..., Path], chunk_rows: int
) -> None:
    file = csv_file(*rows("1.1", 50))
    failing = fails_at(4)
    first = await runs.run(failing, file)
    assert (first.state, first.accepted) == ("failed", len(failing.arrived))
    service = works()
    second = await runs.run(service, file, chunk_rows=chunk_rows)
    assert (second.state, second.skipped, second.accepted) == ("completed", first.accepted, 50 - first.accepted)
    assert sorted({*failing.arrived, *service.arrived}) == sorted((START + n * 900_000, n / 7) for n in range(50))
    assert not {*failing.arrived} & {*service.arrived}


async def test_what_was_under_way_when_the_run_was_cut_off_is_sent_again(
    runs: Runs, csv_file: Callable[..., Path]
) -> None:
    file = csv_file(*rows("1.1", 50))
    never, called = asyncio.Event(), asyncio.Event()

    def write(call: int) -> asyncio.Event | None:
        if call < 4:
            return None
        called.set()
        return never

    service = Service(write)
    task = asyncio.create_task(runs.run(service, file))
    await called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    resumed = works()
    report = await runs.run(resumed, file)
    assert 0 < report.skipped == len(service.arrived) <= 12
    assert not {*service.arrived} & {*resumed.arrived}
    assert len(service.arrived) + len(resumed.arrived) == 50


async def test_the_last_value_holds_across_a_resume(
    runs: Runs, client: BesmartClient, simulator: Simulator, csv_file: Callable[..., Path]
) -> None:
    lines = [*rows("1.1", 20), *(f"1.1,1.8.0,{START + n * 900_000},{100 + n},kWh" for n in range(20))]
    file = csv_file(*lines, *rows("1.2", 8))
    first = await runs.run(client, file)
    assert first.accepted == 48
    # An earlier row was not recorded although a later one of the same reading was: both are sent again, in their order.
    forget(runs.path, [3, 47])
    second = await runs.run(client, file)
    assert (second.accepted, second.skipped) == (3, 45)
    newest = {reading.time: reading.value for reading in simulator.stored(1, 1, 32)}
    assert newest == {START + n * 900_000: 100 + n for n in range(20)}


async def test_a_later_file_that_is_done_still_holds_over_an_earlier_one_that_is_new(
    runs: Runs, client: BesmartClient, simulator: Simulator, csv_file: Callable[..., Path]
) -> None:
    later = csv_file(f"1.1,1.8.0,{START},2,kWh", f"1.1,1.8.0,{START + 900_000},2,kWh", name="b.csv")
    await runs.run(client, later)
    earlier = csv_file(f"1.1,1.8.0,{START},1,kWh", name="a.csv")
    report = await runs.run(client, earlier, later)
    assert (report.accepted, report.skipped) == (2, 1)
    assert {reading.time: reading.value for reading in simulator.stored(1, 1, 32)}[START] == 2


async def test_rejects_are_recorded_told_again_and_not_sent_again(runs: Runs, csv_file: Callable[..., Path]) -> None:
    refusal = UnprocessableError(422, "too much", "signals.write_bulk", Response(422), outcome="rejected")
    service = Service(lambda call: refusal if b"13.5" in service.bodies[call - 1] else None)
    file = csv_file(*rows("1.1", 3), "1.1,1.8.0,never,1,kWh", f"1.1,1.8.0,{START - 1},13.5,kWh", "1.1,1.8.0")
    first = await runs.run(service, file, policy=attrs.evolve(SMALL, delivery_timeout_s=60))
    assert (first.accepted, first.rejected) == (3, 3)
    told = sorted(runs.rejects, key=lambda reject: reject.row)
    assert [reject.row for reject in told] == [5, 6, 7]
    held = {role: text for role, _, text in told[1].record}
    assert held == {"meter": "1.1", "signal": "1.8.0", "time": str(START - 1), "value": "13.5", "unit": "kWh"}
    assert [part for part in told[2].record if part[0] == "line"] == [("line", "", "1.1,1.8.0")]
    second = await runs.run(works(), file)
    assert (second.skipped, second.rejected, second.rejected_before, second.requests) == (6, 0, 3, 0)
    assert runs.rejects == told


async def test_a_changed_file_is_sent_from_its_start_and_a_grown_one_from_where_it_ended(
    runs: Runs, csv_file: Callable[..., Path]
) -> None:
    await runs.run(works(), csv_file(*rows("1.1", 10)))
    grown = await runs.run(works(), csv_file(*rows("1.1", 12)))
    assert (runs.starts[0].known, grown.skipped, grown.accepted) == ("grown", 9, 3)
    changed = await runs.run(works(), csv_file(*rows("1.1", 12, first=1)))
    assert (runs.starts[0].known, changed.skipped, changed.accepted) == ("changed", 0, 12)


async def test_verifying_covers_what_earlier_runs_have_sent(
    runs: Runs, client: BesmartClient, csv_file: Callable[..., Path]
) -> None:
    file = csv_file(*rows("1.1", 30), "9.9,1.8.0,1704067200000,1,kWh")
    await runs.run(client, file, policy=None)
    report = await runs.run(client, file, verify=True)
    assert (report.accepted, report.skipped, report.distinct) == (0, 31, 30)
    assert report.verification is not None
    assert (report.verification.verified, report.verification.expected) == (30, 30)


async def test_a_dry_run_sends_and_records_nothing_but_names_the_rejects(
    runs: Runs, csv_file: Callable[..., Path]
) -> None:
    file = csv_file(*rows("1.1", 5), "1.1,1.8.0,never,1,kWh")
    service = works()
    report = await runs.run(service, file, dry_run=True, verify=True)
    assert (report.dry, report.state, report.not_sent, report.rejected, report.verification) == (
        True,
        "completed",
        5,
        1,
        None,
    )
    assert (service.bodies, [reject.row for reject in runs.rejects]) == ([], [7])
    assert (await runs.run(works(), file)).accepted == 5


async def test_a_checkpoint_that_cannot_be_written_ends_the_run(runs: Runs, csv_file: Callable[..., Path]) -> None:
    def spoil(step: Progress) -> None:
        if step.accepted and runs.path.exists():
            import sqlite3

            with sqlite3.connect(runs.path) as raw:
                raw.execute("DROP TABLE IF EXISTS blocks")
            raw.close()

    report = await runs.run(works(), csv_file(*rows("1.1", 50)), on_progress=spoil)
    assert report.state == "failed"
    assert "cannot be used as a checkpoint" in str(report.error)


def forget(path: Path, numbers: Sequence[int]) -> None:
    import sqlite3

    import numpy as np

    from besmart_async.ingest.checkpoint.rows import flags

    with sqlite3.connect(path) as raw:
        [(bits,)] = raw.execute("SELECT bits FROM blocks").fetchall()
        left = flags(bits)
        left[list(numbers)] = False
        raw.execute("UPDATE blocks SET bits = ?", (np.packbits(left).tobytes(),))
    raw.close()
