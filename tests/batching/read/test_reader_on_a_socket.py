"""The reader with a real client, over a socket, against the simulator and its faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator

import attrs
import pytest

from besmart_async.batching.read.reader import Reader
from besmart_async.client import BesmartClient
from besmart_async.config import ReadPolicy
from besmart_async.errors import InvalidInputError, UnprocessableError
from besmart_async.models import SignalData, SignalKey, SignalQuery
from besmart_async.resources.signals import bulk_read
from besmart_async.simulator import Fault, Simulator

BULK_READ = "sensors.post_signals_data"
HOUR_MS = 3_600_000
MOID = 34
SIZES = [1_000, pytest.param(10_000, marks=pytest.mark.long)]


def asked(sensor: int, hour: int = 0, hours: float = 1) -> SignalQuery:
    """Ask for a window with an end after the hour, so that nothing hangs on whether ends are inclusive."""
    return SignalQuery(SignalKey(1, sensor, MOID), hour * HOUR_MS, int((hour + hours) * HOUR_MS) - 1)


def stock(simulator: Simulator, sensors: int, hours: int) -> None:
    """Give each sensor a reading per hour that tells whose it is, and when."""
    for sensor in range(1, sensors + 1):
        if sensor > 3:
            simulator.add_sensor(1, sensor)
        times = [hour * HOUR_MS for hour in range(hours)]
        simulator.add_readings(1, sensor, MOID, times, [float(sensor * 1000 + hour) for hour in range(hours)])


def is_answer_to(data: SignalData, query: SignalQuery) -> bool:
    hour = query.since // HOUR_MS
    return data.key == query.key and data.value.tolist() == [float(query.key.sensor_mid * 1000 + hour)]


@pytest.fixture(params=["documented", "live"])
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    embedded = Simulator(dialect=request.param)
    yield embedded
    embedded.close()


@pytest.fixture
async def client(simulator: Simulator) -> AsyncGenerator[BesmartClient]:
    async with (
        simulator.serve() as base_url,
        BesmartClient(
            api_key="API_KEY",
            login="login",
            password="password",
            base_url=base_url,
            dialect=simulator.settings.dialect,
        ) as opened,
    ):
        yield opened


def reader_of(client: BesmartClient, policy: ReadPolicy | None = None) -> Reader:
    return Reader(lambda queries: client._transport.send(bulk_read(queries, client._dialect)), policy)


@pytest.mark.parametrize("signals", SIZES)
async def test_concurrent_reads_of_distinct_signals_take_few_calls(
    simulator: Simulator, client: BesmartClient, signals: int
) -> None:
    stock(simulator, signals, 1)
    queries = [asked(sensor) for sensor in range(1, signals + 1)]
    async with reader_of(client) as reader:
        answers = await asyncio.gather(*[reader.read(query.key, query.since, query.till) for query in queries])
    assert all(map(is_answer_to, answers, queries))
    assert simulator.count(BULK_READ) <= signals / 200 * 1.2


@pytest.mark.parametrize("reads", SIZES)
async def test_reads_of_a_hundred_requests_ask_each_once(
    simulator: Simulator, client: BesmartClient, reads: int
) -> None:
    stock(simulator, 100, 1)
    queries = [asked(1 + number % 100) for number in range(reads)]
    async with reader_of(client) as reader:
        answers = await asyncio.gather(*map(reader.read_query, queries))
    assert all(map(is_answer_to, answers, queries))
    assert simulator.count(BULK_READ) == 1


@pytest.mark.parametrize("reads", [5_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_careless_answers_are_never_misdelivered(simulator: Simulator, client: BesmartClient, reads: int) -> None:
    stock(simulator, 300, 8)
    stranger = {"client_cid": 9, "sensor_mid": 9, "signal_type_moid": 9, "data": {"time": [], "value": []}}
    simulator.faults.add(Fault(operation=BULK_READ, where=lambda arrival: len(arrival.keys) > 1, drop=1, duplicate=1))
    simulator.faults.add(Fault(operation=BULK_READ, shuffle=True, extra=(stranger,)))
    dice = random.Random(5)
    queries = [asked(dice.randrange(1, 301), dice.randrange(8)) for _ in range(reads)]
    async with reader_of(client) as reader:
        misdelivered = 0
        for start in range(0, reads, 2_500):
            wave = queries[start : start + 2_500]
            answers = await asyncio.gather(*map(reader.read_query, wave))
            misdelivered += sum(not is_answer_to(data, query) for data, query in zip(answers, wave, strict=True))
        report = reader.report
    assert misdelivered == 0
    assert (report.answered, report.absent, report.failed) == (reads, 0, 0)
    assert min(report.asked_again, report.extra, report.shared) > 0


async def test_unknown_signals_are_absent_and_quiet_ones_empty(simulator: Simulator, client: BesmartClient) -> None:
    stock(simulator, 2, 1)
    async with reader_of(client) as reader:
        known, quiet, unknown = await asyncio.gather(*map(reader.read_query, [asked(1), asked(2, 5), asked(777)]))
    assert (len(known), len(quiet)) == (1, 0)
    assert [known.absent, quiet.absent, unknown.absent] == [False, False, True]


async def test_a_refused_signal_fails_alone(simulator: Simulator, client: BesmartClient) -> None:
    stock(simulator, 200, 1)
    simulator.faults.add(Fault(operation=BULK_READ, keys={(1, 77, MOID)}, status=422))
    queries = [asked(sensor) for sensor in range(1, 201)]
    async with reader_of(client) as reader:
        said = await asyncio.gather(*map(reader.read_query, queries), return_exceptions=True)
    assert [isinstance(one, UnprocessableError) for one in said] == [query.key.sensor_mid == 77 for query in queries]
    assert simulator.count(BULK_READ) <= 17


async def test_a_service_in_trouble_is_asked_again_by_the_transport(
    simulator: Simulator, client: BesmartClient
) -> None:
    stock(simulator, 10, 1)
    simulator.faults.add(Fault(operation=BULK_READ, status=503, times=1))
    simulator.faults.add(Fault(operation=BULK_READ, reset="after", times=1))
    async with reader_of(client) as reader:
        answers = await asyncio.gather(*[reader.read_query(asked(sensor)) for sensor in range(1, 11)])
    assert all(len(data) == 1 for data in answers)
    assert reader.report.requests == 1


async def test_cancelled_readers_leave_the_pool_whole(simulator: Simulator, client: BesmartClient) -> None:
    stock(simulator, 50, 4)
    dice = random.Random(2)
    async with reader_of(client, ReadPolicy(linger_s=0.001, max_items=5)) as reader:
        callers = [asyncio.create_task(reader.read_query(asked(1 + n % 50, n % 4))) for n in range(1_000)]
        for caller in dice.sample(callers, 700):
            await asyncio.sleep(0)
            caller.cancel()
        said = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError | SignalData) for one in said)
        assert sum(isinstance(one, SignalData) for one in said) >= 300
        after = await asyncio.gather(*[reader.read_query(asked(sensor)) for sensor in range(1, 51)])
        assert all(len(data) == 1 for data in after)
        assert reader.report.pending == 0


@pytest.mark.parametrize("till_inclusive", [False, True])
async def test_a_stream_of_long_windows_gives_each_row_once(
    simulator: Simulator, client: BesmartClient, till_inclusive: bool
) -> None:
    simulator.settings.till_inclusive = till_inclusive
    stock(simulator, 20, 500)
    queries = [SignalQuery(SignalKey(1, sensor, MOID), 0, 480 * HOUR_MS) for sensor in range(1, 21)]
    whole = {data.key: sorted(data.time.tolist()) for data in await client.signals.read_bulk(queries)}
    policy = ReadPolicy(max_window_s=48 * 3600, max_outstanding=60)
    parts: dict[SignalKey, list[int]] = {query.key: [] for query in queries}
    async with reader_of(client, policy) as reader:
        async for data in reader.stream(queries):
            parts[data.key] += data.time.tolist()
        assert reader.report.requested == 200
    assert {key: sorted(times) for key, times in parts.items()} == whole
    assert {len(times) for times in whole.values()} == {480 + till_inclusive}


async def test_an_option_the_dialect_lacks_is_refused_for_its_caller_alone(client: BesmartClient) -> None:
    good = SignalQuery(SignalKey(12, 122, 32), 1_577_836_800_000, 1_577_836_800_000)
    async with client.reader() as reader:
        answer = reader.ask(good)
        with pytest.raises(InvalidInputError, match="dialect has no such argument"):
            await reader.read_query(attrs.evolve(good, time_series_type=1))
        assert len(await answer) == 1
        multiplied = reader.read(good.key, good.since, good.till, apply_multiplier=True)
        if client.dialect == "live":
            assert len(await multiplied) == 1
        else:
            with pytest.raises(InvalidInputError, match="the live dialect has it"):
                await multiplied
