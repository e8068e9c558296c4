"""Values: doubles exactly, and nothing that only a library calls a number."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.parse.numbers import Numbers, parse_numbers


def parsed(*texts: str, decimal_comma: bool = False, missing: tuple[str, ...] = ()) -> Numbers:
    return parse_numbers(pa.array(texts, pa.string()), decimal_comma=decimal_comma, missing=missing)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_every_double_comes_back_exactly(values: list[float]) -> None:
    numbers = parsed(*map(repr, values))
    assert not numbers.problems
    assert numbers.values.tolist() == values


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_beside_a_bad_row_every_double_comes_back_exactly_too(value: float) -> None:
    assert parsed(repr(value), "bad", f"{value:.3f}").values.tolist() == [value, 0.0, float(f"{value:.3f}")]


@given(st.text(alphabet="0123456789+-.eE_ xnaifINF,\t٣", max_size=8))
def test_what_is_a_number_does_not_depend_on_the_rows_beside_it(text: str) -> None:
    plain = text.strip(" \t")
    expected = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", plain, re.ASCII) is not None
    for alone in (True, False):
        numbers = parsed(text) if alone else parsed(text, "bad")
        finite = expected and np.isfinite(float(plain))
        assert (0 not in numbers.problems and not numbers.absent[0]) == finite
        if finite:
            assert numbers.values[0] == float(plain)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
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
    numbers = parsed("1.5", text, "-2e3")
    assert numbers.problems == {1: reason}
    assert numbers.values.tolist() == [1.5, 0.0, -2000.0]


def test_an_empty_text_and_texts_that_mean_it_are_absent() -> None:
    numbers = parsed("1", "", " ", "-", "n/a", missing=("-", "n/a"))
    assert numbers.absent.tolist() == [False, True, True, True, True]
    assert not numbers.problems
    assert parsed("-").problems == {0: "is not a number"}


def test_blanks_around_a_number_do_not_matter() -> None:
    assert parsed(" 1.5 ", "2").values.tolist() == [1.5, 2.0]


def test_a_decimal_comma_is_read_if_asked_for_and_then_a_point_is_refused() -> None:
    numbers = parsed("1,5", "2", "1.000", decimal_comma=True)
    assert numbers.values.tolist() == [1.5, 2.0, 0.0]
    assert numbers.problems == {2: "is not a number"}


def test_real_numbers_pass_and_those_that_are_not_finite_are_named() -> None:
    numbers = parse_numbers(np.array([1.0, np.nan, np.inf]))
    assert numbers.values.tolist() == [1.0, 0.0, 0.0]
    assert numbers.problems == {1: "is not finite", 2: "is not finite"}


def test_nulls_and_integers_of_a_file_with_types_are_taken() -> None:
    numbers = parse_numbers(pa.array([1, None, 3]))
    assert numbers.values.tolist() == [1.0, 0.0, 3.0]
    assert numbers.absent.tolist() == [False, True, False]
