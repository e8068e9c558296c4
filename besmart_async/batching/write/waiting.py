"""Callers that wait for a writer: for room, for an acknowledgement, for a flush.

Nobody is searched for: a caller that gives up leaves its place behind, marked, and it is passed over when its turn
comes. Waking costs what it concerns, however many others wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import attrs

from besmart_async.batching.write.core.events import Settled
from besmart_async.errors import BesmartError


@attrs.define(eq=False)
class Delivery:
    """A `deliver` under way: how many of its readings have which outcome."""

    readings: int
    future: asyncio.Future[None]
    told: int = 0
    lost: int = 0
    error: BesmartError | None = None

    def note(self, settled: Settled) -> bool:
        """Add some outcomes; True once all are there."""
        lost = settled.rejected + settled.in_doubt + settled.kept
        self.told += settled.delivered + lost
        self.lost += lost
        if settled.error is not None and (self.error is None or settled.error.outcome == "in_doubt"):
            self.error = settled.error
        return self.told >= self.readings

    def tell(self) -> None:
        """Let the caller go on."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(None)
            return
        if self.lost < self.readings:
            self.error.add_note(f"{self.readings - self.lost} of these {self.readings} readings were delivered")
        self.future.set_exception(self.error)


class Line:
    """Callers that wait for room, first come first served."""

    def __init__(self) -> None:
        self._places: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    async def wait(self, cost: int, deadline: float, *, first: bool) -> None:
        """Wait to be let in.

        Args:
            cost: bytes of room wanted.
            deadline: on the loop's clock.
            first: the caller was let in before and found no room after all: it keeps its place.

        Raises:
            TimeoutError: the deadline came first.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (cost, future)
        if first:
            self._places.appendleft(place)
        else:
            self._places.append(place)
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await future
        finally:
            self._waiting -= 1

    def let_in(self, has_room: Callable[[int], bool]) -> None:
        """Wake as many as there is room for, in order."""
        wanted = 0
        while self._places:
            cost, future = self._places[0]
            if future.done():  # it has given up
                self._places.popleft()
                continue
            if not has_room(wanted + cost):
                return
            self._places.popleft()
            wanted += cost
            future.set_result(None)

    def let_all_in(self) -> None:
        """Wake everybody; each finds out for itself that the writer is gone."""
        self.let_in(lambda _: True)


class Flushes:
    """Callers of `flush`, in the order of their tickets, which never fall."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def wait(self, ticket: int, timeout_s: float | None) -> bool:
        """Wait until everything below that number has its outcome; False if the time is over first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ticket, future))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return False
        return True

    def look(self, settled_below: int) -> None:
        """Wake those whose readings all have their outcome."""
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= settled_below):
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
