from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from besmart_async.simulator import Simulator


class Clock:
    """A clock that only moves when told to; UTC unix ms."""

    def __init__(self, at_ms: float = 1_600_000_000_000.0) -> None:
        self.at_ms = at_ms

    def __call__(self) -> float:
        return self.at_ms

    def forward(self, seconds: float) -> None:
        self.at_ms += seconds * 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sim(clock: Clock) -> Iterator[Simulator]:
    simulator = Simulator(now_ms=clock)
    yield simulator
    simulator.close()


@pytest.fixture
def live_sim(clock: Clock) -> Iterator[Simulator]:
    simulator = Simulator(now_ms=clock, dialect="live")
    yield simulator
    simulator.close()


def client_of(simulator: Simulator, *, token: bool = True) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {simulator.issue_token()}"} if token else {}
    transport = httpx.ASGITransport(app=simulator.app)
    return httpx.AsyncClient(transport=transport, base_url="http://sim/api", headers=headers)


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(sim) as client:
        yield client


@pytest.fixture
async def live(live_sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(live_sim) as client:
        yield client
