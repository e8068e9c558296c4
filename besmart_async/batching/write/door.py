"""The door of a writer: what callers pass, checked and in normal form. Nothing gets in that JSON cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.grids import all_true
from besmart_async.errors import InvalidInputError
from besmart_async.models.keys import SignalKey, checked_id, checked_key
from besmart_async.models.series import SignalData, checked_unit
from besmart_async.models.times import MAX_MS, MIN_MS, TimeColumn, TimeLike, plain_array, time_column, to_ms
from besmart_async.models.values import DOUBLE, REMOVED, JsonValue, checked_json, checked_type

_finite = np.isfinite
_INT, _FLOAT = np.dtype(np.int64), np.dtype(np.float64)

TypeColumn = str | Sequence[str] | NDArray[Any]
OriginColumn = int | Sequence[int] | NDArray[Any]


PlainReading = tuple[SignalKey, int, float, str, int, str | None]
"""A checked reading that is plain, as the fast path passes it on: key, time, value, type, origin, unit."""


@attrs.frozen
class Reading:
    """One checked reading. `plain`: an int time and a float value."""

    key: SignalKey
    time: int | float
    value: JsonValue
    type: str
    origin: int
    unit: str | None

    @property
    def plain(self) -> bool:
        """Whether it fits columns of ints and floats as it is."""
        return type(self.time) is int and type(self.value) is float

    def __len__(self) -> int:
        return 1

    def columns(self) -> SignalData:
        """Return it as columns of one row."""
        time, value = plain_array([self.time]), plain_array([self.value])
        return SignalData.trusted(self.key, time, value, self.type, self.origin, self.unit)


def is_plain(key: Any, time: Any, value: Any, type_: Any, origin: Any, unit: Any) -> bool:
    """Tell whether `write` was given a reading that is in normal form already, or arrays that may be (`plain_values`).

    Anything else is for `admitted` to bring into normal form, or to refuse.
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
    """Return a copy of the values if they and the times are plain: int64 and finite float64, as many, not none."""
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
    """Return what `write` was given as one reading, or as columns if `time` is a column.

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


def removal(key: SignalKey, time: TimeLike | TimeColumn, origin: int) -> Reading | SignalData:
    """Return the readings that mark others as deleted; their value is ignored by the service.

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
        InvalidInputError: it is no `SignalData`, or the service's "no answer".
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
