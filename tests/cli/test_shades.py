"""Maps drawn with characters."""

from datetime import date, timedelta

import numpy as np

from besmart_async import SignalData, SignalKey
from besmart_async.cli.shades import SHADES, gap_lines, hour_lines
from besmart_async.plots import Curve
from besmart_async.plots.maps import GapMap, HourMap

CURVE = Curve.of(SignalData(SignalKey(1, 1, 34), [0, 1], [1.0, 2.0], unit="kW"))


def dates(count: int) -> tuple[date, ...]:
    return tuple(date(2023, 1, 1) + timedelta(days=day) for day in range(count))


def test_levels_go_from_the_lowest_to_the_highest_and_gaps_are_blank() -> None:
    mean = np.full((24, 6), np.nan)
    mean[0, :5] = [0.0, 0.25, 0.5, 0.75, 1.0]
    lines = list(hour_lines(HourMap(CURVE, dates(6), 1, mean), 10, rows=24, colour=False))
    assert lines[0] == "1.1.34: mean of each hour"
    assert lines[1] == " 00 " + SHADES + " "
    assert lines[2].strip() == ""
    assert [line[:4].strip() for line in lines[1:25] if line[:4].strip()] == ["00", "06", "12", "18"]
    assert lines[-1].strip() == "· 0  ░ 0.2  ▒ 0.4  ▓ 0.6  █ 0.8 to 1 kW"


def test_two_hours_in_a_row_are_averaged_over_what_was_read() -> None:
    mean = np.zeros((24, 1))
    mean[0], mean[1], mean[2], mean[3] = 1.0, np.nan, np.nan, np.nan
    lines = list(hour_lines(HourMap(CURVE, dates(1), 1, mean), 5, rows=12, colour=False))
    assert [line[4:5] for line in lines[1:4]] == ["█", " ", "·"]


def test_equal_values_are_one_level() -> None:
    lines = list(hour_lines(HourMap(CURVE, dates(3), 1, np.ones((24, 3))), 7, rows=24, colour=False))
    assert lines[1] == " 00 ███"


def test_shares_are_told_apart_and_counted() -> None:
    share = np.array([0.0, 0.3, 0.7, 0.95, 1.0, np.nan])
    found = GapMap(CURVE, dates(6), 1, share, 1_234, 10_000)
    lines = list(gap_lines([found], 22, colour=False))
    assert lines[1] == "1.1.34 " + "".join(char * 2 for char in SHADES) + "  "
    assert lines[2].strip() == "1,234 missing, 12.3%"


def test_dates_do_not_touch() -> None:
    share = np.ones(60)
    lines = list(gap_lines([GapMap(CURVE, dates(60), 2, share, 0, 10)], 70, colour=False))
    assert lines[0].endswith("(2 days a column)")
    assert lines[3].strip().split("     ") == ["01 Jan", "12 Jan", "23 Jan", "03 Feb", "14 Feb"]
    assert lines[3].index("12 Jan") - lines[3].index("01 Jan") == 11


def test_colours_are_painted_in_runs() -> None:
    share = np.array([1.0, 1.0, 0.0])
    line = list(gap_lines([GapMap(CURVE, dates(3), 1, share, 0, 3)], 12, colour=True))[1]
    assert line.count("\x1b[38;5;") == 2
    assert line.endswith("\x1b[0m")
