"""How long a token is used: renewed ahead of its end, by the service's clock, without disturbing anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from besmart_async import BesmartClient
from besmart_async.simulator import Fault, Simulator
from besmart_async.transport import in_process
from tests.transport.fakes import EPOCH_MS, FakeService, after, bearer, client_of, status, token_client_of

pytestmark = pytest.mark.looptime


async def call_every(client: BesmartClient, seconds: float, *, times: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(times):
            group.create_task(client.sensors.types())
            await asyncio.sleep(seconds)


async def test_a_token_with_three_seconds_to_live_keeps_a_steady_stream_going_with_no_failed_call() -> None:
    loop = asyncio.get_running_loop()
    sim = Simulator(token_lifetime_s=3, rotate_on_refresh=True, now_ms=lambda: EPOCH_MS + loop.time() * 1000)
    sim.faults.add(Fault(latency_s=0.07))
    async with BesmartClient(
        api_key="API_KEY",
        login="login",
        password="password",
        base_url="http://localhost/api",
        transport=in_process(sim.app),
    ) as client:
        await call_every(client, 0.05, times=600)
    assert sim.count("sensors.get_types") >= 600
    assert sim.logins == 1
    assert 10 <= sim.refreshes <= 30
    sim.close()


async def test_the_token_is_refreshed_ahead_while_calls_go_on_with_the_old_one() -> None:
    service = FakeService(life_s=101)
    async with client_of(service) as client:
        await client.users.login()
        await asyncio.sleep(79)
        await client.sensors.types()
        assert service.refreshes == 0
        await asyncio.sleep(12)
        service.refresh_script = [after(5, httpx.ReadError("lost"))]
        async with asyncio.timeout(1):
            assert await client.sensors.types() == []
        await asyncio.sleep(6)
        await client.sensors.types()
    assert (service.logins, service.refreshes) == (2, 1)
    assert [bearer(request)[-1] for request in service.data_requests] == ["1", "1", "2"]


async def test_the_refresh_moment_varies_so_that_a_fleet_does_not_refresh_at_once() -> None:
    moments = set()
    for _ in range(5):
        service = FakeService(life_s=1001)
        async with client_of(service) as client:
            start = asyncio.get_running_loop().time()
            await client.users.login()
            await asyncio.sleep(790)
            while not service.refreshes:
                await asyncio.sleep(2)
                await client.sensors.types()
            moments.add(round(asyncio.get_running_loop().time() - start))
    assert len(moments) > 1
    assert all(798 <= moment <= 904 for moment in moments)


async def test_a_failing_refresh_falls_back_to_login_and_nobody_notices() -> None:
    service = FakeService(life_s=101)
    service.refresh_script = [status(500)] * 100
    async with client_of(service) as client:
        await call_every(client, 0.5, times=2000)
    assert 10 <= service.logins <= 14
    assert service.refreshes == service.logins - 1


async def test_while_refresh_and_login_are_down_the_good_token_serves_and_neither_is_hammered() -> None:
    service = FakeService(life_s=101)
    async with client_of(service) as client:
        await client.users.login()
        await asyncio.sleep(91)
        service.refresh_script, service.login_script = [status(500)] * 100, [status(500)] * 100
        await call_every(client, 0.01, times=800)
    assert service.refreshes <= 8
    assert service.logins <= 1 + 3 * service.refreshes


async def test_an_expired_token_is_replaced_before_the_next_call() -> None:
    service = FakeService(life_s=101)
    async with client_of(service) as client:
        await client.users.login()
        await asyncio.sleep(3600)
        service.good.clear()
        assert await client.sensors.types() == []
    assert len(service.data_requests) == 1


@pytest.mark.parametrize("skew_s", [-36_000.0, 36_000.0])
async def test_clocks_that_differ_by_hours_do_not_matter(skew_s: float) -> None:
    service = FakeService(life_s=101, skew_s=skew_s)
    async with client_of(service) as client:
        await call_every(client, 1, times=79)
        assert service.refreshes == 0
        await call_every(client, 1, times=14)
    assert (service.logins, service.refreshes) == (1, 1)


@pytest.mark.parametrize(
    "form",
    [int, lambda ms: ms + 0.25, lambda ms: int(ms // 1000), lambda ms: ms / 1000],
    ids=["ms", "float ms", "s", "float s"],
)
async def test_the_expiration_may_come_in_any_form(form: Callable[[float], object]) -> None:
    service = FakeService(life_s=101)
    service.expiration = form
    async with client_of(service) as client:
        await call_every(client, 1, times=79)
        assert service.refreshes == 0
        await call_every(client, 1, times=14)
    assert (service.logins, service.refreshes) == (1, 1)


@pytest.mark.parametrize("expiration", [1586861098825, 0, None])
async def test_a_token_that_came_expired_or_without_a_date_is_used_until_a_401(expiration: int | None) -> None:
    service = FakeService()
    service.expiration = lambda _: expiration
    async with client_of(service) as client:
        await call_every(client, 100, times=100)
        assert (service.logins, service.refreshes) == (1, 0)
        service.good.clear()
        await client.sensors.types()
    assert (service.logins, service.refreshes) == (2, 0)


async def test_a_given_token_is_never_refreshed_unasked() -> None:
    service = FakeService()
    async with token_client_of(service) as client:
        await call_every(client, 3600, times=100)
    assert service.refreshes == 0


async def test_a_given_token_that_was_refreshed_once_is_kept_fresh() -> None:
    service = FakeService(life_s=101)
    async with token_client_of(service) as client:
        await client.users.refresh()
        service.good = {"token-00000001"}
        await call_every(client, 1, times=300)
    assert service.logins == 0
    assert service.refreshes == pytest.approx(4, abs=1)
