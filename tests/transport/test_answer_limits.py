"""What comes in is bounded: bodies, unpacked bodies, bodies of errors. Memory stays flat, the event loop goes on."""

from __future__ import annotations

import asyncio
import gzip
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import httpx
import orjson
import pytest

from besmart_async import (
    AnswerTooLargeError,
    BesmartError,
    DecodeError,
    ProtocolError,
    Response,
    RetryPolicy,
    ServerError,
    SignalKey,
    SignalQuery,
    aiohttp_transport,
)
from tests.transport.fakes import TOKEN, FakeService, operation, raw, read_request, serving, token_client_of

ONCE = RetryPolicy(max_attempts=1)
LIMIT = 1 << 20
Backend = httpx.AsyncBaseTransport | None


@pytest.fixture(params=["httpx", "aiohttp"])
async def backend(request: pytest.FixtureRequest) -> Backend:
    return None if request.param == "httpx" else aiohttp_transport()


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body)[2:-4]


PACKED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "plain": (bytes, "identity"),
    "gzip": (gzip.compress, "gzip"),
    "x-gzip": (gzip.compress, "X-GZIP"),
    "deflate": (zlib.compress, "deflate"),
    "raw deflate": (raw_deflate, "deflate"),
}


class Answering:
    """Sends one answer to each request."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            self.requests += 1
            writer.write(self.answer)
            await writer.drain()


async def outcome_of(answer: bytes, backend: Backend, *, tries: int = 1, limit: int = LIMIT) -> Response | BesmartError:
    server = Answering(answer)
    retry = RetryPolicy(max_attempts=tries, initial_wait_s=0.001)
    async with (
        serving(server) as url,
        token_client_of(backend, base_url=url, retry=retry, max_answer_bytes=limit) as client,
    ):
        try:
            outcome: Response | BesmartError = await client._transport.send(operation())
        except BesmartError as error:
            outcome = error
    assert server.requests <= tries
    return outcome


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("size", [0, 1, 300_000, LIMIT])
async def test_a_body_up_to_the_limit_arrives_whole(backend: Backend, packed: str, size: int) -> None:
    pack, coding = PACKED[packed]
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = await outcome_of(raw(200, pack(body), f"Content-Encoding: {coding}"), backend)
    assert isinstance(answer, Response)
    assert answer.content == body


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("size", [LIMIT + 1, 40 * LIMIT])
async def test_a_larger_one_is_refused_and_not_asked_for_again(backend: Backend, packed: str, size: int) -> None:
    pack, coding = PACKED[packed]
    error = await outcome_of(raw(200, pack(b" " * size), f"Content-Encoding: {coding}"), backend, tries=3)
    assert isinstance(error, AnswerTooLargeError)
    assert str(error).startswith("things.put: the answer is larger than 1048576 bytes")
    assert (error.outcome, error.reached) == ("in_doubt", True)


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip, deflate", "br", "zstd", "gzip, identity, x-gzip"])
async def test_an_encoding_that_nobody_asked_for_is_refused(backend: Backend, coding: str) -> None:
    body = gzip.compress(gzip.compress(b"[]"))
    error = await outcome_of(raw(200, body, f"Content-Encoding: {coding}"), backend)
    assert isinstance(error, ProtocolError)
    assert "and gzip or deflate was asked for" in str(error)


@pytest.mark.parametrize("body", [gzip.compress(b"[1, 2, 3]")[:-9], b"not gzip at all", gzip.compress(b"[]")[:5]])
async def test_a_packed_body_that_is_cut_off_or_damaged_is_no_answer(backend: Backend, body: bytes) -> None:
    error = await outcome_of(raw(200, body, "Content-Encoding: gzip"), backend)
    assert isinstance(error, ProtocolError)


async def test_what_follows_the_end_of_a_packed_body_is_dropped(backend: Backend) -> None:
    body = gzip.compress(b"[]") + b"\0" * 100_000
    answer = await outcome_of(raw(200, body, "Content-Encoding: gzip"), backend)
    assert isinstance(answer, Response)
    assert answer.content == b"[]"


async def test_a_body_without_an_end_is_given_up_at_the_limit(backend: Backend) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            await writer.drain()
            sent += 65_536

    async with (
        serving(endless) as url,
        token_client_of(backend, base_url=url, retry=ONCE, max_answer_bytes=LIMIT) as client,
    ):
        with pytest.raises(AnswerTooLargeError):
            await client.sensors.types()
    assert sent < 32 * LIMIT


@pytest.mark.parametrize("packed", PACKED)
async def test_of_an_errors_body_64_kib_are_kept(backend: Backend, packed: str) -> None:
    pack, coding = PACKED[packed]
    body = pack(b"words " * 2_000_000)
    error = await outcome_of(raw(500, body, f"Content-Encoding: {coding}"), backend)
    assert isinstance(error, ServerError)
    assert error.message.startswith("words words")
    assert len(error.response.content) == 64 << 10


async def test_a_secret_at_the_cut_is_taken_out_as_a_whole() -> None:
    for before in range(64 * 1024 - 40, 64 * 1024 + 8, 3):
        service = FakeService(httpx.Response(500, content=b"x" * before + TOKEN.encode() + b"y" * 100))
        async with token_client_of(service, retry=ONCE) as client:
            with pytest.raises(ServerError) as caught:
                await client.sensors.types()
        assert TOKEN[:5].encode() not in caught.value.response.content


async def test_a_bomb_costs_neither_memory_nor_the_event_loop(backend: Backend) -> None:
    body = gzip.compress(b"[" + b" " * (64 << 20) + b"]", 9)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    server = Answering(raw(200, body, "Content-Encoding: gzip"))
    async with (
        serving(server) as url,
        token_client_of(backend, base_url=url, retry=ONCE, max_answer_bytes=8 << 20) as client,
    ):
        counting = asyncio.create_task(count_turns())
        tracemalloc.start()
        with pytest.raises(AnswerTooLargeError):
            await client.sensors.types()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        counting.cancel()
    assert peak < 16 << 20
    assert turns >= 32  # one for each 256 KiB that were unpacked


# -- decoding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "elsewhere"), [(1000, False), ((1 << 20) + 1, True)])
async def test_a_large_answer_is_decoded_in_a_thread(size: int, *, elsewhere: bool) -> None:
    threads: list[threading.Thread] = []

    def decode(response: Response) -> Response:
        threads.append(threading.current_thread())
        return response

    service = FakeService(httpx.Response(200, content=b" " * size))
    async with token_client_of(service, retry=ONCE) as client:
        answer = await client._transport.send(operation(decode=decode))
    assert len(answer.content) == size
    assert (threads[0] is not threading.main_thread()) == elsewhere


async def test_a_large_answer_that_cannot_be_decoded_keeps_64_kib_and_no_secret() -> None:
    service = FakeService(httpx.Response(200, content=b'["' + TOKEN.encode() + b"x" * (2 << 20)))
    async with token_client_of(service, retry=ONCE) as client:
        with pytest.raises(DecodeError, match="not JSON") as caught:
            await client.sensors.types()
    assert caught.value.response is not None
    assert len(caught.value.response.content) == 64 << 10
    assert TOKEN.encode() not in caught.value.response.content


@pytest.mark.parametrize("name", ["read", "read_bulk"])
@pytest.mark.parametrize("body", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000])
async def test_json_without_end_to_its_depth_is_a_decode_error(name: str, body: bytes) -> None:
    key = SignalKey(1, 2, 3)
    async with token_client_of(FakeService(httpx.Response(200, content=body)), retry=ONCE) as client:
        with pytest.raises(DecodeError):
            if name == "read":
                await client.signals.read(key, 0, 1)
            else:
                await client.signals.read_bulk([SignalQuery(key, 0, 1)])


async def test_a_stream_of_a_transport_of_ones_own_is_bounded_too() -> None:
    class Endless(httpx.AsyncByteStream):
        closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield orjson.dumps([1] * 1000)

        async def aclose(self) -> None:
            self.closed = True

    stream = Endless()
    service = FakeService(httpx.Response(200, stream=stream))
    async with token_client_of(service, retry=ONCE, max_answer_bytes=LIMIT) as client:
        with pytest.raises(AnswerTooLargeError):
            await client.sensors.types()
    assert stream.closed
