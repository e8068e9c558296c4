"""Withholding newer values: for a while nothing newer is sent of readings that an old request may still store.

The answer of that request was lost, so the service may apply it at any later time, over whatever was sent since. A
`Hold` in the lane says which readings wait; other readings of the signal go on. `Holds` knows when each ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from besmart_async.batching.write.core.lanes import Hold, Lane
from besmart_async.batching.write.core.segments import Segment
from besmart_async.models.series import SignalData


class Holds:
    """The holds in force, by their end."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, int, int, list[Lane]]] = []
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._ends)

    def begin(self, readings: Sequence[tuple[Lane, SignalData]], until: float) -> int:
        """Hold readings of some lanes; return the bytes that takes."""
        cost = 0
        for lane, data in readings:
            hold = Hold(until, data.time, data.origin)
            lane.holds = [*lane.holds, hold]
            cost += hold.cost
        self._number += 1
        heapq.heappush(self._ends, (until, self._number, cost, [lane for lane, _ in readings]))
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
            lane.withheld = [*lane.withheld, segment.take(mask)]
            free += [] if mask.all() else [segment.take(~mask)]
        else:
            free.append(segment)
    return free
