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

    def join(self, cost: int, deadline: float, *, first: bool) -> asyncio.Future[None]:
        """Stand in line; the caller must await the result, and then call `leave` in any case.

        A plain method: many callers wait, and a coroutine for each would cost more than the rest of its place.

        Args:
            cost: bytes of room wanted.
            deadline: on the loop's clock; then the result raises TimeoutError.
            first: the caller had its turn and found no room after all: it keeps its place.
        """
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        if first:
            self._places.appendleft((cost, deadline, place))
        else:
            self._places.append((cost, deadline, place))
        if self._timer is None and deadline < math.inf:
            self._timer = loop.call_at(deadline, self._expire, loop)
        self._waiting += 1
        return place

    def leave(self, place: asyncio.Future[None], cost: int) -> None:
        """Release the room that is reserved for this caller, if any: it takes what it needs, or has given up."""
        self._waiting -= 1
        if place.done() and not place.cancelled() and place.exception() is None:
            self._reserve(-cost)

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

    def join(self, ticket: int) -> asyncio.Future[None]:
        """Return what is done when every reading below this number has its outcome."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ticket, future))
        return future

    def look(self, settled_below: int) -> None:
        """Wake the callers whose readings all have their outcome."""
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= settled_below):
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
