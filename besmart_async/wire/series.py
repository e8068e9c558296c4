"""Readings from bytes: what is read, without the entity codec. `columns.py` writes them.

Per signal `{"client_cid", "sensor_mid", "signal_type_moid", "data": {"time": [...], "value": [...], "type": [...],
"origin": [...]}, "unit"}`, and the forms of earlier texts of 0.1.5: `data` as a list of rows `{time, value, type,
origin}`, one object instead of a list of one.

The documented form goes from text to arrays: msgspec checks all of the JSON and finds the columns in it, which stay
text (`msgspec.Raw`) until `column_arrays` makes arrays of them. That takes a third of the time of parsing it all. A
column that an answer holds several times, as meters are read at the same moments, is decoded once and shared. Whatever
has another form or a fault is parsed as a whole, which decides what it is. Of the parsers that can make arrays
themselves, pysimdjson takes as long as this does. It was not taken: a year and a half after its latest release it has
no wheels for Python 3.14, and it takes the first of two equal names in an object where all others take the last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import attrs
import msgspec
from numpy.typing import NDArray

from besmart_async.errors import DecodeError, InvalidInputError, Response
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.tasks import GraphOutput
from besmart_async.models.values import JsonValue
from besmart_async.wire import column_arrays
from besmart_async.wire.codec import json_of
from besmart_async.wire.found import found, integer

_IDS = ("client_cid", "sensor_mid", "signal_type_moid")
_COLUMNS = ("time", "value", "type", "origin")
_ids = attrgetter(*_IDS)


class _Columns(msgspec.Struct, gc=False):
    time: msgspec.Raw = msgspec.Raw(b"[]")
    value: msgspec.Raw = msgspec.Raw(b"[]")
    type: msgspec.Raw = msgspec.Raw(b"null")
    origin: msgspec.Raw = msgspec.Raw(b"null")


class _Item(msgspec.Struct, gc=False):
    client_cid: int | None = None
    sensor_mid: int | None = None
    signal_type_moid: int | None = None
    data: _Columns | None = None
    unit: str | None = None


_DOCUMENTED = msgspec.json.Decoder(list[_Item] | _Item | None)
_NO_COLUMNS = _Columns()

_PART_BYTES = 4 << 20
"""msgspec takes about 4 ms for so much."""
_SEAM = b'},{"client_cid":'
"""Between two elements of the documented form, written without blanks."""
_MOST_OBJECTS = 2_000_000
"""Two for each signal. Objects without anything in them would take gigabytes."""


def decode_series(
    response: Response, key: SignalKey | None = None, *, asked: Iterable[SignalKey] = ()
) -> list[SignalData]:
    """Decode an answer with readings: one `SignalData` per element, in the answer's order.

    Args:
        response: the answer.
        key: which signal was asked for, where the answer need not say; None if each element must.
        asked: which signals were asked for. It makes no difference but that these keys need not be made once more.

    Raises:
        DecodeError: naming the element and column, such as `$[3].data.value`.
    """
    try:
        return _documented(response.content, key, asked)
    except (msgspec.MsgspecError, ValueError, RecursionError, DecodeError):
        return decode_parsed(response, key)  # another form, or a fault


def decode_parsed(response: Response, key: SignalKey | None = None) -> list[SignalData]:
    """Decode an answer of any form by parsing all of it: slower than `decode_series`, with the same result.

    One difference: a number that no double holds (1e400) is refused here wherever it is, there only in what is decoded.

    Raises:
        DecodeError: as `decode_series`.
    """
    content = response.content
    if len(content) > 2 * _PART_BYTES:
        with contextlib.suppress(DecodeError):  # a fault, or a cut at what only looks like the end of an element
            parts = (json_of(attrs.evolve(response, content=part)) for part in _in_parts(content))
            return [_series(item, path, key) for parsed in parts for path, item in _elements(parsed)]
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


def _documented(content: bytes, key: SignalKey | None, asked: Iterable[SignalKey]) -> list[SignalData]:
    """Decode the documented form.

    Raises:
        msgspec.MsgspecError: no JSON, or none of this form.
        ValueError: a column is not as it should be.
        DecodeError: as above.
    """
    if not content.isascii():
        content.decode()  # in texts of unknown fields, msgspec would not notice that they are not UTF-8
    if content.count(b"{") > _MOST_OBJECTS:
        raise ValueError("more elements than a good answer has")
    known = {_ids(key): key for key in (asked if key is None else (*asked, key))}
    before, (time, type_, origin) = _NO_COLUMNS, _NO_ARRAYS
    series: list[SignalData] = []
    for item in _items(content):
        data = item.data or _NO_COLUMNS
        if data.time != before.time or data.type != before.type or data.origin != before.origin:
            # Meters are read at the same moments: most often, all but the values is as before.
            before, (time, type_, origin) = data, _decoded_kinds(data)
        value = column_arrays.values_from_text(bytes(data.value), len(time))
        named = known.get(_ids(item)) or _named(item, key)
        series.append(SignalData.trusted(named, time, value, type_, origin, item.unit or None))
    return series


def _items(content: bytes) -> Iterator[_Item]:
    for part in _in_parts(content):
        answer = _DOCUMENTED.decode(part)
        yield from answer if isinstance(answer, list) else [] if answer is None else [answer]


def _in_parts(content: bytes) -> Iterator[bytes]:
    """Cut a long list of series into shorter ones: parsing lets no other thread run, the event loop's included.

    If each part is a list, all of them are one, whatever a text in it holds: a cut inside an element leaves no list.
    """
    if len(content) <= 2 * _PART_BYTES:
        yield content
        return
    start, head = 0, b""
    while (end := content.find(_SEAM, start + _PART_BYTES)) >= 0:
        yield head + content[start : end + 1] + b"]"
        start, head = end + 2, b"["
    yield head + content[start:]


def _decoded_kinds(data: _Columns) -> tuple[NDArray[Any], Any, Any]:
    times = column_arrays.times_from_text(bytes(data.time))
    rows = len(times)
    types = column_arrays.kinds_from_text(bytes(data.type), rows, column_arrays.types_from_list)
    return times, types, column_arrays.kinds_from_text(bytes(data.origin), rows, column_arrays.origins_from_list)


_NO_ARRAYS = _decoded_kinds(_NO_COLUMNS)


def _named(item: _Item, key: SignalKey | None) -> SignalKey:
    ids = _ids(item)
    if key is not None:
        ids = tuple(asked if given is None else given for asked, given in zip(_ids(key), ids, strict=True))
    return SignalKey(*ids)


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
    return (
        column_arrays.times_from_list(time, path),
        column_arrays.values_from_list(value),
        None if types is None else column_arrays.types_from_list(types, f"{path}.type"),
        None if origins is None else column_arrays.origins_from_list(origins, f"{path}.origin"),
    )


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
