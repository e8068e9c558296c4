"""Long data frames, one row per reading, to lists of `SignalData` and back (extras `pandas`, `polars`, `files`).

| key | time | value | type | origin | unit |
|---|---|---|---|---|---|
| 12.122.32 | 2020-01-01T00:00:00Z | 1.5 | DBL | 1 | kW.h |

- The key is one column of texts, or three of integer ids. `key_columns=None` takes `key` if there is one, else
  `client_cid`, `sensor_mid` and `signal_type_moid`.
- Times follow the rules of `SignalData`: unix milliseconds, or datetimes with a time zone; naive ones are refused.
- `type`, `origin` and `unit` may be missing under these names, which means `"DBL"`, 1 and no unit. A null means
  "unknown"; the types, and the origins, of a signal's readings are all known or all unknown.
- A null value is a null reading; a NaN is refused, so leave such rows out first.
- One `SignalData` comes out per signal and unit, in the order of their first rows; their readings keep their order.

Everything wrong is refused as `InvalidInputError` with column and row number, counted from 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError
from besmart_async.integrations.long_frames import ColumnNames, joined, signals_of
from besmart_async.models.series import SignalData

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


def from_pandas(
    frame: pd.DataFrame,
    *,
    key_columns: str | Sequence[str] | None = None,
    time: str = "time",
    value: str = "value",
    type: str = "type",  # noqa: A002 - the API's name
    origin: str = "origin",
    unit: str = "unit",
) -> list[SignalData]:
    """Return the signals of a pandas frame; the time may be its index.

    Raises:
        InvalidInputError: a column is missing, or one of its rows cannot be a reading.
    """
    columns = ColumnNames(key=key_columns, time=time, value=value, type=type, origin=origin, unit=unit)
    return signals_of(_PandasTable(frame), columns)


def from_polars(
    frame: pl.DataFrame,
    *,
    key_columns: str | Sequence[str] | None = None,
    time: str = "time",
    value: str = "value",
    type: str = "type",  # noqa: A002 - the API's name
    origin: str = "origin",
    unit: str = "unit",
) -> list[SignalData]:
    """Return the signals of a polars frame.

    Raises:
        InvalidInputError: a column is missing, or one of its rows cannot be a reading.
    """
    columns = ColumnNames(key=key_columns, time=time, value=value, type=type, origin=origin, unit=unit)
    return signals_of(_PolarsTable(frame), columns)


def from_arrow(
    table: pa.Table,  # pyright: ignore[reportUnknownParameterType]
    *,
    key_columns: str | Sequence[str] | None = None,
    time: str = "time",
    value: str = "value",
    type: str = "type",  # noqa: A002 - the API's name
    origin: str = "origin",
    unit: str = "unit",
) -> list[SignalData]:
    """Return the signals of an arrow table.

    Raises:
        InvalidInputError: a column is missing, or one of its rows cannot be a reading.
    """
    columns = ColumnNames(key=key_columns, time=time, value=value, type=type, origin=origin, unit=unit)
    return signals_of(_ArrowTable(table), columns)


def to_pandas(items: Iterable[SignalData]) -> pd.DataFrame:
    """Return a pandas frame with columns key, time (UTC, microseconds), value, type, origin (nullable) and unit.

    A signal without readings has no rows; `.attrs["absent"]` lists the keys the service gave no answer for.

    Raises:
        InvalidInputError: an item that is not a `SignalData`.
    """
    import pandas as pd  # noqa: PLC0415 - imported only when asked for

    readings, signals, owner = joined(items)
    frame = readings.to_pandas().reset_index()
    frame["origin"] = frame["origin"].astype("Int64")
    text = pd.Series([""]).dtype  # object or str, as this pandas keeps texts; the same for columns without any
    frame["type"] = frame["type"].astype(text)
    frame.insert(0, "key", pd.Index([str(data.key) for data in signals], dtype=text).take(owner))
    frame["unit"] = pd.Index([data.unit for data in signals], dtype=text).take(owner)
    frame.attrs.clear()
    frame.attrs["absent"] = [str(data.key) for data in signals if data.absent]
    return frame


def to_polars(items: Iterable[SignalData]) -> pl.DataFrame:
    """Return a polars frame with columns key, time (UTC, microseconds), value, type, origin and unit.

    A signal without readings has no rows. Values that have no type in common become JSON texts, as in
    `SignalData.to_polars`.

    Raises:
        InvalidInputError: an item that is not a `SignalData`.
    """
    import polars as pl  # noqa: PLC0415 - imported only when asked for

    readings, signals, owner = joined(items)
    keys = pl.Series("key", [str(data.key) for data in signals], pl.String)
    units = pl.Series("unit", [data.unit for data in signals], pl.String)
    frame = readings.to_polars()
    return frame.with_columns(units.gather(owner)).select(keys.gather(owner), pl.all())


def to_arrow(items: Iterable[SignalData]) -> pa.Table:  # pyright: ignore[reportUnknownParameterType]
    """Return an arrow table with columns key, time (UTC, microseconds), value, type, origin and unit.

    A signal without readings has no rows. Values that have no type in common become JSON texts, as in
    `SignalData.to_arrow`.

    Raises:
        InvalidInputError: an item that is not a `SignalData`.
    """
    import pyarrow as pa  # noqa: PLC0415 - imported only when asked for

    readings, signals, owner = joined(items)
    table = readings.to_arrow().replace_schema_metadata(None)
    table = table.add_column(0, "key", pa.array([str(data.key) for data in signals], pa.string()).take(pa.array(owner)))
    units = pa.array([data.unit for data in signals], pa.string())
    return table.append_column("unit", units.take(pa.array(owner)))


class _PandasTable:
    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @property
    def names(self) -> Collection[str]:
        names: list[Any] = [*self._frame.columns, *self._frame.index.names]
        return names

    def values(self, name: str) -> Any:
        column = self._column(name)
        if not isinstance(column.dtype, np.dtype) and not hasattr(column.dtype, "tz") and column.isna().any():
            # Nullable columns distinguish null from NaN; a missing text is null as well.
            return column.astype(object).where(column.notna(), None).to_numpy()
        return column

    def coded(self, name: str) -> tuple[NDArray[np.int64], list[Any]]:
        codes, found = self._column(name).factorize()
        return codes.astype(np.int64), list(found)

    def _column(self, name: str) -> pd.Series[Any]:
        if name not in self._frame.columns:
            return self._frame.index.get_level_values(name).to_series()
        if list(self._frame.columns).count(name) > 1:
            raise InvalidInputError("columns", name, "two columns of this name")
        column: pd.Series[Any] = self._frame[name]
        return column


class _PolarsTable:
    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    @property
    def names(self) -> Collection[str]:
        return self._frame.columns

    def values(self, name: str) -> Any:
        column = self._frame[name]
        return column.to_list() if column.null_count() or column.dtype.is_nested() else column

    def coded(self, name: str) -> tuple[NDArray[np.int64], list[Any]]:
        import polars as pl  # noqa: PLC0415 - it is there, since the frame is

        column = self._frame[name]
        if column.null_count() == len(column):  # such a column may be of no type, which has no distinct values
            return np.full(len(column), -1, np.int64), []
        distinct = column.drop_nulls().unique(maintain_order=True)
        numbers = pl.int_range(len(distinct), dtype=pl.Int64, eager=True)
        codes = column.replace_strict(distinct, numbers, default=-1, return_dtype=pl.Int64)
        return codes.fill_null(-1).to_numpy(), distinct.to_list()


class _ArrowTable:
    def __init__(self, table: pa.Table) -> None:  # pyright: ignore[reportUnknownParameterType]
        self._table: Any = table

    @property
    def names(self) -> Collection[str]:
        names: list[str] = self._table.column_names
        return names

    def values(self, name: str) -> Any:
        import pyarrow as pa  # noqa: PLC0415 - it is there, since the table is

        column = self._table[name]
        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_temporal(kind) and getattr(kind, "tz", None) is None:
            raise InvalidInputError(
                f"{name}", str(kind), "times without a time zone; cast them to one with a zone first"
            )
        simple = pa.types.is_timestamp(kind) or pa.types.is_primitive(kind)
        return column.to_numpy() if simple and not column.null_count else column.to_pylist()

    def coded(self, name: str) -> tuple[NDArray[np.int64], list[Any]]:
        import pyarrow as pa  # noqa: PLC0415 - it is there, since the table is

        column = self._table[name].combine_chunks()
        if pa.types.is_null(column.type):
            return np.full(len(column), -1, np.int64), []
        encoded = column.dictionary_encode()
        return encoded.indices.fill_null(-1).to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
