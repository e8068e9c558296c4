"""Days and the wall clock, also where clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.plots.days import DAY_MS, HOUR_MS, LocalDays

WARSAW = ZoneInfo("Europe/Warsaw")


def ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=WARSAW).timestamp() * 1000)


@pytest.mark.parametrize(("day", "hours"), [(26, 23), (27, 24)])
def test_a_day_is_as_long_as_its_clock_says(day: int, hours: int) -> None:
    days = LocalDays.of(ms(2023, 3, day), ms(2023, 3, day + 1), WARSAW)
    assert days.dates == (date(2023, 3, day),)
    assert np.diff(days.edges).tolist() == [hours * HOUR_MS]


def test_a_period_touches_its_first_and_last_day() -> None:
    days = LocalDays.of(ms(2023, 5, 1, 22), ms(2023, 5, 3, 0), WARSAW)
    assert days.dates == (date(2023, 5, 1), date(2023, 5, 2))
    assert days.place(np.array([ms(2023, 4, 30), ms(2023, 5, 1), ms(2023, 5, 2, 12), ms(2023, 5, 3)])).tolist() == [
        -1,
        0,
        1,
        2,
    ]


def test_the_repeated_hour_is_shown_twice_and_the_skipped_one_never() -> None:
    autumn = LocalDays.of(ms(2023, 10, 29), ms(2023, 10, 30), WARSAW)
    hours = autumn.hour(autumn.edges[0] + np.arange(25) * HOUR_MS).tolist()
    assert hours == [0, 1, 2, 2, *range(3, 24)]
    spring = LocalDays.of(ms(2023, 3, 26), ms(2023, 3, 27), WARSAW)
    assert spring.hour(spring.edges[0] + np.arange(23) * HOUR_MS).tolist() == [0, 1, *range(3, 24)]


@given(
    st.sampled_from(["Europe/Warsaw", "America/Chicago", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
    st.integers(0, 60 * 365 * DAY_MS),
    st.integers(1, 400 * DAY_MS),
)
def test_the_wall_clock_is_what_datetime_says(name: str, since: int, length: int) -> None:
    zone = ZoneInfo(name)
    days = LocalDays.of(since, since + length, zone)
    time = np.linspace(since, since + length - 1, 50).astype(np.int64)
    expected = [
        (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=one)).astimezone(zone).replace(tzinfo=UTC)
        for one in time.tolist()
    ]
    assert days.wall_clock(time).tolist() == [
        (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) for moment in expected
    ]
