"""The ledger: what was delivered, each reading once, repeats counted."""

import numpy as np

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.items import Item
from besmart_async.ingest.ledger import Ledger

KEY = SignalKey(1, 1, 32)


def item(
    time: list[int], value: list[float], *, unit: str | None = "kW.h", origin: int = 1, key: SignalKey = KEY
) -> Item:
    data = SignalData(key, time, value, origin=origin, unit=unit)
    return Item("M", "f", data, np.arange(len(time), dtype=np.int64))


def test_later_deliveries_replace_earlier_ones_and_are_counted() -> None:
    ledger = Ledger()
    ledger.add(item([1, 2, 3], [1.0, 2.0, 3.0]))
    ledger.add(item([3, 4, 2], [3.0, 4.0, 9.0]))
    [found] = ledger.settle(6)
    assert found.time.tolist() == [1, 2, 3, 4]
    assert found.value.tolist() == [1.0, 9.0, 3.0, 4.0]
    assert (found.repeats_equal, found.repeats_conflicting) == (1, 1)


def test_another_origin_is_another_reading_and_another_unit_a_conflict() -> None:
    ledger = Ledger()
    ledger.add(item([1], [1.0]))
    ledger.add(item([1], [1.0], origin=2))
    ledger.add(item([1], [1.0], unit="W.h"))
    [found] = ledger.settle(3)
    assert (found.origin.tolist(), found.time.tolist()) == ([1, 2], [1, 1])
    assert [found.units[unit] for unit in found.unit] == ["W.h", "kW.h"]
    assert (found.repeats_equal, found.repeats_conflicting) == (0, 1)


def test_what_is_lost_is_told_by_its_labels_and_was_not_delivered() -> None:
    ledger = Ledger()
    first, second = item([1, 2], [1.0, 2.0]), item([1, 1, 3], [5.0, 6.0, 7.0])
    labels = [*ledger.add(first).tolist(), *ledger.add(second).tolist(), *ledger.add(item([1], [8.0])).tolist()]
    assert len(set(labels)) == 6
    assert max(labels) < -1
    assert list(ledger.lose([labels[4], labels[1], labels[2]])) == [(first, 1), (second, 0), (second, 2)]
    [found] = ledger.settle(6)
    assert (found.time.tolist(), found.value.tolist(), found.repeats_conflicting) == ([1], [8.0], 2)


def test_a_signal_of_which_nothing_arrived_is_none() -> None:
    ledger = Ledger()
    list(ledger.lose(ledger.add(item([1, 1], [4.0, 4.0])).tolist()))
    assert ledger.settle(2) == []


def test_an_item_that_was_not_written_after_all_is_left_out() -> None:
    ledger = Ledger()
    ledger.add(item([1], [1.0]))
    ledger.add(item([2, 3], [1.0, 1.0]))
    [found] = ledger.settle(1)
    assert found.time.tolist() == [1]


def test_signals_come_in_the_order_of_their_first_delivery_and_settling_empties() -> None:
    ledger = Ledger()
    other = SignalKey(1, 0, 32)
    ledger.add(item([1], [1.0]))
    ledger.add(item([1], [1.0], key=other))
    assert [found.key for found in ledger.settle(2)] == [KEY, other]
    assert ledger.settle(0) == []
