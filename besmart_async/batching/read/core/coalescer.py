"""Coalescing reads: which reads share which bulk call, and which answer belongs to whom.

Pure: no clock, no I/O; `now` is an argument. The file has three parts: what a reader deals with (`ReadWaiter`,
`ReadFlight`, `ReadBatch`, `ReadReport`), `ReadCoalescer`, which decides, and the functions that compare requests, sort
answers and judge errors.

Rules:
- Requests that would be sent as the same JSON share one flight for as long as it is queued. Once its batch has left, it
  is never joined: its answer may be older than a write that was acknowledged in the meantime. Nothing is cached.
- Answers carry only the signal's key, not the window or the options. So a batch holds at most one flight per key; other
  flights of that key wait for the next batch. Several batches of one key may be under way: each has its own answer, and
  reads have no order to keep.
- A batch leaves when it is full, or `linger_s` after its oldest flight was offered; at most `limit` are under way.
- The key decides whose an answer is, its position never does. A key that is missing from an answer, or in it twice, is
  asked again once, alone. Missing again means absent. Twice again: equal answers are one; parts that have no reading
  (time and origin) in common are joined in the order of time; anything else breaks the contract. Answers for keys that
  nobody asked for are counted and ignored.
- An error is about an item if one item of a bulk call can cause it for all of them. Such a batch is halved until the
  item is alone, and only that item fails. Being overloaded, down or unreachable is not about an item: asking again in
  pieces would make it worse.
- A flight whose waiters have all withdrawn is not asked (any more); one under way goes on and its answer is dropped.

Theory of operation: `_queued` holds every flight that has not left, oldest first. The first flight of each key is in
`_heads`, the ready line; those behind it are in `_behind[key]`, by their identity. A batch takes the front of the line,
each taken key lines up at the back with its next flight, so keys take turns. What is asked again goes to `_again`; it
takes turns with the queue, so that a flood of repetitions cannot hold up everyone else. Every step is O(1): offering,
withdrawing, and taking a flight. Withdrawing only counts down; nothing is searched.
Each of the two ends of a call, `settle` and `fail`, returns results; passing them to the waiters is the shell's part.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Container, Hashable, Sequence
from contextvars import Context
from typing import Generic, Protocol, TypeAlias, TypeVar

import attrs
import orjson

from besmart_async.errors import AnswerTooLargeError, ApiError, BesmartError, DecodeError, InvalidInputError
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

W = TypeVar("W")

_AT_ONCE = -math.inf
_ABOUT_AN_ITEM = frozenset({400, 403, 404, 413, 422})
"""422 is the document's status for it; 400, 403 and 404 are what other versions answer to one bad, foreign or unknown
signal; 413 is caused by all items together, and halves cure it too."""


class SendBulkRead(Protocol):
    """One bulk read: returns the answer's items as they came, in any order. It retries and logs in by itself."""

    def __call__(self, queries: list[SignalQuery], /) -> Awaitable[list[SignalData]]:
        """Ask the service once; the queries are of different signals."""
        ...


class ReadWaiter(Protocol):
    """What is kept for each read: an `asyncio.Future`, or something that behaves like one."""

    @property
    def context(self) -> Context | None:
        """The context of the caller, None if no hook wants it."""
        ...

    def done(self) -> bool:
        """Return whether it needs no answer any more."""
        ...

    def set_result(self, result: SignalData, /) -> None:
        """Take the answer."""
        ...

    def set_exception(self, exception: BesmartError, /) -> None:
        """Take the error, an instance of its own."""
        ...


@attrs.define(eq=False)
class ReadFlight(Generic[W]):
    """One distinct request and everyone who waits for its answer.

    Attributes:
        query: what is asked.
        offered_s: when it was first offered.
        waiters: all waiters, those who withdrew included.
        waiting: how many have not withdrawn and have not been answered.
    """

    query: SignalQuery
    offered_s: float
    waiters: list[W]
    waiting: int = 1


@attrs.frozen(eq=False)
class ReadBatch(Generic[W]):
    """One bulk call: at most one flight per key, in the order asked. `number` is 1 for the first."""

    number: int
    flights: dict[SignalKey, ReadFlight[W]]

    @property
    def queries(self) -> list[SignalQuery]:
        """What to ask, in one call."""
        return [flight.query for flight in self.flights.values()]

    def divisible(self, error: BesmartError) -> bool:
        """Return whether this call, failed with `error`, is asked again in halves: one item may have caused it."""
        return len(self.flights) > 1 and about_an_item(error)

    def __len__(self) -> int:
        return len(self.flights)


ReadResults: TypeAlias = list[tuple[ReadFlight[W], SignalData | BesmartError]]
"""Flights that have ended, each with the answer or error for its waiters."""


def resolve(results: ReadResults[ReadWaiter]) -> None:
    """Pass the results to everyone who still waits; each gets an error instance of its own, as raising changes it."""
    for flight, answer in results:
        for waiter in flight.waiters:
            if waiter.done():
                continue
            if isinstance(answer, SignalData):
                waiter.set_result(answer)
            else:
                waiter.set_exception(answer.clone())
        flight.waiters.clear()


def unexpected(error: BaseException) -> BesmartError:
    """Return the error for reads that ended in a way that nobody foresaw."""
    raised = BesmartError(f"a read ended unexpectedly: {error!r}")
    raised.__cause__ = error
    return raised


@attrs.frozen(kw_only=True)
class ReadReport:
    """A reader's counts at one moment. `requested = answered + absent + failed + cancelled + pending`, always.

    Reads are counted per caller (a `stream` asks one read per part of a window), calls per bulk request.

    Attributes:
        requested: reads asked for.
        answered: reads the service answered, with readings or with an empty list of them.
        absent: reads the service gave no answer for, asked alone.
        failed: reads that ended with an error.
        cancelled: reads whose caller gave up first.
        pending: reads still waiting.
        shared: of those requested, reads that joined an identical one before it left.
        requests: bulk calls sent; the transport's own retries of a call are not counted.
        in_flight: bulk calls under way.
        asked_again: requests asked again alone, because their signal was missing from a bulk answer or in it twice.
        splits: bulk calls that were refused for one item's content and asked again in halves.
        extra: answers for signals that the call did not ask for; ignored.
    """

    requested: int = 0
    answered: int = 0
    absent: int = 0
    failed: int = 0
    cancelled: int = 0
    pending: int = 0
    shared: int = 0
    requests: int = 0
    in_flight: int = 0
    asked_again: int = 0
    splits: int = 0
    extra: int = 0


class ReadCoalescer(Generic[W]):
    """Puts reads into batches and finds out which answer belongs to whom.

    `W` is whatever the shell waits with; it is stored and returned, never touched.
    """

    def __init__(self, *, max_items: int, linger_s: float) -> None:
        """Start empty: batches of up to `max_items` flights, which wait up to `linger_s` for more."""
        self._max_items = max_items
        self._linger_s = linger_s
        self._queued: OrderedDict[ReadFlight[W], None] = OrderedDict()
        self._heads: OrderedDict[SignalKey, ReadFlight[W]] = OrderedDict()
        self._behind: dict[SignalKey, OrderedDict[Hashable, ReadFlight[W]]] = {}
        self._again: deque[list[ReadFlight[W]]] = deque()
        self._again_next = True
        self._under_way: set[ReadBatch[W]] = set()
        self._requested = self._shared = self._cancelled = 0
        self._answered = self._absent = self._failed = 0
        self._requests = self._asked_again = self._splits = self._extra = 0

    @property
    def full(self) -> bool:
        """Whether a whole batch is waiting."""
        return len(self._heads) >= self._max_items

    @property
    def under_way(self) -> int:
        """How many batches have left and not ended."""
        return len(self._under_way)

    def has_under_way(self, batch: ReadBatch[W]) -> bool:
        """Return whether `batch` has left and not ended."""
        return batch in self._under_way

    @property
    def idle(self) -> bool:
        """Whether nothing is queued, to be repeated, or under way."""
        return not (self._queued or self._again or self._under_way)

    @property
    def report(self) -> ReadReport:
        """The counts as they stand."""
        ended = self._answered + self._absent + self._failed + self._cancelled
        return ReadReport(
            requested=self._requested,
            answered=self._answered,
            absent=self._absent,
            failed=self._failed,
            cancelled=self._cancelled,
            pending=self._requested - ended,
            shared=self._shared,
            requests=self._requests,
            in_flight=len(self._under_way),
            asked_again=self._asked_again,
            splits=self._splits,
            extra=self._extra,
        )

    def offer(self, query: SignalQuery, now: float, waiter: W) -> ReadFlight[W]:
        """Let `waiter` wait for the answer to `query`; an equal request that is still queued is joined."""
        self._requested += 1
        flight = ReadFlight(query, now, [waiter])
        head = self._heads.setdefault(query.key, flight)
        if head is not flight:
            queued = self._lined_up(head, flight)
            if queued is not flight:
                queued.waiters.append(waiter)
                queued.waiting += 1
                self._shared += 1
                return queued
        self._queued[flight] = None
        return flight

    def withdraw(self, flight: ReadFlight[W]) -> None:
        """Note that one waiter of `flight` gave up. After the answer it changes nothing."""
        if not flight.waiting:
            return
        flight.waiting -= 1
        self._cancelled += 1
        if not flight.waiting and flight in self._queued:
            self._drop(flight)

    def hurry(self) -> None:
        """From now on nothing lingers."""
        self._linger_s = _AT_ONCE

    def poll(self, now: float, limit: int) -> ReadBatch[W] | None:
        """Return a batch that is to leave now, None while there is none or `limit` are under way."""
        if len(self._under_way) >= limit:
            return None
        due = self.full or (bool(self._queued) and self._oldest_due_s() <= now)
        flights = self._repeated() if self._again_next or not due else None
        self._again_next = flights is None
        if flights is None:
            if not due:
                return None
            flights = self._front()
        self._requests += 1
        batch = ReadBatch(self._requests, {flight.query.key: flight for flight in flights})
        self._under_way.add(batch)
        return batch

    def next_wakeup(self, limit: int) -> float | None:
        """Return when `poll` will have a batch (`-inf`: now), None if that depends on an offer or the end of a call."""
        if len(self._under_way) >= limit or not (self._queued or self._again):
            return None
        return _AT_ONCE if self._again or self.full else self._oldest_due_s()

    def settle(self, batch: ReadBatch[W], answers: Sequence[SignalData]) -> ReadResults[W]:
        """End a call that was answered; what is missing or ambiguous is asked again and has no result yet.

        Args:
            batch: a batch of `poll`'s; one that has ended before settles nothing.
            answers: the answer's items in any order.
        """
        in_turn = [data.key for data in answers] == list(batch.flights)  # most often there is nothing to sort out
        found, twice, extra = ({}, {}, 0) if in_turn else sorted_out(batch.flights, answers)
        if batch not in self._under_way:
            return []
        self._under_way.remove(batch)  # not before: if the sorting fails, the call has not ended
        if in_turn:
            return self._counted(list(zip(batch.flights.values(), answers, strict=True)))
        self._extra += extra
        results: ReadResults[W] = []
        for key, flight in batch.flights.items():
            data = found.get(key)
            if data is not None and not (twice and key in twice):
                results.append((flight, data))
            elif len(batch) == 1:
                results.append((flight, SignalData.missing(key) if data is None else merged(twice[key])))
            elif flight.waiting:
                self._asked_again += 1
                self._again.append([flight])
        return self._counted(results)

    def fail(self, batch: ReadBatch[W], error: BesmartError) -> ReadResults[W]:
        """End a call that failed: its flights fail with `error`, or are asked again if one item may have caused it."""
        if batch not in self._under_way:
            return []
        self._under_way.remove(batch)
        flights = [flight for flight in batch.flights.values() if flight.waiting]
        if not batch.divisible(error):
            return self._counted([(flight, error) for flight in flights])
        self._splits += 1
        middle = (len(flights) + 1) // 2
        self._again.extend(half for half in (flights[:middle], flights[middle:]) if half)
        return []

    def abandon(self, error: BesmartError) -> ReadResults[W]:
        """End everything at once with `error`: what is queued, to be repeated and under way."""
        flights = list(self._queued)
        flights += [flight for again in self._again for flight in again]
        flights += [flight for batch in self._under_way for flight in batch.flights.values()]
        self._queued.clear()
        self._heads.clear()
        self._behind.clear()
        self._again.clear()
        self._under_way.clear()
        results: ReadResults[W] = [(flight, error) for flight in flights if flight.waiting]
        for flight, _ in results:
            self._failed += flight.waiting
            flight.waiting = 0
        return results

    def _lined_up(self, head: ReadFlight[W], flight: ReadFlight[W]) -> ReadFlight[W]:
        """Put a flight behind the head of its key, unless an equal one is queued; return the one that is."""
        identity = identity_of(flight.query)
        if identity_of(head.query) == identity:
            return head
        return self._behind.setdefault(flight.query.key, OrderedDict()).setdefault(identity, flight)

    def _oldest_due_s(self) -> float:
        return next(iter(self._queued)).offered_s + self._linger_s

    def _front(self) -> list[ReadFlight[W]]:
        flights: list[ReadFlight[W]] = []
        for _ in range(min(self._max_items, len(self._heads))):  # keys that line up again are behind these
            key, flight = self._heads.popitem(last=False)
            del self._queued[flight]
            self._step_up(key)
            flights.append(flight)
        return flights

    def _step_up(self, key: SignalKey) -> None:
        line = self._behind.get(key) if self._behind else None
        if line is not None:
            _, self._heads[key] = line.popitem(last=False)
            if not line:
                del self._behind[key]

    def _drop(self, flight: ReadFlight[W]) -> None:
        key = flight.query.key
        del self._queued[flight]
        if self._heads[key] is flight:
            del self._heads[key]
            self._step_up(key)
            return
        line = self._behind[key]
        del line[identity_of(flight.query)]
        if not line:
            del self._behind[key]

    def _repeated(self) -> list[ReadFlight[W]] | None:
        while self._again:
            flights = [flight for flight in self._again.popleft() if flight.waiting]
            if flights:
                return flights
        return None

    def _counted(self, results: ReadResults[W]) -> ReadResults[W]:
        for flight, answer in results:
            if isinstance(answer, BesmartError):
                self._failed += flight.waiting
            elif answer.absent:
                self._absent += flight.waiting
            else:
                self._answered += flight.waiting
            flight.waiting = 0
        return results


def identity_of(query: SignalQuery) -> Hashable:
    """Return what is equal for requests that may share one answer, and for no others."""
    if query.filters is None:
        return query
    # To Python 1, 1.0 and True are equal, to JSON they are not; and a mapping has no hash.
    return attrs.evolve(query, filters=None), orjson.dumps(query.filters, option=orjson.OPT_SORT_KEYS)


def sorted_out(
    asked: Container[SignalKey], answers: Sequence[SignalData]
) -> tuple[dict[SignalKey, SignalData], dict[SignalKey, list[SignalData]], int]:
    """Sort a bulk answer by key.

    Returns:
        The first answer of each key asked; all answers of each key that came more than once; how many nobody asked for.
    """
    found: dict[SignalKey, SignalData] = {}
    twice: dict[SignalKey, list[SignalData]] = {}
    extra = 0
    for data in answers:
        key = data.key
        if key not in asked:
            extra += 1
            continue
        before = len(found)
        first = found.setdefault(key, data)
        if len(found) == before:
            twice.setdefault(key, [first]).append(data)
    return found, twice, extra


def merged(parts: Sequence[SignalData]) -> SignalData | DecodeError:
    """Return the one answer that several items make up for a signal asked alone, or the error if they contradict."""
    distinct: list[SignalData] = []
    for part in parts:
        if part not in distinct:
            distinct.append(part)
    if len(distinct) == 1:
        return distinct[0]
    readings = [{(time, origin) for time, _, _, origin in part.rows()} for part in distinct]
    if len(set().union(*readings)) == sum(map(len, readings)):
        try:
            return SignalData.concat(distinct).sorted()
        except InvalidInputError:
            pass  # parts in different units
    problem = f"{len(parts)} answers that contradict each other, for signal {parts[0].key} asked alone"
    return DecodeError(problem, operation="signals.read_bulk")


def about_an_item(error: BesmartError) -> bool:
    """Return whether one item of a bulk call may have caused `error` for the whole call."""
    if isinstance(error, DecodeError):
        return error.path.startswith("$[")
    if isinstance(error, AnswerTooLargeError):
        return True  # the halves of a call have smaller answers
    return isinstance(error, ApiError) and error.status in _ABOUT_AN_ITEM
