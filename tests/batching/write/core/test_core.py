"""The core in virtual time: no clock, no loop, no wire."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import orjson
import pytest

from besmart_async.batching.write.core.core import Dispatch, WriteCore
from besmart_async.batching.write.core.events import SendingPaused, SendingResumed, Settled
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, ProtocolError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.core.world import PLAIN, World, key, make, offer_items, stored
from tests.batching.write.service_model import ServiceModel, api_error, reset, timed_out, unreachable


def test_linger_counts_from_the_first_reading_and_company_does_not_extend_it() -> None:
    core = make(BatchPolicy(linger_s=0.05))
    core.accumulator.accept_one(key(1), 0, 1.0, PLAIN, 10.0, plain=True)
    core.accumulator.accept_one(key(2), 0, 1.0, PLAIN, 10.04, plain=True)
    assert core.poll(10.049) is None
    assert core.next_wakeup(10.04) == pytest.approx(10.05)
    batch = core.poll(10.05)
    assert batch is not None
    assert (batch.items, batch.readings) == (2, 2)


def test_a_full_batch_leaves_at_once_and_flush_overrides_linger() -> None:
    core = make(BatchPolicy(linger_s=60.0, max_items=3))
    offer_items(core, 3)
    assert core.poll(0.0) is not None
    offer_items(core, 1, start=7)
    assert core.poll(0.0) is None
    ticket = core.flush()
    batch = core.poll(0.0)
    assert batch is not None
    assert not core.flushed(ticket)


def test_a_flush_does_not_wait_for_what_was_accepted_after_it() -> None:
    core = make(BatchPolicy(linger_s=60.0))
    offer_items(core, 1)
    ticket = core.flush()
    batch = core.poll(0.0)
    assert batch is not None
    offer_items(core, 1)
    core.settle(batch.number, None, 0.1)
    assert core.flushed(ticket)
    assert core.report(0.1).pending == 1


def test_the_last_value_of_a_time_and_origin_wins_also_across_units() -> None:
    core, service = make(BatchPolicy(linger_s=60.0)), ServiceModel()
    core.offer(SignalData(key(1), [1, 2, 1], [1.0, 2.0, 3.0], unit="kW"))
    core.offer(SignalData(key(1), [2], [4.0], unit="W"))
    core.offer(SignalData(key(1), [1], [9.0], origin=2, unit="kW"))
    core.flush()
    World(core, stored(service)).run()
    triple = (12, 1, 32)
    assert service.stored == {(triple, 1, 1): (3.0, "kW"), (triple, 2, 1): (4.0, "W"), (triple, 1, 2): (9.0, "kW")}
    assert core.report(0.0).delivered == 5


def test_single_readings_of_mixed_types_origins_and_refs_stay_apart() -> None:
    core, service = make(), ServiceModel()
    for number, (kind, origin) in enumerate([("DBL", 1), ("RM", 1), ("DBL", 2), ("DBL", 1)]):
        core.offer(SignalData(key(1), [number], [float(number)], kind, origin), number)
    world = World(core, stored(service))
    world.run()
    assert {reading[1:]: value for reading, (value, _) in service.stored.items()} == {
        (0, 1): 0.0,
        (1, 1): 1.0,
        (2, 2): 2.0,
        (3, 1): 3.0,
    }
    assert [(e.ref, e.delivered) for e in world.events if isinstance(e, Settled)] == [(n, 1) for n in range(4)]


def test_readings_wider_than_any_before_are_cut_to_the_size_of_a_body() -> None:
    core, service = make(BatchPolicy(linger_s=60.0, max_bytes=20_000)), ServiceModel()
    narrow, wide = np.arange(100) % 2, np.arange(100) / 3 + 1e-7
    sent: list[int] = []

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        sent.append(len(batch.body))
        return 0.01, service.put(batch.body)

    for values in (narrow, wide, wide, narrow):
        for sensor in range(30):
            core.offer(SignalData(key(sensor), np.arange(100) + 100 * len(sent), values))
        core.flush()
        World(core, answer).run()
    assert core.report(0.0).delivered == 4 * 30 * 100
    assert max(sent) <= 20_000
    assert len(sent) <= 1.4 * math.ceil(sum(sent) / 20_000)  # full ones, all in all


def test_a_row_that_is_larger_than_a_body_may_be_is_sent_alone() -> None:
    core, service = make(BatchPolicy(linger_s=60.0, max_bytes=1_000)), ServiceModel()
    core.offer(SignalData(key(1), [1, 2, 3], ["a", "b" * 2_000, "c"], "STR"))
    core.flush()
    World(core, stored(service)).run()
    assert {reading[1]: value for reading, (value, _) in service.stored.items()} == {1: "a", 2: "b" * 2_000, 3: "c"}


def test_a_million_rows_of_one_signal_are_cut_by_readings_and_bytes() -> None:
    core, service = make(), ServiceModel()
    rows = 200_000
    core.offer(SignalData(key(1), np.arange(rows) * 1000 + 1_700_000_000_000, np.full(rows, 0.125)))
    bodies: list[int] = []

    def answer(batch: Dispatch, now: float) -> tuple[float, None]:
        bodies.append(len(batch.body))
        assert batch.readings <= 50_000
        return 0.01, None

    World(core, answer).run()
    assert core.report(0.0).delivered == rows
    assert max(bodies) <= 900_000
    assert len(bodies) <= 1.2 * math.ceil(sum(bodies) / 900_000)
    assert service.calls == 0


@pytest.mark.parametrize(("culprits", "most_calls"), [(1, 20), (5, 80), (50, 400)])
@pytest.mark.parametrize("rows", [1, 4])
def test_poison_items_among_500_are_rejected_exactly_in_few_calls(culprits: int, most_calls: int, rows: int) -> None:
    bad = set(random.Random(culprits).sample(range(500), culprits))
    service = ServiceModel(poison_signals={(12, sensor, 32) for sensor in bad})
    core = make(BatchPolicy(linger_s=60.0))
    offer_items(core, 500, rows)
    world = World(core, stored(service))
    world.run()
    assert {rejection.data.key.sensor_mid for rejection in world.rejections} == bad
    assert sum(rejection.readings for rejection in world.rejections) == culprits * rows
    assert len(service.stored) == (500 - culprits) * rows
    assert service.calls <= most_calls
    assert core.report(0.0).state == "open"


def test_a_poison_reading_in_a_good_item_is_named_and_the_rest_delivered() -> None:
    service = ServiceModel(poison_readings={((12, 77, 32), 41_000.0)})
    core = make(BatchPolicy(linger_s=60.0))
    offer_items(core, 500, 96)
    core.flush()
    world = World(core, stored(service))
    world.run()
    (rejection,) = world.rejections
    assert (rejection.data.key, rejection.data.time.tolist(), rejection.outcome) == (key(77), [41_000], "rejected")
    assert len(service.stored) == 500 * 96 - 1
    assert service.calls <= 40


def test_422_to_everything_stops_the_writer_soon() -> None:
    core = make(BatchPolicy(linger_s=0.0))
    calls = 0

    def refuse(batch: Dispatch, now: float) -> tuple[float, BesmartError]:
        nonlocal calls
        calls += 1
        return 0.01, api_error(422)

    offer_items(core, 20_000)
    world = World(core, refuse)
    world.run()
    report = core.report(world.now)
    assert report.state == "stopped"
    assert report.rejected == 20_000
    assert sum(rejection.outcome == "rejected" for rejection in world.rejections) <= 3_000
    assert calls < 1_500
    assert not core.offer(SignalData(SignalKey(1, 1, 32), [1], [1.0]))


@pytest.mark.parametrize("seed", range(5))
def test_30_percent_random_503_amplify_at_most_one_and_a_half_times_and_lose_nothing(seed: int) -> None:
    rng, service = random.Random(seed), ServiceModel()
    core = make(BatchPolicy(linger_s=0.0, max_items=10, delivery_timeout_s=math.inf), seed)
    offer_items(core, 5_000)

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        return (0.02, api_error(503)) if rng.random() < 0.3 else (0.02, service.put(batch.body))

    world = World(core, answer)
    world.run()
    report = core.report(world.now)
    assert report.delivered == 5_000
    assert report.requests / 500 <= 1.5
    assert world.now < 600


@pytest.mark.parametrize("failure", [unreachable, timed_out, reset, lambda: api_error(503), lambda: api_error(401)])
def test_a_service_down_for_ten_minutes_is_asked_every_five_seconds_and_then_gets_everything(
    failure: Callable[[], BesmartError],
) -> None:
    service = ServiceModel()
    core = make(BatchPolicy(linger_s=0.0, max_items=100, delivery_timeout_s=math.inf))
    offer_items(core, 5_000)

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        return (0.01, failure()) if now < 600 else (0.01, service.put(batch.body))

    world = World(core, answer)
    world.run()
    during = [at for at in world.sent_at if at < 600]
    settled = [at for at in during if at > 10]
    assert len(during) <= 600 / 5 + 16
    assert min(later - sooner for sooner, later in pairwise(settled)) >= 5
    assert core.report(world.now).delivered == 5_000
    assert len(service.stored) == 5_000
    assert world.now < 700
    assert any(isinstance(event, SendingPaused) for event in world.events)
    assert any(isinstance(event, SendingResumed) for event in world.events)


def test_what_is_not_delivered_in_time_is_handed_back_with_its_outcome() -> None:
    core = make(BatchPolicy(linger_s=0.0, delivery_timeout_s=30.0))
    offer_items(core, 1)
    world = World(core, lambda _, now: (1.0, unreachable()))
    world.run(100.0)
    assert [rejection.outcome for rejection in world.rejections] == ["not_sent"]
    assert core.report(world.now).rejected == 1
    offer_items(core, 1)
    world.answer = lambda _, now: (1.0, timed_out())
    world.run(300.0)
    assert [rejection.outcome for rejection in world.rejections] == ["not_sent", "in_doubt"]
    assert core.report(world.now).in_doubt == 1


@pytest.mark.parametrize("broken", [False, True])
def test_bodies_over_an_unknown_limit_are_split_and_the_limit_is_learned(broken: bool) -> None:
    service = ServiceModel(max_bytes=1_000_000)
    core = make(BatchPolicy(linger_s=0.0, max_bytes=4_000_000, max_readings=10**6, delivery_timeout_s=math.inf))
    calls_over = 0

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        nonlocal calls_over
        error = service.put(batch.body)
        calls_over += error is not None
        return 0.01, reset() if error is not None and broken else error

    world = World(core, answer)
    for round_ in range(10):
        for sensor in range(100):
            data = SignalData(key(sensor), np.arange(1000) * 1000 + round_ * 10**7, np.arange(1000) / 8)
            assert core.offer(data, now=world.now)
        world.run()
    assert core.report(world.now).delivered == 10 * 100 * 1000
    assert not world.rejections
    assert calls_over < 20
    if not broken:
        assert world.now < 60


@pytest.mark.parametrize(("max_items", "max_readings"), [(120, None), (None, 3_000)])
def test_a_422_whose_parts_all_pass_teaches_a_limit(max_items: int | None, max_readings: int | None) -> None:
    service = ServiceModel(max_items=max_items, max_readings=max_readings)
    core = make(BatchPolicy(linger_s=0.0, max_in_flight=1))
    offer_items(core, 5_000, rows=20 if max_readings else 1)
    world = World(core, stored(service))
    world.run()
    report = core.report(world.now)
    assert report.rejected == 0
    assert report.pending == 0
    assert service.calls < 150


def test_a_403_for_one_signal_does_not_hold_up_the_others() -> None:
    core, service = make(BatchPolicy(linger_s=0.0, max_items=10)), ServiceModel()

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        return 0.01, api_error(403) if b'"sensor_mid":7,' in batch.body else service.put(batch.body)

    offer_items(core, 200)
    world = World(core, answer)
    world.run()
    assert [rejection.data.key for rejection in world.rejections] == [key(7)]
    assert core.report(world.now).delivered == 199


def test_retry_after_pauses_everything() -> None:
    core, service = make(BatchPolicy(linger_s=0.0, max_items=1)), ServiceModel()
    offer_items(core, 50)
    first = True

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        nonlocal first
        if first:
            first = False
            return 0.0, api_error(429, retry_after_s=20.0)
        return 0.01, service.put(batch.body)

    world = World(core, answer)
    world.run()
    assert not [at for at in world.sent_at if 0.02 < at < 20.0]
    assert core.report(world.now).delivered == 50


def test_calls_at_a_time_grow_from_four_to_sixteen_and_shrink_under_429() -> None:
    core, service = make(BatchPolicy(linger_s=0.0, max_items=1)), ServiceModel()
    offer_items(core, 400)
    world = World(core, stored(service))
    world.run()
    assert world.most_in_flight == 16
    offer_items(core, 1)
    limits: list[int] = []

    def throttle(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        limits.append(core.report(now).max_in_flight)
        return 0.01, api_error(429)

    world.answer = throttle
    world.run(world.now + 60)
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] < 8


def test_a_delayed_old_request_never_overwrites_a_newer_value_and_other_readings_go_on() -> None:
    core, service = make(BatchPolicy(linger_s=0.0)), ServiceModel()
    delayed: list[bytes] = []
    lose = True

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        nonlocal lose
        if lose:
            lose = False
            delayed.append(batch.body)
            return 30.0, timed_out()
        return 0.01, service.put(batch.body)

    core.offer(SignalData(key(1), [1000], [1.0]))
    world = World(core, answer)
    world.run(40.0)
    assert service.stored[((12, 1, 32), 1000, 1)] == (1.0, None)  # the retry was acknowledged
    core.offer(SignalData(key(1), [1000, 2000], [2.0, 5.0]), now=world.now)
    world.run(41.0)
    assert service.stored[((12, 1, 32), 2000, 1)] == (5.0, None)  # another reading of the signal goes on
    assert service.stored[((12, 1, 32), 1000, 1)] == (1.0, None)
    world.run(80.0)
    service.put(delayed.pop())  # only now does the first request get through
    world.run()
    assert service.stored[((12, 1, 32), 1000, 1)] == (2.0, None)
    assert core.report(world.now).pending == 0


def test_refs_are_told_their_counts_even_of_readings_that_were_replaced() -> None:
    core, service = make(BatchPolicy(linger_s=60.0)), ServiceModel(poison_readings={((12, 1, 32), 3.0)})
    core.offer(SignalData(key(1), [1, 2, 3], [1.0, 2.0, 3.0]), 7)
    core.offer(SignalData(key(1), [2, 3], [4.0, 5.0]), 8)
    core.offer(SignalData(key(1), [2], [6.0]))
    core.flush()
    world = World(core, stored(service))
    world.run()
    told = {ref: [0, 0] for ref in (7, 8)}
    for event in world.events:
        if isinstance(event, Settled):
            told[event.ref][0] += event.delivered
            told[event.ref][1] += event.rejected
    assert told == {7: [2, 1], 8: [1, 1]}
    (rejection,) = world.rejections
    assert rejection.readings == 2
    assert rejection.refs == frozenset({7, 8})


def test_memory_is_given_back_and_full_is_an_answer() -> None:
    core, service = make(BatchPolicy(linger_s=0.0, max_memory_bytes=100_000)), ServiceModel()
    accepted = 0
    while core.accumulator.accept_one(key(accepted % 50), accepted, 1.0, PLAIN, 0.0, plain=True):
        accepted += 1
    report = core.report(0.0)
    assert report.accepted == report.pending == accepted
    assert 70_000 <= report.memory_bytes <= 75_000  # a quarter is kept for the bodies of calls
    World(core, stored(service)).run()
    assert core.report(0.0).memory_bytes == 0
    assert core.accumulator.accept_one(key(1), 0, 1.0, PLAIN, 0.0, plain=True)


def test_abandoning_accounts_for_every_reading() -> None:
    core = make(BatchPolicy(linger_s=0.0, max_in_flight=2, max_items=10))
    offer_items(core, 50, rows=1000)
    assert core.poll(0.0) is not None
    assert core.poll(0.0) is not None
    core.abandon(BesmartError("closed"), 1.0)
    report = core.report(1.0)
    assert (report.pending, report.in_doubt, report.rejected) == (0, 20_000, 30_000)
    assert core.poll(2.0) is None


@pytest.mark.parametrize(("items", "rows"), [(8, 1), (1, 8)])
def test_a_search_that_is_given_up_says_in_doubt_of_what_a_lost_probe_may_have_stored(items: int, rows: int) -> None:
    core = make(BatchPolicy(linger_s=0.0))
    offer_items(core, items, rows)
    whole = core.poll(0.0)
    assert whole is not None
    core.settle(whole.number, api_error(422), 0.0)
    probe = core.poll(0.0)
    assert probe is not None
    assert probe.readings < items * rows
    core.settle(probe.number, reset(), 0.0)
    core.abandon(BesmartError("closed"), 0.1)
    report = core.report(0.1)
    assert (report.pending, report.in_doubt, report.rejected) == (0, probe.readings, items * rows - probe.readings)
    doubtful = [event for event in core.events() if isinstance(event, Rejection) and event.outcome == "in_doubt"]
    sent = {item["sensor_mid"] for item in orjson.loads(probe.body)}
    assert {each.data.key.sensor_mid for each in doubtful} == sent


def test_a_batch_that_met_a_dead_idle_connection_leaves_again_at_once_but_not_for_ever() -> None:
    core = WriteCore(BatchPolicy(linger_s=0.0), lambda: 0.5)
    assert core.offer(SignalData(SignalKey(1, 1, 32), [1], [1.0]))
    dead = ProtocolError("closed", operation="signals.write_bulk", reached=True, reused=True, outcome="in_doubt")
    for attempt in range(1, 6):
        batch = core.poll(0.0)
        assert batch is not None
        assert batch.attempt == attempt
        core.settle(batch.number, dead, 0.0)
    assert core.poll(0.0) is None
    assert core.report(0.0).state == "open"
    wakeup = core.next_wakeup(0.0)
    assert wakeup is not None
    assert core.poll(wakeup) is not None
