"""A streaming endpoint acknowledges each reading it wrote; its callers go away; what was acknowledged is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from besmart_async import BatchPolicy, BesmartClient, SignalKey
from besmart_async.integrations.fastapi import BesmartDependency, besmart_lifespan
from besmart_async.simulator import Simulator

KEY = SignalKey(12, 122, 35)
FIRST = 1_700_000_000_000
DISCONNECTS = 50


@pytest.fixture
def ended() -> asyncio.Queue[int]:
    """Gets the number of readings of each writer that was left."""
    return asyncio.Queue()


@pytest.fixture
def app(make_client: Callable[[], BesmartClient], ended: asyncio.Queue[int]) -> FastAPI:
    app = FastAPI(lifespan=besmart_lifespan(make_client))
    moments = count(FIRST)

    @app.get("/import")
    async def imported(client: BesmartDependency) -> StreamingResponse:
        async def acknowledgements() -> AsyncIterator[str]:
            writer = client.writer(BatchPolicy(linger_s=60.0))
            try:
                async with writer:
                    for moment in moments:
                        await writer.write(KEY, moment, 1.0)
                        yield f"{moment}\n"
                        await asyncio.sleep(0)
            finally:
                ended.put_nowait(writer.report.delivered)

        return StreamingResponse(acknowledgements())

    return app


async def read_lines(app: FastAPI, state: dict[str, Any], lines: int, spec_version: str) -> list[int]:
    """Call the endpoint as a server does, and go away after some lines; return the lines."""
    got: list[int] = []
    enough = asyncio.Event()
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for request in requests:
            return request
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if enough.is_set() and spec_version >= "2.4":
            raise OSError("the caller has gone away")
        if message["type"] == "http.response.body" and not enough.is_set():
            got.extend(map(int, message["body"].split()))
            if len(got) >= lines:
                enough.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec_version},
        "http_version": "1.1",
        "method": "GET",
        "path": "/import",
        "raw_path": b"/import",
        "query_string": b"",
        "headers": [],
        "state": dict(state),
    }
    with suppress(ClientDisconnect):
        await app(scope, receive, send)  # type: ignore[arg-type]
    return got


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"], ids=["a scope is cancelled", "sending raises"])
async def test_every_acknowledged_reading_is_stored_although_50_callers_disconnect(
    app: FastAPI, besmart_simulator: Simulator, ended: asyncio.Queue[int], spec_version: str
) -> None:
    async with app.router.lifespan_context(app) as state:
        callers = [read_lines(app, dict(state or {}), 1 + n, spec_version) for n in range(DISCONNECTS)]
        acknowledged = {moment for lines in await asyncio.gather(*callers) for moment in lines}
        delivered = [await ended.get() for _ in range(DISCONNECTS)]  # the client stays open as long as the application
    stored = {row.time for row in besmart_simulator.stored(12, 122, 35) if row.time >= FIRST}
    assert len(acknowledged) >= sum(range(1, DISCONNECTS + 1))
    assert acknowledged <= stored
    assert sum(delivered) == len(stored)
