"""Callers that wait for a writer: for room, for an acknowledgement, for a flush.

Queues are never searched: a caller that gives up leaves a marked place behind, which is skipped when its turn comes.
The cost of waking callers depends on their number only, not on how many others wait.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

import attrs

from besmart_async.batching.write.core.events import Settled
from besmart_async.errors import BesmartError


@attrs.define(eq=False)
class Delivery:
    """A call of `deliver` that waits: how many of its readings have which outcome."""

    readings: int
    future: asyncio.Future[None]
    told: int = 0
    lost: int = 0
    error: BesmartError | None = None

    def note(self, settled: Settled) -> bool:
        """Add some outcomes; True once all are known."""
        lost = settled.rejected + settled.in_doubt + settled.kept
        self.told += settled.delivered + lost
        self.lost += lost
        if settled.error is not None and (self.error is None or settled.error.outcome == "in_doubt"):
            self.error = settled.error
        return self.told >= self.readings

    def tell(self) -> None:
        """Wake the caller."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(None)
            return
        if self.lost < self.readings:
            self.error.add_note(f"{self.readings - self.lost} of these {self.readings} readings were delivered")
        self.future.set_exception(self.error)


class Line:
    """Callers that wait for room, first come, first served.

    When a caller is woken, its room is reserved. One timer serves all callers: all wait equally long at most, so
    deadlines are in the order of the places.

    Args:
        has_room: whether something of this cost would be accepted.
        reserve: reserves memory; a negative cost releases it.
    """

    def __init__(self, has_room: Callable[[int], bool], reserve: Callable[[int], None]) -> None:
        self._has_room = has_room
        self._reserve = reserve
        self._places: deque[tuple[int, float, asyncio.Future[None]]] = deque()
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._waiting

    async def wait(self, cost: int, deadline: float, *, first: bool) -> None:
        """Wait for a turn. The caller must release the reserved room, and then take what it needs.

        Args:
            cost: bytes of room wanted.
            deadline: on the loop's clock.
            first: the caller had its turn and found no room after all: it keeps its place.

        Raises:
            TimeoutError: the deadline came first.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        place = (cost, deadline, future)
        if first:
            self._places.appendleft(place)
        else:
            self._places.append(place)
        if self._timer is None and deadline < math.inf:
            self._timer = loop.call_at(deadline, self._expire, loop)
        self._waiting += 1
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._reserve(-cost)  # it had its turn, and is gone
            raise
        finally:
            self._waiting -= 1

    def let_in(self) -> None:
        """Wake callers in order, while there is room."""
        while self._places:
            cost, _, future = self._places[0]
            if future.done():  # this caller has given up
                self._places.popleft()
            elif self._has_room(cost):
                self._places.popleft()
                self._reserve(cost)
                future.set_result(None)
            else:
                return

    def let_all_in(self) -> None:
        """Wake all callers; each then sees that the writer is closed or has stopped."""
        while self._places:
            cost, _, future = self._places.popleft()
            if not future.done():
                self._reserve(cost)
                future.set_result(None)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._places and (self._places[0][2].done() or self._places[0][1] <= now):
            _, _, future = self._places.popleft()
            if not future.done():
                future.set_exception(TimeoutError())
        self._timer = loop.call_at(self._places[0][1], self._expire, loop) if self._places else None


class Flushes:
    """Callers of `flush`, in the order of their tickets, which never decrease."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def wait(self, ticket: int, timeout_s: float | None) -> bool:
        """Wait until every reading below this number has its outcome; False if the time is over first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ticket, future))
        if timeout_s is None:
            await future
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return False
        return True

    def look(self, settled_below: int) -> None:
        """Wake the callers whose readings all have their outcome."""
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= settled_below):
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
