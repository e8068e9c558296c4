"""OpenTelemetry metrics and traces of a client (extra `otel`): `BesmartClient(..., hooks=[OpenTelemetryHook()])`.

Give the same hook to `client.reader(hooks=[...])` for a span of each bulk read.

Names follow the semantic conventions for HTTP clients, https://opentelemetry.io/docs/specs/semconv/http/. What has no
name there is `besmart.*`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any
from urllib.parse import urlsplit

from besmart_async.batching.read.events import (
    ReadBatchAnswered,
    ReadBatchFailed,
    ReadBatchSent,
    ReadBatchSplit,
    ReadEvent,
)
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
    from opentelemetry import context, metrics, trace
except ModuleNotFoundError as error:
    hint = "opentelemetry-api is missing: pip install 'besmart-async[otel]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

SCOPE = "besmart_async"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The boundaries the conventions ask for."""
BYTES = tuple(float(4**power) for power in range(3, 13))
"""64 bytes to 16 MiB: the SDK's own boundaries end at 10,000, below any batch."""

Attributes = dict[str, str | int]


class OpenTelemetryHook:
    """Reports to OpenTelemetry what a client does. One hook serves any number of clients and readers of one service.

    Metrics, each with `besmart.operation`, `http.request.method`, `url.template` and, if `base_url` is given,
    `server.address` and `server.port`:

    - `http.client.request.duration` (s), with `http.response.status_code` and, for failures, `error.type`; its count
      is the number of requests by operation and status.
    - `http.client.request.body.size`, `http.client.response.body.size` (By); their sums are the bytes moved.
    - `besmart.client.retries`, with `error.type`; `besmart.client.token.renewals`, with `besmart.renewal` only.

    Traces:

    - A CLIENT span per attempt under the span that is current where the call was made, and the events `besmart.retry`
      and `besmart.token.renewed` on that span. An attempt that is cancelled is not recorded. Where httpx is
      instrumented by OpenTelemetry, its instrumentation makes these spans, and the hook does not (`attempt_spans`).
    - A span `besmart read` per bulk call of a reader that has the hook: a root with a link to each span in which
      a read of that call was asked, because the call belongs to none of them and may outlive them. The attempts of the
      call are its children.

    Attributes are paths with their placeholders, statuses and names of error classes: no ids, tokens, texts or URLs.
    """

    def __init__(
        self,
        tracer: trace.Tracer | None = None,
        meter: metrics.Meter | None = None,
        *,
        base_url: str | None = None,
        attempt_spans: bool | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Make the instruments.

        Args:
            tracer: by default one of the global provider.
            meter: by default one of the global provider.
            base_url: the client's, to name the server.
            attempt_spans: whether to make a span per attempt; None makes them unless httpx is instrumented. Give True
                where that instrumentation does not see the client's transport, such as `aiohttp_transport()`, and
                False where another one does.
            clock_ns: the clock of spans, ns since the epoch.
        """
        self._tracer = trace.get_tracer(SCOPE) if tracer is None else tracer
        meter = metrics.get_meter(SCOPE) if meter is None else meter
        self._clock_ns = clock_ns
        self._server = _server(base_url)
        self._attempt_spans = attempt_spans
        self._batches: dict[tuple[asyncio.Task[Any] | None, int], trace.Span] = {}
        self._requests: dict[str, Attributes] = {}

        def histogram(name: str, unit: str, description: str, boundaries: tuple[float, ...]) -> metrics.Histogram:
            return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=boundaries)

        self._seconds = histogram("http.client.request.duration", "s", "Duration of HTTP client requests.", SECONDS)
        self._sent = histogram("http.client.request.body.size", "By", "Size of HTTP client request bodies.", BYTES)
        self._received = histogram(
            "http.client.response.body.size", "By", "Size of HTTP client response bodies.", BYTES
        )
        self._retries = meter.create_counter("besmart.client.retries", "{retry}", "Attempts that are repeated.")
        self._renewals = meter.create_counter("besmart.client.token.renewals", "{renewal}", "Tokens obtained.")

    def __call__(self, event: Event | ReadEvent) -> None:
        """Record one event."""
        match event:
            case RequestStarted():
                self._started(event)
            case ResponseReceived():
                self._answered(event)
            case RequestFailed():
                failed: Attributes = {"error.type": error_type(event.error)}
                self._ended(event, self._attributes(event.operation) | failed)
            case RetryScheduled():
                attributes = self._attributes(event.operation) | {"error.type": error_type(event.error)}
                self._retries.add(1, attributes)
                waiting: dict[str, str | int | float] = {"besmart.attempt": event.attempt, "besmart.wait": event.wait_s}
                trace.get_current_span().add_event("besmart.retry", {**attributes, **waiting})
            case TokenRenewed():
                self._renewals.add(1, {"besmart.renewal": event.by})
                trace.get_current_span().add_event("besmart.token.renewed", {"besmart.renewal": event.by})
            case ReadBatchSent():
                self._batch_sent(event)
            case ReadBatchAnswered():
                counts: Attributes = {"besmart.answered": event.answered, "besmart.readings": event.readings}
                self._batch_ended(event, counts)
            case ReadBatchSplit() | ReadBatchFailed():
                self._batch_ended(event, {"error.type": error_type(event.error)})

    def _started(self, event: RequestStarted) -> None:
        # Later events name only the operation; each of the 26 always has the same method and path.
        attributes: Attributes = {
            "besmart.operation": event.operation,
            "http.request.method": event.method,
            "url.template": event.path,
        }
        self._requests[event.operation] = attributes | self._server
        self._sent.record(event.body_bytes, self._attributes(event.operation))

    def _answered(self, event: ResponseReceived) -> None:
        attributes = self._attributes(event.operation) | {"http.response.status_code": event.status}
        if event.status >= 400:
            attributes["error.type"] = str(event.status)
        self._received.record(event.body_bytes, attributes)
        self._ended(event, attributes)

    def _ended(self, event: ResponseReceived | RequestFailed, attributes: Attributes) -> None:
        self._seconds.record(event.elapsed_s, attributes)
        if not (self._attempt_spans if self._attempt_spans is not None else not _httpx_is_instrumented()):
            return
        now_ns = self._clock_ns()
        resent: Attributes = {"http.request.resend_count": event.attempt - 1} if event.attempt > 1 else {}
        method, template = attributes.get("http.request.method", "HTTP"), attributes.get("url.template", "")
        span = self._tracer.start_span(
            f"{method} {template}".rstrip(),
            kind=trace.SpanKind.CLIENT,
            attributes={**attributes, **resent},
            start_time=now_ns - round(event.elapsed_s * 1e9),
        )
        if "error.type" in attributes:
            span.set_status(trace.StatusCode.ERROR)
        span.end(now_ns)

    def _batch_sent(self, event: ReadBatchSent) -> None:
        span = self._tracer.start_span(
            "besmart read",
            context=context.Context(),  # a root
            attributes={"besmart.operation": "signals.read_bulk", "besmart.queries": event.queries},
            links=_links(event.contexts),
            start_time=self._clock_ns(),
        )
        self._batches[_task(), event.batch] = span
        # The hook runs in the task of the call, whose context ends with it: nothing has to be detached.
        context.attach(trace.set_span_in_context(span))

    def _batch_ended(self, event: ReadBatchAnswered | ReadBatchSplit | ReadBatchFailed, found: Attributes) -> None:
        span = self._batches.pop((_task(), event.batch), None)
        if span is None:
            return
        span.set_attributes(found)
        if "error.type" in found:
            span.set_status(trace.StatusCode.ERROR)
        span.end(self._clock_ns())

    def _attributes(self, operation: str) -> Attributes:
        return self._requests.get(operation, {"besmart.operation": operation})


def _task() -> asyncio.Task[Any] | None:
    """The task of the call: a batch's number is unique only in its reader."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # called outside of an event loop
        return None


def _links(contexts: Iterable[Context]) -> list[trace.Link]:
    found = [one.run(trace.get_current_span).get_span_context() for one in contexts]
    distinct = {(one.trace_id, one.span_id): one for one in found if one.is_valid}
    return [trace.Link(one) for one in distinct.values()]


def _httpx_is_instrumented() -> bool:
    module = sys.modules.get("opentelemetry.instrumentation.httpx")  # not imported: then it is not active
    return module is not None and bool(module.HTTPXClientInstrumentor().is_instrumented_by_opentelemetry)


def _server(base_url: str | None) -> Attributes:
    if base_url is None:
        return {}
    parts = urlsplit(base_url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    address: Attributes = {"server.address": parts.hostname or ""}
    return address | ({} if port is None else {"server.port": port})
