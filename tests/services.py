"""Embedded services for tests that drive the package from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest

from besmart_async import BesmartClient, RetryPolicy
from besmart_async.simulator import Simulator
from besmart_async.transport import in_process


@contextmanager
def served_in_a_thread(make: Callable[[], Simulator], environment: pytest.MonkeyPatch) -> Generator[Simulator]:
    """Serve from another thread, with its account in the environment: every command has an event loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[Simulator, str]:
        made = make()
        return made, await made.start()

    async def stop(made: Simulator) -> None:
        await made.stop()
        made.close()

    simulator, base_url = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    for name, value in (("BASE_URL", base_url), ("API_KEY", "API_KEY"), ("LOGIN", "login"), ("PASSWORD", "password")):
        environment.setenv(f"BESMART_{name}", value)
    yield simulator
    asyncio.run_coroutine_threadsafe(stop(simulator), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def five_sensors(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """A service that knows the sensors 1.1 to 1.5, closed at the end; `in_both_dialects` makes one of each dialect."""
    made = Simulator(seed=False, dialect=getattr(request, "param", "documented"))
    for sensor_mid in range(1, 6):
        made.add_sensor(1, sensor_mid)
    yield made
    made.close()


def in_both_dialects(metafunc: pytest.Metafunc, modules: set[str], fixture: str = "simulator") -> None:
    """Run the tests of some modules on a service of each dialect, with the client of that dialect."""
    if metafunc.module.__name__.rpartition(".")[2] in modules and fixture in metafunc.fixturenames:
        metafunc.parametrize(fixture, ["documented", "live"], indirect=True)


def client_in_process(simulator: Simulator, retry: RetryPolicy = RetryPolicy()) -> BesmartClient:  # noqa: B008 - a frozen value
    """A client of it without a socket."""
    return BesmartClient(
        base_url="http://127.0.0.1/api",
        api_key="API_KEY",
        login="login",
        password="password",
        transport=in_process(simulator.app),
        retry=retry,
        dialect=simulator.settings.dialect,
    )
