"""Times: what is a moment, what needs a zone, what needs a rule, and that nothing is guessed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.parse.times import TimeParser
from besmart_async.ingest.parse.zones import Local, Problem, UnknownZoneError, parse_time, zone_of
from besmart_async.ingest.sources.columns import Coder

ZONES = ("Europe/Warsaw", "America/Chicago", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def column(*texts: str) -> np.ndarray:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def parsed(parser: TimeParser, *texts: str, series: int = 0) -> list[int | str]:
    moments, problems = parser.parse(column(*texts), None, lambda _: series)
    return [problems[row].reason if row in problems else moment for row, moment in enumerate(moments.tolist())]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03-31T02:30:00+01:00", ms("2024-03-31T01:30:00+00:00")),
        ("2024-03-31 02:30:00-05:00", ms("2024-03-31T07:30:00+00:00")),
        ("2024-01-01T00:00Z", ms("2024-01-01T00:00:00+00:00")),
        (" 2024-01-01T00:00:00Z ", ms("2024-01-01T00:00:00+00:00")),
        ("2024-01-01T00:00:00.250Z", ms("2024-01-01T00:00:00+00:00") + 250),
        ("1704067200000", 1704067200000),
        ("1704067200000.5", 1704067200000.5),
        ("2024-01-01T00:00:00.000250Z", 1704067200000.25),
    ],
)
def test_a_time_with_an_offset_and_unix_milliseconds_are_moments(text: str, moment: float) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    ("text", "zone", "words"),
    [
        ("2024-01-01T00:00:00", None, "has no UTC offset"),
        ("2024-01-01", None, "has no UTC offset"),
        ("1704067200", None, "unix seconds"),
        ("20240101", None, "not an ISO 8601"),
        ("1704067200000000000", None, "years 1 to 9999"),
        ("31.12.2024 10:00", "UTC", "not an ISO 8601"),
        ("2024-02-30T00:00Z", None, "not an ISO 8601"),
        ("2024-01-01T24:00Z", None, "not an ISO 8601"),
        ("", "UTC", "is empty"),
        ("0001-01-01T00:00:00+10:00", None, "years 1 to 9999"),
    ],
)
def test_anything_else_is_a_problem_that_says_why(text: str, zone: str | None, words: str) -> None:
    found = parse_time(text, zone)
    assert isinstance(found, Problem)
    assert words in found.reason
    assert found.column == "time"


def test_an_unknown_zone_is_the_zone_columns_fault() -> None:
    found = parse_time("2024-01-01T00:00:00", "Europe/Mars")
    assert isinstance(found, Problem)
    assert found.column == "zone"


@pytest.mark.parametrize("name", ["Mars", "", "..", "/etc/passwd", "Europe", "+25:00", "x" * 300])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZoneError):
        zone_of(name)


def test_fixed_offsets_are_zones() -> None:
    assert parse_time("2024-07-01T12:00", "+05:30") == ms("2024-07-01T12:00+05:30")
    assert parse_time("2024-07-01T12:00", "UTC-0330") == ms("2024-07-01T12:00-03:30")


@given(
    st.datetimes(min_value=datetime(1975, 1, 1), max_value=datetime(2037, 12, 31)),
    st.sampled_from(ZONES),
)
def test_local_times_agree_with_zoneinfo_and_only_doubtful_ones_need_a_rule(wall: datetime, zone: str) -> None:
    wall = wall.replace(microsecond=wall.microsecond // 1000 * 1000)
    found = parse_time(wall.isoformat(), zone)
    folds = [wall.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    moments = [round(fold.timestamp() * 1000) for fold in folds]
    # A local time exists if its moment, read off the clock of the zone, shows it again.
    shown = [fold.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall for fold in folds]
    if moments[0] == moments[1]:
        assert found == moments[0]
    else:
        assert found == Local(min(moments), max(moments), twice=all(shown))


@given(st.integers(0, 3 * 365 * 24 * 4), st.sampled_from(ZONES))
def test_clocks_read_a_quarter_at_a_time_are_inferred_back(start: int, zone: str) -> None:
    first = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * start)
    moments = [first + timedelta(minutes=15 * step) for step in range(16)]
    # A window that begins inside a repeated hour shows its second half only: nothing tells that it is the later one.
    walls = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    if walls[0].fold:
        return
    texts = [wall.replace(tzinfo=None).isoformat() for wall in walls]
    assert parsed(TimeParser(zone, "infer"), *texts) == [round(moment.timestamp() * 1000) for moment in moments]


def test_without_a_rule_doubtful_times_are_refused_by_name() -> None:
    twice, never = parsed(TimeParser("Europe/Warsaw"), "2024-10-27T02:30", "2024-03-31T02:30")
    assert "comes twice in Europe/Warsaw" in str(twice)
    assert "does not exist in Europe/Warsaw" in str(never)


def test_earlier_and_later_decide_both_kinds() -> None:
    texts = ("2024-10-27T02:30", "2024-03-31T02:30")
    assert parsed(TimeParser("Europe/Warsaw", "earlier"), *texts) == [
        ms("2024-10-27T02:30+02:00"),
        ms("2024-03-31T01:30+01:00"),
    ]
    assert parsed(TimeParser("Europe/Warsaw", "later"), *texts) == [
        ms("2024-10-27T02:30+01:00"),
        ms("2024-03-31T03:30+02:00"),
    ]


def test_infer_looks_at_each_signal_and_over_chunks() -> None:
    parser = TimeParser("Europe/Warsaw", "infer")
    before, early = ms("2024-10-27T01:30+02:00"), ms("2024-10-27T02:30+02:00")
    late, after = ms("2024-10-27T02:30+01:00"), ms("2024-10-27T03:30+01:00")
    assert parsed(parser, *(f"2024-10-27T{hour}:30" for hour in ("00", "01", "02")), series=1)[1:] == [before, early]
    assert parsed(parser, "2024-10-27T00:30", "2024-10-27T01:30", series=2) == [before - 3_600_000, before]
    assert parsed(parser, "2024-10-27T02:30", series=2) == [early]
    assert parsed(parser, "2024-10-27T02:30", "2024-10-27T03:30", series=1) == [late, after]
    for reason in parsed(parser, "2024-10-27T02:30", "2024-10-27T02:30", "2024-10-27T03:30", series=2)[:2]:
        assert "the rows around it do not say which" in str(reason)  # it is the third reading of that time


def test_infer_cannot_tell_what_does_not_exist() -> None:
    assert "does not exist" in str(parsed(TimeParser("Europe/Warsaw", "infer"), "2024-03-31T02:30")[0])


def test_a_zone_in_the_row_goes_before_the_default() -> None:
    zones = Coder().encode(["", "America/Chicago", "UTC"])
    moments, problems = TimeParser("Europe/Warsaw").parse(column(*["2024-07-01T12:00"] * 3), zones, lambda row: row)
    assert not problems
    assert moments.tolist() == [ms(f"2024-07-01T12:00{offset}") for offset in ("+02:00", "-05:00", "+00:00")]


def test_numbers_are_unix_milliseconds_and_seconds_are_refused() -> None:
    moments, problems = TimeParser().parse(np.array([1704067200000, 1704067200, 5]), None, lambda row: row)
    assert moments.tolist() == [1704067200000, 0, 0]
    assert {row: problem.reason[:13] for row, problem in problems.items()} == {1: "looks like un", 2: "is not an ISO"}
    assert TimeParser().parse(np.array([1704067200000.5]), None, lambda row: row)[0].tolist() == [1704067200000.5]
