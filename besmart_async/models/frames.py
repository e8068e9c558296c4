"""`SignalData` as pandas, polars and arrow tables. Every import here is lazy: each library costs 0.3 to 1 s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from besmart_async.models.series import SignalData


def to_pandas(data: SignalData) -> pd.DataFrame:
    """Return a frame indexed by UTC time, with columns value, type and origin."""
    import pandas as pd  # noqa: PLC0415

    time, resolution = _times(data)
    index = pd.DatetimeIndex(time.astype(f"datetime64[{resolution}]"), name="time").tz_localize("UTC")
    columns = {"value": data.value, "type": data.type, "origin": data.origin}
    frame = pd.DataFrame(columns, index=index)
    frame.attrs.update(key=str(data.key), unit=data.unit)
    return frame


def to_polars(data: SignalData) -> pl.DataFrame:
    """Return a frame with columns time, value, type and origin."""
    import polars as pl  # noqa: PLC0415

    time, resolution = _times(data)
    moments = pl.Series("time", time).cast(pl.Datetime(resolution, "UTC"))
    return pl.DataFrame(
        {
            "time": moments,
            "value": pl.Series("value", _listed(data.value), strict=False),
            "type": pl.Series("type", _spread(data.type, len(data)), pl.String),
            "origin": pl.Series("origin", _spread(data.origin, len(data)), pl.Int64),
        }
    )


def to_arrow(data: SignalData) -> pa.Table:  # pyright: ignore[reportUnknownParameterType]
    """Return a table with columns time, value, type and origin."""
    import pyarrow as pa  # noqa: PLC0415

    time, resolution = _times(data)
    table: pa.Table = pa.table(
        {
            "time": pa.array(time, pa.timestamp(resolution, "UTC")),
            "value": pa.array(_listed(data.value)),
            "type": pa.array(_spread(data.type, len(data)), pa.string()),
            "origin": pa.array(_spread(data.origin, len(data)), pa.int64()),
        }
    )
    metadata = {"key": str(data.key)} | ({"unit": data.unit} if data.unit else {})
    return table.replace_schema_metadata(metadata)


def _times(data: SignalData) -> tuple[Any, Any]:
    """Return whole counts since the epoch and their resolution: ms, or us where a time has a fraction."""
    if data.time.dtype.kind == "f":
        return np.rint(data.time * 1000).astype(np.int64), "us"
    return data.time, "ms"


def _listed(column: Any) -> Any:
    return column.tolist() if column.dtype == object else column


def _spread(column: object, rows: int) -> list[object]:
    values: list[object] = column.tolist() if isinstance(column, np.ndarray) else [column] * rows
    return values
