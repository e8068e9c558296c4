"""Which reads share which bulk call, and which answer is whose. Pure: no clock, no I/O; `now` is an argument.

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
from collections.abc import Hashable, Sequence
from typing import Generic, TypeAlias, TypeVar

import attrs

from besmart_async.batching.matching import about_an_item, identity_of, merged, sorted_out
from besmart_async.batching.read_report import ReadReport
from besmart_async.errors import BesmartError
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

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
