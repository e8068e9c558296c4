"""The pytest plugin for applications that use besmart-async: their tests talk to the embedded simulator, in process.

It is loaded by its entry point. Fixtures:

- `besmart_simulator`: a fresh `Simulator` with its seed data; `.stored(...)` tells what arrived, `.faults` injects.
- `besmart_client`: a `BesmartClient` wired to it without a socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from besmart_async.client import BesmartClient
    from besmart_async.simulator import Simulator


def simulated_client(simulator: Simulator) -> BesmartClient:
    """Return a client of `simulator`, in this process and with its credentials. It holds no socket to close."""
    from besmart_async.client import BesmartClient  # noqa: PLC0415 - a plugin must not slow down unrelated test runs
    from besmart_async.transport import in_process  # noqa: PLC0415 - as above

    return BesmartClient(
        api_key=simulator.settings.api_key,
        login=simulator.settings.login,
        password=simulator.settings.password,
        base_url="http://localhost/api",
        transport=in_process(simulator.app),
        dialect=simulator.settings.dialect,
    )


@pytest.fixture
def besmart_simulator() -> Iterator[Simulator]:
    """A fresh simulator of the documented service, in memory."""
    from besmart_async.simulator import Simulator  # noqa: PLC0415 - as above

    simulator = Simulator()
    yield simulator
    simulator.close()


@pytest.fixture
def besmart_client(besmart_simulator: Simulator) -> BesmartClient:
    """A client of `besmart_simulator`."""
    return simulated_client(besmart_simulator)
