"""The tally: how much every signal got."""

import numpy as np

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.items import Item
from besmart_async.ingest.tally import Tally


def item(mid: int, time: list[int], origin: list[int] | int = 1) -> Item:
    origins = np.array(origin) if isinstance(origin, list) else origin
    data = SignalData(SignalKey(1, mid, 32), time, [1.0] * len(time), origin=origins)
    return Item(f"M{mid}", "f", data, np.arange(len(time)))


def test_signals_are_counted_with_their_span_over_what_arrived() -> None:
    assert Tally().largest is None
    tally = Tally()
    tally.add([item(1, [1, 2, 3]), item(2, [5, 6])], np.array([False, True, True, False, False]))
    tally.add([item(1, [9, 1], [1, 2]), item(3, [4])], np.ones(3, np.bool_))
    assert {key.sensor_mid: one.readings for key, one in tally.signals.items()} == {1: 4, 3: 1}
    largest = tally.largest
    assert largest is not None
    assert (largest.meter, largest.first, largest.last) == ("M1", 1, 9)
    assert tally.meters == 2
