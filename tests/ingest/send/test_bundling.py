"""Thin pages: joined as far as they may be, and nothing of them lost or mixed up."""

import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
import orjson
import pytest

from besmart_async import BatchPolicy, Response, UnprocessableError
from besmart_async.ingest import (
    Checkpoint,
    CsvSource,
    IngestJob,
    IngestReport,
    ParseOptions,
    Reject,
    RejectLimit,
    Source,
)
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.pages import PageReader, ParsedPage
from besmart_async.ingest.send.bundling import MANY_SIGNALS, Bundler
from tests.ingest.service import Service

METERS = MANY_SIGNALS + 200
START_MS = 1_704_067_200_000


def line(meter: int, time: int) -> str:
    return f"1.{meter},1.8.0,{START_MS + time * 900_000},{meter + time / 100},kWh"


def by_time(times: int) -> list[str]:
    return [line(meter, time) for time in range(times) for meter in range(METERS)]


def by_meter(times: int) -> list[str]:
    return [line(meter, time) for meter in range(METERS) for time in range(times)]


@attrs.frozen
class Stream:
    """A source of which nobody knows how large it is."""

    held: CsvSource

    name = "stream"
    size_bytes = None

    def check(self) -> tuple[str, ...]:
        return ()

    def pages(self) -> Iterator[object]:
        return self.held.pages()


def bundled(*sources: Source, most_rows: int = 1_000_000) -> list[ParsedPage]:
    pages = PageReader(
        sources, [ResumePoint(source.name) for source in sources], ParseOptions(), None, all_parsed=False
    )
    bundler = Bundler(most_rows)
    return [*(joined for page in pages.pages() for joined in bundler.take(page)), *bundler.rest()]


def sizes(found: Sequence[ParsedPage]) -> list[int]:
    return [len(page.chunk) for page in found]


def test_pages_of_a_file_sorted_by_time_are_joined(csv_file: Callable[..., Path]) -> None:
    source = CsvSource(csv_file(*by_time(5)), chunk_rows=METERS)
    [whole], parts = bundled(source), bundled(source, most_rows=0)
    assert sizes(parts) == [METERS] * 5
    assert (len(whole.chunk), whole.rows, whole.bytes_read) == (5 * METERS, 5 * METERS, parts[-1].bytes_read)
    for name in ("rows", "time", "value", "origin"):
        columns = [getattr(page.readings, name) for page in parts]
        assert getattr(whole.readings, name).tolist() == np.concatenate(columns).tolist()
    for place in (0, METERS, 3 * METERS + 7):
        held = parts[place // METERS].chunk
        for role in ("meter", "signal", "time", "value", "unit"):
            assert whole.chunk.text(role, place) == held.text(role, place % METERS)


def test_no_more_rows_are_joined_than_may_be(csv_file: Callable[..., Path]) -> None:
    source = CsvSource(csv_file(*by_time(5)), chunk_rows=METERS)
    assert sizes(bundled(source, most_rows=2 * METERS + 1)) == [2 * METERS, 2 * METERS, METERS]


def test_pages_in_which_signals_have_many_rows_stay_as_they_are(csv_file: Callable[..., Path]) -> None:
    source = CsvSource(csv_file(*by_meter(30)), chunk_rows=12_000)
    assert sizes(bundled(source)) == [12_000] * 3
    few_meters = [line(meter, time) for time in range(24) for meter in range(500)]
    assert sizes(bundled(CsvSource(csv_file(*few_meters), chunk_rows=2_000))) == [2_000] * 6


def test_a_thin_page_is_not_joined_with_one_that_is_not(csv_file: Callable[..., Path]) -> None:
    thick = [line(7, time) for time in range(METERS)]
    lines = [*by_time(2), *thick, *by_time(2)]
    assert sizes(bundled(CsvSource(csv_file(*lines), chunk_rows=METERS))) == [2 * METERS, METERS, 2 * METERS]


def test_pages_of_two_files_are_not_joined(csv_file: Callable[..., Path]) -> None:
    files = [csv_file(*by_time(2), name=name) for name in ("a.csv", "b.csv")]
    found = bundled(*(CsvSource(file, chunk_rows=METERS) for file in files))
    assert [(page.source, len(page.chunk)) for page in found] == [(0, 2 * METERS), (1, 2 * METERS)]


def test_rows_of_a_stream_wait_for_no_others(csv_file: Callable[..., Path]) -> None:
    stream = Stream(CsvSource(csv_file(*by_time(3)), chunk_rows=METERS))
    assert sizes(bundled(stream)) == [METERS] * 3  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_wide_files_are_not_joined(csv_file: Callable[..., Path]) -> None:
    hours = [f"{hour:02}:00" for hour in range(24)]
    days = [f"1.{meter},1.8.0,2024-01-01,{','.join('1' * 24)}" for meter in range(METERS)]
    file = csv_file(*days, header=f"meter,obis,date,{','.join(hours)}")
    reading = ParseOptions(time_zone="UTC")
    source = CsvSource(file, chunk_rows=24 * METERS // 2)
    pages = PageReader([source], [ResumePoint("f")], reading, None, all_parsed=False)
    bundler = Bundler()
    assert len([joined for page in pages.pages() for joined in bundler.take(page)]) == 2


def test_rejects_and_rows_left_out_keep_their_places(csv_file: Callable[..., Path]) -> None:
    lines = by_time(3)
    lines[METERS + 3] = "1.3,1.8.0,never,1,kWh"
    lines[2 * METERS + 5] = "1.5,1.8.0"
    [whole] = bundled(CsvSource(csv_file(*lines), chunk_rows=METERS))
    assert sorted(reject.row for reject in whole.rejects) == [METERS + 5, 2 * METERS + 7]
    assert whole.readings is not None
    assert (whole.rows, len(whole.readings)) == (3 * METERS, 3 * METERS - 2)
    bad = {METERS + 5, 2 * METERS + 7}
    assert whole.readings.rows.tolist() == [row for row in range(2, 3 * METERS + 2) if row not in bad]
    value = dict(zip(whole.readings.rows.tolist(), whole.readings.value.tolist(), strict=True))
    assert value[2 * METERS + 2] == pytest.approx(0.02)
    meters = [whole.readings.meter.text(place) for place in range(len(whole.readings))]
    assert meters[METERS + 3] == "1.4"


async def run(service: Service, file: Path, **options: object) -> IngestReport:
    source = CsvSource(file, chunk_rows=METERS)
    return await IngestJob(service, service.writer, [source], **options).run()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def items_of(service: Service) -> list[tuple[int, list[int]]]:
    bodies = [orjson.loads(body) for body in service.bodies]
    return [(item["sensor_mid"], item["data"]["time"]) for body in bodies for item in body]


async def test_a_signal_is_one_item_of_all_its_times(csv_file: Callable[..., Path]) -> None:
    service = Service(lambda _: None)
    report = await run(service, csv_file(*by_time(12)))
    assert (report.state, report.accepted, report.signals) == ("completed", 12 * METERS, METERS)
    times = [START_MS + time * 900_000 for time in range(12)]
    assert sorted(items_of(service)) == [(meter, times) for meter in range(METERS)]


async def test_a_refused_reading_is_told_with_its_row_as_it_was_read(csv_file: Callable[..., Path]) -> None:
    refusal = UnprocessableError(422, "too much", "signals.write_bulk", Response(422), outcome="rejected")
    service = Service(lambda call: refusal if re.search(rb"[\[,]77\.02[\],]", service.bodies[call - 1]) else None)
    told: list[Reject] = []
    report = await run(service, csv_file(*by_time(4)), on_reject=told.append, policy=BatchPolicy(max_in_flight=1))
    assert (report.accepted, report.rejected) == (4 * METERS - 1, 1)
    [reject] = told
    assert reject.row == 2 + 2 * METERS + 77
    held = {role: text for role, _, text in reject.record}
    expected = dict(zip(("meter", "signal", "time", "value", "unit"), line(77, 2).split(","), strict=True))
    assert held == expected


async def test_too_many_rejects_end_the_run_before_the_pages_with_them_are_sent(csv_file: Callable[..., Path]) -> None:
    lines = by_time(4)
    lines[3] = lines[METERS + 5] = "1.3,1.8.0,never,1,kWh"
    service = Service(lambda _: None)
    report = await run(service, csv_file(*lines), max_rejects=RejectLimit(1))
    assert (report.state, report.rejected, service.bodies) == ("failed", 2, [])


async def test_what_was_not_stored_is_sent_by_the_next_run_and_nothing_twice(
    csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = csv_file(*by_time(6))
    policy = BatchPolicy(linger_s=0, max_in_flight=1, max_readings=500, initial_wait_s=0, delivery_timeout_s=0)
    gone = UnprocessableError(500, "gone", "signals.write_bulk", Response(500), outcome="in_doubt")
    first, second = Service(lambda call: gone if call > 5 else None), Service(lambda _: None)
    reports: list[IngestReport] = []
    for service in (first, second):
        with Checkpoint(tmp_path / "checkpoint.sqlite3") as checkpoint:
            reports.append(await run(service, file, policy=policy, checkpoint=checkpoint))
    assert (reports[0].state, reports[1].state) == ("failed", "completed")
    assert 0 < reports[0].accepted == reports[1].skipped
    assert len(first.arrived) + len(second.arrived) == 6 * METERS == len({*first.arrived, *second.arrived})


async def test_a_damaged_file_gives_what_could_be_read(csv_file: Callable[..., Path]) -> None:
    whole = csv_file(*by_time(8), name="whole.csv")
    packed = whole.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress(whole.read_bytes())[:-2000])
    service = Service(lambda _: None)
    report = await run(service, packed)
    assert report.state == "failed"
    assert "damaged or incomplete gzip" in str(report.error)
    assert METERS < report.accepted == report.rows_read < 8 * METERS
