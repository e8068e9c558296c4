"""Flushes: which readings each waits for, and whether they have all got their final outcome.

The time between two flushes is an epoch. Every accepted reading carries the number of its own (`Credit.epoch`), so a
flush waits for what was accepted before it and for nothing that came after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from besmart_async.batching.write.core.credit import Credit


class Flushes:
    """Counts the readings of each past epoch without an outcome.

    Attributes:
        epoch: the present one, given to what is accepted now.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._unsettled: dict[int, int] = {}

    def begin(self, pending: int) -> bool:
        """Begin a flush while so many readings are pending; False if earlier flushes wait for all of them already."""
        fresh = pending - sum(self._unsettled.values())
        if not fresh:
            return False
        self._unsettled[self.epoch] = fresh
        self.epoch += 1
        return True

    @property
    def last_ticket(self) -> int:
        """The ticket of the last flush."""
        return self.epoch - 1

    def done(self, ticket: int) -> bool:
        """Whether everything that the flush waited for has its final outcome."""
        return next(iter(self._unsettled), ticket + 1) > ticket

    def settle(self, credits_: Iterable[Credit]) -> None:
        """Note that accepted readings have their final outcome."""
        if not self._unsettled:
            return
        settled = Counter[int]()
        for credit in credits_:
            for epoch, readings in credit.by_epoch():
                settled[epoch] += readings
        for epoch, readings in settled.items():
            if epoch in self._unsettled:
                self._unsettled[epoch] -= readings
                if not self._unsettled[epoch]:
                    del self._unsettled[epoch]
