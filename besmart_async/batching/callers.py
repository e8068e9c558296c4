"""Those who wait for a writer: for room, for an acknowledgement, for something to become true."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import attrs

from besmart_async.batching.outcomes import Settled
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
    """Callers that wait for room, first come first served; `waiting` are their places."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

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
            self.waiting.appendleft(place)
        else:
            self.waiting.append(place)
        try:
            async with asyncio.timeout_at(deadline):
                await future
        finally:
            if place in self.waiting:
                self.waiting.remove(place)

    def let_in(self, has_room: Callable[[int], bool]) -> None:
        """Wake as many as there is room for, in order."""
        wanted = 0
        while self.waiting and has_room(wanted + self.waiting[0][0]):
            cost, future = self.waiting.popleft()
            if not future.done():
                wanted += cost
                future.set_result(None)

    def let_all_in(self) -> None:
        """Wake everybody; each finds out for itself that the writer is gone."""
        self.let_in(lambda _: True)


class Watches:
    """Callers that wait for something to become true."""

    def __init__(self) -> None:
        self._watches: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, true: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until `true()`, looked at whenever something has changed; False if the time is over first."""
        if true():
            return True
        watch = (true, asyncio.get_running_loop().create_future())
        self._watches.append(watch)
        try:
            async with asyncio.timeout(timeout_s):
                await watch[1]
        except TimeoutError:
            return true()
        finally:
            self._watches.remove(watch)
        return True

    def look(self) -> None:
        """Note that something has changed."""
        for true, future in self._watches:
            if not future.done() and true():
                future.set_result(None)
