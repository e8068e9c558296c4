"""What a traceback shows with local variables, and what a failed call keeps alive: neither secrets nor readings."""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import numpy as np
import pytest

from besmart_async import (
    BesmartClient,
    BesmartConfigError,
    BesmartError,
    RetryPolicy,
    SignalData,
    SignalKey,
    aiohttp_transport,
)
from tests.transport.fakes import (
    API_KEY,
    LOGIN,
    PASSWORD,
    TOKEN,
    FakeService,
    client_of,
    read_request,
    reset,
    serving,
    status,
    token_client_of,
)

ONCE = RetryPolicy(max_attempts=1)
ISSUED = "token-00000001"
SECRETS = (API_KEY, PASSWORD, TOKEN, ISSUED)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def leaks(error: BaseException) -> list[str]:
    """Where a secret shows: in local variables of any frame below the test's own, or in the errors themselves."""
    found: list[str] = []
    for one in chain(error):
        shown = {"args": one.args, "attributes": getattr(one, "__dict__", {})}
        request = getattr(one, "_request", None)
        if request is not None:
            shown["request"] = request.headers.raw
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                shown |= {f"{frame.f_code.co_qualname}.{name}": value for name, value in frame.f_locals.items()}
        found += [where for where, value in shown.items() for secret in SECRETS if secret in _shown(value)]
    return found


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return ""


BACKENDS: dict[str, Callable[[], httpx.AsyncBaseTransport | None]] = {
    "httpx": lambda: None,
    "aiohttp": aiohttp_transport,
}


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    reset(writer)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await read_request(reader)
    writer.write(b"SSH-2.0 " + request)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.sleep(60)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("handler", [resetting, garbage, silent])
async def test_a_failed_call_shows_no_secret_in_any_frame(
    backend: str, handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> None:
    async with serving(handler) as url:
        for client in (
            token_client_of(BACKENDS[backend](), base_url=url, retry=ONCE, timeout=0.2),
            client_of(BACKENDS[backend](), base_url=url, retry=ONCE, timeout=0.2),
        ):
            async with client:
                with pytest.raises(BesmartError) as caught:
                    await client.sensors.types()
            assert leaks(caught.value) == []


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_call_that_the_application_cuts_short_shows_no_secret_in_any_frame(backend: str) -> None:
    async with (
        serving(silent) as url,
        token_client_of(BACKENDS[backend](), base_url=url) as client,
    ):
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(client.sensors.types(), 0.1)
    assert leaks(caught.value) == []


async def test_errors_of_renewing_and_of_decoding_show_no_secret_in_any_frame() -> None:
    service = FakeService()
    service.login_script = [
        status(500),
        httpx.Response(200, json={"token": [ISSUED]}),
        httpx.Response(200, json={"token": ISSUED, "user_id": {"a": PASSWORD}}),
        httpx.Response(200, text=f'{{"token": "{ISSUED}'),
        status(401),
    ]
    async with client_of(service, retry=ONCE) as client:
        for _ in range(5):
            with pytest.raises(BesmartError) as caught:
                await client.users.login()
            assert leaks(caught.value) == []
    async with client_of(service, retry=ONCE) as client:
        await client.users.login()
        service.script = [status(500, ISSUED), status(422, ISSUED), httpx.Response(200, json=[{"id": ISSUED}])]
        for _ in range(3):
            with pytest.raises(BesmartError) as caught:
                await client.sensors.types()
            assert leaks(caught.value) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "ftp://h"},
        {"timeout": -1},
        {"hooks": 5},
        {"proxy": 5},
        {"login": None},
        {"api_key": f"{API_KEY}\n"},
        {"token": f"{TOKEN}\n"},
    ],
    ids=str,
)
def test_settings_that_are_refused_show_no_secret_in_any_frame(settings: dict[str, object]) -> None:
    given: dict[str, object] = {"api_key": API_KEY, "login": LOGIN, "password": PASSWORD, "token": TOKEN, **settings}
    with pytest.raises(BesmartConfigError) as caught:
        BesmartClient(**given)  # type: ignore[arg-type]
    assert leaks(caught.value) == []


def test_an_environment_that_is_refused_shows_no_secret_in_any_frame() -> None:
    environ = {"BESMART_LOGIN": "l", "BESMART_PASSWORD": PASSWORD, "BESMART_API_KEY": API_KEY}
    for broken in (
        {"BESMART_LOGIN": ""},
        {"BESMART_BASE_URL": "ftp://h"},
        {"BESMART_API_KEY": f"{API_KEY}\x07"},
        {"BESMART_ALLOW_INSECURE_HTTP": "maybe"},
    ):
        with pytest.raises(BesmartConfigError) as caught:
            BesmartClient.from_env(environ | broken)
        assert leaks(caught.value) == []


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_cause_of_a_failed_call_is_its_type_and_words_alone(backend: str) -> None:
    async with (
        serving(resetting) as url,
        token_client_of(BACKENDS[backend](), base_url=url, retry=ONCE) as client,
    ):
        with pytest.raises(BesmartError) as caught:
            await client.sensors.types()
    cause = caught.value.__cause__
    assert isinstance(cause, httpx.TransportError)
    assert (cause.__cause__, cause.__context__, cause.__traceback__) == (None, None, None)
    assert cause._request is None


# -- what is kept alive ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only what counts its references is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Body(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"["


FAILURES: dict[str, Callable[[], httpx.Response | Exception]] = {
    "an error of the service": lambda: status(422),
    "a lost answer": lambda: httpx.ReadError("gone"),
    "an error that is tried again": lambda: status(503),
    "an answer that cannot be decoded": lambda: httpx.Response(200, stream=Body()),
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("failure", FAILURES)
async def test_the_readings_of_a_failed_write_are_freed_with_its_error(failure: str) -> None:
    service = FakeService(*[FAILURES[failure]() for _ in range(3)])
    retry = RetryPolicy(initial_wait_s=0.0)
    async with token_client_of(service, retry=retry) as client:

        async def failed() -> weakref.ref[object]:
            value = np.arange(20_000.0)
            data = SignalData(SignalKey(1, 2, 3), np.arange(20_000), value)
            with pytest.raises(BesmartError):
                await client.signals.write(data)
            service.requests.clear()
            return weakref.ref(data.value)

        assert (await asyncio.create_task(failed()))() is None


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_broken_connection_keeps_no_error_alive(backend: str) -> None:
    async with (
        serving(resetting) as url,
        token_client_of(BACKENDS[backend](), base_url=url, retry=RetryPolicy(initial_wait_s=0.0)) as client,
    ):

        async def failed() -> weakref.ref[BesmartError]:
            try:
                await client.sensors.types()
            except BesmartError as error:
                return weakref.ref(error)
            raise AssertionError("it should have failed")

        assert (await failed())() is None
