"""Time texts read many at a time: the same as one by one, or left to that."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.parse.times import TimeShape, parse_texts
from besmart_async.ingest.parse.zones import parse_time


def read(*texts: str) -> list[int | None]:
    parsed = parse_texts(pa.array(texts, pa.string()))
    return [int(ms) if known else None for ms, known in zip(parsed.ms, parsed.known, strict=True)]


MOMENTS = st.datetimes(
    min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=st.just(UTC)
)  # a day off the ends: an offset must not lead beyond them
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.tuples(MOMENTS, OFFSETS, st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]))))
def test_moments_in_any_offset_and_precision_are_read_as_one_by_one(
    drawn: list[tuple[datetime, timezone, str]],
) -> None:
    texts = [moment.astimezone(offset).isoformat(timespec=spec) for moment, offset, spec in drawn]
    for text, found in zip(texts, read(*texts), strict=True):
        assert found is None or found == parse_time(text)
        assert found is not None or "." in text  # what is finer than a millisecond is left


DIGITS = st.text(alphabet="0123456789-:TZ+. ", min_size=8, max_size=26)
NEARLY = st.builds(
    lambda text, place, character: text[:place] + character + text[place + 1 :],
    MOMENTS.map(lambda moment: moment.isoformat(timespec="seconds")),
    st.integers(0, 24),
    st.sampled_from("0123456789-:TZ+ x/"),
)


@given(st.lists(DIGITS | NEARLY, max_size=20))
def test_whatever_the_text_it_is_read_as_alone_or_not_at_all(texts: list[str]) -> None:
    for text, found in zip(texts, read(*texts), strict=True):
        assert found is None or found == parse_time(text, "UTC")


ISO_TEXTS = st.builds(
    lambda moment, spec, end: (
        moment.isoformat(timespec=spec)[: {"minutes": 16, "seconds": 19, "milliseconds": 23}.get(spec, 26)] + end
    ),
    MOMENTS,
    st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
    st.sampled_from(["", "Z", "+05:30", "-23:59"]),
)
MUTATED = st.builds(
    lambda text, place, character: text[:place] + character + text[place + 1 :],
    ISO_TEXTS,
    st.integers(0, 31),
    st.sampled_from("0123456789-:.,TZtz+ x/"),
)


@given(ISO_TEXTS | MUTATED)
def test_a_text_is_read_the_same_whatever_else_is_in_its_column(text: str) -> None:
    assert read(text)[0] == read(text, "of another width")[0]


@pytest.mark.parametrize(
    "text",
    [
        *("2023-02-29T00:00Z", "2024-13-01T00:00Z", "2024-00-10T00:00Z", "2024-04-31T00:00Z", "0000-01-01T00:00Z"),
        *("2024-01-01T24:00Z", "2024-01-01T00:60Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00+24:00"),
        "1900-02-29T00:00Z",
    ],
)
def test_dates_and_times_that_do_not_exist_are_left(text: str) -> None:
    assert read(text) == [None]


def test_only_formats_with_a_fixed_width_are_read_many_at_a_time() -> None:
    parsed = parse_texts(pa.array(["31.12.2024 23:45", "31.12.2024 2:45"]), "%d.%m.%Y %H:%M")
    assert (parsed.known.tolist(), parsed.moment.tolist()) == ([True, False], [False, False])
    assert parsed.ms[0] == datetime(2024, 12, 31, 23, 45, tzinfo=UTC).timestamp() * 1000
    assert [TimeShape.of(written) for written in ("%d %b %Y", "%H:%M", "%Y-%m-%d %I:%M %p", "%Y%j")] == [None] * 4
    assert TimeShape.of("%Y%m%d%H%M") is not None


GERMAN = "%d.%m.%Y %H:%M:%S"
WRITTEN = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
    lambda time: f"{time:%d.%m.}{time.year:04}{time: %H:%M:%S}"
)
CHANGED = st.builds(
    lambda text, place, character: text[:place] + character + text[place + 1 :],
    WRITTEN,
    st.integers(0, 19),
    st.sampled_from("0123456789-:. x"),
)


@given(st.lists(WRITTEN | CHANGED, max_size=20))
def test_texts_in_a_format_of_the_user_are_read_as_alone_or_not_at_all(texts: list[str]) -> None:
    parsed = parse_texts(pa.array(texts, pa.string()), GERMAN)
    for text, ms, known in zip(texts, parsed.ms.tolist(), parsed.known.tolist(), strict=True):
        assert not known or ms == parse_time(text, "UTC", GERMAN)


@given(WRITTEN)
def test_every_text_in_a_format_of_the_user_is_read_many_at_a_time(text: str) -> None:
    assert parse_texts(pa.array([text]), GERMAN).known.tolist() == [True]


@pytest.mark.parametrize(
    "text", ["30.02.2024 00:00:00", "29.02.2023 00:00:00", "01.01.2024 24:00:00", "01.01.2024 23:59:60"]
)
def test_dates_that_do_not_exist_are_left_in_a_format_of_the_user(text: str) -> None:
    assert parse_texts(pa.array([text]), GERMAN).known.tolist() == [False]


def test_one_date_that_does_not_exist_leaves_no_other_text_of_a_long_column_far_from_it() -> None:
    texts = ["2024-01-01T00:00Z"] * 1000
    texts[500] = "2023-02-29T00:00Z"
    known = parse_texts(pa.array(texts)).known
    assert not known[500]
    assert known.sum() > 900


def test_a_slice_of_a_column_is_read_as_such() -> None:
    column = pa.array(["x", "2024-01-01T00:00Z", "y"]).slice(1, 1)
    assert parse_texts(column).ms.tolist() == [1704067200000]
