"""500 meters write and read at the same time through one writer and one reader; the wire sees a handful of calls.

Runs by itself, against the embedded simulator over a socket.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from besmart_async import BesmartClient, Reader, Rejection, SignalData, SignalKey, Writer
from besmart_async.simulator import Simulator

METERS = range(1, 501)
START = datetime(2024, 3, 1, tzinfo=UTC)
TIMES = [START + timedelta(minutes=15 * quarter) for quarter in range(4)]


def key_of(meter: int) -> SignalKey:
    return SignalKey(1, meter, 32)  # client 1, this meter, signal type 32 (A+, kW.h)


async def work(meter: int, writer: Writer, reader: Reader) -> SignalData:
    """What one of many coroutines does, as if it were alone."""
    values = [meter + 0.25 * quarter for quarter in range(4)]
    await writer.deliver(SignalData(key_of(meter), TIMES, values))  # returns when the service has stored them
    data = await reader.read(key_of(meter), START, START + timedelta(days=1))
    if data.value.tolist() != values:
        raise SystemExit(f"{key_of(meter)} got what is not its own: {data}")
    return data


def on_reject(rejection: Rejection) -> None:
    print(f"rejected:  {rejection.data}\n           {rejection.error}")


async def run(simulator: Simulator, client: BesmartClient) -> None:
    async with client.writer(on_reject=on_reject) as writer, client.reader() as reader:
        days = await asyncio.gather(*[work(meter, writer, reader) for meter in METERS])
        print(f"delivered: {days[-1]}")
        counted = simulator.count("sensors.put_signals_data"), simulator.count("sensors.post_signals_data")
        print(f"calls for {len(days)} writes: {writer.report.requests} (the simulator counted {counted[0]})")
        print(f"calls for {len(days)} reads:  {reader.report.requests} (the simulator counted {counted[1]})")

        await writer.write(key_of(999_999), START, 1.0)  # accepted here, unknown to the service ...
        await writer.write(key_of(1), START + timedelta(hours=1), 2.0)  # ... which is no harm to its neighbour
        report = await writer.flush()
        print(f"accepted {report.accepted} = delivered {report.delivered} + rejected {report.rejected}")


async def main() -> None:
    simulator = Simulator()
    simulator.add_sensors(1, METERS[3:])  # it comes with meters 1 to 3
    async with (
        simulator.serve() as base_url,
        BesmartClient(api_key="API_KEY", login="login", password="password", base_url=base_url) as client,  # noqa: S106
    ):
        await run(simulator, client)


asyncio.run(main())
