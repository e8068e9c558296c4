from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from besmart_async import BatchPolicy, BesmartClient, Writer
from besmart_async.simulator import Simulator
from tests.services import client_in_process, five_sensors


@pytest.fixture
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    yield from five_sensors(request)


@pytest_asyncio.fixture
async def client(simulator: Simulator) -> AsyncIterator[BesmartClient]:
    async with client_in_process(simulator) as made:
        yield made


QUICK = BatchPolicy(linger_s=0.001, initial_wait_s=0.001, max_wait_s=0.01, hold_off_s=0.01, delivery_timeout_s=0.2)
"""A writer that gives up soon."""


@pytest_asyncio.fixture
async def writer(client: BesmartClient) -> AsyncIterator[Writer]:
    async with client.writer(QUICK) as made:
        yield made
