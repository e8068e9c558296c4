"""Columns of times that signals share."""

from __future__ import annotations

import numpy as np
import pytest

from besmart_async.batching.write.core.grids import Grid, Grids
from besmart_async.models.times import MAX_MS, MIN_MS


def text(grid: Grid) -> bytes:
    return grid.text


def test_the_same_times_again_are_the_same_grid_with_the_same_text() -> None:
    grids, times = Grids(), np.arange(5) * 900_000
    first = grids.of(times)
    assert first is not None
    assert text(first) == b"[0,900000,1800000,2700000,3600000]"
    assert grids.of(times.copy()) is first
    assert first.text is first.text
    assert text(first) == b"[0,900000,1800000,2700000,3600000]"


def test_a_grid_keeps_its_times_when_the_caller_changes_his() -> None:
    grids, times = Grids(), np.arange(3)
    grid = grids.of(times)
    times += 10
    other = grids.of(times)
    assert grid is not None
    assert other is not None
    assert (grid.time.tolist(), other.time.tolist()) == ([0, 1, 2], [10, 11, 12])
    with pytest.raises(ValueError, match="read-only"):
        grid.time[0] = 7


def test_every_other_row_of_an_array_is_a_grid() -> None:
    grid = Grids().of(np.arange(10)[::2])
    assert grid is not None
    assert text(grid) == b"[0,2,4,6,8]"


@pytest.mark.parametrize("times", [[2, 1], [1, 1], [MIN_MS - 1, 0], [0, MAX_MS + 1], [MAX_MS + 1]])
def test_times_that_do_not_ascend_or_leave_the_calendar_are_none(times: list[int]) -> None:
    grids = Grids()
    assert grids.of(np.array(times)) is None
    assert grids.of(np.array(times)) is None


def test_one_moment_and_the_ends_of_the_calendar_are_grids() -> None:
    for times in ([7], [MIN_MS, MAX_MS]):
        grid = Grids().of(np.array(times))
        assert grid is not None
        assert grid.time.tolist() == times
