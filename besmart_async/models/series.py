"""`SignalData`: the readings of one signal as columns. No object per reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError
from besmart_async.models.keys import SignalKey, checked_key
from besmart_async.models.times import FrameColumn, TimeColumn, TimeLike, from_ms, time_column, to_ms
from besmart_async.models.values import DOUBLE, ValueColumn, checked_unicode, origin_column, type_column, value_column

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@attrs.frozen(init=False, eq=False, repr=False)
class SignalData:
    """Readings of one signal, as in the bodies of `/sensors/signals/data`.

    The columns are copied when it is made and cannot be changed afterwards.

    Attributes:
        key: which signal.
        time: UTC unix milliseconds, shape (n,), int64 (float64 if any has a fraction of a millisecond).
        value: shape (n,), float64, int64, bool, or object for strings, nulls and mixed values. Its unit is `unit`.
        type: the type name of all readings (`"DBL"`, `"RM"` ...), an object array (n,) where they differ, or None
            if unknown.
        origin: 1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected; an int64 array (n,) where readings
            differ, or None if unknown.
        unit: unit symbol such as `"kW.h"`; None if unknown. Sent only if given, never converted.
        absent: True if the service gave no answer for the signal, which differs from an answer without readings.

    Raises:
        InvalidInputError: columns of different lengths, NaN or infinity, naive datetimes, anything JSON cannot hold.
    """

    key: SignalKey
    time: NDArray[Any]
    value: NDArray[Any]
    type: str | NDArray[Any] | None
    origin: int | NDArray[Any] | None
    unit: str | None
    absent: bool

    def __init__(
        self,
        key: SignalKey,
        time: TimeColumn,
        value: ValueColumn,
        type: str | Sequence[str] | NDArray[Any] | FrameColumn | None = DOUBLE,  # noqa: A002 - the API's name
        origin: int | Sequence[int] | NDArray[Any] | FrameColumn | None = 1,
        unit: str | None = None,
    ) -> None:
        """Check and copy the columns."""
        key = checked_key(key)
        times = time_column(time)
        values = value_column(value)
        if len(times) != len(values):
            raise InvalidInputError("value", f"{len(values)} rows", f"time has {len(times)} rows; give as many values")
        types, origins = type_column(type, len(times)), origin_column(origin, len(times))
        self._set(key, times, values, types, origins, checked_unit(unit))

    def _set(
        self,
        key: SignalKey,
        time: NDArray[Any],
        value: NDArray[Any],
        type_: str | NDArray[Any] | None,
        origin: int | NDArray[Any] | None,
        unit: str | None,
        absent: bool = False,
    ) -> None:
        if time.flags.writeable:  # to ask takes a quarter of the time of `setflags`
            time.setflags(write=False)
        if value.flags.writeable:
            value.setflags(write=False)
        if isinstance(type_, np.ndarray):
            type_.setflags(write=False)
        if isinstance(origin, np.ndarray):
            origin.setflags(write=False)
        self.__attrs_init__(key, time, value, type_, origin, unit, absent)  # pyright: ignore[reportAttributeAccessIssue]

    @classmethod
    def trusted(
        cls,
        key: SignalKey,
        time: NDArray[Any],
        value: NDArray[Any],
        type: str | NDArray[Any] | None = DOUBLE,  # noqa: A002 - the API's name
        origin: int | NDArray[Any] | None = 1,
        unit: str | None = None,
    ) -> Self:
        """Wrap columns that are in normal form and will not be changed, without checks or copies."""
        self = cls.__new__(cls)
        self._set(key, time, value, type, origin, unit)
        return self

    @classmethod
    def missing(cls, key: SignalKey) -> Self:
        """Return what stands for "the service gave no answer for this signal": no rows, `absent` True."""
        self = cls.__new__(cls)
        self._set(key, np.empty(0, np.int64), np.empty(0, np.float64), DOUBLE, 1, None, absent=True)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Columns leave a pickle writeable: they are made read-only again.
        columns = (self.key, self.time, self.value, self.type, self.origin, self.unit, self.absent)
        return _restored, (type(self), columns)

    def __len__(self) -> int:
        return len(self.time)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SignalData):
            return NotImplemented
        return (
            self.key == other.key
            and self.unit == other.unit
            and self.absent == other.absent
            and np.array_equal(self.time, other.time)
            and np.array_equal(self.value, other.value)
            and (len(self) == 0 or (_same(self.type, other.type) and _same(self.origin, other.origin)))
        )

    __hash__ = None  # type: ignore[assignment]  # columns are compared by content, which has no hash

    def __repr__(self) -> str:
        if self.absent:
            return f"<SignalData {self.key}: absent>"
        if not len(self):
            return f"<SignalData {self.key}: no readings>"
        span = f"{_stamp(self.time.min())} to {_stamp(self.time.max())}" if len(self) > 1 else _stamp(self.time[0])
        extent = _extent(self.value) + (f" {self.unit}" if self.unit else "")
        kinds = f"type {_told(self.type)}, origin {_told(self.origin)}"
        return f"<SignalData {self.key}: {len(self)} readings, {span}, {extent}, {kinds}>"

    def take(self, rows: slice | NDArray[Any]) -> Self:
        """Return the readings at `rows`: a slice, a boolean mask or row numbers."""
        if self.absent:
            return self
        type_ = self.type[rows] if isinstance(self.type, np.ndarray) else self.type
        origin = self.origin[rows] if isinstance(self.origin, np.ndarray) else self.origin
        return type(self).trusted(self.key, self.time[rows], self.value[rows], type_, origin, self.unit)

    def between(self, since: TimeLike, till: TimeLike) -> Self:
        """Return the readings with `since <= time < till`, in their order.

        Raises:
            InvalidInputError: `since` or `till` is not a moment.
        """
        return self.take((self.time >= to_ms(since, "since")) & (self.time < to_ms(till, "till")))

    def sorted(self) -> Self:
        """Return the readings sorted by time; readings of equal time keep their order."""
        if self.absent or bool((self.time[1:] >= self.time[:-1]).all()):
            return self
        return self.take(np.argsort(self.time, kind="stable"))

    @classmethod
    def concat(cls, parts: Iterable[SignalData]) -> Self:
        """Join readings of one signal in one unit, in the order given; absent parts add nothing.

        Raises:
            InvalidInputError: no parts, or parts of different signals or units.
        """
        given = list(parts)
        if not given or not all(isinstance(part, SignalData) for part in given):
            raise InvalidInputError("parts", given, "give SignalData, at least one")
        key = given[0].key
        for part in given:
            if part.key != key:
                raise InvalidInputError("parts", str(part.key), f"another signal than {key}")
        present = [part for part in given if not part.absent]
        if not present:
            return cls.missing(key)
        filled = [part for part in present if len(part)] or present[:1]
        for part in filled:
            if part.unit != filled[0].unit:
                raise InvalidInputError(
                    "parts", part.unit, f"another unit than {filled[0].unit!r}; convert one of them first"
                )
        lengths = [len(part) for part in filled]
        return cls.trusted(
            key,
            np.concatenate([part.time for part in filled]),
            _join([part.value for part in filled]),
            _join_constants([part.type for part in filled], lengths),
            _join_constants([part.origin for part in filled], lengths),
            filled[0].unit,
        )

    def rows(self) -> Iterator[tuple[int | float, Any, str | None, int | None]]:
        """Iterate over (time, value, type, origin); for looking at a few readings, not for bulk work."""
        n = len(self)
        types = self.type.tolist() if isinstance(self.type, np.ndarray) else [self.type] * n
        origins = self.origin.tolist() if isinstance(self.origin, np.ndarray) else [self.origin] * n
        return zip(self.time.tolist(), self.value.tolist(), types, origins, strict=True)

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas frame indexed by UTC `time`; columns value, type, origin; key and unit in `.attrs`.

        Times are microseconds, as pandas 3 makes them itself and as `integrations.dataframes` has them, so that frames
        can be merged. pandas 2 makes nanoseconds: there, give one of the two `.as_unit`.
        """
        from besmart_async.models.frames import to_pandas  # noqa: PLC0415 - pandas takes half a second to import

        return to_pandas(self)

    def to_polars(self) -> pl.DataFrame:
        """Return a polars frame with columns time (UTC, microseconds), value, type, origin."""
        from besmart_async.models.frames import to_polars  # noqa: PLC0415 - imported only when asked for

        return to_polars(self)

    def to_arrow(self) -> pa.Table:  # pyright: ignore[reportUnknownParameterType]
        """Return an arrow table with columns time (UTC, microseconds), value, type, origin; metadata: key and unit."""
        from besmart_async.models.frames import to_arrow  # noqa: PLC0415 - imported only when asked for

        return to_arrow(self)


def checked_unit(unit: object) -> str | None:
    """Return a unit symbol or None.

    Raises:
        InvalidInputError: anything else, the empty string included.
    """
    if unit is None:
        return None
    if isinstance(unit, str) and unit:
        return checked_unicode("unit", unit)
    raise InvalidInputError("unit", unit, "give a unit symbol such as 'kW.h', or None")


def _restored(cls: type[SignalData], columns: tuple[Any, ...]) -> SignalData:
    self = cls.__new__(cls)
    self._set(*columns)  # pyright: ignore[reportPrivateUsage]
    return self


def _same(one: Any, other: Any) -> bool:
    """Return whether two types or origins are equal, whether they are one value or one per row."""
    return bool(np.all(np.equal(one, other, dtype=object)))


def _join(columns: list[NDArray[Any]]) -> NDArray[Any]:
    kinds = {column.dtype for column in columns}
    if len(kinds) == 1:
        return np.concatenate(columns)
    if kinds <= {np.dtype(np.int64), np.dtype(np.float64)}:
        joined = np.concatenate(columns)
        if all((np.abs(column) < 2**53).all() for column in columns if column.dtype.kind == "i"):
            return joined
    return np.concatenate([column.astype(object) for column in columns])


def _join_constants(columns: list[Any], lengths: list[int]) -> Any:
    first = columns[0]
    if not any(isinstance(column, np.ndarray) for column in columns) and all(column == first for column in columns):
        return first
    arrays = [
        column
        if isinstance(column, np.ndarray)
        else np.array([column] * length, object if not isinstance(column, int) else np.int64)
        for column, length in zip(columns, lengths, strict=True)
    ]
    return np.concatenate(arrays)


def _stamp(ms: float) -> str:
    return from_ms(ms).isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def _extent(value: NDArray[Any]) -> str:
    if value.dtype.kind in "fi":
        low, high = value.min(), value.max()
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return f"{value.dtype.name} values"


def _told(column: object) -> object:
    return "mixed" if isinstance(column, np.ndarray) else column
