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
    """Encode that body from what `item_of` and `Form.filled` return, at once: faster than one by one."""
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


class Form:
    """An element of that body for checked readings of one type and origin, to be filled in again and again.

    Hundreds of new dicts for each body would make the garbage collector run each time, through everything there is.
    """

    __slots__ = ("_constants", "_data", "_item", "_item_in_unit")

    def __init__(self) -> None:
        self._data: dict[str, Any] = {"time": None, "value": None, "type": None, "origin": None}
        self._item: JsonItem = {"client_cid": 0, "sensor_mid": 0, "signal_type_moid": 0, "data": self._data}
        self._item_in_unit: JsonItem = self._item | {"unit": ""}
        self._constants: tuple[object, ...] = ()

    def filled(
        self, key: SignalKey, time: object, value: object, rows: int, type_: str, origin: int, unit: str | None
    ) -> JsonItem:
        """Return what `item_of` does; it is good until the form is filled in or cleared again.

        `time` (ints) and `value` (floats) are lists or contiguous arrays, `time` may be prepared text as well.
        """
        if unit is None:
            item = self._item
        else:
            item = self._item_in_unit
            item["unit"] = unit
        item["client_cid"] = key.client_cid
        item["sensor_mid"] = key.sensor_mid
        item["signal_type_moid"] = key.signal_type_moid
        data = self._data
        data["time"] = time
        data["value"] = value
        if self._constants != (constants := (type_, origin, rows)):
            self._constants = constants
            data["type"], data["origin"] = (_constants if rows <= 1024 else _long_constants)(type_, origin, rows)
        return item

    def clear(self) -> None:
        """Keep no readings alive."""
        self._data["time"] = self._data["value"] = None


def join_items(items: Iterable[bytes]) -> bytes:
    """Make one JSON list of encoded elements."""
    return b"[" + b",".join(items) + b"]"


def encode_queries(queries: Iterable[SignalQuery]) -> bytes:
    """Encode the body of `POST /sensors/signals/data`; what is None is left out."""
    return orjson.dumps([_asked(query) for query in queries])


def _asked(query: SignalQuery) -> dict[str, Any]:
    key = query.key
    asked: dict[str, Any] = {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "since": query.since,
        "till": query.till,
    }
    if options := query.options:
        asked |= options
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


def _both_constants(type_: str, origin: int, rows: int) -> tuple[orjson.Fragment, orjson.Fragment]:
    return _constant(type_, rows), _constant(origin, rows)


_constants = lru_cache(maxsize=1024)(_both_constants)
_long_constants = lru_cache(maxsize=8)(_both_constants)  # some bytes a row: few of them
