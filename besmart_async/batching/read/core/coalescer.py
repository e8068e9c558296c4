"""Which requests are the same, which answer is whose, and whose fault an error is. Pure functions.

Rules:
- Requests are the same if they would be sent as the same JSON.
- An answer names a signal, not the request: the key decides, its position never does.
- Several answers for a signal that was asked alone can only be parts of one answer. Equal parts are one; parts that
  have no reading (time and origin) in common are joined in the order of time; anything else breaks the contract.
- An error is about an item if one item of a bulk call can bring it upon all of them. A status says so, or a malformed
  answer in which the bad place lies inside an item. Being overloaded, down or unreachable is nobody's fault, and asking
  again in pieces would make it worse.

The two sides of a reader: what asks the service, and what waits for an answer and how it is told.

`ReadReport`: what became of the reads of one reader.

Which reads share which bulk call, and which answer is whose. Pure: no clock, no I/O; `now` is an argument.

Rules:
- Requests that are equal in every field share one flight for as long as it is queued. Once its batch has left it is
  never joined: an answer may be older than a write that was acknowledged in the meantime. Nothing is kept after that.
- Answers carry only the signal's key, not the window or the options. So a batch holds at most one flight per key; other
  flights of that key wait for the next batch. Several batches of one key may be under way: each has its own answer, and
  reads have no order to keep.
- A batch leaves when it is full, or `linger_s` after its oldest flight was offered; at most `limit` are under way.
- Answers are matched by key. A key that is missing from an answer, or in it twice, is asked again once, alone. Missing
  again means absent; twice again, see `matching.merged`. Keys that nobody asked for are counted and ignored.
- An error that is about the content of one item fails only that item: the batch is halved until it is alone.
- A flight whose waiters have all withdrawn is not asked (any more); one under way goes on and its answer is dropped.

Theory of operation: `_queued` holds every flight that has not left, oldest first. The first flight of each key is in
`_heads`, the ready line; those behind it are in `_behind[key]`, by their identity. A batch takes the front of the line,
each taken key lines up at the back with its next flight, so keys take turns and every step costs O(1). What is asked
again goes to `_again`; it takes turns with the queue, so that a flood of repetitions cannot hold up everyone else.
Each of the two ends of a call, `settle` and `fail`, returns what to tell whom; telling is the shell's part.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Container, Hashable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import attrs
import orjson

from besmart_async.errors import AnswerTooLargeError, ApiError, BesmartError, DecodeError, InvalidInputError
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

_ABOUT_AN_ITEM = frozenset({400, 403, 404, 413, 422})
"""422 is the document's status for it; 400, 403 and 404 are what other versions say of one bad, foreign or unknown
signal; 413 is the fault of all together, and halves cure it too."""


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
    """Return the one answer that several items for the only signal asked are, or why they are none."""
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
    """Tell whether one item of a bulk call may have brought `error` upon the whole call."""
    if isinstance(error, DecodeError):
        return error.path.startswith("$[")
    if isinstance(error, AnswerTooLargeError):
        return True  # the halves of a call have smaller answers
    return isinstance(error, ApiError) and error.status in _ABOUT_AN_ITEM


class Send(Protocol):
    """One bulk read: returns the answer's items as they came, in any order. Retries and logging in are its business."""

    async def __call__(self, queries: list[SignalQuery], /) -> list[SignalData]:
        """Ask the service once; the queries are of different signals."""
        ...


class Waiter(Protocol):
    """What the gatherer keeps for each read: an `asyncio.Future`, or something that behaves like one."""

    def done(self) -> bool:
        """Tell whether it needs no answer any more."""
        ...

    def set_result(self, result: SignalData, /) -> None:
        """Take the answer."""
        ...

    def set_exception(self, exception: BesmartError, /) -> None:
        """Take the error, an instance of its own."""
        ...


def tell(landed: Landed[Waiter]) -> None:
    """Tell everyone who still waits; each gets an error instance of its own, as raising it writes to it."""
    for flight, answer in landed:
        for waiter in flight.waiters:
            if waiter.done():
                continue
            if isinstance(answer, SignalData):
                waiter.set_result(answer)
            else:
                waiter.set_exception(answer.clone())
        flight.waiters.clear()


def unexpected(error: BaseException) -> BesmartError:
    """Return what to tell where a read ended in a way that nobody foresaw."""
    told = BesmartError(f"a read ended unexpectedly: {error!r}")
    told.__cause__ = error
    return told


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


W = TypeVar("W")

_AT_ONCE = -math.inf


@attrs.define(eq=False)
class Flight(Generic[W]):
    """One distinct request and everyone who waits for its answer.

    Attributes:
        query: what is asked.
        offered_s: when it was first offered.
        waiters: whoever is to be told, those who withdrew included.
        waiting: how many have not withdrawn and have not been answered.
    """

    query: SignalQuery
    offered_s: float
    waiters: list[W]
    waiting: int = 1


@attrs.frozen(eq=False)
class Batch(Generic[W]):
    """One bulk call: at most one flight per key, in the order asked. `number` is 1 for the first."""

    number: int
    flights: dict[SignalKey, Flight[W]]

    @property
    def queries(self) -> list[SignalQuery]:
        """What to ask, in one call."""
        return [flight.query for flight in self.flights.values()]

    def divisible(self, error: BesmartError) -> bool:
        """Tell whether this call, failed with `error`, is asked again in halves: it may be one item's fault."""
        return len(self) > 1 and about_an_item(error)

    def __len__(self) -> int:
        return len(self.flights)


Landed: TypeAlias = list[tuple[Flight[W], SignalData | BesmartError]]
"""Flights that have come to an end, each with what to tell its waiters (errors: to each waiter a clone of its own)."""


class Gatherer(Generic[W]):
    """Gathers reads into batches and hands each answer to those who asked.

    `W` is whatever the shell waits with; it is stored and returned, never touched.
    """

    def __init__(self, *, max_items: int, linger_s: float) -> None:
        """Start empty: batches of up to `max_items` flights that wait up to `linger_s` for company."""
        self._max_items = max_items
        self._linger_s = linger_s
        self._queued: OrderedDict[Flight[W], None] = OrderedDict()
        self._heads: OrderedDict[SignalKey, Flight[W]] = OrderedDict()
        self._behind: dict[SignalKey, OrderedDict[Hashable, Flight[W]]] = {}
        self._again: deque[list[Flight[W]]] = deque()
        self._again_next = True
        self._under_way: set[Batch[W]] = set()
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

    def offer(self, query: SignalQuery, now: float, waiter: W) -> Flight[W]:
        """Let `waiter` wait for the answer to `query`; an equal request that is still queued is joined."""
        self._requested += 1
        flight = Flight(query, now, [waiter])
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

    def withdraw(self, flight: Flight[W]) -> None:
        """Let one waiter of `flight` go, who is not told anything any more. After the answer it changes nothing."""
        if not flight.waiting:
            return
        flight.waiting -= 1
        self._cancelled += 1
        if not flight.waiting and flight in self._queued:
            self._drop(flight)

    def hurry(self) -> None:
        """From now on nothing waits for company."""
        self._linger_s = _AT_ONCE

    def poll(self, now: float, limit: int) -> Batch[W] | None:
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
        batch = Batch(self._requests, {flight.query.key: flight for flight in flights})
        self._under_way.add(batch)
        return batch

    def next_wakeup(self, limit: int) -> float | None:
        """Return when `poll` will have a batch (`-inf`: now), None if only an offer or the end of a call can tell."""
        if len(self._under_way) >= limit or not (self._queued or self._again):
            return None
        return _AT_ONCE if self._again or self.full else self._oldest_due_s()

    def settle(self, batch: Batch[W], answers: Sequence[SignalData]) -> Landed[W]:
        """End a call that was answered; what is missing or ambiguous is asked again and does not land yet.

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
            return self._ended(list(zip(batch.flights.values(), answers, strict=True)))
        self._extra += extra
        landed: Landed[W] = []
        for key, flight in batch.flights.items():
            data = found.get(key)
            if data is not None and not (twice and key in twice):
                landed.append((flight, data))
            elif len(batch) == 1:
                landed.append((flight, SignalData.missing(key) if data is None else merged(twice[key])))
            elif flight.waiting:
                self._asked_again += 1
                self._again.append([flight])
        return self._ended(landed)

    def fail(self, batch: Batch[W], error: BesmartError) -> Landed[W]:
        """End a call that failed: its flights land with `error`, unless it is one item's fault, which is looked for."""
        if batch not in self._under_way:
            return []
        self._under_way.remove(batch)
        flights = [flight for flight in batch.flights.values() if flight.waiting]
        if not batch.divisible(error):
            return self._ended([(flight, error) for flight in flights])
        self._splits += 1
        middle = (len(flights) + 1) // 2
        self._again.extend(half for half in (flights[:middle], flights[middle:]) if half)
        return []

    def abandon(self, error: BesmartError) -> Landed[W]:
        """End everything at once with `error`: what is queued, to be repeated and under way."""
        flights = list(self._queued)
        flights += [flight for again in self._again for flight in again]
        flights += [flight for batch in self._under_way for flight in batch.flights.values()]
        self._queued.clear()
        self._heads.clear()
        self._behind.clear()
        self._again.clear()
        self._under_way.clear()
        return self._ended([(flight, error) for flight in flights if flight.waiting])

    def _lined_up(self, head: Flight[W], flight: Flight[W]) -> Flight[W]:
        """Put a flight behind the head of its key, unless an equal one is queued; return the one that is."""
        identity = identity_of(flight.query)
        if identity_of(head.query) == identity:
            return head
        return self._behind.setdefault(flight.query.key, OrderedDict()).setdefault(identity, flight)

    def _oldest_due_s(self) -> float:
        return next(iter(self._queued)).offered_s + self._linger_s

    def _front(self) -> list[Flight[W]]:
        flights: list[Flight[W]] = []
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

    def _drop(self, flight: Flight[W]) -> None:
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

    def _repeated(self) -> list[Flight[W]] | None:
        while self._again:
            flights = [flight for flight in self._again.popleft() if flight.waiting]
            if flights:
                return flights
        return None

    def _ended(self, landed: Landed[W]) -> Landed[W]:
        for flight, answer in landed:
            if isinstance(answer, BesmartError):
                self._failed += flight.waiting
            elif answer.absent:
                self._absent += flight.waiting
            else:
                self._answered += flight.waiting
            flight.waiting = 0
        return landed
