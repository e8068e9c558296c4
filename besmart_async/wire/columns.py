"""Readings as bytes: what is written, past the entity codec. `series.py` reads them.

Per signal: `{"client_cid", "sensor_mid", "signal_type_moid", "data": {"time": [...], "value": [...], "type": [...],
"origin": [...]}, "unit"}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

_SHORT = 16
"""Below this many rows a list encodes faster than an array, whose set-up costs orjson some 450 ns."""

JsonItem = dict[str, Any]
"""An element of a bulk write for orjson: it may hold arrays and prepared text."""


def encode_columns(data: SignalData) -> bytes:
    """Encode the body of `PUT /sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data`."""
    return orjson.dumps(_columns(data), option=orjson.OPT_SERIALIZE_NUMPY)


def encode_item(data: SignalData) -> bytes:
    """Encode one element of the body of `PUT /sensors/signals/data`."""
    return orjson.dumps(item_of(data), option=orjson.OPT_SERIALIZE_NUMPY)


def encode_items(items: list[JsonItem]) -> bytes:
    """Encode that body from what `item_of` returns, at once: faster than one by one."""
    return orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY)


def item_of(data: SignalData) -> JsonItem:
    """Return one element of that body as orjson takes it, with its numpy option."""
    key = data.key
    item: JsonItem = {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "data": _columns(data),
    }
    return item if data.unit is None else item | {"unit": data.unit}


def encode_queries(queries: Iterable[SignalQuery], names: Mapping[str, str] | None = None) -> bytes:
    """Encode the body of `POST /sensors/signals/data`; what is None is left out.

    Args:
        queries: what is asked.
        names: name on the wire of each option; None for the options' own names.
    """
    return orjson.dumps([_asked(query, names) for query in queries])


def _asked(query: SignalQuery, names: Mapping[str, str] | None) -> dict[str, Any]:
    key = query.key
    asked: dict[str, Any] = {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "since": query.since,
        "till": query.till,
    }
    if options := query.options:
        asked |= options if names is None else {names[option]: value for option, value in options.items()}
    return asked


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
    text = orjson.dumps(value)
    return orjson.Fragment(b"[" + (text + b",") * (rows - 1) + (text if rows else b"") + b"]")
