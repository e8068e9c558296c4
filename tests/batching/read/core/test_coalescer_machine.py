"""The gatherer against plain bookkeeping: any order of events, and many reads through a careless service."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from besmart_async.batching.read.core.coalescer import ReadBatch, ReadCoalescer, ReadFlight, ReadResults, identity_of
from besmart_async.errors import BesmartError, Response, UnprocessableError
from besmart_async.models import SignalData, SignalKey, SignalQuery


def asked(sensor: int, since: int = 0, **options: Any) -> SignalQuery:
    return SignalQuery(SignalKey(12, sensor, 32), since, since + 1000, **options)


def answer(query: SignalQuery, value: float = 1.0) -> SignalData:
    return SignalData(query.key, [query.since], [value])


def refused() -> UnprocessableError:
    return UnprocessableError(422, "no", "signals.read_bulk", Response(422))


@attrs.define
class Read:
    query: SignalQuery
    offered_at: int
    flight: ReadFlight[int]
    withdrawn: bool = False
    said: SignalData | BesmartError | None = None


WINDOWS = st.sampled_from([0, 10])
FILTERS = st.sampled_from([None, {"a": 1}, {"a": True}])
QUERIES = st.builds(
    lambda sensor, since, filters: asked(sensor, since, filters=filters), st.integers(0, 4), WINDOWS, FILTERS
)


class Gathering(RuleBasedStateMachine):
    """Offers, calls, answers of every kind, errors and cancellations in any order, against plain bookkeeping."""

    MAX_ITEMS = 3
    LINGER = 5

    def __init__(self) -> None:
        super().__init__()
        self.gather: ReadCoalescer[int] = ReadCoalescer(max_items=self.MAX_ITEMS, linger_s=self.LINGER)
        self.now = 0
        self.reads: list[Read] = []
        self.queued: dict[Any, ReadFlight[int]] = {}
        self.under_way: list[tuple[ReadBatch[int], int]] = []
        self.refused_keys: set[SignalKey] = set()

    @rule(query=QUERIES)
    def offer(self, query: SignalQuery) -> None:
        flight = self.gather.offer(query, self.now, len(self.reads))
        expected = self.queued.setdefault(identity_of(query), flight)
        assert flight is expected
        self.reads.append(Read(query, self.now, flight))

    @rule(ticks=st.integers(1, 6))
    def wait(self, ticks: int) -> None:
        self.now += ticks

    @rule(limit=st.integers(1, 4))
    def poll(self, limit: int) -> None:
        wakeup = self.gather.next_wakeup(limit)
        batch = self.gather.poll(self.now, limit)
        if batch is None:
            if len(self.under_way) < limit:
                self.nothing_is_overdue()
            wakeup = self.gather.next_wakeup(limit)
            assert wakeup is None or wakeup > self.now
            return
        assert wakeup is not None
        assert wakeup <= self.now
        assert len(self.under_way) < limit
        assert 1 <= len(batch) <= self.MAX_ITEMS
        assert len({query.key for query in batch.queries}) == len(batch)
        for flight in batch.flights.values():
            if self.queued.get(identity_of(flight.query)) is flight:
                del self.queued[identity_of(flight.query)]
            assert flight.waiting, "nobody waits for it"
        self.under_way.append((batch, self.now))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        batch, left_at = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        answers = []
        for query in batch.queries:
            copies = data.draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
            answers += [self.true_answer(query, left_at)] * copies
        answers += [answer(asked(90 + n)) for n in range(data.draw(st.integers(0, 2)))]
        answers = data.draw(st.permutations(answers))
        counts = {query.key: sum(one.key == query.key for one in answers) for query in batch.queries}
        self.hear(self.gather.settle(batch, answers), batch, left_at, counts)

    @precondition(lambda self: self.under_way)
    @rule(number=st.integers(0, 9), about_item=st.booleans())
    def fail(self, number: int, about_item: bool) -> None:
        batch, left_at = self.under_way.pop(number % len(self.under_way))
        error = refused() if about_item else BesmartError("down")
        landed = self.gather.fail(batch, error)
        assert not (landed and about_item and len(batch) > 1)
        self.hear(landed, batch, left_at, {})

    @precondition(lambda self: self.reads)
    @rule(number=st.integers(0, 99))
    def withdraw(self, number: int) -> None:
        read = self.reads[number % len(self.reads)]
        if read.withdrawn or read.said is not None:
            return
        read.withdrawn = True
        self.gather.withdraw(read.flight)
        if not self.waiting_for(read.flight) and self.queued.get(identity_of(read.query)) is read.flight:
            del self.queued[identity_of(read.query)]

    def hear(self, landed: ReadResults[int], batch: ReadBatch[int], left_at: int, counts: dict[SignalKey, int]) -> None:
        for flight, said in landed:
            assert batch.flights[flight.query.key] is flight
            for waiter in flight.waiters:
                read = self.reads[waiter]
                assert read.said is None, "told twice"
                if not read.withdrawn:
                    read.said = said
                    assert read.offered_at <= left_at
                if isinstance(said, BesmartError):
                    continue
                if said.absent:
                    assert len(batch) == 1
                    assert counts[said.key] == 0
                else:
                    assert said == self.true_answer(read.query, left_at), "another read's answer"
        for key_, count in counts.items():
            if count == 1:
                assert any(flight.query.key == key_ for flight, _ in landed)

    def true_answer(self, query: SignalQuery, left_at: int) -> SignalData:
        return SignalData(query.key, [left_at], [f"{query.since} {query.filters}"])

    def waiting_for(self, flight: ReadFlight[int]) -> list[Read]:
        return [read for read in self.reads if read.flight is flight and not read.withdrawn and read.said is None]

    def nothing_is_overdue(self) -> None:
        for flight in self.queued.values():
            oldest = min(read.offered_at for read in self.reads if read.flight is flight)
            assert oldest + self.LINGER > self.now
        assert len({flight.query.key for flight in self.queued.values()}) < self.MAX_ITEMS

    @invariant()
    def the_accounts_are_right(self) -> None:
        report = self.gather.report
        said = [read.said for read in self.reads]
        told_data = [one for one in said if isinstance(one, SignalData)]
        assert report.requested == len(self.reads)
        assert report.answered == sum(not one.absent for one in told_data)
        assert report.absent == sum(one.absent for one in told_data)
        assert report.failed == sum(isinstance(one, BesmartError) for one in said)
        assert report.cancelled == sum(read.withdrawn for read in self.reads)
        assert report.pending == sum(not read.withdrawn and read.said is None for read in self.reads)
        assert report.in_flight == len(self.under_way)

    def teardown(self) -> None:
        """Whatever has happened: a service that answers ends every wait, in a bounded number of calls."""
        self.now += self.LINGER
        for _ in range(4 * len(self.reads) + 4):
            for batch, left_at in self.under_way:
                answers = [self.true_answer(query, left_at) for query in batch.queries]
                self.hear(self.gather.settle(batch, answers), batch, left_at, {})
            self.under_way.clear()
            if self.gather.idle:
                break
            self.poll(4)
        assert self.gather.idle
        assert all(read.withdrawn or read.said is not None for read in self.reads)
        assert not self.gather.full


Gathering.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestGathering = Gathering.TestCase


@pytest.mark.parametrize("reads", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_of_many_reads_through_a_careless_service_none_is_misdelivered(reads: int) -> None:
    dice = random.Random(7)
    gather: ReadCoalescer[int] = ReadCoalescer(max_items=200, linger_s=0.005)
    wanted = [asked(dice.randrange(500), dice.randrange(20)) for _ in range(reads)]
    said: dict[int, SignalData | BesmartError] = {}
    calls: list[ReadBatch[int]] = []

    def end_a_call() -> None:
        batch = calls.pop(dice.randrange(len(calls)))
        answers = [
            answer(query, float(query.since)) for query in batch.queries for _ in range(dice.choice((0, 1, 1, 1, 2)))
        ]
        answers += [answer(asked(dice.randrange(500, 600)), -1.0) for _ in range(dice.randrange(3))]
        dice.shuffle(answers)
        for flight, data in gather.settle(batch, answers):
            said.update(dict.fromkeys(flight.waiters, data))

    for number, query in enumerate(wanted):
        gather.offer(query, number * 1e-5, number)
        while (batch := gather.poll(number * 1e-5, 8)) is not None:
            calls.append(batch)
        if len(calls) == 8:
            end_a_call()
    while not gather.idle:
        while (batch := gather.poll(99.0, 8)) is not None:
            calls.append(batch)
        end_a_call()
    assert len(said) == reads
    misdelivered = 0
    for number, query in enumerate(wanted):
        data = said[number]
        assert isinstance(data, SignalData)
        misdelivered += data.key != query.key or (not data.absent and data != answer(query, float(query.since)))
    assert misdelivered == 0
    assert gather.report.pending == 0
