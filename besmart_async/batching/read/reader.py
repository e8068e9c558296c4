"""`Reader`: many reads in few calls. The asyncio shell around `ReadCoalescer`, which decides everything.

Rules:
- The shell keeps time, sends, and passes results on; it decides nothing about batches or answers.
- Each caller waits on a future of its own (`ReadFuture`). Cancelling it withdraws the caller and affects nobody else;
  the call on the wire belongs to the reader and goes on.
- Calls run in tasks of the reader, no more at a time than the pace allows, and in an empty context: a call that several
  requests share must not carry the trace or the tenant of one of them. No lock, no task group; no cancel scope is held
  open: the reader may be closed from another task than the one that opened it.
- Whatever ends a call, every waiter gets a result or an error. An error of the service ends the reads of that call. A
  fault in our own code ends the reader: all waiters get the error, and later reads are refused.
- Closing waits for calls under way although the task that closes is cancelled (see `aclose`).
- A reader belongs to the process and event loop that use it first.

Theory of operation: `_offer` offers a read to the coalescer. `_pump` sends what is due and sets one timer for what is
not; it runs when a batch is full, when the timer ends, and when a call ends. `_carry` is one call, from sending to
passing on its results.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, Self

import anyio

from besmart_async.batching.pacing import Pace
from besmart_async.batching.read.core.coalescer import (
    ReadBatch,
    ReadCoalescer,
    ReadFlight,
    ReadReport,
    ReadResults,
    ReadWaiter,
    SendBulkRead,
    resolve,
    unexpected,
)
from besmart_async.batching.read.events import ReadHook, ReadHooks
from besmart_async.batching.read.stream import Queries, Stream
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartConfigError, BesmartError
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery, checked_query
from besmart_async.models.series import SignalData
from besmart_async.models.times import TimeLike
from besmart_async.transport.ownership import Owner

_CANCEL_GRACE_S = 1.0
"""How long closing waits for calls that it cancelled at its deadline."""


class ReadFuture(asyncio.Future[SignalData]):
    """The wait for one answer. Cancelling it, or the task that awaits it, affects nobody else.

    Attributes:
        context: the context of the caller, None if no hook wants it.
        flight: what it waits for.
        coalescer: where that is.
    """

    __slots__ = ("coalescer", "context", "flight")

    context: Context | None
    flight: ReadFlight[ReadWaiter]
    coalescer: ReadCoalescer[ReadWaiter]

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up this caller's wait; False if it is over."""
        if not super().cancel(msg):
            return False
        self.coalescer.withdraw(self.flight)
        return True


class Reader:
    """Gathers concurrent reads into bulk calls. Made by `client.reader()`; one serves a whole application.

    Use it as `async with client.reader() as reader`, or call `aclose()` when done.
    """

    def __init__(
        self,
        send: SendBulkRead,
        policy: ReadPolicy | None = None,
        *,
        hooks: Sequence[ReadHook] = (),
        check: Callable[[SignalQuery], None] | None = None,
    ) -> None:
        """Prepare a reader that asks through `send`; nothing happens before the first read. See `client.reader()`.

        `check` raises for a query that the service does not take, before it shares a call with others.

        Raises:
            BesmartConfigError: `policy` is not a `ReadPolicy`, or a hook is not a plain function of one event.
        """
        if policy is not None and not isinstance(policy, ReadPolicy):
            raise BesmartConfigError(f"policy={policy!r}: give ReadPolicy(...)")
        self._send = send
        self._check = check
        self._hooks = ReadHooks(hooks) if hooks else None
        self._policy = policy if policy is not None else ReadPolicy()
        self._coalescer = ReadCoalescer[ReadWaiter](max_items=self._policy.max_items, linger_s=self._policy.linger_s)
        self._pace = Pace(self._policy.max_in_flight)
        self._limit = self._pace.limit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._owner = Owner("reader")
        self._closing = False
        self._fault: Exception | None = None
        self._pumping = False
        self._crowded = False
        self._timer: asyncio.TimerHandle | None = None
        self._calls: dict[asyncio.Task[None], ReadBatch[ReadWaiter]] = {}
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
        apply_multiplier: bool | None = None,
    ) -> SignalData:
        """Read one signal; calls made at the same time travel together (`POST /sensors/signals/data`).

        Cancelling gives up this caller's wait and nothing else: the call goes on for others.

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
            apply_multiplier: apply the signal's multiplier (dialect `live` only).

        Returns:
            What the service answered; `absent` where it gave no answer for the signal.

        Raises:
            InvalidInputError: an argument is refused locally.
            UnprocessableError: the service refuses this read; others that travelled with it are not affected.
            BesmartError: the call failed, or the reader is closed or belongs to another process or event loop.
        """
        return await self._asked(
            SignalQuery(
                key,
                since,
                till,
                get_last,
                delta_t,
                raw,
                output_unit_id,
                signal_origin_id,
                filters,
                is_chart,
                apply_multiplier,
            )
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
            InvalidInputError: `query` is not a `SignalQuery`.
            BesmartError: the reader is closed or belongs to another process or event loop. The future raises what
                `read` raises about the call and its answer.
        """
        return self._asked(checked_query("query", query))

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
        `is_chart`). Leaving the loop early gives up the rest and closes the source if it is a generator; use
        `contextlib.aclosing` to have that done at once.

        Args:
            queries: an iterable or async iterable, consumed lazily. A generator is closed when the stream ends.
            in_order: give results in the order asked, not as they arrive: of each `max_items` queries first parts,
                then second parts, and so on. A slow answer holds up those after it.
            on_error: gets the query and the error of each read (each part) that failed, and the stream goes on.
                Without it, the first error ends the stream.

        Raises:
            BesmartError: as `read`, with a note that names the signal and its window.
        """
        self._home()
        stream = Stream(self._ask, self._coalescer.withdraw, self._policy, in_order=in_order)
        stream.context = copy_context() if self._hooks is not None else None
        self._streams.add(stream)
        stream.start(queries)
        try:
            while (read := stream.arrived() or await stream.take()) is not None:
                if isinstance(read.answer, SignalData):
                    yield read.answer if read.part is None else read.part.kept(read.answer)
                elif read.answer is not None:
                    if on_error is None:
                        raise read.answer
                    handled = on_error(read.whole, read.answer)
                    if inspect.isawaitable(handled):
                        await handled
        finally:
            self._streams.discard(stream)
            await stream.stop()

    @property
    def report(self) -> ReadReport:
        """The counts as they stand."""
        return self._coalescer.report

    async def aclose(self) -> None:
        """Take no more reads, wait up to `close_timeout_s` for those under way, and fail the rest. Any task may do it.

        It waits also where the task that closes is in a cancelled scope of anyio (`move_on_after`, a task group, a
        request whose client went away). `task.cancel()` while it waits fails what is left at once. A second call does
        nothing.

        Raises:
            BesmartError: called in another process or event loop than the reader was used in.
        """
        if self._loop is None or (self._closing and not self._calls):
            self._closing = True
            return
        loop = self._home(closing=True)
        self._closing = True
        self._coalescer.hurry()
        self._pump()
        deadline = loop.time() + self._policy.close_timeout_s
        with anyio.CancelScope(shield=True):
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
        if getattr(self, "_loop", None) is not None and not self._closing and self._owner.pid == os.getpid():
            warnings.warn("a besmart reader was never closed; use 'async with'", ResourceWarning, 2, source=self)

    def _home(self, *, closing: bool = False) -> asyncio.AbstractEventLoop:
        """Return the running event loop if this reader may be used in it."""
        loop = self._owner.check()
        if self._loop is loop and (closing or not (self._closing or self._fault)):
            return loop
        self._check_open()
        self._loop = loop
        return loop

    def _check_open(self) -> None:
        if self._closing:
            raise BesmartError("this reader is closed")
        if self._fault is not None:
            problem = f"this reader stopped after an internal error: {self._fault!r}; open a new one, and report this"
            raise BesmartError(problem) from self._fault

    def _asked(self, query: SignalQuery) -> ReadFuture:
        loop = self._home()
        future = ReadFuture(loop=loop)
        future.context = copy_context() if self._hooks is not None else None
        future.coalescer = self._coalescer
        future.flight = self._offer(query, future, loop)
        return future

    def _ask(self, query: SignalQuery, waiter: ReadWaiter) -> ReadFlight[ReadWaiter]:
        """Offer what a stream asks, whose own task runs in the reader's event loop."""
        self._check_open()
        assert self._loop is not None  # noqa: S101  # a stream starts after `_home`
        return self._offer(query, waiter, self._loop)

    def _offer(self, query: SignalQuery, waiter: ReadWaiter, loop: asyncio.AbstractEventLoop) -> ReadFlight[ReadWaiter]:
        if self._check is not None:
            self._check(query)
        flight = self._coalescer.offer(query, loop.time(), waiter)
        if not self._crowded and (self._timer is None or self._coalescer.full):
            self._pump()
        return flight

    def _pump(self) -> None:
        """Send what is due, and set the timer for the rest."""
        if self._pumping or self._fault is not None or self._loop is None:
            return  # `_pumping`: the one further down the stack polls again
        self._pumping = True
        try:
            self._send_due(self._loop)
        except Exception as error:
            self._stop(error)
        finally:
            self._pumping = False

    def _send_due(self, loop: asyncio.AbstractEventLoop) -> None:
        coalescer = self._coalescer
        while (batch := coalescer.poll(loop.time(), self._limit)) is not None:
            if not batch.flights:  # polling on would freeze the event loop
                raise RuntimeError("the coalescer returned an empty batch")
            # A task copies the context it is made in; an empty one, or the call would run in that of some request.
            call = Context().run(loop.create_task, self._carry(batch), name="besmart reader call")
            self._calls[call] = batch
            call.add_done_callback(self._ended)
        self._crowded = coalescer.under_way >= self._limit
        wakeup = coalescer.next_wakeup(self._limit)
        if wakeup is not None and self._timer is None:
            self._timer = loop.call_at(wakeup, self._on_timer, context=Context())

    def _ended(self, call: asyncio.Task[None]) -> None:
        batch = self._calls.pop(call)
        if self._coalescer.has_under_way(batch):  # cancelled before its first step: nothing else ends its batch
            resolve(self._coalescer.fail(batch, unexpected(asyncio.CancelledError())))
            self._pump()

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    async def _carry(self, batch: ReadBatch[ReadWaiter]) -> None:
        answers: list[SignalData] = []
        failure: BesmartError | None = None
        loop = asyncio.get_running_loop()
        sent_s = loop.time()
        try:
            if self._hooks is not None:
                self._hooks.sent(batch)
            answers = await self._send(batch.queries)
        except BesmartError as error:
            failure = error
        except Exception as error:
            failure = unexpected(error)
        except BaseException as error:
            failure = unexpected(error)
            raise
        finally:
            self._finish(batch, answers, failure, loop.time() - sent_s)

    def _finish(
        self, batch: ReadBatch[ReadWaiter], answers: list[SignalData], failure: BesmartError | None, elapsed_s: float
    ) -> None:
        try:
            results = self._results(batch, answers, failure)
            resolve(results)
            if self._hooks is not None:
                self._hooks.ended(batch, results, failure, elapsed_s)
        except Exception as error:
            self._stop(error)
            resolve([(flight, unexpected(error)) for flight in batch.flights.values()])  # the batch may be half settled
        finally:
            self._pump()

    def _results(
        self, batch: ReadBatch[ReadWaiter], answers: list[SignalData], failure: BesmartError | None
    ) -> ReadResults[ReadWaiter]:
        if failure is None:
            self._pace.succeeded()
            results = self._coalescer.settle(batch, answers)
        else:
            self._pace.failed(failure)
            results = self._coalescer.fail(batch, failure)
        self._limit = self._pace.limit
        return results

    def _stop(self, fault: Exception) -> None:
        """End the reader after a fault of ours: nobody may be left waiting, and the event loop may not spin."""
        self._fault = fault
        self._abandon(unexpected(fault))

    def _abandon(self, error: BesmartError) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        resolve(self._coalescer.abandon(error))
