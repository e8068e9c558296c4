"""Values: doubles exactly, and nothing that only Python calls a number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.numbers import parse_numbers


def column(*texts: str) -> np.ndarray:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_every_double_comes_back_exactly(values: list[float]) -> None:
    numbers, problems = parse_numbers(column(*map(repr, values)))
    assert not problems
    assert numbers.tolist() == values


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("nan", "is not a number"),
        ("inf", "is not a number"),
        ("1_000", "is not a number"),
        ("٣", "is not a number"),
        ("0x10", "is not a number"),
        ("1e999", "is too large for a double"),
        ("1,5", "is not a number; if the comma is a decimal point, say --decimal-comma"),
        ("1.234,5", "is not a number"),
        ("kWh", "is not a number"),
        ("--1", "is not a number"),
    ],
)
def test_what_is_no_number_is_named_and_the_rest_kept(text: str, reason: str) -> None:
    numbers, problems = parse_numbers(column("1.5", text, "-2e3"))
    assert problems == {1: reason}
    assert numbers.tolist() == [1.5, 0.0, -2000.0]


def test_blanks_around_a_number_do_not_matter() -> None:
    assert parse_numbers(column(" 1.5 ", "2"))[0].tolist() == [1.5, 2.0]


def test_a_decimal_comma_is_read_if_asked_for_and_then_a_point_is_refused() -> None:
    numbers, problems = parse_numbers(column("1,5", "2", "1.000"), decimal_comma=True)
    assert numbers.tolist() == [1.5, 2.0, 0.0]
    assert problems == {2: "is not a number"}


def test_real_numbers_pass_and_those_that_are_not_finite_are_named() -> None:
    numbers, problems = parse_numbers(np.array([1.0, np.nan, np.inf]))
    assert numbers.tolist() == [1.0, 0.0, 0.0]
    assert problems == {1: "is not finite", 2: "is not finite"}
