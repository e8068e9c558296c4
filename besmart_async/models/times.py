"""Moments as the service counts them: UTC unix milliseconds, whole where possible, fractions allowed.

Accepted: ints and floats (milliseconds already), aware `datetime`, numpy `datetime64` (UTC by numpy's own convention),
pandas and polars datetime columns with a time zone. A naive `datetime`, alone or as a pandas/polars column, is refused:
nobody can tell which clock it was read from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, SupportsFloat, TypeAlias

import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError

TimeLike: TypeAlias = int | float | datetime | np.datetime64
"""One moment. Numbers are UTC unix milliseconds."""


class FrameColumn(Protocol):
    """A column of pandas (a series or an index) or polars."""

    @property
    def dtype(self) -> Any:
        """The column's type, with its time zone if it has one."""
        ...

    def to_numpy(self) -> Any:
        """Return the column as a numpy array."""
        ...


TimeColumn: TypeAlias = "Sequence[TimeLike] | NDArray[Any] | FrameColumn"
"""Many moments: a sequence, a numpy array, or a pandas/polars column of datetimes with a time zone."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_MS = -62_135_596_800_000
"""0001-01-01, the earliest moment a `datetime` can show."""
MAX_MS = 253_402_300_799_999
"""9999-12-31, the latest."""

_MICROSECOND = timedelta(microseconds=1)
_FIRST_YEAR, _YEAR_AFTER = np.datetime64("0001", "Y"), np.datetime64("10000", "Y")
_REACHES_TOO_FAR = frozenset({"Y", "M", "W", "D", "h", "m", "s", "ms", "us"})
"""Units of `datetime64` whose range exceeds the years 1 to 9999, and 64 bits of milliseconds."""
_RANGE = "UTC unix milliseconds reach from year 1 to 9999; are these seconds x 1000, not micro- or nanoseconds?"
_NAIVE = "a datetime without a time zone; give it one, such as datetime(..., tzinfo=timezone.utc)"
_NAIVE_COLUMN = "datetimes without a time zone; localize them first, such as column.dt.tz_localize('UTC')"
_FINER = "finer than a microsecond, which milliseconds as a double cannot hold; round it first"


def to_ms(value: TimeLike, field: str = "time") -> int | float:
    """Return one moment as UTC unix milliseconds: an int, or a float if it has a fraction.

    Raises:
        InvalidInputError: a naive datetime, NaN, a bool, a text, or outside the years 1 to 9999.
    """
    if type(value) is int:
        number: int | float = value
    elif isinstance(value, datetime):
        number = _datetime_ms(value, field)
    elif isinstance(value, np.datetime64):
        number = _plain(_datetime64_ms(np.asarray([value]), lambda _: field)[0])
    elif isinstance(value, float | np.floating | np.integer):
        number = _plain(value)
    else:
        raise InvalidInputError(field, value, "give UTC unix milliseconds, an aware datetime or a datetime64")
    if not MIN_MS <= number <= MAX_MS:  # also refuses NaN
        raise InvalidInputError(field, value, _RANGE)
    return number


def to_whole_ms(value: TimeLike, field: str = "time") -> int:
    """Like `to_ms`, for parameters that the document declares as integer.

    Raises:
        InvalidInputError: as `to_ms`, or the moment has a fraction of a millisecond.
    """
    number = to_ms(value, field)
    if isinstance(number, float):
        raise InvalidInputError(field, value, "the API takes whole milliseconds here")
    return number


def from_ms(ms: float) -> datetime:
    """Return the aware UTC `datetime` of a moment, to the microsecond."""
    whole = int(ms // 1)
    return EPOCH + timedelta(milliseconds=whole, microseconds=round((ms - whole) * 1000))


def to_microseconds(ms: NDArray[Any]) -> NDArray[np.int64]:
    """Return the nearest whole microseconds of moments in milliseconds."""
    whole = np.floor(ms)
    # Not `ms * 1000`: of a moment after 2109, that product has no bits left for the last microsecond.
    microseconds: NDArray[np.int64] = whole.astype(np.int64) * 1000 + np.rint((ms - whole) * 1000).astype(np.int64)
    return microseconds


def time_column(values: TimeColumn, field: str = "time") -> NDArray[Any]:
    """Return moments as an int64 array of UTC unix milliseconds, float64 if any has a fraction; always a copy.

    Raises:
        InvalidInputError: naming the first bad row; see `to_ms`.
    """
    column = as_array(values, field, refuse_naive=True)
    if column.dtype.kind in "iu":
        return _in_range(column, field).astype(np.int64)
    if column.dtype.kind == "f":
        return _floats_ms(column.astype(np.float64), field)
    if column.dtype.kind == "M":
        return _in_range(_datetime64_ms(column, lambda row: f"{field}[{row}]"), field)
    if column.dtype.kind == "O":
        return _floats_or_ints([to_ms(value, f"{field}[{row}]") for row, value in enumerate(column)])
    if column.size == 0:
        return np.empty(0, np.int64)
    raise InvalidInputError(f"{field}[0]", column[0], "give UTC unix milliseconds, aware datetimes or datetime64")


def as_array(values: object, field: str, *, refuse_naive: bool = False) -> NDArray[Any]:
    """Return a one-dimensional array over a sequence, an array or a pandas/polars column, without losing what it holds.

    Raises:
        InvalidInputError: a scalar, a text, a mapping, more than one dimension, or (asked for) naive datetimes.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise InvalidInputError(field, "a masked array", "fill its gaps or leave them out first")
    if isinstance(values, np.ndarray):
        array: NDArray[Any] = values
    elif isinstance(values, list | tuple):
        array = plain_array(values)
    elif hasattr(values, "to_numpy") and hasattr(values, "dtype"):
        array = _from_frame_column(values, field, refuse_naive=refuse_naive)
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes | bytearray):
        array = plain_array(list(values))
    else:
        raise InvalidInputError(field, values, "give a column: a list, a numpy array, a pandas or polars column")
    if array.ndim != 1:
        raise InvalidInputError(field, values, f"give one dimension, not {array.ndim}")
    return array


def plain_array(values: list[Any] | tuple[Any, ...]) -> NDArray[Any]:
    """Return plain Python values as a float64, int64 or bool array, or as objects where those would change one."""
    kinds = set(map(type, values))
    try:
        if kinds <= {int}:
            return np.array(values, np.int64)
        if kinds <= {int, float}:
            array = np.array(values, np.float64)
            # An int beyond 2**53 would be rounded by the double (and 2**53 + 1 to 2**53): keep such a column as it is.
            if int not in kinds or np.all(np.abs(array) < 2**53):
                return array
        elif kinds == {bool}:
            return np.array(values, np.bool_)
    except OverflowError:
        pass
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _from_frame_column(values: Any, field: str, *, refuse_naive: bool) -> NDArray[Any]:
    dtype = values.dtype
    zone = getattr(dtype, "tz", None) or getattr(dtype, "time_zone", None)
    array: NDArray[Any]
    if zone is not None:
        # pandas turns aware columns into objects by default; both libraries store UTC.
        if hasattr(values, "tz_convert"):
            in_utc = values.dt if hasattr(values, "dt") else values  # a series, or an index
            values = in_utc.tz_convert("UTC")
            values = (values.dt if hasattr(values, "dt") else values).tz_localize(None)
        array = values.to_numpy()
        return array
    array = values.to_numpy()
    if refuse_naive and array.dtype.kind == "M":
        raise InvalidInputError(field, str(dtype), _NAIVE_COLUMN)
    return array


def _datetime_ms(value: datetime, field: str) -> int | float:
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidInputError(field, value, _NAIVE)
    if getattr(value, "nanosecond", 0):
        raise InvalidInputError(field, value, _FINER)
    microseconds = (value - EPOCH) // _MICROSECOND
    whole, rest = divmod(microseconds, 1000)
    if rest and int(to_microseconds(np.array(microseconds / 1000))) != microseconds:  # after the year 2109
        raise InvalidInputError(field, value, _FINER)
    return microseconds / 1000 if rest else whole


def _datetime64_ms(column: NDArray[Any], name: Callable[[int], str]) -> NDArray[Any]:
    _refuse_any(np.isnat(column), column, name, "not a time")
    unit = np.datetime_data(column.dtype)[0]
    if unit == "generic" and column.size:
        raise InvalidInputError(name(0), str(column.dtype), "a datetime64 without a unit, such as datetime64[ms]")
    if unit in _REACHES_TOO_FAR:
        first, after = _FIRST_YEAR.astype(column.dtype), _YEAR_AFTER.astype(column.dtype)
        _refuse_any((column < first) | (column >= after), column, name, _RANGE)
    milliseconds = column.astype("datetime64[ms]")
    if (milliseconds == column).all():
        return milliseconds.astype(np.int64)
    microseconds = column.astype("datetime64[us]")
    fractional: NDArray[Any] = microseconds.astype(np.int64) / 1000
    unheld = to_microseconds(fractional) != microseconds.astype(np.int64)
    _refuse_any((microseconds != column) | unheld, column, name, _FINER)
    return fractional


def _refuse_any(bad: NDArray[Any], column: NDArray[Any], name: Callable[[int], str], problem: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise InvalidInputError(name(row), column[row], problem)


def _floats_ms(column: NDArray[Any], field: str) -> NDArray[Any]:
    _in_range(column, field)
    whole = column.astype(np.int64)
    return whole if (whole == column).all() else column


def _floats_or_ints(values: list[int | float]) -> NDArray[Any]:
    return np.array(values, np.float64 if any(type(value) is float for value in values) else np.int64)


def _in_range(column: NDArray[Any], field: str) -> NDArray[Any]:
    good = (column >= MIN_MS) & (column <= MAX_MS)  # NaN is not good either
    if not good.all():
        row = int(good.argmin())
        raise InvalidInputError(f"{field}[{row}]", column[row], _RANGE)
    return column


def _plain(value: SupportsFloat) -> int | float:
    number = float(value)
    return int(number) if number.is_integer() else number
