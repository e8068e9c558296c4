"""What hooks are told, and that they can break nothing."""

from __future__ import annotations

import logging

import httpx
import pytest

from besmart_async import (
    Event,
    ProtocolError,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryPolicy,
    RetryScheduled,
    ServerError,
    TokenRenewed,
)
from tests.transport.fakes import FakeService, after, client_of, operation, status

pytestmark = pytest.mark.looptime


async def test_every_event_comes_in_order_with_its_facts() -> None:
    events: list[Event] = []
    service = FakeService(
        after(2, httpx.ReadError("")), after(1, status(503)), after(3, httpx.Response(200, text="[1]")), life_s=101
    )
    async with client_of(service, hooks=[events.append], retry=RetryPolicy(initial_wait_s=0)) as client:
        await client._transport.send(operation(path="/things/{id}", path_params={"id": 7}, body=b"12345"))
    put = {"operation": "things.put"}
    started = RequestStarted(method="PUT", path="/things/{id}", attempt=1, body_bytes=5, **put)
    assert events[:4] == [
        RequestStarted(operation="users.login", method="POST", path="/users/token", attempt=1, body_bytes=56),
        ResponseReceived(operation="users.login", attempt=1, status=200, elapsed_s=0, body_bytes=65),
        TokenRenewed(by="login", life_s=100.0),
        started,
    ]
    failed, again, *others = events[4:]
    assert isinstance(failed, RequestFailed)
    assert (failed.operation, failed.attempt, failed.elapsed_s, type(failed.error)) == (
        "things.put",
        1,
        2,
        ProtocolError,
    )
    assert again == RetryScheduled(attempt=1, wait_s=0, error=failed.error, **put)
    assert isinstance(others[2], RetryScheduled)
    assert (others[2].attempt, type(others[2].error)) == (2, ServerError)
    assert [others[1], others[-1]] == [
        ResponseReceived(attempt=2, status=503, elapsed_s=1, body_bytes=14, **put),
        ResponseReceived(attempt=3, status=200, elapsed_s=3, body_bytes=3, **put),
    ]
    assert [type(event) for event in others] == [
        RequestStarted,
        ResponseReceived,
        RetryScheduled,
        RequestStarted,
        ResponseReceived,
    ]


async def test_a_hook_that_fails_is_logged_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []

    def broken(event: Event) -> None:
        raise ZeroDivisionError("in the hook")

    async with client_of(FakeService(status(500)), hooks=[broken, events.append]) as client:
        assert await client.sensors.types() == []
    assert len(events) == 8
    records = [
        record for record in caplog.records if record.name == "besmart_async" and record.levelno == logging.ERROR
    ]
    assert len(records) == 8
    assert "a hook of the besmart client failed on RequestStarted; the call goes on" in records[0].getMessage()
    assert "ZeroDivisionError" in caplog.text


async def test_a_refresh_is_told_as_one() -> None:
    events: list[Event] = []
    async with client_of(FakeService(), hooks=[events.append]) as client:
        await client.users.login()
        await client.users.refresh()
    assert [event.by for event in events if isinstance(event, TokenRenewed)] == ["login", "refresh"]
