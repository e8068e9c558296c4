"""Days and slots: every period of a day through both changes of the clock, and days that are none."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.parse.days import DayParser
from besmart_async.ingest.parse.times import TimeParser
from besmart_async.ingest.parse.zones import DstRule
from besmart_async.ingest.sources.columns import Coder, DaySlots
from besmart_async.ingest.sources.layout import slots_of

HOURS = [f"{hour:02}:00" for hour in range(24)]
MARKED = [*HOURS[:3], "02:00B", *HOURS[3:]]
SPRING, AUTUMN = "2024-03-31", "2024-10-27"

Filled = Mapping[str, Sequence[int]]
"""Which slots of a day have a value."""


def parsed(
    titles: Sequence[str], filled: Filled, zone: str | None = "Europe/Warsaw", rule: DstRule | None = None
) -> list[str]:
    """UTC times to the minute, or reasons, of the values of some days, in the order of rows."""
    cells = sorted((slot, row) for row, slots in enumerate(filled.values()) for slot in slots)
    rows = np.array([row for _, row in cells], np.int64)
    column = DaySlots(
        Coder().encode([list(filled)[row] for row in rows]),
        np.array([slot for slot, _ in cells], np.int64),
        slots_of(titles, range(len(titles))),
    )
    absent = np.zeros(len(rows), np.bool_)
    moments, problems = DayParser(TimeParser(zone, rule)).parse(rows, column, absent, None, lambda row: row)
    told = [
        problems[place].reason
        if place in problems
        else datetime.fromtimestamp(moments[place] / 1000, UTC).isoformat()[:16]
        for place in range(len(rows))
    ]
    return [told[place] for place in np.argsort(rows, kind="stable")]


@given(
    st.dates(date(1980, 1, 1), date(2036, 12, 31)),
    st.sampled_from(["Europe/Warsaw", "America/Chicago", "America/Havana", "Asia/Beirut", "Africa/Cairo", "UTC"]),
)
def test_counted_hours_are_the_hours_from_the_first_moment_of_a_day_to_its_last(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    # The plain way: every UTC hour around the day whose local date is that day.
    around = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)
    hours = [around + timedelta(hours=hour) for hour in range(120)]
    expected = [moment.isoformat()[:16] for moment in hours if moment.astimezone(zone).date() == day]
    titles = [str(n) for n in range(1, 26)]
    assert parsed(titles, {day.isoformat(): range(len(expected))}, name) == expected


@pytest.mark.parametrize("rule", ["earlier", "later", "infer", None])
def test_columns_that_name_their_pass_need_no_rule(rule: DstRule | None) -> None:
    found = parsed(MARKED, {AUTUMN: range(25)}, rule=rule)
    assert found[2:5] == ["2024-10-27T00:00", "2024-10-27T01:00", "2024-10-27T02:00"]
    assert len(set(found)) == 25


def test_a_second_pass_on_a_day_that_has_none_is_refused() -> None:
    [reason] = parsed(MARKED, {"2024-06-01": [3]})
    assert reason == "has a value, though that hour does not come twice on 2024-06-01 in Europe/Warsaw"
    assert parsed(MARKED, {"2024-06-01": [2]}) == ["2024-06-01T00:00"]


@pytest.mark.parametrize(
    ("rule", "spring", "autumn"),
    [
        (None, "does not exist in Europe/Warsaw", "comes twice in Europe/Warsaw"),
        ("infer", "does not exist in Europe/Warsaw", "comes twice in Europe/Warsaw, and the rows around it do not say"),
        ("earlier", "2024-03-31T00:00", "2024-10-27T00:00"),
        ("later", "2024-03-31T01:00", "2024-10-27T01:00"),
        ("standard", "2024-03-31T01:00", "2024-10-27T01:00"),
    ],
)
def test_an_hour_of_the_clock_that_comes_twice_or_never_is_as_the_rule_says(
    rule: DstRule | None, spring: str, autumn: str
) -> None:
    found = parsed(HOURS, {SPRING: [2], AUTUMN: [2]}, rule=rule)
    assert found[0].startswith(spring)
    assert found[1].startswith(autumn)


def test_on_winter_time_every_day_has_24_counted_hours() -> None:
    titles = [str(n) for n in range(24)]
    assert parsed(titles, {SPRING: range(24)}, rule="standard")[-1] == "2024-03-31T22:00"
    assert "the day lasts 23 periods of 60 min in Europe/Warsaw" in parsed(titles, {SPRING: range(24)})[0]


def test_a_row_is_only_sure_when_its_last_value_is_in_the_days_last_slot() -> None:
    titles = [str(n) for n in range(1, 26)]
    assert parsed(titles, {SPRING: [0, 22]}) == ["2024-03-30T23:00", "2024-03-31T21:00"]
    for row in ({SPRING: [0, 21]}, {SPRING: [0, 23]}, {AUTUMN: [0, 23]}, {"2024-06-01": [0, 24]}):
        assert all("the day lasts" in reason for reason in parsed(titles, row))
    assert parsed(titles, {"2024-06-01": [0]}) == ["2024-05-31T22:00"]


@pytest.mark.parametrize(
    ("day", "zone", "words"),
    [
        ("", "UTC", "is empty"),
        ("31.03.2024", "UTC", "is not a date such as 2024-03-31"),
        ("2024-02-30", "UTC", "is not a date"),
        ("2024-03-31T10:00", "UTC", "is not a date"),
        ("2024-03-31T00:00+01:00", "UTC", "is not a date"),
        ("2024-03-31", None, "has no UTC offset"),
        ("2024-03-31", "Mars", "is no time zone"),
        ("9999-12-31", "UTC", "outside the years"),
    ],
)
def test_days_that_are_none_are_told(day: str, zone: str | None, words: str) -> None:
    for titles in (HOURS, [str(n) for n in range(24)]):
        assert words in parsed(titles, {day: [0]}, zone)[0]
