"""Tokens: one login for everybody, and nobody in anybody's way."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import orjson
import pytest

from besmart_async import (
    AuthenticationError,
    BesmartError,
    ConnectError,
    DecodeError,
    RetryPolicy,
    ServerError,
    Timeouts,
)
from besmart_async.simulator import Simulator
from tests.transport.fakes import (
    API_KEY,
    LOGIN,
    PASSWORD,
    TOKEN,
    FakeService,
    after,
    bearer,
    client_of,
    status,
    token_client_of,
    until,
)


async def test_a_thousand_concurrent_first_calls_cause_one_login() -> None:
    sim = Simulator()
    async with (
        sim.serve() as url,
        client_of(None, base_url=url, api_key="API_KEY", login="login", timeout=Timeouts(pool_s=60)) as client,
    ):
        sim.settings.password = PASSWORD
        answers = await asyncio.gather(*(client.sensors.types() for _ in range(1000)))
    assert len(answers) == 1000
    assert (sim.logins, sim.count("users.get_token")) == (1, 1)
    sim.close()


async def test_a_token_revoked_in_mid_flight_causes_one_renewal_for_any_number_of_callers() -> None:
    sim = Simulator()
    async with (
        sim.serve() as url,
        client_of(None, base_url=url, api_key="API_KEY", login="login", timeout=Timeouts(pool_s=60)) as client,
    ):
        sim.settings.password = PASSWORD
        await client.sensors.types()
        calls = [asyncio.create_task(client.sensors.types()) for _ in range(120)]
        await until(lambda: sim.count("sensors.get_types") >= 60)
        sim.revoke_tokens()
        await asyncio.gather(*calls)
    assert (sim.logins, sim.refreshes) == (2, 0)
    sim.close()


async def test_the_api_key_goes_with_the_login_only_and_the_login_is_plain_json_sent_as_text() -> None:
    service = FakeService()
    async with client_of(service) as client:
        await client.sensors.types()
        await client.users.refresh()
    login, data, refresh = service.requests
    assert (login.method, login.url.path) == ("POST", "/api/users/token")
    assert login.headers["x-auth"] == API_KEY
    assert login.headers["content-type"] == "text/plain"
    assert "authorization" not in login.headers
    assert orjson.loads(login.content) == {"login": LOGIN, "password": PASSWORD}
    for request in (data, refresh):
        assert "x-auth" not in request.headers
        assert bearer(request) == "token-00000001"


async def test_a_401_is_answered_with_one_login_and_one_replay_and_no_more() -> None:
    service = FakeService(status(401), status(401), status(401))
    async with client_of(service) as client:
        with pytest.raises(AuthenticationError):
            await client.sensors.types()
    assert [request.method for request in service.requests] == ["POST", "GET", "POST", "GET"]


async def test_a_401_for_a_token_that_has_been_replaced_meanwhile_renews_nothing() -> None:
    service = FakeService(after(0.05, status(401)))
    async with client_of(service) as client:
        late = asyncio.create_task(client.sensors.types())
        await asyncio.sleep(0.01)
        await client.users.login()
        assert await late == []
    assert service.logins == 2


async def test_an_explicit_login_installs_its_token() -> None:
    service = FakeService()
    async with client_of(service) as client:
        token = await client.users.login()
        await client.sensors.types()
    assert token.token == bearer(service.requests[-1]) == "token-00000001"
    assert service.logins == 1
    assert token.token not in repr(token)


async def test_an_explicit_refresh_installs_its_token() -> None:
    service = FakeService()
    async with token_client_of(service) as client:
        token = await client.users.refresh()
        await client.sensors.types()
    assert token.token == bearer(service.requests[-1]) == "token-00000001"


async def test_a_refresh_without_a_token_logs_in_first() -> None:
    service = FakeService()
    async with client_of(service) as client:
        await client.users.refresh()
    assert (service.logins, service.refreshes) == (1, 1)


async def test_an_explicit_login_during_a_refresh_is_still_a_login() -> None:
    service = FakeService(latency_s=0.01)
    async with client_of(service, token=TOKEN) as client:
        refreshed, logged_in = await asyncio.gather(client.users.refresh(), client.users.login())
    assert (refreshed.token, logged_in.token) == ("token-00000001", "token-00000002")
    assert (service.logins, service.refreshes) == (1, 1)


async def test_a_failed_explicit_refresh_takes_nobody_else_down() -> None:
    service = FakeService(latency_s=0.01)
    async with client_of(service, token="no-longer-good") as client:
        refresh = asyncio.create_task(client.users.refresh())
        call = asyncio.create_task(client.sensors.types())
        with pytest.raises(AuthenticationError):
            await refresh
        assert await call == []
        assert await client.sensors.types() == []
    assert service.logins == 1


@pytest.mark.parametrize("code", [401, 404])
async def test_a_crowd_with_a_wrong_password_is_one_login_and_each_gets_its_own_error(code: int) -> None:
    service = FakeService(latency_s=0.01)
    service.login_script = [status(code, "no such user")] * 10
    async with client_of(service) as client:
        errors = await asyncio.gather(*(client.sensors.types() for _ in range(50)), return_exceptions=True)
        with pytest.raises(AuthenticationError):
            await client.sensors.types()
    assert {type(error) for error in errors} == {AuthenticationError}
    assert len(set(map(id, errors))) == 50
    assert len({id(error.__traceback__) for error in errors if isinstance(error, AuthenticationError)}) == 50
    assert "check login, password and api_key" in str(errors[0])
    assert service.logins == 1


@pytest.mark.looptime
async def test_after_a_refused_login_a_later_call_may_try_again() -> None:
    service = FakeService()
    service.login_script = [status(401)]
    async with client_of(service) as client:
        with pytest.raises(AuthenticationError):
            await client.sensors.types()
        await asyncio.sleep(1.05)
        assert await client.sensors.types() == []


async def test_cancelling_one_who_waits_for_the_login_leaves_the_login_and_the_others_alone() -> None:
    service = FakeService(latency_s=0.01)
    async with client_of(service) as client:
        first, *others = (asyncio.create_task(client.sensors.types()) for _ in range(5))
        await asyncio.sleep(0.001)
        first.cancel()
        assert await asyncio.gather(*others) == [[]] * 4
    assert first.cancelled()
    assert service.logins == 1


async def test_a_slow_login_blocks_nobody_who_has_a_token() -> None:
    service = FakeService()
    service.login_script = [after(30, status(500))]
    async with client_of(service, token=TOKEN, retry=RetryPolicy(max_attempts=1)) as client:
        login = asyncio.create_task(client.users.login())
        await asyncio.sleep(0)
        await asyncio.gather(*(client.sensors.types() for _ in range(20)))
        assert not login.done()
        login.cancel()


@pytest.mark.looptime
async def test_a_login_that_fails_at_first_is_tried_again_once_for_all_who_wait() -> None:
    service = FakeService()
    service.login_script = [after(0.1, status(503)), after(0.1, httpx.ConnectError("refused"))]
    async with client_of(service) as client:
        assert await asyncio.gather(*(client.sensors.types() for _ in range(1000))) == [[]] * 1000
    assert service.logins == 3


@pytest.mark.looptime
async def test_a_login_that_keeps_failing_fails_all_who_wait_without_hammering() -> None:
    service = FakeService()
    service.login_script = [status(500)] * 1000
    async with client_of(service) as client:
        errors = await asyncio.gather(*(client.sensors.types() for _ in range(1000)), return_exceptions=True)
    assert Counter(map(type, errors)) == {ServerError: 1000}
    assert service.logins == 3
    assert str(errors[0]).startswith("users.login: 500")


@pytest.mark.looptime
async def test_a_login_waits_as_long_as_the_service_asks() -> None:
    service = FakeService()
    service.login_script = [status(429, retry_after="20")]
    async with client_of(service) as client:
        await client.sensors.types()
    assert 20 <= asyncio.get_running_loop().time() <= 22


async def test_with_only_a_token_it_is_used_until_it_fails_and_the_error_says_what_to_do() -> None:
    service = FakeService()
    async with token_client_of(service) as client:
        assert await client.sensors.types() == []
        service.good.clear()
        with pytest.raises(AuthenticationError, match=r"give it a new token, or login, password and api_key"):
            await client.sensors.types()
    assert service.logins == service.refreshes == 0
    assert len(service.data_requests) == 2


async def test_a_login_page_instead_of_a_token_is_told_as_such() -> None:
    service = FakeService()
    service.login_script = [httpx.Response(200, html="<html>Sign in</html>")]
    async with client_of(service) as client:
        with pytest.raises(DecodeError, match=r"users\.login: .*not JSON but text/html") as caught:
            await client.sensors.types()
    assert caught.value.outcome is None
    assert caught.value.response is None


async def test_a_token_that_no_header_can_hold_is_refused_without_showing_it() -> None:
    service = FakeService()
    service.login_script = [httpx.Response(200, json={"token": "half a line\r\nX-Evil: 1"})]
    async with client_of(service) as client:
        with pytest.raises(DecodeError, match="no header can carry") as caught:
            await client.sensors.types()
    assert "Evil" not in str(caught.value)


async def test_nobody_gets_the_cancellation_of_a_login_that_closing_ended() -> None:
    service = FakeService()
    service.login_script = [after(60, status(500))]
    client = client_of(service)
    call = asyncio.create_task(client.sensors.types())
    login = asyncio.create_task(client.users.login())
    await asyncio.sleep(0.01)
    await client.aclose()
    for task in (call, login):
        with pytest.raises(BesmartError, match="closed"):
            await task


async def test_what_was_to_be_written_after_a_failed_login_was_not_sent() -> None:
    service = FakeService()
    service.login_script = [httpx.ConnectError("refused")]
    async with client_of(service, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(ConnectError) as caught:
            await client.sensors.create(name="n", sensor_type_id=1, client_cid=1)
    assert caught.value.outcome == "not_sent"
    assert service.data_requests == []
