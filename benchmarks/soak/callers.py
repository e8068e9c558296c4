"""Those who use writers and readers all the time, each for one signal: nobody else writes it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from besmart_async import BesmartError, Reader, SignalData, SignalKey, SignalQuery
from tests.faults.oracle import Oracle, Promise
from tests.faults.witness import Witness

SLOTS = 8
"""Times of a signal that are written again and again."""
STEP_MS = 60_000
POISONED = 99
"""The slot that the service refuses, of some signals."""
ORIGINS = (1, 2)
_PATIENCE_S = 90.0
"""Whoever has not come to an end after this never will."""


@attrs.define
class Scene:
    """What the callers share.

    Attributes:
        oracle: takes down what they are told.
        end: set when they are to come to an end.
        counts: what they did.
    """

    oracle: Oracle
    end: asyncio.Event = attrs.field(factory=asyncio.Event)
    counts: Counter[str] = attrs.field(factory=Counter[str])

    @property
    def resting(self) -> bool:
        """Whether they are to come to an end."""
        return self.end.is_set()


async def write_on(
    scene: Scene, key: SignalKey, witness_of: Callable[[], Witness | None], dice: random.Random, poisoned: bool
) -> None:
    """Write one signal in every way, one call after the other, until it is time to rest."""
    while not scene.resting:
        witness = witness_of()
        if witness is None:  # being closed and opened again
            await asyncio.sleep(0.02)
            continue
        for _ in range(dice.randrange(1, 12)):
            await _step(scene, _call(key, witness, dice, poisoned), dice)
        await asyncio.sleep(dice.random() * 0.02)


def _call(key: SignalKey, witness: Witness, dice: random.Random, poisoned: bool) -> Coroutine[Any, Any, Any]:
    what, slot = dice.random(), dice.randrange(SLOTS) * STEP_MS
    if what < 0.7:
        return witness.write(key, slot, origin=dice.choice(ORIGINS))
    if what < 0.82:
        write = witness.write_columns if what < 0.76 else witness.write_matrix
        return write(key, [n * STEP_MS for n in range(SLOTS)])
    if what < 0.92:
        return witness.deliver(key, sorted(n * STEP_MS for n in dice.sample(range(SLOTS), 3)))
    if what < 0.97:
        return witness.remove(key, slot)
    if what < 0.985 or not poisoned:
        return witness.flush()
    return witness.write(key, POISONED * STEP_MS)


async def read_on(scene: Scene, keys: list[SignalKey], reader: Reader, dice: random.Random) -> None:
    """Read signals that others write: what was acknowledged before must be there."""
    while not scene.resting:
        chosen = dice.sample(keys, 5)
        read = _stream if dice.random() < 0.2 else _read
        await _step(scene, read(scene, chosen, reader), dice)
        await asyncio.sleep(dice.random() * 0.05)


async def _read(scene: Scene, keys: list[SignalKey], reader: Reader) -> None:
    promise = scene.oracle.promise(keys[0])
    data = await reader.read(keys[0], 0, (POISONED + 1) * STEP_MS, get_last=True)
    _seen(scene, promise, data)


async def _stream(scene: Scene, keys: list[SignalKey], reader: Reader) -> None:
    promises = {key: scene.oracle.promise(key) for key in keys}
    queries = [SignalQuery(key, 0, (POISONED + 1) * STEP_MS, get_last=True) for key in keys]
    async for data in reader.stream(queries):
        _seen(scene, promises[data.key], data)


def _seen(scene: Scene, promise: Promise, data: SignalData) -> None:
    if data.absent:  # left out of an answer, twice: that says nothing about the readings
        scene.counts["absent"] += 1
        return
    scene.oracle.saw(data.key, promise, data.rows())
    scene.counts["reads"] += 1


async def _step(scene: Scene, call: Coroutine[Any, Any, Any], dice: random.Random) -> None:
    """Make a call in a task of its own, and now and then cancel it."""
    task = asyncio.ensure_future(call)
    if dice.random() < 0.03:
        await asyncio.wait([task], timeout=dice.random() * 0.05)
        scene.counts["cancelled"] += task.cancel()
    await asyncio.wait([task], timeout=_PATIENCE_S)
    if not task.done():
        scene.oracle.unresolved(repr(task))
        task.cancel()
    elif not task.cancelled() and (error := task.exception()) is not None:
        if not isinstance(error, BesmartError):
            raise error
        scene.counts[type(error).__name__] += 1
        await asyncio.sleep(0.02)
