"""One producer's bad readings stop nobody; a writer that can store nothing stops, and goes on without a restart."""

from __future__ import annotations

import asyncio
from typing import Any

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import orjson
import pytest

from besmart_async.batching.write.core.guard import MANY_SIGNALS
from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartConfigError, BesmartError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from tests.batching.write.service_model import ServiceModel, api_error

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

UNKNOWN = 99


class Service:
    """Refuses a call with a reading of client 99, or every call; stores the others."""

    def __init__(self) -> None:
        self.model = ServiceModel()
        self.refuses_all = False
        self.calls = 0

    async def __call__(self, body: bytes, /) -> None:
        self.calls += 1
        await asyncio.sleep(0.01)
        if self.refuses_all or any(item["client_cid"] == UNKNOWN for item in orjson.loads(body)):
            raise api_error(422)
        error = self.model.put(body)
        if error is not None:
            raise error


async def test_a_tenant_whose_meters_are_all_unknown_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    service, handed = Service(), list[Rejection]()
    async with Writer(service, BatchPolicy(), on_reject=handed.append) as writer:

        async def tenant(client: int, meters: int, readings: int) -> None:
            for n in range(readings):
                await writer.write(SignalKey(client, n % meters, 32), n, 1.0)
                if n % 10 == 0:
                    await asyncio.sleep(0.02)

        await asyncio.gather(tenant(UNKNOWN, 2_000, 2_000), *[tenant(client, 20, 400) for client in range(1, 11)])
        assert writer.report.state == "open"
    assert len(service.model.stored) == writer.report.delivered == 10 * 400
    assert writer.report.rejected == 2_000
    assert {rejection.data.key.client_cid for rejection in handed} == {UNKNOWN}
    assert sum(rejection.readings for rejection in handed) == 2_000
    assert "stop" not in caplog.text


async def stopped(writer: Writer, service: Service) -> BesmartError:
    """Write to a service that refuses everything until the writer says that it has stopped."""
    service.refuses_all = True
    for n in range(100_000):
        try:
            await writer.write(SignalKey(1, n % 5_000, 32), n, 1.0)
        except BesmartError as error:
            return error
        if n % 100 == 0:
            await asyncio.sleep(0.01)
    raise AssertionError("it never stopped")


async def test_a_writer_that_can_store_nothing_stops_and_says_what_to_do() -> None:
    service = Service()
    writer = Writer(service, BatchPolicy(), on_reject=lambda _: None)
    error = await stopped(writer, service)
    assert "the service refused" in str(error)
    assert "resume()" in str(error)
    report = writer.report
    assert (report.state, report.delivered) == ("stopped", 0)
    assert report.refused_signals >= MANY_SIGNALS
    assert report.accepted < 20_000
    await writer.aclose()


@pytest.mark.parametrize("how", ["by itself after the window", "by resume"])
async def test_it_goes_on_without_a_restart(how: str, caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    policy = BatchPolicy(refusal_window_s=30.0)
    async with Writer(service, policy, on_reject=lambda _: None) as writer:
        await stopped(writer, service)
        service.refuses_all = False
        if how == "by resume":
            assert writer.resume()
            assert not writer.resume()
        else:
            await asyncio.sleep(29)
            with pytest.raises(BesmartError, match="stopped"):
                await writer.write(SignalKey(1, 1, 32), 0, 1.0)
            await asyncio.sleep(2)
        await writer.write(SignalKey(1, 1, 32), 0, 1.0)
        assert (await writer.flush()).delivered == 1
    assert [record.getMessage() for record in caplog.records if "again" in record.getMessage()] == [
        "the besmart writer accepts readings again"
    ]


async def test_a_writer_that_was_stopped_on_purpose_is_not_resumed() -> None:
    async with Writer(Service(), BatchPolicy()) as writer:
        await writer.write(SignalKey(1, 1, 32), 0, 1.0)
        await writer.flush()
        writer.stop(BesmartError("enough"))
        assert not writer.resume()
        with pytest.raises(BesmartError, match="enough"):
            await writer.write(SignalKey(1, 1, 32), 0, 1.0)


async def on_event(_: Any) -> None: ...


class AsyncObject:
    async def __call__(self, _: Any) -> None: ...


@pytest.mark.parametrize("hook", [on_event, AsyncObject()], ids=["function", "object"])
async def test_an_async_hook_is_refused_when_it_is_given(hook: Any) -> None:
    with pytest.raises(BesmartConfigError, match="not async ones"):
        Writer(Service(), BatchPolicy(), hooks=[hook])
