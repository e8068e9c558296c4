"""A client's events as Prometheus metrics."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest

from besmart_async import (
    BatchPolicy,
    BesmartClient,
    ConnectError,
    Hook,
    RequestFailed,
    RequestStarted,
    Response,
    ResponseReceived,
    RetryScheduled,
    SendingPaused,
    ServerError,
    SignalData,
    SignalKey,
    TokenRenewed,
    WriterEvent,
)
from besmart_async.integrations.prometheus import ClientCollector, PrometheusHook
from besmart_async.simulator import Fault, Simulator

MakeClient = Callable[[], BesmartClient]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def hook(registry: CollectorRegistry) -> PrometheusHook:
    return PrometheusHook(registry)


def test_answers_are_counted_by_operation_and_status(hook: PrometheusHook, registry: CollectorRegistry) -> None:
    for status in (200, 200, 503):
        hook(ResponseReceived(operation="sensors.get", attempt=1, status=status, elapsed_s=0.2, body_bytes=100))
    assert registry.get_sample_value("besmart_requests_total", {"operation": "sensors.get", "status": "200"}) == 2
    assert registry.get_sample_value("besmart_requests_total", {"operation": "sensors.get", "status": "503"}) == 1
    assert registry.get_sample_value("besmart_received_bytes_total", {"operation": "sensors.get"}) == 300


def test_durations_are_seconds_in_a_histogram(hook: PrometheusHook, registry: CollectorRegistry) -> None:
    hook(ResponseReceived(operation="sensors.get", attempt=1, status=200, elapsed_s=0.2, body_bytes=0))
    hook(RequestFailed(operation="sensors.get", attempt=1, error=ConnectError("no"), elapsed_s=3.0))
    within = {
        le: registry.get_sample_value("besmart_request_duration_seconds_bucket", {"operation": "sensors.get", "le": le})
        for le in ("0.1", "0.25", "5.0")
    }
    assert within == {"0.1": 0, "0.25": 1, "5.0": 2}


def test_failures_and_retries_are_counted_by_their_kind(hook: PrometheusHook, registry: CollectorRegistry) -> None:
    unavailable = ServerError(503, "sesame", "sensors.get", Response(503))
    hook(RequestFailed(operation="sensors.get", attempt=1, error=ConnectError("sesame"), elapsed_s=0.1))
    hook(RetryScheduled(operation="sensors.get", attempt=1, wait_s=1, error=ConnectError("sesame")))
    hook(RetryScheduled(operation="sensors.get", attempt=2, wait_s=1, error=unavailable))
    failed = {"operation": "sensors.get", "status": "ConnectError"}
    assert registry.get_sample_value("besmart_requests_total", failed) == 1
    for reason in ("ConnectError", "503"):
        labels = {"operation": "sensors.get", "reason": reason}
        assert registry.get_sample_value("besmart_retries_total", labels) == 1
    assert b"sesame" not in generate_latest(registry)


def test_request_bytes_and_renewals_are_counted(hook: PrometheusHook, registry: CollectorRegistry) -> None:
    hook(RequestStarted(operation="signals.write", method="PUT", path="/x", attempt=1, body_bytes=70))
    hook(TokenRenewed(by="login", life_s=60))
    hook(TokenRenewed(by="refresh", life_s=None))
    assert registry.get_sample_value("besmart_sent_bytes_total", {"operation": "signals.write"}) == 70
    for by in ("login", "refresh"):
        assert registry.get_sample_value("besmart_token_renewals_total", {"by": by}) == 1


async def test_a_client_tells_it_what_it_does(
    hook: PrometheusHook,
    registry: CollectorRegistry,
    client_with_hook: Callable[[Hook], BesmartClient],
    besmart_simulator: Simulator,
) -> None:
    async with client_with_hook(hook) as client:
        besmart_simulator.faults.add(Fault(operation="sensors.put_signals_data", status=503, times=1))
        await client.signals.write_bulk([SignalData(SignalKey(12, 122, 32), [1_600_000_000_000], [1.5])])
    found = {
        (sample.labels["operation"], sample.labels["status"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "besmart_requests_total"
    }
    assert found == {
        ("users.login", "200"): 1,
        ("signals.write_bulk", "503"): 1,
        ("signals.write_bulk", "200"): 1,
    }


def test_hooks_of_one_registry_share_its_metrics(hook: PrometheusHook, registry: CollectorRegistry) -> None:
    for one in (hook, PrometheusHook(registry)):
        one(ResponseReceived(operation="signals.types", attempt=1, status=200, elapsed_s=0.1, body_bytes=2))
    labels = {"operation": "signals.types", "status": "200"}
    assert registry.get_sample_value("besmart_requests_total", labels) == 2


# -- what waits ------------------------------------------------------------------------------------------------------

KEY = SignalKey(1, 1, 32)
T0 = 1_700_006_400_000


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"besmart_{name}", {"client": "meters", **labels})


@pytest.mark.looptime
async def test_gauges_show_a_backlog_while_the_service_is_down_and_its_end(
    make_client: MakeClient, registry: CollectorRegistry, besmart_simulator: Simulator
) -> None:
    client = make_client()
    collector = ClientCollector(client, "meters", registry)
    besmart_simulator.faults.add(Fault(status=503, method="PUT", retry_after=1))
    paused = asyncio.Event()

    def on_event(event: WriterEvent) -> None:
        if isinstance(event, SendingPaused):
            paused.set()

    async with client, client.writer(BatchPolicy(linger_s=0.0), hooks=[on_event]) as writer:
        await writer.write(KEY, T0, 1.5)
        await paused.wait()
        await asyncio.sleep(0.5)  # on the virtual clock, and within the pause
        assert sample(registry, "pending_readings") == 1
        assert sample(registry, "writers", state="paused") == 1
        assert sample(registry, "ready") == 0
        assert (sample(registry, "pending_bytes") or 0) > 0
        assert (sample(registry, "oldest_pending_seconds") or 0) > 0
        besmart_simulator.faults.clear()
        await writer.flush()
        assert sample(registry, "pending_readings") == 0
        assert sample(registry, "readings_total", outcome="delivered") == 1
        assert sample(registry, "oldest_pending_seconds") == 0
        assert sample(registry, "batches_in_flight_limit") == writer.report.max_in_flight
    registry.unregister(collector)


async def test_a_scrape_in_another_thread_asks_in_the_event_loop(
    make_client: MakeClient, registry: CollectorRegistry
) -> None:
    async with make_client() as client:
        ClientCollector(client, "meters", registry)
        await client.sensors.types()
        text = await asyncio.to_thread(generate_latest, registry)
    assert b'besmart_ready{client="meters"} 1.0' in text
    assert b"besmart_last_answer_age_seconds" in text


async def test_several_clients_of_one_process_are_told_apart_and_a_client_that_is_gone_is_not_shown(
    make_client: MakeClient, registry: CollectorRegistry
) -> None:
    clients = {name: make_client() for name in ("a", "b")}
    for name, client in clients.items():
        ClientCollector(client, name, registry)
    assert {name: registry.get_sample_value("besmart_ready", {"client": name}) for name in "ab"} == {"a": 1, "b": 1}
    del clients, client
    gc.collect()
    assert registry.get_sample_value("besmart_ready", {"client": "a"}) is None
