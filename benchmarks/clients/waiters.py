"""Tasks that wait for a writer and are cancelled in random order, while the service answers nothing.

`python -m benchmarks.clients.waiters CONTENDER --url URL --tasks N --total N [--no-collector]`
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np

from benchmarks.clients.clock import timed
from benchmarks.clients.series import START_MS, STEP_MS
from besmart_async import BatchPolicy, BesmartClient, SignalData, SignalKey, UndeliveredError, Writer

_PER_TURN = 100
"""Tasks that start, or are cancelled, in one turn of the event loop: so that the pauses are not of our making."""
_PATIENCE_S = 3600.0
_FULL_BYTES = 1_000_000
_ROOMY_BYTES = 1 << 30
_COLUMN = 1_000
_FULL_S = 0.2
"""A write that has waited for so long finds no room."""

Wait = Callable[[int], Coroutine[Any, Any, None]]
"""Waits until it is cancelled; it is given a number of its own."""


async def write(url: str, tasks: int, total: int) -> None:
    """Each waits in `write`, for a writer without room."""
    async with _writer(url, _FULL_BYTES) as writer:
        await _fill(writer)
        keys = _keys(total)

        async def wait(number: int) -> None:
            await writer.write(keys[number], START_MS, 1.0)

        await _measured(wait, tasks, total)


async def deliver(url: str, tasks: int, total: int) -> None:
    """Each waits in `deliver`, for an acknowledgement."""
    async with _writer(url, _ROOMY_BYTES) as writer:
        data = [SignalData(key, [START_MS], [1.0]) for key in _keys(total)]

        async def wait(number: int) -> None:
            await writer.deliver(data[number])

        await _measured(wait, tasks, total)


async def flush(url: str, tasks: int, total: int) -> None:
    """Each waits in `flush`, for one reading."""
    async with _writer(url, _ROOMY_BYTES) as writer:
        await writer.write(SignalKey(12, 1, 32), START_MS, 1.0)

        async def wait(_: int) -> None:
            await writer.flush()

        await _measured(wait, tasks, total)


async def future(_: str, tasks: int, total: int) -> None:
    """A limit: each waits for a future of its own."""
    loop = asyncio.get_running_loop()

    async def wait(_: int) -> None:
        await loop.create_future()

    await _measured(wait, tasks, total)


def _keys(total: int) -> list[SignalKey]:
    return [SignalKey(12, mid, 32) for mid in range(1, total + 1)]


@asynccontextmanager
async def _writer(url: str, max_memory_bytes: int) -> AsyncIterator[Writer]:
    """A writer that waits for an answer as long as it takes, and for none when it is closed."""
    policy = BatchPolicy(
        max_memory_bytes=max_memory_bytes,
        admission_timeout_s=_PATIENCE_S,
        delivery_timeout_s=_PATIENCE_S,
        close_timeout_s=0.0,
    )
    account = BesmartClient(api_key="key", login="login", password="password", base_url=url, timeout=_PATIENCE_S)
    async with account as client:
        await client.users.login()
        with suppress(UndeliveredError):  # nothing is delivered
            async with client.writer(policy=policy) as writer:
                yield writer


async def _fill(writer: Writer) -> None:
    """Write until there is no room for anything."""
    for rows in (_COLUMN, 1):
        times, values = START_MS + STEP_MS * np.arange(rows), np.ones(rows)
        with suppress(TimeoutError):
            for mid in range(1_000_000, 2_000_000):
                async with asyncio.timeout(_FULL_S):
                    await writer.write(SignalKey(12, mid, 32), times, values)


async def _measured(wait: Wait, tasks: int, total: int) -> None:
    """Start so many tasks and cancel them, again and again until it were `total`."""
    shuffled = random.Random(1)
    orders = [shuffled.sample(range(tasks), tasks) for _ in range(total // tasks)]
    await _turn(wait, range(tasks)[:_PER_TURN], list(range(min(tasks, _PER_TURN))))
    gc.freeze()  # what was prepared for all turns is no work for the garbage collector
    with timed(total, sends=False):
        for turn, order in enumerate(orders):
            await _turn(wait, range(turn * tasks, (turn + 1) * tasks), order)


async def _turn(wait: Wait, numbers: range, order: list[int]) -> None:
    waiting: list[asyncio.Task[None]] = []
    for some in _slices(list(numbers)):
        waiting += [asyncio.create_task(wait(number)) for number in some]
        await asyncio.sleep(0)
    for some in _slices(order):
        await _cancel([waiting[place] for place in some])


async def _cancel(some: list[asyncio.Task[None]]) -> None:
    for task in some:
        if not task.cancel():
            raise RuntimeError("a task did not wait")
    for ended in await asyncio.gather(*some, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError):
            raise RuntimeError(f"a task was not cancelled: {ended!r}")  # noqa: TRY004 - it is no argument


def _slices(numbers: list[int]) -> Iterator[list[int]]:
    return (numbers[first : first + _PER_TURN] for first in range(0, len(numbers), _PER_TURN))


CONTENDERS: dict[str, Callable[[str, int, int], Coroutine[Any, Any, None]]] = {
    "write": write,
    "deliver": deliver,
    "flush": flush,
    "future": future,
}


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.waiters", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--tasks", type=int, required=True, help="that wait at a time")
    parser.add_argument("--total", type=int, required=True, help="that wait one time after the other")
    parser.add_argument("--no-collector", action="store_true", help="switch the garbage collector off")
    given = parser.parse_args()
    if given.no_collector:
        gc.disable()
    asyncio.run(CONTENDERS[given.contender](given.url, given.tasks, given.total))


if __name__ == "__main__":
    main()
