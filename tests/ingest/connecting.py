"""Ways to open a client in the process of a worker."""

import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from besmart_async import BesmartClient, ConnectError
from besmart_async.simulator import Simulator
from besmart_async.transport import in_process


@asynccontextmanager
async def own_service() -> AsyncGenerator[BesmartClient, None]:
    """A client of an embedded service of its own, which knows the sensors 1.1 to 1.9."""
    simulator = Simulator(seed=False)
    for sensor_mid in range(1, 10):
        simulator.add_sensor(1, sensor_mid)
    async with BesmartClient(
        base_url="http://127.0.0.1/api",
        api_key="API_KEY",
        login="login",
        password="password",
        transport=in_process(simulator.app),
    ) as client:
        yield client
    simulator.close()


class nobody(AbstractAsyncContextManager[BesmartClient]):  # noqa: N801 - called like a function
    """No client: the service cannot be reached."""

    async def __aenter__(self) -> BesmartClient:
        raise ConnectError("nobody is there", outcome="not_sent")

    async def __aexit__(self, *_: object) -> None:
        pass


class death(AbstractAsyncContextManager[BesmartClient]):  # noqa: N801 - as above
    """No client: the process dies."""

    async def __aenter__(self) -> BesmartClient:
        os._exit(7)

    async def __aexit__(self, *_: object) -> None:
        pass
