"""Rows are deleted once all their readings are done, in any order; outcomes of the others are recorded beside them."""

from __future__ import annotations

from besmart_async.batching.journal.database import Row
from besmart_async.batching.journal.records import DONE, OPEN, REFUSED
from besmart_async.batching.journal.tracker import COMPACT_BYTES, Note, Tracker


def row(seq: int, size: int = 100) -> Row:
    return Row(seq, 10 * seq, 10 * seq + 10, size)


def tracked(rows: int, waste_bytes: int = 10**9, size: int = 100) -> Tracker:
    tracker = Tracker(0, (), waste_bytes)
    for seq in range(rows):
        tracker.add(row(seq, size), 10 * seq)
    return tracker


def test_a_row_is_deleted_once_all_its_readings_are_done() -> None:
    tracker = tracked(1)
    tracker.done([(0, 9)])
    assert (tracker.left, tracker.take().forget) == (1, [])
    tracker.done([(9, 10)])
    changes = tracker.take()
    assert (tracker.left, changes.forget, changes.floor) == (0, [0, 0], 10)  # the row, and the outcomes beside it
    assert not tracker.changed


def test_a_row_is_deleted_although_older_ones_are_not_done() -> None:
    tracker = tracked(3)
    tracker.done([(10, 20)])
    changes = tracker.take()
    assert (changes.forget, changes.floor, changes.since, changes.top) == ([1], 0, 30, 30)
    assert changes.notes == [Note(2, 20, 30, 10, bytes(10))]  # claims the gap before it


def test_a_range_may_lie_in_many_rows_and_beside_all() -> None:
    tracker = tracked(4)
    tracker.done([(5, 25), (35, 1000), (2000, 3000)])
    assert tracker.left == 15
    changes = tracker.take()
    assert changes.forget == [1]
    half = bytes([OPEN] * 5 + [DONE] * 5)
    assert {note.seq: note.outcomes for note in changes.notes} == {0: half, 2: half[::-1], 3: half}


def test_outcomes_that_are_told_twice_count_once() -> None:
    tracker = tracked(1)
    for _ in range(2):
        tracker.done([(0, 5), (3, 7)])
    assert tracker.left == 3


def test_what_was_refused_has_an_outcome_and_stays_until_it_is_done() -> None:
    tracker = tracked(1)
    tracker.done([(0, 8)])
    tracker.refused([(7, 10)])
    assert tracker.left == 0
    (note,) = tracker.take().notes
    assert note.outcomes == bytes([DONE] * 8 + [REFUSED] * 2)
    tracker.done([(8, 10)])
    assert tracker.take().forget == [0, 0]


def test_what_could_not_be_recorded_is_recorded_later() -> None:
    tracker = tracked(3)
    tracker.done([(0, 5), (10, 20)])
    changes = tracker.take()
    tracker.done([(0, 10)])
    tracker.put_back(changes)
    again = tracker.take()
    assert sorted(again.forget) == [0, 0, 1]
    assert (again.floor, again.notes) == (20, [Note(2, 20, 30, 20, bytes(10))])


def test_a_row_that_was_written_meanwhile_claims_the_gap_before_it() -> None:
    tracker = tracked(2)
    tracker.done([(10, 20)])
    tracker.add(row(2), 20)
    assert tracker.take().notes == [Note(2, 20, 30, 10, bytes(10))]


def test_many_rows_that_are_done_are_not_looked_at_again() -> None:
    tracker = tracked(10_000)
    tracker.done([(10 * seq, 10 * seq + 10) for seq in range(1, 10_000)])
    assert len(tracker._rows) < 5_000
    tracker.done([(0, 10)])
    assert (tracker.left, len(tracker.take().forget)) == (0, 10_000)


# -- rewriting ---------------------------------------------------------------------------------------------------------


def test_a_row_is_rewritten_if_it_frees_half_of_it_and_much_is_wasted() -> None:
    tracker = tracked(4, waste_bytes=0)
    planned: list[int] = []
    for stop in (6, 16, 26, 36):
        tracker.done([(stop - 6, stop)])
        planned.append(len(tracker.plan(large=False)))
    assert planned == [0, 0, 0, 4]  # first less than what is needed
    plan = tracker.plan(large=False)
    tracker.compacted(plan, [Row(before.seq, before.start, before.stop, 45) for before, _ in plan])
    assert tracker.plan(large=False) == []  # a second time frees nothing


def test_a_row_that_does_not_shrink_is_not_rewritten_again() -> None:
    tracker = tracked(1, waste_bytes=0)
    tracker.done([(0, 9)])
    plan = tracker.plan(large=False)
    tracker.compacted(plan, [plan[0][0]])
    assert tracker.plan(large=False) == []


def test_after_a_failure_it_has_to_be_worth_twice_as_much() -> None:
    tracker = tracked(2, waste_bytes=0)
    tracker.done([(0, 8)])
    tracker.done([(10, 18)])
    assert tracker.plan(large=False)
    tracker.not_compacted()
    assert not tracker.plan(large=False)


def test_what_takes_long_waits_until_nothing_is_written() -> None:
    tracker = tracked(3, waste_bytes=0, size=COMPACT_BYTES // 2 + 1)
    tracker.add(Row(3, 30, 40, 8 * COMPACT_BYTES), 30)
    tracker.done([(0, 9), (10, 19), (20, 29), (30, 39)])
    assert [before.seq for before, _ in tracker.plan(large=False)] == [0]
    for seq in range(3):
        tracker.done([(10 * seq, 10 * seq + 10)])
    assert tracker.plan(large=False) == []
    assert [before.seq for before, _ in tracker.plan(large=True)] == [3]


def test_a_row_that_is_done_while_it_is_rewritten_stays_deleted() -> None:
    tracker = tracked(2, waste_bytes=0)
    tracker.done([(0, 9), (10, 19)])
    plan = tracker.plan(large=False)
    tracker.done([(0, 10)])
    tracker.compacted(plan, [Row(before.seq, before.start, before.stop, 20) for before, _ in plan])
    tracker.done([(10, 20)])
    assert sorted(tracker.take().forget) == [0, 1]
