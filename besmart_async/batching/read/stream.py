"""One pass over many queries: a feeder asks, the consumer takes, and only so much lies between them.

Rules:
- What has been asked and not been taken is at most `max_outstanding` parts. At that mark the feeder stops, and the
  source is not read any further; it goes on when there is room for a full batch, so that a consumer who takes one at a
  time does not cause calls for one signal each.
- Queries are taken from an iterable as many as fit in a batch at a time, and their parts are asked in turns: parts of
  one signal cannot share a call. From an async iterable they are taken one by one, as waiting for the next must not
  hold up those at hand.
- Results come in any order, or in the order asked: then an early answer waits for those before it, and counts as not
  taken meanwhile. The source's own error, and an answer's where nobody handles it, ends the pass.
- Stopping (also by leaving the `async for` early) withdraws what has been asked and ends the feeder; whatever is on
  the wire comes to its end without anyone listening.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from itertools import islice
from typing import TypeAlias

import attrs

from besmart_async.batching.read.core.coalescer import Flight, Waiter
from besmart_async.batching.read.core.windows import Part, in_turns
from besmart_async.config import ReadPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.queries import SignalQuery, checked_query
from besmart_async.models.series import SignalData

Queries: TypeAlias = Iterable[SignalQuery] | AsyncIterable[SignalQuery]
"""Many queries, taken lazily."""


@attrs.define(eq=False)
class Landing:
    """A waiter whose answer goes to a stream.

    Attributes:
        stream: where it goes.
        query: what was asked.
        part: which piece of a longer window that is; None if it is no piece.
        flight: the flight it waits for.
        answer: what came of it.
    """

    stream: Stream
    query: SignalQuery
    part: Part | None
    flight: Flight[Waiter] | None = None
    answer: SignalData | BesmartError | None = None

    @property
    def whole(self) -> SignalQuery:
        """The query as it was given."""
        return self.query if self.part is None else self.part.whole

    def done(self) -> bool:
        """Tell whether it needs no answer any more."""
        return self.answer is not None

    def set_result(self, result: SignalData, /) -> None:
        """Take the answer."""
        self.answer = result
        self.stream.land(self)

    def set_exception(self, exception: BesmartError, /) -> None:
        """Take the error."""
        whole = self.whole
        exception.add_note(f"while streaming signal {whole.key}, {whole.since} to {whole.till}")
        self.answer = exception
        self.stream.land(self)


class Stream:
    """The state of one pass. It belongs to the `async for` that runs it."""

    def __init__(
        self,
        ask: Callable[[SignalQuery, Waiter], Flight[Waiter]],
        withdraw: Callable[[Flight[Waiter]], None],
        policy: ReadPolicy,
        *,
        in_order: bool = False,
    ) -> None:
        self._ask = ask
        self._withdraw = withdraw
        self._group = policy.max_items
        self._max_window_ms = policy.max_window_s * 1000
        self._most = policy.max_outstanding
        self._resume_at = max(self._most - policy.max_items, self._most // 2)
        self._in_order = in_order
        self._asked: set[Landing] = set()
        self._landed: deque[Landing] = deque()
        self._arrival = asyncio.Event()
        self._room = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._fed = False
        self._error: Exception | None = None

    def start(self, queries: Queries) -> None:
        """Begin to ask."""
        self._feeder = asyncio.get_running_loop().create_task(self._feed(queries), name="besmart reader stream")

    async def take(self) -> Landing | None:
        """Return the next result, None after the last.

        Raises:
            Exception: whatever the source raised.
            BesmartError: the reader was closed.
        """
        while (landing := self.landed()) is None:
            if self._error is not None:
                raise self._error
            if self._fed and not self._asked:
                return None
            self._arrival.clear()
            await self._arrival.wait()
        return landing

    def landed(self) -> Landing | None:
        """Return the next result if it is there; as `take`, without waiting."""
        if not self._landed or not self._landed[0].done():
            return None
        landing = self._landed.popleft()
        if self._outstanding <= self._resume_at:
            self._room.set()
        return landing

    def land(self, landing: Landing) -> None:
        """Take in a result."""
        self._asked.discard(landing)
        if not self._in_order:
            self._landed.append(landing)
        self._arrival.set()

    def end(self, error: BesmartError | None = None) -> None:
        """Ask nothing more and forget what was asked; a consumer that goes on gets what has landed, then `error`."""
        self._source_ended(error)
        asked, self._asked = self._asked, set()
        for landing in asked:
            if landing.flight is not None:
                self._withdraw(landing.flight)
        if self._feeder is not None:
            self._feeder.cancel()

    async def stop(self) -> None:
        """End, and see the feeder off."""
        self.end()
        if self._feeder is not None and not self._feeder.done():
            await asyncio.wait([self._feeder])

    @property
    def _outstanding(self) -> int:
        return len(self._landed) if self._in_order else len(self._asked) + len(self._landed)

    async def _feed(self, queries: Queries) -> None:
        try:
            async for group in _groups(queries, self._group):
                for query, part in in_turns(group, self._max_window_ms):
                    if self._outstanding >= self._most:
                        await self._wait_for_room()
                    landing = Landing(self, query, part)
                    self._asked.add(landing)
                    if self._in_order:
                        self._landed.append(landing)  # it takes its place before it has landed
                    landing.flight = self._ask(query, landing)
        except asyncio.CancelledError:
            self._source_ended(BesmartError("the stream was cancelled"))
            raise
        except Exception as error:  # the source may raise anything; the consumer gets it
            self._source_ended(error)
        else:
            self._source_ended(None)

    async def _wait_for_room(self) -> None:
        while self._outstanding > self._resume_at:
            self._room.clear()
            await self._room.wait()

    def _source_ended(self, error: Exception | None) -> None:
        if not self._fed:
            self._fed = True
            self._error = error
        self._arrival.set()


async def _groups(queries: Queries, size: int) -> AsyncIterator[list[SignalQuery]]:
    if isinstance(queries, AsyncIterable):
        async for query in queries:
            yield [checked_query("queries", query)]
        return
    source = iter(queries)
    while group := [checked_query("queries", query) for query in islice(source, size)]:
        yield group
