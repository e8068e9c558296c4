import random

import pytest

from besmart_async.batching.write.core.bisection import Search


def calls_to_find(pieces: int, bad: set[int], samples: tuple[int, ...] = ()) -> int:
    search = Search(pieces, samples)
    found: set[int] = set()
    stored: set[int] = set()
    calls = 1  # the refused batch itself
    while group := search.next_group():
        calls += 1
        if bad & set(group):
            found |= set(search.refused())
        else:
            assert not stored & set(group), "nothing is sent again after it was stored"
            search.passed()
            stored |= set(group)
    assert found == bad
    assert stored == set(range(pieces)) - bad
    return calls


@pytest.mark.parametrize(("culprits", "most_calls"), [(1, 20), (5, 80), (50, 400)])
def test_culprits_among_500_items_are_found_in_few_calls(culprits: int, most_calls: int) -> None:
    rng = random.Random(culprits)
    assert max(calls_to_find(500, set(rng.sample(range(500), culprits))) for _ in range(200)) <= most_calls


@pytest.mark.parametrize("bad", [set(range(50)), set(range(450, 500)), set(range(0, 500, 10)), set(range(225, 275))])
def test_fifty_culprits_in_any_arrangement_take_at_most_400_calls(bad: set[int]) -> None:
    assert calls_to_find(500, bad) <= 400


@pytest.mark.parametrize("place", [0, 1, 47, 48, 94, 95])
def test_a_poison_reading_is_found_wherever_it_is_in_its_item(place: int) -> None:
    assert calls_to_find(96, {place}, (0, 95, 48)) <= 20


def test_an_item_whose_samples_are_all_refused_is_refused_as_such() -> None:
    search = Search(96, (0, 95, 48))
    settled: list[int] = []
    while search.next_group():
        settled += search.refused()
    assert sorted(settled) == list(range(96))
    assert search.probes == 3


@pytest.mark.parametrize("limit", [1, 7, 125, 249, 499])
def test_a_group_refused_for_its_size_has_no_culprits_and_tells_the_limit(limit: int) -> None:
    search = Search(500)
    stored = 0
    while group := search.next_group():
        if len(group) > limit:
            assert search.refused() == []
        else:
            search.passed()
            stored += len(group)
    assert stored == 500
    assert limit / 2 < search.largest_passed <= limit
