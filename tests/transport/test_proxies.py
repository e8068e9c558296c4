"""Proxies: what the environment asks for holds, and this machine is never asked for through one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import httpx
import pytest

from besmart_async import BesmartConfigError, ConnectError, RetryPolicy, aiohttp_transport
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
