"""Writes of every kind, for the journal's tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from besmart_async import SignalData, SignalKey
from besmart_async.batching.write.validation import Reading

KEY = SignalKey(12, 122, 32)

keys = st.builds(SignalKey, st.integers(0, 3), st.integers(0, 2**63 - 1), st.integers(0, 3))
times = st.integers(-(10**12), 10**13) | st.floats(0, 1e13, allow_nan=False)
doubles = st.floats(allow_nan=False, allow_infinity=False)
json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | doubles | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
units = st.none() | st.text(min_size=1, max_size=5)
readings = st.builds(
    Reading, keys, times, json, st.sampled_from(["DBL", "RM", "ÅÄÖ"]), st.integers(0, 2**63 - 1), units
)


@st.composite
def columns(draw: st.DrawFn) -> SignalData:
    rows = draw(st.integers(0, 5))
    one_kind = draw(st.sampled_from([doubles, st.integers(-(2**63), 2**63 - 1), st.booleans(), json]))
    return SignalData(
        draw(keys),
        draw(st.lists(times, min_size=rows, max_size=rows)),
        draw(st.lists(one_kind, min_size=rows, max_size=rows)),
        draw(st.none() | st.just("DBL") | st.lists(st.sampled_from(["DBL", "RM"]), min_size=rows, max_size=rows)),
        draw(st.none() | st.just(1) | st.lists(st.integers(0, 5), min_size=rows, max_size=rows)),
        draw(units),
    )


entries = st.lists(readings | columns(), max_size=6)


def single(time: int, value: float, key: SignalKey = KEY) -> Reading:
    return Reading(key, time, value, "DBL", 1, None)
