"""What is tried again, when, how often, and what the end of it means for what was to be written."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import httpx
import pytest

from besmart_async import (
    ApiError,
    ConflictError,
    Outcome,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    RetryScheduled,
    ServerError,
    TransportError,
)
from besmart_async.transport.retry import RETRYABLE_STATUSES, FailedAttempt, RetryBudget, RetrySchedule, decide
from tests.transport.fakes import (
    TOKEN,
    Answer,
    FakeService,
    after,
    client_of,
    failure_of,
    now,
    operation,
    status,
    token_client_of,
    transport_to,
)

pytestmark = pytest.mark.looptime


# -- statuses ----------------------------------------------------------------------------------------------------------

STATUSES = [400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 425, 429, 500, 501, 502, 503, 504, 599]


@pytest.mark.parametrize("code", STATUSES)
async def test_a_replayable_operation_is_tried_again_after_what_may_pass(code: int) -> None:
    service = FakeService(*[status(code)] * 3)
    error = await failure_of(service, replay=True)
    tried = 3 if code in {408, 425, 429, 500, 502, 503, 504} else 1
    assert isinstance(error, ApiError)
    assert len(service.requests) == tried
    assert error.outcome == ("in_doubt" if code >= 500 else "rejected")
    assert ("gave up after 3 attempts" in getattr(error, "__notes__", [])) == (tried == 3)


@pytest.mark.parametrize("code", STATUSES)
async def test_an_operation_that_may_not_be_replayed_is_not_repeated_once_the_service_had_it(code: int) -> None:
    service = FakeService(status(code))
    error = await failure_of(service, replay=False)
    assert len(service.requests) == 1
    assert error.outcome == ("in_doubt" if code >= 500 else "rejected")


@pytest.mark.parametrize("code", sorted(RETRYABLE_STATUSES))
async def test_a_later_success_is_a_success(code: int) -> None:
    service = FakeService(status(code), status(code))
    assert (await transport_to(service).send(operation())).status == 200


async def test_a_401_on_the_way_does_not_use_up_an_attempt_of_its_own() -> None:
    service = FakeService(status(500), status(401), status(500), status(200))
    async with client_of(service) as client:
        with pytest.raises(ServerError):
            await client._transport.send(operation(), attempts=2)
    assert len(service.data_requests) == 3


# -- lost answers ------------------------------------------------------------------------------------------------------

LOST: list[tuple[Exception, Outcome, int]] = [  # what happens, what it means, tries of what may not be replayed
    (httpx.ConnectError("refused"), "not_sent", 3),
    (httpx.ConnectTimeout("slow"), "not_sent", 3),
    (httpx.ProxyError("403 Forbidden"), "not_sent", 3),
    (httpx.ReadError(""), "in_doubt", 1),
    (httpx.WriteError(""), "in_doubt", 1),
    (httpx.ReadTimeout(""), "in_doubt", 1),
    (httpx.WriteTimeout(""), "in_doubt", 1),
    (httpx.RemoteProtocolError("garbage"), "in_doubt", 1),
    (ConnectionResetError("reset"), "in_doubt", 1),
]


@pytest.mark.parametrize(("lost", "outcome", "tries"), LOST, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("replay", [True, False])
async def test_what_gets_lost_tells_whether_it_may_have_arrived(
    lost: Exception, outcome: Outcome, tries: int, *, replay: bool
) -> None:
    service = FakeService(*[lost] * 5)
    error = await failure_of(service, replay=replay)
    assert isinstance(error, TransportError)
    assert error.outcome == outcome
    assert error.reached == (outcome == "in_doubt")
    assert error.operation == "things.put"
    assert len(service.requests) == (3 if replay else tries)


async def test_a_lost_first_try_leaves_the_doubt_whatever_comes_then() -> None:
    for then in (httpx.ConnectError("refused"), status(429), status(404), status(409)):
        error = await failure_of(FakeService(httpx.ReadError(""), then), replay=True, max_attempts=2)
        assert error.outcome == "in_doubt"


async def test_what_the_service_refuses_for_its_content_was_refused_the_first_time_too() -> None:
    for code in (400, 413, 422):
        error = await failure_of(FakeService(httpx.ReadError(""), status(code)), replay=True)
        assert error.outcome == "rejected"


async def test_a_failed_read_has_no_outcome() -> None:
    async with token_client_of(FakeService(*[httpx.ReadError("")] * 3)) as client:
        with pytest.raises(ProtocolError) as caught:
            await client.sensors.types()
    assert caught.value.outcome is None


async def test_a_delete_whose_answer_was_lost_and_that_then_finds_nothing_has_succeeded() -> None:
    async with token_client_of(FakeService(httpx.ReadError(""), status(404))) as client:
        await client.sensors.delete(1, 2)


async def test_a_delete_that_finds_nothing_the_first_time_has_failed() -> None:
    async with token_client_of(FakeService(status(429), status(404))) as client:
        with pytest.raises(ApiError) as caught:
            await client.sensors.delete(1, 2)
    assert (caught.value.status, caught.value.outcome) == (404, "rejected")


async def test_a_creation_whose_answer_was_lost_and_that_then_conflicts_is_in_doubt() -> None:
    async with token_client_of(FakeService(httpx.ReadError(""), status(409, "overlaps"))) as client:
        with pytest.raises(ConflictError, match="in doubt") as caught:
            await client.sensor_states.create(1, 2, 1577836800000)
    assert caught.value.outcome == "in_doubt"


# -- waits -------------------------------------------------------------------------------------------------------------


async def test_waits_are_full_jitter_under_a_doubling_ceiling() -> None:
    waits: list[list[float]] = [[] for _ in range(6)]
    for seed in range(40):
        service = FakeService(*[status(500)] * 7)
        moments: list[float] = []
        for index, answer in enumerate(service.script):
            service.script[index] = _noting(moments, answer)
        transport = transport_to(service, seed=seed, max_attempts=7)
        with pytest.raises(ServerError):
            await transport.send(operation())
        for wait, (before, later) in zip(waits, pairwise(moments), strict=True):
            wait.append(later - before)
    for wait, ceiling in zip(waits, (0.5, 1, 2, 4, 8, 8), strict=True):
        assert 0 <= min(wait) < 0.25 * ceiling
        assert 0.75 * ceiling < max(wait) <= ceiling + 1e-3


def _noting(moments: list[float], answer: Answer) -> Answer:
    async def noted(request: httpx.Request) -> httpx.Response:
        moments.append(now())
        assert isinstance(answer, httpx.Response)
        return answer

    return noted


async def test_a_thousand_attempts_do_not_overflow_the_wait() -> None:
    service = FakeService(*[status(500)] * 1100)
    await failure_of(service, replay=True, max_attempts=1100, total_timeout_s=1e9, budget=1e9)
    assert len(service.requests) == 1100


async def test_one_attempt_means_one_attempt() -> None:
    service = FakeService(status(500))
    error = await failure_of(service, replay=True, max_attempts=1)
    assert not hasattr(error, "__notes__")
    assert len(service.requests) == 1


async def test_a_caller_may_ask_for_fewer_attempts_than_the_policy() -> None:
    service = FakeService(status(500), status(500))
    with pytest.raises(ServerError):
        await transport_to(service).send(operation(), attempts=1)
    assert len(service.requests) == 1


# -- the end of it -----------------------------------------------------------------------------------------------------


async def test_the_total_timeout_bounds_the_call_whatever_happens() -> None:
    service = FakeService(*[after(25, status(500))] * 9)
    error = await failure_of(service, replay=True, total_timeout_s=60, max_attempts=9)
    assert isinstance(error, RequestTimeoutError)
    assert error.outcome == "in_doubt"
    assert now() == pytest.approx(60, abs=0.1)


async def test_a_call_cut_short_while_it_waits_for_a_token_was_not_sent() -> None:
    service = FakeService(after(2, status(401)))
    service.login_script = [after(100, status(500))]
    async with client_of(service, token=TOKEN, retry=RetryPolicy(total_timeout_s=3)) as client:
        with pytest.raises(RequestTimeoutError, match="no success within the total timeout of 3 s") as caught:
            await client.sensors.delete(1, 2)
    assert caught.value.outcome == "not_sent"


async def test_a_timeout_that_is_no_end_is_none() -> None:
    service = FakeService(*[status(500)] * 2)
    assert (await transport_to(service, total_timeout_s=float("inf")).send(operation())).status == 200


async def test_the_budget_runs_dry_in_a_storm_and_recovers_with_successes() -> None:
    service = FakeService(*[status(500)] * 1000)
    transport = transport_to(service)
    results = await asyncio.gather(*(transport.send(operation()) for _ in range(300)), return_exceptions=True)
    assert {type(result) for result in results} == {ServerError}
    assert len(service.requests) == 300 + 100
    assert any("retry budget is used up" in note for result in results for note in result.__notes__)  # type: ignore[union-attr]
    service.script = []
    for _ in range(5):
        await transport.send(operation())
    service.script = [status(500)]
    await transport.send(operation())


def test_the_budget_charges_a_timeout_double_and_never_holds_more_than_it_began_with() -> None:
    budget, schedule = RetryBudget.of(RetryPolicy()), RetrySchedule.of(RetryPolicy())
    failed = ServerError(500, "", "o", None)  # type: ignore[arg-type]  # the answer does not matter
    assert decide(FailedAttempt(error=failed, number=1), schedule, budget, 0.0, lambda: 0.5).wait_s is not None
    assert budget.tokens == 495
    slow = RequestTimeoutError("slow")
    assert decide(FailedAttempt(error=slow, number=1), schedule, budget, 0.0, lambda: 0.5).wait_s is not None
    assert budget.tokens == 485
    for _ in range(100):
        budget.refund(0.0)
    assert budget.tokens == 500


async def test_every_retry_is_told_to_the_hooks_with_its_true_wait() -> None:
    seen: list[RetryScheduled] = []
    service = FakeService(status(429, retry_after="3"), httpx.ReadError("gone"))
    async with token_client_of(
        service, hooks=[lambda event: seen.append(event) if isinstance(event, RetryScheduled) else None]
    ) as client:
        await client.sensors.types()
    assert [(event.operation, event.attempt, type(event.error)) for event in seen] == [
        ("sensors.types", 1, RateLimitError),
        ("sensors.types", 2, ProtocolError),
    ]
    assert 3 <= seen[0].wait_s <= 3.3
    assert seen[1].wait_s <= 1
