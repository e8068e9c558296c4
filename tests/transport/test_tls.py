"""Services that cannot prove who they are, or speak no TLS: named, on both transports; no secret was sent."""

from __future__ import annotations

import asyncio
import re
import ssl
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from besmart_async import BesmartClient, ConnectError, RetryPolicy, TransportError, aiohttp_transport
from tests.transport.fakes import API_KEY, LOGIN, PASSWORD

ONCE = RetryPolicy(max_attempts=1)
LONG_AGO, SOON_AFTER = datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 2, 1, tzinfo=UTC)
FAR_AHEAD, LATER = datetime(2090, 1, 1, tzinfo=UTC), datetime(2090, 2, 1, tzinfo=UTC)
HOST = "127.0.0.1"


def certified(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(_: trustme.CA, folder: Path) -> ssl.SSLContext:
    alone = trustme.CA()
    alone.private_key_pem.write_to_path(str(folder / "key.pem"))
    alone.cert_pem.write_to_path(str(folder / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def old_versions(authority: trustme.CA, _: Path) -> ssl.SSLContext:
    context = certified(authority.issue_cert(HOST))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is what this is about
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context


UNTRUSTED = (
    r"certificate of 127\.0\.0\.1:\d+ is not trusted \({}.*\); check base_url and the clock .* ssl_context or SSL_CERT"
)
Served = Callable[[trustme.CA, Path], ssl.SSLContext]
SERVICES: dict[str, tuple[Served, str]] = {
    "of an authority that nobody knows": (
        lambda _, __: certified(trustme.CA().issue_cert(HOST)),
        UNTRUSTED.format("unable to get local issuer certificate"),
    ),
    "self-signed": (self_signed, UNTRUSTED.format("self-signed certificate")),
    "expired": (
        lambda authority, _: certified(authority.issue_cert(HOST, not_before=LONG_AGO, not_after=SOON_AFTER)),
        UNTRUSTED.format("certificate has expired"),
    ),
    "not yet valid": (
        lambda authority, _: certified(authority.issue_cert(HOST, not_before=FAR_AHEAD, not_after=LATER)),
        UNTRUSTED.format("certificate is not yet valid"),
    ),
    "of another host": (
        lambda authority, _: certified(authority.issue_cert("other.example.com")),
        UNTRUSTED.format("IP address mismatch"),
    ),
    "old versions": (old_versions, r"connect(ion)? to 127\.0\.0\.1:\d+ .*; check base_url"),
}
"""How a service proves who it is, and what is said of it."""


@pytest.fixture(params=["httpx", "aiohttp"])
async def backend(request: pytest.FixtureRequest) -> httpx.AsyncBaseTransport | None:
    return None if request.param == "httpx" else aiohttp_transport()


@asynccontextmanager
async def listening(
    context: ssl.SSLContext | None, heard: list[bytes], answer: bytes = b""
) -> AsyncGenerator[str, None]:
    """Serve on a socket; an empty answer closes the connection at once."""

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            heard.append(await reader.read(10_000))
            writer.write(answer)
            await reader.read()
        writer.close()

    server = await asyncio.start_server(visit, HOST, 0, ssl=context)
    async with server:
        yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}/api"


async def error_from(url: str, backend: httpx.AsyncBaseTransport | None, trust: ssl.SSLContext) -> TransportError:
    """What a client says that logs in there."""
    account: dict[str, Any] = {"api_key": API_KEY, "login": LOGIN, "password": PASSWORD, "retry": ONCE}
    async with BesmartClient(**account, base_url=url, transport=backend, ssl_context=trust, timeout=5) as client:
        with pytest.raises(TransportError) as caught:
            await client.sensors.types()
    return caught.value


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_cannot_prove_who_it_is_hears_nothing(
    service: str, backend: httpx.AsyncBaseTransport | None, tmp_path: Path
) -> None:
    authority, heard = trustme.CA(), list[bytes]()
    served, words = SERVICES[service]
    async with listening(served(authority, tmp_path), heard, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]") as url:
        error = await error_from(url, backend, trusting(authority))
    assert isinstance(error, ConnectError)
    assert re.search(words, str(error))
    assert heard == []


async def test_a_service_that_speaks_no_tls_hears_no_secret(backend: httpx.AsyncBaseTransport | None) -> None:
    heard = list[bytes]()
    async with listening(None, heard, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n") as url:
        error = await error_from(url, backend, trusting(trustme.CA()))
    assert isinstance(error, ConnectError)
    assert "(wrong version number); check base_url: http or https, host and port" in str(error)
    assert heard
    assert all(text.encode() not in b"".join(heard) for text in (API_KEY, LOGIN, PASSWORD))


async def test_a_service_that_ends_the_handshake_is_named(backend: httpx.AsyncBaseTransport | None) -> None:
    async with listening(None, []) as url:
        error = await error_from(url, backend, trusting(trustme.CA()))
    assert isinstance(error, ConnectError)
    assert "check base_url" in str(error)


async def test_a_service_that_wants_a_certificate_and_gets_none_is_named(
    backend: httpx.AsyncBaseTransport | None,
) -> None:
    authority = trustme.CA()
    context = certified(authority.issue_cert(HOST))
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with listening(context, [], b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]") as url:
        error = await error_from(url, backend, trusting(authority))
    assert re.search(r"the connection to 127\.0\.0\.1:\d+ broke|cannot connect|no TLS connection", str(error))
