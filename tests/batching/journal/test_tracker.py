"""Rows are forgotten in order; what gathers behind an unfinished one is thinned out."""

from __future__ import annotations

from besmart_async import SignalKey
from besmart_async.batching.journal.database import Row
from besmart_async.batching.journal.tracker import Tracker

A, B = SignalKey(1, 1, 1), SignalKey(1, 1, 2)


def row(seq: int, size: int = 100) -> Row:
    return Row(seq, 10 * seq, 10 * seq + 10, size)


def tracked(rows: int, waste_bytes: int = 10**9) -> Tracker:
    tracker = Tracker(0, (), waste_bytes)
    for seq in range(rows):
        tracker.add(row(seq), (seq,), 10)
    return tracker


def test_a_row_is_forgotten_once_all_its_readings_have_their_outcome() -> None:
    tracker = tracked(1)
    tracker.settle(0, 9)
    assert (tracker.settled, tracker.done, tracker.left) == ([], 0, 1)
    tracker.settle(0, 1)
    assert (tracker.settled, tracker.done, tracker.left) == ([0], 10, 0)


def test_a_row_is_not_forgotten_before_an_older_one() -> None:
    tracker = tracked(3)
    tracker.settle(1, 10)
    tracker.settle(2, 10)
    assert (tracker.settled, tracker.done) == ([], 0)
    tracker.settle(0, 10)
    assert (tracker.settled, tracker.done) == ([0, 1, 2], 30)


def test_a_row_with_a_rejection_stays_until_somebody_was_told() -> None:
    tracker = tracked(1)
    tracker.settle(0, 8)
    tracker.settle(0, 2, untold=True)
    assert tracker.settled == []
    tracker.tell(0, 2)
    assert tracker.settled == [0]


def test_what_a_ref_of_its_own_tells_counts_for_its_row() -> None:
    tracker = Tracker(0, ())
    tracker.add(row(0), (5, 6), 10)
    tracker.settle(5, 4)
    tracker.settle(6, 6)
    assert tracker.settled == [0]


def test_outcomes_of_refs_that_are_not_in_the_journal_are_ignored() -> None:
    tracker = tracked(1)
    tracker.settle(99, 10)
    tracker.tell(99, 1)
    assert tracker.left == 10


def test_too_much_behind_an_unfinished_row_is_planned_away() -> None:
    tracker = tracked(4, waste_bytes=0)
    wasteful: list[bool] = []
    for seq in (1, 2, 3):
        tracker.settle(seq, 10)
        wasteful.append(tracker.wasteful)
    assert wasteful == [False, False, True]  # first less than what is needed, then as much, then more
    plan = tracker.plan({0: {A}})
    assert plan == [(row(0), {A}), (row(1), set()), (row(2), set()), (row(3), None)]
    tracker.moved([Row(0, 0, 10, 50), None, None, Row(3, 10, 40, 100)])
    assert not tracker.settled
    tracker.settle(0, 10)
    assert (tracker.settled, tracker.done) == ([0, 3], 40)


def test_a_row_with_untold_rejections_is_kept_as_it_is() -> None:
    tracker = tracked(3, waste_bytes=0)
    tracker.settle(1, 10, untold=True)
    tracker.settle(2, 10)
    assert tracker.plan({0: {A, B}}) == [(row(0), {A, B}), (row(1), None), (row(2), None)]


def test_rows_that_are_forgotten_while_they_are_rewritten_stay_forgotten() -> None:
    tracker = tracked(3, waste_bytes=0)
    tracker.settle(1, 10)
    tracker.settle(2, 10)
    tracker.plan({0: {A}})
    tracker.settle(0, 10)
    assert tracker.settled == [0, 1, 2]
    tracker.moved([Row(0, 0, 10, 50), None, Row(2, 10, 30, 100)])
    assert tracker.settled == [0, 1, 2]
    tracker.add(row(3), (3,), 10)
    tracker.settle(3, 10)
    assert tracker.settled == [0, 1, 2, 3]
