"""Bulk calls and hooks run in the context of no request, whoever wrote first."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import looptime  # noqa: F401 - its plugin gives marked tests virtual time
import pytest

from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import api_error

pytestmark = pytest.mark.looptime
asyncio.set_event_loop(None)  # or else looptime's plugin has the policy make a stray loop that nobody closes

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


class Service:
    """Notes in whose context it was called; refuses if told so."""

    def __init__(self, error: BesmartError | None = None) -> None:
        self.tenants: list[str] = []
        self._error = error

    async def __call__(self, body: bytes, /) -> None:
        await asyncio.sleep(0.2)
        self.tenants.append(TENANT.get())
        if self._error is not None:
            raise self._error.clone()


async def write_as(writer: Writer, tenant: str, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    TENANT.set(tenant)
    await writer.write(SignalKey(12, ord(tenant), 32), 0, 1.0)
    await writer.deliver(SignalData(SignalKey(13, ord(tenant), 32), [0], [1.0]))


@pytest.mark.parametrize("max_items", [1, 500], ids=["full at once", "after lingering"])
async def test_calls_and_hooks_run_in_the_context_of_no_request(max_items: int) -> None:
    service, hooks = Service(), list[str]()
    policy = BatchPolicy(linger_s=0.02, max_items=max_items, max_in_flight=2)
    async with Writer(service, policy, hooks=[lambda _: hooks.append(TENANT.get())]) as writer:
        TENANT.set("the one who opened it")
        requests = zip("ABCD", (0, 0.1, 0.3, 0.5), strict=True)  # while a call is under way, and while none is
        await asyncio.gather(*[asyncio.create_task(write_as(writer, *request)) for request in requests])
    assert len(service.tenants) >= 2
    assert set(service.tenants) == {"nobody"}
    assert set(hooks) == {"nobody"}


@pytest.mark.parametrize("is_async", [True, False])
async def test_an_async_handler_of_rejections_runs_in_the_context_of_no_request(is_async: bool) -> None:
    seen: list[str] = []

    def handler(_: Rejection) -> None:
        seen.append(TENANT.get())

    async def async_handler(_: Rejection) -> None:
        await asyncio.sleep(0)
        seen.append(TENANT.get())

    on_reject = async_handler if is_async else handler
    async with Writer(Service(api_error(422)), BatchPolicy(linger_s=0.02), on_reject=on_reject) as writer:
        TENANT.set("A")
        await writer.write(SignalKey(12, 1, 32), 0, 1.0)
        await writer.flush()
    assert seen == ["nobody"]
