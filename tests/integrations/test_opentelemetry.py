"""A client's events as OpenTelemetry metrics and spans, under the names of the HTTP client conventions."""

from __future__ import annotations

from collections.abc import Callable
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
    BesmartClient,
    ConnectError,
    Hook,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    TokenRenewed,
)
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
