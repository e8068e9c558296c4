"""A service in 100 lines, raw sockets to misbehave on, and clients of both."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import httpx
import orjson
import pytest

from besmart_async import BesmartClient, BesmartError, RetryPolicy
from besmart_async.errors import Response
from besmart_async.resources.users import refresh_operation
from besmart_async.transport import Credentials, Transport, TransportSettings
from besmart_async.wire.operation import Operation

API_KEY, LOGIN, PASSWORD, TOKEN = "key-of-the-workspace", "jan.kowalski", 'pass "word" ł/1', "given-token-0001"
EPOCH_MS = 1_700_000_000_000.0

Answer = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]


class FakeService(httpx.AsyncBaseTransport):
    """Answers requests from scripts, `[]` where a script is used up; keeps sessions by the loop's clock.

    Attributes:
        script: what data requests get, first to last.
        login_script: what logins get before they succeed.
        refresh_script: what refreshes get before they succeed.
        requests: what came.
        good: the tokens that are accepted.
    """

    def __init__(self, *script: Answer, life_s: float = 7200.0, skew_s: float = 0.0, latency_s: float = 0.0) -> None:
        self.script = list(script)
        self.login_script: list[Answer] = []
        self.refresh_script: list[Answer] = []
        self.requests: list[httpx.Request] = []
        self.good = {TOKEN}
        self.life_s, self.skew_s, self.latency_s = life_s, skew_s, latency_s
        self.expiration: Callable[[float], object] = round
        self.logins = self.refreshes = self.issued = 0
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        await asyncio.sleep(self.latency_s)
        if request.url.path.endswith("/users/token"):
            return await self._token(request)
        if bearer(request) not in self.good:
            return httpx.Response(401, json="Not valid authentication credentials")
        return await played(self.script.pop(0), request) if self.script else httpx.Response(200, json=[])

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def data_requests(self) -> list[httpx.Request]:
        return [request for request in self.requests if not request.url.path.endswith("/users/token")]

    async def _token(self, request: httpx.Request) -> httpx.Response:
        is_login = request.method == "POST"
        self.logins, self.refreshes = self.logins + is_login, self.refreshes + (not is_login)
        script = self.login_script if is_login else self.refresh_script
        if script:
            return await played(script.pop(0), request)
        if not is_login and bearer(request) not in self.good:
            return httpx.Response(401, json="Not valid authentication credentials")
        self.issued += 1
        self.good.add(f"token-{self.issued:08}")
        now_ms = EPOCH_MS + (asyncio.get_running_loop().time() + self.skew_s) * 1000
        answer = {
            "token": f"token-{self.issued:08}",
            "expiration": self.expiration(now_ms + self.life_s * 1000),
            "user_id": 1,
        }
        return httpx.Response(200, json=answer, headers={"Date": formatdate(now_ms // 1000, usegmt=True)})


def bearer(request: httpx.Request) -> str:
    return str(request.headers.get("authorization", "")).removeprefix("Bearer ")


async def played(answer: Answer, request: httpx.Request) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    return answer if isinstance(answer, httpx.Response) else await answer(request)


def after(seconds: float, answer: Answer) -> Answer:
    """An answer that takes its time."""

    async def late(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(seconds)
        return await played(answer, request)

    return late


def status(code: int, text: str = "as you asked", **headers: str) -> httpx.Response:
    return httpx.Response(code, json=text, headers={name.replace("_", "-"): value for name, value in headers.items()})


def client_of(http: httpx.AsyncBaseTransport | None, **settings: Any) -> BesmartClient:
    """A client with login and password."""
    settings = {"base_url": "https://service.test/api", "api_key": API_KEY, "login": LOGIN, **settings}
    return BesmartClient(password=PASSWORD, transport=http, **settings)


def token_client_of(http: httpx.AsyncBaseTransport | None, **settings: Any) -> BesmartClient:
    """A client that has only a token, so that it does not log in."""
    return BesmartClient(**{"token": TOKEN, "base_url": "https://service.test/api", "transport": http, **settings})


def operation(*, replay: bool = True, writes: bool = True, **fields: Any) -> Operation[Response]:
    """Something to send whose result is the answer itself."""
    settings = {"name": "things.put", "method": "PUT", "path": "/things", "decode": lambda answer: answer, **fields}
    return Operation(replay=replay, writes=writes, **settings)


def transport_to(service: httpx.AsyncBaseTransport, *, seed: int = 1, **policy: Any) -> Transport:
    settings = TransportSettings(
        base_url="https://service.test/api",
        credentials=Credentials(token=TOKEN),
        retry=RetryPolicy(**policy),
        http=service,
        rng=random.Random(seed),
        wall_clock_ms=lambda: EPOCH_MS,
    )
    return Transport(settings, None, refresh_operation())


async def failure_of(service: FakeService, *, replay: bool, **policy: Any) -> BesmartError:
    transport = transport_to(service, **policy)
    with pytest.raises(BesmartError) as caught:
        await transport.send(operation(replay=replay))
    await transport.aclose()
    return caught.value


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.001)


# -- raw sockets -------------------------------------------------------------------------------------------------------

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve connections with `handler` on a real socket; yields the base URL. A connection ends with its handler."""
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(served(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 24, backlog=1000)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request, with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


def raw(code: int = 200, body: bytes = b"[]", *headers: str, length: int | None = None) -> bytes:
    """One answer as it goes over the wire."""
    lines = (f"HTTP/1.1 {code} Whatever", f"Content-Length: {len(body) if length is None else length}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset rather than in good order."""
    import socket
    import struct

    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def login_answer(token: str = "token-of-the-socket") -> bytes:
    return orjson.dumps({"token": token, "expiration": EPOCH_MS * 2, "user_id": 1})
