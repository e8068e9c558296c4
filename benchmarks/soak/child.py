"""`python -m benchmarks.soak.child`: a process with a journaled writer, which says all that its callers are told.

It writes until its standard input ends, then delivers everything and ends with code 0; or it is killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from itertools import count
from pathlib import Path

import attrs

from benchmarks.soak.callers import Scene, write_on
from benchmarks.soak.parties import POLICY, client_of
from besmart_async import SignalKey
from tests.faults.oracle import Oracle
from tests.faults.told import Told
from tests.faults.witness import Witness


def _tell(told: Told) -> None:
    os.write(1, told.line().encode())  # at once: a killed process flushes nothing


async def _main(base_url: str, journal: Path, first: SignalKey, signals: int, seed: str, start: int) -> None:
    scene = Scene(Oracle())
    keys = [attrs.evolve(first, sensor_mid=first.sensor_mid + number) for number in range(signals)]
    async with client_of(base_url) as client:
        witness = Witness(
            lambda handler: client.writer(POLICY, journal=journal, on_reject=handler), _tell, count(start)
        )
        async with witness:
            callers = [
                asyncio.ensure_future(
                    write_on(scene, key, lambda: witness, random.Random(f"{seed} {key}"), number % 7 == 0)
                )
                for number, key in enumerate(keys)
            ]
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            scene.end.set()
            await asyncio.gather(*callers)
            await witness.flush()


if __name__ == "__main__":
    _base_url, _journal, _first, _signals, _seed, _start = sys.argv[1:]
    asyncio.run(_main(_base_url, Path(_journal), SignalKey.parse(_first), int(_signals), _seed, int(_start)))
