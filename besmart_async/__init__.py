"""Asyncio client with batching for the besmart.energy smart-metering REST API.

Names are imported when first used (PEP 562): `besmart --help` and the pytest plugin need neither httpx nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from besmart_async.client import BesmartClient
    from besmart_async.config import (
        BatchPolicy,
        RetryPolicy,
        Timeouts,
    )
    from besmart_async.errors import (
        ApiError,
        AuthenticationError,
        BesmartConfigError,
        BesmartError,
        ConflictError,
        ConnectError,
        DecodeError,
        InvalidInputError,
        NotFoundError,
        Outcome,
        PayloadTooLargeError,
        PermissionDeniedError,
        ProtocolError,
        RateLimitError,
        RequestTimeoutError,
        Response,
        ServerError,
        TransportError,
        UnprocessableError,
    )
    from besmart_async.models import (
        GraphOutput,
        GraphResult,
        MeterType,
        Sensor,
        SensorKey,
        SensorState,
        SensorType,
        SignalData,
        SignalKey,
        SignalQuery,
        SignalState,
        SignalType,
        Token,
    )
    from besmart_async.transport import (
        Event,
        Hook,
        RequestFailed,
        RequestStarted,
        ResponseReceived,
        RetryScheduled,
        TokenRenewed,
        aiohttp_transport,
    )

__version__ = "0.1.0"

_HOMES = {
    "ApiError": "errors",
    "AuthenticationError": "errors",
    "BatchPolicy": "config",
    "BesmartClient": "client",
    "BesmartConfigError": "errors",
    "BesmartError": "errors",
    "ConflictError": "errors",
    "ConnectError": "errors",
    "DecodeError": "errors",
    "Event": "transport",
    "GraphOutput": "models",
    "GraphResult": "models",
    "Hook": "transport",
    "InvalidInputError": "errors",
    "MeterType": "models",
    "NotFoundError": "errors",
    "Outcome": "errors",
    "PayloadTooLargeError": "errors",
    "PermissionDeniedError": "errors",
    "ProtocolError": "errors",
    "RateLimitError": "errors",
    "RequestFailed": "transport",
    "RequestStarted": "transport",
    "RequestTimeoutError": "errors",
    "Response": "errors",
    "ResponseReceived": "transport",
    "RetryPolicy": "config",
    "RetryScheduled": "transport",
    "Sensor": "models",
    "SensorKey": "models",
    "SensorState": "models",
    "SensorType": "models",
    "ServerError": "errors",
    "SignalData": "models",
    "SignalKey": "models",
    "SignalQuery": "models",
    "SignalState": "models",
    "SignalType": "models",
    "Timeouts": "config",
    "Token": "models",
    "TokenRenewed": "transport",
    "TransportError": "errors",
    "UnprocessableError": "errors",
    "aiohttp_transport": "transport",
}
"""The module of every public name. `tests/test_public_names.py` holds it to the imports above and to `__all__`."""

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BatchPolicy",
    "BesmartClient",
    "BesmartConfigError",
    "BesmartError",
    "ConflictError",
    "ConnectError",
    "DecodeError",
    "Event",
    "GraphOutput",
    "GraphResult",
    "Hook",
    "InvalidInputError",
    "MeterType",
    "NotFoundError",
    "Outcome",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "RequestFailed",
    "RequestStarted",
    "RequestTimeoutError",
    "Response",
    "ResponseReceived",
    "RetryPolicy",
    "RetryScheduled",
    "Sensor",
    "SensorKey",
    "SensorState",
    "SensorType",
    "ServerError",
    "SignalData",
    "SignalKey",
    "SignalQuery",
    "SignalState",
    "SignalType",
    "Timeouts",
    "Token",
    "TokenRenewed",
    "TransportError",
    "UnprocessableError",
    "aiohttp_transport",
]


def __getattr__(name: str) -> object:
    if name in _HOMES.values():
        return import_module(f"besmart_async.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'besmart_async' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"besmart_async.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
