"""Why readings wait although they could be sent: fences around signals, and holds on readings.

A signal with a frozen item is fenced: its newer readings are set aside, once, and return when the item is settled.
Signals that were frozen in one batch share a fence, and their readings are set aside together: waiting costs no
object for each signal. Only if the batch is split, and its signals are settled one after another, they are told apart.
A reading whose last request got no answer is held for a while. The service may still apply that request and overwrite
newer values, so newer values of exactly that reading (signal, time, origin) are withheld until then.

Order. The waiting readings of a signal return to the front of the log, so its readings stay in the order of acceptance:
withheld readings are older than those set aside, which are older than those in the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.log import BLOCK_BYTES, Block, Singles
from besmart_async.models.keys import SignalKey


@attrs.frozen(eq=False)
class Hold:
    """Readings (time, origin) of one signal whose newer values must wait until `until`."""

    until: float
    time: NDArray[Any]
    origin: int | NDArray[Any] | None

    @property
    def cost(self) -> int:
        """Bytes of memory that it counts for."""
        return BLOCK_BYTES + self.time.nbytes

    def covers(self, block: Block) -> NDArray[np.bool_]:
        """Return a mask of the rows that are held."""
        mask: NDArray[np.bool_] = np.isin(block.time, self.time)
        if not mask.any():
            return mask
        ours = _origins_of(block.origin, block.rows)
        if not isinstance(self.origin, np.ndarray):
            exact: NDArray[np.bool_] = mask & (ours == (1 if self.origin is None else self.origin))
            return exact
        held = set(zip(self.time.tolist(), _origins_of(self.origin, len(self.time)).tolist(), strict=True))
        times = block.time.tolist()
        for row in np.flatnonzero(mask).tolist():
            mask[row] = (times[row], int(ours[row])) in held
        return mask


Waiting = Singles | Block
"""Readings that wait."""


class Fences:
    """Fenced signals, held readings, and the readings that wait for them.

    Attributes:
        holds: current holds, by signal.
    """

    def __init__(self) -> None:
        self.holds: dict[SignalKey, list[Hold]] = {}
        self._fence_of: dict[SignalKey, int] = {}
        self._closed = 0  # fences so far
        self._signals: dict[int, int] = {}  # how many signals each fence has
        self._more: dict[SignalKey, int] = {}  # frozen items of a signal besides the first
        self._aside: dict[int, list[Waiting]] = {}  # by fence
        self._withheld: dict[SignalKey, list[Block]] = {}
        self._ends: list[tuple[float, int, int, list[SignalKey]]] = []
        self._number = 0

    # -- fences ------------------------------------------------------------------------------------------------------

    @property
    def fenced(self) -> AbstractSet[SignalKey]:
        """Signals with a frozen item that is not settled."""
        return self._fence_of.keys()

    def fence(self, keys: set[SignalKey], items: Sequence[SignalKey]) -> None:
        """Fence signals with frozen items: `items` has the signal of each item, `keys` has each signal once."""
        self._closed += 1
        self._fence_of.update(dict.fromkeys(keys, self._closed))
        self._signals[self._closed] = len(keys)
        if len(items) > len(keys):
            seen: set[SignalKey] = set()
            for key in items:
                if key in seen:
                    self.fence_again(key, 1)
                seen.add(key)

    def fence_again(self, key: SignalKey, items: int) -> None:
        """Record that a fenced signal has this many more frozen items."""
        self._more[key] = self._more.get(key, 0) + items

    def release(self, keys: set[SignalKey], items: Sequence[SignalKey]) -> list[Waiting]:
        """Record that frozen items of one fence are settled; return the readings that waited for that, in order."""
        if self._more:
            keys = self._settled(items)
        fences = [self._fence_of.pop(key) for key in keys & self._fence_of.keys()]
        if not fences:
            return []
        fence = fences[0]  # the items of a call were frozen together
        self._signals[fence] -= len(fences)
        if not self._signals[fence]:
            del self._signals[fence]
            return self._aside.pop(fence, [])
        free, waiting = _told_apart(self._aside.pop(fence, []), keys)
        if waiting:
            self._aside[fence] = waiting
        return free

    def _settled(self, items: Sequence[SignalKey]) -> set[SignalKey]:
        """Return the signals that have no frozen items left."""
        free: set[SignalKey] = set()
        for key in items:
            more = self._more.pop(key, 0)
            if more:
                self._more.update({key: more - 1} if more > 1 else {})
            else:
                free.add(key)
        return free

    def set_aside(self, waiting: Waiting) -> None:
        """Set readings of signals that share a fence aside."""
        key = waiting.key if isinstance(waiting, Block) else waiting.keys[waiting.start]
        self._aside.setdefault(self._fence_of[key], []).append(waiting)

    def fences_of(self, keys: Iterable[SignalKey]) -> list[int]:
        """Return the fence of each signal; 0: it has none."""
        of = self._fence_of
        return [of.get(key, 0) for key in keys]

    # -- holds -------------------------------------------------------------------------------------------------------

    def hold(self, readings: Iterable[tuple[SignalKey, NDArray[Any], Any]], until: float) -> int:
        """Hold readings (signal, times, origins); return the memory that this takes, in bytes."""
        cost = 0
        keys: list[SignalKey] = []
        for key, time, origin in readings:
            hold = Hold(until, time, origin)
            self.holds.setdefault(key, []).append(hold)
            cost += hold.cost
            keys.append(key)
        self._number += 1
        heapq.heappush(self._ends, (until, self._number, cost, keys))
        return cost

    def withhold(self, block: Block) -> Block | None:
        """Withhold the rows that a hold covers; return the others, None if there are none."""
        holds = self.holds.get(block.key)
        if not holds:
            return block
        mask = np.zeros(block.rows, np.bool_)
        for hold in holds:
            mask |= hold.covers(block)
        if not mask.any():
            return block
        if mask.all():
            self.withhold_rows(block)
            return None
        held, free = block.take(mask), block.take(~mask)
        free.cost = block.cost - held.cost
        self.withhold_rows(held)
        return free

    def withhold_rows(self, block: Block) -> None:
        """Withhold readings until a hold of their signal ends."""
        self._withheld.setdefault(block.key, []).append(block)

    def next_end(self) -> float | None:
        """When the next hold ends."""
        return self._ends[0][0] if self._ends else None

    def end_holds(self, now: float) -> tuple[int, list[Block]]:
        """Remove the holds that are over; return their memory in bytes, and the readings released, in order."""
        freed, blocks = 0, list[Block]()
        while self._ends and self._ends[0][0] <= now:
            _, _, cost, keys = heapq.heappop(self._ends)
            freed += cost
            for key in dict.fromkeys(keys):
                blocks += self._end(key, now)
        return freed, blocks

    def _end(self, key: SignalKey, now: float) -> Sequence[Block]:
        kept = [hold for hold in self.holds.get(key, ()) if hold.until > now]
        if kept:
            self.holds[key] = kept
        else:
            self.holds.pop(key, None)
        withheld = self._withheld.pop(key, [])
        aside = self._aside.get(self._fence_of.get(key, 0))
        if aside is None:
            return withheld
        aside[:0] = withheld  # it waits for the fence too, ahead of newer readings
        return ()

    # -- the end -----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop everything that waits; fences and holds stay."""
        self._withheld.clear()
        self._aside.clear()

    def waiting(self) -> Iterator[Waiting]:
        """Yield everything that waits."""
        for blocks in self._withheld.values():
            yield from blocks
        for aside in self._aside.values():
            yield from aside


def _told_apart(aside: Iterable[Waiting], keys: set[SignalKey]) -> tuple[list[Waiting], list[Waiting]]:
    """Return the readings of these signals and the others, in order."""
    ours: list[Waiting] = []
    others: list[Waiting] = []
    for waiting in aside:
        if isinstance(waiting, Block):
            (ours if waiting.key in keys else others).append(waiting)
            continue
        mask = np.fromiter((key in keys for key in waiting.keys), np.bool_, len(waiting.keys))
        if mask.all():
            ours.append(waiting)
        elif not mask.any():
            others.append(waiting)
        else:
            mine, rest = waiting.split(mask)
            ours.append(mine)
            others.append(rest)
    return ours, others


def _origins_of(origin: int | NDArray[Any] | None, rows: int) -> NDArray[Any]:
    """Return an array of origins; a missing one is the service's default, 1."""
    if isinstance(origin, np.ndarray):
        return np.array([1 if each is None else each for each in origin.tolist()], np.int64)
    return np.full(rows, 1 if origin is None else origin)
