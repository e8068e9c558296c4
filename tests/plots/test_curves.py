"""Readings as curves."""

import numpy as np

from besmart_async import SignalData, SignalKey, SignalType
from besmart_async.plots.curves import Curve, rate
from besmart_async.plots.days import HOUR_MS

KEY = SignalKey(1, 2, 32)
QUARTER = HOUR_MS // 4


def test_each_time_is_there_once_and_what_is_no_number_is_left_out() -> None:
    data = SignalData(KEY, [3, 1, 1, 2, 4, 5], [3.0, 1.0, 1.5, 2, "off", None], origin=[1, 1, 4, 1, 1, 1])
    curve = Curve.of(data)
    assert (curve.time.tolist(), curve.value.tolist()) == ([1, 2, 3], [1.5, 2.0, 3.0])
    assert (curve.several, curve.left_out) == (1, 2)


def test_removed_readings_are_left_out() -> None:
    assert Curve.of(SignalData(KEY, [1, 2], [1.0, 9.0], type=["DBL", "RM"])).value.tolist() == [1.0]
    assert len(Curve.of(SignalData(KEY, [1, 2], [1.0, 9.0], type="RM"))) == 0


def test_name_and_unit_come_from_the_answer_then_the_type() -> None:
    kind = SignalType(signal_type_moid=32, symbol="A+", unit_symbol="kW.h", is_incremental=True)
    curve = Curve.of(SignalData(KEY, [1], [1.0], unit="W.h"), kind)
    assert (curve.title, curve.incremental) == ("1.2.32 A+ [W.h]", True)
    assert Curve.of(SignalData(KEY, [1], [1.0]), kind).unit == "kW.h"
    assert Curve.of(SignalData(KEY, [1], [1.0])).title == "1.2.32"


def test_the_step_is_the_most_frequent_distance() -> None:
    time = [0, QUARTER, 2 * QUARTER, 9 * QUARTER, 10 * QUARTER]
    curve = Curve.of(SignalData(KEY, time, [1.0] * 5))
    assert curve.step_ms == QUARTER
    assert curve.gaps().tolist() == [False, False, True, False]
    assert curve.gaps(longer_than_ms=8 * QUARTER).tolist() == [False] * 4
    assert Curve.of(SignalData(KEY, [5], [1.0])).step_ms is None


def test_energies_become_mean_power() -> None:
    power = rate(Curve.of(SignalData(KEY, np.arange(4) * QUARTER, [1.0, 2.0, 0.5, 0.0], unit="kW.h")))
    assert (power.value.tolist(), power.unit) == ([4.0, 8.0, 2.0, 0.0], "kW")


def test_a_register_becomes_the_power_between_its_readings_but_not_over_gaps_or_new_meters() -> None:
    kind = SignalType(is_incremental=True)
    time = np.array([0, 1, 2, 3, 9, 10]) * QUARTER
    data = SignalData(KEY, time, [100.0, 101.0, 103.0, 2.0, 50.0, 51.5], unit="kW.h")
    power = rate(Curve.of(data, kind))
    assert power.time.tolist() == [0, QUARTER, 9 * QUARTER]
    assert (power.value.tolist(), power.unit) == ([4.0, 8.0, 6.0], "kW")


def test_anything_else_stays_as_it_is() -> None:
    curve = Curve.of(SignalData(KEY, [0, QUARTER], [229.0, 231.0], unit="V"))
    assert rate(curve) is curve
