"""The simulator in a process of its own, and the handle that tells it what the weather is and asks what is stored.

Orders and answers are lines of JSON on its standard input and output; when its input ends, so does it.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import orjson
import psutil

from benchmarks.soak.weather import Weather
from besmart_async import SignalKey
from besmart_async.simulator import Fault, Simulator

ROOT = Path(__file__).parents[2]
_LINE_BYTES = 64 << 20
_REQUESTS_KEPT = 1_000


class Row(NamedTuple):
    """One acquisition, as the oracle wants it."""

    time: float
    value: Any
    type: str
    origin: int


class Service:
    """The handle. One order at a time."""

    def __init__(self, process: Process, base_url: str) -> None:
        self.base_url = base_url
        self._process = process
        self._turn = asyncio.Lock()

    @property
    def rss_bytes(self) -> int:
        """Its memory."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    async def become(self, weather: Weather) -> int:
        """Change the weather; return how many calls the last one hit."""
        return int(await self._ask("weather", attrs.asdict(weather)))

    async def poison(self, readings: Iterable[tuple[SignalKey, float]]) -> None:
        """Let writes with one of these readings be refused from now on."""
        await self._ask("poison", [[list(attrs.astuple(key)), time] for key, time in readings])

    async def stored(self) -> dict[SignalKey, list[Row]]:
        """Return every acquisition, in the order of application."""
        found = await self._ask("stored", None)
        return {SignalKey.parse(key): [Row(*row) for row in rows] for key, rows in found.items()}

    async def forget(self) -> None:
        """Keep only the newest acquisition of each reading."""
        await self._ask("forget", None)

    async def _ask(self, order: str, what: Any) -> Any:
        async with self._turn:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(orjson.dumps([order, what]) + b"\n")
            return orjson.loads(await self._process.stdout.readline())


@asynccontextmanager
async def service(seed: int, signals: Iterable[SignalKey]) -> AsyncIterator[Service]:
    """Run one that knows these signals."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.soak.service", stdin=PIPE, stdout=PIPE, cwd=ROOT, limit=_LINE_BYTES
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(orjson.dumps([seed, [list(attrs.astuple(key)) for key in signals]]) + b"\n")
        yield Service(process, (await process.stdout.readline()).decode().strip())
    finally:
        process.kill()
        await process.wait()


class _Orders:
    """The other end of the handle."""

    def __init__(self, simulator: Simulator, signals: list[list[int]]) -> None:
        self._simulator = simulator
        self._signals = [(key[0], key[1], key[2]) for key in signals]
        self._active: list[Any] = []

    def weather(self, fields: dict[str, Any]) -> int:
        simulator = self._simulator
        hits = sum(active.hits for active in self._active)
        for active in self._active:
            simulator.faults.remove(active)
        self._active = [simulator.faults.add(Fault(**fault)) for fault in fields["faults"]]
        simulator.settings.max_body_bytes = fields["max_body_bytes"]
        simulator.settings.close_on_413 = fields["close_on_413"]
        simulator.settings.token_lifetime_s = fields["token_lifetime_s"]
        if fields["revoke"]:
            simulator.revoke_tokens()
        return int(hits)

    def poison(self, readings: list[tuple[list[int], float]]) -> None:
        self._simulator.faults.poison(readings=[((key[0], key[1], key[2]), time) for key, time in readings])

    def stored(self, _: None) -> dict[str, list[list[Any]]]:
        found = {key: self._simulator.stored(*key) for key in self._signals}
        return {".".join(map(str, key)): [list(row[:4]) for row in rows] for key, rows in found.items() if rows}

    def forget(self, _: None) -> None:
        self._simulator.forget_replaced()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    seed, signals = orjson.loads(await orders.readline())
    simulator = Simulator(seed=False, random_seed=seed, requests_kept=_REQUESTS_KEPT)
    for client_cid, sensor_mid in sorted({(key[0], key[1]) for key in signals}):
        simulator.add_sensor(client_cid, sensor_mid)
    answers = _Orders(simulator, signals)
    async with simulator.serve() as base_url:
        print(base_url, flush=True)
        while line := await orders.readline():
            order, what = orjson.loads(line)
            print(orjson.dumps(getattr(answers, order)(what)).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
