"""Readings of many signals at the same times, as a frame with a column for each meter has them.

What a write of one signal takes for itself (a call, looking at the times, at the values, a copy) is done here for a
block of signals at once. Blocks are small, so that what is copied is still near when it is encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.grids import all_true
from besmart_async.errors import InvalidInputError
from besmart_async.models.keys import SignalKey, checked_id, checked_key
from besmart_async.models.series import SignalData, checked_unit
from besmart_async.models.times import TimeColumn, time_column
from besmart_async.models.values import DOUBLE, ValueColumn, checked_type, value_column

_BLOCK = 6_400
"""Readings of a block: 50 KB of values."""

Matrix = NDArray[np.float64] | list[NDArray[Any]]
"""Values by signal: an array of shape (signals, rows), or checked columns."""


@attrs.frozen(eq=False)
class ManyColumns:
    """Checked columns of many signals.

    Attributes:
        keys: the signals, in the order of writing.
        time: their times, shape (rows,).
        values: their values; an array is the caller's own, and copied block by block.
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
        """Bring what a caller gave into normal form.

        Raises:
            InvalidInputError: a key, time or value is refused, or there are not as many as there must be.
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
        """Whether values are finite floats and times are ints: what needs no `SignalData`."""
        return isinstance(self.values, np.ndarray) and self.time.dtype == np.int64 and len(self.time) > 0

    def blocks(self) -> Iterator[tuple[list[SignalKey], Matrix]]:
        """Yield some signals at a time, and copies of their values.

        Raises:
            InvalidInputError: the caller has put in NaN or infinity meanwhile.
        """
        for signals in _blocks(len(self.keys), len(self.time)):
            some = self.values[signals]
            if isinstance(some, np.ndarray):
                some = np.array(some, order="C")
                _check_finite(self.keys, some, signals.start)
            yield self.keys[signals], some

    def columns(self, key: SignalKey, value: NDArray[Any]) -> SignalData:
        """Return one of the signals by itself."""
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
            f"of {keys[first + number]}: JSON has no NaN or infinity; leave out what is missing, by a write for each"
        )
        raise InvalidInputError(f"values[{first + number}][{row}]", float(values[number, row]), problem)
