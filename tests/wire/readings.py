"""Readings that tests of the wire draw, and what makes two of them exactly equal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from besmart_async import SignalKey

KEY = SignalKey(12, 122, 32)
IDS = {"client_cid": 12, "sensor_mid": 122, "signal_type_moid": 32}
T = 1_577_836_800_000
COLUMNS = {"time": [T], "value": [10.01], "type": ["DBL"], "origin": [1]}

DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
SMALL = st.integers(-(2**53) + 1, 2**53 - 1)
STRUCTURES = st.recursive(
    st.none() | st.booleans() | INTEGERS | DOUBLES | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3),
    max_leaves=5,
)
COLUMN_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "doubles": DOUBLES | st.sampled_from([-0.0, 5e-324, -5e-324, sys.float_info.min, 1e308, -sys.float_info.max]),
    "integers": INTEGERS | st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63)]),
    "booleans": st.booleans(),
    "texts": st.text(max_size=10),
    "nulls": st.none(),
    "doubles and nulls": DOUBLES | st.none(),
    "large integers and doubles": st.integers(2**53, 2**64 - 1) | DOUBLES,
    "anything": STRUCTURES,
}  # fmt: skip
MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
FRACTIONS = st.integers(0, 4_000_000_000_000_000).map(lambda us: us / 1000)


def exact(values: Any) -> list[tuple[type, object]]:
    """Values with their types; doubles by their bits, so that -0.0 is not 0.0."""
    return [(type(value), value.hex() if isinstance(value, float) else value) for value in values]


def join_items(items: Iterable[bytes]) -> bytes:
    """Make one JSON list of encoded elements."""
    return b"[" + b",".join(items) + b"]"
