"""Credentials and tokens appear nowhere, whatever the service sends back."""

from __future__ import annotations

import html
import io
import json
import logging
import pickle
import re
import traceback
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import orjson
import pytest

from besmart_async import ApiError, BesmartConfigError, BesmartError, DecodeError, Event, RetryPolicy
from besmart_async.resources.users import login_operation
from besmart_async.transport import Credentials, TransportSettings
from besmart_async.transport.secrets import Secrets
from tests.transport.fakes import (
    API_KEY,
    LOGIN,
    PASSWORD,
    TOKEN,
    FakeService,
    client_of,
    operation,
    status,
    token_client_of,
)

ISSUED = "token-00000001"
ALL = (API_KEY, PASSWORD, orjson.dumps(PASSWORD).decode()[1:-1], TOKEN, ISSUED)
ECHO = f"you sent X-Auth {API_KEY}, password {PASSWORD} and Bearer {ISSUED}"

pytestmark = pytest.mark.looptime


def assert_hidden(*shown: object) -> None:
    text = "\n".join(map(str, shown))
    for secret in ALL:
        assert secret not in text


def everything_about(error: BesmartError) -> list[object]:
    response = getattr(error, "response", None)
    parts: list[object] = [error, repr(error), error.args, error.__dict__, pickle.dumps(error)]
    parts += ["".join(traceback.format_exception(error))]
    if response is not None:
        parts += [response.text, response.headers, response.content]
    return parts


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422, 500])
@pytest.mark.parametrize("form", ["text", "json", "deep", "long", "headers"])
async def test_an_error_answer_that_repeats_our_credentials_shows_none_of_them(code: int, form: str) -> None:
    answers = {
        "text": httpx.Response(code, text=ECHO),
        "json": httpx.Response(code, json=ECHO),
        "deep": httpx.Response(code, json={"detail": [{"loc": ["body"], "msg": ECHO}], "request": {"pw": PASSWORD}}),
        "long": httpx.Response(code, text="x" * 490 + ISSUED),
        "headers": httpx.Response(code, headers={"X-Echo": ISSUED, "Set-Cookie": f"session={ISSUED}"}),
    }
    service = FakeService(answers[form], answers[form])
    async with client_of(service, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(ApiError) as caught:
            await client._transport.send(operation())
    assert_hidden(*everything_about(caught.value))
    assert "token-0" not in str(caught.value)


async def test_a_refused_login_that_repeats_the_password_shows_nothing() -> None:
    service = FakeService()
    service.login_script = [httpx.Response(401, json={"got": {"login": LOGIN, "password": PASSWORD}, "key": API_KEY})]
    async with client_of(service) as client:
        with pytest.raises(ApiError) as caught:
            await client.sensors.types()
    assert_hidden(*everything_about(caught.value))


@pytest.mark.parametrize("answer", [{"token": [ISSUED]}, {"data": ISSUED}, [ISSUED, PASSWORD]])
async def test_an_answer_that_cannot_be_decoded_shows_no_secret_and_no_part_of_one(answer: Any) -> None:
    service = FakeService(httpx.Response(200, json={"sensor_mid": "x" * 50 + ISSUED, "client_cid": 1}))
    async with client_of(service) as client:
        with pytest.raises(DecodeError) as caught:
            await client.sensors.create(name="n", sensor_type_id=1, client_cid=1)
    assert_hidden(*everything_about(caught.value))
    assert "token-0" not in str(caught.value)


async def test_half_a_token_in_a_login_answer_is_not_kept() -> None:
    service = FakeService()
    service.login_script = [httpx.Response(200, text='{"token": "fresh-token-from-the-serv')]
    async with client_of(service) as client:
        with pytest.raises(DecodeError) as caught:
            await client.sensors.types()
    assert "fresh-token" not in "".join(map(str, everything_about(caught.value)))


async def test_a_broken_connection_that_quotes_our_request_shows_none_of_it() -> None:
    service = FakeService(httpx.RemoteProtocolError(f"illegal status line: bytearray(b'{TOKEN}')"))
    async with token_client_of(service, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(BesmartError) as caught:
            await client.sensors.types()
    assert_hidden(*everything_about(caught.value))


async def test_no_repr_shows_a_secret() -> None:
    service = FakeService()
    settings = TransportSettings(base_url="https://h/api", credentials=Credentials(API_KEY, LOGIN, PASSWORD, TOKEN))
    client = client_of(service, token=TOKEN)
    token = await client.users.login()
    assert_hidden(
        repr(client), client, repr(settings), repr(settings.credentials), repr(login_operation(LOGIN, PASSWORD))
    )
    assert_hidden(repr(token), repr(Secrets(*ALL)), repr(client._transport), repr(client._transport._auth._held))
    await client.aclose()


async def test_no_event_shows_a_secret() -> None:
    events: list[Event] = []
    service = FakeService(status(500, ECHO), httpx.ReadError(ECHO), status(401))
    async with client_of(service, hooks=[events.append]) as client:
        await client.sensors.types()
    assert len(events) > 8
    assert_hidden(*events, *(getattr(event, "error", "") for event in events))


async def test_no_log_record_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = ECHO.replace(ISSUED, TOKEN)

    def failing(event: Event) -> None:
        raise RuntimeError(f"cannot note {event}")

    service = FakeService(status(500, echo))
    service.login_script = [status(503, echo), status(401, echo)]
    service.refresh_script = [status(500, echo)]
    async with client_of(service, hooks=[failing], token=TOKEN, retry=RetryPolicy(initial_wait_s=0.01)) as client:
        for call in (client.sensors.types, client.users.login, client.users.refresh, client.sensors.types):
            try:
                await call()
            except ApiError as error:
                logging.getLogger("application").error("failed: %r", error, exc_info=True)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for record in caplog.records:
        handler.emit(record)
    assert "a hook of the besmart client failed" in stream.getvalue()
    assert_hidden(stream.getvalue(), caplog.text)


async def test_no_url_holds_a_secret() -> None:
    service = FakeService()
    async with client_of(service) as client:
        await client.sensors.types()
        await client.users.refresh()
    assert_hidden(*(request.url for request in service.requests))


def test_a_secret_inside_another_is_blotted_out_whole() -> None:
    secrets = Secrets("abcd", "abcdefgh")
    assert secrets.hide("it is abcdefgh or abcd") == "it is *** or ***"


def test_a_very_short_password_does_not_blot_out_every_message() -> None:
    assert Secrets("a", "is").hide("this is a message") == "this is a message"


SECRET = "a+b/c==d e<f>&'ł\\"


@pytest.mark.parametrize(
    "echo",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        re.sub("%..", lambda escape: escape[0].lower(), quote(SECRET, safe="")),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(SECRET, ensure_ascii=False).replace("/", "\\/"),
        html.escape(SECRET),
        b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_recognized_however_it_is_quoted(echo: str) -> None:
    hidden = Secrets(SECRET).hide(f"you sent {echo}, which is wrong")
    assert hidden.startswith("you sent ")
    assert hidden.endswith(", which is wrong")
    assert "***" in hidden
    assert not any(
        part in hidden.lower() for part in ("b/c", "b%2fc", "b\\/c", b64encode(SECRET.encode())[:6].decode().lower())
    )


async def test_a_token_that_the_service_sends_back_quoted_is_hidden() -> None:
    token = "tok+en/with=signs"
    service = FakeService(httpx.Response(400, text=f"https://service.test/?token={quote(token, safe='')}"))
    service.good.add(token)
    async with token_client_of(service, token=token, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(ApiError) as caught:
            await client.sensors.types()
    assert quote(token, safe="") not in "".join(map(str, everything_about(caught.value)))


@pytest.mark.parametrize(
    "url",
    [
        "https://jan:s3cret-word@service.test/api",
        "jan:s3cret-word@service.test/api",
        "https://jan:s3cret/word@service.test/api",
        "https://service.test/api?token=s3cret-word",
        "https://service.test/api#s3cret-word",
    ],
)
def test_credentials_in_the_address_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(BesmartConfigError, match="base_url") as caught:
        token_client_of(None, base_url=url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["http://service.test/api", "http://10.0.0.1/api", "http://localhost.evil.test/api"])
def test_plain_http_to_another_machine_is_refused_unless_asked_for(url: str) -> None:
    with pytest.raises(BesmartConfigError, match=r"plain http to .* would show the credentials"):
        token_client_of(None, base_url=url)
    token_client_of(None, base_url=url, allow_insecure_http=True)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/api", "http://127.9.8.7/api", "http://[::1]:80/api", "http://x.localhost"]
)
def test_plain_http_to_this_machine_is_fine(url: str) -> None:
    token_client_of(None, base_url=url)
