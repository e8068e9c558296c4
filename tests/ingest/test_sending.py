"""Sending: limits, order per signal, and what a refusal or a failure does to the rows."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import BatchPolicy, RequestTimeoutError, Response, ServerError, SignalData, SignalKey
from besmart_async.errors import PayloadTooLargeError, UnprocessableError
from besmart_async.ingest.items import Item
from besmart_async.ingest.sending import MostlyRefusedError, Sender, pack
from besmart_async.wire.columns import encode_item

Refuse = Callable[[SignalData], bool]


def item(mid: int, readings: int = 1, start: int = 0) -> Item:
    data = SignalData(SignalKey(1, mid, 32), np.arange(start, start + readings), np.arange(readings) / 7)
    empty = np.empty(0, np.int64)
    return Item(f"M{mid}", "f.csv", data, np.arange(readings) + 2, empty, empty, np.empty(0, np.bool_))


class Service:
    """Stores what it is sent; refuses batches that hold what it is told to refuse."""

    def __init__(self, refuse: Refuse = lambda _: False) -> None:
        self.refuse = refuse
        self.calls = 0
        self.stored: list[SignalData] = []
        self.busy: set[SignalKey] = set()
        self.most_busy = 0
        self.open = 0

    async def write_bulk(self, items: Sequence[SignalData]) -> None:
        self.calls += 1
        keys = {data.key for data in items}
        assert self.busy.isdisjoint(keys), "two batches of one signal in flight"
        self.busy |= keys
        self.open += 1
        self.most_busy = max(self.most_busy, self.open)
        for _ in range(3):
            await asyncio.sleep(0)
        self.busy -= keys
        self.open -= 1
        if any(map(self.refuse, items)):
            raise UnprocessableError(422, "no such thing", "signals.write_bulk", Response(422), outcome="rejected")
        self.stored += items

    @property
    def readings(self) -> int:
        return sum(map(len, self.stored))


class Outcomes:
    def __init__(self) -> None:
        self.delivered: list[Item] = []
        self.refused: list[tuple[Item, str]] = []

    def sender(self, service: Service, policy: BatchPolicy | None = None) -> Sender:
        policy = policy or BatchPolicy()
        return Sender(
            service.write_bulk, policy, self.delivered.append, lambda item, reason: self.refused.append((item, reason))
        )

    @property
    def refused_rows(self) -> int:
        return sum(item.total_rows for item, _ in self.refused)


async def send(service: Service, items: Sequence[Item], policy: BatchPolicy | None = None) -> tuple[Outcomes, Sender]:
    outcomes = Outcomes()
    sender = outcomes.sender(service, policy)
    await sender.submit(items)
    await sender.finish()
    return outcomes, sender


async def test_everything_arrives_and_is_counted() -> None:
    service = Service()
    outcomes, sender = await send(service, [item(mid, 10) for mid in range(1_200)])
    assert service.readings == 12_000
    assert len(outcomes.delivered) == 1_200
    assert sender.sent.requests == service.calls == 3
    assert sender.sent.body_bytes == sum(len(encode_item(data)) for data in service.stored) + 1_200 + 3


async def test_a_few_calls_go_at_a_time_but_never_two_of_one_signal_and_in_order() -> None:
    service = Service()
    items = [item(mid, start=start) for start in range(20) for mid in range(6)]
    outcomes, _ = await send(service, items, BatchPolicy(max_items=1))
    assert service.most_busy == 4
    for mid in range(6):
        assert [one.data.time[0] for one in outcomes.delivered if one.meter == f"M{mid}"] == list(range(20))


async def test_submit_waits_for_room() -> None:
    service = Service()
    sender = Outcomes().sender(service, BatchPolicy(max_items=1, max_in_flight=1))
    await sender.submit([item(mid) for mid in range(50)])
    assert service.calls >= 50 - 8 - 1
    await sender.finish()


async def test_one_bad_signal_in_500_costs_few_calls_and_nothing_else() -> None:
    service = Service(lambda data: data.key.sensor_mid == 123)
    outcomes, _ = await send(service, [item(mid, 8) for mid in range(500)])
    assert service.readings == 499 * 8
    assert outcomes.refused_rows == 8
    assert {reason for _, reason in outcomes.refused} == {"refused by the service: no such thing"}
    assert service.calls <= 22


async def test_one_bad_reading_is_found_and_the_rest_of_its_signal_delivered() -> None:
    service = Service(lambda data: data.key.sensor_mid == 1 and 617 in data.time)
    outcomes, _ = await send(service, [item(1, 1_000), item(2, 1_000)])
    assert service.readings == 1_999
    [(refused, _)] = outcomes.refused
    assert refused.data.time.tolist() == [617]
    assert service.calls <= 30


async def test_a_signal_that_was_refused_wholly_costs_one_call_the_next_time() -> None:
    service = Service(lambda data: data.key.sensor_mid == 1)
    outcomes = Outcomes()
    sender = outcomes.sender(service)
    await sender.submit([item(1, 100), item(2, 100)])
    await sender.finish()
    before = service.calls
    await sender.submit([item(1, 100, start=100), item(2, 100, start=100)])
    await sender.finish()
    assert service.calls - before == 2
    assert outcomes.refused_rows == 200
    assert service.readings == 200


async def test_too_large_a_body_is_halved_like_a_refusal() -> None:
    class Small(Service):
        async def write_bulk(self, items: Sequence[SignalData]) -> None:
            if sum(map(len, items)) > 100:
                self.calls += 1
                raise PayloadTooLargeError(413, "", "signals.write_bulk", Response(413), outcome="rejected")
            await super().write_bulk(items)

    service = Small()
    outcomes, _ = await send(service, [item(mid, 90) for mid in range(4)])
    assert service.readings == 360
    assert outcomes.refused == []


async def test_a_service_that_refuses_nearly_everything_ends_the_sending() -> None:
    service = Service(lambda data: data.key.sensor_mid % 2 == 0)
    outcomes = Outcomes()
    sender = outcomes.sender(service)
    await sender.submit([item(mid) for mid in range(500)])
    with pytest.raises(MostlyRefusedError, match="no such thing"):
        await sender.finish()
    await sender.close()
    assert sender.sent.in_doubt == 0
    assert len(outcomes.delivered) + len(outcomes.refused) < 500


@pytest.mark.parametrize(
    ("error", "in_doubt"),
    [
        (RequestTimeoutError("slow", outcome="in_doubt"), 10),
        (RequestTimeoutError("no connection", outcome="not_sent"), 0),
        (ServerError(503, "", "signals.write_bulk", Response(503), outcome="in_doubt"), 10),
    ],
)
async def test_a_failure_ends_the_sending_and_tells_what_is_in_doubt(error: Exception, in_doubt: int) -> None:
    class Failing(Service):
        async def write_bulk(self, items: Sequence[SignalData]) -> None:
            await super().write_bulk(items)
            if self.calls == 2:
                raise error

    outcomes = Outcomes()
    sender = outcomes.sender(Failing(), BatchPolicy(max_items=1, max_in_flight=1))
    with pytest.raises(type(error)):
        await sender.submit([item(mid, 10) for mid in range(40)])
    with pytest.raises(type(error)):
        await sender.submit([item(99)])
    await sender.close()
    assert sender.sent.in_doubt == in_doubt
    assert len(outcomes.delivered) == 1


async def test_closing_lets_what_is_in_flight_arrive_and_abandoning_does_not() -> None:
    service = Service()
    outcomes = Outcomes()
    sender = outcomes.sender(service, BatchPolicy(max_items=1))
    await sender.submit([item(mid, 10) for mid in range(8)])
    await sender.close()
    assert len(outcomes.delivered) == 4
    sender = outcomes.sender(service, BatchPolicy(max_items=1))
    await sender.submit([item(mid, 10) for mid in range(8)])
    await asyncio.sleep(0)
    await sender.close(abandon=True)
    assert len(outcomes.delivered) == 4
    assert sender.sent.in_doubt == 40


@given(
    st.lists(st.integers(1, 60), max_size=30),
    st.integers(1, 8),
    st.integers(1, 100),
    st.integers(1_000, 4_000),
)
def test_batches_keep_all_limits_lose_nothing_and_keep_the_order(
    sizes: list[int], max_items: int, max_readings: int, max_bytes: int
) -> None:
    policy = BatchPolicy(max_items=max_items, max_readings=max_readings, max_bytes=max_bytes)
    items = [item(mid, size) for mid, size in enumerate(sizes)]
    batches = list(pack(items, policy))
    for batch in batches:
        assert 1 <= len(batch.items) <= max_items
        assert sum(len(one.data) for one in batch.items) <= max_readings
        body = 2 + sum(len(encode_item(one.data)) + 1 for one in batch.items)
        assert body <= max_bytes
    packed = list(itertools.chain.from_iterable(batch.items for batch in batches))
    for mid, size in enumerate(sizes):
        assert [time for one in packed if one.meter == f"M{mid}" for time in one.data.time.tolist()] == list(
            range(size)
        )
