"""One producer among others sends nothing but rubbish: the others do not notice."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from besmart_async.batching.write.core.core import Dispatch, WriteCore
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.core.world import World, make, offer_items, stored
from tests.batching.write.service_model import ServiceModel, api_error

BAD = 10_000


def good_key(producer: int, signal: int) -> SignalKey:
    return SignalKey(producer, signal, 32)


def bad_key(signal: int) -> SignalKey:
    return SignalKey(99, signal, 32)


def offer(core: WriteCore, key: SignalKey, time: int, now: float) -> None:
    assert core.offer(SignalData(key, [time], [float(time)]), now=now)


def run(core: WriteCore, order: Sequence[SignalKey]) -> tuple[World, ServiceModel]:
    """Offer a reading of each signal within ten seconds, while the core works."""
    service = ServiceModel(poison_signals={(99, signal, 32) for signal in range(BAD)})
    world = World(core, stored(service))
    for at in range(0, len(order), 100):
        for number, key in enumerate(order[at : at + 100]):
            offer(core, key, at + number, world.now)
        world.run(world.now + 10.0 * 100 / len(order))
    world.run()
    return world, service


def orders() -> dict[str, list[SignalKey]]:
    good = [good_key(producer, signal) for signal in range(100) for producer in range(10)]
    bad = [bad_key(signal) for signal in range(BAD)]
    mixed = good + bad
    random.Random(1).shuffle(mixed)
    return {
        "bad ones all along": mixed,
        "good ones first": good + bad,
        "bad ones before many good": good[:10] + bad + good,
    }


@pytest.mark.parametrize("order", orders().values(), ids=orders())
def test_every_good_reading_arrives_the_bad_ones_are_handed_back_and_the_writer_stays_open(
    order: Sequence[SignalKey],
) -> None:
    core = make(BatchPolicy())
    world, service = run(core, order)
    report = core.report(world.now)
    assert report.state == "open"
    good = sum(key.client_cid != 99 for key in order)
    assert (report.delivered, report.rejected, report.pending) == (good, BAD, 0)
    assert {rejection.data.key for rejection in world.rejections} == {bad_key(signal) for signal in range(BAD)}
    assert {rejection.outcome for rejection in world.rejections} == {"rejected"}
    assert len(service.stored) == good


def test_a_good_reading_behind_a_flood_of_bad_ones_arrives_within_half_a_minute_and_those_after_it_at_once() -> None:
    core = make(BatchPolicy())
    service = ServiceModel(poison_signals={(99, signal, 32) for signal in range(BAD)})
    world = World(core, stored(service))
    offer(core, good_key(0, 0), 0, 0.0)
    world.run(1.0)
    for signal in range(BAD):
        offer(core, bad_key(signal), 0, world.now)
    waited = list[float]()
    for second in range(1, 61):
        offer(core, good_key(0, 0), second, world.now)
        began = world.now
        while ((0, 0, 32), second, 1) not in service.stored and world.now < began + 60.0:
            world.run(world.now + 0.1)
        waited.append(world.now - began)
        world.run(max(world.now, began + 1.0))
    assert waited[0] <= 30.0
    assert max(waited[1:]) <= 1.0
    assert core.report(world.now).state == "open"


def test_calls_whose_readings_are_refused_count_as_taken_when_a_service_is_busy_now_and_then() -> None:
    """Otherwise the search for bad readings, of whose calls few store anything, would make the writer ever slower."""
    core = make(BatchPolicy(max_items=4))
    service = ServiceModel(poison_signals={(12, signal, 32) for signal in range(0, 40, 8)})
    calls = 0

    def busy_now_and_then(batch: Dispatch, _: float) -> tuple[float, BesmartError | None]:
        nonlocal calls
        calls += 1
        return 0.01, api_error(503, retry_after_s=0.05) if calls % 12 == 0 else service.put(batch.body)

    world = World(core, busy_now_and_then)
    for _ in range(3):
        offer_items(core, 40, 5)
        world.run()
    assert {rejection.data.key.sensor_mid for rejection in world.rejections} == set(range(0, 40, 8))
    assert len(service.stored) == 35 * 5
    assert world.now < 30.0
