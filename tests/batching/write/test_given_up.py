"""Nothing is given up in silence: it is logged where nobody can catch it, and what `flush` will raise is bounded."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import numpy as np
import pytest

from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, UndeliveredError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import ServiceModel, api_error, unreachable

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

BRIEF = BatchPolicy(linger_s=0.05, delivery_timeout_s=20.0, close_timeout_s=0.0)
GOOD = SignalKey(1, 1, 32)


class Service:
    """Stores what it is sent, except while it is away and except signals of client 2, which it refuses."""

    def __init__(self) -> None:
        self.model = ServiceModel()
        self.away = False

    async def __call__(self, body: bytes, /) -> None:
        await asyncio.sleep(0.01)
        if self.away:
            raise unreachable()
        if b'"client_cid":2,' in body:
            raise api_error(422)
        error = self.model.put(body)
        if error is not None:
            raise error


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


async def close(writer: Writer) -> UndeliveredError | None:
    try:
        await writer.aclose()
    except UndeliveredError as error:
        return error
    return None


async def write_through_an_outage(writer: Writer, service: Service) -> None:
    """Write for half a minute to a service that is away, then once more to one that is back."""
    service.away = True
    for second in range(30):
        await writer.write(GOOD, second * 1000, 1.0)
        await asyncio.sleep(1)
    service.away = False
    await asyncio.sleep(60)
    await writer.write(GOOD, 30_000, 1.0)
    await asyncio.sleep(1)


async def test_readings_given_up_after_the_delivery_timeout_are_logged_with_counts_signals_and_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service()
    writer = Writer(service, BRIEF)
    await write_through_an_outage(writer, service)
    rejected = writer.report.rejected
    assert rejected > 0
    messages = [message for message in logged(caplog, logging.ERROR) if "gave up" in message]
    counts = [int(message.split("gave up ")[1].split()[0]) for message in messages]
    assert sum(counts) == rejected
    assert all("of 1 signals (not_sent)" in message and "1.1.32: no connection" in message for message in messages)
    error = await close(writer)
    assert error is not None
    assert sum(rejection.readings for rejection in error.undelivered) == rejected


async def test_a_handler_gets_them_instead_and_nothing_is_logged_as_given_up(caplog: pytest.LogCaptureFixture) -> None:
    service, handed = Service(), list[Rejection]()
    writer = Writer(service, BRIEF, on_reject=handed.append)
    await write_through_an_outage(writer, service)
    await writer.aclose()
    assert sum(rejection.readings for rejection in handed) == writer.report.rejected > 0
    assert logged(caplog, logging.ERROR) == []


async def test_a_pause_and_its_end_are_warned_about_once_each(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    policy = BatchPolicy(linger_s=0.05, delivery_timeout_s=1e6, initial_wait_s=1.0, max_wait_s=2.0)
    states: list[str] = []
    async with Writer(service, policy) as writer:
        for turn in range(2):
            service.away = True
            await writer.write(GOOD, turn, 1.0)
            await asyncio.sleep(300)
            states.append(writer.report.state)
            service.away = False
            await asyncio.sleep(30)
            states.append(writer.report.state)
            said = logged(caplog, logging.WARNING)
            assert [("pauses" in message, "sends again" in message) for message in said] == [
                (True, False),
                (False, True),
            ] * (turn + 1)
    assert states == ["paused", "open"] * 2
    assert writer.report.delivered == 2


async def test_a_caller_of_deliver_is_told_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with Writer(Service(), BRIEF) as writer:
        with pytest.raises(BesmartError):
            await writer.deliver(SignalData(SignalKey(2, 1, 32), [0], [1.0]))
    assert logged(caplog, logging.ERROR) == []


@pytest.mark.parametrize("rows", [1, 400], ids=["single readings", "columns"])
async def test_what_is_kept_for_flush_stays_within_the_memory_limit_and_the_rest_is_counted(
    rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    limit = 200_000
    policy = BatchPolicy(max_memory_bytes=limit, linger_s=0.01, close_timeout_s=5.0)
    writer = Writer(Service(), policy)
    values = np.ones(rows)
    for turn in range(200 if rows == 1 else 40):
        times = np.arange(rows) + turn * rows
        what: tuple[Any, Any] = (turn, 1.0) if rows == 1 else (times, values)
        await writer.write(SignalKey(2, turn % 7, 32), *what)
        await writer.write(SignalKey(1, turn % 7, 32), *what)
        await asyncio.sleep(1)
        report = writer.report
        assert (report.pending, report.memory_bytes <= limit) == (0, True)
    rejected = writer.report.rejected
    with pytest.raises(UndeliveredError) as caught:
        await writer.flush()
    kept = sum(rejection.readings for rejection in caught.value.undelivered)
    assert 0 < kept < rejected
    assert kept + caught.value.dropped == rejected
    assert f"{caught.value.dropped} " in str(caught.value)
    assert [message for message in logged(caplog, logging.ERROR) if "keeps no more data" in message] != []
    assert writer.report.memory_bytes == 0
    assert await close(writer) is None
