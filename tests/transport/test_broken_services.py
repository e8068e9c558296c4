"""What a newcomer meets on a real socket: each ends in the right typed error, with words that help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import httpx
import pytest

from besmart_async import (
    ApiError,
    AuthenticationError,
    BesmartClient,
    BesmartError,
    ConnectError,
    DecodeError,
    PayloadTooLargeError,
    ProtocolError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    Timeouts,
    TransportError,
    aiohttp_transport,
)
from besmart_async.simulator import Fault, Simulator
from tests.transport.fakes import (
    API_KEY,
    LOGIN,
    Handler,
    client_of,
    operation,
    raw,
    read_request,
    reset,
    serving,
    token_client_of,
)

ONCE = RetryPolicy(max_attempts=1)
BACKENDS: dict[str, Callable[[], httpx.AsyncBaseTransport | None]] = {
    "httpx": lambda: None,
    "aiohttp": aiohttp_transport,
}


@pytest.fixture(params=BACKENDS)
async def backend(request: pytest.FixtureRequest) -> httpx.AsyncBaseTransport | None:
    return BACKENDS[request.param]()


async def error_of(handler: Handler, http: httpx.AsyncBaseTransport | None, *, body: bytes = b"") -> BesmartError:
    """The error of one write to a server that behaves as `handler`."""
    async with serving(handler) as url, token_client_of(http, base_url=url, retry=ONCE, timeout=1) as client:
        with pytest.raises(BesmartError) as caught:
            await client._transport.send(operation(replay=False, body=body or None, decode=_json))
    return caught.value


def _json(answer: object) -> None:
    from besmart_async.errors import Response
    from besmart_async.wire.codec import acknowledged

    assert isinstance(answer, Response)
    acknowledged(answer)


def answering(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    return handler


Backend = httpx.AsyncBaseTransport | None


# -- who cannot be reached ---------------------------------------------------------------------------------------------


async def refusing_url() -> str:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    return f"http://127.0.0.1:{port}/api"


async def test_nobody_listens(backend: Backend) -> None:
    url = await refusing_url()
    async with client_of(backend, base_url=url, retry=ONCE) as client:
        with pytest.raises(
            ConnectError, match=r"users\.login: cannot connect to 127\.0\.0\.1:\d+ .*check base_url"
        ) as caught:
            await client.sensors.delete(1, 2)
    assert (caught.value.outcome, caught.value.reached) == ("not_sent", False)


async def test_there_is_no_such_host(backend: Backend) -> None:
    async with client_of(backend, base_url="https://no-such-host.invalid/api", retry=ONCE) as client:
        with pytest.raises(
            ConnectError, match=r"cannot connect to no-such-host\.invalid .*check base_url and the network"
        ):
            await client.sensors.types()


async def test_plain_http_where_tls_was_expected(backend: Backend) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw(400, b"this is plain http"))
        await reader.read(1)

    async with serving(handler) as url:
        https = url.replace("http:", "https:")
        async with token_client_of(backend, base_url=https, retry=ONCE, timeout=2) as client:
            with pytest.raises(TransportError) as caught:
                await client.sensors.delete(1, 2)
    assert caught.value.outcome == "not_sent"


# -- who answers something else ----------------------------------------------------------------------------------------


async def test_the_password_is_wrong() -> None:
    sim = Simulator()
    async with sim.serve() as url, client_of(None, base_url=url, login="login", api_key="API_KEY") as client:
        with pytest.raises(AuthenticationError, match=r"users\.login: 401 .*check login, password and api_key"):
            await client.sensors.types()
    sim.close()


async def test_a_proxy_in_between_answers_with_a_page(backend: Backend) -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    error = await error_of(answering(raw(502, page, "Content-Type: text/html")), backend)
    assert isinstance(error, ServerError)
    assert "an HTML page titled '502 Bad Gateway'" in str(error)
    assert error.outcome == "in_doubt"


async def test_a_page_is_no_answer_even_with_status_200(backend: Backend) -> None:
    error = await error_of(answering(raw(200, b"<html>Please sign in</html>", "Content-Type: text/html")), backend)
    assert isinstance(error, DecodeError)
    assert str(error).startswith("things.put: the answer breaks the contract: not JSON but text/html")
    assert error.outcome == "in_doubt"


async def test_the_json_stops_in_the_middle(backend: Backend) -> None:
    error = await error_of(answering(raw(200, b'{"a": [1, 2', "Content-Type: application/json")), backend)
    assert isinstance(error, DecodeError)
    assert "not JSON" in str(error)


async def test_the_body_stops_in_the_middle(backend: Backend) -> None:
    error = await error_of(answering(raw(200, b"[1, 2", length=500)), backend)
    assert isinstance(error, ProtocolError)
    assert (error.outcome, error.reached) == ("in_doubt", True)


async def test_what_comes_back_is_not_http(backend: Backend) -> None:
    error = await error_of(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), backend)
    assert isinstance(error, ProtocolError)
    assert "no complete HTTP answer came from 127.0.0.1" in str(error)
    assert (error.outcome, error.reached) == ("in_doubt", True)


async def test_the_body_is_not_the_gzip_it_claims_to_be(backend: Backend) -> None:
    error = await error_of(answering(raw(200, b"not gzip at all", "Content-Encoding: gzip")), backend)
    assert isinstance(error, ProtocolError)
    assert error.outcome == "in_doubt"


async def test_the_connection_is_reset_after_the_request_was_sent(backend: Backend) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        reset(writer)

    error = await error_of(handler, backend, body=b"x" * 1000)
    assert isinstance(error, ProtocolError)
    assert (error.outcome, error.reached) == ("in_doubt", True)


async def test_the_connection_is_closed_without_an_answer(backend: Backend) -> None:
    error = await error_of(answering(b""), backend)
    assert isinstance(error, ProtocolError)
    assert (error.outcome, error.reached) == ("in_doubt", True)


async def test_the_connection_is_reset_in_the_middle_of_the_answer(backend: Backend) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw(200, b"[1", length=100))
        await writer.drain()
        await asyncio.sleep(0.01)
        reset(writer)

    error = await error_of(handler, backend)
    assert isinstance(error, ProtocolError)
    assert (error.outcome, error.reached) == ("in_doubt", True)


async def test_a_front_end_that_closes_on_a_large_body_is_told_as_what_it_may_be(backend: Backend) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw(413, b"too large", "Connection: close"))
        await writer.drain()
        reset(writer)

    error = await error_of(handler, backend, body=b"x" * 20_000_000)
    assert isinstance(error, ProtocolError | PayloadTooLargeError)
    if isinstance(error, ProtocolError):
        assert "it may not take a body of 20.0 MB: send less at once" in str(error)
    assert error.outcome in {"in_doubt", "rejected"}


@pytest.mark.parametrize("page", [b"", b"<html><title>301 Moved Permanently</title></html>"])
async def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(backend: Backend, page: bytes) -> None:
    visitors = 0

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visitors
        visitors += 1

    async with serving(other) as other_url:
        error = await error_of(answering(raw(301, page, f"Location: {other_url}/new")), backend)
    assert isinstance(error, ApiError)
    assert (error.status, error.outcome) == (301, "rejected")
    assert f"{other_url}/new" in str(error)
    assert "base_url" in str(error)
    assert visitors == 0


async def test_a_storm_of_errors_ends_in_the_services_own_error() -> None:
    sim = Simulator()
    sim.faults.add(Fault(status=500))
    policy = RetryPolicy(initial_wait_s=0.01)
    async with sim.serve() as url, BesmartClient(token="any-token", base_url=url, retry=policy) as client:
        with pytest.raises(
            ServerError, match=r"500 Internal Server Error.*the service's fault; try again later"
        ) as caught:
            await client.sensors.types()
    assert "gave up after 3 attempts" in caught.value.__notes__
    sim.close()


# -- who is slow -------------------------------------------------------------------------------------------------------


async def test_a_byte_now_and_then_does_not_keep_an_attempt_alive(backend: Backend) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in raw(200, b" " * 10_000):  # would take a quarter of an hour
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)

    async with serving(handler) as url, token_client_of(backend, base_url=url, retry=ONCE, timeout=0.3) as client:
        with pytest.raises(RequestTimeoutError, match=r"no complete answer from .* within 0\.3 s") as caught:
            await client.sensors.delete(1, 2)
    assert (caught.value.outcome, caught.value.reached) == ("in_doubt", True)


async def test_a_large_body_gets_more_time(backend: Backend) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await asyncio.sleep(0.25)
            writer.write(raw())

    timeouts = Timeouts(read_s=0.1, min_bytes_per_s=10_000)
    async with serving(handler) as url, token_client_of(backend, base_url=url, retry=ONCE, timeout=timeouts) as client:
        await client._transport.send(operation(body=b"x" * 10_000))
        with pytest.raises(RequestTimeoutError):
            await client._transport.send(operation(body=b"x"))


async def test_a_host_that_swallows_packets_is_a_connection_that_was_not_made() -> None:
    import socket

    with contextlib.closing(socket.socket()) as full:  # a backlog of one, used up: further connects hang
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        url = f"http://127.0.0.1:{port}/api"
        for timeout in (Timeouts(connect_s=0.2), Timeouts(read_s=0.2)):
            async with token_client_of(None, base_url=url, retry=ONCE, timeout=timeout) as client:
                with pytest.raises(
                    RequestTimeoutError, match=r"no connection to .* within 0\.2 s; check base_url"
                ) as caught:
                    await client.sensors.delete(1, 2)
            assert (caught.value.outcome, caught.value.reached) == ("not_sent", False)
        for filler in fillers:
            filler.close()


async def test_no_credentials_show_in_any_of_it(backend: Backend) -> None:
    error = await error_of(answering(b"SSH-2.0 given-token-0001\r\n\r\n"), backend)
    shown = f"{error!r} {error} {error.args} {error.__cause__!r}"
    assert "given-token-0001" not in shown
    assert API_KEY not in shown
    assert LOGIN not in shown
