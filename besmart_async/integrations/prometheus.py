"""Prometheus metrics of a client (extra `prometheus`).

`BesmartClient(..., hooks=[PrometheusHook()])` counts requests; `ClientCollector(client)` shows what waits.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterable, Iterator
from weakref import WeakKeyDictionary, ref

import attrs

from besmart_async.client import BesmartClient
from besmart_async.integrations.labels import error_type
from besmart_async.models.health import Health
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
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    hint = "prometheus-client is missing: pip install 'besmart-async[prometheus]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of durations: from the fastest single read to a large batch's time-out."""

_ANSWER_WITHIN_S = 5.0
"""How long a scrape waits for an event loop that is busy."""


@attrs.frozen
class _Instruments:
    requests: Counter
    seconds: Histogram
    retries: Counter
    renewals: Counter
    sent: Counter
    received: Counter

    @classmethod
    def of(cls, registry: CollectorRegistry) -> _Instruments:
        """Return the metrics of a registry, registered with the first call for it."""
        found = _instruments.get(registry)
        if found is not None:
            return found

        def counter(name: str, description: str, *labels: str) -> Counter:
            return Counter(f"besmart_{name}", description, labels, registry=registry)

        made = _instruments[registry] = cls(
            counter("requests", "Attempts that ended", "operation", "status"),
            Histogram(
                "besmart_request_duration_seconds",
                "Duration of attempts",
                ("operation",),
                registry=registry,
                buckets=SECONDS,
            ),
            counter("retries", "Attempts that are repeated", "operation", "reason"),
            counter("token_renewals", "Tokens obtained", "by"),
            counter("sent_bytes", "Bytes of request bodies", "operation"),
            counter("received_bytes", "Bytes of answers' bodies", "operation"),
        )
        return made


_instruments: WeakKeyDictionary[CollectorRegistry, _Instruments] = WeakKeyDictionary()


class PrometheusHook:
    """Counts what clients do. Hooks of one registry share its metrics, so that several apps may live in one process.

    - `besmart_requests_total{operation, status}`: attempts that ended; `status` is the HTTP status, or the error's
      class (`ConnectError`) where no answer came.
    - `besmart_request_duration_seconds{operation}`: a histogram of how long they took.
    - `besmart_retries_total{operation, reason}`: attempts that will be repeated, `reason` as `status` above.
    - `besmart_token_renewals_total{by}`: `login` or `refresh`.
    - `besmart_sent_bytes_total{operation}`, `besmart_received_bytes_total{operation}`: bodies.

    Labels hold no ids and no texts of the service: `operation` is one of the client's methods.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the metrics, unless a hook before did.

        Args:
            registry: where to; by default prometheus-client's own.
        """
        self._metrics = _Instruments.of(REGISTRY if registry is None else registry)

    def __call__(self, event: Event) -> None:
        """Count one event."""
        match event:
            case RequestStarted():
                self._metrics.sent.labels(event.operation).inc(event.body_bytes)
            case ResponseReceived():
                self._metrics.requests.labels(event.operation, str(event.status)).inc()
                self._metrics.seconds.labels(event.operation).observe(event.elapsed_s)
                self._metrics.received.labels(event.operation).inc(event.body_bytes)
            case RequestFailed():
                self._metrics.requests.labels(event.operation, error_type(event.error)).inc()
                self._metrics.seconds.labels(event.operation).observe(event.elapsed_s)
            case RetryScheduled():
                self._metrics.retries.labels(event.operation, error_type(event.error)).inc()
            case TokenRenewed():
                self._metrics.renewals.labels(event.by).inc()


class ClientCollector(Collector):
    """Shows, at each scrape, what a client and its writers have to do: `ClientCollector(client)` registers itself.

    Gauges, each with the label `client`:

    - `besmart_ready`: 1 if nothing is known to be wrong, see `BesmartClient.health`.
    - `besmart_calls_in_flight`, `besmart_calls_waiting`, `besmart_pause_seconds`, `besmart_token_valid_seconds`,
      `besmart_last_answer_age_seconds`.
    - `besmart_writers{state}`: open writers by state.
    - `besmart_pending_readings`, `besmart_pending_bytes`, `besmart_oldest_pending_seconds`: what writers have accepted
      and not delivered; with a journal, that is its backlog.
    - `besmart_batches_in_flight`, `besmart_batches_in_flight_limit`, `besmart_batch_signals_limit`: what the writers
      have learned of the service.

    Counters: `besmart_readings_total{outcome}`: readings of the open writers that were `delivered`, `rejected` or are
    `in_doubt`.
    """

    def __init__(self, client: BesmartClient, name: str = "default", registry: CollectorRegistry | None = None) -> None:
        """Register the collector; it ends with the client, or with `registry.unregister`.

        Args:
            client: the client; only weakly referenced.
            name: the value of the label `client`, for several in one process.
            registry: where to register; by default prometheus-client's own.
        """
        self._client = ref(client)
        self._name = name
        (REGISTRY if registry is None else registry).register(self)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: several collectors of one registry share the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; a scrape in another thread waits for the client's event loop."""
        client = self._client()
        if client is None:
            return
        health = _health_of(client)
        if health is None:
            return
        calls, writers = health.transport, health.writers
        yield self._gauge("ready", "Whether nothing is known to be wrong", health.ok)
        yield self._gauge("calls_in_flight", "Requests under way", calls.calls_in_flight)
        yield self._gauge("calls_waiting", "Calls that wait for a connection", calls.calls_waiting)
        yield self._gauge("pause_seconds", "Rest of the pause that the service asked for", calls.paused_s)
        yield self._gauge("token_valid_seconds", "For how long the token is valid", calls.token_expires_in_s)
        yield self._gauge("last_answer_age_seconds", "Since the service last answered", calls.last_answer_age_s)
        states = GaugeMetricFamily("besmart_writers", "Open writers by state", labels=["client", "state"])
        for state in ("open", "paused", "stopped"):
            states.add_metric([self._name, state], sum(writer.state == state for writer in writers))
        yield states
        yield self._gauge("pending_readings", "Readings without a final outcome", health.pending)
        yield self._gauge(
            "pending_bytes", "Memory of what writers hold", sum(writer.memory_bytes for writer in writers)
        )
        oldest = max((writer.oldest_pending_s for writer in writers), default=0.0)
        yield self._gauge("oldest_pending_seconds", "Age of the oldest reading without an outcome", oldest)
        yield self._gauge("batches_in_flight", "Bulk writes under way", sum(writer.in_flight for writer in writers))
        most = sum(writer.max_in_flight for writer in writers)
        yield self._gauge("batches_in_flight_limit", "Bulk writes that may be under way", most)
        most = max((writer.max_items for writer in writers), default=0)
        yield self._gauge("batch_signals_limit", "Signals that a bulk write may hold", most)
        readings = CounterMetricFamily("besmart_readings", "Readings by outcome", labels=["client", "outcome"])
        for outcome in ("delivered", "rejected", "in_doubt"):
            readings.add_metric([self._name, outcome], sum(getattr(writer, outcome) for writer in writers))
        yield readings

    def _gauge(self, name: str, description: str, value: float | None) -> Metric:
        gauge = GaugeMetricFamily(f"besmart_{name}", description, labels=["client"])
        if value is not None:
            gauge.add_metric([self._name], float(value))
        return gauge


def _health_of(client: BesmartClient) -> Health | None:
    """Return the health, asked for in the client's event loop; None if the loop does not answer."""
    loop = client.loop
    if loop is None or loop.is_closed():
        return client.health()
    try:
        if asyncio.get_running_loop() is loop:
            return client.health()
    except RuntimeError:
        pass  # a thread that serves scrapes

    async def health() -> Health:
        return client.health()

    asked = asyncio.run_coroutine_threadsafe(health(), loop)
    try:
        return asked.result(_ANSWER_WITHIN_S)
    except concurrent.futures.TimeoutError:
        asked.cancel()
        return None
