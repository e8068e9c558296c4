"""The lanes that may send, first come first served, and when the next batch of them is due.

It is due at once when a flush waits for a lane in it, when it holds a full batch, or when a frozen item was carried
over from the last batch; otherwise when the first lane's linger is over. Whether it holds a full batch is decided by
the policy's limits, lowered by what the service has refused (`Limits`).

How many readings wait in the queue is known as an upper bound, since those of lanes outside it are counted as well.
They are recounted only when that bound says that a batch might be full.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from besmart_async.batching.pacing import LearnedLimit
from besmart_async.batching.write.core.lanes import Lane
from besmart_async.config import BatchPolicy

ITEM_BYTES = 110
"""Estimate of an encoded item without its readings."""


@attrs.define(eq=False)
class Limits:
    """What a batch may hold at most, as far as known.

    Attributes:
        items: limit of items in a batch.
        readings: limit of readings in a batch.
        bytes: limit of the body's size.
        bytes_per_row: how wide an encoded reading is, as far as known.
    """

    items: LearnedLimit
    readings: LearnedLimit
    bytes: LearnedLimit
    bytes_per_row: float = 26.0

    @classmethod
    def of(cls, policy: BatchPolicy) -> Limits:
        """Return the limits to begin with."""
        return cls(LearnedLimit(policy.max_items), LearnedLimit(policy.max_readings), LearnedLimit(policy.max_bytes))

    @property
    def rows(self) -> int:
        """How many readings fill a batch, by number or by size."""
        return min(self.readings.value, int(self.bytes.value / self.bytes_per_row))

    def learn_width(self, size: int, items: int, rows: int) -> None:
        """Note the size of a body."""
        width = max(1.0, (size - items * ITEM_BYTES) / rows)
        self.bytes_per_row += min(1.0, 0.1 + rows / 1000) * (width - self.bytes_per_row)


class LaneQueue:
    """Lanes with something to send and no frozen item.

    Attributes:
        carried: a frozen item waits to begin the next batch.
    """

    def __init__(self, limits: Limits, linger_s: float) -> None:
        self.carried = False
        self._limits = limits
        self._linger_s = linger_s
        self._lanes: deque[Lane] = deque()
        self._urgent = 0
        self._rows = 0
        self._recount_at = 0
        self._look_at = 0.0
        self._is_full = False  # known to be, until a lane is taken

    @property
    def first(self) -> Lane | None:
        """The lane whose turn it is."""
        return self._lanes[0] if self._lanes else None

    def append(self, lane: Lane) -> bool:
        """Let a lane stand in the queue; True if that may have moved `due_at` forward."""
        lane.queued = True
        self._lanes.append(lane)
        self._urgent += lane.urgent
        return lane.urgent or len(self._lanes) == 1 or len(self._lanes) == self._limits.items.value

    def add(self, lane: Lane, rows: int) -> bool:
        """Note readings that came to a lane, which stands in the queue from now on; True if a batch may be due."""
        self._rows += rows
        if not lane.queued and not lane.busy and self.append(lane):
            return True
        return self._rows >= self._look_at and self.filled()

    def popleft(self) -> Lane:
        """Take the first lane."""
        lane = self._lanes.popleft()
        lane.queued = False
        self._urgent -= lane.urgent
        self._look_at = 0.0
        self._is_full = False
        return lane

    def clear(self) -> None:
        """Forget everything; the lanes are told by whoever clears."""
        self._lanes.clear()
        self._is_full = False
        self._urgent = self._rows = 0

    def count(self, rows: int) -> None:
        """Note readings that came to lanes, or (negative) left them."""
        rows += self._rows
        self._rows = rows if rows > 0 else 0

    def hurry(self, lane: Lane) -> None:
        """Note that a flush waits for a lane, in the queue or not yet."""
        if not lane.urgent:
            lane.urgent = True
            self._urgent += lane.queued

    def due_at(self) -> float | None:
        """When the next batch is due; minus infinity: at once, None: there is nothing to send."""
        if self.carried or self._urgent or len(self._lanes) >= self._limits.items.value or self.full():
            return float("-inf")
        return self._lanes[0].since + self._linger_s if self._lanes else None

    def filled(self) -> bool:
        """Whether the queue has come to hold a full batch since `full` last looked, or a lane was taken from it."""
        filled = self._rows >= self._look_at and self.full()
        if filled:
            self._look_at = math.inf  # whoever was told will send it, as soon as it may be sent
        return filled

    def full(self) -> bool:
        """Whether the queue holds a full batch."""
        if self._is_full or not self._lanes:
            return self._is_full
        enough = self._limits.rows
        self._look_at = max(enough, self._recount_at)
        if self._rows < self._look_at:
            return False
        if len(self._lanes) >= self._limits.items.value:
            return True
        self._rows = sum([lane.rows for lane in self._lanes])
        self._is_full = self._rows >= enough
        self._recount_at = 0 if self._is_full else self._rows + enough // 16
        return self._is_full
