"""The ledger: what was delivered, each reading once, repeats counted."""

import numpy as np

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.items import Item
from besmart_async.ingest.ledger import Ledger

KEY = SignalKey(1, 1, 32)
NONE = np.empty(0, np.int64)


def item(
    time: list[int], value: list[float], *, unit: str | None = "kW.h", origin: int = 1, key: SignalKey = KEY
) -> Item:
    data = SignalData(key, time, value, origin=origin, unit=unit)
    rows = np.arange(len(time), dtype=np.int64)
    return Item("M", "f", data, rows, NONE, NONE, np.empty(0, np.bool_))


def test_later_deliveries_replace_earlier_ones_and_are_counted() -> None:
    ledger = Ledger()
    ledger.add(item([1, 2, 3], [1.0, 2.0, 3.0]))
    ledger.add(item([3, 4, 2], [3.0, 4.0, 9.0]))
    assert ledger.accepted == 6
    [found] = ledger.settle()
    assert found.time.tolist() == [1, 2, 3, 4]
    assert found.value.tolist() == [1.0, 9.0, 3.0, 4.0]
    assert (found.repeats_equal, found.repeats_conflicting) == (1, 1)


def test_another_origin_is_another_reading_and_another_unit_a_conflict() -> None:
    ledger = Ledger()
    ledger.add(item([1], [1.0]))
    ledger.add(item([1], [1.0], origin=2))
    ledger.add(item([1], [1.0], unit="W.h"))
    [found] = ledger.settle()
    assert (found.origin.tolist(), found.time.tolist()) == ([1, 2], [1, 1])
    assert [found.units[unit] for unit in found.unit] == ["W.h", "kW.h"]
    assert (found.repeats_equal, found.repeats_conflicting) == (0, 1)


def test_repeats_within_an_item_count_as_accepted_rows() -> None:
    ledger = Ledger()
    data = SignalData(KEY, [1], [2.0])
    ledger.add(Item("M", "f", data, np.array([4]), np.array([2, 3]), np.array([0, 0]), np.array([True, False])))
    assert ledger.accepted == 3
    [found] = ledger.settle()
    assert (found.repeats_equal, found.repeats_conflicting) == (1, 1)


def test_signals_come_in_the_order_of_their_first_delivery_and_settling_empties() -> None:
    ledger = Ledger()
    other = SignalKey(1, 0, 32)
    ledger.add(item([1], [1.0]))
    ledger.add(item([1], [1.0], key=other))
    assert [found.key for found in ledger.settle()] == [KEY, other]
    assert ledger.settle() == []
