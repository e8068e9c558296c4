"""Accepted readings of one signal: columns with their credit, and the lists that single readings are appended to.

A `Segment` becomes an item of a bulk call as it is. `Columns` and `Listed` are segments of plain readings, which go to
the encoder without a `SignalData` made of them. Whose readings they are is told by a `Credit`, so that every accepted
reading is accounted for even after a later one has replaced it.
"""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.credit import Credit, Rows
from besmart_async.batching.write.core.grids import Grid, all_true
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import plain_array
from besmart_async.models.values import JsonValue
from besmart_async.wire.columns import Form, JsonItem, encode_items, item_of

if TYPE_CHECKING:
    from besmart_async.batching.write.core.lanes import Lane

READING_BYTES = 80
"""Estimate for one buffered single reading: a float, an int and two list slots."""
SEGMENT_BYTES = 400
"""Estimate for the objects around a segment's columns."""

VALUE_BYTES = 16
"""A time and a value in a column."""

_SHORT = 64
"""Fewer single readings are encoded from their lists; of more, arrays are made, which encode three times as fast."""


class Segment:
    """Readings of one signal with their credit.

    Attributes:
        credit: which accepted readings they stand for.
        cost: bytes they are accounted with.
        rows: how many readings.
        recovered: an earlier writer left them in its journal, and may have sent them: see `Intake.recovered_until`.
        distinct: whether no two are known to share their time and origin.
        lane: the lane it was taken from, once it is frozen: it is an item of a bulk call then, and its cost includes
            its share of the body.
    """

    __slots__ = ("_data", "cost", "credit", "lane", "recovered", "rows")
    distinct = False
    lane: Lane

    def __init__(self, data: SignalData | None, credit: Credit, cost: int, *, recovered: bool = False) -> None:
        self._data = data
        self.credit = credit
        self.cost = cost
        self.rows = credit.rows
        self.recovered = recovered

    @property
    def data(self) -> SignalData:
        """The readings."""
        if self._data is None:
            self._data = self._columns()
        return self._data

    def take(self, rows: Rows) -> Segment:
        """Return some of the rows, at their share of the cost."""
        credit = self.credit.take(rows)
        cost = self.cost * credit.readings // max(self.credit.readings, 1)
        return Segment(self.data.take(rows), credit, cost, recovered=self.recovered)

    def piece(self, rows: Rows) -> Segment:
        """Return some of the rows of a frozen one."""
        piece = self.take(rows)
        piece.lane = self.lane
        return piece

    def item(self, form: Form) -> JsonItem:
        """Return them as one element of the body of a bulk write, made with the form if they are plain."""
        return item_of(self.data)

    def encoded(self) -> bytes:
        """Encode that element alone."""
        return encode_items([self.item(Form())])[1:-1]

    def _columns(self) -> SignalData:
        raise NotImplementedError  # a segment without data knows how to make it


class Columns(Segment):
    """Plain columns: ascending int times, finite float values, one type and origin.

    They are encoded as they are; a `SignalData` is made only if somebody asks for `data`, which hardly ever happens to
    what is delivered.
    """

    __slots__ = ("_grid", "_key", "_origin", "_type", "_unit", "_value")
    distinct = True

    def __init__(
        self,
        key: SignalKey,
        grid: Grid,
        value: NDArray[np.float64],
        type_: str,
        origin: int,
        unit: str | None,
        credit: Credit,
        cost: int,
    ) -> None:
        self._data = None
        self.credit = credit
        self.cost = cost
        self.rows = credit.rows
        self.recovered = False
        self._key = key
        self._grid = grid
        self._value = value
        self._type = type_
        self._origin = origin
        self._unit = unit

    def item(self, form: Form) -> JsonItem:
        """Return them as one element of the body of a bulk write."""
        time = self._grid.encodable()
        return form.filled(self._key, time, self._value, self.rows, self._type, self._origin, self._unit)

    def _columns(self) -> SignalData:
        return SignalData.trusted(self._key, self._grid.time, self._value, self._type, self._origin, self._unit)


class Listed(Segment):
    """A few plain single readings of distinct times; encoded from their lists, which is faster than making arrays."""

    __slots__ = ("_tail",)
    distinct = True

    def __init__(self, tail: Tail, credit: Credit, cost: int) -> None:
        super().__init__(None, credit, cost)
        self._tail = tail

    def item(self, form: Form) -> JsonItem:
        """Return them as one element of the body of a bulk write."""
        tail = self._tail
        return form.filled(tail.key, tail.times, tail.values, len(tail.times), tail.type, tail.origin, tail.unit)

    def _columns(self) -> SignalData:
        return self._tail.columns()


_MIXED: Any = object()


class Tail:
    """Lists that single readings of one unit are appended to; `type`, `origin` and `ref` are constants until they vary.

    Where they differ, `types`, `origins` and `refs` hold them and the constants are no value that compares equal.
    """

    __slots__ = (
        "epoch",
        "extra",
        "key",
        "origin",
        "origins",
        "plain",
        "ref",
        "refs",
        "times",
        "type",
        "types",
        "unit",
        "values",
    )

    def __init__(self, key: SignalKey, type_: str, origin: int, unit: str | None, ref: int, epoch: int) -> None:
        self.key = key
        self.unit = unit
        self.type = type_
        self.origin = origin
        self.ref = ref
        self.epoch = epoch
        self.times: list[int | float] = []
        self.values: list[JsonValue] = []
        self.types: list[str] | None = None
        self.origins: list[int] | None = None
        self.refs: list[int] | None = None
        self.plain = True
        self.extra = 0

    def note(self, type_: str, origin: int, ref: int) -> None:
        """Append `type`, `origin` and `ref` of a reading about to be appended, which differ from the constants."""
        if self.types is None or self.origins is None or self.refs is None:
            rows = len(self.times)
            self.types, self.origins, self.refs = [self.type] * rows, [self.origin] * rows, [self.ref] * rows
            self.type = self.origin = self.ref = _MIXED
        self.types.append(type_)
        self.origins.append(origin)
        self.refs.append(ref)

    def __len__(self) -> int:
        return len(self.times)

    def segment(self) -> Segment:
        """Return the readings with their credit; nothing may be appended any more."""
        rows = len(self.times)
        ref: int | NDArray[Any] = self.ref if self.refs is None else _one_or_all(self.refs, np.int64)
        credit, cost = Credit(rows, None, ref, self.epoch), rows * READING_BYTES + self.extra
        plain = self._plain(rows, credit, cost) if self.plain and self.types is None else None
        return plain or Segment(self.columns(), credit, cost)

    def _plain(self, rows: int, credit: Credit, cost: int) -> Segment | None:
        """Return plain readings as they are encoded; None if times may come twice."""
        if rows < _SHORT:
            distinct = rows == 1 or len(set(self.times)) == rows
            return Listed(self, credit, cost) if distinct else None
        time = np.fromiter(self.times, np.int64, rows)
        if not all_true(time[1:] > time[:-1]):
            return None
        value = np.fromiter(self.values, np.float64, rows)
        return Columns(self.key, Grid(time), value, self.type, self.origin, self.unit, credit, cost)

    def columns(self) -> SignalData:
        """Return the readings as columns."""
        plain = self.plain
        time = np.array(self.times, np.int64) if plain else plain_array(self.times)
        value = np.array(self.values, np.float64) if plain else plain_array(self.values)
        if self.types is None or self.origins is None:
            return SignalData.trusted(self.key, time, value, self.type, self.origin, self.unit)
        type_, origin = _one_or_all(self.types, object), _one_or_all(self.origins, np.int64)
        return SignalData.trusted(self.key, time, value, type_, origin, self.unit)


def columns_cost(data: SignalData) -> int:
    """Estimate the bytes that buffered columns take."""
    cost = SEGMENT_BYTES
    for column in (data.time, data.value, data.type, data.origin):
        if isinstance(column, np.ndarray):
            cost += column.nbytes
            if column.dtype.hasobject and column is not data.type:
                cost += sum(map(getsizeof, column))
    return cost


def origins_of(origin: int | NDArray[Any] | None, rows: int) -> NDArray[Any]:
    """Return an array of origins; an untold one is the service's default, 1."""
    return origin if isinstance(origin, np.ndarray) else np.full(rows, 1 if origin is None else origin)


def _one_or_all(column: list[Any], dtype: Any) -> Any:
    first = column[0]
    if column.count(first) == len(column):
        return first
    array = np.empty(len(column), dtype)
    array[:] = column
    return array
