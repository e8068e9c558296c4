"""The service is away: a maintenance window, a restart, a machine that swallows everything. Then it is back."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import attrs
import pytest

from besmart_async import BatchPolicy, RetryPolicy, ServerError, TransportError
from besmart_async.simulator import Fault
from tests.faults.stage import QUICK, signal, stage_of
from tests.faults.traffic import busy, read_back, single_calls

PAGE = "<html><head><title>Maintenance</title></head><body>Back soon</body></html>"
WINDOWS: dict[str, dict[str, Any]] = {
    "plain": {"status": 503},
    "with seconds": {"status": 503, "retry_after": 120},
    "with a date": {"status": 503, "retry_after_date_s": 120.0},
    "a page": {"status": 503, "body": PAGE, "content_type": "text/html"},
    "a page with 200": {"html": True, "apply_items": None},
    "resets": {"reset": "before"},
    "silence": {"latency_s": math.inf},
}


@pytest.mark.looptime
@pytest.mark.parametrize("window", [name for name in WINDOWS if name != "a page with 200"])
async def test_a_maintenance_window_of_20_minutes_is_sat_out(seed: int, window: str) -> None:
    async with stage_of(seed, sockets=False, timeout=30.0) as stage:
        policy = BatchPolicy(delivery_timeout_s=3600, close_timeout_s=3600)
        async with stage.witness(policy) as witness:
            for sensor in range(1, 21):
                await witness.write(signal(sensor), 0)
            await witness.flush()
            away = stage.simulator.faults.add(Fault(**WINDOWS[window]))
            for minute in range(1, 21):
                for sensor in range(1, 41):
                    await witness.write(signal(sensor), minute * 60_000)
                await asyncio.sleep(60)
            asked = away.seen
            stage.simulator.faults.remove(away)
        stage.everything_delivered()
        assert asked <= 1200 / 5 + 20  # it was asked after, not hammered


@pytest.mark.looptime
async def test_a_window_longer_than_the_patience_hands_everything_back_with_its_outcome(seed: int) -> None:
    async with stage_of(seed, sockets=False, timeout=30.0) as stage:
        stage.simulator.faults.add(Fault(status=503))
        async with stage.witness(BatchPolicy(delivery_timeout_s=300, close_timeout_s=600)) as witness:
            for sensor in range(1, 41):
                await witness.write(signal(sensor), 0)
            (error,) = await stage.all_of([witness.deliver(signal(1), [1000])])
        assert isinstance(error, ServerError)
        assert witness.writer.report.delivered == 0
        stage.nothing_lost()


@pytest.mark.looptime
async def test_reads_and_single_calls_say_what_is_wrong_instead_of_waiting_for_ever(seed: int) -> None:
    async with stage_of(seed, sockets=False, retry=RetryPolicy(), timeout=30.0) as stage:
        await stage.client.users.login()
        stage.simulator.faults.add(Fault(status=503))
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with stage.client.reader() as reader:
            errors = await stage.all_of([reader.read(signal(1), 0, 1), stage.client.sensors.get(9, 1)])
        assert [type(error) for error in errors] == [ServerError, ServerError]
        assert loop.time() - began < 20


async def test_a_short_outage_on_a_real_socket_with_pages_for_answers(seed: int) -> None:
    async with stage_of(seed) as stage:
        for fault in (Fault(status=503, body=PAGE, content_type="text/html", times=4), Fault(html=True, times=2)):
            stage.simulator.faults.add(fault)
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=4, reads=False)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()


async def test_a_restart_of_the_service_in_the_middle_of_traffic_loses_nothing(seed: int) -> None:
    async with stage_of(seed) as stage:
        port = int(stage.base_url.split(":")[2].partition("/")[0])

        async def restart() -> None:
            for _ in range(2):
                await asyncio.sleep(0.1)
                await stage.simulator.stop()
                stage.simulator.revoke_tokens()
                await asyncio.sleep(0.03)
                await stage.simulator.start(port)

        async with stage.witness(attrs.evolve(QUICK, max_in_flight=1, initial_wait_s=0.2, max_wait_s=0.2)) as witness:
            outcomes = await stage.all_of([restart(), _until_done(stage, witness)])
            assert outcomes == [None, None]
            async with stage.client.reader() as reader:
                read = await stage.all_of(read_back(stage, reader, signal(sensor)) for sensor in range(1, 41))
                assert read == [None] * 40
        stage.everything_delivered()


async def _until_done(stage: Any, witness: Any) -> None:
    for _ in range(8):
        outcomes = await busy(stage, witness, sensors=30, rounds=2, reads=False)
        assert outcomes.count(None) == len(outcomes)
        await asyncio.sleep(0.02)


async def test_a_service_that_is_gone_for_good_ends_every_waiter(seed: int) -> None:
    async with stage_of(seed, retry=RetryPolicy(initial_wait_s=0.01)) as stage:
        await stage.client.users.login()
        await stage.simulator.stop()
        async with stage.witness(BatchPolicy(close_timeout_s=0.3, linger_s=0.0)) as witness:
            for sensor in range(1, 41):
                await witness.write(signal(sensor), 1000)
            waiting = asyncio.gather(
                stage.all_of(witness.deliver(signal(sensor), [2000]) for sensor in range(1, 11)),
                stage.all_of([stage.client.sensors.types()]),
            )
            await asyncio.sleep(0.05)
        delivered, calls = await waiting
        assert all(isinstance(error, TransportError | Exception) for error in [*delivered, *calls])
        stage.nothing_lost()
        assert stage.oracle.handed_back.total() == 50


async def test_single_writes_during_a_flapping_service_are_told_their_true_outcome(seed: int) -> None:
    retry = RetryPolicy(max_attempts=2, initial_wait_s=0.01)
    async with stage_of(seed, retry=retry) as stage:
        for fault in (
            Fault(method="PUT", reset="before", probability=0.2),
            Fault(method="PUT", reset="after", probability=0.2),
            Fault(method="PUT", status=429, probability=0.2),
        ):
            stage.simulator.faults.add(fault)
        stage.simulator.faults.poison((9, 1, 34), (9, 2, 34))
        failed = await single_calls(stage, first_sensor=1, sensors=20, rounds=10)
        stage.nothing_lost()
        assert failed > 0


async def test_writers_of_one_client_do_not_hold_each_other_up(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(operation="sensors.put_signals_data", keys={(9, 1, 34)}, status=500))
        policy = BatchPolicy(linger_s=0.0, close_timeout_s=0.3, initial_wait_s=0.02)
        async with stage.witness(policy) as stuck, stage.witness(QUICK) as well:
            await stuck.write(signal(1), 1000)
            outcomes = await stage.all_of(well.deliver(signal(sensor), [1000]) for sensor in range(2, 41))
            assert outcomes == [None] * 39
            assert stuck.writer.report.pending == 1
        stage.nothing_lost()
        assert stage.oracle.handed_back == {"in_doubt": 1}
