"""Bulk writes, a few at a time. The writer of `batching` will take this over; until then it is all here.

Theory of operation. Items are packed into batches in the order in which they come. A batch starts as soon as a place
is free and none of its signals is in flight or waits in an earlier batch, so the readings of a signal arrive in order.
If the service refuses a batch, it is cut in halves until the refused items are alone, and these until the refused
readings are; what is left is delivered. Any other failure ends the sending: what was in that request is in doubt.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence, Set

import attrs

from besmart_async.config import BatchPolicy
from besmart_async.errors import ApiError, BesmartError
from besmart_async.ingest.items import Item
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.wire.columns import encode_item

IN_FLIGHT = 4
"""Bulk writes at a time, unless the policy says another number."""
WAITING = 8
"""Batches that may wait for a place before `submit` waits too."""
SEARCH_CALLS = 200
"""Calls spent on finding what is wrong in one refused batch; one that takes more is wrong as a whole."""

_REFUSED = frozenset({400, 404, 409, 413, 422})

WriteBulk = Callable[[Sequence[SignalData]], Awaitable[None]]


class MostlyRefusedError(BesmartError):
    """The service refuses so much of a batch that going on makes no sense."""


@attrs.frozen
class Batch:
    """What goes into one bulk write."""

    items: tuple[Item, ...]

    @property
    def keys(self) -> frozenset[SignalKey]:
        """The signals in it."""
        return frozenset(item.data.key for item in self.items)


@attrs.define
class Sent:
    """Counts of what was sent. `in_doubt` are rows of failed requests that may have been applied."""

    requests: int = 0
    body_bytes: int = 0
    in_doubt: int = 0


class Sender:
    """Sends items in bulk.

    Args:
        write_bulk: sends one bulk write.
        policy: limits of one bulk write, and how many at a time.
        on_delivered: told of every item (or part of one) that was acknowledged, in order per signal.
        on_refused: told of every item (or part of one) that the service refused, with its words.
    """

    def __init__(
        self,
        write_bulk: WriteBulk,
        policy: BatchPolicy,
        on_delivered: Callable[[Item], None],
        on_refused: Callable[[Item, str], None],
    ) -> None:
        self._write_bulk = write_bulk
        self._policy = policy
        self._places = policy.max_in_flight or IN_FLIGHT
        self._on_delivered = on_delivered
        self._on_refused = on_refused
        self._waiting: deque[Batch] = deque()
        self._running: dict[asyncio.Task[None], Batch] = {}
        self._changed = asyncio.Event()
        self._refused_signals: set[SignalKey] = set()
        self.failure: Exception | None = None
        self.sent = Sent()

    async def submit(self, items: Iterable[Item]) -> None:
        """Queue items and return when there is room for more.

        Raises:
            BesmartError: sending has failed; `failure` holds it too.
        """
        if self.failure is not None:
            raise self.failure
        self._waiting.extend(pack(items, self._policy, self._refused_signals))
        self._start()
        await self._until(lambda: len(self._waiting) <= WAITING)

    async def finish(self) -> None:
        """Return when everything queued has its outcome.

        Raises:
            BesmartError: sending has failed.
        """
        await self._until(lambda: not self._waiting and not self._running)

    async def close(self, *, abandon: bool = False) -> None:
        """Drop what waits, and let what is in flight end, or abandon it: then it is in doubt."""
        self._waiting.clear()
        running = list(self._running)
        for task in running if abandon else ():
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _until(self, done: Callable[[], bool]) -> None:
        while self.failure is None and not done():
            self._changed.clear()
            await self._changed.wait()
        if self.failure is not None:
            raise self.failure

    def _start(self) -> None:
        blocked = {key for batch in self._running.values() for key in batch.keys}
        held: list[Batch] = []
        while self._waiting and len(self._running) < self._places:
            batch = self._waiting.popleft()
            if blocked.isdisjoint(batch.keys):
                task = asyncio.create_task(self._deliver(batch))
                self._running[task] = batch
                task.add_done_callback(self._ended)
            else:
                held.append(batch)
            blocked |= batch.keys
        self._waiting.extendleft(reversed(held))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception):
            self.failure = self.failure or error
            self._waiting.clear()
        self._start()
        self._changed.set()

    async def _deliver(self, batch: Batch) -> None:
        course = _Course()
        try:
            await self._send(list(batch.items), course)
        except BaseException as error:
            known = isinstance(error, BesmartError) and error.outcome != "in_doubt"
            self.sent.in_doubt += 0 if known else course.trying
            raise

    async def _send(self, items: list[Item], course: _Course) -> None:
        refusal = await self._attempt(items, course)
        if refusal is None:
            return
        if len(items) == 1:
            await self._narrow(items[0], refusal, course)
            return
        middle = len(items) // 2
        await self._send(items[:middle], course)
        await self._send(items[middle:], course)

    async def _narrow(self, item: Item, refusal: str, course: _Course) -> None:
        """Find the refused readings of one item; three samples tell whether it is all of them."""
        size = len(item.data)
        if size == 1 or item.data.key in self._refused_signals:
            self._refuse(item, refusal)
            return
        samples = sorted({0, size // 2, size - 1})
        probes = [item.part(place, place + 1) for place in samples]
        refused = [(probe, reason) for probe in probes if (reason := await self._attempt([probe], course))]
        rest = [item.part(start + 1, stop) for start, stop in itertools.pairwise(samples)]
        if len(refused) == len(probes):
            self._refused_signals.add(item.data.key)
            for part in [*probes, *rest]:
                self._refuse(part, refusal)
            return
        for probe, reason in refused:
            self._refuse(probe, reason)
        for part in rest:
            await self._halve(part, course)

    async def _halve(self, item: Item, course: _Course) -> None:
        size = len(item.data)
        refusal = await self._attempt([item], course) if size else None
        if refusal is None:
            return
        if size == 1:
            self._refuse(item, refusal)
            return
        await self._halve(item.part(0, size // 2), course)
        await self._halve(item.part(size // 2, size), course)

    async def _attempt(self, items: Sequence[Item], course: _Course) -> str | None:
        """Send items in one call; return the service's words if it refuses them."""
        course.calls += 1
        course.trying = 0
        if course.calls > SEARCH_CALLS:
            raise MostlyRefusedError(f"the service refuses most of what it is sent; it says: {course.refusal}")
        data = [item.data for item in items]
        self.sent.requests += 1
        self.sent.body_bytes += sum(len(encode_item(part)) for part in data) + len(data) + 1
        course.trying = sum(item.total_rows for item in items)
        try:
            await self._write_bulk(data)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            course.trying = 0
            course.refusal = error.message or f"status {error.status}"
            return course.refusal
        course.trying = 0
        for item in items:
            self._on_delivered(item)
        return None

    def _refuse(self, item: Item, reason: str) -> None:
        self._on_refused(item, f"refused by the service: {reason}")


@attrs.define
class _Course:
    """How the sending of one batch goes: rows in the current call, calls so far, the last refusal."""

    trying: int = 0
    calls: int = 0
    refusal: str = ""


def pack(items: Iterable[Item], policy: BatchPolicy, alone: Set[SignalKey] = frozenset()) -> Iterator[Batch]:
    """Pack items into batches within the policy's limits; signals in `alone` get batches of their own."""
    batch: list[Item] = []
    readings, size = 0, 2
    for item, item_size in _within(items, policy):
        if item.data.key in alone:
            yield Batch((item,))
            continue
        if batch and (
            len(batch) >= policy.max_items
            or readings + len(item.data) > policy.max_readings
            or size + item_size > policy.max_bytes
        ):
            yield Batch(tuple(batch))
            batch, readings, size = [], 0, 2
        batch.append(item)
        readings += len(item.data)
        size += item_size
    if batch:
        yield Batch(tuple(batch))


def _within(items: Iterable[Item], policy: BatchPolicy) -> Iterator[tuple[Item, int]]:
    """Cut items that are too large for a batch of their own; tell the encoded size of each, with its comma."""
    for item in items:
        size = len(encode_item(item.data)) + 1
        readings = len(item.data)
        parts = max(math.ceil(readings / policy.max_readings), math.ceil(size / (policy.max_bytes - 2)))
        if parts == 1 or readings == 1:
            yield item, size
            continue
        cuts = [readings * part // parts for part in range(parts + 1)]
        yield from _within((item.part(*cut) for cut in itertools.pairwise(cuts) if cut[0] < cut[1]), policy)
