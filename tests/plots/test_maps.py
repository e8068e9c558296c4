"""Maps by day and hour, and of gaps."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.plots.curves import Curve
from besmart_async.plots.days import DAY_MS, HOUR_MS, LocalDays
from besmart_async.plots.maps import gap_map, hour_map

KEY = SignalKey(1, 2, 34)
WARSAW = ZoneInfo("Europe/Warsaw")
MARCH = int(datetime(2023, 3, 25, tzinfo=WARSAW).timestamp() * 1000)


def days(count: int) -> LocalDays:
    return LocalDays.of(0, count * DAY_MS, ZoneInfo("UTC"))


def test_the_mean_of_each_hour_is_in_its_cell() -> None:
    time = np.arange(2 * 96) * (HOUR_MS // 4)
    found = hour_map(Curve.of(SignalData(KEY, time, np.arange(192.0), unit="V")), days(2), 100)
    assert found is not None
    assert found.mean.shape == (24, 2)
    assert found.mean[0, 0] == np.mean([0, 1, 2, 3])
    assert found.mean[23, 1] == np.mean([188, 189, 190, 191])
    assert found.first == (date(1970, 1, 1), date(1970, 1, 2))


def test_hours_are_those_of_the_zone_and_the_skipped_one_stays_empty() -> None:
    time = MARCH + np.arange(47) * HOUR_MS
    march = LocalDays.of(MARCH, MARCH + 47 * HOUR_MS, WARSAW)
    found = hour_map(Curve.of(SignalData(KEY, time, np.arange(47.0), unit="V")), march, 9)
    assert found is not None
    assert np.isnan(found.mean[2, 1])
    assert found.mean[3, 1] == 26.0
    assert int(np.isnan(found.mean).sum()) == 1


def test_energies_are_shown_as_power() -> None:
    time = np.arange(96) * (HOUR_MS // 4)
    found = hour_map(Curve.of(SignalData(KEY, time, np.ones(96), unit="kW.h")), days(1), 9)
    assert found is not None
    assert (found.curve.unit, set(found.mean.ravel().tolist())) == ("kW", {4.0})


def test_readings_of_several_hours_fill_them_and_of_more_than_a_day_have_no_map() -> None:
    six = hour_map(Curve.of(SignalData(KEY, np.arange(4) * 6 * HOUR_MS, [1.0, 2.0, 3.0, 4.0], unit="V")), days(1), 9)
    assert six is not None
    assert six.mean[:, 0].tolist() == [1.0] * 6 + [2.0] * 6 + [3.0] * 6 + [4.0] * 6
    assert hour_map(Curve.of(SignalData(KEY, [0, 7 * DAY_MS], [1.0, 2.0])), days(9), 9) is None


def test_too_many_days_share_columns() -> None:
    time = np.arange(10 * 24) * HOUR_MS
    curve = Curve.of(SignalData(KEY, time, np.arange(240.0), unit="V"))
    found = hour_map(curve, days(10), 4)
    assert found is not None
    assert (found.days, found.mean.shape) == (3, (24, 4))
    assert found.mean[5, 0] == np.mean([5, 29, 53])
    gaps = gap_map(curve, days(10), 0, 10 * DAY_MS, 4)
    assert gaps.share.tolist() == [1.0] * 4


def test_the_share_of_each_day_is_counted_against_its_length_on_the_clock() -> None:
    time = MARCH + np.delete(np.arange(47), [3, 30, 31]) * HOUR_MS
    end = MARCH + 47 * HOUR_MS
    found = gap_map(Curve.of(SignalData(KEY, time, np.ones(44))), LocalDays.of(MARCH, end, WARSAW), MARCH, end, 9)
    assert found.share.tolist() == pytest.approx([23 / 24, 21 / 23])
    assert (found.missing, found.expected) == (3, 47)


def test_days_of_which_the_period_holds_only_a_part_are_judged_by_that_part() -> None:
    since, till = 12 * HOUR_MS, DAY_MS + 6 * HOUR_MS
    curve = Curve.of(SignalData(KEY, np.arange(12, 30) * HOUR_MS, np.ones(18)))
    found = gap_map(curve, LocalDays.of(since, till, ZoneInfo("UTC")), since, till, 9)
    assert (found.share.tolist(), found.missing, found.expected) == ([1.0, 1.0], 0, 18)


def test_a_day_without_readings_is_zero_and_one_reading_tells_nothing() -> None:
    curve = Curve.of(SignalData(KEY, np.append(np.arange(24), np.arange(48, 72)) * HOUR_MS, np.ones(48)))
    assert gap_map(curve, days(3), 0, 3 * DAY_MS, 9).share.tolist() == [1.0, 0.0, 1.0]
    alone = gap_map(Curve.of(SignalData(KEY, [0], [1.0])), days(1), 0, DAY_MS, 9)
    assert np.isnan(alone.share).all()
    told = gap_map(Curve.of(SignalData(KEY, [0], [1.0]), step_ms=float(HOUR_MS)), days(1), 0, DAY_MS, 9)
    assert told.share.tolist() == [pytest.approx(1 / 24)]
