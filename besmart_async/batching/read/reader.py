"""`Reading`: one caller's wait for a read, a future that withdraws its caller when it is cancelled.

`Reader`: many reads in few calls. The asyncio shell around `gathering.Gatherer`, which decides everything.

Rules:
- The shell keeps time, sends, and tells the waiters; it decides nothing about batches or answers.
- Each caller waits on a future of its own (`reading.Reading`). Cancelling it withdraws the caller and touches nobody
  else; the call on the wire belongs to the reader and goes on.
- Calls run in tasks of the reader, no more at a time than the pace allows. No lock, no task group, no cancel scope:
  the reader may be closed from another task than the one that opened it.
- Whatever ends a call, an error of the service or a fault in our own code, every waiter hears of it. Nothing hangs.
- A reader belongs to the process and event loop that use it first.

Theory of operation: `_offer` offers a read to the gatherer. `_pump` sends what is due and sets one timer for what is
not; it runs when a batch is full, when the timer ends, and when a call ends. `_carry` is one call, from sending to
telling.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from besmart_async.batching.pacing import Pace
from besmart_async.batching.read.core.coalescer import (
    Batch,
    Flight,
    Gatherer,
    Landed,
    ReadReport,
    Send,
    Waiter,
    tell,
    unexpected,
)
from besmart_async.batching.read.events import ReadHook, ReadHooks
from besmart_async.batching.read.stream import Queries, Stream
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery, checked_query
from besmart_async.models.series import SignalData
from besmart_async.models.times import TimeLike


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


_CANCEL_GRACE_S = 1.0
"""How long closing waits for calls that it cancelled at its deadline."""


class Reader:
    """Gathers concurrent reads into bulk calls. Made by `client.reader()`; one serves a whole application.

    Use it as `async with client.reader() as reader`, or call `aclose()` when done.
    """

    def __init__(self, send: Send, policy: ReadPolicy | None = None, *, hooks: Sequence[ReadHook] = ()) -> None:
        """Prepare a reader that asks through `send`; nothing happens before the first read. See `client.reader()`."""
        self._send = send
        self._hooks = ReadHooks(hooks)
        self._policy = policy if policy is not None else ReadPolicy()
        self._gatherer = Gatherer[Waiter](max_items=self._policy.max_items, linger_s=self._policy.linger_s)
        self._pace = Pace(self._policy.max_in_flight)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._closing = False
        self._pumping = False
        self._crowded = False
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._streams: set[Stream] = set()

    async def read(
        self,
        key: SignalKey,
        since: TimeLike,
        till: TimeLike,
        *,
        get_last: bool | None = None,
        delta_t: int | None = None,
        raw: bool | None = None,
        output_unit_id: int | None = None,
        signal_origin_id: int | None = None,
        filters: Mapping[str, object] | str | None = None,
        is_chart: bool | None = None,
    ) -> SignalData:
        """Read one signal; calls made at the same time travel together (`POST /sensors/signals/data`).

        Cancelling gives up this caller's wait and nothing else.

        Args:
            key: which signal.
            since: start, UTC unix ms or an aware datetime.
            till: end; the document does not say whether it is inclusive.
            get_last: get only records with the newest acquisition time for the same capture times.
            delta_t: aggregate time in minutes.
            raw: fetch the raw signal.
            output_unit_id: unit the values are wanted in.
            signal_origin_id: only readings of this origin.
            filters: data filters for complex structures: a mapping or JSON text.
            is_chart: use the expected chart output unit.

        Returns:
            What the service answered; `absent` where it gave no answer for the signal.

        Raises:
            InvalidInputError: an argument is refused locally.
            UnprocessableError: the service refuses this read; others that travelled with it are not affected.
            BesmartError: the call failed, or the reader is closed or of another process or event loop.
        """
        return await self.ask(
            SignalQuery(key, since, till, get_last, delta_t, raw, output_unit_id, signal_origin_id, filters, is_chart)
        )

    async def read_query(self, query: SignalQuery) -> SignalData:
        """Like `read`, for a query made beforehand.

        Raises:
            BesmartError: as `read`.
        """
        return await self.ask(query)

    def ask(self, query: SignalQuery) -> asyncio.Future[SignalData]:
        """Like `read_query`, but return at once, with a future: many reads at the same time need no task each.

        `asyncio.gather` of ten thousand takes two thirds of the time that it takes of `read`. Cancelling the
        future gives up this wait and nothing else.

        Raises:
            InvalidInputError: `query` is none.
            BesmartError: the reader is closed or of another process or event loop. What `read` raises of the call and
                its answer, the future raises.
        """
        query, loop = checked_query("query", query), self._home()
        reading = Reading(loop=loop)
        reading.gatherer = self._gatherer
        reading.flight = self._offer(query, reading, loop)
        return reading

    async def stream(
        self,
        queries: Queries,
        *,
        in_order: bool = False,
        on_error: Callable[[SignalQuery, BesmartError], Awaitable[None] | None] | None = None,
    ) -> AsyncGenerator[SignalData, None]:
        """Read many windows in bounded memory; the source is read only as fast as results are taken.

        A window longer than `max_window_s` comes in parts, one `SignalData` each, whose rows are exactly those of the
        whole; it is not cut if its rows may depend on each other (`get_last`, `delta_t`, `output_unit_id`, `filters`,
        `is_chart`). Leaving the loop early gives up the rest; use `contextlib.aclosing` to have that done at once.

        Args:
            queries: an iterable or async iterable, consumed lazily.
            in_order: give results in the order asked, not as they arrive: of each `max_items` queries first parts,
                then second parts, and so on. A slow answer holds up those after it.
            on_error: gets the query and the error of each read (each part) that failed, and the stream goes on.
                Without it, the first error ends the stream.

        Raises:
            BesmartError: as `read`, with a note that names the signal and its window.
        """
        self._home()
        stream = Stream(self._ask, self._gatherer.withdraw, self._policy, in_order=in_order)
        self._streams.add(stream)
        stream.start(queries)
        try:
            while (landing := stream.landed() or await stream.take()) is not None:
                if isinstance(landing.answer, SignalData):
                    yield landing.answer if landing.part is None else landing.part.kept(landing.answer)
                elif landing.answer is not None:
                    if on_error is None:
                        raise landing.answer
                    handled = on_error(landing.whole, landing.answer)
                    if inspect.isawaitable(handled):
                        await handled
        finally:
            self._streams.discard(stream)
            await stream.stop()

    @property
    def report(self) -> ReadReport:
        """The counts as they stand."""
        return self._gatherer.report

    async def aclose(self) -> None:
        """Take no more reads, wait up to `close_timeout_s` for those under way, and fail the rest. Any task may do it.

        Cancelling fails what is left at once. A second time does nothing.

        Raises:
            BesmartError: called in another process or event loop than the reader was used in.
        """
        if self._loop is None or (self._closing and not self._calls):
            self._closing = True
            return
        loop = self._home(closing=True)
        self._closing = True
        self._gatherer.hurry()
        self._pump()
        deadline = loop.time() + self._policy.close_timeout_s
        try:
            while self._calls and (left := deadline - loop.time()) > 0:
                await asyncio.wait(self._calls, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._abandon(BesmartError("the reader was closed before the service answered"))
            for call in self._calls:
                call.cancel("the reader was closed")
            for stream in self._streams:
                stream.end(BesmartError("the reader was closed during the stream"))
        for stream in list(self._streams):
            await stream.stop()
        if self._calls:
            await asyncio.wait(self._calls, timeout=_CANCEL_GRACE_S)

    async def __aenter__(self) -> Self:
        self._home()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_loop", None) is not None and not self._closing and self._pid == os.getpid():
            warnings.warn("a besmart reader was never closed; use 'async with'", ResourceWarning, 2, source=self)

    def _home(self, *, closing: bool = False) -> asyncio.AbstractEventLoop:
        """Return the running event loop if this reader may be used in it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None  # not even in a coroutine right after os.fork()
        if loop is self._loop and loop is not None and (closing or not self._closing):
            return loop
        if self._loop is not None and self._pid != os.getpid():
            raise BesmartError(f"this reader belongs to process {self._pid}; open a client of its own after a fork")
        if loop is None or (self._loop is not None and self._loop is not loop):
            raise BesmartError("this reader belongs to another event loop; open one client per event loop")
        if self._closing:
            raise BesmartError("this reader is closed")
        self._loop = loop
        self._pid = os.getpid()
        return loop

    def _ask(self, query: SignalQuery, waiter: Waiter) -> Flight[Waiter]:
        """Offer what a stream asks, whose own task runs where the reader is at home."""
        if self._closing or self._loop is None:
            raise BesmartError("this reader is closed")
        return self._offer(query, waiter, self._loop)

    def _offer(self, query: SignalQuery, waiter: Waiter, loop: asyncio.AbstractEventLoop) -> Flight[Waiter]:
        flight = self._gatherer.offer(query, loop.time(), waiter)
        if not self._crowded and (self._timer is None or self._gatherer.full):
            self._pump()
        return flight

    def _pump(self) -> None:
        """Send what is due, and see to it that somebody comes back for the rest."""
        if self._pumping or self._loop is None:
            return  # further down the stack somebody is at it and will poll again
        self._pumping = True
        try:
            while (batch := self._gatherer.poll(self._loop.time(), self._pace.limit)) is not None:
                call = self._loop.create_task(self._carry(batch), name="besmart reader call")
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
            self._crowded = self._gatherer.under_way >= self._pace.limit
            wakeup = self._gatherer.next_wakeup(self._pace.limit)
            if wakeup is not None and self._timer is None:
                self._timer = self._loop.call_at(wakeup, self._on_timer)
        except Exception as error:  # a fault of ours must not leave anyone waiting
            self._abandon(unexpected(error))
        finally:
            self._pumping = False

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    async def _carry(self, batch: Batch[Waiter]) -> None:
        landed: Landed[Waiter] = []
        failure: BesmartError | None = None
        loop = asyncio.get_running_loop()
        sent_s = answered_s = loop.time()
        try:
            if self._hooks:
                self._hooks.sent(batch)
            answers = await self._send(batch.queries)
            answered_s = loop.time()
            self._pace.succeeded()
            landed = self._gatherer.settle(batch, answers)
        except BesmartError as error:
            self._pace.failed(error)
            failure = error
            landed = self._gatherer.fail(batch, failure)
        except BaseException as error:
            failure = unexpected(error)
            landed = self._gatherer.fail(batch, failure)
            if not isinstance(error, Exception):
                raise
        finally:
            tell(landed)
            try:
                if self._hooks:
                    self._hooks.ended(batch, landed, failure, answered_s - sent_s)
            finally:
                self._pump()

    def _abandon(self, error: BesmartError) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tell(self._gatherer.abandon(error))
