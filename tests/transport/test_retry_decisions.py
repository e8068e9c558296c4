"""`retry.decide` from tables: outcome, schedule, budget and clock in, decision out. No event loop anywhere."""

from __future__ import annotations

import math

import pytest

from besmart_async import (
    AnswerTooLargeError,
    ApiError,
    BesmartError,
    ConnectError,
    DecodeError,
    ProtocolError,
    RequestTimeoutError,
    Response,
    RetryPolicy,
    ServerError,
    TransportError,
)
from besmart_async.transport.retry import (
    MAX_STALE,
    RETRYABLE_STATUSES,
    Decision,
    FailedAttempt,
    OriginPause,
    RetryBudget,
    RetrySchedule,
    decide,
    is_stale,
    may_have_applied,
    may_help,
)

BROKEN = ProtocolError("broke", reached=True)
STALE = ProtocolError("broke", reached=True, reused=True)
SLOW = RequestTimeoutError("slow", reached=True)
WRITER = RetrySchedule(initial_wait_s=1.0, max_wait_s=60.0)
SINGLE = RetrySchedule.of(RetryPolicy())
NOW = 1000.0


def answered(status: int) -> ApiError:
    cls = ServerError if status >= 500 else ApiError
    return cls(status, "", "a.b", Response(status))


def decided(
    number: int = 1,
    error: BesmartError = BROKEN,
    schedule: RetrySchedule = WRITER,
    budget: RetryBudget | None = None,
    *,
    rng: float = 1.0,
    stale: int = 0,
    pause_s: float = 0.0,
    deadline: float = math.inf,
) -> Decision:
    failed = FailedAttempt(error=error, number=number, stale=stale, pause_s=pause_s, deadline=deadline)
    return decide(failed, schedule, budget, NOW, lambda: rng)


# -- waits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "rng", "wait_s"),
    [(1, 1.0, 1), (2, 1.0, 2), (3, 1.0, 4), (6, 1.0, 32), (7, 1.0, 60), (5000, 1.0, 60), (3, 0.25, 1), (7, 0.0, 0)],
)
def test_a_wait_is_a_random_share_of_a_ceiling_that_doubles(number: int, rng: float, wait_s: float) -> None:
    assert decided(number, rng=rng) == Decision(wait_s)


def test_attempts_over_dead_connections_do_not_raise_the_ceiling() -> None:
    assert decided(5, stale=4) == decided(1)


@pytest.mark.parametrize(("pause_s", "wait_s"), [(0.5, 1.0), (7.5, 7.5)])
def test_a_pause_that_the_service_asked_for_is_the_least_wait(pause_s: float, wait_s: float) -> None:
    assert decided(pause_s=pause_s).wait_s == wait_s


def test_without_waits_nobody_waits() -> None:
    assert decided(9, schedule=RetrySchedule(initial_wait_s=0.0, max_wait_s=0.0)).wait_s == 0.0


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "most", "reason"),
    [
        (1, 1, ""),
        (2, 3, None),
        (3, 3, "gave up after 3 attempts"),
        (4, 3, "gave up after 3 attempts"),
        (99, None, None),
    ],
)
def test_attempts_are_counted(number: int, most: int | None, reason: str | None) -> None:
    schedule = RetrySchedule(initial_wait_s=1.0, max_wait_s=2.0, max_attempts=most)
    decision = decided(number, schedule=schedule)
    assert (decision.wait_s is None) == (reason is not None)
    assert decision.reason == (reason or "")


@pytest.mark.parametrize(("left_s", "goes_on"), [(1.5, True), (1.0, False), (0.5, False), (-1.0, False)])
def test_no_attempt_starts_at_the_deadline_or_later(left_s: float, goes_on: bool) -> None:
    decision = decided(deadline=NOW + left_s)
    assert (decision.wait_s is not None) == goes_on
    assert goes_on or decision.reason == "gave up: the total timeout leaves no time for another attempt"


# -- stale connections -------------------------------------------------------------------------------------------------


def test_only_a_reused_connection_that_broke_is_stale() -> None:
    assert is_stale(STALE)
    for other in (BROKEN, RequestTimeoutError("slow", reached=True, reused=True), ConnectError("no"), answered(503)):
        assert not is_stale(other)


def test_a_stale_connection_costs_nothing_a_few_times() -> None:
    budget = RetryBudget.of(RetryPolicy())
    for met in range(MAX_STALE):
        decision = decided(met + 1, STALE, SINGLE, budget, stale=met, deadline=NOW)
        assert decision == Decision(0.0, stale=True)
    assert budget.tokens == 500
    last = decided(MAX_STALE + 1, STALE, SINGLE, budget, stale=MAX_STALE)
    assert (last.stale, budget.tokens) == (False, 495)


def test_one_attempt_means_one_over_a_stale_connection_too() -> None:
    once = RetrySchedule.of(RetryPolicy(), 1)
    assert decided(1, STALE, once) == Decision(None)


# -- budgets -----------------------------------------------------------------------------------------------------------


def test_the_budget_of_single_calls_runs_dry_and_comes_back_with_successes_only() -> None:
    budget = RetryBudget.of(RetryPolicy(budget=12))
    assert [decided(1, answered(500), SINGLE, budget).wait_s is None for _ in range(3)] == [False, False, True]
    assert "retry budget is used up" in decided(1, answered(500), SINGLE, budget).reason
    assert budget.ready_at(NOW + 1e6, 5.0) == math.inf
    for _ in range(3):
        budget.refund(NOW)
    assert decided(1, answered(500), SINGLE, budget).wait_s is not None
    assert budget.tokens == 0


def test_a_retry_after_a_timeout_costs_more() -> None:
    budget = RetryBudget.of(RetryPolicy())
    assert decided(1, SLOW, SINGLE, budget).wait_s is not None
    assert budget.tokens == 490


def test_a_budget_that_refills_by_itself_makes_a_retry_wait() -> None:
    budget = RetryBudget()
    waits = [decided(1, schedule=WRITER, budget=budget, rng=0.0).wait_s for _ in range(4)]
    assert waits == [0.0, 0.0, pytest.approx(5.0), pytest.approx(10.0)]  # two at once, then one in five seconds


def test_a_writers_budget_is_half_of_the_successes_and_a_fifth_per_second() -> None:
    budget = RetryBudget()
    budget.take(2.0)
    assert budget.ready_at(NOW) == pytest.approx(NOW + 5.0)
    assert budget.ready_at(NOW + 2.0) == pytest.approx(NOW + 5.0)
    budget.refund(NOW + 2.0)
    assert budget.ready_at(NOW + 2.0) == pytest.approx(NOW + 2.5)
    for _ in range(100):
        budget.refund(NOW + 2.0)
    assert budget.tokens == 10.0


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    budget = RetryBudget()
    budget.take()
    assert budget.ready_at(NOW) == NOW
    assert budget.ready_at(NOW - 500.0) == NOW - 500.0
    assert budget.tokens == 1.0


def test_who_stops_at_the_deadline_or_the_last_attempt_pays_nothing() -> None:
    budget = RetryBudget.of(RetryPolicy())
    decided(3, answered(500), SINGLE, budget)
    decided(1, answered(500), SINGLE, budget, deadline=NOW)
    assert budget.tokens == 500


# -- what may help -----------------------------------------------------------------------------------------------------

MAY_HELP: list[tuple[BesmartError, bool, bool]] = [  # error, if it may be replayed, if it may not (and was sent)
    *((answered(status), status in RETRYABLE_STATUSES, False) for status in (400, 404, 408, 425, 429, 500, 501, 503)),
    (ConnectError("refused"), True, True),
    (BROKEN, True, False),
    (SLOW, True, False),
    (RequestTimeoutError("no free connection", queued=True), False, False),
    (AnswerTooLargeError("too large", reached=True), False, False),
    (DecodeError("not JSON"), False, False),
    (BesmartError("closed"), False, False),
]


@pytest.mark.parametrize(("error", "replayed", "once"), MAY_HELP, ids=lambda value: str(value)[:20])
def test_what_is_tried_again_depends_on_the_error_and_on_replay(
    error: BesmartError, replayed: bool, once: bool
) -> None:
    assert may_help(error, replay=True, sent=True) == replayed
    assert may_help(error, replay=False, sent=True) == once
    assert may_help(error, replay=False, sent=False) == replayed  # nothing of it can have been applied


def test_only_a_lost_answer_or_a_5xx_may_have_been_applied() -> None:
    assert [may_have_applied(error) for error in (BROKEN, SLOW, answered(500), answered(504))] == [True] * 4
    assert not any(may_have_applied(error) for error in (ConnectError("no"), answered(429), TransportError("paused")))


# -- the pause ---------------------------------------------------------------------------------------------------------


def test_a_pause_is_left_spread_over_a_tenth_of_it_or_a_second() -> None:
    pause = OriginPause()
    assert pause.delay_s(NOW, lambda: 1.0) == 0.0
    pause.extend(5.0, NOW)
    assert pause.delay_s(NOW, lambda: 1.0) == pytest.approx(5.5)
    pause.extend(60.0, NOW)
    pause.extend(1.0, NOW)
    assert pause.delay_s(NOW, lambda: 1.0) == pytest.approx(61.0)
    assert pause.delay_s(NOW + 60.0, lambda: 1.0) == 0.0
