"""Maps drawn with characters.

Pictures in the terminal: widths, colours, ticks.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import attrs
import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.cli.terminal.charts import SHADES, gap_lines, hour_lines, terminal_picture
from besmart_async.plots import Curve, Picture
from besmart_async.plots.days import HOUR_MS
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


def picture(days: int, *names: int, unit: str = "kW") -> Picture:
    since = datetime(2023, 1, 1, tzinfo=UTC).timestamp() * 1000
    time = np.arange(since, since + days * 24 * HOUR_MS, HOUR_MS / 4).astype(np.int64)
    curves = [
        Curve.of(SignalData(SignalKey(1, name, 34), time, np.sin(np.arange(len(time)) / 13 + name), unit=unit))
        for name in names
    ]
    return Picture(curves, since, since + days * 24 * HOUR_MS, UTC)


@pytest.mark.parametrize("width", [72, 79, 119])
@pytest.mark.parametrize("days", [1, 3, 30, 366, 4000])
def test_every_chart_fits_its_width(width: int, days: int) -> None:
    charts = list(terminal_picture(picture(days, 1, 2), width, colour=False))
    assert len(charts) >= 4
    assert max(len(line) for chart in charts[:4] for line in chart.splitlines()[:-1]) <= width


@pytest.mark.parametrize(
    ("days", "labels"),
    [
        (1, ["01 Jan", "06:00", "12:00", "18:00"]),
        (4, ["01 Jan", "02 Jan", "03 Jan", "04 Jan"]),
        (28, ["01 Jan", "08 Jan", "15 Jan", "22 Jan"]),
        (365, ["Jan 2023", "Apr 2023", "Jul 2023", "Oct 2023"]),
        (1500, ["Jan 2023", "Jan 2024", "Jan 2025", "Jan 2026"]),
    ],
)
def test_ticks_are_at_whole_hours_days_and_months(days: int, labels: list[str]) -> None:
    [chart, *_] = terminal_picture(attrs.evolve(picture(days, 1), kinds=["line"]), 79, colour=False)
    ticks = chart.splitlines()[-1]
    assert [label for label in labels if label in ticks] == labels


def test_lines_can_be_told_apart_without_colours() -> None:
    [chart, *_] = terminal_picture(attrs.evolve(picture(2, 1, 2), kinds=["line"]), 79, colour=False)
    assert "** 1.1.34" in chart
    assert "++ 1.2.34" in chart
    assert "\x1b" not in chart


def test_colours_only_where_wanted() -> None:
    assert all("\x1b[" in chart for chart in list(terminal_picture(picture(2, 1, 2), 79, colour=True))[:4])


def test_thinning_is_said() -> None:
    *_, last = terminal_picture(picture(300, 1), 79, colour=False)
    assert "first, lowest, highest and last" in last


def test_a_signal_without_readings_says_so() -> None:
    whole = picture(2, 1)
    [curve] = whole.curves
    none = attrs.evolve(curve, time=curve.time[:0], value=curve.value[:0], step_ms=None)
    text = "\n".join(terminal_picture(attrs.evolve(whole, curves=[none]), 79, colour=False))
    assert text.count("nothing was read") == 2
    assert "too few readings to tell" in text
