"""What an earlier writer left, in the pure core: it goes first, and none of its requests overwrites what is newer."""

from __future__ import annotations

import random

import numpy as np

from besmart_async.batching.write.core.core import Dispatch, WriteCore
from besmart_async.batching.write.core.events import Settled
from besmart_async.batching.write.core.log import Form
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.core.world import World
from tests.batching.write.service_model import ServiceModel, api_error, rows_of

KEY = SignalKey(12, 122, 32)
UNTIL = 60.0


def recovering(policy: BatchPolicy | None = None) -> WriteCore:
    core = WriteCore(policy or BatchPolicy(), random.Random(0).random, journaled=True)
    core.accumulator.recovered_until = UNTIL
    return core


def world(core: WriteCore) -> tuple[World, list[tuple[float, dict[float, float]]]]:
    sent: list[tuple[float, dict[float, float]]] = []

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        sent.append((now, {time: value for (_, time, _), value, _ in rows_of(batch.body)}))
        return 0.01, None

    return World(core, answer), sent


def test_a_newer_value_waits_until_an_old_request_can_no_longer_overwrite_it() -> None:
    core = recovering()
    core.accumulator.admit(SignalData(KEY, [1, 2], [1.0, 2.0]), 1, 0.0, recovered=True)
    core.offer(SignalData(KEY, [2, 3], [20.0, 30.0]))
    play, sent = world(core)
    play.run()
    assert [values for _, values in sent] == [{1: 1.0, 2: 2.0}, {3: 30.0}, {2: 20.0}]
    assert sent[1][0] < 1.0
    assert sent[2][0] >= UNTIL


def test_readings_left_twice_wait_with_their_last_value() -> None:
    core = recovering()
    for value in (1.0, 2.0):
        core.accumulator.admit(SignalData(KEY, [1, 2 + value], [value, value]), 1, 0.0, recovered=True)
    play, sent = world(core)
    play.run()
    assert [values for _, values in sent] == [{3: 1.0, 4: 2.0}, {1: 2.0}]
    assert sent[1][0] >= UNTIL
    assert core.report(play.now).delivered == 4


def test_after_that_time_nothing_waits() -> None:
    core = recovering()
    play, sent = world(core)
    play.now = UNTIL
    for value in (1.0, 2.0):
        core.accumulator.admit(SignalData(KEY, [1], [value]), 1, UNTIL, recovered=True)
    core.offer(SignalData(KEY, [1], [3.0]), now=UNTIL)
    play.run()
    assert [values for _, values in sent] == [{1: 2.0}, {1: 3.0}]
    assert sent[-1][0] < UNTIL + 1


def test_large_remains_go_in_several_calls_and_what_is_newer_still_waits() -> None:
    core = recovering(BatchPolicy(max_readings=100))
    times = np.arange(1000)
    core.accumulator.admit(SignalData(KEY, times, times + 0.5), 1, 0.0, recovered=True)
    core.offer(SignalData(KEY, times, times + 7000.5))
    play, sent = world(core)
    play.run()
    final: dict[float, float] = {}
    for _, values in sent:
        final.update(values)
    assert final == {float(time): time + 7000.5 for time in times.tolist()}
    assert all(now >= UNTIL for now, values in sent if max(values.values()) > 7000)
    assert all(now < UNTIL for now, values in sent if max(values.values()) < 7000)


def test_a_stopped_journaled_core_keeps_what_it_did_not_deliver() -> None:
    core = recovering()
    core.offer(SignalData(KEY, [1, 2], [1.0, 2.0]), 5)
    core.offer(SignalData(SignalKey(1, 1, 1), [1], [1.0]))
    core.stop(BesmartError("enough"), 0.0)
    report = core.report(0.0)
    assert (report.accepted, report.pending, report.kept, report.rejected) == (3, 3, 3, 0)
    events = core.events()
    assert not [event for event in events if isinstance(event, Rejection)]
    (settled,) = [event for event in events if isinstance(event, Settled)]
    assert (settled.ref, settled.kept) == (5, 2)
    assert settled.error is not None
    assert settled.error.outcome == "not_sent"


def test_an_abandoned_journaled_core_keeps_what_is_under_way_and_under_search() -> None:
    core = recovering(BatchPolicy(linger_s=0.0))
    model = ServiceModel(poison_signals={(1, 1, 3)})
    for moid in range(8):
        core.offer(SignalData(SignalKey(1, 1, moid), [1], [1.0]), moid)
    batch = core.poll(0.0)
    assert batch is not None
    core.settle(batch.number, model.put(batch.body), 0.0)
    probe = core.poll(0.0)
    assert probe is not None
    core.abandon(BesmartError("closed"), 0.0)
    report = core.report(0.0)
    assert (report.kept, report.rejected, report.pending) == (8, 0, 8)
    assert not list(core.pending())


def test_what_the_service_refuses_for_good_is_told_with_a_journal_as_well() -> None:
    core = recovering(BatchPolicy(linger_s=0.0))
    core.offer(SignalData(KEY, [1], [1.0]), 5)
    play = World(core, lambda batch, now: (0.01, api_error(422)))
    play.run()
    assert [(event.ref, event.rejected) for event in play.events if isinstance(event, Settled)] == [(5, 1)]
    kinds = [type(event) for event in play.events if isinstance(event, Settled | Rejection)]
    assert kinds == [Settled, Rejection]  # the journal hears of it before anybody is told
    assert core.report(0.0).pending == 0


def test_pending_names_every_reading_without_an_outcome() -> None:
    core = recovering(BatchPolicy(linger_s=0.0, max_items=2))
    for moid in range(5):
        core.offer(SignalData(SignalKey(1, 1, moid), [1, 2], [1.0, 2.0]), moid)
    core.accumulator.accept_one(SignalKey(1, 1, 9), 1, 1.0, Form("DBL", 1, None), 0.0, plain=True)
    batch = core.poll(0.0)
    assert batch is not None
    pending = [number for ranges in core.pending() for start, stop in ranges for number in range(start, stop)]
    assert sorted(pending) == list(range(11))
    core.settle(batch.number, None, 0.0)
    pending = [number for ranges in core.pending() for start, stop in ranges for number in range(start, stop)]
    assert sorted(pending) == list(range(4, 11))
