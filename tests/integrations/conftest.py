from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from besmart_async.client import BesmartClient
from besmart_async.config import RetryPolicy
from besmart_async.simulator import Simulator
from besmart_async.transport import Hook, in_process

MakeClient = Callable[[], BesmartClient]


def client_of_simulator(
    simulator: Simulator, hooks: Sequence[Hook] = (), retry: RetryPolicy | None = None
) -> BesmartClient:
    return BesmartClient(
        api_key="API_KEY",
        login="login",
        password="password",
        base_url="http://localhost/api",
        transport=in_process(simulator.app),
        hooks=hooks,
        retry=RetryPolicy(max_attempts=1) if retry is None else retry,
    )


@pytest.fixture
def make_client(besmart_simulator: Simulator) -> MakeClient:
    return lambda: client_of_simulator(besmart_simulator)


@pytest.fixture
def client_with_hook(besmart_simulator: Simulator) -> Callable[[Hook], BesmartClient]:
    retry = RetryPolicy(max_attempts=2, initial_wait_s=0.0, max_wait_s=0.0)
    return lambda hook: client_of_simulator(besmart_simulator, [hook], retry)
