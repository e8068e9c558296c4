"""Every setting that cannot work is refused when the client is made, by name."""

from __future__ import annotations

import functools
from typing import Any

import httpx
import pytest

from besmart_async import BesmartClient, BesmartConfigError, RetryPolicy, Timeouts
from tests.transport.fakes import FakeService, bearer

NAN = float("nan")
INF = float("inf")


async def _async_hook(event: object) -> None: ...


class AsyncCallable:
    async def __call__(self, event: object) -> None: ...


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"token": ""}, "token: give a text"),
        ({"token": 5}, "token: give a text"),
        ({"token": b"bytes"}, "token: give a text"),
        ({"token": "line\n"}, "token: it holds characters that no HTTP header can"),
        ({"token": "żółw"}, "token: it holds characters"),
        ({"api_key": ""}, "api_key: give a text"),
        ({"api_key": "a\r\nb"}, "api_key: it holds characters"),
        ({"login": "", "password": "p"}, "login: give a text"),
        ({"login": "l", "password": ""}, "password: give a text"),
        ({"login": "l", "password": 1}, "password: give a text"),
        ({"login": "l", "password": "\ud800"}, "password: it holds half a character"),
        ({"login": "l"}, "password is missing"),
        ({"password": "p"}, "login is missing"),
        ({"token": None}, "give login, password and api_key, or a token"),
        ({"token": None, "api_key": "k"}, "give login, password and api_key, or a token"),
        ({"base_url": None}, "base_url"),
        ({"base_url": b"https://h/api"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": "api.besmart.energy"}, "base_url"),
        ({"base_url": "ftp://h/api"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://h:99999/api"}, "base_url"),
        ({"base_url": "https://h:port/api"}, "base_url"),
        ({"base_url": "https://[::1/api"}, "base_url"),
        ({"base_url": "https://a b/api"}, "base_url"),
        ({"base_url": "https://h\x00/api"}, "base_url"),
        ({"timeout": 0}, "timeout=0: give seconds above 0"),
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": NAN}, "timeout=nan"),
        ({"timeout": "5"}, "timeout='5'"),
        ({"timeout": None}, "timeout=None"),
        ({"timeout": True}, "timeout=True"),
        ({"retry": None}, "retry=NoneType: give a RetryPolicy"),
        ({"retry": {"max_attempts": 3}}, "retry=dict: give a RetryPolicy"),
        ({"max_connections": 0}, "max_connections=0"),
        ({"max_connections": "8"}, "max_connections='8'"),
        ({"max_connections": 2.5}, "max_connections=2.5"),
        ({"max_connections": True}, "max_connections=True"),
        ({"max_answer_bytes": 0}, "max_answer_bytes=0"),
        ({"max_answer_bytes": 1e6}, "max_answer_bytes=1000000.0"),
        ({"transport": object()}, "transport=object: give an asynchronous httpx transport"),
        ({"transport": httpx.HTTPTransport()}, "transport=HTTPTransport: .* no synchronous one"),
        ({"hooks": print}, "hooks: give a list of functions"),
        ({"hooks": "print"}, "hooks: give a list of functions"),
        ({"hooks": [1]}, "hooks: give a list of functions"),
        ({"hooks": [_async_hook]}, "hooks: give plain functions, not async ones"),
        ({"hooks": [functools.partial(_async_hook)]}, "hooks: give plain functions, not async ones"),
        ({"hooks": [AsyncCallable()]}, "hooks: give plain functions, not async ones"),
        ({"proxy": ""}, "proxy: give an address"),
        ({"proxy": 5}, "proxy: give an address"),
        ({"proxy": "gopher://h"}, "proxy: this is not the address of a proxy"),
        ({"proxy": "http://"}, "proxy: this is not the address of a proxy"),
        ({"proxy": "socks5://h:1080"}, r"proxy: for a SOCKS proxy, pip install 'httpx\[socks\]'"),
        ({"allow_insecure_http": "yes"}, "allow_insecure_http=str: give True or False"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_bad_setting_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    if "password" not in settings and "login" not in settings and "token" not in settings:
        settings = {"token": "t", **settings}
    with pytest.raises(BesmartConfigError, match=named):
        BesmartClient(**settings)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_attempts": 0},
        {"max_attempts": 2.5},
        {"max_attempts": "3"},
        {"max_attempts": True},
        {"initial_wait_s": -1},
        {"initial_wait_s": NAN},
        {"max_wait_s": float("inf")},
        {"total_timeout_s": 0},
        {"total_timeout_s": None},
        {"max_retry_after_s": -1},
        {"budget": -1},
        {"retry_cost": NAN},
        {"timeout_cost": "x"},
        {"success_refund": -0.1},
        {"max_attempts": 1e3},
        {"max_attempts": float("inf")},
        {"max_attempts": 10**400},
        {"max_attempts": 10**5000},
        {"initial_wait_s": 10**400},
        {"total_timeout_s": 10**400},
        {"total_timeout_s": -float("inf")},
        {"retry_cost": float("inf")},
        {"timeout_cost": float("inf")},
        {"success_refund": float("inf")},
        {"budget": NAN},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_bad_retry_policy_is_refused_by_name(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(BesmartConfigError, match=rf"RetryPolicy\.{name}="):
        RetryPolicy(**fields)


@pytest.mark.parametrize("name", ["connect_s", "pool_s", "read_s", "min_bytes_per_s"])
@pytest.mark.parametrize(
    "value", [0, -1, NAN, None, "1", True, 10**400, -float("inf")], ids=lambda value: str(value)[:9]
)
def test_bad_timeouts_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(BesmartConfigError, match=rf"Timeouts\.{name}="):
        Timeouts(**{name: value})


def test_a_number_as_timeout_bounds_the_connecting_too() -> None:
    assert Timeouts.of(0.3) == Timeouts(read_s=0.3, connect_s=0.3)
    assert Timeouts.of(60) == Timeouts(read_s=60, connect_s=5)
    assert Timeouts.of(float("inf")).attempt_s(10) == float("inf")


async def test_an_endless_timeout_works() -> None:
    async with BesmartClient(token="given-token-0001", timeout=float("inf"), transport=FakeService()) as client:
        assert await client.sensors.types() == []


@pytest.mark.parametrize(
    "given", ["https://service.test/api", "https://service.test/api/", " https://service.test/api\n"]
)
async def test_the_address_may_end_in_a_slash_or_blanks(given: str) -> None:
    service = FakeService()
    async with BesmartClient(token="given-token-0001", base_url=given, transport=service) as client:
        await client.sensors.types()
        assert repr(client).startswith("<BesmartClient https://service.test/api")
    assert str(service.requests[0].url) == "https://service.test/api/sensors/types"


async def test_from_env_reads_everything_and_strips_line_ends() -> None:
    service = FakeService()
    environ = {
        "BESMART_API_KEY": "the-key\n",
        "BESMART_LOGIN": "jan\n",
        "BESMART_PASSWORD": " with blanks ",
        "BESMART_TOKEN": "",
        "BESMART_BASE_URL": "https://elsewhere.test/api\n",
    }
    async with BesmartClient.from_env(environ, transport=service) as client:
        await client.users.login()
    assert service.requests[0].headers["x-auth"] == "the-key"
    assert service.requests[0].content == b'{"login":"jan","password":" with blanks "}'
    assert service.requests[0].url.host == "elsewhere.test"


async def test_from_env_reads_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "LOGIN", "PASSWORD", "BASE_URL"):
        monkeypatch.delenv(f"BESMART_{name}", raising=False)
    monkeypatch.setenv("BESMART_TOKEN", "given-token-0001\n")
    service = FakeService()
    async with BesmartClient.from_env(transport=service) as client:
        await client.sensors.types()
    assert bearer(service.requests[0]) == "given-token-0001"
    assert service.requests[0].url.host == "api.besmart.energy"


def test_from_env_allows_plain_http_where_the_environment_does() -> None:
    environ = {"BESMART_TOKEN": "t", "BESMART_BASE_URL": "http://besmart.example/api"}
    switch = "BESMART_ALLOW_INSECURE_HTTP"
    for allowed in ("1", " true "):
        BesmartClient.from_env(environ | {switch: allowed})
    for refused in ("", "0"):
        with pytest.raises(BesmartConfigError, match="allow_insecure_http"):
            BesmartClient.from_env(environ | {switch: refused})
    with pytest.raises(BesmartConfigError, match="allow_insecure_http"):
        BesmartClient.from_env(environ | {switch: "1"}, allow_insecure_http=False)
    with pytest.raises(BesmartConfigError, match=f"{switch}=maybe: set it to 1 or 0"):
        BesmartClient.from_env(environ | {switch: "maybe"})


@pytest.mark.parametrize("environ", [{}, {"BESMART_LOGIN": "l"}, {"BESMART_API_KEY": "k", "BESMART_PASSWORD": "p"}])
def test_from_env_says_which_variables_are_missing(environ: dict[str, str]) -> None:
    with pytest.raises(BesmartConfigError, match=r"set BESMART_LOGIN and BESMART_PASSWORD .* or BESMART_TOKEN"):
        BesmartClient.from_env(environ)
