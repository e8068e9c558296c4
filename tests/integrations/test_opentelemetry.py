"""A client's events as OpenTelemetry metrics and spans, under the names of the HTTP client conventions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from besmart_async import (
    BatchPolicy,
    BesmartClient,
    ConnectError,
    Hook,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    ServerError,
    SignalKey,
    SignalQuery,
    TokenRenewed,
    Writer,
)
from besmart_async.batching.read.reader import Reader
from besmart_async.integrations.opentelemetry import OpenTelemetryHook
from besmart_async.simulator import Fault, Simulator

PATH = "/sensors/{client_cid}.{sensor_mid}"
NOW_NS = 1_600_000_000_000_000_000


class Telemetry:
    """Providers that keep what they are told, and a hook of them."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._exporter = InMemorySpanExporter()
        self.meters = MeterProvider([self._reader])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.tracers.get_tracer("test")
        self.hook = OpenTelemetryHook(
            self.tracer,
            self.meters.get_meter("test"),
            base_url="https://api.besmart.energy/api",
            clock_ns=lambda: NOW_NS,
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def points(self) -> dict[str, list[Any]]:
        data = self._reader.get_metrics_data()
        assert data is not None
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    def started(self, attempt: int = 1) -> None:
        self.hook(RequestStarted(operation="sensors.get", method="GET", path=PATH, attempt=attempt, body_bytes=7))

    def answered(self, status: int = 200, attempt: int = 1) -> None:
        self.hook(
            ResponseReceived(operation="sensors.get", attempt=attempt, status=status, elapsed_s=0.25, body_bytes=90)
        )


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


COMMON = {
    "besmart.operation": "sensors.get",
    "http.request.method": "GET",
    "url.template": PATH,
    "server.address": "api.besmart.energy",
    "server.port": 443,
}


def test_durations_are_seconds_by_operation_and_status(telemetry: Telemetry) -> None:
    telemetry.started()
    telemetry.answered()
    telemetry.answered(503)
    good, bad = telemetry.points()["http.client.request.duration"]
    assert (good.count, good.sum) == (1, 0.25)
    assert good.attributes == COMMON | {"http.response.status_code": 200}
    assert bad.attributes == COMMON | {"http.response.status_code": 503, "error.type": "503"}
    assert good.explicit_bounds[-1] == 10.0


def test_bodies_are_measured_both_ways(telemetry: Telemetry) -> None:
    telemetry.started()
    telemetry.answered()
    points = telemetry.points()
    assert points["http.client.request.body.size"][0].sum == 7
    assert points["http.client.response.body.size"][0].sum == 90


def test_retries_and_renewals_are_counted(telemetry: Telemetry) -> None:
    telemetry.started()
    telemetry.hook(RetryScheduled(operation="sensors.get", attempt=1, wait_s=0.5, error=ConnectError("sesame")))
    telemetry.hook(TokenRenewed(by="login", life_s=None))
    points = telemetry.points()
    (retry,), (renewal,) = points["besmart.client.retries"], points["besmart.client.token.renewals"]
    assert (retry.value, retry.attributes) == (1, COMMON | {"error.type": "ConnectError"})
    assert (renewal.value, renewal.attributes) == (1, {"besmart.renewal": "login"})


def test_an_attempt_is_a_client_span_under_the_current_one(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("the caller's") as parent:
        telemetry.started(attempt=2)
        telemetry.answered(attempt=2)
    span = telemetry.spans[0]
    assert (span.name, span.kind) == (f"GET {PATH}", SpanKind.CLIENT)
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert (span.start_time, span.end_time) == (NOW_NS - 250_000_000, NOW_NS)
    assert dict(span.attributes or {}) == COMMON | {"http.response.status_code": 200, "http.request.resend_count": 1}
    assert span.status.status_code is StatusCode.UNSET


def test_a_failed_attempt_is_a_span_in_error_that_names_the_kind_only(telemetry: Telemetry) -> None:
    telemetry.started()
    telemetry.hook(RequestFailed(operation="sensors.get", attempt=1, error=ConnectError("sesame"), elapsed_s=0.1))
    telemetry.answered(404)
    failed, missing = telemetry.spans
    assert [span.status.status_code for span in (failed, missing)] == [StatusCode.ERROR] * 2
    assert dict(failed.attributes or {}) == COMMON | {"error.type": "ConnectError"}
    assert "sesame" not in failed.to_json()


def test_retries_and_renewals_are_events_of_the_current_span(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("the caller's"):
        telemetry.started()
        telemetry.hook(RetryScheduled(operation="sensors.get", attempt=1, wait_s=0.5, error=ConnectError("sesame")))
        telemetry.hook(TokenRenewed(by="refresh", life_s=60))
    retry, renewal = telemetry.spans[0].events
    assert (retry.name, renewal.name) == ("besmart.retry", "besmart.token.renewed")
    assert dict(retry.attributes or {}) == COMMON | {
        "error.type": "ConnectError",
        "besmart.attempt": 1,
        "besmart.wait": 0.5,
    }


async def test_a_client_tells_it_what_it_does_and_no_ids_or_secrets(
    telemetry: Telemetry, client_with_hook: Callable[[Hook], BesmartClient], besmart_simulator: Simulator
) -> None:
    async with client_with_hook(telemetry.hook) as client:
        with telemetry.tracer.start_as_current_span("the caller's") as parent:
            await client.sensors.types()  # logs in
            besmart_simulator.faults.add(Fault(status=503, times=1))
            await client.sensors.get(13, 44143)
    spans = telemetry.spans
    assert [span.name for span in spans] == [
        "POST /users/token",
        "GET /sensors/types",
        f"GET {PATH}",
        f"GET {PATH}",
        "the caller's",
    ]
    trace_id = parent.get_span_context().trace_id
    assert {span.context.trace_id for span in spans if span.context is not None} == {trace_id}
    told = "".join(span.to_json() for span in spans) + repr(telemetry.points())
    for secret in ("password", "API_KEY", "44143", "Bearer"):
        assert secret not in told


def test_without_providers_it_does_nothing_and_fails_nowhere() -> None:
    hook = OpenTelemetryHook()
    hook(ResponseReceived(operation="sensors.get", attempt=1, status=200, elapsed_s=0.1, body_bytes=1))
    hook(TokenRenewed(by="login", life_s=None))


# Bulk reads


def read_spans(telemetry: Telemetry) -> list[ReadableSpan]:
    return [span for span in telemetry.spans if span.name == "besmart read"]


async def test_a_bulk_read_is_a_root_span_with_a_link_to_every_request_in_it(
    telemetry: Telemetry, client_with_hook: Callable[[Hook], BesmartClient]
) -> None:
    async def request(reader: Reader, name: str, sensor: int) -> None:
        with telemetry.tracer.start_as_current_span(name):
            await asyncio.gather(*[reader.read(SignalKey(1, sensor, 1), 0, 1) for _ in range(2)])

    async with client_with_hook(telemetry.hook) as client, client.reader(hooks=[telemetry.hook]) as reader:
        await asyncio.gather(request(reader, "A", 1), request(reader, "B", 2))
    (batch,) = read_spans(telemetry)
    requests = {span.name: span.context.span_id for span in telemetry.spans if span.name in "AB"}
    assert batch.parent is None
    assert {link.context.span_id for link in batch.links} == set(requests.values())
    assert len(batch.links) == 2
    assert batch.attributes == {
        "besmart.operation": "signals.read_bulk", "besmart.queries": 2, "besmart.answered": 2, "besmart.readings": 0,
    }  # fmt: skip
    (attempt,) = [span for span in telemetry.spans if span.name == "POST /sensors/signals/data"]
    assert attempt.parent is not None
    assert attempt.parent.span_id == batch.context.span_id


async def test_a_bulk_read_that_fails_is_an_error_and_a_stream_is_one_link(
    telemetry: Telemetry, client_with_hook: Callable[[Hook], BesmartClient], besmart_simulator: Simulator
) -> None:
    besmart_simulator.faults.add(Fault(operation="sensors.post_signals_data", status=500))
    queries = [SignalQuery(SignalKey(1, sensor, 1), 0, 1) for sensor in range(1, 4)]
    async with client_with_hook(telemetry.hook) as client, client.reader(hooks=[telemetry.hook]) as reader:
        with telemetry.tracer.start_as_current_span("stream"), pytest.raises(ServerError):
            async for _ in reader.stream(queries):
                pytest.fail("there is no answer")
    (batch,) = read_spans(telemetry)
    assert batch.status.status_code is StatusCode.ERROR
    assert batch.attributes is not None
    assert batch.attributes["error.type"] == "500"
    (stream,) = [span for span in telemetry.spans if span.name == "stream"]
    assert [link.context.span_id for link in batch.links] == [stream.context.span_id]


# Bulk writes


async def test_a_bulk_write_is_a_root_span_and_hangs_on_none_of_the_requests_in_it(
    telemetry: Telemetry, client_with_hook: Callable[[Hook], BesmartClient]
) -> None:
    async def request(writer: Writer, name: str, time: int) -> None:
        with telemetry.tracer.start_as_current_span(name):
            await writer.write(SignalKey(12, 122, 32), time, 1.0)

    async with client_with_hook(telemetry.hook) as client:
        await client.users.login()
        async with client.writer(BatchPolicy(linger_s=0.01)) as writer:
            await asyncio.gather(request(writer, "A", 1), request(writer, "B", 2))
            await writer.flush()
    (call,) = [span for span in telemetry.spans if span.name == "PUT /sensors/signals/data"]
    assert call.parent is None


# Beside the instrumentation of httpx


@pytest.fixture
def instrumented(telemetry: Telemetry) -> Iterator[None]:
    httpx_instrumentation = pytest.importorskip("opentelemetry.instrumentation.httpx")
    instrumentor = httpx_instrumentation.HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.tracers)
    yield
    instrumentor.uninstrument()


@pytest.mark.usefixtures("instrumented")
async def test_a_request_has_one_client_span_also_where_httpx_is_instrumented(telemetry: Telemetry) -> None:
    simulator = Simulator()
    async with (
        simulator.serve() as url,
        BesmartClient(token=simulator.issue_token(), base_url=url, hooks=[telemetry.hook]) as client,
        client.reader(hooks=[telemetry.hook]) as reader,
    ):
        with telemetry.tracer.start_as_current_span("a request"):
            await reader.read(SignalKey(12, 122, 32), 0, 1)
    simulator.close()
    (attempt,) = [span for span in telemetry.spans if span.kind is SpanKind.CLIENT]
    (batch,) = read_spans(telemetry)
    assert attempt.parent is not None
    assert attempt.parent.span_id == batch.context.span_id
    assert "http.client.request.duration" in telemetry.points()


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("wanted", [True, False])
def test_spans_of_attempts_can_be_chosen(telemetry: Telemetry, wanted: bool) -> None:
    hook = OpenTelemetryHook(telemetry.tracer, attempt_spans=wanted)
    hook(RequestStarted(operation="sensors.get", method="GET", path=PATH, attempt=1, body_bytes=7))
    hook(ResponseReceived(operation="sensors.get", attempt=1, status=200, elapsed_s=0.25, body_bytes=90))
    assert len(telemetry.spans) == wanted
