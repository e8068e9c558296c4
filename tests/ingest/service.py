"""A service of a few lines, whose writes do as told."""

import asyncio
from collections.abc import Callable, Sequence

import orjson

from besmart_async import BatchPolicy, SignalData, SignalQuery, SignalType
from besmart_async.batching import Writer, WriterHook
from besmart_async.batching.write.dead_letters import OnReject


class Service:
    """A service whose writes do as told."""

    def __init__(self, write: Callable[[int], object]) -> None:
        self.write = write
        self.calls = 0
        self.bodies: list[bytes] = []
        self.read: list[SignalQuery] = []
        self.arrived: list[tuple[int, float]] = []

    async def types(self) -> list[SignalType]:
        return [SignalType(signal_type_moid=32, symbol="A+", obis_mapping="1.8.0")]

    def writer(self, policy: BatchPolicy, *, on_reject: OnReject, hooks: Sequence[WriterHook]) -> Writer:
        return Writer(self.put, policy, on_reject=on_reject, hooks=hooks)

    async def put(self, body: bytes, /) -> None:
        self.calls += 1
        self.bodies.append(body)
        await asyncio.sleep(0)
        outcome = self.write(self.calls)
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        for item in orjson.loads(body):
            self.arrived += zip(item["data"]["time"], item["data"]["value"], strict=True)

    async def read_bulk(self, queries: Sequence[SignalQuery]) -> list[SignalData]:
        self.read += queries
        return [SignalData.missing(query.key) for query in queries]
