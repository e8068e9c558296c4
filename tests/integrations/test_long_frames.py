"""The columns' core: any frame of readings, cut into signals and put together again, is the same."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("pandas")
pytest.importorskip("polars")
pytest.importorskip("pyarrow")

from hypothesis import given, settings
from hypothesis import strategies as st

from besmart_async import SignalData, SignalKey
from besmart_async.integrations.dataframes import from_arrow, from_pandas, from_polars, to_arrow, to_pandas, to_polars
from besmart_async.integrations.long_frames import _Coded, _combined

numbers = st.floats(-1e12, 1e12) | st.integers(-(2**52), 2**52)
values = st.one_of(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
    st.lists(numbers, min_size=1, max_size=8),
)


@st.composite
def signals(draw: st.DrawFn) -> list[SignalData]:
    keys = st.builds(SignalKey, st.integers(0, 2), st.integers(0, 2**40), st.integers(1, 3))
    units = st.sampled_from([None, "kW.h", "V"])
    made: list[SignalData] = []
    for key, unit in draw(st.lists(st.tuples(keys, units), unique=True, max_size=6)):
        value = draw(values)
        rows = len(value)
        times = st.integers(-(10**12), 10**13) | st.integers(0, 10**9).map(lambda number: number / 8)
        types = st.sampled_from([None, "DBL", "RM"]) | st.lists(
            st.sampled_from(["DBL", "RM"]), min_size=rows, max_size=rows
        )
        origins = st.none() | st.integers(1, 5) | st.lists(st.integers(1, 5), min_size=rows, max_size=rows)
        time = draw(st.lists(times, min_size=rows, max_size=rows))
        made.append(SignalData(key, time, value, draw(types), draw(origins), unit))
    return made


@settings(deadline=None)
@given(signals())
def test_signals_come_back_from_every_kind_of_frame(items: list[SignalData]) -> None:
    assert from_pandas(to_pandas(items)) == items
    assert from_polars(to_polars(items)) == items
    assert from_arrow(to_arrow(items)) == items


@settings(deadline=None)
@given(signals(), st.randoms(use_true_random=False))
def test_shuffled_rows_hold_the_same_readings(items: list[SignalData], dice: Any) -> None:
    frame = to_pandas(items)
    order = list(range(len(frame)))
    dice.shuffle(order)
    found = {(data.key, data.unit): data for data in from_pandas(frame.iloc[order])}
    assert set(found) == {(data.key, data.unit) for data in items}
    for data in items:
        assert sorted(map(repr, found[data.key, data.unit].rows())) == sorted(map(repr, rows_as_found(data, found)))


def rows_as_found(data: SignalData, found: dict[Any, SignalData]) -> Any:
    """The rows of `data` with numbers as the frame has them: one column of values and one of times for all signals."""
    twin = found[data.key, data.unit]
    return SignalData.trusted(
        data.key, data.time.astype(twin.time.dtype), data.value.astype(twin.value.dtype), data.type, data.origin
    ).rows()


def test_more_combinations_of_ids_than_64_bits_count_are_told_apart() -> None:
    ids = cast("list[int | None]", range(2**40))
    columns = [
        _Coded(name, np.array(codes, np.int64), ids)
        for name, codes in (
            ("client_cid", [0, 2**39, 0]),
            ("sensor_mid", [7, 7, 7]),
            ("signal_type_moid", [2**39, 0, 2**39]),
        )
    ]
    codes, parts = _combined(columns)
    assert [parts[code] for code in codes] == [(0, 7, 2**39), (2**39, 7, 0), (0, 7, 2**39)]
