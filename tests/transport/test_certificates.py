"""Root certificates are read once, in a thread, and only where there is something to verify."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any

import httpx
import pytest

from besmart_async import ConnectError, RetryPolicy, TransportError, aiohttp_transport
from tests.transport.fakes import raw, read_request, serving, token_client_of

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(params=["httpx", "aiohttp"])
async def backend(request: pytest.FixtureRequest) -> httpx.AsyncBaseTransport | None:
    return None if request.param == "httpx" else aiohttp_transport()


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that read certificates."""
    threads: list[threading.Thread] = []
    load = ssl.SSLContext.load_verify_locations

    def noted(context: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
        threads.append(threading.current_thread())
        load(context, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noted)
    return threads


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(raw())


async def test_plain_http_reads_none(backend: httpx.AsyncBaseTransport | None, readers: list[threading.Thread]) -> None:
    async with serving(answering) as url, token_client_of(backend, base_url=url) as client:
        assert await client.sensors.types() == []
    assert readers == []


async def test_https_reads_them_once_and_not_in_the_event_loop(
    backend: httpx.AsyncBaseTransport | None, readers: list[threading.Thread]
) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    async with serving(closing) as url:
        https = url.replace("http:", "https:")
        async with token_client_of(backend, base_url=https, retry=ONCE, timeout=5) as client:
            calls = [client.sensors.types() for _ in range(8)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            with pytest.raises(TransportError):
                await client.sensors.types()
    assert all(isinstance(result, TransportError) for result in results)
    assert len(readers) == 1
    assert readers[0] is not threading.main_thread()


async def test_certificates_that_cannot_be_read_are_named(
    backend: httpx.AsyncBaseTransport | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> ssl.SSLContext:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(httpx, "create_ssl_context", unreadable)
    async with token_client_of(backend, base_url="https://127.0.0.1:9/api", retry=ONCE) as client:
        with pytest.raises(ConnectError, match=r"the root certificates cannot be read: .*; check SSL_CERT_FILE"):
            await client.sensors.types()
