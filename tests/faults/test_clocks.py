"""Clocks that differ by hours, and clocks that jump by a day: nothing hangs, nothing is lost, logins are few."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from besmart_async import BatchPolicy, RetryPolicy
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_WRITE, LOGIN, QUICK, Stage, signal, stage_of
from tests.faults.traffic import busy, single_calls

DAY_S = 86_400.0


@pytest.mark.parametrize("skew_s", [-11 * 3600.0, -300.0, 300.0, 11 * 3600.0])
async def test_a_service_whose_clock_is_off_by_hours_is_as_good_as_any(seed: int, skew_s: float) -> None:
    async with stage_of(seed) as stage:
        clock = stage.simulator.settings
        clock.now_ms = lambda: (time.time() + skew_s) * 1000  # tokens and dates alike
        clock.token_lifetime_s = 30.0
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, status=503, retry_after_date_s=-1.0, times=3))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=4)
            failed = await single_calls(stage, first_sensor=31)
        assert (outcomes.count(None), failed) == (len(outcomes), 0)
        stage.everything_delivered()
        assert stage.simulator.logins == 1


@pytest.mark.parametrize("skew_s", [-11 * 3600.0, 11 * 3600.0])
async def test_dates_that_contradict_the_tokens_cost_a_login_now_and_then_and_no_data(seed: int, skew_s: float) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(date_skew_s=skew_s))  # the front end's clock, not that of the tokens
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=4)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
        assert stage.simulator.count(LOGIN) <= 3


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
async def test_the_services_clock_jumps_by_a_day_and_all_tokens_are_suddenly_old(seed: int, jump_s: float) -> None:
    async with stage_of(seed) as stage:
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=4)
            stage.simulator.settings.now_ms = lambda: (time.time() + jump_s) * 1000
            outcomes += await busy(stage, witness, sensors=20, rounds=4)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
async def test_this_machines_wall_clock_jumps_by_a_day_and_nobody_notices(
    seed: int, jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage_of(seed) as stage:
        true_time = time.time
        stage.simulator.settings.now_ms = lambda: true_time() * 1000
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=4)
            monkeypatch.setattr(time, "time", lambda: true_time() + jump_s)  # what the system does to a process
            outcomes += await busy(stage, witness, sensors=20, rounds=4)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
        assert stage.simulator.logins == 1


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward, as a machine's that was asleep."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


@pytest.fixture
def jumping() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        yield runner


def jump(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.ahead_s += seconds


@pytest.mark.parametrize("phase", ["lingering", "in flight", "retry wait", "paused", "blocked"])
def test_the_loops_clock_jumps_by_a_day_and_every_reading_has_its_outcome(
    seed: int, phase: str, jumping: asyncio.Runner
) -> None:
    """A laptop that slept: all deadlines are over at once. What was under way is in doubt, nothing hangs."""

    async def main() -> None:
        async with stage_of(seed, retry=RetryPolicy(max_attempts=2, initial_wait_s=0.01)) as stage:
            stage.patience_s = 30 * DAY_S  # the jump is not to end the test's own patience
            await stage.client.users.login()
            await _begin(stage, phase)
            policy = BatchPolicy(
                linger_s=60.0 if phase == "lingering" else 0.0,
                max_items=5,
                initial_wait_s=600.0 if phase == "retry wait" else 0.02,
                max_wait_s=600.0,
                max_in_flight=2,
                max_memory_bytes=20_000 if phase == "blocked" else 1 << 20,
                hold_off_s=0.2,
            )
            async with stage.witness(policy) as witness:
                work = stage.all_of(witness.deliver(signal(sensor), [1000, 2000]) for sensor in range(1, 41))
                running = asyncio.create_task(work)
                await asyncio.sleep(0.1)
                stage.simulator.faults.clear()
                jump(DAY_S)
                await running
                outcomes = await stage.all_of(witness.deliver(signal(sensor), [3000]) for sensor in range(1, 41))
                assert outcomes.count(None) == 40  # it goes on as if nothing had been
            stage.nothing_lost()

    jumping.run(main())


async def _begin(stage: Stage, phase: str) -> None:
    faults = {
        "in flight": Fault(operation=BULK_WRITE, latency_s=30.0),
        "retry wait": Fault(operation=BULK_WRITE, status=500, times=8),
        "paused": Fault(operation=BULK_WRITE, status=429, retry_after=3600),
        "blocked": Fault(operation=BULK_WRITE, latency_s=30.0),
    }
    if phase in faults:
        stage.simulator.faults.add(faults[phase])


@pytest.mark.looptime
async def test_a_writer_that_idles_for_a_day_between_writes_works_on(seed: int) -> None:
    async with stage_of(seed, sockets=False) as stage:
        async with stage.witness(QUICK) as witness:
            for day in range(10):
                await stage.all_of(witness.deliver(signal(sensor), [day]) for sensor in range(1, 11))
                await asyncio.sleep(DAY_S)
        stage.everything_delivered()
