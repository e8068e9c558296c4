"""The only place that knows httpx and tenacity: one way from an `Operation` to its result."""

from besmart_async.transport.aiohttp_backend import aiohttp_transport
from besmart_async.transport.events import (
    Event,
    Hook,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    TokenRenewed,
)
from besmart_async.transport.in_process import in_process
from besmart_async.transport.pipeline import Transport
from besmart_async.transport.settings import AnyTransport, Credentials, TransportSettings

__all__ = [
    "AnyTransport",
    "Credentials",
    "Event",
    "Hook",
    "RequestFailed",
    "RequestStarted",
    "ResponseReceived",
    "RetryScheduled",
    "TokenRenewed",
    "Transport",
    "TransportSettings",
    "aiohttp_transport",
    "in_process",
]
