"""Readings as bytes: what is written, past the entity codec. `series.py` reads them.

Per signal: `{"client_cid", "sensor_mid", "signal_type_moid", "data": {"time": [...], "value": [...], "type": [...],
"origin": [...]}, "unit"}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.values import JsonValue

_SHORT = 16
"""Below this many rows a list encodes faster than an array, whose set-up costs orjson some 450 ns."""


def encode_columns(data: SignalData) -> bytes:
    """Encode the body of `PUT /sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data`."""
    return orjson.dumps(_columns(data), option=orjson.OPT_SERIALIZE_NUMPY)


def encode_item(data: SignalData) -> bytes:
    """Encode one element of the body of `PUT /sensors/signals/data`."""
    key = data.key
    item: dict[str, Any] = {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "data": _columns(data),
    }
    if data.unit is not None:
        item["unit"] = data.unit
    return orjson.dumps(item, option=orjson.OPT_SERIALIZE_NUMPY)


def encode_rows(
    key: SignalKey, times: list[int | float], values: list[JsonValue], type_: str, origin: int, unit: str | None
) -> bytes:
    """Encode what `encode_item` does, byte for byte, from a few checked readings of one type and origin.

    Times are ints and values floats. One reading takes 2 us so, and 5 by way of columns, making the arrays included.
    """
    rows = len(times)
    item: dict[str, Any] = {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "data": {"time": times, "value": values, "type": [type_] * rows, "origin": [origin] * rows},
    }
    if unit is not None:
        item["unit"] = unit
    return orjson.dumps(item)


def join_items(items: Iterable[bytes]) -> bytes:
    """Make one JSON list of encoded elements."""
    return b"[" + b",".join(items) + b"]"


def encode_query(query: SignalQuery) -> bytes:
    """Encode one element of the body of `POST /sensors/signals/data`; what is None is left out."""
    key = query.key
    asked: dict[str, Any] = {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "since": query.since,
        "till": query.till,
    }
    return orjson.dumps(asked | query.options)


def _columns(data: SignalData) -> dict[str, Any]:
    columns: dict[str, Any] = {"time": _plain(data.time), "value": _plain(data.value)}
    if data.type is not None:
        columns["type"] = _constant(data.type, len(data)) if isinstance(data.type, str) else data.type.tolist()
    if data.origin is not None:
        columns["origin"] = _constant(data.origin, len(data)) if isinstance(data.origin, int) else _plain(data.origin)
    return columns


def _plain(column: NDArray[Any]) -> Any:
    if column.dtype == object or len(column) < _SHORT:
        return column.tolist()
    return np.ascontiguousarray(column)


def _constant(value: str | int, rows: int) -> orjson.Fragment:
    return orjson.Fragment(_repeated(value, rows) if rows <= 4096 else _repeat(value, rows))


def _repeat(value: str | int, rows: int) -> bytes:
    return b"[" + (orjson.dumps(value) + b",") * (rows - 1) + (orjson.dumps(value) if rows else b"") + b"]"


_repeated = lru_cache(maxsize=1024)(_repeat)
