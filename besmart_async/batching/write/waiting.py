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
    """A call of `deliver` that waits: how many of its readings have which outcome.

    Attributes:
        in_line: its readings are not accepted yet: they wait for room.
    """

    readings: int
    future: asyncio.Future[None]
    in_line: bool = False
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


Enter = Callable[[], bool]
"""Accepts what waits for room. False: there is no room after all."""


class Line:
    """Callers that wait for room, first come, first served.

    A caller is woken when its turn comes, and finds its room reserved. Or it leaves `enter` behind, which is called
    when its turn comes; to wake it in between would cost as much as the rest of its wait. One timer serves all callers:
    all wait equally long at most, so deadlines are in the order of the places.

    Args:
        has_room: whether something of this cost would be accepted.
        reserve: reserves memory; a negative cost releases it.
    """

    def __init__(self, has_room: Callable[[int], bool], reserve: Callable[[int], None]) -> None:
        self._has_room = has_room
        self._reserve = reserve
        self._places: deque[tuple[int, float, asyncio.Future[None], Enter | None]] = deque()
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
            self._places.appendleft((cost, deadline, place, None))
        else:
            self._places.append((cost, deadline, place, None))
        self._joined(loop, deadline)
        return place

    def leave(self, place: asyncio.Future[None], cost: int) -> None:
        """Release the room that is reserved for this caller, if any: it takes what it needs, or has given up."""
        self._waiting -= 1
        if place.done() and not place.cancelled() and place.exception() is None:
            self._reserve(-cost)

    def leave_behind(self, enter: Enter, cost: int, deadline: float, future: asyncio.Future[None]) -> None:
        """Let `enter` stand in line; its error, or TimeoutError, becomes the exception of the future.

        Whoever waits for the future must call `withdraw` if `enter` did not accept.
        """
        self._places.append((cost, deadline, future, enter))
        self._joined(future.get_loop(), deadline)

    def withdraw(self, future: asyncio.Future[None]) -> None:
        """Do not call what was left behind: whoever waited has given up, or has the error."""
        self._waiting -= 1
        future.cancel()

    def let_in(self) -> None:
        """Let callers in, in order, while there is room."""
        while self._places:
            cost, _, future, enter = self._places[0]
            if future.done():  # this caller has given up
                self._places.popleft()
            elif not self._has_room(cost) or not self._let_in(cost, future, enter):
                return
            else:
                self._places.popleft()

    def let_all_in(self) -> None:
        """Let all callers in; each then sees that the writer is closed or has stopped."""
        while self._places:
            cost, _, future, enter = self._places[0]
            if not future.done() and not self._let_in(cost, future, enter):
                return  # the writer continues after all
            self._places.popleft()

    def _let_in(self, cost: int, future: asyncio.Future[None], enter: Enter | None) -> bool:
        if enter is None:
            self._reserve(cost)
            future.set_result(None)
            return True
        try:
            entered = enter()
        except BesmartError as error:
            future.set_exception(error)
            return True
        self._waiting -= entered
        return entered

    def _joined(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._waiting += 1
        if self._timer is None and deadline < math.inf:
            self._timer = loop.call_at(deadline, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._places and (self._places[0][2].done() or self._places[0][1] <= now):
            _, _, future, _ = self._places.popleft()
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
