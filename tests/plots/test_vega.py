"""What is in a chart: points, pieces, colours."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np

from besmart_async import SignalData, SignalKey
from besmart_async.plots import Curve, Picture
from besmart_async.plots.days import HOUR_MS
from besmart_async.plots.vega import chart_of
from besmart_async.plots.vega_axes import COLOURS

Make = Callable[..., Picture]
WARSAW = ZoneInfo("Europe/Warsaw")
QUARTER = HOUR_MS // 4


def points(picture: Picture) -> list[dict[str, Any]]:
    [found] = chart_of(attrs.evolve(picture, kinds=["line"])).to_dict()["datasets"].values()
    return list(found)


def test_energy_of_a_period_is_drawn_to_the_periods_end() -> None:
    curve = Curve.of(SignalData(SignalKey(1, 1, 34), np.array([0, 1, 5]) * QUARTER, [1.0, 2.0, 3.0], unit="kW.h"))
    found = [
        (point["t"] / QUARTER, point["v"], point["g"]) for point in points(Picture([curve], 0, 96 * QUARTER, WARSAW))
    ]
    one = 4.0  # Warsaw's clock was an hour ahead
    assert found == [(one, 1.0, 0), (one + 1, 2.0, 0), (one + 2, 2.0, 0), (one + 5, 3.0, 1), (one + 6, 3.0, 1)]


def test_other_values_stand_where_they_were_read_and_a_lone_one_has_a_dot() -> None:
    curve = Curve.of(SignalData(SignalKey(1, 1, 5), np.array([0, 1, 5]) * QUARTER, [1.0, 2.0, 3.0], unit="V"))
    found = points(Picture([curve], 0, 96 * QUARTER, WARSAW))
    assert [(point["v"], point.get("a")) for point in found] == [(1.0, None), (2.0, None), (3.0, 1)]


def test_where_the_clock_is_set_back_the_line_starts_anew() -> None:
    start = int(datetime(2023, 10, 29, tzinfo=WARSAW).timestamp() * 1000)
    curve = Curve.of(SignalData(SignalKey(1, 1, 5), start + np.arange(25) * HOUR_MS, np.ones(25), unit="V"))
    found = points(Picture([curve], start, start + 25 * HOUR_MS, WARSAW))
    assert [point["g"] for point in found] == [0] * 3 + [1] * 22
    assert [int(point["t"] // HOUR_MS % 24) for point in found] == [0, 1, 2, 2, *range(3, 24)]


def test_more_lines_than_colours_are_dashed_and_the_rest_is_named(picture: Make) -> None:
    chart = chart_of(picture(9, kinds=["line"])).to_dict()
    encoding = chart["vconcat"][0]["layer"][0]["encoding"]
    assert encoding["color"]["scale"]["range"] == [*COLOURS, *COLOURS[:2]]
    assert encoding["strokeDash"]["scale"]["range"] == [[1, 0]] * 7 + [[6, 3]] * 2
    assert len(chart["vconcat"]) == 1
    assert (
        chart_of(picture(7, kinds=["line"])).to_dict()["vconcat"][0]["layer"][0]["encoding"]["strokeDash"]["legend"]
        is None
    )


def test_a_long_period_is_thinned_and_says_so(picture: Make) -> None:
    long = picture(till=(2024, 3, 20), kinds=["line"])
    assert len(long.curves[0]) > 30_000
    assert len(points(long)) < 4_000
    assert "first, lowest, highest and last" in str(chart_of(long).to_dict()["title"]["subtitle"])


def test_maps_have_whole_pixels_for_every_column(picture: Make) -> None:
    for till in ((2023, 3, 21), (2023, 6, 1), (2024, 3, 20), (2028, 3, 20)):
        chart = chart_of(picture(till=till, kinds=["completeness"])).to_dict()["vconcat"][0]
        first, last = chart["encoding"]["x"]["scale"]["domain"]
        [rows] = chart_of(picture(till=till, kinds=["completeness"])).to_dict()["datasets"].values()
        columns = (last - first) / (rows[0]["e"] - rows[0]["d"])
        assert chart["width"] % columns == 0
        assert 450 <= chart["width"] <= 1_350
