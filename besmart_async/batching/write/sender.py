"""The part of a writer that makes the calls: tasks, one timer, and telling every waiter its outcome.

`pump` sends what is due and sets one timer for the rest. It runs when the core asks for attention, when the timer ends,
and when a call ends. It forms one batch per turn of the event loop, so that other tasks run in between. `_carry` is one
call, from sending to settling. Calls, timers and hooks run in an empty context: a batch belongs to no request.

A sender belongs to the process and event loop in which it is first used, until it is closed. `close` delivers what it
can and gives up the rest; nothing is pending, in flight or waited for afterwards. Readings that are given up where no
exception can carry them are logged.
"""

from __future__ import annotations

import asyncio
import os
import time as clock
from collections.abc import Callable, Sequence
from contextvars import Context
from threading import get_ident
from typing import Protocol
from weakref import WeakSet

from besmart_async.batching.write.core.core import Dispatch, WriteCore
from besmart_async.batching.write.core.events import (
    BatchAcknowledged,
    SendingPaused,
    SendingResumed,
    Settled,
    WriterEvent,
)
from besmart_async.batching.write.core.provenance import Ranges
from besmart_async.batching.write.dead_letters import DeadLetters
from besmart_async.batching.write.waiting import Delivery, Flushes, Line
from besmart_async.errors import BesmartError, TransportError
from besmart_async.logs import logger
from besmart_async.models.delivery import Rejection
from besmart_async.transport.events import Hooks
from besmart_async.transport.ownership import Owner

_CANCEL_GRACE_S = 0.5
"""How long closing waits for calls that it cancelled at its deadline."""

WriterHook = Callable[[WriterEvent], None]


class Put(Protocol):
    """One attempt of a bulk write: returns once the service acknowledged the body, raises `BesmartError`s."""

    async def __call__(self, body: bytes, /) -> None:
        """Send the body once; the writer does the retries."""
        ...


class Keeper(Protocol):
    """Keeps readings until their outcome is known: the journal."""

    def done(self, ranges: Ranges) -> None:
        """Forget readings that are delivered, or lost and handed over."""
        ...

    def refused(self, ranges: Ranges) -> None:
        """Record readings that are refused, before they are handed over."""
        ...

    @property
    def busy(self) -> bool:
        """Whether readings are on their way from the journal into the writer."""
        ...


_senders: WeakSet[Sender] = WeakSet()


def _leave_home() -> None:
    for sender in _senders:
        sender.thread = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_home)


class Sender:
    """Owns the tasks that send, from first use to `close`.

    Attributes:
        time: the loop's clock.
        thread: the thread of its first use; 0 before that, and in a forked process. A caller in this thread is in the
            right event loop if `loop_runs()`. Asking asyncio for the running loop is a system call: too slow here.
        calls: the calls in flight.
        closing: no more readings are accepted.
        line: callers that wait for room.
        flushes: callers that wait for a flush.
        deliveries: calls of `deliver` that wait, by ref.
        keeper: the journal, if there is one.
    """

    def __init__(self, put: Put, core: WriteCore, dead_letters: DeadLetters, hooks: Sequence[WriterHook]) -> None:
        self.time: Callable[[], float] = clock.monotonic
        self.thread = 0
        self.loop_runs: Callable[[], bool] = lambda: False
        self.calls: set[asyncio.Task[None]] = set()
        self.closing = False
        self.line = Line(core.accumulator.room, core.accumulator.reserve)
        self.flushes = Flushes()
        self.deliveries: dict[int, Delivery] = {}
        self.keeper: Keeper | None = None
        self._put = put
        self._core = core
        self._accumulator = core.accumulator
        self._dead_letters = dead_letters
        self._hooks = Hooks[WriterEvent](hooks, whose="writer", what="writer")
        self._owner = Owner("writer")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed: asyncio.Event | None = None
        self._idle: asyncio.Future[None] | None = None
        self._pumping = False
        self._again: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- where it may be used ----------------------------------------------------------------------------------------

    def home(self, *, closing: bool = False) -> asyncio.AbstractEventLoop:
        """Return the running event loop.

        Args:
            closing: a closed or stopped sender is fine too.

        Raises:
            BesmartError: it belongs to another event loop or process, or is closed or stopped.
        """
        if self._owner.loop is None:
            self.check_open()
            self._bind(self._owner.check())
        loop = self._owner.check()
        if not closing:
            self.check_open()
        return loop

    def check_open(self) -> None:
        """Raise a `BesmartError` if nothing is accepted any more."""
        if self.closing:
            raise BesmartError("this writer is closed")
        if self._core.failure is not None and not self.resume(at_once=False):
            raise self._core.failure.clone()

    def resume(self, *, at_once: bool) -> bool:
        """Continue after the service refused everything; see `Writer.resume`."""
        resumed = not self.closing and self._core.resume(self.time(), at_once=at_once)
        if resumed:
            logger.warning("the besmart writer accepts readings again")
        return resumed

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._closed = asyncio.Event()
        self.thread, self.loop_runs = get_ident(), loop.is_running
        _senders.add(self)
        if type(loop).time is not asyncio.BaseEventLoop.time:
            self.time = loop.time  # otherwise `time.monotonic`, which is the same and twice as fast

    @property
    def pid(self) -> int:
        """The process it belongs to, 0 before its first use."""
        return self._owner.pid

    # -- sending -----------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what is due, report what has happened, and arrange the next call for the rest."""
        if self._pumping or self._loop is None:
            return
        self._pumping = True
        try:
            now = self.time()
            if (dispatch := self._core.poll(now)) is not None:
                call = self._loop.create_task(self._carry(dispatch), name="besmart writer call", context=Context())
                self.calls.add(call)
                call.add_done_callback(self._ended, context=Context())
            self._arm(now)
        except Exception as error:  # a bug of ours must not leave anyone waiting
            logger.exception("the besmart writer failed and stops")
            self._core.abandon(_unexpected(error), self.time())
        finally:
            self._pumping = False
        self.tell()

    def _arm(self, now: float) -> None:
        wakeup = self._core.next_wakeup(now)
        if wakeup is None or self._loop is None or self._again is not None:
            return
        if wakeup <= now:
            self._again = self._loop.call_soon(self._on_again, context=Context())
            return
        if self._timer is not None:
            if self._timer.when() <= wakeup:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(wakeup, self._on_timer, context=Context())

    def _on_again(self) -> None:
        self._again = None
        self.pump()

    def _on_timer(self) -> None:
        self._timer = None
        self.pump()

    async def _carry(self, dispatch: Dispatch) -> None:
        error: BesmartError | None = None
        try:
            await self._put(dispatch.body)
        except BesmartError as failed:
            error = failed
        except asyncio.CancelledError:
            error = TransportError("the call was cancelled", reached=True, outcome="in_doubt")
            raise
        except Exception as failed:
            error = _unexpected(failed)
        finally:
            self._settle(dispatch.number, error)
            error = None  # its traceback refers to this frame

    def _settle(self, number: int, error: BesmartError | None) -> None:
        try:
            self._core.settle(number, error, self.time())
        except Exception as fault:  # a bug of ours must not leave anyone waiting
            logger.exception("the besmart writer failed and stops")
            self._core.abandon(_unexpected(fault), self.time())

    def _ended(self, call: asyncio.Task[None]) -> None:
        self.calls.discard(call)
        if call.cancelled() and not self.closing:
            self._arm(self.time())  # the loop may be shutting down: no new tasks from here
            self.tell()
        else:
            self.pump()

    # -- telling -----------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Report what has happened: to hooks, handlers and waiters."""
        events = self._core.events()
        if events:
            Context().run(self._tell_events, events)
        if self._core.failure is not None:
            self.line.let_all_in()
        elif len(self.line):
            self.let_in()
        self.flushes.look(self._accumulator.settled.low)
        if self._idle is not None and not self._idle.done() and self.idle():
            self._idle.set_result(None)

    def let_in(self) -> None:
        """Let callers in that wait for room, while there is room, and arrange to send what is due with them."""
        self.line.let_in()
        self._accumulator.crowded = len(self.line) > 0
        if self._accumulator.due and self._loop is not None:
            self._arm(self.time())

    def _tell_events(self, events: Sequence[WriterEvent | Settled]) -> None:
        given_up: list[Rejection] = []
        for event in events:
            if isinstance(event, Settled):
                delivery = self.deliveries.get(event.ref)
                if delivery is not None and delivery.note(event):
                    delivery.tell()
                continue
            if isinstance(event, Rejection):
                if self.keeper is not None:
                    self.keeper.refused(event.numbers)
                told_otherwise = bool(event.refs) and event.refs <= self.deliveries.keys()
                if self._dead_letters.add(event, told_otherwise=told_otherwise):
                    given_up.append(event)
            elif isinstance(event, BatchAcknowledged) and self.keeper is not None:
                self.keeper.done(event.numbers)
            elif isinstance(event, SendingPaused | SendingResumed):
                _log_pause(event)
            self._hooks(event)
        if given_up:
            _log_given_up(given_up)

    # -- the end -----------------------------------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> bool:
        """Accept nothing more, deliver for up to `timeout_s`, give up the rest. If cancelled, give it up at once.

        Returns:
            Whether this call closed it; False: another call did, or there was nothing to do.
        """
        if self.closing or self._loop is None:
            self.closing = True
            if self._loop is not None and self._closed is not None:
                self.home(closing=True)
                await self._closed.wait()
            return False
        deadline = self.home(closing=True).time() + timeout_s
        self.closing = True
        self._accumulator.close()
        self.line.let_all_in()
        self._core.flush()
        self.pump()
        try:
            await self._drain(timeout_s, deadline)
        finally:
            assert self._closed is not None  # noqa: S101 - made with the loop
            self._closed.set()
        return True

    async def _drain(self, timeout_s: float, deadline: float) -> None:
        try:
            await self._until_idle(timeout_s)
        finally:
            self._give_up(BesmartError(f"the writer was closed after trying for {timeout_s:g} s"))
        for call in self.calls:
            call.cancel()
        if self.calls:
            await asyncio.wait(self.calls, timeout=_CANCEL_GRACE_S)
        await self._dead_letters.empty(max(_CANCEL_GRACE_S, deadline - self.time()))

    async def _until_idle(self, timeout_s: float) -> None:
        if self.idle():
            return
        self._idle = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle
        except TimeoutError:
            pass  # the rest is given up, and raised or logged

    def idle(self) -> bool:
        """Whether everything accepted has its final outcome."""
        busy = self.keeper is not None and self.keeper.busy
        return not self.calls and not self._core.unsettled and not busy

    def _give_up(self, error: BesmartError) -> None:
        for handle in (self._timer, self._again):
            if handle is not None:
                handle.cancel()
        self._timer = self._again = None
        if not self.idle():
            self._core.abandon(error, self.time())
            self.tell()
            for call in self.calls:
                call.cancel()


def _log_pause(event: SendingPaused | SendingResumed) -> None:
    if isinstance(event, SendingResumed):
        logger.warning("the besmart writer sends again: the service answers")
    else:
        logger.warning("the besmart writer pauses for %.3g s or more: %s", event.seconds, event.error)


def _log_given_up(rejections: Sequence[Rejection]) -> None:
    readings = sum(rejection.readings for rejection in rejections)
    signals = len({rejection.data.key for rejection in rejections})
    outcomes = sorted({rejection.outcome for rejection in rejections})
    first = rejections[0]
    logger.error(
        "the besmart writer gave up %d readings of %d signals (%s), with no on_reject to hand them to; the first, of "
        "signal %s: %s",
        readings,
        signals,
        ", ".join(outcomes),
        first.data.key,
        first.error,
    )


def _unexpected(error: BaseException) -> BesmartError:
    told = BesmartError(f"the writer failed: {error!r}")
    told.outcome = "in_doubt"
    told.__cause__ = error
    return told
