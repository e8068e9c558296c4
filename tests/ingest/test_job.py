"""The whole job against the embedded service."""

import asyncio
import gzip
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from besmart_async import (
    ApiError,
    AuthenticationError,
    BatchPolicy,
    BesmartClient,
    BesmartError,
    ConnectError,
    PermissionDeniedError,
    RequestTimeoutError,
    Response,
    SensorKey,
    ServerError,
    SignalKey,
    SignalQuery,
    UnprocessableError,
)
from besmart_async.ingest import (
    Checkpoint,
    CsvSource,
    IngestJob,
    IngestReport,
    KnownMeters,
    Meter,
    ParseOptions,
    Progress,
    Reject,
    SourceError,
)
from besmart_async.simulator import Simulator
from tests.ingest.service import Service

DATA = Path(__file__).parents[2] / "examples" / "data"
START = 1704067200000
ILLINOIS = KnownMeters({"IL-1001": Meter(SensorKey(1, 1)), "IL-1002": Meter(SensorKey(1, 2))})


def rows(meter: str, count: int, *, first: int = 0) -> list[str]:
    return [f"{meter},1.8.0,{START + place * 900_000},{place / 7!r},kWh" for place in range(first, first + count)]


def accounted(report: IngestReport) -> bool:
    return report.rows_read == report.accepted + report.rejected + report.in_doubt + report.not_sent


async def test_a_file_arrives_and_is_verified(
    client: BesmartClient, simulator: Simulator, csv_file: Callable[..., Path]
) -> None:
    seconds = iter([10.0, 12.0])
    job = IngestJob(
        client.signals,
        client.writer,
        [CsvSource(csv_file(*rows("1.1", 96), *rows("1.2", 96)))],
        verify=True,
        clock=lambda: next(seconds),
    )
    report = await job.run()
    assert (report.state, report.rows_read, report.accepted, report.distinct) == ("completed", 192, 192, 192)
    assert (report.meters, report.signals, report.requests) == (2, 2, 1)
    assert (report.seconds, report.readings_per_s) == (2.0, 96.0)
    assert report.verification is not None
    assert (report.verification.expected, report.verification.verified) == (192, 192)
    assert accounted(report)
    assert len(simulator.stored(1, 1, 32)) == 96


async def test_repeated_readings_are_sent_once_per_chunk_and_the_last_holds(
    client: BesmartClient, simulator: Simulator, csv_file: Callable[..., Path]
) -> None:
    path = csv_file(*rows("1.1", 5), f"1.1,1.8.0,{START},9,kWh", f"1.1,1.8.0,{START},9,kWh", *rows("1.1", 1, first=1))
    for chunk_rows in (1, 2, 3, 100):
        report = await IngestJob(
            client.signals, client.writer, [CsvSource(path, chunk_rows=chunk_rows)], verify=True
        ).run()
        assert (report.accepted, report.distinct) == (8, 5)
        assert (report.repeats_equal, report.repeats_conflicting) == (2, 1)
        assert report.verification is not None
        assert report.verification.ok
    [newest] = [reading for reading in simulator.stored(1, 1, 32) if reading.time == START][-1:]
    assert newest.value == 9


async def test_the_last_file_holds(client: BesmartClient, csv_file: Callable[..., Path]) -> None:
    first = csv_file(f"1.1,1.8.0,{START},1,kWh", name="first.csv")
    second = csv_file(f"1.1,1.8.0,{START},2,kWh", name="second.csv")
    report = await IngestJob(client.signals, client.writer, [CsvSource(first), CsvSource(second)], verify=True).run()
    assert (report.distinct, report.repeats_conflicting) == (1, 1)
    [data] = await client.signals.read_bulk([SignalQuery(SignalKey(1, 1, 32), START, START + 1, get_last=True)])
    assert data.value.tolist() == [2.0]


async def test_every_bad_row_is_named_and_the_rest_delivered(
    client: BesmartClient, csv_file: Callable[..., Path]
) -> None:
    path = csv_file(
        *rows("1.1", 2),
        "1.1,1.8.0,yesterday,1,kWh",
        "M9,1.8.0,1704067200000,1,kWh",
        "1.99,1.8.0,1704067200000,1,kWh",
        "1.1,1.8.0",
        "1.1,9.9.9,1704067200000,1,kWh",
    )
    seen: list[Reject] = []
    report = await IngestJob(client.signals, client.writer, [CsvSource(path)], verify=True, on_reject=seen.append).run()
    assert (report.state, report.accepted, report.rejected) == ("completed", 2, 5)
    assert accounted(report)
    assert sorted(reject.row for reject in seen) == [4, 5, 6, 7, 8]
    assert list(report.rejects) == seen
    [refused] = [reject for reject in seen if "refused by the service" in reject.reason]
    assert refused.row == 6
    assert "unknown sensor" in refused.reason


async def test_of_a_reading_that_comes_often_every_refused_row_is_named(csv_file: Callable[..., Path]) -> None:
    refusal = UnprocessableError(422, "too much", "signals.write_bulk", Response(422), outcome="rejected")
    service = Service(lambda call: refusal if b"13" in service.bodies[call - 1] else None)
    lines = [*rows("1.1", 20), *(f"1.1,1.8.0,{START + 900_000},{value},kWh" for value in (11, 13, 12, 12, 13))]
    for chunk_rows in (1, 2, 7, 100):
        for linger_s in (0, 0.02):
            seen: list[Reject] = []
            source = CsvSource(csv_file(*lines), chunk_rows=chunk_rows)
            policy = BatchPolicy(linger_s=linger_s, max_in_flight=1)
            job = IngestJob(service, service.writer, [source], policy=policy, on_reject=seen.append)
            report = await job.run()
            assert accounted(report)
            assert len(seen) == report.rejected == 25 - report.accepted
            assert {reject.row for reject in seen} >= {26}
            assert {reject.row for reject in seen} <= {3, 22, 23, 24, 25, 26}
            assert job.largest is not None
            assert job.largest.readings == report.accepted


async def test_only_the_first_rejects_are_kept_but_all_are_told(
    client: BesmartClient, csv_file: Callable[..., Path]
) -> None:
    seen: list[Reject] = []
    path = csv_file(*["1.1,1.8.0,never,1,kWh"] * 50)
    report = await IngestJob(client.signals, client.writer, [CsvSource(path)], on_reject=seen.append).run()
    assert (report.rejected, len(report.rejects), len(seen)) == (50, 20, 50)


async def test_origins_are_kept_apart_and_values_are_in_the_unit_of_their_type(
    client: BesmartClient, csv_file: Callable[..., Path]
) -> None:
    path = csv_file(
        f"1.1,1.8.0,{START},1,kWh,1",
        f"1.1,1.8.0,{START},2,kWh,estimated",
        f"1.1,1.8.0,{START + 1},1500,Wh,1",
        header="meter,obis,time,value,unit,origin",
    )
    report = await IngestJob(client.signals, client.writer, [CsvSource(path)], verify=True).run()
    assert report.verification is not None
    assert (report.verification.verified, report.verification.converted) == (3, 0)
    assert report.accepted == 3


async def test_a_file_that_cannot_be_read_is_refused_before_anything_is_sent(
    client: BesmartClient, simulator: Simulator, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    job = IngestJob(
        client.signals, client.writer, [CsvSource(csv_file(*rows("1.1", 2))), CsvSource(tmp_path / "none.csv")]
    )
    with pytest.raises(SourceError, match="no such file"):
        await job.run()
    assert simulator.requests == []


async def test_damage_further_on_fails_the_run_after_what_could_be_read(client: BesmartClient, tmp_path: Path) -> None:
    whole = gzip.compress((DATA / "clock-changes.csv").read_bytes() * 200)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole[:-20])
    how = ParseOptions(time_zone="America/Chicago", dst="earlier")
    report = await IngestJob(client.signals, client.writer, [CsvSource(cut)], meters=ILLINOIS, reading=how).run()
    assert report.state == "failed"
    assert report.accepted > 20_000
    assert "damaged or incomplete gzip" in str(report.error)


ONE_BY_ONE = BatchPolicy(linger_s=0, max_in_flight=1, max_readings=2, initial_wait_s=0, delivery_timeout_s=0)


@pytest.mark.parametrize(
    ("error", "doubtful"),
    [(ConnectError("gone", outcome="not_sent"), False), (RequestTimeoutError("slow", reached=True), True)],
)
async def test_a_service_that_stays_away_ends_the_run_with_what_was_delivered(
    csv_file: Callable[..., Path], error: BesmartError, doubtful: bool
) -> None:
    service = Service(lambda call: error if call >= 3 else None)
    source = CsvSource(csv_file(*rows("1.1", 10)), chunk_rows=2)
    job = IngestJob(service, service.writer, [source], policy=ONE_BY_ONE, verify=True)
    report = await job.run()
    assert report.state == "failed"
    assert type(report.error) is type(error)
    assert (report.accepted, report.rejected, report.in_doubt > 0) == (4, 0, doubtful)
    assert job.largest is not None
    assert job.largest.readings == 4
    assert accounted(report)
    assert report.verification is None


async def test_a_short_outage_costs_nothing(csv_file: Callable[..., Path]) -> None:
    service = Service(lambda call: ConnectError("gone", outcome="not_sent") if call in {2, 3} else None)
    policy = attrs.evolve(ONE_BY_ONE, delivery_timeout_s=60)
    report = await IngestJob(service, service.writer, [CsvSource(csv_file(*rows("1.1", 10)))], policy=policy).run()
    assert (report.state, report.accepted, report.requests) == ("completed", 10, 7)


def page(status: int = 404) -> ApiError:
    content = b"<html><title>Not Found</title></html>"
    return ApiError(status, "an HTML page", "signals.write_bulk", Response(status, {}, content), outcome="rejected")


@pytest.mark.looptime
@pytest.mark.parametrize("status", [302, 400, 404, 405, 409, 410, 421, 451])
async def test_pages_in_place_of_the_service_end_the_run_soon_and_refuse_nothing(
    status: int, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = csv_file(*rows("1.1", 96))
    begun = asyncio.get_running_loop().time()
    away, well = Service(lambda _: page(status)), Service(lambda _: None)
    for service in (away, well):
        with Checkpoint(tmp_path / "done") as checkpoint:
            job = IngestJob(service, service.writer, [CsvSource(path)], checkpoint=checkpoint, page_timeout_s=3.0)
            report = await job.run()
        if service is away:
            assert (report.state, report.accepted, report.rejected, report.not_sent) == ("failed", 0, 0, 96)
            assert isinstance(report.error, ApiError)
            assert 3.0 <= asyncio.get_running_loop().time() - begun < 10.0
    assert (report.state, report.accepted, len(well.arrived)) == ("completed", 96, 96)


@pytest.mark.looptime
@pytest.mark.parametrize("others", [[None], [ServerError(503, "away", "signals.write_bulk", Response(503))]])
async def test_pages_now_and_then_end_nothing(others: list[Exception | None], csv_file: Callable[..., Path]) -> None:
    kinds = [page(), *others]
    service = Service(lambda call: kinds[call % 2] if call < 12 else None)
    policy = BatchPolicy(max_readings=8, max_in_flight=1, max_wait_s=2.0)
    report = await IngestJob(
        service, service.writer, [CsvSource(csv_file(*rows("1.1", 96)))], policy=policy, page_timeout_s=8.0
    ).run()
    assert report.error is None
    assert (report.state, report.accepted, report.rejected) == ("completed", 96, 0)


@pytest.mark.parametrize("kind", [AuthenticationError, PermissionDeniedError])
async def test_credentials_that_stop_working_end_the_run(
    csv_file: Callable[..., Path], kind: type[AuthenticationError] | type[PermissionDeniedError]
) -> None:
    status = 401 if kind is AuthenticationError else 403
    error = kind(status, "no", "signals.write_bulk", Response(status), outcome="not_sent")
    service = Service(lambda call: error if call >= 3 else None)
    policy = attrs.evolve(ONE_BY_ONE, delivery_timeout_s=3600)
    source = CsvSource(csv_file(*rows("1.1", 10)))
    report = await IngestJob(service, service.writer, [source], policy=policy).run()
    assert (report.state, report.accepted, report.not_sent) == ("failed", 4, 6)
    assert isinstance(report.error, kind)
    assert service.calls == 4


async def test_a_service_that_refuses_everything_ends_the_run(csv_file: Callable[..., Path]) -> None:
    refusal = UnprocessableError(422, "no such thing", "signals.write_bulk", Response(422), outcome="rejected")
    service = Service(lambda _: refusal)
    source = CsvSource(csv_file(*(f"1.{mid},1.8.0,{START},1,kWh" for mid in range(500))))
    report = await IngestJob(service, service.writer, [source]).run()
    assert report.state == "failed"
    assert "no such thing" in str(report.error)
    assert report.accepted == 0
    assert report.not_sent > 0
    assert accounted(report)


async def test_a_reject_handler_that_fails_ends_the_run(client: BesmartClient, csv_file: Callable[..., Path]) -> None:
    def full(_: Reject) -> None:
        raise OSError("disk full")

    path = csv_file("1.99,1.8.0,1704067200000,1,kWh")
    report = await IngestJob(client.signals, client.writer, [CsvSource(path)], on_reject=full).run()
    assert report.state == "failed"
    assert isinstance(report.error, OSError)


async def test_stopping_delivers_what_was_read_and_reads_no_more(csv_file: Callable[..., Path]) -> None:
    service = Service(lambda _: None)
    source = CsvSource(csv_file(*rows("1.1", 1000)), chunk_rows=2)

    def show(step: Progress) -> None:
        if step.accepted:
            job.stop()

    job = IngestJob(service, service.writer, [source], policy=ONE_BY_ONE, verify=True, on_progress=show)
    report = await job.run()
    assert report.state == "interrupted"
    assert 0 < report.accepted == report.rows_read < 1000
    assert (report.in_doubt, report.not_sent, report.error) == (0, 0, None)
    assert report.verification is None


async def test_stopping_now_gives_up_what_is_in_flight(csv_file: Callable[..., Path]) -> None:
    never = asyncio.Event()
    service = Service(lambda call: never if call == 3 else None)
    source = CsvSource(csv_file(*rows("1.1", 100)), chunk_rows=2)

    def show(step: Progress) -> None:
        if service.calls == 3:
            job.stop()
            job.stop(now=True)

    job = IngestJob(service, service.writer, [source], policy=ONE_BY_ONE, on_progress=show)
    report = await job.run()
    assert (report.state, report.accepted, report.in_doubt, report.error) == ("interrupted", 4, 2, None)
    assert accounted(report)


async def test_stopping_while_the_service_is_away_does_not_wait_for_it(csv_file: Callable[..., Path]) -> None:
    service = Service(lambda _: ConnectError("gone", outcome="not_sent"))
    policy = attrs.evolve(ONE_BY_ONE, delivery_timeout_s=3600)

    def show(step: Progress) -> None:
        if step.paused:
            job.stop()

    job = IngestJob(service, service.writer, [CsvSource(csv_file(*rows("1.1", 4)))], policy=policy, on_progress=show)
    report = await job.run()
    assert (report.state, report.accepted, report.not_sent) == ("interrupted", 0, 4)


async def test_cancelling_abandons_what_is_in_flight(csv_file: Callable[..., Path]) -> None:
    never, called = asyncio.Event(), asyncio.Event()

    def write(_: int) -> asyncio.Event:
        called.set()
        return never

    service = Service(write)
    task = asyncio.create_task(IngestJob(service, service.writer, [CsvSource(csv_file(*rows("1.1", 4)))]).run())
    await called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_does_not_come_back_is_told(csv_file: Callable[..., Path]) -> None:
    service = Service(lambda _: None)
    report = await IngestJob(service, service.writer, [CsvSource(csv_file(*rows("1.1", 3)))], verify=True).run()
    assert report.verification is not None
    assert (report.verification.verified, report.verification.expected) == (0, 3)
    assert len(report.verification.differences) == 3


async def test_progress_counts_bytes_rows_and_readings(client: BesmartClient, csv_file: Callable[..., Path]) -> None:
    steps: list[Progress] = []
    files = [csv_file(*rows("1.1", 50), name="a.csv"), csv_file(*rows("1.2", 50), name="b.csv")]
    sources = [CsvSource(file, chunk_rows=20) for file in files]
    await IngestJob(client.signals, client.writer, sources, verify=True, on_progress=steps.append).run()
    assert steps[1].bytes_total == sum(file.stat().st_size for file in files)
    last = steps[-1]
    assert (last.phase, last.rows_read, last.accepted, last.verified, last.to_verify) == (
        "verifying",
        100,
        100,
        100,
        100,
    )
    assert last.bytes_read == last.bytes_total
    assert all(one.bytes_read <= other.bytes_read for one, other in pairwise(steps))


async def test_small_batches_arrive_as_well(client: BesmartClient, csv_file: Callable[..., Path]) -> None:
    path = csv_file(*(row for pair in zip(rows("1.1", 300), rows("1.2", 300), strict=True) for row in pair))
    policy = BatchPolicy(max_items=1, max_readings=7, max_bytes=1_000)
    report = await IngestJob(
        client.signals, client.writer, [CsvSource(path, chunk_rows=100)], policy=policy, verify=True
    ).run()
    assert report.verification is not None
    assert report.verification.verified == report.accepted == 600
    assert report.requests >= 600 / 7


async def test_wall_clock_times_need_a_zone_and_a_rule(client: BesmartClient) -> None:
    source = CsvSource(DATA / "clock-changes.csv")
    refused = await IngestJob(client.signals, client.writer, [source], meters=ILLINOIS).run()
    assert (refused.accepted, refused.rejected) == (0, 144)
    doubtful = await IngestJob(
        client.signals, client.writer, [source], meters=ILLINOIS, reading=ParseOptions(time_zone="America/Chicago")
    ).run()
    assert (doubtful.accepted, [reject.row for reject in doubtful.rejects]) == (142, [98, 99])
    inferred = await IngestJob(
        client.signals,
        client.writer,
        [source],
        meters=ILLINOIS,
        reading=ParseOptions(time_zone="America/Chicago", dst="infer"),
        verify=True,
    ).run()
    assert (inferred.accepted, inferred.distinct) == (144, 144)
    assert inferred.verification is not None
    assert inferred.verification.ok


async def test_the_sample_arrives_and_is_verified_to_the_last_reading(client: BesmartClient) -> None:
    britain = {"UK-2001": Meter(SensorKey(1, 3)), "UK-2002": Meter(SensorKey(1, 4))}
    job = IngestJob(
        client.signals,
        client.writer,
        [CsvSource(DATA / "il-electricity.csv.gz"), CsvSource(DATA / "uk-electricity.csv.gz")],
        meters=KnownMeters({**ILLINOIS.table, **britain}),
        verify=True,
    )
    report = await job.run()
    assert (report.rows_read, report.accepted, report.distinct) == (96_838, 96_838, 96_799)
    assert (report.repeats_equal, report.repeats_conflicting, report.rejected) == (39, 0, 0)
    assert report.verification is not None
    assert report.verification.verified == 96_799
    assert job.largest is not None
    assert (job.largest.meter, job.largest.readings) == ("UK-2002", 35_468)
    assert job.zone(job.largest.key) == "UTC"
