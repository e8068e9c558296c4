"""Prometheus metrics of a client (extra `prometheus`): `BesmartClient(..., hooks=[PrometheusHook()])`."""

from __future__ import annotations

from besmart_async.integrations.labels import error_type
from besmart_async.transport.events import (
    Event,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    TokenRenewed,
)

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
except ModuleNotFoundError as error:
    hint = "prometheus-client is missing: pip install 'besmart-async[prometheus]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of durations: from the fastest single read to a large batch's time-out."""


class PrometheusHook:
    """Counts what a client does. One hook serves any number of clients; make one per registry.

    - `besmart_requests_total{operation, status}`: attempts that ended; `status` is the HTTP status, or the error's
      class (`ConnectError`) where no answer came.
    - `besmart_request_duration_seconds{operation}`: a histogram of how long they took.
    - `besmart_retries_total{operation, reason}`: attempts that will be repeated, `reason` as `status` above.
    - `besmart_token_renewals_total{by}`: `login` or `refresh`.
    - `besmart_sent_bytes_total{operation}`, `besmart_received_bytes_total{operation}`: bodies.

    Labels hold no ids and no texts of the service: `operation` is one of the API's 26.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the metrics.

        Args:
            registry: where to; by default prometheus-client's own.

        Raises:
            ValueError: the registry has these metrics already, since a hook was made for it before: use that one.
        """
        home = REGISTRY if registry is None else registry

        def counter(name: str, description: str, *labels: str) -> Counter:
            return Counter(f"besmart_{name}", description, labels, registry=home)

        self._requests = counter("requests", "Attempts that ended", "operation", "status")
        self._seconds = Histogram(
            "besmart_request_duration_seconds", "Duration of attempts", ("operation",), registry=home, buckets=SECONDS
        )
        self._retries = counter("retries", "Attempts that are repeated", "operation", "reason")
        self._renewals = counter("token_renewals", "Tokens obtained", "by")
        self._sent = counter("sent_bytes", "Bytes of request bodies", "operation")
        self._received = counter("received_bytes", "Bytes of answers' bodies", "operation")

    def __call__(self, event: Event) -> None:
        """Count one event."""
        match event:
            case RequestStarted():
                self._sent.labels(event.operation).inc(event.body_bytes)
            case ResponseReceived():
                self._requests.labels(event.operation, str(event.status)).inc()
                self._seconds.labels(event.operation).observe(event.elapsed_s)
                self._received.labels(event.operation).inc(event.body_bytes)
            case RequestFailed():
                self._requests.labels(event.operation, error_type(event.error)).inc()
                self._seconds.labels(event.operation).observe(event.elapsed_s)
            case RetryScheduled():
                self._retries.labels(event.operation, error_type(event.error)).inc()
            case TokenRenewed():
                self._renewals.labels(event.by).inc()
