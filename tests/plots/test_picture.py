"""What a picture says about itself."""

from collections.abc import Callable

import attrs
import pytest

from besmart_async.plots.picture import Picture, axis_title, missing_text

Make = Callable[..., Picture]


def test_title_and_period_name_signals_and_zone(picture: Make) -> None:
    assert picture(2).title == "1.0.34 profile, 1.1.34 profile"
    assert picture(9).title.endswith("1.5.34 profile and 3 more")
    assert picture(heading="Mine").title == "Mine"
    assert picture().period == "2023-03-20 00:00 to 2023-04-09 00:00, Europe/Warsaw"


def test_units_and_registers_have_axes_of_their_own(picture: Make) -> None:
    one, two, three, four = picture(4).curves
    curves = [one, attrs.evolve(two, unit="V"), attrs.evolve(three, incremental=True), four]
    panels = picture(curves=curves).panels()
    assert [[curve.key.sensor_mid for curve in panel] for panel in panels] == [[0, 3], [1], [2]]
    assert [axis_title(panel) for panel in panels] == ["kW.h in 15 min", "V", "kW.h, register"]
    assert axis_title([attrs.evolve(one, step_ms=3_600_000.0)]) == "kW.h in 1 h"
    assert axis_title([one, attrs.evolve(one, step_ms=3_600_000.0)]) == "kW.h"


def test_what_is_not_shown_is_said(picture: Make) -> None:
    curves = [attrs.evolve(curve, several=2, left_out=1) for curve in picture(20).curves]
    notes = list(picture(curves=curves).notes())
    assert notes[:2] == ["only the first 14 of 20 signals have lines", "only the first 6 of 20 signals have heat maps"]
    assert "40 times have readings of several origins" in notes[2]
    assert "20 readings are no numbers" in notes[3]
    assert list(picture(3).notes()) == []


@pytest.mark.parametrize(
    ("missing", "text"), [(0, "complete"), (1, "1 missing, under 0.1%"), (1500, "1,500 missing, 15.0%")]
)
def test_missing_readings_are_told_in_full(missing: int, text: str) -> None:
    assert missing_text(missing, 10_000) == text
