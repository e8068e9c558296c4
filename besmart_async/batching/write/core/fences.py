"""Why readings wait although they could be sent: fences around signals, and holds on readings.

A signal with a frozen item is fenced: its newer readings are set aside, once, and return when the item is settled.
A reading whose last request got no answer is held for a while. The service may still apply that request and overwrite
newer values, so newer values of exactly that reading (signal, time, origin) are withheld until then.

Order. The waiting readings of a signal return to the front of the log, so its readings stay in the order of acceptance:
withheld readings are older than those set aside, which are older than those in the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.log import BLOCK_BYTES, Block
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


class Fences:
    """Fenced signals, held readings, and the readings that wait for them.

    Attributes:
        fenced: signals with a frozen item that is not settled.
        holds: current holds, by signal.
    """

    def __init__(self) -> None:
        self.fenced: set[SignalKey] = set()
        self.holds: dict[SignalKey, list[Hold]] = {}
        self._more: dict[SignalKey, int] = {}  # frozen items of a signal besides the first
        self._aside: dict[SignalKey, list[Block]] = {}
        self._withheld: dict[SignalKey, list[Block]] = {}
        self._ends: list[tuple[float, int, int, list[SignalKey]]] = []
        self._number = 0

    # -- fences ------------------------------------------------------------------------------------------------------

    def fence(self, keys: set[SignalKey], items: Sequence[SignalKey]) -> None:
        """Fence signals with frozen items: `items` has the signal of each item, `keys` has each signal once."""
        self.fenced |= keys
        if len(items) > len(keys):
            seen: set[SignalKey] = set()
            for key in items:
                if key in seen:
                    self.fence_again(key, 1)
                seen.add(key)

    def fence_again(self, key: SignalKey, items: int) -> None:
        """Record that a fenced signal has this many more frozen items."""
        self._more[key] = self._more.get(key, 0) + items

    def release(self, keys: set[SignalKey], items: Sequence[SignalKey]) -> list[Block]:
        """Record that frozen items are settled; return the readings that waited for that, in order."""
        if self._more:
            free: list[SignalKey] = []
            for key in items:
                more = self._more.pop(key, 0)
                if more:
                    self._more.update({key: more - 1} if more > 1 else {})
                else:
                    free.append(key)
            keys = set(free)
        self.fenced -= keys
        if not self._aside:
            return []
        blocks: list[Block] = []
        for key in keys & self._aside.keys():
            blocks += self._aside.pop(key)
        return blocks

    def set_aside(self, block: Block) -> None:
        """Set readings of a fenced signal aside."""
        self._aside.setdefault(block.key, []).append(block)

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
        if key not in self._aside:
            return withheld
        self._aside[key][:0] = withheld  # it waits for the fence too, ahead of newer readings
        return ()

    # -- the end -----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop everything that waits; fences and holds stay."""
        self._withheld.clear()
        self._aside.clear()

    def waiting(self) -> Iterator[Block]:
        """Yield everything that waits."""
        for blocks in [*self._withheld.values(), *self._aside.values()]:
            yield from blocks


def _origins_of(origin: int | NDArray[Any] | None, rows: int) -> NDArray[Any]:
    """Return an array of origins; a missing one is the service's default, 1."""
    if isinstance(origin, np.ndarray):
        return np.array([1 if each is None else each for each in origin.tolist()], np.int64)
    return np.full(rows, 1 if origin is None else origin)
