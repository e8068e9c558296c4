"""The day chart: the right day, its clock, gaps, and plain characters."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.cli.terminal.day_chart import Day, busiest_day, day_chart, display_zone

CHICAGO = ZoneInfo("America/Chicago")
HOUR = 3_600_000
KEY = SignalKey(1, 1, 34)


@pytest.mark.parametrize(("date", "hours"), [("2016-03-13", 23), ("2016-11-06", 25), ("2016-07-01", 24)])
def test_a_day_goes_from_midnight_to_midnight_on_its_clock(date: str, hours: int) -> None:
    day = Day.of(float(np.datetime64(f"{date}T18:00", "ms").astype(np.int64)), CHICAGO)
    since, till = day.window
    assert (till - since) / HOUR == hours
    assert f"{day.start:%Y-%m-%d %H:%M}" == f"{date} 00:00"


def test_the_busiest_day_has_the_most_readings_then_the_largest_sum() -> None:
    utc = display_zone(None)
    time = np.concatenate([np.arange(24) * HOUR + day * 24 * HOUR for day in (0, 1, 2)] + [[3 * 24 * HOUR]])
    value = np.concatenate([np.full(24, level) for level in (1.0, 3.0, 2.0)] + [[1e9]])
    assert busiest_day(time, value, utc).window[0] == 24 * HOUR


@pytest.mark.parametrize("width", [40, 80, 100])
def test_the_chart_fits_its_width_and_has_title_unit_and_hours(width: int) -> None:
    day = Day.of(0, display_zone("UTC"))
    data = SignalData(KEY, np.arange(48) * HOUR // 2, np.sin(np.arange(48) / 5) + 1.5, unit="kW.h")
    lines = day_chart(data, day, "M1 [kW.h] on a day", width=width).splitlines()
    assert max(map(len, lines)) < width
    assert "M1 [kW.h] on a day" in lines[0]
    assert "00:00" in lines[-1]
    assert "12:00" in lines[-1] or width < 60
    assert "\x1b" not in "".join(lines)


def test_a_gap_stays_empty() -> None:
    day = Day.of(0, display_zone("UTC"))
    data = SignalData(KEY, [hour * HOUR for hour in range(24) if not 8 <= hour < 16], np.ones(16))
    bottom = day_chart(data, day, "", width=80).splitlines()[-4]
    drawn = bottom.split("│")[1]
    assert "█" in drawn[:20]
    assert drawn[30:44].strip() == ""
    assert "█" in drawn[-20:]


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [-5.0, 5.0], [1e6, 1e6 + 1]])
def test_any_values_can_be_drawn(values: list[float]) -> None:
    data = SignalData(KEY, np.arange(len(values)) * HOUR, values)
    assert day_chart(data, Day.of(0, display_zone("Nowhere")), "t", width=80)


def test_colours_only_where_wanted() -> None:
    data = SignalData(KEY, [0, HOUR], [1.0, 2.0])
    assert "\x1b[" in day_chart(data, Day.of(0, display_zone("UTC")), "t", width=80, colour=True)
