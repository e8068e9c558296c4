"""Tokens that die all the time, logins that fail for a while: nothing is lost, and nobody logs in more than needed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from besmart_async import AuthenticationError, BatchPolicy, RetryPolicy
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_READ, BULK_WRITE, LOGIN, QUICK, Stage, signal, stage_of
from tests.faults.traffic import busy, single_calls


async def revoke_again_and_again(stage: Stage, every_s: float) -> None:
    """Let all tokens die every so often, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        stage.simulator.revoke_tokens()


async def test_tokens_that_die_all_the_time_lose_nothing(seed: int) -> None:
    # A token that dies between the login and the repeated request costs one more try of the call.
    async with stage_of(seed) as stage:
        storm = asyncio.create_task(revoke_again_and_again(stage, 0.05))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, reads=False)
            failed = await single_calls(stage, first_sensor=31)
        storm.cancel()
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
        assert failed <= 3
        assert stage.simulator.logins > 1


async def test_tokens_of_a_second_are_refreshed_while_traffic_goes_on(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.token_lifetime_s = 1.2
        async with stage.witness() as witness:
            for _ in range(6):  # the pauses alone outlast the token
                outcomes = await busy(stage, witness, sensors=20, rounds=4)
                assert outcomes.count(None) == len(outcomes)
                await asyncio.sleep(0.3)
        stage.everything_delivered()
        assert stage.simulator.refreshes + stage.simulator.logins >= 2


@pytest.mark.parametrize("share", [0.1, 0.3])
async def test_requests_refused_with_401_at_random_lose_nothing(seed: int, share: float) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(operation=BULK_WRITE, status=401, probability=share))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=6)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()


FAILING_LOGINS: dict[str, dict[str, Any]] = {
    "503": {"status": 503, "times": 5},
    "reset": {"reset": "before", "times": 5},
    "reset after": {"reset": "after", "times": 5},
    "html": {"status": 502, "body": "<html></html>", "times": 5},
    "half": {"truncate_at": 0.5, "times": 5},
}


@pytest.mark.parametrize("way", FAILING_LOGINS)
async def test_logins_that_fail_for_a_while_are_tried_again_once_for_all(seed: int, way: str) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(operation=LOGIN, **FAILING_LOGINS[way]))
        async with stage.witness() as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=4)
        assert outcomes.count(None) == len(outcomes)
        stage.everything_delivered()
        assert stage.simulator.count(LOGIN) <= 7


@pytest.mark.looptime
async def test_refused_credentials_pause_the_writer_for_as_long_as_it_takes(seed: int) -> None:
    async with stage_of(seed, sockets=False) as stage:
        stage.simulator.settings.password = "changed meanwhile"
        async with stage.witness(BatchPolicy(delivery_timeout_s=60.0, close_timeout_s=600.0)) as witness:
            for sensor in range(1, 41):
                await witness.write(signal(sensor), 1000)
            await asyncio.sleep(1800)
            assert witness.writer.report.state == "paused"
            assert witness.writer.report.pending == 40
            assert stage.simulator.count(LOGIN) <= 1800 / 5 + 10
            stage.simulator.settings.password = "password"
        stage.everything_delivered()


@pytest.mark.looptime
async def test_refused_credentials_end_single_calls_and_reads_with_the_reason(seed: int) -> None:
    async with stage_of(seed, sockets=False, retry=RetryPolicy()) as stage:
        stage.simulator.settings.password = "changed meanwhile"
        async with stage.client.reader() as reader:
            calls = [stage.client.signals.read(signal(1), 0, 1), reader.read(signal(1), 0, 1)]
            errors = await stage.all_of([*calls, stage.client.sensors.types()])
        assert [type(error) for error in errors] == [AuthenticationError] * 3
        assert stage.simulator.count(LOGIN) == 1  # a crowd of callers is one failed login


async def test_a_client_with_a_dead_token_alone_says_what_to_do_and_hands_everything_back(seed: int) -> None:
    settings: dict[str, Any] = {"token": "dead", "login": None, "password": None, "api_key": None}
    async with stage_of(seed, retry=RetryPolicy(initial_wait_s=0.01), **settings) as stage:
        (error,) = await stage.all_of([stage.client.sensors.types()])
        assert isinstance(error, AuthenticationError)
        assert "give it a new token" in str(error)
        async with stage.witness(BatchPolicy(close_timeout_s=0.2, linger_s=0.0)) as witness:
            await stage.all_of(witness.write(signal(sensor), 1000) for sensor in range(1, 11))
        stage.nothing_lost()
        assert stage.oracle.handed_back == {"rejected": 10}


async def test_reads_refused_with_401_at_random_are_answered(seed: int) -> None:
    async with stage_of(seed) as stage:
        stage.simulator.faults.add(Fault(operation=BULK_READ, status=401, probability=0.2, times=20))
        async with stage.witness(QUICK) as witness:
            outcomes = await busy(stage, witness, sensors=20, rounds=6)
        refused = [error for error in outcomes if error is not None]
        assert all(isinstance(error, AuthenticationError) for error in refused)
        assert len(refused) <= 4  # twice in a row, with a new token between: that is an answer
        stage.nothing_lost()
