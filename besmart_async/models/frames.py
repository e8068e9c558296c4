"""`SignalData` as pandas, polars and arrow tables. Every import here is lazy: each library costs 0.3 to 1 s.

Columns of arrow and polars have one type. Values that have none in common (numbers beside texts, structures) become
their JSON texts there, so that nothing is rounded or lost; nulls stay nulls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.models.times import to_microseconds

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from besmart_async.models.series import SignalData


def to_pandas(data: SignalData) -> pd.DataFrame:
    """Return a frame indexed by UTC time in microseconds, with columns value, type and origin."""
    import pandas as pd  # noqa: PLC0415

    time = to_microseconds(data.time)
    index = pd.DatetimeIndex(time.astype("datetime64[us]"), name="time").tz_localize("UTC")
    columns = {"value": data.value, "type": data.type, "origin": data.origin}
    frame = pd.DataFrame(columns, index=index)
    frame.attrs.update(key=str(data.key), unit=data.unit)
    return frame


def to_polars(data: SignalData) -> pl.DataFrame:
    """Return a frame with columns time (UTC, microseconds), value, type and origin."""
    import polars as pl  # noqa: PLC0415

    time = to_microseconds(data.time)
    moments = pl.Series("time", time).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {
            "time": moments,
            "value": pl.Series("value", _uniform(data.value)),
            "type": pl.Series("type", _spread(data.type, len(data)), pl.String),
            "origin": pl.Series("origin", _spread(data.origin, len(data)), pl.Int64),
        }
    )


def to_arrow(data: SignalData) -> pa.Table:  # pyright: ignore[reportUnknownParameterType]
    """Return a table with columns time (UTC, microseconds), value, type and origin."""
    import pyarrow as pa  # noqa: PLC0415

    time = to_microseconds(data.time)
    table: pa.Table = pa.table(
        {
            "time": pa.array(time, pa.timestamp("us", "UTC")),
            "value": pa.array(_uniform(data.value)),
            "type": pa.array(_spread(data.type, len(data)), pa.string()),
            "origin": pa.array(_spread(data.origin, len(data)), pa.int64()),
        }
    )
    metadata = {"key": str(data.key)} | ({"unit": data.unit} if data.unit else {})
    return table.replace_schema_metadata(metadata)


def _uniform(column: NDArray[Any]) -> NDArray[Any] | list[Any]:
    """Return values that fit one column type."""
    if column.dtype != object:
        return column
    values: list[Any] = column.tolist()
    present = [value for value in values if value is not None]
    kinds = set(map(type, present))
    if kinds <= {bool} or kinds <= {str} or kinds <= {float}:
        return values
    if kinds <= {int} and all(-(2**63) <= value < 2**63 for value in present):
        return values
    if kinds <= {int, float} and all(abs(value) < 2**53 for value in present if type(value) is int):
        return [None if value is None else float(value) for value in values]
    return [None if value is None else orjson.dumps(value).decode() for value in values]


def _spread(column: object, rows: int) -> list[object]:
    values: list[object] = column.tolist() if isinstance(column, np.ndarray) else [column] * rows
    return values
