"""A model of the service for tests of the pure core: what it stores, what it refuses, what it applies too late."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import orjson

from besmart_async.errors import (
    ApiError,
    AuthenticationError,
    BesmartError,
    ConnectError,
    Outcome,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    Response,
    ServerError,
    UnprocessableError,
)

Reading = tuple[tuple[int, int, int], float, int]
"""Signal, time, origin."""
OPERATION = "signals.write_bulk"
_CLASSES: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    413: PayloadTooLargeError,
    422: UnprocessableError,
    429: RateLimitError,
}


def api_error(status: int, *, retry_after_s: float | None = None) -> ApiError:
    cls = _CLASSES.get(status, ServerError if status >= 500 else ApiError)
    outcome: Outcome = "in_doubt" if status >= 500 else "rejected"
    return cls(status, "no", OPERATION, Response(status), outcome=outcome, retry_after_s=retry_after_s)


def unreachable() -> BesmartError:
    return ConnectError("no connection", operation=OPERATION, reached=False, outcome="not_sent")


def timed_out() -> BesmartError:
    return RequestTimeoutError("no answer", operation=OPERATION, reached=True, outcome="in_doubt")


def reset() -> BesmartError:
    return ProtocolError("connection reset", operation=OPERATION, reached=True, outcome="in_doubt")


def rows_of(body: bytes) -> Iterable[tuple[Reading, Any, str | None]]:
    for item in orjson.loads(body):
        key = (item["client_cid"], item["sensor_mid"], item["signal_type_moid"])
        data = item["data"]
        rows = len(data["time"])
        origins = data.get("origin", [1] * rows)
        assert len(data["value"]) == len(origins) == rows
        for time, value, origin in zip(data["time"], data["value"], origins, strict=True):
            yield (key, time, origin), value, item.get("unit")


@attrs.define
class ServiceModel:
    """Stores the last value applied per reading; refuses poison as a whole batch."""

    stored: dict[Reading, Any] = attrs.field(factory=dict[Reading, Any])
    poison_signals: set[tuple[int, int, int]] = attrs.field(factory=set[tuple[int, int, int]])
    poison_readings: set[tuple[tuple[int, int, int], float]] = attrs.field(
        factory=set[tuple[tuple[int, int, int], float]]
    )
    max_bytes: int | None = None
    max_items: int | None = None
    max_readings: int | None = None
    calls: int = 0

    def put(self, body: bytes) -> BesmartError | None:
        """Apply a bulk write, all or nothing."""
        self.calls += 1
        if self.max_bytes is not None and len(body) > self.max_bytes:
            return api_error(413)
        rows = list(rows_of(body))
        items = orjson.loads(body)
        too_many = (self.max_items is not None and len(items) > self.max_items) or (
            self.max_readings is not None and len(rows) > self.max_readings
        )
        if too_many or any(self.refuses(reading) for reading, _, _ in rows):
            return api_error(422)
        for reading, value, unit in rows:
            self.stored[reading] = (value, unit)
        return None

    def refuses(self, reading: Reading) -> bool:
        key, time, _ = reading
        return key in self.poison_signals or (key, time) in self.poison_readings
