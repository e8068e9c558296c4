"""Readings between columns and bytes: the fast path, past the entity codec.

Written: `{"client_cid", "sensor_mid", "signal_type_moid", "data": {"time": [...], "value": [...], "type": [...],
"origin": [...]}, "unit"}` per signal. Read: the same, and the forms of earlier texts of 0.1.5: `data` as a list of rows
`{time, value, type, origin}`, one object instead of a list of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any

import attrs
import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.errors import DecodeError, InvalidInputError, Response
from besmart_async.models.keys import SignalKey, checked_id
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.tasks import GraphOutput
from besmart_async.models.times import plain_array, time_column
from besmart_async.models.values import DOUBLE, MEASURED, JsonValue
from besmart_async.wire.codec import json_of
from besmart_async.wire.found import found, integer

_SHORT = 16
"""Below this many rows a list encodes faster than an array, whose set-up costs orjson some 450 ns."""

JsonItem = dict[str, Any]
"""An element of a bulk write for orjson: it may hold arrays and prepared text."""

_IDS = ("client_cid", "sensor_mid", "signal_type_moid")
_COLUMNS = ("time", "value", "type", "origin")


def encode_columns(data: SignalData) -> bytes:
    """Encode the body of `PUT /sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data`."""
    return orjson.dumps(_columns(data), option=orjson.OPT_SERIALIZE_NUMPY)


def encode_item(data: SignalData) -> bytes:
    """Encode one element of the body of `PUT /sensors/signals/data`."""
    return orjson.dumps(item_of(data), option=orjson.OPT_SERIALIZE_NUMPY)


def encode_items(items: list[JsonItem]) -> bytes:
    """Encode that body from what `item_of` and `plain_item` return, at once: faster than one by one."""
    return orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY)


def item_of(data: SignalData) -> JsonItem:
    """Return one element of that body as orjson takes it, with its numpy option."""
    item: JsonItem = {name: getattr(data.key, name) for name in _IDS} | {"data": _columns(data)}
    return item if data.unit is None else item | {"unit": data.unit}


def plain_item(
    key: SignalKey, time: object, value: object, rows: int, type_: str, origin: int, unit: str | None
) -> JsonItem:
    """Return what `item_of` does, of checked readings of one type and origin.

    `time` (ints) and `value` (floats) are lists or contiguous arrays, `time` may be prepared text as well.
    """
    types, origins = (_constants if rows <= 1024 else _long_constants)(type_, origin, rows)
    item: JsonItem = {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
        "data": {"time": time, "value": value, "type": types, "origin": origins},
    }
    if unit is not None:
        item["unit"] = unit
    return item


def join_items(items: Iterable[bytes]) -> bytes:
    """Make one JSON list of encoded elements."""
    return b"[" + b",".join(items) + b"]"


def encode_query(query: SignalQuery) -> bytes:
    """Encode one element of the body of `POST /sensors/signals/data`; what is None is left out."""
    options = attrs.asdict(query, recurse=False, filter=lambda _, value: value is not None)
    del options["key"]
    return orjson.dumps({name: getattr(query.key, name) for name in _IDS} | options)


def decode_series(response: Response, key: SignalKey | None = None) -> list[SignalData]:
    """Decode an answer with readings: one `SignalData` per element, in the answer's order.

    Args:
        response: the answer.
        key: which signal was asked for, where the answer need not say; None if each element must.

    Raises:
        DecodeError: naming the element and column, such as `$[3].data.value`.
    """
    try:
        return [_series(item, path, key) for path, item in _elements(json_of(response))]
    except DecodeError as error:
        raise DecodeError(error.problem, path=error.path, response=response) from None


def decode_outputs(value: object) -> tuple[GraphOutput, ...]:
    """Pick the series out of a graph's parsed answer; what has no `data` with columns is none.

    Raises:
        DecodeError: the columns of one are malformed.
    """
    return tuple(
        _output(item, path)
        for path, item in _elements(value)
        if isinstance(item, Mapping) and _is_series(item.get("data"))
    )


def _is_series(data: object) -> bool:
    if isinstance(data, list):
        return all(isinstance(row, Mapping) and "time" in row for row in data)
    return isinstance(data, Mapping) and "time" in data


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


def _elements(value: object) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if isinstance(value, list):
        return [(f"$[{row}]", item) for row, item in enumerate(value)]
    return [("$", value)]


def _series(item: Any, path: str, key: SignalKey | None) -> SignalData:
    if not isinstance(item, Mapping):
        raise DecodeError(f"expected an object, found {found(item)}", path=path)
    key = _key(item, path, key)
    time, value, type_, origin = _decoded_columns(item.get("data"), f"{path}.data")
    return SignalData.trusted(key, time, value, type_, origin, _unit(item, path))


def _output(item: Mapping[str, Any], path: str) -> GraphOutput:
    time, value, type_, origin = _decoded_columns(item["data"], f"{path}.data")
    key = _key(item, path, None) if all(item.get(name) is not None for name in _IDS) else None
    extra: dict[str, JsonValue] = {name: part for name, part in item.items() if name not in {*_IDS, "data", "unit"}}
    return GraphOutput(time=time, value=value, type=type_, origin=origin, key=key, unit=_unit(item, path), extra=extra)


def _key(item: Mapping[str, Any], path: str, asked: SignalKey | None) -> SignalKey:
    ids: list[int] = []
    for name in _IDS:
        given = item.get(name)
        if given is None and asked is not None:
            given = getattr(asked, name)
        try:
            ids.append(integer(given))
        except ValueError as error:
            raise DecodeError(str(error), path=f"{path}.{name}") from None
    try:
        return SignalKey(*ids)
    except InvalidInputError as error:
        raise DecodeError(f"no id: {error.value!r}", path=f"{path}.{error.field}") from None


def _unit(item: Mapping[str, Any], path: str) -> str | None:
    unit = item.get("unit")
    if unit is None or isinstance(unit, str):
        return unit or None
    raise DecodeError(f"expected a text, found {found(unit)}", path=f"{path}.unit")


def _decoded_columns(data: Any, path: str) -> tuple[NDArray[Any], NDArray[Any], Any, Any]:
    if isinstance(data, list):
        data = _columns_of_rows(data, path)
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise DecodeError(f"expected columns, found {found(data)}", path=path)
    time, value, types, origins = (data.get(name) for name in _COLUMNS)
    time = _listed(time, f"{path}.time", None)
    value = _listed(value, f"{path}.value", len(time))
    types = None if types is None else _listed(types, f"{path}.type", len(time))
    origins = None if origins is None else _listed(origins, f"{path}.origin", len(time))
    return _times(time, path), _values(value), _types(types, f"{path}.type"), _origins(origins, f"{path}.origin")


def _columns_of_rows(rows: Sequence[Any], path: str) -> dict[str, list[Any]]:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DecodeError(f"expected a row, found {found(row)}", path=f"{path}[{number}]")
    named = [name for name in _COLUMNS if any(name in row for row in rows)]
    return {name: [row.get(name) for row in rows] for name in named}


def _listed(column: Any, path: str, rows: int | None) -> list[Any]:
    if column is None:
        column = []
    if not isinstance(column, list):
        raise DecodeError(f"expected a list, found {found(column)}", path=path)
    if rows is not None and len(column) != rows:
        raise DecodeError(f"{len(column)} elements where time has {rows}", path=path)
    return column


def _times(column: list[Any], path: str) -> NDArray[Any]:
    if not set(map(type, column)) <= {int, float}:
        row = next(row for row, moment in enumerate(column) if type(moment) not in {int, float})
        raise DecodeError(f"expected milliseconds, found {found(column[row])}", path=f"{path}.time[{row}]")
    try:
        return time_column(column)
    except InvalidInputError as error:
        raise DecodeError(f"expected milliseconds, found {error.value!r}", path=f"{path}.{error.field}") from None


def _values(column: list[Any]) -> NDArray[Any]:
    kinds = set(map(type, column))
    if kinds == {float} or not kinds:
        return np.array(column, np.float64)
    return plain_array(column)


def _types(column: list[Any] | None, path: str) -> str | NDArray[Any] | None:
    """Return one type name for all rows, or one (or None for "not told") per row."""
    if not column:
        return None if column is None else DOUBLE
    if not set(map(type, column)) <= {str, NoneType}:
        row = next(row for row, name in enumerate(column) if not isinstance(name, str | None))
        raise DecodeError(f"expected a type name, found {found(column[row])}", path=f"{path}[{row}]")
    if column.count(column[0]) == len(column):
        first: str | None = column[0]
        return first
    return _objects(column)


def _origins(column: list[Any] | None, path: str) -> int | NDArray[Any] | None:
    """Return one origin for all rows, or one (or None for "not told") per row."""
    if not column:
        return None if column is None else MEASURED
    if set(map(type, column)) != {int} or min(column) < 0 or max(column) >= 2**63:
        column = [None if origin is None else _origin(origin, f"{path}[{row}]") for row, origin in enumerate(column)]
    if column.count(column[0]) == len(column):
        first: int | None = column[0]
        return first
    return _objects(column) if None in column else np.array(column, np.int64)


def _origin(value: object, path: str) -> int:
    try:
        return checked_id("origin", integer(value))
    except InvalidInputError as error:
        raise DecodeError(f"no origin: {error.value!r}", path=path) from None
    except ValueError as error:
        raise DecodeError(str(error), path=path) from None


def _objects(column: list[Any]) -> NDArray[Any]:
    return np.fromiter(column, object, len(column))
