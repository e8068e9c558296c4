"""Thinned lines: no peak lost, none made up, gaps stay gaps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import SignalData, SignalKey
from besmart_async.plots.curves import Curve
from besmart_async.plots.lines import line_of

KEY = SignalKey(1, 2, 34)


def curve(count: int, seed: int = 0) -> Curve:
    value = np.random.default_rng(seed).normal(size=count)
    return Curve.of(SignalData(KEY, np.arange(count) * 1000, value))


def test_few_readings_are_all_drawn() -> None:
    line = line_of(curve(400), 0, 400_000, 100)
    assert (line.rows.tolist(), line.thinned) == (list(range(400)), False)


@given(st.integers(500, 3000), st.integers(1, 99), st.integers(0, 1000))
def test_a_thinned_line_covers_in_every_column_what_all_readings_would(count: int, columns: int, seed: int) -> None:
    whole = curve(count, seed)
    line = line_of(whole, 0, count * 1000, columns)
    assert line.thinned
    assert len(line.rows) <= 4 * columns
    assert (np.diff(line.rows) > 0).all()
    width = count * 1000 / columns
    everywhere, kept = whole.time // width, whole.time[line.rows] // width
    for column in np.unique(everywhere):
        all_values, drawn = whole.value[everywhere == column], whole.value[line.rows][kept == column]
        assert (drawn.min(), drawn.max()) == (all_values.min(), all_values.max())
        assert (drawn[0], drawn[-1]) == (all_values[0], all_values[-1])


def test_no_readings_are_no_line() -> None:
    line = line_of(Curve.of(SignalData(KEY, [], [])), 0, 1000, 100)
    assert (len(line.rows), len(line.segment), len(line.alone)) == (0, 0, 0)


def test_a_gap_breaks_the_line_and_a_reading_between_gaps_stands_alone() -> None:
    time = np.array([0, 1, 2, 10, 20, 21]) * 1000
    line = line_of(Curve.of(SignalData(KEY, time, [1.0] * 6)), 0, 30_000, 100)
    assert line.segment.tolist() == [0, 0, 0, 1, 2, 2]
    assert line.alone.tolist() == [False, False, False, True, False, False]


def test_a_gap_that_is_narrower_than_a_column_does_not_break_a_thinned_line() -> None:
    time = np.delete(np.arange(10_000) * 1000, [500, *range(3000, 4000)])
    line = line_of(Curve.of(SignalData(KEY, time, np.ones(len(time)))), 0, 10_000_000, 100)
    assert np.unique(line.segment).tolist() == [0, 1]
