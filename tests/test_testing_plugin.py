"""The pytest plugin as its users meet it: in a test run of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

USERS_TESTS = """
from besmart_async import BesmartClient, SignalData, SignalKey
from besmart_async.simulator import Fault

KEY = SignalKey(12, 122, 32)
written = SignalData(KEY, [1_600_000_000_000], [1.5], unit="kW.h")


async def test_a_write_arrives(besmart_client, besmart_simulator):
    assert isinstance(besmart_client, BesmartClient)
    await besmart_client.signals.write(written)
    assert [reading.value for reading in besmart_simulator.stored(12, 122, 32)][-1] == 1.5


async def test_every_test_has_a_fresh_simulator(besmart_client, besmart_simulator):
    assert besmart_simulator.requests == []
    found = await besmart_client.signals.read(KEY, 1_600_000_000_000, 1_600_000_000_001)
    assert len(found) == 0


async def test_faults_can_be_injected(besmart_client, besmart_simulator):
    besmart_simulator.faults.add(Fault(path="^/sensors", status=404))
    try:
        await besmart_client.sensors.get(1, 1)
    except Exception as error:
        assert type(error).__name__ == "NotFoundError"
    else:
        raise AssertionError


def test_a_simulator_needs_no_event_loop(besmart_simulator):
    besmart_simulator.faults.add(Fault(status=500))
    assert besmart_simulator.stored(1, 2, 32) == []
"""


@pytest.fixture
def users(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's test folder, as strict about warnings as can be."""
    pytester.makeini(
        """
        [pytest]
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
        filterwarnings = error
        """
    )
    return pytester


def test_the_plugin_needs_no_configuration(users: pytest.Pytester) -> None:
    users.makepyfile(USERS_TESTS)
    users.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)


def test_its_fixtures_are_listed_with_what_they_are(users: pytest.Pytester) -> None:
    listed = users.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider").stdout.str()
    assert "besmart_simulator" in listed
    assert "A fresh simulator of the documented service" in listed
    assert "A client of `besmart_simulator`" in listed


def test_a_client_of_the_simulator_can_be_made_without_a_fixture(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        from besmart_async.simulator import Simulator
        from besmart_async.testing import simulated_client

        async def test_own_credentials_are_taken_over():
            simulator = Simulator(api_key="k", login="me", password="other")
            async with simulated_client(simulator) as client:
                assert len(await client.sensors.types()) > 0
            assert simulator.logins == 1
            simulator.close()
        """
    )
    users.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_client_may_stay_open_without_a_warning(users: pytest.Pytester) -> None:
    users.makepyfile(
        """
        import gc

        async def test_nothing_is_left_open(besmart_client):
            await besmart_client.sensors.types()

        def test_nothing_is_found_afterwards():
            gc.collect()
        """
    )
    users.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_test_runs_that_do_not_use_it_do_not_load_the_simulator() -> None:
    code = "import sys, besmart_async.testing; print('starlette' in sys.modules, 'uvicorn' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]


def test_without_the_extra_the_fixture_says_what_to_install(users: pytest.Pytester) -> None:
    users.makeconftest("import sys; sys.modules['starlette'] = None")
    users.makepyfile("def test_it(besmart_client): ...")
    done = users.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(errors=1)
    assert "pip install 'besmart-async[simulator]'" in done.stdout.str()
