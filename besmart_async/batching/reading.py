"""`Reading`: one caller's wait for a read, a future that withdraws its caller when it is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

from besmart_async.batching.gathering import Flight, Gatherer
from besmart_async.batching.waiting import Waiter
from besmart_async.models.series import SignalData


class Reading(asyncio.Future[SignalData]):
    """The wait for one answer. Cancelling it, or the task that awaits it, touches nobody else.

    Attributes:
        flight: what it waits for.
        gatherer: whose that is.
    """

    __slots__ = ("flight", "gatherer")

    flight: Flight[Waiter]
    gatherer: Gatherer[Waiter]

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up this caller's wait; False if it is over."""
        if not super().cancel(msg):
            return False
        self.gatherer.withdraw(self.flight)
        return True
