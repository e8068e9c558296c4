"""Zones: moments of clocks, many at a time as one by one; winter time all the year."""

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.parse.zones import Clock, Local, in_zone, on_clock, zone_of

ZONES = (
    "Europe/Warsaw",
    "America/Chicago",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "UTC",
    "+01:00",
)


@given(
    st.integers(-2_500_000_000_000, 4_000_000_000_000),
    st.lists(st.integers(0, 400 * 86_400_000), min_size=1, max_size=60),
    st.sampled_from(sorted(available_timezones())),
)
def test_many_times_are_the_moments_that_each_is_alone(start: int, after: list[int], name: str) -> None:
    zone = zone_of(name)
    clock_ms = [start + ms for ms in after]
    moments, settled = Clock(zone).moments(np.array(clock_ms, np.int64))
    for ms, moment, sure in zip(clock_ms, moments.tolist(), settled.tolist(), strict=True):
        if sure:
            assert moment == in_zone(on_clock(ms), zone)


@pytest.mark.parametrize("name", ZONES)
def test_only_hours_with_a_change_are_left_to_be_looked_at_alone(name: str) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000
    quarters = (start + np.arange(366 * 96) * 900_000).astype(np.int64)
    _, settled = Clock(zone_of(name)).moments(quarters)
    assert (~settled).sum() <= 16  # at most four hours a year


def test_winter_time_is_the_smaller_offset_of_each_year_in_both_halves_of_the_world() -> None:
    for name, hours in {"Europe/Warsaw": 1, "Europe/Dublin": 0, "Australia/Sydney": 10, "America/Chicago": -6}.items():
        zone = zone_of(name, standard=True)
        for month in range(1, 13):
            offset = datetime(2024, month, 15, 12, tzinfo=zone).utcoffset()
            assert offset == timedelta(hours=hours)
        assert not isinstance(in_zone(datetime(2024, 10, 27, 2, 30), zone), Local)


def test_moments_outside_the_years_1_to_9999_are_left() -> None:
    _, settled = Clock(zone_of("UTC")).moments(np.array([-60_000_000_000_000, 100_000_000_000_000]))
    assert settled.tolist() == [True, True]
    _, settled = Clock(zone_of("Europe/Warsaw")).moments(np.array([-62_135_596_800_000, 1704067200000]))
    assert settled.tolist() == [False, True]  # the first of them is before the year 1 in UTC
    _, settled = Clock(zone_of("UTC")).moments(np.array([-(10**17), 10**17, 253_402_300_799_999]))
    assert settled.tolist() == [False, False, True]
