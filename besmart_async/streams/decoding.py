"""Raw messages to readings: JSON, msgpack, Arrow, or a function of yours.

Most messages hold one reading, so the way of one reading is short: one call of msgspec, a key from a dict, a tuple.
Everything else becomes `SignalData`, whose checks name what is wrong. A message is decoded alone: a broken one cannot
damage its neighbours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import BesmartConfigError, InvalidInputError
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import MAX_MS, MIN_MS
from besmart_async.models.values import DOUBLE

OneReading = tuple[SignalKey, int, float, str, int, str | None]
"""One checked reading: key, time, value, type, origin, unit."""
Decoded = OneReading | list[SignalData]
"""The content of a message."""
Decode = Callable[[bytes], Iterable[SignalData]]
"""A decoder of your own: the raw content of a message to its readings. What it raises makes the message a dead letter,
with the text of the error as the reason."""
Encoding = Literal["json", "msgpack", "arrow"]

_EXACT = 1 << 53
"""Integers below this are doubles as well."""
_MOST_KEYS = 1_000_000


class _MessageItem(msgspec.Struct):
    """Readings of one signal, in any of the forms that messages have."""

    time: Any = None
    value: Any = msgspec.UNSET
    signal: Any = None
    client_cid: Any = None
    sensor_mid: Any = None
    signal_type_moid: Any = None
    type: Any = DOUBLE
    origin: Any = 1
    unit: Any = None
    data: Any = None


class _Keys:
    """Signal keys by the text or the ids in messages, so that a signal has one object."""

    def __init__(self) -> None:
        self._known: dict[object, SignalKey] = {}
        self.get = self._known.get

    def of(self, item: _MessageItem) -> SignalKey:
        """Return the key of an item.

        Raises:
            InvalidInputError: it names none, or not in the right form.
        """
        if item.signal is not None:
            name: object = item.signal
            made = SignalKey.parse(item.signal)
        else:
            ids = item.client_cid, item.sensor_mid, item.signal_type_moid
            if None in ids:
                form = "give signal, such as '12.122.32', or client_cid, sensor_mid and signal_type_moid"
                raise InvalidInputError("signal", None, form)
            name, made = ids, SignalKey(*ids)
        if len(self._known) >= _MOST_KEYS:
            self._known.clear()
        return self._known.setdefault(name, made)


def decoder(how: Encoding | Decode) -> Callable[[bytes], Decoded]:
    """Return a function from the raw content of a message to its readings; it raises if the message is not good.

    Raises:
        BesmartConfigError: there is no such encoding, or its extra is not installed.
    """
    if callable(how):
        return partial(_called, how)
    if how == "arrow":
        try:
            arrow = importlib.import_module("pyarrow")
            importlib.import_module("pyarrow.ipc")
        except ImportError:
            raise BesmartConfigError("messages in Arrow need: pip install 'besmart-async[files]'") from None
        return partial(_arrow, arrow, _Keys())
    if how == "json":
        return _items_decoder(msgspec.json.Decoder(_MessageItem | list[_MessageItem]).decode)
    if how == "msgpack":
        return _items_decoder(msgspec.msgpack.Decoder(_MessageItem | list[_MessageItem]).decode)
    raise BesmartConfigError(f"encoding {how!r}: give json, msgpack, arrow, or a function")


def _called(decode: Decode, payload: bytes) -> Decoded:
    found = list(decode(payload))
    for data in found:
        if not isinstance(data, SignalData):
            raise InvalidInputError("decode", data, "a decoder returns SignalData, one for each signal")
    return found


def _items_decoder(parse: Callable[[bytes], _MessageItem | list[_MessageItem]]) -> Callable[[bytes], Decoded]:
    keys = _Keys()
    known = keys.get

    def decode(payload: bytes) -> Decoded:
        item = parse(payload)
        if isinstance(item, list):
            return [_columns(one, keys) for one in item]
        signal = item.signal
        key = known(signal) if signal.__class__ is str else None
        time, value, kind = item.time, item.value, item.type
        if value.__class__ is int and kind == DOUBLE and -_EXACT < value < _EXACT:
            value = float(value)
        if (
            key is not None
            and time.__class__ is int
            and value.__class__ is float
            and value - value == 0.0  # neither NaN nor infinite, which msgpack can hold
            and MIN_MS <= time <= MAX_MS
            and kind == DOUBLE
            and item.origin == 1
            and item.unit is None
            and item.data is None
        ):
            return key, time, value, DOUBLE, 1, None
        return [_columns(item, keys)]

    return decode


def _columns(item: _MessageItem, keys: _Keys) -> SignalData:
    """Return an item as columns.

    Raises:
        InvalidInputError: it is not the readings of one signal.
    """
    key = keys.of(item)
    columns = item
    if item.data is not None:
        if not isinstance(item.data, dict) or item.time is not None or item.value is not msgspec.UNSET:
            raise InvalidInputError("data", item.data, "give an object with time and value, and neither beside it")
        columns = msgspec.convert(item.data, _MessageItem)
    if columns.time is None:
        raise InvalidInputError("time", None, "missing")
    if columns.value is msgspec.UNSET:
        raise InvalidInputError("value", None, "missing; null is a value of its own")
    many = isinstance(columns.time, list)
    times = [_moment(one) for one in (columns.time if many else [columns.time])]
    values = columns.value if many else [columns.value]
    if many and not isinstance(values, list):
        raise InvalidInputError("value", values, f"time is a list of {len(times)}; give as many values")
    if not times:
        raise InvalidInputError("time", [], "there are no readings")
    kind = DOUBLE if columns.type is None else columns.type
    return SignalData(key, times, values, kind, 1 if columns.origin is None else columns.origin, item.unit)


def _moment(value: object) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        form = "give UTC unix milliseconds, or ISO 8601 with a time zone, such as 2026-12-01T00:15:00Z"
        raise InvalidInputError("time", value, form) from None


def _arrow(arrow: Any, keys: _Keys, payload: bytes) -> Decoded:
    """Decode a table in Arrow's IPC format, stream or file: a row for each reading."""
    try:
        opened = arrow.ipc.open_file if payload.startswith(b"ARROW1") else arrow.ipc.open_stream
        with opened(payload) as reader:
            table = reader.read_all()
    except (arrow.ArrowException, OSError) as error:
        raise InvalidInputError("payload", f"{len(payload)} bytes", f"not Arrow IPC: {error}") from None
    names = ["signal"] if "signal" in table.column_names else ["client_cid", "sensor_mid", "signal_type_moid"]
    columns = {name: _arrow_column(arrow, table, name) for name in [*names, "time", "value"]}
    optional = {
        name: _arrow_column(arrow, table, name) for name in ("type", "origin", "unit") if name in table.column_names
    }
    if not table.num_rows:
        raise InvalidInputError("time", [], "there are no readings")
    return list(_by_signal(keys, names, columns, optional))


def _arrow_column(arrow: Any, table: Any, name: str) -> NDArray[Any]:
    if table.column_names.count(name) != 1:
        raise InvalidInputError(name, table.column_names, "there must be one column of this name")
    column = table.column(name)
    if column.null_count:
        raise InvalidInputError(name, f"{column.null_count} nulls", "leave these rows out")
    if name == "time" and arrow.types.is_timestamp(column.type):
        if column.type.tz is None:
            raise InvalidInputError("time", str(column.type), "give the timestamps a time zone")
        column = column.cast(arrow.timestamp("us", column.type.tz)).cast(arrow.int64())
        microseconds: NDArray[Any] = column.to_numpy()
        whole: NDArray[Any] = microseconds // 1000
        return whole if not (microseconds % 1000).any() else np.divide(microseconds, 1000.0)
    values: NDArray[Any] = column.to_numpy()
    return values


def _by_signal(
    keys: _Keys, names: Sequence[str], columns: dict[str, NDArray[Any]], optional: dict[str, NDArray[Any]]
) -> Iterable[SignalData]:
    texts = [[str(one) for one in columns[name].tolist()] for name in names]
    joined = texts[0] if len(names) == 1 else [".".join(ids) for ids in zip(*texts, strict=True)]
    units = optional["unit"].tolist() if "unit" in optional else [None] * len(joined)
    rows: dict[tuple[str, Any], list[int]] = {}
    for row, group in enumerate(zip(joined, units, strict=True)):
        rows.setdefault(group, []).append(row)
    for (name, unit), some in rows.items():
        at = np.array(some)
        yield SignalData(
            keys.get(name) or keys.of(_MessageItem(signal=name)),
            columns["time"][at],
            columns["value"][at],
            optional["type"][at] if "type" in optional else DOUBLE,
            optional["origin"][at] if "origin" in optional else 1,
            unit,
        )
