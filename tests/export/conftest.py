"""An embedded service with a client."""

from collections.abc import AsyncIterator, Iterator

import pytest

from besmart_async import BesmartClient, RetryPolicy
from besmart_async.simulator import Simulator
from besmart_async.transport import in_process


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    made = Simulator(seed=False)
    for sensor_mid in range(1, 6):
        made.add_sensor(1, sensor_mid)
    yield made
    made.close()


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[BesmartClient]:
    async with BesmartClient(
        base_url="http://127.0.0.1/api",
        api_key="API_KEY",
        login="login",
        password="password",
        transport=in_process(simulator.app),
        retry=RetryPolicy(max_attempts=1),
    ) as made:
        yield made
