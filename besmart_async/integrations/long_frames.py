"""Long frames (one row per reading) to `SignalData` and back, on numpy columns; `dataframes` adapts the libraries.

Nothing here makes an object per reading: keys, units, types and origins are handled once per distinct value, readings
are brought into the order of their signals by one stable sort, and each signal gets a slice of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError
from besmart_async.models.checks import checked_text
from besmart_async.models.keys import SignalKey, checked_id
from besmart_async.models.series import SignalData
from besmart_async.models.times import plain_array, time_column
from besmart_async.models.values import DOUBLE, MEASURED, value_column

T = TypeVar("T")

ID_COLUMNS = ("client_cid", "sensor_mid", "signal_type_moid")
_KEY = "write it as client_cid.sensor_mid.signal_type_moid, such as 12.122.32"
_NOBODY = SignalKey(0, 0, 0)
_MOST_CODES = 2**62


class FrameTable(Protocol):
    """A frame of some library."""

    @property
    def names(self) -> Collection[str]:
        """The columns' names."""
        ...

    def values(self, name: str) -> Any:
        """Return a column in a form that `SignalData` takes, its nulls as None where they are not NaN."""
        ...

    def coded(self, name: str) -> tuple[NDArray[np.int64], list[Any]]:
        """Return a column as numbers and what they stand for, -1 for null."""
        ...


@attrs.frozen(kw_only=True)
class ColumnNames:
    """Which column holds what; see `besmart_async.integrations.dataframes`."""

    key: str | Sequence[str] | None
    time: str
    value: str
    type: str
    origin: str
    unit: str


@attrs.frozen(eq=False)
class _Coded(Generic[T]):
    """A column as numbers, shape (n,), and what they stand for."""

    name: str
    codes: NDArray[np.int64]
    items: list[T]


def signals_of(table: FrameTable, columns: ColumnNames) -> list[SignalData]:
    """Return one `SignalData` per signal and unit, in the order of their first rows; rows keep their order."""
    time = time_column(_present(table, columns.time).values(columns.time), columns.time)
    value = value_column(_present(table, columns.value).values(columns.value), columns.value)
    keys = _keys(table, columns.key, len(time))
    units = _coded(table, columns.unit, "unit", None, checked_text, len(time))
    types = _coded(table, columns.type, "type", DOUBLE, checked_text, len(time))
    origins = _coded(table, columns.origin, "origin", MEASURED, checked_id, len(time))
    group = keys.codes * len(units.items) + units.codes
    order = np.argsort(group, kind="stable")
    time, value = time[order], value[order]
    return [
        SignalData.trusted(
            keys.items[keys.codes[rows[0]]],
            _whole(time[place]),
            _narrowed(value[place]),
            _one_or_all(types, rows, object),
            _one_or_all(origins, rows, np.int64),
            units.items[units.codes[rows[0]]],
        )
        for place, rows in _slices(group, order)
    ]


def joined(items: Iterable[SignalData]) -> tuple[SignalData, list[SignalData], NDArray[np.int64]]:
    """Return all readings behind each other as if of one signal, the signals they are of, and which of them each is of.

    Raises:
        InvalidInputError: an item that is not a `SignalData`.
    """
    signals = list(items)
    for number, data in enumerate(signals):
        if not isinstance(data, SignalData):
            raise InvalidInputError(f"items[{number}]", data, "give SignalData")
    parts = [SignalData.trusted(_NOBODY, data.time, data.value, data.type, data.origin) for data in signals]
    readings = SignalData.concat(parts or [SignalData.missing(_NOBODY)])
    return readings, signals, np.repeat(np.arange(len(signals)), [len(data) for data in signals])


def _present(table: FrameTable, name: str) -> FrameTable:
    if name in table.names:
        return table
    raise InvalidInputError("columns", name, f"no such column; there are {', '.join(str(one) for one in table.names)}")


def _keys(table: FrameTable, given: str | Sequence[str] | None, rows: int) -> _Coded[SignalKey]:
    names = ("key" if "key" in table.names else ID_COLUMNS) if given is None else given
    if isinstance(names, str):
        texts = _coded(_present(table, names), names, None, None, _checked_key, rows)
        return _distinct(names, texts.codes, [_not_null(texts, key) for key in texts.items])
    if len(names) != len(ID_COLUMNS):
        raise InvalidInputError("key_columns", names, "give one column of keys, or the three of its ids, in this order")
    ids = [_coded(_present(table, name), name, None, None, checked_id, rows) for name in names]
    codes, parts = _combined(ids)
    return _distinct("key", codes, [SignalKey(*part) for part in parts])


def _combined(ids: list[_Coded[int | None]]) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
    """Number the combinations that there are, each once."""
    codes, size = ids[0].codes, len(ids[0].items)
    for column in ids[1:]:
        if size * len(column.items) > _MOST_CODES:
            present, codes = np.unique(codes, return_inverse=True)
            size = len(present)
        codes = codes * len(column.items) + column.codes
        size *= len(column.items)
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    parts = [[_not_null(column, column.items[code]) for code in column.codes[first].tolist()] for column in ids]
    return codes.astype(np.int64), list(zip(*parts, strict=True))


def _distinct(name: str, codes: NDArray[np.int64], keys: list[SignalKey]) -> _Coded[SignalKey]:
    """Number equal keys alike: they may have been written in different ways."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(numbers) == len(keys):
        return _Coded(name, codes, keys)
    return _Coded(name, np.array([numbers[key] for key in keys], np.int64)[codes], list(numbers))


def _coded(
    table: FrameTable, name: str, usual: str | None, default: T | None, check: Callable[[str, object], T], rows: int
) -> _Coded[T | None]:
    """Return a column's codes and its checked values; null is None.

    A column of the `usual` name may be missing: then it is `default` throughout.
    """
    if name == usual and name not in table.names:
        return _Coded(name, np.zeros(rows, np.int64), [default])
    codes, found = _present(table, name).coded(name)
    items: list[T | None] = []
    for code, item in enumerate(found):
        try:
            items.append(check(name, item))
        except InvalidInputError:
            check(f"{name}[{int((codes == code).argmax())}]", item)
            raise
    if (codes < 0).any():
        codes = np.where(codes < 0, len(items), codes)
        items.append(None)
    return _Coded(name, codes, items)


def _not_null(column: _Coded[T | None], item: T | None) -> T:
    if item is None:
        row = int((column.codes == column.items.index(None)).argmax())
        raise InvalidInputError(f"{column.name}[{row}]", None, "a reading of no signal; give each row its key")
    return item


def _checked_key(field: str, value: object) -> SignalKey:
    if isinstance(value, SignalKey):
        return value
    try:
        return SignalKey.parse(value)  # type: ignore[arg-type]  # it refuses anything but text
    except InvalidInputError as error:
        raise InvalidInputError(field, value, _KEY) from error


def _slices(group: NDArray[np.int64], order: NDArray[np.intp]) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Yield where each group lies in the sorted columns, and which rows of the table that is."""
    if not len(order):
        return
    in_order = group[order]
    starts = np.concatenate(([0], np.flatnonzero(in_order[1:] != in_order[:-1]) + 1))
    ends = np.append(starts[1:], len(order))
    for number in np.argsort(order[starts]).tolist():
        place = slice(int(starts[number]), int(ends[number]))
        yield place, order[place]


def _one_or_all(column: _Coded[Any], rows: NDArray[np.intp], dtype: Any) -> Any:
    """Return what the rows have in common, or one value per row."""
    if len(column.items) == 1:
        return column.items[0]
    codes = column.codes[rows]
    if (codes == codes[0]).all():
        return column.items[codes[0]]
    chosen = np.array(column.items, object)[codes]
    if None in column.items and (codes == column.items.index(None)).any():
        row = int(rows[(codes == column.items.index(None)).argmax()])
        raise InvalidInputError(
            f"{column.name}[{row}]",
            None,
            "missing here, given for other readings of the signal; give it for all of them or for none",
        )
    return chosen.astype(dtype)


def _whole(time: NDArray[Any]) -> NDArray[Any]:
    """Undo that another signal's fraction of a millisecond made all times doubles."""
    if time.dtype.kind == "f" and bool((time == (whole := time.astype(np.int64))).all()):
        return whole
    return time


def _narrowed(value: NDArray[Any]) -> NDArray[Any]:
    """Undo that another signal's nulls or texts made all values objects."""
    return plain_array(value.tolist()) if value.dtype == object else value
