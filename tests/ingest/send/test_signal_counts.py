"""Counts: the readings that every signal got."""

import numpy as np

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.send.sender import SignalCounts, SignalSummary
from tests.ingest.made_items import items


def data(mid: int, time: list[int], origin: list[int] | int = 1) -> SignalData:
    origins = np.array(origin) if isinstance(origin, list) else origin
    return SignalData(SignalKey(1, mid, 32), time, [1.0] * len(time), origin=origins)


def test_signals_are_counted_with_their_span_over_what_arrived() -> None:
    counts = SignalCounts()
    assert (counts.largest, counts.signals, counts.meters) == (None, 0, 0)
    page = items(data(1, [1, 2, 3]), data(2, [5, 6]), data(1, [9, 1], [1, 2]), data(3, [4]))
    counts.add(page, np.array([False, True, True, False, False, True, True, False]))
    assert counts.largest == SignalSummary(SignalKey(1, 1, 32), "M1", 4, 1, 9)
    assert (counts.signals, counts.meters) == (1, 1)
    counts.add(page, np.array([False] * 7 + [True]))
    assert (counts.signals, counts.meters) == (2, 2)


def test_pages_add_up() -> None:
    counts = SignalCounts()
    for first in (10, 0):
        page = items(data(1, [first]), data(2, [first + 1, first + 2]))
        counts.add(page, np.ones(3, np.bool_))
    assert counts.largest == SignalSummary(SignalKey(1, 2, 32), "M2", 4, 1, 12)


def test_what_did_not_arrive_at_all_is_no_signal() -> None:
    counts = SignalCounts()
    counts.add(items(data(1, [1])), np.zeros(1, np.bool_))
    assert (counts.largest, counts.signals, counts.meters) == (None, 0, 0)
