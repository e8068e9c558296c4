"""Withholding newer values: for a while nothing newer is sent of readings that an old request may still store.

The answer of that request was lost, so the service may apply it at any later time, over whatever was sent since. A
`Hold` in the lane says which readings wait; other readings of the signal go on. `Holds` knows when each ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from besmart_async.batching.lanes import Hold, Lane, Segment
from besmart_async.batching.packing import Item


class Holds:
    """The holds in force, by their end."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, int, int, list[Lane]]] = []
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._ends)

    def begin(self, items: Sequence[Item], until: float) -> int:
        """Hold the readings of some items; return the bytes that takes."""
        cost = 0
        for item in items:
            hold = Hold(until, item.data.time, item.data.origin)
            item.lane.holds.append(hold)
            cost += hold.cost
        self._number += 1
        heapq.heappush(self._ends, (until, self._number, cost, [item.lane for item in items]))
        return cost

    def next_end(self) -> float | None:
        """When the next hold ends."""
        return self._ends[0][0] if self._ends else None

    def end(self, now: float) -> Iterable[tuple[int, list[Lane]]]:
        """Forget the holds that are over; yield for each the bytes it took and the lanes to release."""
        while self._ends and self._ends[0][0] <= now:
            _, _, cost, lanes = heapq.heappop(self._ends)
            yield cost, lanes


def withheld_apart(lane: Lane, segments: Sequence[Segment]) -> list[Segment]:
    """Return what may be sent; what a hold of the lane covers is withheld in it."""
    free: list[Segment] = []
    for segment in segments:
        mask = np.zeros(len(segment.data), np.bool_)
        for hold in lane.holds:
            mask |= hold.covers(segment.data)
        if mask.any():
            lane.withheld.append(segment.take(mask))
            free += [] if mask.all() else [segment.take(~mask)]
        else:
            free.append(segment)
    return free
