"""Write a day of readings of one meter and read it back.

Against the service: set BESMART_API_KEY, BESMART_LOGIN and BESMART_PASSWORD. Without them: against the simulator.
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta

from besmart_async import BesmartClient, SignalData, SignalKey
from besmart_async.simulator import Simulator


async def write_and_read(client: BesmartClient) -> None:
    key = SignalKey.parse("12.122.32")  # client 12, sensor 122, signal type 32 (A+, kW.h)
    start = datetime(2024, 3, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=15 * quarter) for quarter in range(96)]
    await client.signals.write(SignalData(key, times, [round(0.25 * n, 2) for n in range(96)], unit="kW.h"))

    data = await client.signals.read(key, start, start + timedelta(days=1), get_last=True)
    print(data)
    print(data.to_polars().head(3))


async def main() -> None:
    if "BESMART_LOGIN" in os.environ:
        async with BesmartClient.from_env() as client:
            await write_and_read(client)
        return
    async with Simulator().serve() as base_url:
        credentials = {"BESMART_API_KEY": "API_KEY", "BESMART_LOGIN": "login", "BESMART_PASSWORD": "password"}
        async with BesmartClient.from_env(credentials | {"BESMART_BASE_URL": base_url}) as client:
            await write_and_read(client)


asyncio.run(main())
