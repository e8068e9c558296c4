"""What options mean: moments and signals."""

import pytest

from besmart_async.cli.exits import UsageError
from besmart_async.cli.options import Period, moment, named, window

NOW = 1_704_067_200_000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("now", NOW),
        ("15m", NOW - 900_000),
        ("2h", NOW - 7_200_000),
        ("1d", NOW - 86_400_000),
        ("3w", NOW - 21 * 86_400_000),
        ("2024-01-01T01:00+01:00", NOW),
        ("2024-01-01T01:00", NOW),
        ("2024-01-01", NOW - 3_600_000),
        ("today", NOW - 3_600_000),
        ("yesterday", NOW - 3_600_000 - 86_400_000),
        (str(NOW), NOW),
    ],
)
def test_a_moment_may_be_written_in_many_ways(text: str, milliseconds: int) -> None:
    assert moment("--since", text, "Europe/Warsaw", days=True, now_ms=lambda: NOW) == milliseconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("soon", "--since 'soon' is not an ISO 8601"),
        ("1704067200", "looks like unix seconds"),
        ("2023-10-29T02:30", "no single moment"),
        ("2023-03-26T02:30", "no single moment"),
        ("5y", "not an ISO 8601"),
        ("today", "not an ISO 8601"),
    ],
)
def test_what_is_no_single_moment_is_explained(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        moment("--since", text, "Europe/Warsaw", now_ms=lambda: NOW)


def test_days_are_those_of_the_zone_with_their_changes_of_the_clock() -> None:
    after_the_change = 1_711_843_200_000  # 2024-03-31T02:00 in Warsaw would be; it is 03:00
    for text, zone, expected in (
        ("today", "Europe/Warsaw", "2024-03-30T23:00Z"),
        ("yesterday", "Europe/Warsaw", "2024-03-29T23:00Z"),
        ("today", None, "2024-03-31T00:00Z"),
        ("yesterday", "America/New_York", "2024-03-29T04:00Z"),
    ):
        assert moment("--since", text, zone, days=True, now_ms=lambda: after_the_change) == moment(
            "--since", expected, None
        )
    with pytest.raises(UsageError, match="--time-zone: 'Mars/X' is no time zone"):
        moment("--since", "today", "Mars/X", days=True)


def test_a_period_ends_after_it_starts() -> None:
    assert window(Period(since=str(NOW), till=str(NOW + 1))) == (NOW, NOW + 1)
    with pytest.raises(UsageError, match="is not before"):
        window(Period(since=str(NOW), till=str(NOW)))


def test_names_are_taken_once_and_in_order() -> None:
    assert named(["b", "a", "b"], None) == ["b", "a"]
    with pytest.raises(UsageError, match="at least one"):
        named([], None)
