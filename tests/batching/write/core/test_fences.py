"""What keeps readings waiting, and in which order they come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from besmart_async.batching.write.core.fences import Fences, Hold, Waiting
from besmart_async.batching.write.core.log import BLOCK_BYTES, Block, Form, Singles
from besmart_async.batching.write.core.provenance import NO_REF
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

A, B, C = SignalKey(12, 1, 32), SignalKey(12, 2, 32), SignalKey(12, 3, 32)


def block(key: SignalKey, number: int, times: Sequence[float], origin: Any = 1) -> Block:
    data = SignalData(key, list(times), np.arange(len(times)) + 0.5, origin=origin)
    return Block(data, number, NO_REF, 0.0, 101)


def firsts(waiting: Sequence[Waiting]) -> list[int]:
    return [each.number for each in waiting]


# -- fences ----------------------------------------------------------------------------------------------------------


def rows_waiting(fences: Fences) -> int:
    return sum(map(len, fences.waiting()))


def test_what_waits_for_a_fence_comes_back_in_order_and_only_that_of_the_settled_signal() -> None:
    fences = Fences()
    fences.fence({A, B}, [A, B])
    for number, key in enumerate([A, B, A, B]):
        fences.set_aside(block(key, number, [number]))
    assert rows_waiting(fences) == 4
    assert firsts(fences.release({B}, [B])) == [1, 3]
    assert (fences.fenced, rows_waiting(fences)) == ({A}, 2)
    assert firsts(fences.release({A}, [A])) == [0, 2]
    assert (fences.fenced, rows_waiting(fences)) == (set(), 0)
    assert fences.release({A}, [A]) == []


def test_a_signal_with_several_frozen_items_is_fenced_until_the_last_is_settled() -> None:
    fences = Fences()
    fences.fence({A, B}, [A, B, A, A])
    fences.set_aside(block(A, 7, [1]))
    assert fences.release({A, B}, [A, B]) == []
    assert fences.fenced == {A}
    assert fences.release({A}, [A]) == []
    assert firsts(fences.release({A}, [A])) == [7]
    assert fences.fenced == set()


def test_two_items_of_a_signal_that_are_settled_together_count_twice() -> None:
    fences = Fences()
    fences.fence({A}, [A, A])
    fences.set_aside(block(A, 7, [1]))
    assert firsts(fences.release({A}, [A, A])) == [7]
    assert fences.fenced == set()


def test_a_frozen_item_that_is_cut_fences_its_signal_until_all_parts_are_settled() -> None:
    fences = Fences()
    fences.fence({A}, [A])
    fences.fence_again(A, 2)
    fences.release({A}, [A])
    fences.release({A}, [A])
    assert fences.fenced == {A}
    fences.release({A}, [A])
    assert fences.fenced == set()


def singles(*keys: SignalKey, first: int) -> Singles:
    rows = np.arange(len(keys))
    return Singles(list(keys), rows, rows + 0.5, Form("DBL", 1, None), first, 0.0, 80 * len(keys))


def test_readings_of_signals_that_were_frozen_together_wait_and_return_as_one() -> None:
    fences = Fences()
    fences.fence({A, B}, [A, B])
    waiting = singles(A, B, A, first=5)
    fences.set_aside(waiting)
    assert fences.fences_of([A, C, B]) == [1, 0, 1]
    assert fences.release({A, B}, [A, B]) == [waiting]
    assert fences.fences_of([A, C, B]) == [0, 0, 0]


def test_readings_that_wait_together_are_told_apart_if_their_signals_are_settled_one_by_one() -> None:
    fences = Fences()
    fences.fence({A, B, C}, [A, B, C])
    fences.set_aside(singles(A, B, A, first=5))
    fences.set_aside(block(B, 8, [1]))
    fences.set_aside(singles(C, C, first=9))
    freed = fences.release({B}, [B])
    assert [each.ranges() for each in freed] == [[(6, 7)], [(8, 9)]]
    assert [each.ranges() for each in fences.release({C}, [C])] == [[(9, 11)]]
    (rest,) = fences.release({A}, [A])
    assert isinstance(rest, Singles)
    assert (rest.keys, rest.ranges(), rest.value.tolist()) == ([A, A], [(5, 6), (7, 8)], [0.5, 2.5])
    assert rows_waiting(fences) == 0


# -- holds -----------------------------------------------------------------------------------------------------------


def test_a_hold_withholds_exactly_its_readings() -> None:
    fences = Fences()
    fences.hold([(A, np.array([1, 2]), 1)], until=60.0)
    free = fences.withhold(block(A, 10, [1, 2, 3, 4]))
    assert free is not None
    assert free.time.tolist() == [3, 4]
    assert rows_waiting(fences) == 2
    assert free.cost + sum([waiting.cost for waiting in fences.waiting()]) == 101
    other_origin, other_signal = block(A, 20, [1], origin=2), block(B, 30, [1])
    assert fences.withhold(other_origin) is other_origin
    assert fences.withhold(other_signal) is other_signal
    assert fences.withhold(block(A, 40, [2])) is None
    freed, blocks = fences.end_holds(60.0)
    assert freed == BLOCK_BYTES + 16
    assert firsts(blocks) == [10, 40]
    assert [waiting.time.tolist() for waiting in blocks] == [[1, 2], [2]]
    assert (rows_waiting(fences), fences.holds, fences.next_end()) == (0, {}, None)


@pytest.mark.parametrize(
    ("held_origin", "origin", "withheld"),
    [
        (None, 1, [1, 2]),
        (1, None, [1, 2]),
        (2, None, []),
        (np.array([1, 2]), 1, [1]),
        (np.array([1, None], object), [2, 1], [2]),
        (np.array([1, 2]), [1, 2], [1, 2]),
        (1, [2, 1], [2]),
    ],
)
def test_an_untold_origin_is_the_first_and_origins_may_differ_by_row(
    held_origin: Any, origin: Any, withheld: list[int]
) -> None:
    hold = Hold(60.0, np.array([1, 2]), held_origin)
    ours = block(A, 0, [1, 2], origin=origin)
    assert ours.time[hold.covers(ours)].tolist() == withheld


def test_whole_and_fractional_times_of_one_moment_are_the_same_reading() -> None:
    hold = Hold(60.0, np.array([1.0, 2.5]), np.array([1, 2]))
    assert hold.covers(block(A, 0, [1, 2], origin=[1, 2])).tolist() == [True, False]
    mixed = SignalData.trusted(A, np.array([1, 2.5], object), np.array([1.0, 2.0]), "DBL", np.array([1, 2]))
    assert hold.covers(Block(mixed, 0, NO_REF, 0.0, 100)).tolist() == [True, True]


def test_a_reading_under_two_holds_waits_for_the_later() -> None:
    fences = Fences()
    fences.hold([(A, np.array([1]), 1)], until=60.0)
    fences.hold([(A, np.array([1]), 1)], until=90.0)
    assert fences.withhold(block(A, 5, [1])) is None
    _, blocks = fences.end_holds(60.0)
    (back,) = blocks
    assert fences.withhold(back) is None  # it is looked at again, and waits on
    assert fences.next_end() == 90.0
    assert firsts(fences.end_holds(90.0)[1]) == [5]


def test_holds_end_in_the_order_of_their_ends_whatever_the_order_they_came_in() -> None:
    fences = Fences()
    fences.hold([(A, np.array([1]), 1)], until=90.0)
    fences.hold([(B, np.array([1]), 1)], until=60.0)
    fences.withhold(block(A, 1, [1]))
    fences.withhold(block(B, 2, [1]))
    assert fences.next_end() == 60.0
    assert fences.end_holds(59.9) == (0, [])
    assert firsts(fences.end_holds(60.0)[1]) == [2]
    assert firsts(fences.end_holds(1_000.0)[1]) == [1]


def test_what_was_withheld_of_a_fenced_signal_waits_on_before_what_was_set_aside() -> None:
    fences = Fences()
    fences.hold([(A, np.array([1]), 1)], until=60.0)
    fences.withhold(block(A, 5, [1]))
    fences.fence({A}, [A])
    fences.set_aside(block(A, 9, [1]))
    freed, blocks = fences.end_holds(60.0)
    assert (freed, blocks) == (BLOCK_BYTES + 8, [])
    assert rows_waiting(fences) == 2
    assert firsts(fences.release({A}, [A])) == [5, 9]


def test_forgetting_leaves_fences_and_holds_but_nothing_that_waits() -> None:
    fences = Fences()
    fences.fence({A}, [A])
    fences.hold([(B, np.array([1]), 1)], until=60.0)
    fences.set_aside(block(A, 1, [1]))
    fences.withhold(block(B, 2, [1]))
    assert sorted(firsts(list(fences.waiting()))) == [1, 2]
    fences.forget()
    assert list(fences.waiting()) == []
    assert (rows_waiting(fences), fences.fenced) == (0, {A})
    assert B in fences.holds
