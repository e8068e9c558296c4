"""From the log to the items of a call: compared with a plain model, reading by reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Payload
from besmart_async.batching.write.core.fences import Fences
from besmart_async.batching.write.core.grouping import Grouping, Room, grouped
from besmart_async.batching.write.core.log import Block, Entry, Form, Run
from besmart_async.batching.write.core.provenance import NO_REF, Ranges
from besmart_async.batching.write.core.report import Ledger
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.values import JsonValue

PLAIN = Form("DBL", 1, None)
KW = Form("DBL", 1, "kW")

Identity = tuple[SignalKey, float, int]
"""Signal, time, origin: of several readings with the same, the last one wins."""


def key(sensor: int) -> SignalKey:
    return SignalKey(12, sensor, 32)


def make(**policy: Any) -> Accumulator:
    return Accumulator(BatchPolicy(**policy), Ledger())


def numbers_in(ranges: Ranges) -> list[int]:
    return [number for start, stop in ranges for number in range(start, stop)]


def numbers_of(entry: Entry) -> list[int]:
    return numbers_in(entry.ranges())


def one(accumulator: Accumulator, sensor: int, time: float, value: JsonValue, form: Form = PLAIN) -> None:
    plain = type(time) is int and type(value) is float
    assert accumulator.accept_one(key(sensor), time, value, form, 0.0, plain=plain)


def columns(accumulator: Accumulator, sensor: int, times: Sequence[float], values: Sequence[Any], **more: Any) -> None:
    ref = more.pop("ref", NO_REF)
    assert accumulator.accept(SignalData(key(sensor), list(times), list(values), **more), ref, 0.0)


def formed(accumulator: Accumulator) -> Payload:
    payload = accumulator.form(0.0)
    assert payload is not None
    return payload


def items(payload: Payload) -> list[tuple[int, list[Any], list[Any]]]:
    """Return sensor, times and values of each item, as they are in the body."""
    return [
        (item["sensor_mid"], item["data"]["time"], item["data"]["value"]) for item in orjson.loads(payload.encode())
    ]


# -- as it is, or grouped --------------------------------------------------------------------------------------------


def test_single_readings_of_distinct_signals_stay_in_their_order() -> None:
    accumulator = make()
    for sensor in (3, 1, 2):
        one(accumulator, sensor, sensor, sensor / 2)
    payload = formed(accumulator)
    assert items(payload) == [(3, [3], [1.5]), (1, [1], [0.5]), (2, [2], [1.0])]
    assert payload.provenance.row_of is None
    assert payload.provenance.ranges() == [(0, 3)]


def test_repeated_signals_are_grouped_in_the_order_of_their_first_reading() -> None:
    accumulator = make()
    for number, sensor in enumerate([3, 1, 3, 2, 1, 3]):
        one(accumulator, sensor, number, float(number))
    assert items(formed(accumulator)) == [(3, [0, 2, 5], [0.0, 2.0, 5.0]), (1, [1, 4], [1.0, 4.0]), (2, [3], [3.0])]


def test_the_last_value_of_a_time_wins_at_the_place_of_the_last_and_stands_for_all() -> None:
    accumulator = make()
    for time, value in [(5, 1.0), (6, 2.0), (5, 3.0), (5, 4.0)]:
        one(accumulator, 1, time, value)
    payload = formed(accumulator)
    assert items(payload) == [(1, [6, 5], [2.0, 4.0])]
    assert payload.provenance.times_written.tolist() == [1, 3]
    assert (payload.rows, payload.readings) == (2, 4)


def test_the_last_value_wins_across_singles_and_columns() -> None:
    accumulator = make()
    one(accumulator, 1, 5, 1.0)
    columns(accumulator, 1, [4, 5], [2.0, 3.0])
    columns(accumulator, 1, [5, 5, 4], [6.0, 7.0, 8.0])
    assert items(formed(accumulator)) == [(1, [5, 4], [7.0, 8.0])]


def test_readings_in_another_unit_are_an_item_of_their_own_and_replace_what_they_repeat() -> None:
    accumulator = make()
    one(accumulator, 1, 5, 1.0, KW)
    one(accumulator, 1, 6, 2.0, KW)
    one(accumulator, 1, 5, 3.0)
    payload = formed(accumulator)
    assert sorted(items(payload)) == [(1, [5], [3.0]), (1, [6], [2.0])]
    assert {item["data"]["time"][0]: item.get("unit") for item in orjson.loads(payload.encode())} == {5: None, 6: "kW"}
    assert payload.signals == {key(1)}


def test_readings_of_another_type_replace_and_those_of_another_origin_do_not() -> None:
    accumulator = make()
    one(accumulator, 1, 5, 1.0)
    one(accumulator, 1, 5, 2.0, Form("RM", 1, None))
    one(accumulator, 1, 5, 3.0, Form("DBL", 2, None))
    (item,) = orjson.loads(formed(accumulator).encode())
    assert item["data"] == {"time": [5, 5], "value": [2.0, 3.0], "type": ["RM", "DBL"], "origin": [1, 2]}


def test_an_untold_origin_is_the_first() -> None:
    accumulator = make()
    columns(accumulator, 1, [5], [1.0], origin=1)
    columns(accumulator, 1, [5], [2.0], origin=None)
    (item,) = orjson.loads(formed(accumulator).encode())
    assert item["data"] == {"time": [5], "value": [2.0], "type": ["DBL"]}


@pytest.mark.parametrize("repeated", [False, True])
def test_an_int_stays_an_int_and_a_float_a_float(repeated: bool) -> None:
    accumulator = make()
    sensors = [1, 1, 1, 1] if repeated else [1, 2, 3, 4]
    values: list[JsonValue] = [1, 2.0, True, "x"]
    for time, (sensor, value) in enumerate(zip(sensors, values, strict=True)):
        one(accumulator, sensor, time, value)
    columns(accumulator, 5, [7, 8], [3, 4])
    columns(accumulator, 6, [7.5, 8.5], [5.0, 6.0])
    body = formed(accumulator).encode()
    sent = [value for item in orjson.loads(body) for value in item["data"]["value"]]
    assert [repr(value) for value in sent] == ["1", "2.0", "True", "'x'", "3", "4", "5.0", "6.0"]
    assert b'"time":[7,8]' in body
    assert b'"time":[7.5,8.5]' in body


def test_a_whole_time_and_a_fraction_of_zero_are_the_same_moment() -> None:
    accumulator = make()
    one(accumulator, 1, 5, 1.0)
    columns(accumulator, 1, [5.0, 5.5], [2.0, 3.0])
    assert items(formed(accumulator)) == [(1, [5.0, 5.5], [2.0, 3.0])]


def test_any_json_may_be_a_value() -> None:
    accumulator = make()
    values: list[JsonValue] = [None, "text", [1, [2.5]], {"a": [None]}, 2**63]
    for time, value in enumerate(values):
        one(accumulator, 1, time, value)
    one(accumulator, 1, 0, "last")
    ((_, times, sent),) = items(formed(accumulator))
    assert dict(zip(times, sent, strict=True)) == {0: "last", 1: "text", 2: [1, [2.5]], 3: {"a": [None]}, 4: 2**63}


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_batch_holds_no_more_signals_than_it_may() -> None:
    accumulator = make(max_items=3)
    for number in range(10):
        one(accumulator, number % 5, number, 1.0)
    assert [sensor for sensor, _, _ in items(formed(accumulator))] == [0, 1, 2]
    columns(accumulator, 7, [1], [1.0])
    assert [sensor for sensor, _, _ in items(formed(accumulator))] == [3, 4, 7]


@pytest.mark.parametrize("singly", [True, False])
def test_a_batch_holds_no_more_readings_than_it_may(singly: bool) -> None:
    accumulator = make(max_readings=4)
    if singly:
        for number in range(10):
            one(accumulator, 1, number, 1.0)
    else:
        columns(accumulator, 1, [*range(9, -1, -1)], [1.0] * 10)
    sizes = list[int]()
    while accumulator.due_at() is not None:
        payload = formed(accumulator)
        sizes.append(payload.rows)
        accumulator.release(payload)
    assert sizes == [4, 4, 2]


def test_a_batch_holds_no_more_bytes_than_it_may_once_the_width_of_a_reading_is_known() -> None:
    accumulator = make(max_bytes=10_000)
    accumulator.limits.bytes_per_row = 40.0
    for sensor in range(200):
        columns(accumulator, sensor, [1_700_000_000_000 + n for n in range(3)], [1.0, 2.0, 3.0])
    sizes = list[int]()
    while accumulator.due_at() is not None:
        sizes.append(len(formed(accumulator).encode()))
    assert max(sizes) <= 10_000
    assert sum(sizes) / len(sizes) >= 6_000


def test_a_batch_with_no_room_for_more_signals_takes_further_readings_of_its_own() -> None:
    accumulator = make(max_items=2)
    for number in range(2_000):
        one(accumulator, number % 4, number, float(number))
    first, second = formed(accumulator), formed(accumulator)
    assert [(sensor, len(times)) for sensor, times, _ in items(first)] == [(0, 500), (1, 500)]
    assert [(sensor, len(times)) for sensor, times, _ in items(second)] == [(2, 500), (3, 500)]
    assert [times for _, times, _ in items(first)] == [list(range(0, 2_000, 4)), list(range(1, 2_000, 4))]
    assert accumulator.form(0.0) is None


def test_a_batch_without_room_does_not_search_a_log_of_other_signals_for_its_own() -> None:
    accumulator = make(max_items=2)
    for number in range(1_000):
        one(accumulator, number % 10, number, float(number))
    assert items(formed(accumulator)) == [(0, [0], [0.0]), (1, [1], [1.0])]
    assert [len(entry) for entry in accumulator.waiting()] == [998]


# -- what waits ------------------------------------------------------------------------------------------------------


def test_readings_of_a_fenced_signal_go_aside_once_and_in_order() -> None:
    accumulator = make()
    one(accumulator, 1, 0, 0.5)
    flying = formed(accumulator)
    for number in range(1, 6):
        one(accumulator, 1 + number % 2, number, float(number))
    columns(accumulator, 1, [6, 7], [6.0, 7.0])
    assert [sensor for sensor, _, _ in items(formed(accumulator))] == [2]
    assert accumulator.due_at() is None  # nothing is looked at again until the fence falls
    assert sum(map(len, accumulator.fences.waiting())) == 4
    accumulator.release(flying)
    assert items(formed(accumulator)) == [(1, [2, 4, 6, 7], [2.0, 4.0, 6.0, 7.0])]


def test_a_hold_withholds_only_exactly_its_readings() -> None:
    accumulator = make()
    one(accumulator, 1, 5, 1.0)
    lost = formed(accumulator)
    accumulator.hold(lost, 60.0)
    accumulator.release(lost)
    for sensor, time, form in [(1, 5, PLAIN), (1, 6, PLAIN), (2, 5, PLAIN), (1, 5, Form("DBL", 2, None))]:
        one(accumulator, sensor, time, 2.0, form)
    payload = formed(accumulator)
    assert sorted(numbers_in(payload.provenance.ranges())) == [2, 3, 4]
    accumulator.release(payload)
    accumulator.end_holds(60.0)
    assert numbers_in(formed(accumulator).provenance.ranges()) == [1]


def test_nothing_is_formed_of_readings_that_must_all_wait() -> None:
    accumulator = make()
    one(accumulator, 1, 0, 1.0)
    formed(accumulator)
    one(accumulator, 1, 1, 1.0)
    assert accumulator.form(0.0) is None
    assert accumulator.form(0.0) is None


# -- recovered readings ----------------------------------------------------------------------------------------------


def test_recovered_readings_do_not_share_a_batch_with_new_ones() -> None:
    accumulator = make()
    accumulator.admit(SignalData(key(1), [1], [1.0]), NO_REF, 0.0, recovered=True)
    one(accumulator, 2, 1, 2.0)
    first, second = formed(accumulator), formed(accumulator)
    assert (first.recovered, items(first)) == (True, [(1, [1], [1.0])])
    assert (second.recovered, items(second)) == (False, [(2, [1], [2.0])])


def test_recovered_readings_written_more_than_once_wait_until_the_old_writers_calls_are_over() -> None:
    accumulator = make()
    accumulator.recovered_until = 60.0
    accumulator.admit(SignalData(key(1), [1, 2], [1.0, 2.0]), NO_REF, 0.0, recovered=True)
    accumulator.admit(SignalData(key(1), [2, 3.5], [3.0, 4.0]), NO_REF, 0.0, recovered=True)
    payload = formed(accumulator)
    assert items(payload) == [(1, [1, 3.5], [1.0, 4.0])]
    accumulator.release(payload)
    (waiting,) = accumulator.waiting()
    assert isinstance(waiting, Block)
    assert waiting.time.tolist() == [2.0, 2.0]
    assert waiting.time.dtype == np.float64
    accumulator.end_holds(60.0)
    rest = accumulator.form(60.0)
    assert rest is not None
    assert items(rest) == [(1, [2], [3.0])]


# -- everything at the end -------------------------------------------------------------------------------------------


def test_what_is_given_up_is_grouped_whatever_it_would_wait_for() -> None:
    run = Run(PLAIN, 0, 0.0)
    run.keys, run.times, run.values = [key(1), key(2)], [1, 1], [1.0, 2.0]
    old = Block(SignalData(key(1), [1], [3.0]), 2, NO_REF, 0.0, 10, recovered=True)
    new = Block(SignalData(key(1), [1, 2], [4.0, 5.0]), 3, NO_REF, 0.0, 10)
    payloads = grouped([run, old, new])
    assert [numbers_in(payload.provenance.ranges()) for payload in payloads] == [[0, 1], [2], [3, 4]]


def test_a_grouping_that_took_nothing_has_no_payload() -> None:
    assert Grouping(Room(1, 1, 1e9, 26.0), Fences()).payload() is None
    assert grouped([]) == []


# -- against a model -------------------------------------------------------------------------------------------------


@attrs.frozen
class Accepted:
    """A reading of the model."""

    key: SignalKey
    time: float
    value: Any
    form: Form
    ref: int

    @property
    def identity(self) -> Identity:
        return self.key, self.time, 1 if self.form.origin is None else self.form.origin


SENSORS, TIMES = st.integers(0, 3), st.integers(0, 4)
FORMS = st.builds(
    Form, st.sampled_from(["DBL", "RM", None]), st.sampled_from([1, 2, None]), st.sampled_from([None, "kW"])
)
VALUES = st.one_of(st.floats(-9, 9), st.integers(-9, 9), st.booleans(), st.text(max_size=2), st.just([1, "a"]))
FRACTIONS = st.sampled_from([0, 0.5, 2.0])
SINGLES = st.tuples(st.just("one"), SENSORS, st.one_of(TIMES, FRACTIONS), VALUES, FORMS)
STRIPS = st.tuples(st.just("strip"), SENSORS, st.sets(TIMES, min_size=1), st.floats(-9, 9), FORMS)
BLOCKS = st.tuples(
    st.just("block"), SENSORS, st.lists(st.one_of(TIMES, FRACTIONS), min_size=1, max_size=6), VALUES, FORMS
)
MIXED = st.tuples(
    st.just("mixed"), SENSORS, st.lists(st.tuples(TIMES, VALUES, FORMS), min_size=1, max_size=6), st.none(), FORMS
)
FORM_ONE = st.tuples(st.just("form"), st.booleans())
STEPS = st.lists(st.one_of(SINGLES, SINGLES, STRIPS, BLOCKS, MIXED, FORM_ONE), max_size=40)


class Model:
    """Accepts the same readings as an accumulator, and checks what is formed of them."""

    def __init__(self, accumulator: Accumulator, held: Sequence[tuple[int, int, int]]) -> None:
        self.accumulator = accumulator
        self.accepted: list[Accepted] = []
        self.formed: set[int] = set()
        self.flying: list[Payload] = []
        self.held: set[Identity] = {(key(sensor), float(time), origin) for sensor, time, origin in held}
        if held:
            readings = [(key(sensor), np.array([time]), origin) for sensor, time, origin in held]
            accumulator.used += accumulator.fences.hold(readings, 60.0)

    def accept(self, kind: str, sensor: int, what: Any, value: Any, form: Form) -> None:
        ref = len(self.accepted) if kind in ("block", "mixed") else NO_REF
        forms = [form]
        if kind == "one":
            one(self.accumulator, sensor, what, value, form)
            times, values = [what], [value]
        elif kind == "strip":
            times = sorted(what)
            values = [value + time for time in times]
            grid = self.accumulator.grids.of(np.array(times, np.int64))
            assert grid is not None
            assert self.accumulator.accept_columns(key(sensor), grid, np.array(values), form, 0.0)
        elif kind == "block":
            times, values = self.offer(SignalData(key(sensor), what, [value] * len(what), *form), ref)
        else:
            columns = [time for time, _, _ in what], [value for _, value, _ in what]
            forms = [Form(each.type or "DBL", each.origin or 1, form.unit) for _, _, each in what]
            types, origins = [each.type for each in forms], [each.origin for each in forms]
            data = SignalData(key(sensor), *columns, types, origins, form.unit)  # type: ignore[arg-type]
            times, values = self.offer(data, ref)
        forms = forms * len(times) if len(forms) == 1 else forms
        self.accepted += map(Accepted, [key(sensor)] * len(times), times, values, forms, [ref] * len(times))

    def offer(self, data: SignalData, ref: int) -> tuple[list[Any], list[Any]]:
        assert self.accumulator.accept(data, ref, 0.0)
        return data.time.tolist(), data.value.tolist()

    def form(self) -> Payload | None:
        payload = self.accumulator.form(0.0)
        if payload is not None:
            self.check(payload)
            self.flying.append(payload)
        return payload

    def check(self, payload: Payload) -> None:
        numbers = numbers_in(payload.provenance.ranges())
        assert self.formed.isdisjoint(numbers)
        self.formed.update(numbers)
        fenced = {signal for other in self.flying for signal in other.signals}
        assert fenced.isdisjoint(payload.signals)
        limits = self.accumulator.limits
        assert len(payload.signals) <= limits.items.value
        assert payload.readings == len(numbers) <= limits.readings.value
        readings = [(number, self.accepted[number]) for number in sorted(numbers)]
        last = {reading.identity: reading for _, reading in readings}
        assert self.held.isdisjoint(last)
        self.check_body(payload, last)
        for row, identity in enumerate(identities(payload)):
            of_row = numbers_in(payload.provenance.take(np.array([row])).ranges())
            assert of_row == [number for number, reading in readings if reading.identity == identity]
        refs = Counter(reading.ref for _, reading in readings if reading.ref != NO_REF)
        assert dict(payload.provenance.by_ref()) == refs

    def check_body(self, payload: Payload, last: dict[Identity, Accepted]) -> None:
        sent = dict[Identity, tuple[str, Form]]()
        for item in orjson.loads(payload.encode()):
            data, rows = item["data"], len(item["data"]["time"])
            signal = SignalKey(item["client_cid"], item["sensor_mid"], item["signal_type_moid"])
            types, origins = data.get("type", [None] * rows), data.get("origin", [None] * rows)
            for time, value, type_, origin in zip(data["time"], data["value"], types, origins, strict=True):
                identity = signal, time, origin or 1
                assert identity not in sent
                sent[identity] = repr(value), Form(type_, origin, item.get("unit"))
        assert sent.keys() == last.keys()
        for identity, (value, form) in sent.items():
            assert form == last[identity].form
            assert value == as_sent(last[identity].value)

    def check_all_there(self) -> None:
        waiting = [number for entry in self.accumulator.waiting() for number in numbers_of(entry)]
        assert len(waiting) == len(set(waiting))
        assert self.formed.isdisjoint(waiting)
        assert self.formed.union(waiting) == set(range(len(self.accepted)))

    def release(self, payload: Payload) -> None:
        self.flying.remove(payload)
        self.accumulator.release(payload)

    def form_all(self) -> None:
        while self.accumulator.due_at() is not None:
            if (payload := self.form()) is not None:
                self.release(payload)


def identities(payload: Payload) -> list[Identity]:
    found = list[Identity]()
    for item in range(len(payload)):
        data = payload.data(item)
        assert data.time.dtype != object
        found += [(data.key, time, origin or 1) for time, _, _, origin in data.rows()]
    return found


def as_sent(value: Any) -> str:
    """Return how a value looks after the way through JSON."""
    return repr(orjson.loads(orjson.dumps(value)))


@settings(max_examples=200, deadline=None)
@given(
    STEPS,
    st.integers(1, 5),
    st.integers(1, 12),
    st.lists(st.tuples(SENSORS, TIMES, st.sampled_from([1, 2])), max_size=4),
)
def test_every_reading_is_formed_once_waits_or_is_left_and_bodies_hold_the_last_values(
    steps: list[Any], max_items: int, max_readings: int, held: list[tuple[int, int, int]]
) -> None:
    model = Model(make(max_items=max_items, max_readings=max_readings), held)
    for step in steps:
        if step[0] != "form":
            model.accept(*step)
            continue
        payload = model.form()
        if payload is not None and step[1]:
            model.release(payload)
        model.check_all_there()
    for payload in list(model.flying):
        model.release(payload)
    model.form_all()
    model.check_all_there()
    waiting = {n for entry in model.accumulator.waiting() for n in numbers_of(entry)}
    assert all(model.accepted[number].identity in model.held for number in waiting)
    model.held.clear()
    model.accumulator.end_holds(60.0)
    model.form_all()
    assert model.formed == set(range(len(model.accepted)))
