"""Proxies: what the environment asks for holds, and this machine is never asked for through one."""

from __future__ import annotations

import asyncio
import os
import traceback
from base64 import b64encode
from collections.abc import Callable

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from besmart_async import BesmartConfigError, ConnectError, PermissionDeniedError, RetryPolicy, aiohttp_transport
from besmart_async.transport.addresses import environment_proxy
from tests.transport.fakes import raw, read_request, serving, token_client_of

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_the_environment_chooses_by_scheme_and_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    monkeypatch.setenv("NO_PROXY", "inside.test, other.test:8443")
    assert environment_proxy("https://service.test/api") == "http://secure:1"
    assert environment_proxy("http://service.test/api") == "http://all:1"
    assert environment_proxy("https://inside.test/api") is None
    assert environment_proxy("https://host.inside.test/api") is None
    assert environment_proxy("https://other.test:8443/api") is None
    assert environment_proxy("https://other.test/api") == "http://secure:1"


@pytest.mark.parametrize(
    ("rules", "host", "bypassed"),
    [
        ("10.0.0.0/8", "10.255.255.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "10.0.0.1.example", False),
        ("10.1.2.3/8", "10.255.255.1:8443", True),
        ("fd00::/8", "[fd00::1]", True),
        ("fd00::1", "[fd00::1]", True),
        ("[fd00::1]", "[fd00::1]:8443", True),
        ("fd00::1", "[fd00:0:0::1]", True),
        ("fd00::1", "[fd00::2]", False),
        ("[fd00::1]:8443", "[fd00::1]:8443", True),
        ("[fd00::1]:8443", "[fd00::1]", False),
        ("192.168.1.0/24:8443", "192.168.1.9:8443", True),
        ("192.168.1.0/24:8443", "192.168.1.9", False),
        (".corp.test", "service.corp.test", True),
        ("*.corp.test", "service.corp.test", True),
        ("CORP.test", "service.corp.test", True),
        ("corp.test.", "corp.test", True),
        ("corp.test", "othercorp.test", False),
        ("corp.test:443", "corp.test", True),
        ("a.test , 10.0.0.0/8", "10.0.0.1", True),
        ("*", "anything.test", True),
        ("", "anything.test", False),
        (",", "anything.test", False),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, rules: str, host: str, *, bypassed: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", rules)
    assert (environment_proxy(f"https://{host}/api") is None) == bypassed


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:80"])
def test_this_machine_is_never_asked_for_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://all:1")
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    assert environment_proxy(f"http://{host}/api") is None


def test_a_bad_proxy_in_the_environment_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://user:s3cret@h")
    with pytest.raises(BesmartConfigError, match="HTTPS_PROXY") as caught:
        token_client_of(None)
    assert "s3cret" not in str(caught.value)


BACKENDS: list[Callable[[], httpx.AsyncBaseTransport | None]] = [lambda: None, aiohttp_transport]


@pytest.mark.parametrize("make", BACKENDS, ids=["httpx", "aiohttp"])
@pytest.mark.parametrize("with_scheme", [True, False])
async def test_requests_go_through_the_proxy_of_the_environment_and_its_refusal_is_told(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], httpx.AsyncBaseTransport | None], *, with_scheme: bool
) -> None:
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(raw(407, b""))

    async with serving(proxy) as url:
        address = url.removesuffix("/api").replace("http://", "http://user:s3cret-word@")
        monkeypatch.setenv("HTTPS_PROXY", address if with_scheme else address.removeprefix("http://"))
        async with token_client_of(make(), retry=ONCE) as client:
            with pytest.raises(ConnectError, match=r"the proxy on the way to service\.test failed") as caught:
                await client.sensors.delete(1, 2)
    assert seen[0].startswith(b"CONNECT service.test:443 ")
    assert b"given-token" not in seen[0]
    assert (caught.value.outcome, caught.value.reached) == ("not_sent", False)
    assert "s3cret" not in repr(caught.value)


async def test_a_proxy_that_is_given_is_used() -> None:
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(raw())

    async with (
        serving(proxy) as url,
        token_client_of(
            None, base_url="http://service.test/api", allow_insecure_http=True, proxy=url.removesuffix("/api")
        ) as client,
    ):
        assert await client.sensors.types() == []
    assert seen[0].startswith(b"GET http://service.test/api/sensors/types ")


class AnyTransport(httpx.AsyncBaseTransport):
    """Somebody's own."""


@pytest.mark.parametrize("make", [AnyTransport, httpx.AsyncHTTPTransport, AiohttpTransport])
def test_a_proxy_beside_a_transport_of_ones_own_is_refused(make: Callable[[], httpx.AsyncBaseTransport]) -> None:
    with pytest.raises(BesmartConfigError, match="proxy: a transport of your own does not take it"):
        token_client_of(make(), proxy="http://proxy:3128")


async def test_a_proxy_of_the_environment_does_not_concern_a_transport_of_ones_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with token_client_of(httpx.MockTransport(lambda request: httpx.Response(200, json=[]))) as client:
        assert await client.sensors.types() == []


@pytest.mark.parametrize("from_environment", [True, False])
def test_socks_over_aiohttp_is_refused(monkeypatch: pytest.MonkeyPatch, *, from_environment: bool) -> None:
    settings = {}
    if from_environment:
        monkeypatch.setenv("ALL_PROXY", "socks5://h:1080")
    else:
        settings = {"proxy": "socks5://h:1080"}
    with pytest.raises(BesmartConfigError, match=r"aiohttp knows no SOCKS proxies; .* pip install 'httpx\[socks\]'"):
        token_client_of(aiohttp_transport(), **settings)


@pytest.mark.parametrize("make", BACKENDS, ids=["httpx", "aiohttp"])
async def test_a_proxy_that_sends_our_headers_back_shows_no_password(
    make: Callable[[], httpx.AsyncBaseTransport | None],
) -> None:
    async def echoing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw(403, await read_request(reader)))

    async with serving(echoing) as url:
        proxy = url.removesuffix("/api").replace("http://", "http://user:s3cret-word@")
        async with token_client_of(
            make(), base_url="http://service.test/api", allow_insecure_http=True, proxy=proxy, retry=ONCE
        ) as client:
            with pytest.raises(PermissionDeniedError) as caught:
                await client.sensors.types()
    word = b64encode(b"user:s3cret-word").decode()
    assert b"proxy-authorization: basic ***" in caught.value.response.content.lower()
    for shown in (str(caught.value), repr(caught.value.response.content), repr(caught.value.__dict__)):
        assert word not in shown


@pytest.mark.parametrize("make", BACKENDS, ids=["httpx", "aiohttp"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY", "proxy"])
async def test_a_proxy_that_is_not_there_is_named_with_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], httpx.AsyncBaseTransport | None], variable: str
) -> None:
    address = "http://user:s3cret-word@127.0.0.1:9"
    settings = {"proxy": address} if variable == "proxy" else {}
    if variable != "proxy":
        monkeypatch.setenv(variable, address)
    async with token_client_of(make(), retry=ONCE, **settings) as client:
        with pytest.raises(ConnectError, match=r"the proxy on the way to service\.test failed") as caught:
            await client.sensors.types()
    assert f"check its address (http://127.0.0.1:9, from {variable})" in str(caught.value)
    assert "s3cret" not in repr(caught.value)


@pytest.mark.parametrize("address", ["nonsense://user:s3cret@h", "http://user:s3cret@"])
def test_a_proxy_that_is_refused_shows_its_password_in_no_frame(address: str) -> None:
    with pytest.raises(BesmartConfigError, match="proxy: this is not the address of a proxy") as caught:
        token_client_of(None, proxy=address)
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if "/tests/" not in frame.f_code.co_filename:
            assert "s3cret" not in repr(frame.f_locals)
