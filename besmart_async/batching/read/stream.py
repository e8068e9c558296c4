"""One pass over many queries: a feeder asks, the consumer takes, and the number of parts between them is bounded.

Rules:
- At most `max_outstanding` parts have been asked and not been taken, and no more than what is expected to hold
  `max_readings_ahead` readings: short answers need many calls under way, long ones would need too much memory. At that
  mark the feeder stops, and the source is not read any further; it goes on when there is room for a full batch, so that
  a consumer who takes one at a time does not cause calls for one signal each. Before the first answer the mark is what
  the first calls of a reader hold.
- Queries are taken from an iterable as many as fit in a batch at a time, and their parts are asked in turns: parts of
  one signal cannot share a call. From an async iterable they are taken one by one, as waiting for the next must not
  hold up those at hand.
- Results come in any order, or in the order asked: then an early answer waits for those before it, and counts as not
  taken meanwhile. The source's own error, and an answer's where nobody handles it, ends the pass.
- Stopping (also by leaving the `async for` early) withdraws what has been asked, ends the feeder, and closes the source
  if it is a generator: given inline, nobody else can close it. Calls under way finish without anyone waiting for them.
- The feeder reads and closes the source, in the context of the consumer: the source is the user's code.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from contextvars import Context
from itertools import islice
from typing import TypeAlias

import anyio
import attrs

from besmart_async.batching.read.core.coalescer import ReadFlight, ReadWaiter
from besmart_async.batching.read.core.windows import Part, in_turns
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.queries import SignalQuery, checked_query
from besmart_async.models.series import SignalData

Queries: TypeAlias = Iterable[SignalQuery] | AsyncIterable[SignalQuery]
"""Many queries, taken lazily."""


@attrs.define(eq=False)
class StreamedRead:
    """One part that a stream has asked: a waiter whose answer goes to the stream.

    Attributes:
        stream: where it goes.
        query: what was asked.
        part: which piece of a longer window it is; None for a whole window.
        flight: the flight it waits for.
        answer: what came of it.
    """

    stream: Stream
    query: SignalQuery
    part: Part | None
    flight: ReadFlight[ReadWaiter] | None = None
    answer: SignalData | BesmartError | None = None

    @property
    def context(self) -> Context | None:
        """The context in which the stream was opened."""
        return self.stream.context

    @property
    def whole(self) -> SignalQuery:
        """The query as it was given."""
        return self.query if self.part is None else self.part.whole

    def done(self) -> bool:
        """Return whether it needs no answer any more."""
        return self.answer is not None

    def set_result(self, result: SignalData, /) -> None:
        """Take the answer."""
        self.answer = result
        self.stream.arrive(self)

    def set_exception(self, exception: BesmartError, /) -> None:
        """Take the error."""
        whole = self.whole
        exception.add_note(f"while streaming signal {whole.key}, {whole.since} to {whole.till}")
        self.answer = exception
        self.stream.arrive(self)


_MONTH_MS = 31 * 86_400_000.0


class Allowance:
    """How many parts may have been asked and not been taken, by what the answers so far held.

    Attributes:
        most: so many parts.
        resume_at: the feeder goes on when no more than these are outstanding.
    """

    _FIRST_CALLS = 4
    """Calls with months in them before the first answer, and more with shorter windows; see `Pace`."""
    _WEIGHT = 1 / 64
    """Of the latest part in the average: parts of one call arrive together."""

    def __init__(self, policy: ReadPolicy) -> None:
        self._policy = policy
        self._readings: float | None = None
        self._set(self._FIRST_CALLS * policy.max_items)

    def expect(self, window_ms: float) -> None:
        """Before the first answer: note how long the windows are, the longer ones cut."""
        if self._readings is None:
            parts = self._FIRST_CALLS * self._policy.max_items
            share = _MONTH_MS / max(min(window_ms, self._policy.max_window_s * 1000), 1.0)
            self._set(int(parts * max(1.0, share)))

    def answered(self, readings: int) -> None:
        """Note how many readings a part had."""
        known = self._readings
        self._readings = readings if known is None else known + self._WEIGHT * (readings - known)
        self._set(int(self._policy.max_readings_ahead / max(self._readings, 1.0)))

    def _set(self, parts: int) -> None:
        self.most = max(1, min(parts, self._policy.max_outstanding))
        self.resume_at = max(self.most - self._policy.max_items, self.most // 2)


class Stream:
    """The state of one pass. It belongs to the `async for` that runs it.

    Attributes:
        context: the context in which it was opened, None if no hook wants it.
    """

    def __init__(
        self,
        ask: Callable[[SignalQuery, ReadWaiter], ReadFlight[ReadWaiter]],
        withdraw: Callable[[ReadFlight[ReadWaiter]], None],
        policy: ReadPolicy,
        *,
        in_order: bool = False,
    ) -> None:
        self._ask = ask
        self._withdraw = withdraw
        self._group = policy.max_items
        self._max_window_ms = policy.max_window_s * 1000
        self._allowed = Allowance(policy)
        self._in_order = in_order
        self._close_timeout_s = policy.close_timeout_s
        self.context: Context | None = None
        self._asked: set[StreamedRead] = set()
        self._arrived: deque[StreamedRead] = deque()
        self._arrival = asyncio.Event()
        self._room = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._fed = False
        self._error: Exception | None = None
        self._close_error: Exception | None = None

    def start(self, queries: Queries) -> None:
        """Begin to ask."""
        self._feeder = asyncio.get_running_loop().create_task(self._feed(queries), name="besmart reader stream")

    async def take(self) -> StreamedRead | None:
        """Return the next result, None after the last.

        Raises:
            Exception: whatever the source raised.
            BesmartError: the reader was closed.
        """
        while (read := self.arrived()) is None:
            if self._error is not None:
                raise self._error
            if self._fed and not self._asked:
                return None
            self._arrival.clear()
            await self._arrival.wait()
        return read

    def arrived(self) -> StreamedRead | None:
        """Return the next result if it is there; as `take`, without waiting."""
        if not self._arrived or not self._arrived[0].done():
            return None
        read = self._arrived.popleft()
        if self._outstanding <= self._allowed.resume_at:
            self._room.set()
        return read

    def arrive(self, read: StreamedRead) -> None:
        """Take in a result."""
        self._asked.discard(read)
        if not self._in_order:
            self._arrived.append(read)
        if isinstance(read.answer, SignalData):
            self._allowed.answered(len(read.answer))
            if self._outstanding <= self._allowed.resume_at:
                self._room.set()  # short answers leave room for more
        self._arrival.set()

    def end(self, error: BesmartError | None = None) -> None:
        """Ask nothing more and forget what was asked; a consumer that goes on gets what has arrived, then `error`."""
        self._source_ended(error)
        asked, self._asked = self._asked, set()
        for read in asked:
            if read.flight is not None:
                self._withdraw(read.flight)
        if self._feeder is not None:
            self._feeder.cancel()

    async def stop(self) -> None:
        """End, and wait up to `close_timeout_s` for the feeder to close the source, also in a cancelled anyio scope.

        Raises:
            Exception: whatever the source raised while it was closed.
        """
        self.end()
        feeder = self._feeder
        if feeder is None:
            return
        if not feeder.done():
            with anyio.CancelScope(shield=True):
                await asyncio.wait([feeder], timeout=self._close_timeout_s)
            feeder.cancel()  # a source that does not close in time
        error, self._close_error = self._close_error, None
        if error is not None:
            raise error

    @property
    def _outstanding(self) -> int:
        return len(self._arrived) if self._in_order else len(self._asked) + len(self._arrived)

    async def _feed(self, queries: Queries) -> None:
        source: AsyncIterator[SignalQuery] | Iterator[SignalQuery] | None = None
        try:
            source = aiter(queries) if isinstance(queries, AsyncIterable) else iter(queries)
            while group := await _next_group(source, self._group):
                await self._ask_all(group)
        except asyncio.CancelledError:
            self._source_ended(BesmartError("the stream was cancelled"))
            raise
        except Exception as error:  # the source may raise anything; the consumer gets it
            self._source_ended(error)
        else:
            self._source_ended(None)
        finally:
            await self._close(source)

    async def _ask_all(self, group: list[SignalQuery]) -> None:
        self._allowed.expect(max(query.till - query.since for query in group))
        for query, part in in_turns(group, self._max_window_ms):
            if self._outstanding >= self._allowed.most:
                await self._wait_for_room()
            read = StreamedRead(self, query, part)
            self._asked.add(read)
            if self._in_order:
                self._arrived.append(read)  # it takes its place before its answer has come
            read.flight = self._ask(query, read)

    async def _close(self, source: object) -> None:
        try:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
            elif isinstance(source, Generator):
                source.close()
        except Exception as error:
            self._close_error = error

    async def _wait_for_room(self) -> None:
        while self._outstanding > self._allowed.resume_at:
            self._room.clear()
            await self._room.wait()

    def _source_ended(self, error: Exception | None) -> None:
        if not self._fed:
            self._fed = True
            self._error = error
        self._arrival.set()


async def _next_group(source: AsyncIterator[SignalQuery] | Iterator[SignalQuery], size: int) -> list[SignalQuery]:
    """Take the next queries, an empty list after the last; of an async source one at a time."""
    if isinstance(source, AsyncIterator):
        async for query in source:
            return [checked_query("queries", query)]
        return []
    return [checked_query("queries", query) for query in islice(source, size)]
