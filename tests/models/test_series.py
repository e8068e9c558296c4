"""`SignalData`: what it accepts, what it refuses, that it copies, and what can be done with it."""

from __future__ import annotations

import array
import copy
import enum
import pickle
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import InvalidInputError, SensorKey, SignalData, SignalKey

KEY = SignalKey(12, 122, 32)
T = 1_577_836_800_000
STEP = 900_000
MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
WARSAW = ZoneInfo("Europe/Warsaw")
TIMES = [T, T + STEP, T + 2 * STEP]
MOMENTS = [MOMENT + timedelta(minutes=15 * row) for row in range(3)]


class Kind(enum.StrEnum):
    DOUBLE = "DBL"
    REMOVED = "RM"


class OldKind(str, enum.Enum):  # noqa: UP042 - unlike StrEnum, its str() is not its value
    DOUBLE = "DBL"


# -- times it accepts ----------------------------------------------------------------------------------------------

STRIDED = np.zeros(6, np.int64)
STRIDED[::2] = TIMES
READ_ONLY = np.array(TIMES)
READ_ONLY.flags.writeable = False
NAIVE64 = np.array(["2020-01-01T00:00", "2020-01-01T00:15", "2020-01-01T00:30"], "datetime64[m]")

TIME_FORMS: dict[str, Any] = {
    "a list": TIMES,
    "a tuple": tuple(TIMES),
    "a range": range(T, T + 3 * STEP, STEP),
    "a deque": deque(TIMES),
    "an array.array": array.array("q", TIMES),
    "whole floats": [float(time) for time in TIMES],
    "ints and floats": [T, float(T + STEP), T + 2 * STEP],
    "numpy integers in a list": [np.int64(time) for time in TIMES],
    "numpy floats in a list": [np.float64(time) for time in TIMES],
    "int64": np.array(TIMES),
    "uint64": np.array(TIMES, np.uint64),
    "float64": np.array(TIMES, np.float64),
    "big-endian int64": np.array(TIMES, ">i8"),
    "objects": np.array(TIMES, object),
    "not contiguous": STRIDED[::2],
    "reversed twice": np.array(TIMES[::-1])[::-1],
    "read-only": READ_ONLY,
    "aware datetimes": MOMENTS,
    "aware datetimes of mixed zones": [
        MOMENTS[0], MOMENTS[1].astimezone(WARSAW), MOMENTS[2].astimezone(timezone(timedelta(hours=-9, minutes=-30))),
    ],
    "datetimes and integers": [MOMENTS[0], TIMES[1], np.datetime64(MOMENTS[2].replace(tzinfo=None))],
    "datetime64[ns]": NAIVE64.astype("datetime64[ns]"),
    "datetime64[us]": NAIVE64.astype("datetime64[us]"),
    "datetime64[ms]": NAIVE64.astype("datetime64[ms]"),
    "datetime64[s]": NAIVE64.astype("datetime64[s]"),
    "datetime64[m]": NAIVE64,
    "big-endian datetime64": NAIVE64.astype(">M8[ms]"),
    "datetime64 in a list": list(NAIVE64.astype("datetime64[ns]")),
    "a pandas series of integers": pd.Series(TIMES),
    "a pandas series of nullable integers": pd.Series(TIMES, dtype="Int64"),
    "a pandas series in UTC": pd.Series(pd.to_datetime(TIMES, unit="ms", utc=True)),
    "a pandas series in Warsaw": pd.Series(pd.to_datetime(TIMES, unit="ms", utc=True)).dt.tz_convert("Europe/Warsaw"),
    "a pandas index in UTC": pd.to_datetime(TIMES, unit="ms", utc=True),
    "a pandas index in Warsaw": pd.to_datetime(TIMES, unit="ms", utc=True).tz_convert("Europe/Warsaw"),
    "a pandas series of timestamp objects": pd.Series(MOMENTS, dtype=object),
    "a pandas series of arrow timestamps": pd.Series(MOMENTS, dtype=pd.ArrowDtype(pa.timestamp("us", "UTC"))),
    "pandas timestamps": [pd.Timestamp(moment) for moment in MOMENTS],
    "a polars series of integers": pl.Series(TIMES),
    "a polars series in UTC": pl.Series(MOMENTS),
    "a polars series in Warsaw": pl.Series(MOMENTS).dt.convert_time_zone("Europe/Warsaw"),
    "a polars series in ns": pl.Series(MOMENTS).dt.cast_time_unit("ns"),
}  # fmt: skip


@pytest.mark.parametrize("times", TIME_FORMS.values(), ids=TIME_FORMS)
def test_a_form_of_times_is_accepted(times: Any) -> None:
    data = SignalData(KEY, times, [1.0, 2.0, 3.0])
    assert data.time.dtype == np.int64
    assert data.time.tolist() == TIMES


@pytest.mark.parametrize("times", [[T, T + 0.5], [MOMENT, MOMENT + timedelta(microseconds=500)],
                                   np.array(["2020-01-01", "2020-01-01T00:00:00.0005"], "datetime64[ns]"),
                                   pd.DatetimeIndex(["2020-01-01T00:00:00.0000", "2020-01-01T00:00:00.0005"], tz="UTC"),
                                   pl.Series([MOMENT, MOMENT + timedelta(microseconds=500)])])  # fmt: skip
def test_fractions_of_a_millisecond_are_kept(times: Any) -> None:
    assert SignalData(KEY, times, [1.0, 2.0]).time.tolist() == [T, T + 0.5]


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), min_size=1))
def test_datetimes_and_datetime64_agree_to_the_microsecond(moments: list[datetime]) -> None:
    aware = SignalData(KEY, [moment.replace(tzinfo=UTC) for moment in moments], [0.0] * len(moments))
    for unit in ("us", "ns"):
        columns = np.array(moments, f"datetime64[{unit}]")
        assert SignalData(KEY, columns, [0.0] * len(moments)).time.tolist() == aware.time.tolist()
    frame = pd.DatetimeIndex(aware.to_pandas().index).tz_localize(None).to_numpy().astype("datetime64[us]")
    assert frame.tolist() == moments


# -- times it refuses ----------------------------------------------------------------------------------------------

NAIVE = datetime(2020, 1, 1)
BAD_TIMES: dict[str, tuple[Any, str]] = {
    "a naive datetime": ([MOMENT, NAIVE], "time[1]"),
    "NaN": ([T, float("nan")], "time[1]"),
    "NaN in numpy": (np.array([T, np.nan]), "time[1]"),
    "infinity": ([T, float("inf")], "time[1]"),
    "NaT in datetime64": (np.array(["2020", "NaT"], "datetime64[ns]"), "time[1]"),
    "NaT in a list": ([np.datetime64("2020"), np.datetime64("NaT", "ms")], "time[1]"),
    "NaT in pandas": (pd.DatetimeIndex(["2020", None], tz="UTC"), "time[1]"),
    "null in polars": (pl.Series([MOMENT, None]), "time[1]"),
    "None": ([T, None], "time[1]"),
    "a flag": ([T, True], "time[1]"),
    "flags": (np.array([True, False]), "time[0]"),
    "texts": (["2020-01-01", "2020-01-02"], "time[0]"),
    "numpy texts": (np.array(["2020-01-01", "2020-01-02"]), "time[0]"),
    "bytes": (np.array([b"1", b"2"]), "time[0]"),
    "a date": ([MOMENT, MOMENT.date()], "time[1]"),
    "durations": (np.array([1, 2], "timedelta64[ms]"), "time[0]"),
    "complex numbers": (np.array([1j, 2j]), "time[0]"),
    "microseconds": ([T, T * 1000], "time[1]"),
    "nanoseconds": ([T, T * 1_000_000], "time[1]"),
    "nanoseconds in numpy": (np.array([T, T * 1_000_000]), "time[1]"),
    "a uint64 past int64": (np.array([T, 2**64 - 5], np.uint64), "time[1]"),
    "a huge integer": ([T, 10**400], "time[1]"),
    "a huge float": ([T, 1e300], "time[1]"),
    "seconds that wrap around in ms": (np.array([0, 18446744073709552], "datetime64[s]"), "time[1]"),
    "years that wrap around": (np.array([0, 2**62], "datetime64[Y]"), "time[1]"),
    "the year 10000": (np.array(["2020", "10000"], "datetime64[Y]"), "time[1]"),
    "nanoseconds that ms cannot hold": (np.array([0, 1], "datetime64[ns]"), "time[1]"),
    "a pandas timestamp with nanoseconds": ([MOMENT, pd.Timestamp(1, unit="ns", tz="UTC")], "time[1]"),
    "a microsecond a double cannot hold": ([MOMENT, datetime(9000, 1, 1, 0, 0, 0, 1, UTC)], "time[1]"),
    "a unitless datetime64": (np.array([1, 2]).view("datetime64"), "time[0]"),
    "a naive pandas series": (pd.Series(NAIVE64.astype("M8[ns]")[:2]), "time"),
    "a naive pandas index": (pd.DatetimeIndex(NAIVE64.astype("M8[ns]")[:2]), "time"),
    "a naive polars series": (pl.Series([NAIVE, NAIVE]), "time"),
    "two dimensions": (np.array([[T, T]]), "time"),
    "no dimension": (np.array(T), "time"),
    "a scalar": (T, "time"),
    "a text": ("2020-01-01", "time"),
    "bytes alone": (b"12", "time"),
    "a mapping": ({T: 1}, "time"),
    "a set": ({T}, "time"),
    "a generator": ((time for time in TIMES), "time"),
    "a pandas frame": (pd.DataFrame({"a": [T, T]}), "time"),
    "a polars frame": (pl.DataFrame({"a": [T, T]}), "time"),
    "an arrow array": (pa.array([T, T]), "time"),
    "a masked array": (np.ma.masked_array([T, T], [False, True]), "time"),
    "None alone": (None, "time"),
    "too many rows": ([T, T, T], "value"),
}  # fmt: skip


@pytest.mark.parametrize(("times", "field"), BAD_TIMES.values(), ids=BAD_TIMES)
def test_bad_times_are_refused_with_their_row(times: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        SignalData(KEY, times, [1.0, 2.0])
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}=")


# -- values --------------------------------------------------------------------------------------------------------

VALUE_FORMS: dict[str, tuple[Any, type, list[Any]]] = {
    "doubles": ([1.5, -0.0], np.float64, [1.5, -0.0]),
    "integers": ([1, -(2**63)], np.int64, [1, -(2**63)]),
    "ints and doubles": ([1, 2.5], np.float64, [1.0, 2.5]),
    "flags": ([True, False], np.bool_, [True, False]),
    "texts": (["on", ""], object, ["on", ""]),
    "nulls": ([None, None], object, [None, None]),
    "doubles and nulls": ([1.5, None], object, [1.5, None]),
    "flags and numbers": ([True, 1], object, [True, 1]),
    "integers past 2**53 beside doubles": ([2**53 + 1, 1.5], object, [2**53 + 1, 1.5]),
    "integers past int64": ([2**64 - 1, 1], object, [2**64 - 1, 1]),
    "structures": ([{"a": (1, np.int64(2))}, [1, [None]]], object, [{"a": [1, 2]}, [1, [None]]]),
    "lists of one length": ([[1, 2], [3, 4]], object, [[1, 2], [3, 4]]),
    "numpy scalars": ([np.float32(0.5), np.int8(3)], object, [0.5, 3]),
    "a numpy flag": ([np.bool_(True), None], object, [True, None]),
    "a str enum": ([Kind.DOUBLE, "x"], object, ["DBL", "x"]),
    "float16": (np.array([0.5, 2], np.float16), np.float64, [0.5, 2.0]),
    "float32": (np.array([0.1, 2], np.float32), np.float64, [float(np.float32(0.1)), 2.0]),
    "big-endian": (np.array([0.5, 2], ">f8"), np.float64, [0.5, 2.0]),
    "long doubles that fit": (np.array([0.5, 2], np.longdouble), np.float64, [0.5, 2.0]),
    "int32": (np.array([1, -2], np.int32), np.int64, [1, -2]),
    "uint8": (np.array([1, 255], np.uint8), np.int64, [1, 255]),
    "uint64": (np.array([1, 2**64 - 1], np.uint64), object, [1, 2**64 - 1]),
    "numpy flags": (np.array([True, False]), np.bool_, [True, False]),
    "numpy texts": (np.array(["a", "bc"]), object, ["a", "bc"]),
    "numpy objects": (np.array([1.5, None], object), object, [1.5, None]),
    "not contiguous": (np.arange(4.0)[::2], np.float64, [0.0, 2.0]),
    "pandas doubles": (pd.Series([1.5, 2.5]), np.float64, [1.5, 2.5]),
    "pandas texts": (pd.Series(["a", "b"]), object, ["a", "b"]),
    "pandas categories": (pd.Series(["a", "b"], dtype="category"), object, ["a", "b"]),
    "polars doubles": (pl.Series([1.5, 2.5]), np.float64, [1.5, 2.5]),
    "polars flags": (pl.Series([True, False]), np.bool_, [True, False]),
    "polars texts": (pl.Series(["a", "b"]), object, ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "dtype", "held"), VALUE_FORMS.values(), ids=VALUE_FORMS)
def test_a_form_of_values_is_accepted_and_not_changed(values: Any, dtype: type, held: list[Any]) -> None:
    data = SignalData(KEY, [T, T + 1], values)
    assert data.value.dtype == dtype
    found = data.value.tolist()
    assert [(type(value), repr(value)) for value in found] == [(type(value), repr(value)) for value in held]


DEEP: list[Any] = []
for _ in range(2000):
    DEEP = [DEEP]
LOOP: list[Any] = []
LOOP.append(LOOP)

BAD_VALUES: dict[str, tuple[Any, str]] = {
    "NaN": ([1.0, float("nan")], "value[1]"),
    "infinity": ([1.0, -float("inf")], "value[1]"),
    "NaN in numpy": (np.array([1, np.nan], np.float32), "value[1]"),
    "NaN beside an integer": ([1, float("nan")], "value[1]"),
    "NaN beside a text": (["a", float("nan")], "value[1]"),
    "a numpy NaN": (["a", np.float32("nan")], "value[1]"),
    "NaN in a structure": (["a", {"b": [1, float("inf")]}], "value[1].b[1]"),
    "null in a polars number column": (pl.Series([1.5, None]), "value[1]"),
    "NA in pandas": (pd.Series([1, None], dtype="Int64"), "value[1]"),
    "a long double with more digits": (np.array([1, 0.1], np.longdouble) / 3, "value[0]"),
    "datetime64": (np.array(["2020", "2021"], "datetime64[ns]"), "value[0]"),
    "durations": (np.array([1, 2], "timedelta64[ns]"), "value[0]"),
    "a datetime64 in a list": ([1, np.datetime64("2020", "ns")], "value[1]"),
    "a datetime": ([1, MOMENT], "value[1]"),
    "bytes": ([1, b"x"], "value[1]"),
    "numpy bytes": (np.array([b"x", b"y"]), "value[0]"),
    "complex numbers": (np.array([1j, 2j]), "value[0]"),
    "a complex number": ([1, 2j], "value[1]"),
    "records": (np.zeros(2, "i4,i4"), "value[0]"),
    "an integer past 64 bits": ([1, 2**64], "value[1]"),
    "a negative integer past 64 bits": ([1, -(2**63) - 1], "value[1]"),
    "a huge integer beside a double": ([1.5, 10**400], "value[1]"),
    "an object": ([1, object()], "value[1]"),
    "a set": ([1, {2}], "value[1]"),
    "a name that is no text": (["x", {1: 2}], "value[1]"),
    "half a surrogate pair": (["x", "\ud800"], "value[1]"),
    "half a surrogate pair in a name": (["x", {"\ud800": 1}], "value[1]"),
    "a structure that is too deep": (["x", DEEP], "value"),
    "a structure that holds itself": (["x", LOOP], "value"),
    "too few": ([1.0], "value"),
    "none": ([], "value"),
    "two dimensions": (np.zeros((2, 2)), "value"),
    "a scalar": (1.0, "value"),
    "a text": ("ab", "value"),
    "None": (None, "value"),
    "a masked array": (np.ma.masked_array([1.0, 2.0], [False, True]), "value"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "field"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_values_are_refused_with_their_row(values: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        SignalData(KEY, [T, T + 1], values)
    assert caught.value.field == field


# -- key, type, origin, unit ---------------------------------------------------------------------------------------

OTHERS: dict[str, tuple[dict[str, Any], object, object]] = {
    "constants": ({"type": "RM", "origin": 5}, "RM", 5),
    "not told": ({"type": None, "origin": None}, None, None),
    "one per row": ({"type": ["DBL", "RM"], "origin": [1, 2]}, ["DBL", "RM"], [1, 2]),
    "uniform columns become constants": ({"type": ["RM", "RM"], "origin": [4, 4]}, "RM", 4),
    "numpy": ({"type": np.array(["DBL", "RM"]), "origin": np.array([1, 2], np.uint8)}, ["DBL", "RM"], [1, 2]),
    "numpy scalars": ({"type": np.str_("RM"), "origin": np.int16(4)}, "RM", 4),
    "enums": ({"type": [Kind.DOUBLE, Kind.REMOVED], "origin": 1}, ["DBL", "RM"], 1),
    "an enum": ({"type": OldKind.DOUBLE}, "DBL", 1),
    "pandas": ({"type": pd.Series(["DBL", "RM"]), "origin": pd.Series([1, 2])}, ["DBL", "RM"], [1, 2]),
    "polars": ({"type": pl.Series(["DBL", "RM"]), "origin": pl.Series([1, 2])}, ["DBL", "RM"], [1, 2]),
}


@pytest.mark.parametrize(("arguments", "type_", "origin"), OTHERS.values(), ids=OTHERS)
def test_types_and_origins_are_one_value_or_one_per_row(
    arguments: dict[str, Any], type_: object, origin: object
) -> None:
    data = SignalData(KEY, [T, T + 1], [1.0, 2.0], **arguments)
    for column, expected in ((data.type, type_), (data.origin, origin)):
        found = column.tolist() if isinstance(column, np.ndarray) else column
        assert found == expected
        assert type(found) is type(expected)


BAD_OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "an empty type": ({"type": ""}, "type"),
    "a number as type": ({"type": 5}, "type"),
    "a type of one row": ({"type": ["DBL", ""]}, "type[1]"),
    "a null among types": ({"type": ["DBL", None]}, "type[1]"),
    "numbers as types": ({"type": [1, 2]}, "type[0]"),
    "too many types": ({"type": ["DBL"] * 3}, "type"),
    "half a surrogate pair": ({"type": "\ud800"}, "type"),
    "a text as origin": ({"origin": "1"}, "origin"),
    "a flag as origin": ({"origin": True}, "origin"),
    "a float as origin": ({"origin": 1.0}, "origin"),
    "a negative origin": ({"origin": -1}, "origin"),
    "a negative origin in a row": ({"origin": [1, -1]}, "origin[1]"),
    "a float origin in a row": ({"origin": [1, 1.5]}, "origin[0]"),
    "a flag origin in a row": ({"origin": [1, True]}, "origin[1]"),
    "a huge origin in a row": ({"origin": np.array([1, 2**63], np.uint64)}, "origin[1]"),
    "a null among origins": ({"origin": [1, None]}, "origin[1]"),
    "too few origins": ({"origin": [1]}, "origin"),
    "an empty unit": ({"unit": ""}, "unit"),
    "a number as unit": ({"unit": 5}, "unit"),
    "a broken unit": ({"unit": "\udfff"}, "unit"),
    "a text as key": ({"key": "12.122.32"}, "key"),
    "a sensor's key": ({"key": SensorKey(12, 122)}, "key"),
    "no key": ({"key": None}, "key"),
}


@pytest.mark.parametrize(("arguments", "field"), BAD_OTHERS.values(), ids=BAD_OTHERS)
def test_a_bad_key_type_origin_or_unit_is_refused(arguments: dict[str, Any], field: str) -> None:
    good: dict[str, Any] = {"key": KEY, "time": [T, T + 1], "value": [1.0, 2.0]}
    with pytest.raises(InvalidInputError) as caught:
        SignalData(**(good | arguments))
    assert caught.value.field == field


# -- copies --------------------------------------------------------------------------------------------------------


def columns_of(data: SignalData) -> list[np.ndarray[Any, Any]]:
    return [column for column in (data.time, data.value, data.type, data.origin) if isinstance(column, np.ndarray)]


@pytest.mark.parametrize("value", [np.array([1.0, 2.0]), np.array([True, False]), np.array(["a", None], object),
                                   np.array([1, 2]), pd.Series([1.0, 2.0]), [[1], {"a": [2]}]])  # fmt: skip
def test_changing_the_source_changes_nothing(value: Any) -> None:
    time, types, origins = np.array([T, T + 1]), np.array(["DBL", "RM"], object), np.array([1, 2])
    value = copy.deepcopy(value)
    data = SignalData(KEY, time, value, types, origins)
    before = copy.deepcopy(data)
    time[0], types[0], origins[0] = 0, "X", 9
    if isinstance(value, list):
        value[0].append(5)
        value[1]["a"].append(5)
    value[0] = value[1]
    assert data == before


def test_columns_cannot_be_changed() -> None:
    made = SignalData(KEY, [T, T + 1], [1.0, 2.0], ["DBL", "RM"], [1, 2])
    for data in (made, made.take(slice(None)), made.sorted(), SignalData.concat([made, made]),
                 pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):  # fmt: skip
        assert len(columns_of(data)) == 4
        for column in columns_of(data):
            with pytest.raises(ValueError, match="read-only"):
                column[0] = column[1]
    with pytest.raises(AttributeError):
        made.unit = "kW"  # type: ignore[misc]


# -- what can be done with it --------------------------------------------------------------------------------------

DATA = SignalData(KEY, TIMES, [1.0, 2.0, 3.0], ["DBL", "RM", "DBL"], [1, 1, 2], "kW.h")

DIFFERENT: dict[str, SignalData] = {
    "key": SignalData(SignalKey(1, 2, 3), TIMES, [1.0, 2.0, 3.0], DATA.type, DATA.origin, "kW.h"),
    "time": SignalData(KEY, [0, *TIMES[1:]], [1.0, 2.0, 3.0], DATA.type, DATA.origin, "kW.h"),
    "value": SignalData(KEY, TIMES, [1.0, 2.0, 4.0], DATA.type, DATA.origin, "kW.h"),
    "type": SignalData(KEY, TIMES, [1.0, 2.0, 3.0], "DBL", DATA.origin, "kW.h"),
    "no type": SignalData(KEY, TIMES, [1.0, 2.0, 3.0], None, DATA.origin, "kW.h"),
    "origin": SignalData(KEY, TIMES, [1.0, 2.0, 3.0], DATA.type, 1, "kW.h"),
    "unit": SignalData(KEY, TIMES, [1.0, 2.0, 3.0], DATA.type, DATA.origin),
    "rows": DATA.take(slice(2)),
}


@pytest.mark.parametrize("other", DIFFERENT.values(), ids=DIFFERENT)
def test_data_that_differs_is_not_equal(other: SignalData) -> None:
    assert other != DATA
    assert SignalData(KEY, TIMES, [1.0, 2.0, 3.0], ["DBL", "RM", "DBL"], [1, 1, 2], "kW.h") == DATA
    assert DATA != "data"


def test_a_constant_equals_a_column_that_says_the_same() -> None:
    part = DATA.take(np.array([True, False, False]))
    assert part == SignalData(KEY, [T], [1.0], unit="kW.h")
    assert SignalData(KEY, [T], [1.0], unit="kW.h") == part


def test_absent_is_not_empty() -> None:
    absent, empty = SignalData.missing(KEY), SignalData(KEY, [], [])
    assert absent != empty
    assert (absent.absent, empty.absent, len(absent)) == (True, False, 0)
    assert absent.take(slice(None)).absent
    assert absent.between(0, 1).absent
    assert absent.sorted().absent
    assert pickle.loads(pickle.dumps(absent)) == absent


def test_it_has_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(DATA)


@pytest.mark.parametrize(
    ("since", "till", "rows"),
    [(T, T + 3 * STEP, 3), (T + 1, T + 3 * STEP, 2), (T, T + 2 * STEP, 2), (0, T, 0), (T, T, 0), (T + STEP, T, 0),
     (MOMENT, MOMENT + timedelta(minutes=20), 2), (np.datetime64("2020-01-01"), T + 0.5, 1)],
)  # fmt: skip
def test_between_keeps_since_and_leaves_out_till(since: Any, till: Any, rows: int) -> None:
    assert len(DATA.between(since, till)) == rows
    assert all(type(part) is SignalData for part in (DATA.between(since, till),))


def test_between_refuses_what_is_no_moment() -> None:
    with pytest.raises(InvalidInputError, match="since"):
        DATA.between(datetime(2020, 1, 1), T)


def test_sorting_keeps_the_order_of_one_time() -> None:
    data = SignalData(KEY, [2, 1, 2, 1], ["a", "b", "c", "d"], ["A", "B", "C", "D"], [1, 2, 3, 4]).sorted()
    assert list(data.rows()) == [(1, "b", "B", 2), (1, "d", "D", 4), (2, "a", "A", 1), (2, "c", "C", 3)]
    assert data.sorted() is data


CONCAT: dict[str, tuple[list[Any], list[Any]]] = {
    "doubles": ([1.5], [2.5]),
    "integers and doubles": ([1], [2.5]),
    "integers past 2**53 and doubles": ([2**53 + 1], [2.5]),
    "doubles past 2**53 and integers": ([1e300], [3]),
    "flags and doubles": ([True], [1.0]),
    "texts and doubles": (["a"], [1.0]),
    "nulls and integers": ([None], [2**63 - 1]),
    "flags and integers": ([False], [0]),
}


@pytest.mark.parametrize(("one", "other"), CONCAT.values(), ids=CONCAT)
def test_joining_changes_no_value(one: list[Any], other: list[Any]) -> None:
    joined = SignalData.concat([SignalData(KEY, [T], one), SignalData(KEY, [T + 0.5], other)])
    held = joined.value.tolist()
    assert held == one + other
    assert [isinstance(value, bool) for value in held] == [isinstance(value, bool) for value in one + other]
    assert joined.time.tolist() == [T, T + 0.5]


def test_joining_spreads_constants_only_where_they_differ() -> None:
    measured, removed = SignalData(KEY, [1], [1.0]), SignalData(KEY, [2], [None], "RM", 5)
    assert SignalData.concat([measured, measured]).type == "DBL"
    joined = SignalData.concat([measured, removed, DATA.take(slice(0))])
    assert [row[2:] for row in joined.rows()] == [("DBL", 1), ("RM", 5)]
    untold = SignalData(KEY, [3], [3.0], None, None)
    assert [row[2:] for row in SignalData.concat([joined, untold]).rows()] == [("DBL", 1), ("RM", 5), (None, None)]


def test_joining_takes_absent_and_empty_parts() -> None:
    absent, empty = SignalData.missing(KEY), SignalData(KEY, [], [])
    assert SignalData.concat([absent, absent]) == absent
    assert SignalData.concat([absent, empty]) == empty
    assert SignalData.concat([empty, DATA, absent]) == DATA


BAD_PARTS: dict[str, list[Any]] = {
    "nothing": [],
    "another signal": [DATA, DIFFERENT["key"]],
    "another unit": [DATA, DIFFERENT["unit"]],
    "something else": [DATA, "x"],
}


@pytest.mark.parametrize("parts", BAD_PARTS.values(), ids=BAD_PARTS)
def test_what_does_not_belong_together_is_not_joined(parts: list[Any]) -> None:
    with pytest.raises(InvalidInputError):
        SignalData.concat(parts)


@given(st.lists(st.tuples(st.integers(0, 10**13), st.floats(-1e9, 1e9)), max_size=30), st.data())
def test_what_is_cut_anywhere_joins_to_the_whole(rows: list[tuple[int, float]], data: st.DataObject) -> None:
    whole = SignalData(KEY, [row[0] for row in rows], [row[1] for row in rows]).sorted()
    cut = data.draw(st.integers(0, 10**13))
    assert SignalData.concat([whole.between(0, cut), whole.between(cut, 10**13 + 1)]) == whole


REPRS: dict[str, tuple[SignalData, str]] = {
    "many": (
        DATA, "3 readings, 2020-01-01T00:00:00Z to 2020-01-01T00:30:00Z, 1 to 3 kW.h, type mixed, origin mixed",
    ),
    "one": (
        SignalData(KEY, [T + 0.5], [7]), "1 readings, 2020-01-01T00:00:00.000Z, 7, type DBL, origin 1",
    ),
    "texts": (
        SignalData(KEY, [T], ["x"], None, None),
        "1 readings, 2020-01-01T00:00:00Z, object values, type None, origin None",
    ),
    "none": (SignalData(KEY, [], []), "no readings"),
    "absent": (SignalData.missing(KEY), "absent"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "text"), REPRS.values(), ids=REPRS)
def test_a_repr_says_what_a_reader_wants_to_know(data: SignalData, text: str) -> None:
    assert repr(data) == f"<SignalData 12.122.32: {text}>"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))])
def test_copies_are_equal(again: Callable[[SignalData], SignalData]) -> None:
    for data in (DATA, SignalData.missing(KEY), SignalData(KEY, [T], [{"a": [1]}])):
        assert again(data) == data
        assert again(data).absent == data.absent
