"""Exports from the embedded service."""

import asyncio
import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from besmart_async import (
    AuthenticationError,
    BesmartClient,
    BesmartError,
    InvalidInputError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    SignalData,
    SignalKey,
    SignalQuery,
    UnprocessableError,
)
from besmart_async.batching.read.reader import Reader
from besmart_async.config import ReadPolicy
from besmart_async.export import ExportError, ExportJob, ExportProgress, ExportReport
from besmart_async.export.job import MAX_SIGNALS, SIGNAL_DAYS, policy_for
from besmart_async.ingest import CsvSource, IngestJob
from besmart_async.simulator import Simulator
from besmart_async.simulator.faults import Fault
from besmart_async.testing import simulated_client
from besmart_async.transport import in_process

START, QUARTER, HOUR, DAY = 1704067200000, 900_000, 3_600_000, 86_400_000
DATA = Path(__file__).parents[2] / "examples" / "data"


def key(sensor: int, moid: int = 34) -> SignalKey:
    return SignalKey(1, sensor, moid)


def asked(*keys: SignalKey, days: float = 30, get_last: bool | None = None) -> list[SignalQuery]:
    return [SignalQuery(one, START, START + days * DAY, get_last) for one in keys]


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def stock(simulator: Simulator, sensor: int, days: int) -> list[float]:
    time = [START + n * QUARTER for n in range(days * 96)]
    value = [n / 7 for n in range(len(time))]
    simulator.add_readings(1, sensor, 34, time, value)
    return value


async def test_every_reading_is_in_the_file_by_signal_and_time(
    client: BesmartClient, simulator: Simulator, tmp_path: Path
) -> None:
    values = {sensor: stock(simulator, sensor, 20) for sensor in (1, 2, 3)}
    path = tmp_path / "out.csv"
    report = await ExportJob(client.reader, asked(*map(key, values)), path).run()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for sensor, value in values.items():
        mine = [row for row in rows if row["sensor_mid"] == str(sensor)]
        assert [float(row["value"]) for row in mine] == value
        assert [row["time"] for row in mine] == sorted(row["time"] for row in mine)
        assert {(row["unit"], row["type"], row["origin"]) for row in mine} == {("kW.h", "DBL", "1")}
    assert (report.state, report.readings, report.with_readings) == ("completed", 3 * 20 * 96, 3)
    assert report.bytes_written == path.stat().st_size


async def test_the_same_export_twice_is_the_same_file(
    client: BesmartClient, simulator: Simulator, tmp_path: Path
) -> None:
    for sensor in (1, 2):
        stock(simulator, sensor, 900)
    simulator.faults.add(Fault(operation="sensors.post_signals_data", shuffle=True))
    made: set[bytes] = set()
    for _ in range(2):
        await ExportJob(client.reader, asked(key(1), key(2), days=900), tmp_path / "out.csv.gz").run()
        made.add((tmp_path / "out.csv.gz").read_bytes())
    assert len(made) == 1


@pytest.mark.parametrize("name", ["back.csv", "back.csv.gz"])
async def test_what_was_exported_can_be_ingested_and_is_the_same(tmp_path: Path, name: str) -> None:
    first, second = Simulator(seed=False), Simulator(seed=False)
    for simulator in (first, second):
        simulator.add_sensors(1, range(1, 4))
    time = [START + n * QUARTER + (n == 5) for n in range(500)]
    first.add_readings(1, 1, 34, time, np.random.default_rng(1).normal(size=500).tolist())
    first.add_readings(1, 1, 34, time[:50], [1e-300] * 50, origin=4)
    first.add_readings(1, 2, 1, [START], [3.0])
    queries = asked(key(1), key(2, 1), key(3))
    async with simulated_client(first) as source, simulated_client(second) as target:
        await ExportJob(source.reader, queries, tmp_path / name).run()
        job = IngestJob(target.signals, target.writer, [CsvSource.of(str(tmp_path / name))], verify=True)
        report = await job.run()
        assert (report.rejected, report.accepted) == (0, 551)
        assert report.verification is not None
        assert report.verification.ok
        for query in queries:
            [before] = await source.signals.read_bulk([query])
            [after] = await target.signals.read_bulk([query])
            assert sorted(map(repr, before.rows())) == sorted(map(repr, after.rows()))
            assert before.unit == after.unit
    first.close()
    second.close()


async def test_json_lines_and_parquet_hold_the_same(
    client: BesmartClient, simulator: Simulator, tmp_path: Path
) -> None:
    value = stock(simulator, 1, 3)
    for name in ("a.parquet", "a.jsonl", "a.jsonl.gz"):
        await ExportJob(client.reader, asked(key(1)), tmp_path / name).run()
    assert pq.read_table(tmp_path / "a.parquet")["value"].to_pylist() == value
    assert [json.loads(line)["value"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == value
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "a.jsonl").read_bytes()


async def test_long_windows_are_cut_and_the_seams_do_not_show(
    client: BesmartClient, simulator: Simulator, tmp_path: Path
) -> None:
    time = [START + n * DAY for n in range(1000)]
    simulator.add_readings(1, 1, 34, time, list(range(1000)))
    seen: list[ExportProgress] = []
    stream = io.BytesIO()
    job = ExportJob(client.reader, asked(key(1), days=1000), stream, times="ms", on_progress=seen.append)
    report = await job.run()
    assert [int(line.split(b",")[3]) for line in stream.getvalue().splitlines()[1:]] == time
    assert report.requests == 3
    assert [(step.parts, step.parts_total) for step in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert seen[-1].readings == 1000


async def test_absent_and_refused_signals_are_named_and_the_rest_is_there(
    client: BesmartClient, simulator: Simulator, tmp_path: Path
) -> None:
    value = stock(simulator, 1, 2)
    broken = SignalQuery(key(2, 8), START, START + DAY, output_unit_id=1)  # a status cannot be given in kW.h
    job = ExportJob(client.reader, [*asked(key(1), key(99)), broken], tmp_path / "out.csv")
    report = await job.run()
    assert report.readings == len(value)
    assert report.absent == (key(99),)
    assert [(failed, "output_unit_id" in reason) for failed, reason in report.failed] == [(key(2, 8), True)]
    assert report.as_dict()["absent"] == ["1.99.34"]


async def test_signals_without_readings_are_an_answer(client: BesmartClient, tmp_path: Path) -> None:
    report = await ExportJob(client.reader, asked(key(1)), tmp_path / "out.csv").run()
    assert (report.readings, report.with_readings, report.absent) == (0, 0, ())
    assert (tmp_path / "out.csv").read_text().count("\n") == 1


async def test_if_no_signal_can_be_read_there_is_no_file(client: BesmartClient, tmp_path: Path) -> None:
    with pytest.raises(BesmartError, match=r"1\.98\.34, 1\.99\.34"):
        await ExportJob(client.reader, asked(key(98), key(99)), tmp_path / "out.csv").run()
    bad = SignalQuery(key(2, 8), START, START + DAY, output_unit_id=1)
    with pytest.raises(UnprocessableError):
        await ExportJob(client.reader, [bad], tmp_path / "out.csv").run()
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(("status", "error"), [(500, ServerError), (401, AuthenticationError)])
async def test_a_failure_on_the_way_leaves_no_file(
    client: BesmartClient, simulator: Simulator, tmp_path: Path, status: int, error: type[BesmartError]
) -> None:
    stock(simulator, 1, 10)
    simulator.faults.add(Fault(operation="sensors.post_signals_data", status=status, after=1))
    with pytest.raises(error):
        await ExportJob(client.reader, asked(key(1), days=900), tmp_path / "out.csv").run()
    assert left_in(tmp_path) == []


async def test_a_service_that_takes_too_long_is_no_fault_of_the_file(simulator: Simulator, tmp_path: Path) -> None:
    simulator.faults.add(Fault(operation="sensors.post_signals_data", latency_s=float("inf")))
    async with BesmartClient(
        base_url="http://127.0.0.1/api",
        login="login",
        password="password",
        api_key="API_KEY",
        timeout=0.05,
        retry=RetryPolicy(max_attempts=1),
        transport=in_process(simulator.app),
        dialect=simulator.settings.dialect,
    ) as client:
        with pytest.raises(RequestTimeoutError):
            await ExportJob(client.reader, asked(key(1)), tmp_path / "out.csv").run()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.csv.gz", "out.jsonl.zst"])
@pytest.mark.parametrize("ended_by", ["stop", "cancel"])
async def test_ending_it_early_leaves_no_file(
    client: BesmartClient, simulator: Simulator, tmp_path: Path, ended_by: str, name: str
) -> None:
    stock(simulator, 1, 10)
    simulator.faults.add(Fault(operation="sensors.post_signals_data", latency_s=float("inf"), after=1))
    begun = asyncio.Event()

    def on_progress(step: ExportProgress) -> None:
        if step.readings:
            begun.set()

    job = ExportJob(client.reader, asked(key(1), days=900), tmp_path / name, on_progress=on_progress)
    run = asyncio.create_task(job.run())
    await begun.wait()
    if ended_by == "stop":
        job.stop()
        report = await run
        assert (report.state, report.readings > 0) == ("interrupted", True)
    else:
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert left_in(tmp_path) == []


class _FullDisk(io.BytesIO):
    def write(self, _: object, /) -> int:
        raise OSError(28, "No space left on device")


async def test_a_full_disk_is_an_error_and_not_a_hang(client: BesmartClient, simulator: Simulator) -> None:
    stock(simulator, 1, 300)
    with pytest.raises(OSError, match="No space left"):
        await ExportJob(client.reader, asked(key(1), days=300), _FullDisk()).run()


async def test_a_folder_that_does_not_exist_is_an_error_of_the_file(client: BesmartClient, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No such file"):
        await ExportJob(client.reader, asked(key(1)), tmp_path / "no" / "out.csv").run()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda open_: ExportJob(open_, asked(key(1)), Path("out.txt")), "ends with .csv"),
        (lambda open_: ExportJob(open_, [], Path("out.csv")), "at least one"),
        (lambda open_: ExportJob(open_, asked(key(1), key(2), key(1)), Path("out.csv")), "2 times"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    make: Callable[[Callable[[ReadPolicy], object]], ExportJob], problem: str
) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        make(lambda _: pytest.fail("a reader was opened"))


@pytest.mark.parametrize("signals", [1, 7, 50, 10_000])
@pytest.mark.parametrize("days", [1, 30, 3650])
@pytest.mark.parametrize("get_last", [None, True])
def test_a_bulk_read_never_asks_for_more_than_the_memory_is_meant_for(
    signals: int, days: int, get_last: bool | None
) -> None:
    policy = policy_for(asked(*(key(n) for n in range(signals)), days=days, get_last=get_last))
    window_days = days if get_last else min(days, policy.max_window_s / 86_400)
    assert 1 <= policy.max_items <= MAX_SIGNALS
    assert policy.max_items * window_days <= SIGNAL_DAYS or policy.max_items == 1
    assert policy.max_outstanding <= 16 * MAX_SIGNALS  # only if they are short:
    assert policy.max_readings_ahead <= 2_000_000


async def test_memory_does_not_grow_with_what_is_exported(tmp_path: Path) -> None:
    async def answer(queries: list[SignalQuery], /) -> list[SignalData]:
        grids = [np.arange(np.ceil(q.since / HOUR), q.till // HOUR + 1).astype(np.int64) for q in queries]
        return [
            SignalData.trusted(query.key, grid * HOUR, grid / 7.0, unit="kW.h")
            for query, grid in zip(queries, grids, strict=True)
        ]

    async def peak(signals: int, days: int) -> tuple[int, ExportReport]:
        queries = asked(*(key(n) for n in range(signals)), days=days)
        tracemalloc.start()
        report = await ExportJob(lambda policy: Reader(answer, policy), queries, tmp_path / "out.csv").run()
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used, report

    small, first = await peak(10, 640)
    large, second = await peak(10, 2_560)
    assert (first.readings, second.readings) == (10 * (640 * 24 + 1), 10 * (2_560 * 24 + 1))
    assert large < small * 1.3
