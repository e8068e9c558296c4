"""The edges of the client: options, headers, TLS contexts, credentials that change, raw requests, health."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import trustme
import uvicorn

from besmart_async import (
    AuthenticationError,
    BesmartClient,
    BesmartConfigError,
    BesmartError,
    ConnectError,
    Credentials,
    InvalidInputError,
    NotFoundError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    SignalKey,
    aiohttp_transport,
)
from besmart_async.simulator import Simulator
from besmart_async.testing import simulated_client
from tests.transport.fakes import FakeService, after, client_of, status, token_client_of

KEY = SignalKey(12, 122, 32)
ONCE = RetryPolicy(max_attempts=1)


def good(answer: object = ()) -> httpx.Response:
    return httpx.Response(200, json=answer)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    yield simulator
    simulator.close()


# -- with_options ----------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_client_with_other_options_keeps_token_and_connections() -> None:
    service = FakeService(good(), after(5.0, good()), good())
    async with client_of(service, retry=ONCE) as client:
        await client.sensors.types()
        hasty = client.with_options(timeout=1.0)
        with pytest.raises(RequestTimeoutError):
            await hasty.sensors.types()
        await client.sensors.types()
    assert service.logins == 1
    assert service.closed == 1


async def test_a_token_that_one_of_them_gets_is_the_token_of_all() -> None:
    service = FakeService(good(), good())
    async with client_of(service) as client:
        await client.with_options(retry=ONCE).sensors.types()
        await client.sensors.types()
    assert service.logins == 1


async def test_closing_one_of_them_closes_nothing_and_closing_the_first_closes_all() -> None:
    service = FakeService(good(), good())
    client = client_of(service)
    async with client.with_options(timeout=5) as other:
        await other.sensors.types()
    await client.sensors.types()
    await client.aclose()
    with pytest.raises(BesmartError, match="closed"):
        await other.sensors.types()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"timeout": -1}, "timeout"), ({"retry": 3}, "retry=int"), ({"headers": {"Host": "h"}}, "Host")],
)
async def test_bad_options_are_refused(options: dict[str, Any], named: str) -> None:
    async with token_client_of(FakeService()) as client:
        with pytest.raises(BesmartConfigError, match=named):
            client.with_options(**options)


# -- headers ---------------------------------------------------------------------------------------------------------


async def test_headers_go_with_every_request_and_may_be_replaced() -> None:
    service = FakeService(*[good()] * 3)
    headers = {"X-Gateway-Key": "gateway-secret", "user-agent": "meters/2.0"}
    async with client_of(service, headers=headers) as client:
        await client.sensors.types()
        await client.with_options(headers={"x-gateway-key": "another"}).sensors.types()
        await client.sensors.types()
    assert [request.headers["x-gateway-key"] for request in service.data_requests] == [
        "gateway-secret",
        "another",
        "gateway-secret",
    ]
    assert {request.headers["user-agent"] for request in service.requests} == {"meters/2.0"}
    assert all(len(request.headers.get_list("x-gateway-key")) == 1 for request in service.requests)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer mine"},
        {"x-auth": "key"},
        {"Content-Type": "text/plain"},
        {"Host": "elsewhere"},
        {"bad name": "x"},
        {"X-Line": "a\r\nX-Injected: b"},
        {"X-Number": 5},
        {5: "x"},
        "X-Text: x",
    ],
)
def test_headers_that_are_ours_or_cannot_be_sent_are_refused_without_showing_their_values(headers: Any) -> None:
    with pytest.raises(BesmartConfigError, match="headers") as caught:
        BesmartClient(token="t", base_url="http://localhost/api", headers=headers)
    assert "Injected" not in str(caught.value)
    assert "mine" not in str(caught.value)


# -- TLS -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def over_tls(simulator: Simulator, authority: trustme.CA, folder: Path, *, mutual: bool) -> AsyncIterator[str]:
    certificate = authority.issue_cert("127.0.0.1")
    key, chain, root = folder / "key.pem", folder / "chain.pem", folder / "root.pem"
    certificate.private_key_pem.write_to_path(str(key))
    certificate.cert_chain_pems[0].write_to_path(str(chain))
    authority.cert_pem.write_to_path(str(root))
    config = uvicorn.Config(
        simulator.app,
        port=0,
        ssl_keyfile=str(key),
        ssl_certfile=str(chain),
        ssl_ca_certs=str(root) if mutual else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE,
        log_level="critical",
        lifespan="off",
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"https://127.0.0.1:{port}/api"
    await server.shutdown()


@pytest.fixture(params=["httpx", "aiohttp"])
async def backend(request: pytest.FixtureRequest) -> httpx.AsyncBaseTransport | None:
    return None if request.param == "httpx" else aiohttp_transport()


@pytest.mark.parametrize("mutual", [False, True])
async def test_a_private_authority_and_a_client_certificate_work_on_both_transports(
    backend: httpx.AsyncBaseTransport | None, simulator: Simulator, tmp_path: Path, *, mutual: bool
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if mutual:
        authority.issue_cert("meters@example.com").configure_cert(context)
    account: dict[str, Any] = {"api_key": "API_KEY", "login": "login", "password": "password", "retry": ONCE}
    async with over_tls(simulator, authority, tmp_path, mutual=mutual) as url:
        async with BesmartClient(**account, base_url=url, transport=backend, ssl_context=context) as client:
            assert (await client.sensors.get(12, 122)).key == KEY.sensor
        async with BesmartClient(**account, base_url=url, transport=backend) as client:
            with pytest.raises(ConnectError, match="certificate"):
                await client.sensors.get(12, 122)


def test_a_tls_context_needs_a_transport_that_takes_it() -> None:
    context = ssl.create_default_context()
    with pytest.raises(BesmartConfigError, match="verify="):
        BesmartClient(token="t", transport=FakeService(), ssl_context=context)
    with pytest.raises(BesmartConfigError, match="ssl_context=str: give"):
        BesmartClient(token="t", ssl_context="ca.pem")  # type: ignore[arg-type]


# -- credentials that change -----------------------------------------------------------------------------------------


async def test_credentials_are_asked_for_before_each_login(simulator: Simulator) -> None:
    passwords = ["password", "password"]
    asked: list[str] = []

    async def current() -> Credentials:
        asked.append(passwords[0])
        return Credentials(api_key="API_KEY", login="login", password=passwords.pop(0))

    async with simulated_client(simulator) as given:
        client = BesmartClient(
            credentials=current,
            base_url="http://localhost/api",
            transport=given._transport._exchange._transport,  # the one to the simulator in this process
        )
        await client.sensors.get(12, 122)
        simulator.revoke_tokens()
        await client.sensors.get(12, 122)
        await client.users.login() if passwords else None
    assert asked == ["password", "password"]
    assert simulator.logins == 2


async def test_a_plain_function_and_a_first_token_will_do() -> None:
    service = FakeService(good())
    calls: list[int] = []

    def current() -> Credentials:
        calls.append(1)
        return Credentials(api_key="k", login="l", password="rotated-password")

    client = BesmartClient(credentials=current, token="old", base_url="http://localhost/api", transport=service)
    async with client:
        assert await client.sensors.types() == []
    assert calls == [1]
    login = next(request for request in service.requests if request.url.path.endswith("/users/token"))
    assert orjson.loads(login.content) == {"login": "l", "password": "rotated-password"}
    assert login.headers["x-auth"] == "k"


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("password", "returned str"),
        (Credentials(api_key="k", token="t"), "no login and password"),
        (Credentials(login="l"), "password is missing"),
    ],
)
async def test_credentials_that_cannot_log_in_are_an_error_of_the_call(answer: Any, named: str) -> None:
    service = FakeService()
    async with BesmartClient(credentials=lambda: answer, base_url="http://localhost/api", transport=service) as client:
        with pytest.raises(BesmartConfigError, match=named):
            await client.sensors.types()
    assert service.requests == []


async def test_new_secrets_are_hidden_like_the_first() -> None:
    service = FakeService()
    service.login_script.append(status(401, "not rotated-password"))

    def current() -> Credentials:
        return Credentials(login="l", password="rotated-password")

    async with BesmartClient(credentials=current, base_url="http://localhost/api", transport=service) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.sensors.types()
    assert "rotated" not in str(caught.value)


def test_two_ways_to_give_credentials_are_one_too_many() -> None:
    with pytest.raises(BesmartConfigError, match="give either"):
        BesmartClient(credentials=Credentials, login="l", password="p")
    with pytest.raises(BesmartConfigError, match="credentials=str: give a function"):
        BesmartClient(credentials="secret")  # type: ignore[arg-type]


# -- raw requests ----------------------------------------------------------------------------------------------------


async def test_a_raw_request_has_the_token_and_returns_the_answer_as_it_is(simulator: Simulator) -> None:
    async with simulated_client(simulator) as client:
        answer = await client.request("GET", "/sensors/12.122")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert orjson.loads(answer.content)["sensor_mid"] == 122
        with pytest.raises(NotFoundError):
            await client.request("GET", "/sensors/12.999999")


async def test_a_raw_write_is_sent_once_unless_it_may_be_repeated() -> None:
    service = FakeService(status(503), status(503), good({}))
    async with client_of(service, retry=RetryPolicy(initial_wait_s=0.001, max_wait_s=0.001)) as client:
        with pytest.raises(ServerError):
            await client.request("POST", "/new/operation", body=b"{}")
        assert (await client.request("POST", "/new/operation", body=b"{}", replay=True)).content == b"{}"
    assert [request.content for request in service.data_requests] == [b"{}"] * 3
    assert service.data_requests[0].headers["content-type"] == "application/json"


async def test_the_query_of_a_raw_request_is_encoded() -> None:
    service = FakeService(good())
    async with client_of(service) as client:
        await client.request("GET", "/sensors/types", query={"name": "a b&c", "top": 5})
    assert str(service.data_requests[0].url).endswith("/sensors/types?name=a%20b%26c&top=5")


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("FETCH", "/sensors", "method"),
        ("GET", "sensors", "path"),
        ("GET", "https://elsewhere/steal", "path"),
        ("GET", "//elsewhere/steal", "path"),
        ("GET", "/sensors?x=1", "path"),
        ("GET", "/../admin", "path"),
        ("GET", "/{key}", "path"),
        ("GET", "/users/token", "path"),
        ("GET", "/a b", "path"),
    ],
)
async def test_raw_requests_that_cannot_be_sent_are_refused(method: str, path: str, field: str) -> None:
    service = FakeService()
    async with token_client_of(service) as client:
        with pytest.raises(InvalidInputError) as caught:
            await client.request(method, path)
    assert caught.value.field == field
    assert service.requests == []


# -- health ----------------------------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_health_says_what_is_known_without_asking() -> None:
    service = FakeService(good(), status(503), status(404), good())
    async with client_of(service, retry=ONCE) as client:
        health = client.health()
        assert (health.state, health.ok, health.transport.last_answer_age_s) == ("ready", True, None)
        assert service.requests == []
        await client.sensors.types()
        assert client.health().state == "ready"
        assert (client.health().transport.token_expires_in_s or 0) > 7_000
        with pytest.raises(ServerError):
            await client.sensors.types()
        health = client.health()
        assert (health.state, health.ok) == ("failing", False)
        assert "503" in str(health.transport.last_error)
        with pytest.raises(NotFoundError):
            await client.sensors.get(1, 1)
        assert client.health().state == "ready"  # the service is there, and has no such sensor
    assert client.health().state == "closed"


async def test_health_counts_what_writers_have_not_delivered(simulator: Simulator) -> None:
    async with simulated_client(simulator) as client, client.writer() as writer:
        assert client.health().pending == 0
        await writer.write(KEY, 1_700_006_400_000, 1.5)
        assert client.health().pending == 1
        await writer.flush()
        assert (client.health().pending, len(client.health().writers)) == (0, 1)
    assert client.health().writers == ()
