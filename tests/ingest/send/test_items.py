"""Items: one per signal and unit, each reading once, every row accounted for."""

from collections.abc import Sequence

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import SignalKey
from besmart_async.ingest.mapping.signals import Resolved, Target
from besmart_async.ingest.parse.parser import ParsedReadings
from besmart_async.ingest.send.items import Item, items_of
from besmart_async.ingest.sources.columns import Coder

Row = tuple[int, int, int, float, str]  # signal, time, origin, value, unit

KEYS = [SignalKey(1, mid, 32) for mid in range(4)]


def resolved(rows: Sequence[Row]) -> Resolved:
    places = np.array([row[0] for row in rows], np.int64)
    readings = ParsedReadings(
        "f.csv",
        np.arange(2, len(rows) + 2, dtype=np.int64),
        Coder().encode([str(row[0]) for row in rows]),
        None,
        np.array([row[1] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.int64),
        Coder().encode([row[4] for row in rows]),
        None,
        {},
    )
    return Resolved(readings, [Target(str(n), key, n) for n, key in enumerate(KEYS)], places)


def items(rows: Sequence[Row]) -> list[Item]:
    found = items_of(resolved(rows))
    each = [found.find(start)[0] for start in found.starts.tolist()]
    assert [item.data for item in each] == list(found)
    assert [len(item.rows) for item in each] == found.sizes.tolist()
    return each


def origins(item: Item) -> list[int]:
    return [origin for _, _, _, origin in item.data.rows() if origin is not None]


def test_rows_of_a_signal_are_one_item_in_order_of_time() -> None:
    [one, other] = items([(0, 20, 1, 2.0, "kW.h"), (1, 5, 1, 9.0, "kW.h"), (0, 10, 1, 1.0, "kW.h")])
    assert (one.data.key, one.data.time.tolist(), one.data.value.tolist()) == (KEYS[0], [10, 20], [1.0, 2.0])
    assert one.rows.tolist() == [4, 2]
    assert (one.data.unit, one.data.origin, one.meter) == ("kW.h", 1, "0")
    assert other.rows.tolist() == [3]


def test_equal_readings_stay_in_the_order_of_the_file() -> None:
    [item] = items([(0, 10, 1, 1.0, ""), (0, 9, 1, 7.0, ""), (0, 10, 1, 2.0, ""), (0, 10, 2, 5.0, "")])
    assert item.data.value.tolist() == [7.0, 1.0, 2.0, 5.0]
    assert (origins(item), item.rows.tolist()) == ([1, 1, 1, 2], [3, 2, 4, 5])


def test_of_equal_readings_of_a_wide_file_those_of_the_last_row_come_last() -> None:
    by_column = resolved([(0, 0, 1, 100.0, ""), (0, 24, 1, 200.0, ""), (0, 24, 1, 124.0, ""), (0, 48, 1, 224.0, "")])
    rows = np.array([2, 3, 2, 3], np.int64)  # the columns 00:00 and 24:00 of two days
    found = items_of(attrs.evolve(by_column, readings=attrs.evolve(by_column.readings, rows=rows)))
    [data] = list(found)
    assert (data.time.tolist(), data.value.tolist()) == ([0, 24, 24, 48], [100.0, 124.0, 200.0, 224.0])


def test_units_are_items_of_their_own() -> None:
    found = items([(0, 1, 1, 1.0, "kW.h"), (0, 2, 1, 1.0, "W.h"), (0, 3, 1, 1.0, "kW.h")])
    assert [(item.data.unit, item.data.time.tolist()) for item in found] == [("kW.h", [1, 3]), ("W.h", [2])]


def test_no_readings_are_no_items() -> None:
    assert items([]) == []


def test_a_unit_that_changes_and_changes_back_is_written_in_turn() -> None:
    rows = [(0, 1, 1, 1.0, "kW.h"), (0, 1, 1, 2.0, "W.h"), (0, 1, 1, 3.0, "kW.h"), (0, 2, 1, 4.0, "W.h")]
    assert [(item.data.unit, item.rows.tolist()) for item in items(rows)] == [
        ("kW.h", [2]),
        ("W.h", [5]),
        ("W.h", [3]),
        ("kW.h", [4]),
    ]


def test_a_refused_row_is_told_in_words() -> None:
    item, place = items_of(resolved([(0, 0, 1, 1.0, "kW.h"), (0, 60_000, 1, 3.0, "kW.h")])).find(1)
    reject = item.reject(place, "because")
    assert str(reject) == "f.csv row 3: 0 1.0.32 1970-01-01T00:01:00Z 3.0 kW.h because"


ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 5),
        st.integers(1, 2),
        st.sampled_from([0.5, 1.0]),
        st.sampled_from(["kW.h", "W.h", ""]),
    ),
    max_size=40,
)


@given(ROWS)
def test_whatever_the_rows_all_are_written_and_the_last_value_is_written_last(rows: list[Row]) -> None:
    found = items(rows)
    written = {
        (item.data.key, time, origin): (value, item.data.unit)
        for item in found
        for time, value, origin in zip(item.data.time.tolist(), item.data.value.tolist(), origins(item), strict=True)
    }
    assert written == {
        (KEYS[signal], time, origin): (value, unit or None) for signal, time, origin, value, unit in rows
    }
    assert sorted(row for item in found for row in item.rows.tolist()) == list(range(2, len(rows) + 2))


@given(ROWS, st.integers(1, 1 << 18))
def test_signals_of_any_number_are_sorted_as_by_comparing(rows: list[Row], step: int) -> None:
    given = resolved(rows)
    apart = [attrs.evolve(target, number=target.number * step) for target in given.targets]
    found, plain = items_of(attrs.evolve(given, targets=apart)), items_of(given)
    assert (found.rows.tolist(), found.starts.tolist()) == (plain.rows.tolist(), plain.starts.tolist())
    assert found.signals.tolist() == [number * step for number in plain.signals.tolist()]


@pytest.mark.parametrize("count", [1, 3])
def test_a_constant_origin_stays_one_number(count: int) -> None:
    assert items([(0, 1, 1, 1.0, "")] * count)[0].data.origin == 1
