"""What every command that talks to the service shares: the client from the environment, and stopping."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from besmart_async.cli.exits import UsageError
from besmart_async.client import BesmartClient
from besmart_async.transport import in_process

if TYPE_CHECKING:
    from besmart_async.simulator import Simulator


@asynccontextmanager
async def client_for(simulator: Simulator | None = None) -> AsyncGenerator[BesmartClient, None]:
    """Open a client of the embedded service, or of the one that the environment names.

    Raises:
        BesmartConfigError: the environment holds no credentials.
    """
    if simulator is None:
        client = BesmartClient.from_env()
    else:
        settings = simulator.settings
        client = BesmartClient(
            base_url="http://127.0.0.1/api",
            api_key=settings.api_key,
            login=settings.login,
            password=settings.password,
            transport=in_process(simulator.app),
        )
    async with client:
        yield client


def embedded() -> type[Simulator]:
    """Return the embedded service's class.

    Raises:
        UsageError: its extra is not installed.
    """
    try:
        from besmart_async.simulator import Simulator
    except ImportError as error:
        problem = f"the embedded service needs its extra ({error}): pip install 'besmart-async[simulator]'"
        raise UsageError(problem) from None
    return Simulator


@contextmanager
def interruptible(*stops: Callable[[], object]) -> Generator[None, None, None]:
    """Call the first of `stops` at the first Ctrl-C (or SIGTERM), and so on; one more ends at once.

    Where the event loop cannot handle signals (Windows), Ctrl-C ends at once.
    """
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    left = list(stops)

    def release() -> None:
        while handled:
            loop.remove_signal_handler(handled.pop())

    def on_signal() -> None:
        stop = left.pop(0)
        if not left:
            release()
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, on_signal)
            handled.append(number)
    try:
        yield
    finally:
        release()
