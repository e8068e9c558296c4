"""The core against a model of the service, in any order of events."""

from __future__ import annotations

import math
import random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from besmart_async.batching.write.core.core import Dispatch, WriteCore
from besmart_async.batching.write.core.events import Settled
from besmart_async.batching.write.core.log import Form
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import Reading, ServiceModel, api_error, reset, rows_of, timed_out, unreachable

KEYS = [SignalKey(1, sensor, 32) for sensor in range(6)]
TRIPLES = [(key.client_cid, key.sensor_mid, key.signal_type_moid) for key in KEYS]
TIMES = st.integers(0, 7)
HOLD_OFF_S = BatchPolicy().hold_off_s


class Machine(RuleBasedStateMachine):
    """`now` only moves in `advance`; every batch that is under way is settled by some later rule."""

    @initialize(
        max_items=st.integers(1, 5),
        max_readings=st.integers(1, 12),
        in_flight=st.sampled_from([None, 1, 3]),
        memory=st.sampled_from([2_000, 1 << 20]),
        delivery_timeout_s=st.sampled_from([20.0, math.inf]),
        poison=st.sets(st.sampled_from(TRIPLES), max_size=1),
        poison_readings=st.sets(st.tuples(st.sampled_from(TRIPLES), TIMES), max_size=2),
        service_max_items=st.sampled_from([None, 2]),
        seed=st.integers(0, 9),
    )
    def start(
        self,
        max_items: int,
        max_readings: int,
        in_flight: int | None,
        memory: int,
        delivery_timeout_s: float,
        poison: set[tuple[int, int, int]],
        poison_readings: set[tuple[tuple[int, int, int], int]],
        service_max_items: int | None,
        seed: int,
    ) -> None:
        self.now = 1000.0
        self.policy = BatchPolicy(
            linger_s=0.05,
            max_items=max_items,
            max_readings=max_readings,
            max_bytes=1_000,
            max_memory_bytes=memory,
            max_in_flight=in_flight,
            delivery_timeout_s=delivery_timeout_s,
        )
        self.core = WriteCore(self.policy, random.Random(seed).random)
        self.service = ServiceModel(
            poison_signals=set(poison), poison_readings=set(poison_readings), max_items=service_max_items
        )
        self.flying: dict[int, Dispatch] = {}
        self.delayed: list[tuple[float, bytes]] = []
        self.last: dict[Reading, Any] = {}
        self.lost: dict[Reading, set[Any]] = {}
        self.accepted = 0
        self.counter = 0
        self.refs: dict[int, int] = {}
        self.settled: dict[int, int] = {}
        self.flushes: list[tuple[int, int]] = []
        self.stopped = False

    def value(self) -> float:
        self.counter += 1
        return float(self.counter)

    def note(self, triple: tuple[int, int, int], time: float, origin: int, value: Any, unit: str | None) -> None:
        self.last[(triple, time, origin)] = (value, unit)

    # -- what callers do ---------------------------------------------------------------------------------------------

    @rule(
        key=st.integers(0, 5),
        time=TIMES,
        origin=st.sampled_from([1, 2]),
        unit=st.sampled_from([None, "kW"]),
        odd=st.booleans(),
    )
    def offer_one(self, key: int, time: int, origin: int, unit: str | None, odd: bool) -> None:
        value: Any = self.value()
        if odd:
            value = f"text {value}"
            took = self.core.accumulator.accept_one(
                KEYS[key], time, value, Form("STR", origin, unit), self.now, plain=False
            )
        else:
            took = self.core.accumulator.accept_one(
                KEYS[key], time, value, Form("DBL", origin, unit), self.now, plain=True
            )
        if took:
            self.accepted += 1
            self.note(TRIPLES[key], time, origin, value, unit)

    @rule(
        key=st.integers(0, 5),
        times=st.lists(TIMES, min_size=1, max_size=15),
        origin=st.sampled_from([1, 2, None]),
        unit=st.sampled_from([None, "kW"]),
        with_ref=st.booleans(),
        mixed=st.booleans(),
    )
    def offer(
        self, key: int, times: list[int], origin: int | None, unit: str | None, with_ref: bool, mixed: bool
    ) -> None:
        values = [self.value() for _ in times]
        origins: Any = [1 + (time % 2) for time in times] if mixed else origin
        data = SignalData(KEYS[key], times, values, origin=origins, unit=unit)
        ref = len(self.refs) if with_ref else None
        if self.core.offer(data, ref, self.now):
            self.accepted += len(times)
            for row, (time, value) in enumerate(zip(times, values, strict=True)):
                self.note(TRIPLES[key], time, origins[row] if mixed else (origin or 1), value, unit)
            if ref is not None:
                self.refs[ref] = len(times)

    @rule()
    def flush(self) -> None:
        self.flushes.append((self.core.flush(), self.accepted))

    @rule(seconds=st.sampled_from([0.01, 0.06, 1.0, 6.0, 30.0, 61.0]))
    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [body for at, body in self.delayed if at <= self.now]
        self.delayed = [(at, body) for at, body in self.delayed if at > self.now]
        for body in due:
            self.service.put(body)

    # -- what the shell does -----------------------------------------------------------------------------------------

    @rule()
    def poll(self) -> None:
        batch = self.core.poll(self.now)
        if batch is None:
            wakeup = self.core.next_wakeup(self.now)
            assert wakeup is None or wakeup > self.now, "the shell would spin"
            return
        self.check(batch)
        self.flying[batch.number] = batch

    def check(self, batch: Dispatch) -> None:
        assert not self.stopped
        rows = list(rows_of(batch.body))
        keys = {reading[0] for reading, _, _ in rows}
        assert len({reading for reading, _, _ in rows}) == len(rows) == batch.readings
        for other in self.flying.values():
            assert not keys & {reading[0] for reading, _, _ in rows_of(other.body)}, "one call per signal"
        assert self.policy.max_items is not None
        assert batch.items <= self.policy.max_items
        assert batch.readings <= self.policy.max_readings
        assert len(batch.body) <= self.policy.max_bytes or batch.readings == 1
        assert len(self.flying) < (self.policy.max_in_flight or 16)

    def take(self, pick: float) -> Dispatch:
        number = sorted(self.flying)[int(pick * len(self.flying))]
        return self.flying.pop(number)

    def settle(self, batch: Dispatch, error: BesmartError | None) -> None:
        self.core.settle(batch.number, error, self.now)
        self.read_events()

    @precondition(lambda self: self.flying)
    @rule(pick=st.floats(0, 0.99))
    def answer(self, pick: float) -> None:
        batch = self.take(pick)
        self.settle(batch, self.service.put(batch.body))

    @precondition(lambda self: self.flying)
    @rule(pick=st.floats(0, 0.99), status=st.sampled_from([401, 403, 413, 429, 500, 502, 503]), applied=st.booleans())
    def fail(self, pick: float, status: int, applied: bool) -> None:
        batch = self.take(pick)
        if status >= 500 and applied:
            self.service.put(batch.body)
        self.settle(batch, api_error(status, retry_after_s=3.0 if status == 429 else None))

    @precondition(lambda self: self.flying)
    @rule(pick=st.floats(0, 0.99))
    def cannot_connect(self, pick: float) -> None:
        self.settle(self.take(pick), unreachable())

    @precondition(lambda self: self.flying)
    @rule(
        pick=st.floats(0, 0.99),
        applied_after_s=st.sampled_from([None, 0.0, 5.0, 31.0, HOLD_OFF_S - 1]),
        broken=st.booleans(),
    )
    def lose_the_answer(self, pick: float, applied_after_s: float | None, broken: bool) -> None:
        batch = self.take(pick)
        if applied_after_s == 0.0:
            self.service.put(batch.body)
        elif applied_after_s is not None:
            self.delayed.append((self.now + applied_after_s, batch.body))
        self.settle(batch, reset() if broken else timed_out())

    def read_events(self) -> None:
        for event in self.core.events():
            if isinstance(event, Rejection):
                key = event.data.key
                triple = (key.client_cid, key.sensor_mid, key.signal_type_moid)
                assert event.readings >= len(event.data)
                for time, value, _, origin in event.data.rows():
                    reading = (triple, time, origin or 1)
                    self.lost.setdefault(reading, set()).add((value, event.data.unit))
                    if event.outcome == "rejected" and not self.stopped and self.core.failure is None:
                        assert self.service.refuses(reading) or event.error.status in (403, 413)  # type: ignore[attr-defined]
            elif isinstance(event, Settled):
                told = event.delivered + event.rejected + event.in_doubt
                assert (event.error is None) == (event.delivered == told)
                self.settled[event.ref] = self.settled.get(event.ref, 0) + told

    # -- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def every_reading_is_accounted_for(self) -> None:
        if not hasattr(self, "core"):
            return
        report = self.core.report(self.now)
        assert report.accepted == self.accepted
        assert report.accepted == report.delivered + report.rejected + report.in_doubt + report.pending
        pending = [number for ranges in self.core.pending() for start, stop in ranges for number in range(start, stop)]
        assert report.pending == len(pending) == len(set(pending))
        assert report.in_flight == len(self.flying)
        assert report.memory_bytes >= 0
        self.stopped = report.state == "stopped"
        for ref, readings in self.refs.items():
            assert self.settled.get(ref, 0) <= readings
        for ticket, accepted in self.flushes:
            if self.core.flushed(ticket):
                assert report.pending <= self.accepted - accepted

    @precondition(lambda self: hasattr(self, "core"))
    @rule(pick=st.integers(0, 60))
    def abandon_rarely(self, pick: int) -> None:
        if pick == 0:
            self.core.abandon(BesmartError("closed"), self.now)
            self.flying.clear()
            self.read_events()
            assert self.core.report(self.now).pending == 0

    def drain(self) -> None:
        self.core.flush()
        for _ in range(5_000):
            while self.flying:
                self.answer(0.0)
            batch = self.core.poll(self.now)
            if batch is not None:
                self.check(batch)
                self.flying[batch.number] = batch
                continue
            self.read_events()
            if not self.core.report(self.now).pending and not self.delayed:
                return
            wakeup = self.core.next_wakeup(self.now)
            delayed = min((at for at, _ in self.delayed), default=math.inf)
            assert wakeup is not None or self.delayed, "something is pending and nothing will ever move it"
            self.advance(min(math.inf if wakeup is None else wakeup, delayed) - self.now)
        raise AssertionError("does not come to an end")

    def teardown(self) -> None:
        if not hasattr(self, "core"):
            return
        self.drain()
        self.every_reading_is_accounted_for()
        for ref, readings in self.refs.items():
            assert self.settled.get(ref, 0) == readings, "every ref is told the outcome of all its readings"
        for ticket, _ in self.flushes:
            assert self.core.flushed(ticket)
        for reading, value in self.last.items():
            if value not in self.lost.get(reading, ()):
                assert self.service.stored.get(reading) == value, "the last accepted value is stored in the end"


Machine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMachine = Machine.TestCase
