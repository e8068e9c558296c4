"""Seams: whatever a service thinks of inclusive ends, the parts of a window hold each row of the whole once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from besmart_async.batching.read.core.windows import Part, divisible, in_turns, parts_of
from besmart_async.models import SignalData, SignalKey, SignalQuery

KEY = SignalKey(12, 122, 32)
DAY_MS = 86_400_000


@attrs.frozen
class Service:
    """Holds rows, and has opinions: about inclusive ends, about how exactly times are compared and told."""

    times: tuple[float, ...]
    since_inclusive: bool = True
    till_inclusive: bool = True
    compared: str = "exact"
    told: str = "exact"

    def answer(self, query: SignalQuery) -> SignalData:
        rows = [(time, row) for row, time in enumerate(self.times) if self._inside(time, query)]
        times = np.array([ROUNDINGS[self.told](time) for time, _ in rows], np.float64)
        return SignalData(query.key, times, np.array([row for _, row in rows], np.float64))

    def _inside(self, time: float, query: SignalQuery) -> bool:
        seen = ROUNDINGS[self.compared](time)
        after = seen >= query.since if self.since_inclusive else seen > query.since
        return after and (seen <= query.till if self.till_inclusive else seen < query.till)


ROUNDINGS: dict[str, Callable[[float], float]] = {
    "exact": float,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
}

services = st.builds(
    Service,
    times=st.lists(
        st.integers(-3000, 9000).map(float) | st.integers(-24_000, 72_000).map(lambda eighths: eighths / 8), max_size=60
    ).map(tuple),
    since_inclusive=st.booleans(),
    till_inclusive=st.booleans(),
    compared=st.sampled_from(list(ROUNDINGS)),
    told=st.sampled_from(list(ROUNDINGS)),
)
moments = st.integers(-2000, 8000) | st.integers(-16_000, 64_000).map(lambda eighths: eighths / 8)


@given(service=services, ends=st.tuples(moments, moments), max_window_ms=st.integers(1000, 4000))
@example(service=Service((999.0, 1000.0, 1001.0, 999.5, 1000.5)), ends=(0, 2000), max_window_ms=1000)
def test_the_parts_hold_each_row_of_the_whole_exactly_once(
    service: Service, ends: tuple[float, float], max_window_ms: int
) -> None:
    query = SignalQuery(KEY, min(ends), max(ends))
    kept = [part.kept(service.answer(part.query)) for part in parts_of(query, max_window_ms)]
    whole = service.answer(query)
    assert sorted(row for data in kept for row in data.value.tolist()) == sorted(whole.value.tolist())


@given(since=moments, length=st.integers(0, 10_000), max_window_ms=st.integers(1000, 4000))
def test_the_outer_ends_are_the_callers_and_inner_ones_overlap_by_a_margin(
    since: float, length: int, max_window_ms: int
) -> None:
    parts = list(parts_of(SignalQuery(KEY, since, since + length), max_window_ms))
    assert parts[0].query.since == since
    assert parts[-1].query.till == since + length
    assert parts[0].keep_from is None
    assert parts[-1].keep_before is None
    for one, other in itertools.pairwise(parts):
        assert one.keep_before == other.keep_from
        assert one.keep_before is not None
        assert one.query.till == one.keep_before + 1
        assert other.query.since == one.keep_before - 1
    for part in parts:
        assert part.query.till - part.query.since <= max_window_ms + 3
        assert len(parts) == 1 or part.query.till - part.query.since >= max_window_ms / 2


def test_a_year_is_cut_into_even_months() -> None:
    parts = list(parts_of(SignalQuery(KEY, 0, 365 * DAY_MS), 31 * DAY_MS))
    assert len(parts) == 12
    widths = {part.query.till - part.query.since for part in parts[1:-1]}
    assert max(widths) - min(widths) <= 1


@pytest.mark.parametrize("max_window_ms", [365 * DAY_MS, math.inf])
def test_a_window_that_fits_is_asked_as_it_is(max_window_ms: float) -> None:
    query = SignalQuery(KEY, 0.5, 365 * DAY_MS)
    assert list(parts_of(query, max_window_ms)) == [Part(query, query)]


@pytest.mark.parametrize(
    "options",
    [
        {"get_last": True},
        {"delta_t": 60},
        {"output_unit_id": 3},
        {"is_chart": True},
        {"filters": {"phase": 1}},
    ],
)
def test_a_window_whose_rows_may_depend_on_each_other_is_never_cut(options: dict[str, Any]) -> None:
    query = SignalQuery(KEY, 0, 365 * DAY_MS, **options)
    assert not divisible(query)
    assert list(parts_of(query, DAY_MS)) == [Part(query, query)]


@pytest.mark.parametrize("options", [{"get_last": False}, {"raw": True}, {"signal_origin_id": 2}, {"is_chart": False}])
def test_options_that_choose_row_by_row_go_with_every_part(options: dict[str, Any]) -> None:
    parts = list(parts_of(SignalQuery(KEY, 0, 10 * DAY_MS, **options), DAY_MS))
    assert len(parts) == 10
    assert all(getattr(part.query, name) == value for part in parts for name, value in options.items())


def test_an_absent_answer_stays_absent_and_an_empty_one_empty() -> None:
    part = next(parts_of(SignalQuery(KEY, 0, 2 * DAY_MS), DAY_MS))
    assert part.kept(SignalData.missing(KEY)).absent
    assert not part.kept(SignalData(KEY, [], [])).absent


def test_an_answer_without_margin_rows_is_passed_on_uncopied() -> None:
    first, last = parts_of(SignalQuery(KEY, 0, 2 * DAY_MS), DAY_MS)
    data = SignalData(KEY, [5, 6], [1.0, 2.0])
    assert first.kept(data) is data
    assert len(last.kept(data)) == 0


def test_several_queries_take_turns_part_by_part() -> None:
    keys = [SignalKey(12, sensor, 32) for sensor in range(3)]
    queries = [SignalQuery(key, 0, days * DAY_MS) for key, days in zip(keys, (1, 3, 2), strict=True)]
    turns = list(in_turns(queries, DAY_MS))
    assert [query.key for query, _ in turns] == [*keys, keys[1], keys[2], keys[1]]
    assert turns[0] == (queries[0], None), "no piece of anything"
    assert [(part.query, part.whole) for _, part in turns[1:] if part] == [
        (query, queries[keys.index(query.key)]) for query, _ in turns[1:]
    ]
