"""The gatherer: who shares a call with whom, and whose answer is whose. No loop, no clock: `now` is a number."""

from __future__ import annotations

import random
from typing import Any

import pytest

from besmart_async.batching.read.core.coalescer import (
    ReadBatch,
    ReadCoalescer,
    ReadFlight,
    ReadResults,
    about_an_item,
    identity_of,
)
from besmart_async.errors import (
    AnswerTooLargeError,
    BesmartError,
    DecodeError,
    RequestTimeoutError,
    Response,
    ServerError,
    UnprocessableError,
)
from besmart_async.models import SignalData, SignalKey, SignalQuery

NO_LIMIT = 1_000_000


def key(sensor: int) -> SignalKey:
    return SignalKey(12, sensor, 32)


def asked(sensor: int, since: int = 0, **options: Any) -> SignalQuery:
    return SignalQuery(key(sensor), since, since + 1000, **options)


def answer(query: SignalQuery, value: float = 1.0) -> SignalData:
    return SignalData(query.key, [query.since], [value])


def refused() -> UnprocessableError:
    return UnprocessableError(422, "no", "signals.read_bulk", Response(422))


def gatherer(max_items: int = 200, linger_s: float = 0.005) -> ReadCoalescer[str]:
    return ReadCoalescer(max_items=max_items, linger_s=linger_s)


def left(gather: ReadCoalescer[str], now: float = 1.0) -> ReadBatch[str]:
    batch = gather.poll(now, NO_LIMIT)
    assert batch is not None
    return batch


def told(landed: ReadResults[str]) -> dict[str, SignalData | BesmartError]:
    return {waiter: said for flight, said in landed for waiter in flight.waiters}


# When a batch leaves


def test_a_batch_leaves_when_its_first_read_has_lingered() -> None:
    gather = gatherer()
    assert gather.next_wakeup(1) is None
    gather.offer(asked(1), 10.0, "one")
    gather.offer(asked(2), 10.004, "two")
    assert gather.next_wakeup(1) == 10.005
    assert gather.poll(10.0049, 1) is None
    assert [query.key for query in left(gather, 10.005).queries] == [key(1), key(2)]
    assert gather.poll(99.0, 1) is None


def test_a_full_batch_leaves_at_once_and_the_rest_lingers_from_its_own_first() -> None:
    gather = gatherer(max_items=2)
    for sensor in range(3):
        gather.offer(asked(sensor), 10.0 + sensor / 1000, f"{sensor}")
    assert gather.full
    assert len(left(gather, 10.002)) == 2
    assert gather.next_wakeup(NO_LIMIT) == pytest.approx(10.007)
    assert gather.poll(10.0069, NO_LIMIT) is None


def test_no_more_calls_than_the_limit_are_under_way() -> None:
    gather = gatherer(max_items=1)
    for sensor in range(3):
        gather.offer(asked(sensor), 0.0, f"{sensor}")
    first = gather.poll(0.0, 2)
    assert gather.poll(0.0, 2) is not None
    assert gather.poll(0.0, 2) is None
    assert gather.next_wakeup(2) is None
    assert first is not None
    gather.settle(first, [answer(asked(0))])
    assert gather.poll(0.0, 2) is not None


def test_in_a_hurry_nothing_lingers() -> None:
    gather = gatherer()
    gather.offer(asked(1), 10.0, "one")
    gather.hurry()
    assert gather.poll(10.0, 1) is not None


def test_keys_take_turns_so_that_many_windows_of_one_hold_up_nobody() -> None:
    gather = gatherer(max_items=2)
    for window in range(50):
        gather.offer(asked(1, window), 0.0, f"{window}")
    gather.offer(asked(2), 0.0, "other")
    assert {query.key for query in left(gather).queries} == {key(1), key(2)}


# Who shares a flight


def test_equal_requests_share_a_flight_while_it_is_queued() -> None:
    gather = gatherer()
    one = gather.offer(asked(1), 0.0, "one")
    assert gather.offer(asked(1), 0.004, "two") is one
    batch = left(gather)
    assert told(gather.settle(batch, [answer(asked(1))])) == {"one": answer(asked(1)), "two": answer(asked(1))}
    assert gather.report.shared == 1


def test_a_flight_that_has_left_is_not_joined() -> None:
    gather = gatherer()
    gather.offer(asked(1), 0.0, "before")
    before = left(gather)
    gather.offer(asked(1), 1.0, "after")  # a write may have been acknowledged in between
    after = left(gather, 2.0)
    assert told(gather.settle(before, [answer(asked(1), 1.0)])) == {"before": answer(asked(1), 1.0)}
    assert told(gather.settle(after, [answer(asked(1), 2.0)])) == {"after": answer(asked(1), 2.0)}


def test_requests_for_one_signal_that_differ_in_anything_never_share_a_batch() -> None:
    gather = gatherer()
    queries = [asked(1), asked(1, 5), asked(1, raw=True), asked(1, raw=False), asked(1, signal_origin_id=1)]
    queries += [asked(1, filters={"a": value}) for value in (1, 1.0, True, "1")]
    for number, query in enumerate(queries):
        gather.offer(query, 0.0, f"{number}")
    assert gather.report.shared == 0
    assert [left(gather).queries for _ in queries] == [[query] for query in queries]


def test_filters_are_equal_in_any_order_of_their_names() -> None:
    assert identity_of(asked(1, filters={"a": 1, "b": 2})) == identity_of(asked(1, filters='{"b": 2, "a": 1}'))
    assert identity_of(asked(1, filters={})) != identity_of(asked(1))


# Whose answer is whose


def test_answers_find_their_readers_in_any_order_and_strangers_are_ignored() -> None:
    gather = gatherer()
    queries = [asked(sensor) for sensor in range(5)]
    for query in queries:
        gather.offer(query, 0.0, str(query.key))
    answers = [answer(query, float(number)) for number, query in enumerate(queries)]
    landed = gather.settle(left(gather), [*reversed(answers), answer(asked(77))])
    assert told(landed) == {str(data.key): data for data in answers}
    assert gather.report.extra == 1
    assert gather.idle


@pytest.mark.parametrize("times", [0, 2, 3])
def test_a_signal_missing_or_repeated_in_a_bulk_answer_is_asked_again_alone(times: int) -> None:
    gather = gatherer()
    gather.offer(asked(1), 0.0, "good")
    gather.offer(asked(2), 0.0, "odd")
    landed = gather.settle(left(gather), [answer(asked(1)), *[answer(asked(2), float(n)) for n in range(times)]])
    assert told(landed) == {"good": answer(asked(1))}
    assert gather.next_wakeup(1) == float("-inf")
    again = left(gather)
    assert again.queries == [asked(2)]
    assert told(gather.settle(again, [answer(asked(2), 9.0)])) == {"odd": answer(asked(2), 9.0)}
    assert gather.report.asked_again == 1


def test_a_signal_that_is_missing_when_asked_alone_is_absent_which_is_not_empty() -> None:
    gather = gatherer()
    gather.offer(asked(1), 0.0, "absent")
    said = told(gather.settle(left(gather), []))["absent"]
    assert isinstance(said, SignalData)
    assert said.absent
    gather.offer(asked(1), 0.0, "empty")
    said = told(gather.settle(left(gather), [SignalData(key(1), [], [])]))["empty"]
    assert isinstance(said, SignalData)
    assert not said.absent
    assert (gather.report.absent, gather.report.answered) == (1, 1)


def alone(*answers: SignalData) -> SignalData | BesmartError:
    gather = gatherer()
    gather.offer(asked(1), 0.0, "me")
    return told(gather.settle(left(gather), answers))["me"]


def test_equal_answers_to_a_signal_asked_alone_are_one() -> None:
    assert alone(answer(asked(1)), answer(asked(1))) == answer(asked(1))


def test_disjoint_answers_to_a_signal_asked_alone_are_parts_of_one() -> None:
    late = SignalData(key(1), [30, 40], [3.0, 4.0])
    early = SignalData(key(1), [10, 10, 20], [1.0, 1.5, 2.0])  # one time twice: two acquisitions
    other_origin = SignalData(key(1), [30], [9.0], origin=2)
    whole = alone(late, early, other_origin, SignalData(key(1), [], []))
    assert isinstance(whole, SignalData)
    assert whole.time.tolist() == [10, 10, 20, 30, 30, 40]
    assert whole.value.tolist() == [1.0, 1.5, 2.0, 3.0, 9.0, 4.0]


@pytest.mark.parametrize(
    "other",
    [SignalData(key(1), [10], [2.0], unit="kW.h"), SignalData(key(1), [20], [2.0], unit="MW.h")],
    ids=["value", "unit"],
)
def test_answers_that_contradict_each_other_break_the_contract(other: SignalData) -> None:
    assert isinstance(alone(SignalData(key(1), [10], [1.0], unit="kW.h"), other), DecodeError)


def test_a_flood_of_repetitions_takes_turns_with_new_reads() -> None:
    gather = gatherer(max_items=10)
    for sensor in range(10):
        gather.offer(asked(sensor), 0.0, f"{sensor}")
    gather.settle(left(gather), [])
    for sensor in range(100, 120):
        gather.offer(asked(sensor), 0.0, f"{sensor}")
    assert [len(left(gather)) for _ in range(6)] == [1, 10, 1, 10, 1, 1]


# Errors


@pytest.mark.parametrize("bad", [[0], [199], [3, 77, 78, 150]])
def test_an_item_refused_is_found_by_halving_and_the_others_get_their_data(bad: list[int]) -> None:
    gather = gatherer()
    for sensor in range(200):
        gather.offer(asked(sensor), 0.0, f"{sensor}")
    said: dict[str, SignalData | BesmartError] = {}
    while (batch := gather.poll(1.0, NO_LIMIT)) is not None:
        if any(query.key.sensor_mid in bad for query in batch.queries):
            said |= told(gather.fail(batch, refused()))
        else:
            said |= told(gather.settle(batch, [answer(query) for query in batch.queries]))
    assert {waiter for waiter, what in said.items() if isinstance(what, UnprocessableError)} == {f"{b}" for b in bad}
    assert len(said) == 200
    assert gather.report.requests <= 1 + 16 * len(bad)
    assert (gather.report.failed, gather.report.answered) == (len(bad), 200 - len(bad))


@pytest.mark.parametrize(
    ("error", "blames_an_item"),
    [
        (refused(), True),
        (DecodeError("not a list", path="$[3].data.time"), True),
        (AnswerTooLargeError("larger than the limit", reached=True), True),
        (DecodeError("not JSON", path="$"), False),
        (ServerError(503, "", "signals.read_bulk", Response(503)), False),
        (RequestTimeoutError("slow"), False),
        (BesmartError("closed"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_errors_about_an_item_are_looked_into(error: BesmartError, blames_an_item: bool) -> None:
    assert about_an_item(error) is blames_an_item
    gather = gatherer()
    gather.offer(asked(1), 0.0, "one")
    gather.offer(asked(2), 0.0, "two")
    landed = gather.fail(left(gather), error)
    assert told(landed) == ({} if blames_an_item else {"one": error, "two": error})
    assert gather.idle is not blames_an_item


# Giving up


def test_a_queued_flight_that_nobody_waits_for_is_not_asked() -> None:
    gather = gatherer()
    shared = gather.offer(asked(1), 0.0, "one")
    gather.offer(asked(1), 0.0, "two")
    behind = gather.offer(asked(1, 5), 0.0, "three")
    gather.offer(asked(1, 6), 0.0, "four")
    gather.withdraw(shared)
    assert not gather.idle
    gather.withdraw(shared)
    gather.withdraw(behind)
    assert left(gather).queries == [asked(1, 6)]
    assert gather.poll(99.0, NO_LIMIT) is None
    assert gather.report.cancelled == 3


def test_a_flight_under_way_that_nobody_waits_for_goes_on_and_is_not_repeated() -> None:
    gather = gatherer()
    one = gather.offer(asked(1), 0.0, "one")
    two = gather.offer(asked(2), 0.0, "two")
    batch = left(gather)
    gather.withdraw(one)
    gather.settle(batch, [])
    assert gather.report.asked_again == 1
    gather.withdraw(two)
    assert gather.poll(9.0, NO_LIMIT) is None
    assert gather.idle
    assert gather.report.cancelled == 2
    gather.withdraw(two)
    assert gather.report.cancelled == 2


def test_abandoning_ends_what_is_queued_repeated_and_under_way() -> None:
    gather = gatherer()
    gather.offer(asked(1), 0.0, "repeated")
    gather.offer(asked(2), 0.0, "answered")
    gather.settle(left(gather), [answer(asked(2))])
    gather.offer(asked(3), 0.0, "under way")
    gather.offer(asked(4), 0.0, "too")
    repeated, under_way = left(gather), left(gather)
    gather.settle(repeated, [])
    gather.offer(asked(3, 7), 0.0, "queued")
    gather.fail(under_way, refused())
    error = BesmartError("closed")
    assert told(gather.abandon(error)) == {"under way": error, "too": error, "queued": error}
    assert gather.idle
    assert gather.settle(under_way, [answer(asked(3))]) == []
    assert gather.report.pending == 0


class Compared:
    """Waits, and counts how often anything is compared with it, as a search of a list would."""

    count = 0

    def __eq__(self, other: object) -> bool:
        Compared.count += 1
        return self is other

    __hash__ = object.__hash__


@pytest.mark.parametrize("windows", [1, 20_000], ids=["one flight", "a flight each"])
def test_waiters_that_leave_at_random_are_not_searched_for(windows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compared, "count", 0)
    for name in ("__eq__", "__hash__"):
        monkeypatch.setattr(ReadFlight, name, getattr(Compared, name))
    gather = ReadCoalescer[Compared](max_items=200, linger_s=60.0)
    flights = [gather.offer(asked(number % 300, number % windows), 0.0, Compared()) for number in range(20_000)]
    random.Random(1).shuffle(flights)
    for flight in flights:
        gather.withdraw(flight)
    assert Compared.count == 0
    assert gather.idle
    assert (gather.report.cancelled, gather.report.pending) == (20_000, 0)
