"""Columns of 100 readings through a writer, to as many signals as wanted.

`python -m benchmarks.clients.growth --url URL --signals N --readings N`
"""

from __future__ import annotations

import argparse
import asyncio

import numpy as np

from benchmarks.clients.clock import timed
from benchmarks.clients.series import START_MS, STEP_MS
from besmart_async import BesmartClient, SignalKey, Writer

_ROWS = 100
_WARM_UP = 10_000


async def _write(writer: Writer, keys: list[SignalKey], readings: int, start_ms: int) -> None:
    """Write to the signals in turn; each of their columns goes on where the one before it ended."""
    values = np.random.default_rng(1).random(_ROWS).round(3)
    grid = start_ms + STEP_MS * np.arange(_ROWS)
    for number in range(readings // _ROWS):
        turn, signal = divmod(number, len(keys))
        await writer.write(keys[signal], grid + turn * STEP_MS * _ROWS, values)
    await writer.flush()


async def _run(url: str, signals: int, readings: int) -> None:
    keys = [SignalKey(12, mid, 32) for mid in range(signals)]
    async with (
        BesmartClient(api_key="key", login="login", password="password", base_url=url) as client,
        client.writer() as writer,
    ):
        await _write(writer, keys, _WARM_UP, 0)
        with timed(readings, warm_up=_WARM_UP):
            await _write(writer, keys, readings, START_MS)


def main() -> None:
    """Write once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.growth", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--signals", type=int, required=True)
    parser.add_argument("--readings", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(_run(given.url, given.signals, given.readings))


if __name__ == "__main__":
    main()
