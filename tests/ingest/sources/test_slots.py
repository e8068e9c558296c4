"""Value columns of wide files: which time of the day each is."""

import pytest

from besmart_async.ingest.sources.layout import HOUR_MS, clock_times, counted, per_day, slots_of

QUARTERS = [f"{n // 4:02}:{n % 4 * 15:02}" for n in range(96)]


def test_titles_of_the_clock_are_milliseconds_after_midnight() -> None:
    slots = slots_of(QUARTERS, range(2, 98))
    assert (slots.kind, slots.step_ms, slots.per_day) == ("clock", 900_000, 96)
    assert slots.starts_ms[:3] == (0, 900_000, 1_800_000)
    assert set(slots.passes) == {-1}


def test_titles_of_ends_go_up_to_the_next_midnight() -> None:
    for last in ("24:00", "00:00"):
        slots = slots_of([*QUARTERS[1:], last], range(96))
        assert (slots.starts_ms[0], slots.starts_ms[-1]) == (900_000, 24 * HOUR_MS)


@pytest.mark.parametrize(
    "titles",
    [
        ["01:00", "02:00A", "02:00B", "03:00"],
        ["01:00", "2A:00", "2B:00", "03:00"],
        ["01:00", "02:00", "02:00*", "03:00"],
        ["01:00", "02:00", "02:00", "03:00"],
        ["01:00-02:00", "02:00A-03:00A", "02:00B-03:00B", "03:00-04:00"],
        ["1:00:00", "2:00:00 A", "2:00:00 B", "3:00:00"],
    ],
)
def test_an_hour_that_comes_twice_has_two_columns_however_they_are_marked(titles: list[str]) -> None:
    assert clock_times(titles) == ([HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS], [-1, 0, 1, -1])


@pytest.mark.parametrize("title", ["25:00", "12:60", "24:15", "noon", "1", "12.30"])
def test_what_is_no_time_is_none(title: str) -> None:
    assert clock_times([title]) is None


@pytest.mark.parametrize(
    ("columns", "slots"),
    [(23, 24), (24, 24), (25, 24), (92, 96), (96, 96), (100, 96), (276, 288), (288, 288), (300, 288), (46, 48)],
)
def test_a_day_has_as_many_slots_or_an_hour_more_or_less(columns: int, slots: int) -> None:
    assert per_day(columns) == slots
    assert slots_of([str(n + 1) for n in range(columns)], range(columns)).per_day == slots


def test_counted_titles_have_one_prefix_and_no_holes() -> None:
    assert counted(["Q1", "Q2", "Q3"])
    assert counted(["h00", "h01"])
    assert not counted(["Q1", "Q3"])
    assert not counted(["Q1", "R2"])
    assert not counted(["5", "6"])
    assert not counted([])


def test_a_number_of_columns_that_is_no_day_needs_a_step() -> None:
    with pytest.raises(ValueError, match="37 value columns are no day"):
        slots_of([str(n) for n in range(37)], range(37))
    assert slots_of([str(n) for n in range(37)], range(37), step_ms=60_000).starts_ms[-1] == 36 * 60_000


def test_a_row_longer_than_the_header_has_slots_too() -> None:
    slots = slots_of([str(n) for n in range(1, 97)], range(2, 98)).reaching(100)
    assert len(slots) == len(slots.titles) == len(slots.passes) == 100
    assert (slots.positions[-1], slots.starts_ms[-1], slots.titles[-1]) == (101, 99 * 900_000, "100")
