"""Spans of what is sent: what must be sent again because an earlier row of the same reading is."""

import numpy as np

from besmart_async import SignalKey
from besmart_async.ingest.checkpoint.resume import SentSpans
from besmart_async.ingest.mapping.signals import Resolved, Target
from besmart_async.ingest.parse.parser import ParsedReadings
from besmart_async.ingest.sources.columns import Coded


def page(signals: list[int], times: list[int]) -> Resolved:
    size = len(times)
    meter = Coded(np.zeros(size, np.int64), ["M"])
    readings = ParsedReadings(
        "f", np.arange(size), meter, None, np.array(times), np.zeros(size), np.ones(size, np.int64), None, None, {}
    )
    targets = [Target("M", SignalKey(1, number, 32), number) for number in range(max(signals) + 1)]
    return Resolved(readings, targets, np.array(signals))


def test_only_what_is_not_done_is_sent_and_done_rows_within_its_span_on_later_pages() -> None:
    spans = SentSpans()
    first = spans.widen(page([0, 0, 1], [10, 20, 10]), np.array([False, True, True]))
    assert first.tolist() == [True, False, False]
    second = spans.widen(page([0, 0, 0, 1], [9, 10, 11, 10]), np.array([True] * 4))
    assert second.tolist() == [False, True, False, False]
    third = spans.widen(page([2, 0], [30, 30]), np.array([True, False]))
    assert third.tolist() == [False, True]
    assert spans.widen(page([0, 2], [25, 30]), np.array([True, True])).tolist() == [True, False]
