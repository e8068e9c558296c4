"""When the service refuses everything, the writer stops; one producer's bad readings stop nobody."""

from __future__ import annotations

import math

import pytest

from besmart_async.batching.write.core.guard import FEW_SIGNALS, MANY_SIGNALS, RefusalGuard
from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey


def key(sensor: int) -> SignalKey:
    return SignalKey(12, sensor, 32)


def refuse(guard: RefusalGuard, signals: int, now: float = 0.0, start: int = 0) -> None:
    for sensor in range(start, start + signals):
        guard.refused(key(sensor), now)


def test_many_refused_signals_and_nothing_stored_stop_the_writer_at_once() -> None:
    guard = RefusalGuard(BatchPolicy())
    refuse(guard, MANY_SIGNALS - 1)
    assert guard.tripped() is None
    guard.refused(key(MANY_SIGNALS), 0.0)
    assert guard.tripped() == f"the service refused {MANY_SIGNALS} of the last {MANY_SIGNALS} signals"


def test_few_refused_signals_stop_it_once_that_has_gone_on_for_the_whole_window() -> None:
    guard = RefusalGuard(BatchPolicy(refusal_window_s=60.0))
    for second in range(0, 60, 5):
        refuse(guard, FEW_SIGNALS, float(second))
        assert guard.tripped() is None
    refuse(guard, FEW_SIGNALS, 60.0)
    assert guard.tripped() is not None


def test_a_writer_of_a_few_wrong_signals_goes_on() -> None:
    guard = RefusalGuard(BatchPolicy())
    for second in range(600):
        refuse(guard, FEW_SIGNALS - 1, float(second))
    assert guard.tripped() is None


@pytest.mark.parametrize("good_every_s", [1.0, 59.0])
def test_one_producer_among_others_stops_nobody_however_many_signals_it_sends(good_every_s: float) -> None:
    guard = RefusalGuard(BatchPolicy())
    guard.stored([key(1)], 0.0)
    at = good_every_s
    for second in range(600):
        refuse(guard, 100, float(second), start=1_000 + 100 * second)
        if second >= at:
            guard.stored([key(1)], float(second))
            at += good_every_s
        assert guard.tripped() is None
    assert guard.refused_signals > 1_000


def test_what_was_stored_before_the_window_counts_no_more() -> None:
    guard = RefusalGuard(BatchPolicy(refusal_window_s=60.0))
    guard.stored([key(1)], 0.0)
    refuse(guard, MANY_SIGNALS, 61.0, start=10)
    assert guard.tripped() is not None


def test_the_share_is_a_setting_and_counts_each_signal_once() -> None:
    guard = RefusalGuard(BatchPolicy(max_refused_share=0.8))
    refuse(guard, 10)
    for _ in range(100):
        guard.stored([key(sensor) for sensor in range(1_000, 1_200)], 0.0)
    refuse(guard, 789)
    assert guard.tripped() is None
    refuse(guard, 800)
    assert guard.tripped() is not None


def test_never_is_a_setting_too() -> None:
    guard = RefusalGuard(BatchPolicy(max_refused_share=math.inf))
    refuse(guard, 10 * MANY_SIGNALS)
    assert guard.tripped() is None


def test_a_reset_begins_anew() -> None:
    guard = RefusalGuard(BatchPolicy())
    refuse(guard, MANY_SIGNALS)
    guard.reset()
    assert guard.tripped() is None
    assert not guard.suspicious


def test_it_is_suspicious_while_signals_are_refused_and_none_is_stored() -> None:
    guard = RefusalGuard(BatchPolicy())
    seen = [guard.suspicious]
    guard.refused(key(1), 0.0)
    seen.append(guard.suspicious)
    guard.stored([key(2)], 1.0)
    seen.append(guard.suspicious)
    assert seen == [False, True, False]
