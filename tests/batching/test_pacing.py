"""How fast to send: calls at a time, retries in total, pauses, and the rate a service takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from besmart_async.batching.pacing import PROBE_EVERY_S, Gate, LearnedRate, Pace
from besmart_async.batching.write.core.core import Dispatch
from besmart_async.config import MAX_RETRY_AFTER_S, BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.transport.retry import RetryBudget
from tests.batching.write.core.world import World, make, offer_items
from tests.batching.write.service_model import api_error, reset, timed_out, unreachable

# -- calls at a time -------------------------------------------------------------------------------------------------


def test_the_pace_doubles_with_each_clean_round_trip_up_to_the_most() -> None:
    pace, limits = Pace(None), list[int]()
    for _ in range(4):
        limits.append(pace.limit)
        for _ in range(pace.limit):
            pace.succeeded()
    assert limits == [4, 8, 16, 16]
    assert pace.ceiling == 16


def test_after_the_first_trouble_it_grows_by_one_for_each_window() -> None:
    pace = Pace(None)
    pace.failed(api_error(429), 0)
    limits = list[int]()
    for _ in range(6):
        limits.append(pace.limit)
        for _ in range(pace.limit + 1):  # a window has a fraction
            pace.succeeded()
    assert limits == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("error", [api_error(429), api_error(503), timed_out()])
def test_a_congested_service_gets_seven_tenths_once_in_a_window(error: BesmartError) -> None:
    pace = Pace(None)
    for _ in range(12):
        pace.succeeded()
    assert pace.limit == 16
    pace.failed(error, 15)
    assert pace.limit == 11
    for _ in range(15):  # those were under way then, and tell nothing new
        pace.failed(error, 0)
    assert pace.limit == 11
    pace.failed(error, 0)
    assert pace.limit == 7


def test_it_never_falls_below_one_and_other_failures_say_nothing() -> None:
    pace = Pace(None)
    for error in (reset(), unreachable(), api_error(500), api_error(422)):
        pace.failed(error, 0)
    assert pace.limit == 4
    for _ in range(50):
        pace.failed(api_error(503), 0)
    assert pace.limit == 1


def test_without_a_count_of_others_a_full_window_is_assumed_to_be_under_way() -> None:
    pace = Pace(None)
    pace.failed(api_error(503))
    for _ in range(3):
        pace.failed(api_error(503))
    assert pace.limit == 2
    pace.failed(api_error(503))
    assert pace.limit == 1


def test_a_fixed_pace_stays() -> None:
    pace = Pace(7)
    for _ in range(50):
        pace.succeeded()
    pace.failed(api_error(503))
    assert (pace.limit, pace.ceiling) == (7, 7)


# -- retries in total ------------------------------------------------------------------------------------------------


def test_two_retries_are_free_and_then_one_in_five_seconds() -> None:
    budget = RetryBudget()
    assert budget.ready_at(0.0) == 0.0
    budget.take()
    assert budget.ready_at(0.0) == 0.0
    budget.take()
    assert budget.ready_at(0.0) == pytest.approx(PROBE_EVERY_S)
    assert budget.ready_at(PROBE_EVERY_S) == PROBE_EVERY_S


def test_two_successes_pay_for_a_retry_and_ten_retries_are_the_most() -> None:
    budget = RetryBudget()
    budget.ready_at(0.0)
    for _ in range(2):
        budget.take()
    budget.refund(0.0)
    assert budget.ready_at(0.0) > 0.0
    budget.refund(0.0)
    assert budget.ready_at(0.0) == 0.0
    for _ in range(1_000):
        budget.refund(0.0)
    for _ in range(10):
        assert budget.ready_at(0.0) == 0.0
        budget.take()
    assert budget.ready_at(0.0) > 0.0


# -- pauses and probes -----------------------------------------------------------------------------------------------


def test_the_gate_closes_after_so_much_strain_in_a_row_and_opens_with_an_answer() -> None:
    gate = Gate(lambda: 0.0)
    assert [gate.failed(unreachable(), 2, 0.0) for _ in range(5)] == [False, False, False, True, False]
    assert gate.paused(0.0)
    assert gate.opens_at(0.0, in_flight=0) == PROBE_EVERY_S
    assert gate.opens_at(0.0, in_flight=1) is None
    assert gate.answered()
    assert not gate.answered()
    assert gate.opens_at(0.0, in_flight=3) == -math.inf


def test_an_answer_in_between_keeps_the_gate_open() -> None:
    gate = Gate(lambda: 0.0)
    for _ in range(10):
        assert not gate.failed(unreachable(), 2, 0.0)
        assert not gate.failed(unreachable(), 2, 0.0)
        assert not gate.failed(unreachable(), 2, 0.0)
        assert not gate.answered()


@pytest.mark.parametrize(("asked_s", "paused_s"), [(0.0, 0.0), (5.0, 5.25), (20.0, 20.5), (3_600.0, 60.5)])
def test_a_retry_after_is_kept_to_with_a_jitter_and_not_beyond_a_minute(asked_s: float, paused_s: float) -> None:
    gate = Gate(lambda: 0.5)
    assert gate.told_to_wait(asked_s, 100.0) == pytest.approx(paused_s)
    assert gate.opens_at(100.0, in_flight=2) == pytest.approx(100.0 + paused_s)
    assert paused_s <= MAX_RETRY_AFTER_S + 1


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    gate = Gate(lambda: 0.0)
    gate.told_to_wait(30.0, 0.0)
    gate.told_to_wait(1.0, 0.0)
    assert gate.opens_at(0.0, in_flight=0) == 30.0
    assert gate.paused(29.0)
    assert not gate.paused(30.0)


def test_a_probe_that_is_so_much_smaller_leaves_at_once() -> None:
    gate = Gate(lambda: 0.0)
    gate.failed(reset(), 8, 0.0)
    gate.probe_sooner(1.0)
    assert gate.opens_at(1.0, in_flight=0) == 1.0


# -- the rate a service takes ----------------------------------------------------------------------------------------


def test_without_throttling_there_is_no_limit() -> None:
    rate = LearnedRate()
    for second in range(100):
        rate.sent(float(second))
        rate.taken()
    assert rate.per_second(100.0) is None
    assert rate.ready_at(100.0) == -math.inf


def test_the_first_throttling_measures_what_was_stored_in_the_time_of_retry_after() -> None:
    rate = LearnedRate()
    for call in range(20):
        rate.sent(call / 100)
        rate.taken()
    rate.throttled(0.2, 2.0, 0.2)
    assert rate.per_second(2.2) == pytest.approx(10.0)
    assert rate.ready_at(2.2) == pytest.approx(2.2)
    rate.sent(2.2)
    assert rate.ready_at(2.2) == pytest.approx(2.3)


def test_calls_that_were_under_way_when_one_was_throttled_tell_nothing_new() -> None:
    rate = LearnedRate()
    rate.sent(0.0)
    for _ in range(10):
        rate.taken()
    rate.throttled(0.5, 1.0, 1.0)
    before = rate.per_second(2.0)
    rate.throttled(0.9, 1.0, 1.1)
    rate.throttled(0.5, 1.0, 1.1)
    assert rate.per_second(2.0) == before


def test_a_rate_that_meets_no_throttling_is_forgotten() -> None:
    rate = LearnedRate()
    rate.sent(0.0)
    rate.taken()
    rate.throttled(0.5, 0.0, 1.0)
    assert rate.per_second(1.0) is not None
    assert rate.per_second(1.0 + LearnedRate.FORGET_S + 0.1) is None


class CappedService:
    """Takes so many calls a second, as a token bucket of one second, and refuses the others with 429."""

    def __init__(self, caps: Sequence[tuple[float, float]], latency_s: float, retry_after_s: float | None) -> None:
        self.caps = caps
        self.latency_s = latency_s
        self.retry_after_s = retry_after_s
        self.answers: list[tuple[float, bool]] = []
        self._tokens = 0.0
        self._at = 0.0

    def cap(self, now: float) -> float:
        return [cap for since, cap in self.caps if since <= now][-1]

    def __call__(self, batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        cap = self.cap(now)
        self._tokens, self._at = min(cap, self._tokens + (now - self._at) * cap), now
        took = self._tokens >= 1.0
        self._tokens -= took
        self.answers.append((now, took))
        return self.latency_s, None if took else api_error(429, retry_after_s=self.retry_after_s)

    def shares(self, since: float, until: float) -> tuple[float, float]:
        """Return which share of the calls was refused, and which share of the cap was used."""
        took = [took for at, took in self.answers if since <= at < until]
        offered = sum(self.cap(second) for second in range(int(since), int(until)))
        return took.count(False) / len(took), took.count(True) / offered


class WindowedService(CappedService):
    """Takes so many calls in any second; unlike a bucket, it saves nothing up while nobody calls."""

    def __call__(self, batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        took = sum(took for at, took in self.answers if at > now - 1.0) < self.cap(now)
        self.answers.append((now, took))
        return self.latency_s, None if took else api_error(429, retry_after_s=self.retry_after_s)


def under_load(service: CappedService, seconds: float) -> CappedService:
    """Offer a third more than the service takes, each reading a call of its own."""
    core = make(BatchPolicy(linger_s=0.0, max_items=1, delivery_timeout_s=math.inf))
    offer_items(core, int(1.3 * sum(service.cap(second) for second in range(int(seconds)))) + 50)
    World(core, service).run(seconds)
    return service


@pytest.mark.parametrize("retry_after_s", [1.0, None])
@pytest.mark.parametrize("latency_s", [0.001, 0.05, 0.3])
def test_under_a_fixed_cap_one_call_in_five_is_refused_at_most_and_four_fifths_of_the_cap_are_used(
    latency_s: float, retry_after_s: float | None
) -> None:
    refused, used = under_load(CappedService([(0.0, 10.0)], latency_s, retry_after_s), 60.0).shares(0.0, 60.0)
    assert refused <= 0.2
    assert used >= 0.8


@pytest.mark.parametrize("latency_s", [0.001, 0.05, 0.3])
def test_a_service_that_counts_the_calls_of_a_second_is_used_as_well(latency_s: float) -> None:
    refused, used = under_load(WindowedService([(0.0, 10.0)], latency_s, 1.0), 30.0).shares(0.0, 30.0)
    assert refused <= 0.2
    assert used >= 0.8


@pytest.mark.parametrize("latency_s", [0.001, 0.05, 0.3])
def test_without_retry_after_a_full_second_is_not_taken_for_a_lower_rate(latency_s: float) -> None:
    refused, used = under_load(WindowedService([(0.0, 10.0)], latency_s, None), 30.0).shares(0.0, 30.0)
    assert refused <= 0.2
    assert used >= 0.6


@pytest.mark.parametrize("retry_after_s", [1.0, None])
@pytest.mark.parametrize("latency_s", [0.001, 0.05, 0.3])
def test_after_a_cap_has_fallen_the_lower_one_is_kept_to_as_well(latency_s: float, retry_after_s: float | None) -> None:
    service = under_load(CappedService([(0.0, 50.0), (60.0, 10.0)], latency_s, retry_after_s), 120.0)
    refused, used = service.shares(60.0, 120.0)
    assert refused <= 0.2
    assert used >= 0.8


@pytest.mark.parametrize("latency_s", [0.001, 0.05, 0.3])
def test_a_cap_that_has_risen_is_found_within_a_minute(latency_s: float) -> None:
    service = under_load(CappedService([(0.0, 10.0), (60.0, 50.0)], latency_s, 1.0), 180.0)
    assert service.shares(120.0, 180.0)[1] >= 0.7
