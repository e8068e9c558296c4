"""Those who wait for a writer: for room, for an acknowledgement, for something to become true.

The part of a writer that makes the calls: tasks, one timer, and telling everybody what became of what.

`pump` sends what is due and sets one timer for what is not. It runs when the core asks for attention, when the timer
ends, and when a call ends. `_carry` is one call, from sending to settling.

An engine belongs to the process and event loop that it is first used in (`home`), until it is closed. `close` delivers
what it can and gives the rest up; nothing is pending, under way or waited for afterwards.
"""

from __future__ import annotations

import asyncio
import os
import time as clock
from collections import deque
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Protocol
from weakref import WeakSet

import attrs

from besmart_async.batching.write.core.core import Batch, Coalescer
from besmart_async.batching.write.core.events import Settled, WriterEvent
from besmart_async.batching.write.dead_letters import Outbox
from besmart_async.errors import BesmartError, TransportError
from besmart_async.models.delivery import Rejection
from besmart_async.transport.events import Hooks


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


_CANCEL_GRACE_S = 0.5
"""How long closing waits for calls that it cancelled at its deadline."""

WriterHook = Callable[[WriterEvent], None]


class Put(Protocol):
    """One attempt of a bulk write: returns once the service acknowledged the body, raises `BesmartError`s."""

    async def __call__(self, body: bytes, /) -> None:
        """Send the body once; the writer itself sees to retries."""
        ...


class Witness(Protocol):
    """Whoever keeps the readings until their outcome is known."""

    def settled(self, event: Settled) -> None:
        """Note an outcome; those of a rejection come before it."""
        ...

    def rejected(self, rejection: Rejection) -> None:
        """Note a rejection, before anybody is told."""
        ...

    @property
    def busy(self) -> bool:
        """Whether readings are on their way into the writer."""
        ...


_engines: WeakSet[Engine] = WeakSet()


def _leave_home() -> None:
    for engine in _engines:
        engine.thread = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_home)


class Engine:
    """Owns the tasks that send, from first use to `close`.

    Attributes:
        time: the loop's clock.
        pid: the process it belongs to, 0 before its first use.
        thread: the thread it was first used in; 0 before that, and in a process forked since. Whoever runs in it while
            `loop_runs()` is at home. To ask for the running loop is a system call, which no single reading can afford.
        calls: the calls under way.
        closing: no more readings are accepted.
        line: callers that wait for room.
        watches: callers that wait for something to become true.
        deliveries: `deliver`s under way, by ref.
        witness: hears of every outcome: the journal, if there is one.
    """

    def __init__(self, put: Put, core: Coalescer, outbox: Outbox, hooks: Sequence[WriterHook]) -> None:
        self.time: Callable[[], float] = clock.monotonic
        self.pid = self.thread = 0
        self.loop_runs: Callable[[], bool] = lambda: False
        self.calls: set[asyncio.Task[None]] = set()
        self.closing = False
        self.line = Line()
        self.watches = Watches()
        self.deliveries: dict[int, Delivery] = {}
        self.witness: Witness | None = None
        self._put = put
        self._core = core
        self._outbox = outbox
        self._hooks = Hooks[WriterEvent](hooks, whose="writer", what="writer")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None

    # -- where it may be used ----------------------------------------------------------------------------------------

    def home(self, *, closing: bool = False) -> asyncio.AbstractEventLoop:
        """Return the running event loop.

        Args:
            closing: the caller wants to accept nothing.

        Raises:
            BesmartError: it belongs to another event loop or process, or is closed or stopped.
        """
        loop = _running_loop()
        if self._loop is None and loop is not None:
            self.check_open()
            self._bind(loop)
        if self.pid != os.getpid():
            raise BesmartError(f"this writer belongs to process {self.pid}; open a client of its own after a fork")
        if loop is None or loop is not self._loop:
            raise BesmartError("this writer belongs to another event loop; open one client per event loop")
        if not closing:
            self.check_open()
        return loop

    def check_open(self) -> None:
        """Raise a `BesmartError` if nothing is accepted any more."""
        if self.closing:
            raise BesmartError("this writer is closed")
        if self._core.failure is not None:
            raise self._core.failure.clone()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.pid = os.getpid()
        self.thread, self.loop_runs = get_ident(), loop.is_running
        _engines.add(self)
        if type(loop).time is not asyncio.BaseEventLoop.time:
            self.time = loop.time  # else `time.monotonic`, which is the same and twice as fast

    # -- sending -----------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what is due, tell what has happened, and see to it that somebody comes back for the rest."""
        if self._pumping or self._loop is None:
            return
        self._pumping = True
        try:
            now = self.time()
            while (batch := self._core.poll(now)) is not None:
                call = self._loop.create_task(self._carry(batch), name="besmart writer call")
                self.calls.add(call)
                call.add_done_callback(self._ended)
            self._arm(now)
        except Exception as error:  # a fault of ours must not leave anyone waiting
            self._core.abandon(_unexpected(error), self.time())
        finally:
            self._pumping = False
        self.tell()

    def _arm(self, now: float) -> None:
        wakeup = self._core.next_wakeup(now)
        if wakeup is None or self._loop is None:
            return
        if self._timer is not None:
            if self._timer.when() <= wakeup:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(wakeup, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.pump()

    async def _carry(self, batch: Batch) -> None:
        error: BesmartError | None = None
        try:
            await self._put(batch.body)
        except BesmartError as failed:
            error = failed
        except asyncio.CancelledError:
            error = TransportError("the call was cancelled", reached=True, outcome="in_doubt")
            raise
        except Exception as failed:
            error = _unexpected(failed)
        finally:
            self._core.settle(batch.number, error, self.time())

    def _ended(self, call: asyncio.Task[None]) -> None:
        self.calls.discard(call)
        if call.cancelled() and not self.closing:
            self._arm(self.time())  # the loop may be shutting down: no new tasks from here
        else:
            self.pump()

    def tell(self) -> None:
        """Tell what has happened to whoever wants to know."""
        for event in self._core.events():
            if isinstance(event, Settled):
                if self.witness is not None:
                    self.witness.settled(event)
                delivery = self.deliveries.get(event.ref)
                if delivery is not None and delivery.note(event):
                    delivery.tell()
                continue
            if isinstance(event, Rejection):
                if self.witness is not None:
                    self.witness.rejected(event)
                self._outbox.add(event, told_otherwise=bool(event.refs) and event.refs <= self.deliveries.keys())
            self._hooks(event)
        if self._core.failure is not None:
            self.line.let_all_in()
        elif self.line.waiting:
            self.line.let_in(self._core.room)
        self.watches.look()

    # -- the end -----------------------------------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> bool:
        """Accept nothing more, deliver for up to `timeout_s`, give the rest up. Cancelled, it does so at once.

        Returns:
            Whether this call did it; otherwise another one has, or there was nothing to do.
        """
        if self.closing or self._loop is None:
            self.closing = True
            if self._loop is not None:
                self.home(closing=True)
                await self.watches.until(lambda: self._closed, None)
            return False
        deadline = self.home(closing=True).time() + timeout_s
        self.closing = True
        self._core.intake.close()
        self.line.let_all_in()
        self._core.flush()
        self.pump()
        try:
            await self._drain(timeout_s, deadline)
        finally:
            self._closed = True
            self.watches.look()
        return True

    async def _drain(self, timeout_s: float, deadline: float) -> None:
        try:
            await self.watches.until(self.idle, timeout_s)
        finally:
            self._give_up(BesmartError(f"the writer was closed, after {timeout_s:g} s of trying"))
        for call in self.calls:
            call.cancel()
        if self.calls:
            await asyncio.wait(self.calls, timeout=_CANCEL_GRACE_S)
        await self._outbox.empty(max(_CANCEL_GRACE_S, deadline - self.time()))

    def idle(self) -> bool:
        """Whether everything accepted has its final outcome."""
        report = self._core.report(0.0)
        busy = self.witness is not None and self.witness.busy
        return not self.calls and report.pending == report.kept and not busy

    def _give_up(self, error: BesmartError) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.idle():
            self._core.abandon(error, self.time())
            self.tell()
            for call in self.calls:
                call.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None  # not even in a coroutine right after os.fork()


def _unexpected(error: BaseException) -> BesmartError:
    told = BesmartError(f"the writer failed: {error!r}")
    told.outcome = "in_doubt"
    told.__cause__ = error
    return told
