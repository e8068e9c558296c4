"""An embedded service with a client."""

from collections.abc import AsyncIterator

import pytest

from besmart_async import BesmartClient, RetryPolicy
from besmart_async.simulator import Simulator
from tests.services import client_in_process, five_sensors, in_both_dialects

simulator = pytest.fixture(five_sensors)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    in_both_dialects(metafunc, {"test_job", "test_latest"})


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[BesmartClient]:
    async with client_in_process(simulator, RetryPolicy(max_attempts=1)) as made:
        yield made
