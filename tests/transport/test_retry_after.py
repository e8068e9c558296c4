"""The service asks to wait: it is believed within reason, and everybody waits."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import httpx
import pytest

from besmart_async import BesmartError, RateLimitError
from tests.transport.fakes import EPOCH_MS, FakeService, failure_of, now, operation, status, transport_to

pytestmark = pytest.mark.looptime


async def test_retry_after_two_seconds_ends_in_success() -> None:
    service = FakeService(status(429, retry_after="2"))
    await transport_to(service).send(operation())
    assert 2 <= now() <= 2.21


async def test_retry_after_may_be_a_date_by_the_services_own_clock() -> None:
    sent = EPOCH_MS / 1000 + 86_400
    answer = status(503, retry_after=formatdate(sent + 5, usegmt=True), date=formatdate(sent, usegmt=True))
    await transport_to(FakeService(answer)).send(operation())
    assert 5 <= now() <= 5.51


async def test_a_retry_after_date_without_a_date_goes_by_our_clock() -> None:
    await transport_to(FakeService(status(503, retry_after=formatdate(EPOCH_MS / 1000 + 7, usegmt=True)))).send(
        operation()
    )
    assert 7 <= now() <= 7.71


@pytest.mark.parametrize("bad", ["-5", "soon", "", "1e9", "nan", "9" * 30, "Thu, 01 Jan 1970 00:00:00 GMT", "٣"])
async def test_a_retry_after_that_makes_no_sense_is_ignored(bad: str) -> None:
    answer = httpx.Response(429, json="slow down", headers=[(b"retry-after", bad.encode())])
    await transport_to(FakeService(answer)).send(operation())
    assert now() <= 0.5


async def test_an_endless_retry_after_is_capped() -> None:
    await transport_to(FakeService(status(429, retry_after="86400"))).send(operation())
    assert 60 <= now() <= 61


async def test_retry_after_pauses_every_call_to_the_service_and_they_leave_it_one_by_one() -> None:
    service = FakeService(status(429, retry_after="10"))
    transport = transport_to(service)
    first = asyncio.create_task(transport.send(operation()))
    await asyncio.sleep(0.1)
    ends: list[float] = []

    async def other() -> None:
        await transport.send(operation(replay=False))
        ends.append(now())

    await asyncio.gather(first, *(other() for _ in range(50)))
    assert min(ends) >= 10
    assert max(ends) <= 11
    assert max(ends) - min(ends) > 0.5


async def test_a_pause_longer_than_the_call_may_take_fails_at_once_with_the_services_own_answer() -> None:
    error = await failure_of(FakeService(status(429, retry_after="50")), replay=True, total_timeout_s=20)
    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == 50
    assert "gave up: the total timeout leaves no time for another attempt" in error.__notes__
    assert now() == 0


async def test_a_call_that_meets_such_a_pause_fails_at_once_and_says_so() -> None:
    transport = transport_to(FakeService(status(429, retry_after="50")), total_timeout_s=20)
    for _ in range(2):
        with pytest.raises(BesmartError) as caught:
            await transport.send(operation())
    assert str(caught.value).startswith("things.put: the service asked for a pause of 50 s more")
    assert caught.value.outcome == "not_sent"
    assert now() == 0
