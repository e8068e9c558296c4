"""Parquet. pyarrow takes 0.3 s to import, so this module is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from besmart_async.errors import InvalidInputError
from besmart_async.export.rows import BLOCK_ROWS, IDS, Times, values
from besmart_async.models.series import SignalData
from besmart_async.models.times import to_microseconds
from besmart_async.models.values import REMOVED

ROW_GROUP = 128 * 1024
"""Rows of a row group: a few MB, which readers can skip or take one by one."""

_EXACT = 2**53


class ParquetSink:
    """One table, zstd inside. Times are timestamps (UTC, microseconds) or int64 milliseconds.

    `value` is a double. What no double holds (texts, truth values, structures, integers beyond 2**53) is null there,
    and in `value_json` as JSON.
    """

    def __init__(self, stream: BinaryIO, times: Times) -> None:
        self._schema = _schema(times)
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, data: SignalData) -> Iterator[int]:
        """Write readings block by block; yields the rows of each block.

        Raises:
            InvalidInputError: a time with a fraction of a millisecond, where whole ones were asked for.
        """
        data = data.sorted()
        for start in range(0, len(data), BLOCK_ROWS):
            part = data.take(slice(start, start + BLOCK_ROWS))
            self._waiting.append(_batch(part, self._schema))
            self._rows += len(part)
            if self._rows >= ROW_GROUP:
                self._write_group()
            yield len(part)

    def finish(self) -> None:
        """Write what is buffered, and the footer."""
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=ROW_GROUP * 4)
            self._waiting, self._rows = [], 0


def _schema(times: Times) -> Any:
    iso, unix = pa.timestamp("us", "UTC"), pa.int64()
    moments = {"iso": [("time", iso)], "ms": [("time", unix)], "both": [("time", iso), ("unix_ms", unix)]}[times]
    few = pa.dictionary(pa.int32(), pa.string())
    values_ = [
        ("value", pa.float64()),
        ("value_json", pa.string()),
        ("unit", few),
        ("type", few),
        ("origin", pa.int64()),
    ]
    return pa.schema([*((name, pa.int64()) for name in IDS), *moments, *values_])


def _batch(data: SignalData, schema: Any) -> Any:
    rows = len(data)
    doubles, texts = _values(data)
    columns: dict[str, Any] = {
        **{name: np.full(rows, getattr(data.key, name), np.int64) for name in IDS},
        "value": doubles,
        "value_json": texts,
        "unit": [data.unit] * rows,
        "type": _spread(data.type, rows),
        "origin": _spread(data.origin, rows),
    }
    for name in schema.names:
        if name not in columns:
            columns[name] = to_microseconds(data.time) if schema.field(name).type != pa.int64() else _whole(data)
    return pa.record_batch([pa.array(columns[name], schema.field(name).type) for name in schema.names], schema=schema)


def _values(data: SignalData) -> tuple[Any, list[str | None]]:
    """Return the values as doubles where doubles hold them exactly, else as JSON texts."""
    rows = len(data)
    if data.value.dtype == np.float64 and isinstance(data.type, str | None):
        return (data.value if data.type != REMOVED else [None] * rows), [None] * rows
    doubles: list[float | None] = []
    texts: list[str | None] = []
    for value in values(data):
        holds = type(value) is float or (type(value) is int and abs(value) <= _EXACT)
        doubles.append(float(value) if holds else None)
        texts.append(None if holds or value is None else orjson.dumps(value).decode())
    return doubles, texts


def _whole(data: SignalData) -> Any:
    if data.time.dtype.kind == "f":
        problem = "has a fraction of a millisecond, which a column of whole ones cannot hold; export ISO times"
        raise InvalidInputError("time", float(data.time[data.time % 1 != 0][0]), problem)
    return data.time


def _spread(column: object, rows: int) -> Any:
    return column if isinstance(column, np.ndarray) else [column] * rows
