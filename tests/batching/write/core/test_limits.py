"""What a batch may hold: how limits are learned, and how calls grow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from besmart_async.batching.write.core.core import Dispatch
from besmart_async.batching.write.core.grouping import ITEM_BYTES
from besmart_async.batching.write.core.limits import FIRST_ITEMS, MOST_ITEMS, LearnedLimit, Limits
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from tests.batching.write.core.world import World, make, offer_items, stored
from tests.batching.write.service_model import ServiceModel, api_error, timed_out


def passed(limit: LearnedLimit, times: int, *, may_grow: bool = True) -> None:
    for _ in range(times):
        limit.passed(limit.value, may_grow=may_grow)


# -- a limit that grows ----------------------------------------------------------------------------------------------


def test_a_limit_with_a_start_doubles_every_two_clean_calls_until_the_top() -> None:
    limit = LearnedLimit(10_000, 500)
    values = list[int]()
    for _ in range(12):
        values.append(limit.value)
        passed(limit, 1)
    assert values == [500, 500, 1_000, 1_000, 2_000, 2_000, 4_000, 4_000, 8_000, 8_000, 10_000, 10_000]


def test_calls_far_from_full_or_with_large_bodies_let_nothing_grow() -> None:
    limit = LearnedLimit(10_000, 500)
    for _ in range(20):
        limit.passed(100)
    passed(limit, 20, may_grow=False)
    assert limit.value == 500


def test_growth_ends_with_the_first_refusal_and_goes_on_by_a_fifth_after_more_patience() -> None:
    limit = LearnedLimit(10_000, 500)
    passed(limit, 4)
    assert limit.value == 2_000
    limit.refused(2_000, passed=1_000)
    assert limit.value == 1_000
    passed(limit, LearnedLimit.FIRST_PATIENCE)
    assert limit.value == 1_000  # the raise went too far: twice the patience
    passed(limit, LearnedLimit.FIRST_PATIENCE)
    assert limit.value == 1_200


def test_a_timeout_takes_back_a_step_and_ends_the_doubling() -> None:
    limit = LearnedLimit(10_000, 500)
    passed(limit, 4)
    limit.timed_out(100)  # a small call: its size was not the reason
    assert limit.value == 2_000
    limit.timed_out(2_000)
    assert limit.value == 1_666
    passed(limit, LearnedLimit.FIRST_PATIENCE)
    assert limit.value == 1_999


def test_a_timeout_before_any_raise_says_nothing() -> None:
    limit = LearnedLimit(10_000, 500)
    limit.timed_out(500)
    assert limit.value == 500


# -- a limit without a start -----------------------------------------------------------------------------------------


def test_a_refusal_goes_back_to_what_has_passed_or_to_half_of_it() -> None:
    limit = LearnedLimit(1_000)
    assert limit.value == 1_000
    limit.refused(1_000)
    assert limit.value == 500
    limit.passed(400)
    limit.refused(450)
    assert limit.value == 400
    limit.refused(1)
    assert limit.value == 1  # never nothing


def test_a_smaller_size_than_has_passed_lowers_what_counts_as_passed() -> None:
    limit = LearnedLimit(1_000)
    limit.passed(1_000)
    limit.refused(800)
    assert (limit.value, limit.largest_passed) == (400, 400)


def test_it_is_raised_little_by_little_and_ever_more_rarely_after_raises_that_went_too_far() -> None:
    limit = LearnedLimit(1_000)
    limit.refused(1_000, passed=500)
    patience = LearnedLimit.FIRST_PATIENCE
    for _ in range(3):
        passed(limit, patience - 1)
        assert limit.value == 500
        passed(limit, 1)
        assert limit.value == 600
        limit.refused(600, passed=500)
        assert limit.value == 500
        patience *= 2


# -- limits of a batch -----------------------------------------------------------------------------------------------


def test_a_policy_may_fix_the_number_of_items() -> None:
    limits = Limits.of(BatchPolicy(max_items=700))
    assert limits.items.value == 700
    for _ in range(20):
        limits.passed(700, 700, 10_000)
    assert limits.items.value == 700
    assert Limits.of(BatchPolicy()).items.value == FIRST_ITEMS


@pytest.mark.parametrize(("share", "grows"), [(0.49, True), (0.51, False)])
def test_items_grow_only_while_bodies_are_below_half_of_what_they_may_be(share: float, grows: bool) -> None:
    limits = Limits.of(BatchPolicy(max_bytes=1_000_000))
    limits.passed(500, 500, int(share * 1_000_000))
    limits.passed(500, 500, int(share * 1_000_000))
    assert limits.items.value == (1_000 if grows else 500)


def test_the_width_of_a_reading_is_learned_from_bodies() -> None:
    limits = Limits.of(BatchPolicy(max_bytes=100_000, max_readings=10_000))
    assert limits.rows == 100_000 // 26
    limits.learn_width(ITEM_BYTES + 2_000 * 50, 1, 2_000)
    assert limits.bytes_per_row == pytest.approx(50.0)
    assert limits.rows == 2_000
    limits.learn_width(ITEM_BYTES + 10, 1, 1)  # a small body says little
    assert limits.bytes_per_row == pytest.approx(46.0, abs=0.2)
    limits.learn_width(1, 1, 10_000)
    assert limits.bytes_per_row == 1.0
    assert limits.rows == 10_000


# -- through the core ------------------------------------------------------------------------------------------------


def test_calls_of_a_clean_service_grow_to_ten_thousand_signals() -> None:
    core, sizes = make(BatchPolicy(linger_s=0.0, max_in_flight=1, max_bytes=4_000_000)), list[int]()

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        sizes.append(batch.items)
        return 0.01, None

    offer_items(core, 45_000)
    World(core, answer).run()
    assert sizes == [500, 500, 1_000, 1_000, 2_000, 2_000, 4_000, 4_000, 8_000, 8_000, MOST_ITEMS, 4_000]
    assert core.report(0.0).max_items == MOST_ITEMS


def test_bodies_stay_below_their_limit_while_calls_grow() -> None:
    core, bodies = make(BatchPolicy(linger_s=0.0, max_in_flight=1)), list[int]()

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        bodies.append(len(batch.body))
        return 0.01, None

    offer_items(core, 30_000)
    World(core, answer).run()
    assert 450_000 < max(bodies) <= 900_000
    assert core.report(0.0).max_items < MOST_ITEMS


def first_large_call_fails(failure: Callable[[], BesmartError], sizes: list[tuple[int, int]]) -> World:
    """Return a world whose service answers the first call of more than 2,500 signals with a failure."""
    core, service = make(BatchPolicy(linger_s=0.0, max_in_flight=1, hold_off_s=0.0)), ServiceModel()
    failed = False

    def answer(batch: Dispatch, now: float) -> tuple[float, BesmartError | None]:
        nonlocal failed
        sizes.append((batch.items, len(batch.body)))
        if not failed and batch.items > 2_500:
            failed = True
            return 0.01, failure()
        return 0.01, service.put(batch.body)

    offer_items(core, 20_000)
    world = World(core, answer)
    world.run()
    assert core.report(world.now).delivered == 20_000
    return world


def test_calls_shrink_after_a_timeout_and_grow_slowly_from_there() -> None:
    sizes = list[tuple[int, int]]()
    first_large_call_fails(timed_out, sizes)
    items = [items for items, _ in sizes]
    assert items[6:8] == [4_000, 3_333]
    assert items.count(4_000) == 2  # what is frozen is sent again as it was
    assert max(items) == 4_000


def test_calls_shrink_after_a_413_to_bodies_that_pass() -> None:
    sizes = list[tuple[int, int]]()
    first_large_call_fails(lambda: api_error(413), sizes)
    refused = sizes[6][1]
    assert all(size <= refused // 2 + 1_000 for _, size in sizes[7:15])


def test_calls_shrink_after_a_422_whose_parts_all_pass() -> None:
    core, service = make(BatchPolicy(linger_s=0.0, max_in_flight=1)), ServiceModel(max_items=1_200)
    offer_items(core, 10_000)
    world = World(core, stored(service))
    world.run()
    report = core.report(world.now)
    assert (report.delivered, report.rejected) == (10_000, 0)
    assert report.max_items <= 1_200
