"""Arguments of a writer, checked and in normal form. Values that JSON cannot represent are refused.

`ManyColumns` are readings of many signals with the same times, such as a frame with a column for each meter. The cost
of writing a signal (a call, checks of times and values, a copy) is paid once per block of signals. Blocks are small, so
that the copy is still in the cache when it is encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.grids import all_true
from besmart_async.errors import InvalidInputError
from besmart_async.models.keys import SignalKey, checked_id, checked_key
from besmart_async.models.series import SignalData, checked_unit
from besmart_async.models.times import MAX_MS, MIN_MS, TimeColumn, TimeLike, plain_array, time_column, to_ms
from besmart_async.models.values import (
    DOUBLE,
    REMOVED,
    JsonValue,
    ValueColumn,
    checked_json,
    checked_type,
    value_column,
)

_finite = np.isfinite
_INT, _FLOAT = np.dtype(np.int64), np.dtype(np.float64)

TypeColumn = str | Sequence[str] | NDArray[Any]
OriginColumn = int | Sequence[int] | NDArray[Any]


PlainReading = tuple[SignalKey, int, float, str, int, str | None]
"""A checked, plain reading of the fast path: key, time, value, type, origin, unit."""


@attrs.frozen
class Reading:
    """One checked reading."""

    key: SignalKey
    time: int | float
    value: JsonValue
    type: str
    origin: int
    unit: str | None

    @property
    def plain(self) -> bool:
        """Whether its time is an int and its value a float."""
        return type(self.time) is int and type(self.value) is float

    def __len__(self) -> int:
        return 1

    def columns(self) -> SignalData:
        """Return it as columns of one row."""
        time, value = plain_array([self.time]), plain_array([self.value])
        return SignalData.trusted(self.key, time, value, self.type, self.origin, self.unit)


def is_plain(key: Any, time: Any, value: Any, type_: Any, origin: Any, unit: Any) -> bool:
    """Tell whether the arguments of `write` are in normal form, or arrays that may be (`plain_values`).

    `admitted` brings anything else into normal form, or refuses it.
    """
    return (
        type_ is DOUBLE
        and key.__class__ is SignalKey
        and origin.__class__ is int
        and 0 <= origin < 1 << 63
        and (unit is None or (unit.__class__ is str and unit != "" and unit.isascii()))
        and (
            (time.__class__ is int and value.__class__ is float and value - value == 0.0 and MIN_MS <= time <= MAX_MS)
            or (time.__class__ is np.ndarray and value.__class__ is np.ndarray)
        )
    )


def plain_values(time: NDArray[Any], value: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return a copy of the values if times are int64, values finite float64, and both have the same length > 0."""
    if (
        time.dtype is not _INT
        or value.dtype is not _FLOAT
        or not time.ndim == value.ndim == 1
        or not 0 < len(time) == len(value)
    ):
        return None
    return value.copy() if all_true(_finite(value)) else None


def admitted(
    key: SignalKey, time: object, value: Any, type_: TypeColumn, origin: OriginColumn, unit: str | None
) -> Reading | SignalData:
    """Return the arguments of `write` as one reading, or as columns if `time` is a column.

    Raises:
        InvalidInputError: an argument is refused.
    """
    if _is_column(time):
        return SignalData(key, time, value, type_, origin, unit)  # type: ignore[arg-type]
    moment: TimeLike = time  # type: ignore[assignment]
    return Reading(
        checked_key(key),
        to_ms(moment, "time"),
        checked_json(value, "value"),
        checked_type("type", type_),
        checked_id("origin", origin),
        checked_unit(unit),
    )


def checked_items(items: Iterable[SignalData]) -> Iterator[SignalData]:
    """Yield items that a writer may accept.

    Raises:
        InvalidInputError: an item is refused, or cannot be made; the field says which one.
    """
    try:
        iterator = iter(items)
    except TypeError:
        raise InvalidInputError("items", type(items).__name__, "give SignalData, several of them") from None
    for index in count():
        try:
            yield checked_data(next(iterator))
        except StopIteration:
            return
        except InvalidInputError as error:
            raise InvalidInputError(f"items[{index}].{error.field}", error.value, error.problem) from None


def removal(key: SignalKey, time: TimeLike | TimeColumn, origin: int) -> Reading | SignalData:
    """Return readings that mark others as deleted; the service ignores their value.

    Raises:
        InvalidInputError: an argument is refused.
    """
    if not _is_column(time):
        return admitted(key, time, 0.0, REMOVED, origin, None)
    times = time_column(time)  # type: ignore[arg-type]
    return SignalData(key, times, np.zeros(len(times)), REMOVED, checked_id("origin", origin))


def checked_data(data: SignalData) -> SignalData:
    """Return `data` if a writer may send it.

    Raises:
        InvalidInputError: it is not a `SignalData`, or it is `absent`.
    """
    if not isinstance(data, SignalData):
        raise InvalidInputError("data", data, "give a SignalData")
    if data.absent:
        raise InvalidInputError("data", str(data.key), "the service gave no answer for this signal: nothing to write")
    return data


def _is_column(time: object) -> bool:
    if isinstance(time, np.ndarray | list | tuple):
        return True
    if isinstance(time, str | bytes | datetime | np.generic):
        return False  # a pandas Timestamp is a datetime, and has to_numpy as well
    return isinstance(time, Sequence) or hasattr(time, "to_numpy")


_BLOCK = 6_400
"""Readings in a block: 50 KB of values."""

Matrix = NDArray[np.float64] | list[NDArray[Any]]
"""Values by signal: an array of shape (signals, rows), or checked columns."""


@attrs.frozen(eq=False)
class ManyColumns:
    """Checked columns of many signals.

    Attributes:
        keys: the signals, in the order of writing.
        time: their times, shape (rows,).
        values: their values; an array still belongs to the caller, and is copied block by block.
        type: type of all readings.
        origin: origin of all readings.
        unit: unit of all readings.
    """

    keys: list[SignalKey]
    time: NDArray[Any]
    values: Matrix
    type: str
    origin: int
    unit: str | None

    @classmethod
    def checked(
        cls,
        keys: Iterable[SignalKey],
        time: TimeColumn,
        values: NDArray[Any] | Sequence[ValueColumn],
        type: str = DOUBLE,  # noqa: A002 - the API's name
        origin: int = 1,
        unit: str | None = None,
    ) -> Self:
        """Bring the arguments of a caller into normal form.

        Raises:
            InvalidInputError: a key, time or value is refused, or the numbers of keys, times and values do not match.
        """
        signals, times = [checked_key(key) for key in keys], time_column(time)
        return cls(
            signals,
            times,
            _checked_values(signals, values, len(times)),
            checked_type("type", type),
            checked_id("origin", origin),
            checked_unit(unit),
        )

    @property
    def plain(self) -> bool:
        """Whether values are finite floats and times are ints, so that no `SignalData` is needed."""
        return isinstance(self.values, np.ndarray) and self.time.dtype == np.int64 and len(self.time) > 0

    def blocks(self) -> Iterator[tuple[list[SignalKey], Matrix]]:
        """Yield blocks of signals, with copies of their values.

        Raises:
            InvalidInputError: the caller has written NaN or infinity into the array in the meantime.
        """
        for signals in _blocks(len(self.keys), len(self.time)):
            some = self.values[signals]
            if isinstance(some, np.ndarray):
                some = np.array(some, order="C")
                _check_finite(self.keys, some, signals.start)
            yield self.keys[signals], some

    def columns(self, key: SignalKey, value: NDArray[Any]) -> SignalData:
        """Return the columns of one signal."""
        return SignalData.trusted(key, self.time, value, self.type, self.origin, self.unit)


def _checked_values(keys: list[SignalKey], values: object, rows: int) -> Matrix:
    if not isinstance(values, np.ndarray | list | tuple) or (isinstance(values, np.ndarray) and values.ndim != 2):
        raise InvalidInputError("values", values, "give a row of values for each signal, such as `frame.to_numpy().T`")
    if len(values) != len(keys):
        problem = f"there are {len(keys)} signals; give a row of values for each, such as `frame.to_numpy().T`"
        raise InvalidInputError("values", f"{len(values)} rows", problem)
    if isinstance(values, np.ndarray) and values.dtype == np.float64:
        matrix: NDArray[np.float64] = values
        if len(keys) and matrix.shape[1] != rows:
            raise _other_length(0, matrix.shape[1], rows)
        for signals in _blocks(len(keys), rows):
            _check_finite(keys, matrix[signals], signals.start)
        return matrix
    columns = [value_column(column, f"values[{number}]") for number, column in enumerate(values)]
    for number, column in enumerate(columns):
        if len(column) != rows:
            raise _other_length(number, len(column), rows)
    return columns


def _other_length(number: int, length: int, rows: int) -> InvalidInputError:
    return InvalidInputError(f"values[{number}]", f"{length} values", f"time has {rows} rows; give as many values")


def _blocks(signals: int, rows: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(rows, 1))
    return (slice(start, start + step) for start in range(0, signals, step))


def _check_finite(keys: list[SignalKey], values: NDArray[np.float64], first: int) -> None:
    good = np.isfinite(values)
    if not all_true(good):
        number, row = (int(place) for place in np.argwhere(~good)[0])
        problem = (
            f"of {keys[first + number]}: JSON has no NaN or infinity; write this signal alone, without missing values"
        )
        raise InvalidInputError(f"values[{first + number}][{row}]", float(values[number, row]), problem)
