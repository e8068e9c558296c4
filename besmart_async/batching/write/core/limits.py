"""How much a batch may hold: the policy's limits, lowered by refusals and raised while there are none."""

from __future__ import annotations

import attrs

from besmart_async.batching.write.core.grouping import ITEM_BYTES, Room
from besmart_async.config import BatchPolicy

FIRST_ITEMS = 500
"""Signals in the first calls of a writer, if its policy does not fix the number."""
MOST_ITEMS = 10_000
"""The most signals in a call, if the policy does not fix the number."""
FAR_BELOW = 0.5
"""Calls grow only while their bodies are below this share of the limit: beyond it, size limits them anyway."""


class LearnedLimit:
    """An undocumented limit of the service: lowered by a refusal, and raised again in small steps.

    Args:
        top: the largest value.
        start: the first value; if it is below `top`, it doubles until something is refused for its size.
    """

    RAISE_BY = 1.2
    FIRST_PATIENCE = 8
    GROWTH_PATIENCE = 2

    def __init__(self, top: int, start: int | None = None) -> None:
        self._top = top
        self._growing = start is not None and start < top
        self._patience = self.GROWTH_PATIENCE if self._growing else self.FIRST_PATIENCE
        self._clean = 0
        self._raised = False
        self.value = top if start is None else min(start, top)
        self.largest_passed = 0

    def passed(self, size: int, *, may_grow: bool = True) -> None:
        """Record that a call of this size was stored; without `may_grow` it says nothing about larger ones."""
        self.largest_passed = max(self.largest_passed, size)
        if may_grow and self.value < self._top and size * self.RAISE_BY >= self.value:
            self._clean += 1
            if self._clean >= self._patience:
                self._clean = 0
                self._raised = True
                by = 2.0 if self._growing else self.RAISE_BY
                self.value = min(self._top, max(self.value + 1, int(self.value * by)))

    def refused(self, size: int, passed: int | None = None) -> None:
        """Record a call that was refused for its size: return to a size that has passed, or to half of it.

        After a raise that went too far, wait twice as long before the next.
        """
        self._end_growth()
        if passed is None:
            passed = max(size // 2, self.largest_passed if self.largest_passed < size else 0)
        self.largest_passed = min(self.largest_passed, max(passed, 1))
        if passed < self.value:
            if self._raised:
                self._patience *= 2
            self._raised = False
            self._clean = 0
            self.value = max(1, passed)

    def timed_out(self, size: int) -> None:
        """Record a call that got no answer in time: if it was of the largest size, go back one step."""
        if self._raised and size * self.RAISE_BY >= self.value:
            self._end_growth()
            self._clean = 0
            self.value = max(1, int(self.value / self.RAISE_BY))

    def _end_growth(self) -> None:
        if self._growing:
            self._growing, self._patience = False, self.FIRST_PATIENCE


@attrs.define(eq=False)
class Limits:
    """The limits of a batch, as far as they are known.

    Attributes:
        items: signals in a batch.
        readings: readings in a batch.
        bytes: size of the body.
        bytes_per_row: size of an encoded reading.
    """

    items: LearnedLimit
    readings: LearnedLimit
    bytes: LearnedLimit
    bytes_per_row: float = 26.0

    @classmethod
    def of(cls, policy: BatchPolicy) -> Limits:
        """Return the initial limits."""
        fixed = policy.max_items
        items = LearnedLimit(MOST_ITEMS, FIRST_ITEMS) if fixed is None else LearnedLimit(fixed)
        return cls(items, LearnedLimit(policy.max_readings), LearnedLimit(policy.max_bytes))

    @property
    def rows(self) -> int:
        """The number of readings that fill a batch, by count or by size."""
        return min(self.readings.value, int(self.bytes.value / self.bytes_per_row))

    def room(self) -> Room:
        """Return what the next batch may hold; a little less than fits, because sizes of readings vary."""
        return Room(self.items.value, self.readings.value, self.bytes.value, 1.01 * self.bytes_per_row)

    def learn_width(self, size: int, items: int, rows: int) -> None:
        """Learn from the size of a body."""
        width = max(1.0, (size - items * ITEM_BYTES) / rows)
        self.bytes_per_row += min(1.0, 0.1 + rows / 1000) * (width - self.bytes_per_row)

    def passed(self, items: int, rows: int, size: int) -> None:
        """Record a call that was stored."""
        self.items.passed(items, may_grow=size < FAR_BELOW * self.bytes.value)
        self.readings.passed(rows)
        self.bytes.passed(size)

    def timed_out(self, items: int) -> None:
        """Record a call that got no answer in time."""
        self.items.timed_out(items)
