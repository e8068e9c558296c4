"""Where accepted readings wait: one lane per signal, holding columns in the order of acceptance.

A lane holds parts: `Segment`s (columns, mostly plain ones) and `Tail`s (lists that single readings are appended to, and
that become segments when they are taken). Whose readings they are is told by a `Credit`, so that every accepted reading
is accounted for even after a later one has replaced it.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getsizeof
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.credit import Credit, Rows
from besmart_async.batching.grids import Grid
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import plain_array
from besmart_async.models.values import JsonValue
from besmart_async.wire.columns import JsonItem, encode_items, item_of, plain_item

READING_BYTES = 80
"""Estimate for one buffered single reading: a float, an int and two list slots."""
SEGMENT_BYTES = 400
"""Estimate for the objects around a segment's columns."""

VALUE_BYTES = 16
"""A time and a value in a column."""


class Segment:
    """Readings of one signal with their credit.

    Attributes:
        credit: which accepted readings they stand for.
        recovered: an earlier writer left them in its journal, and may have sent them: see `Intake.recovered_until`.
        distinct: whether no two are known to share their time and origin.
        lane: the lane it was taken from, once it is frozen: it is an item of a bulk call then, and its credit's cost
            includes its share of the body.
    """

    __slots__ = ("_data", "credit", "lane", "recovered")
    distinct = False
    lane: Lane

    def __init__(self, data: SignalData | None, credit: Credit, *, recovered: bool = False) -> None:
        self._data = data
        self.credit = credit
        self.recovered = recovered

    @property
    def data(self) -> SignalData:
        """The readings."""
        if self._data is None:
            self._data = self._columns()
        return self._data

    def take(self, rows: Rows) -> Segment:
        """Return some of the rows."""
        return Segment(self.data.take(rows), self.credit.take(rows), recovered=self.recovered)

    @property
    def rows(self) -> int:
        """How many readings."""
        return self.credit.rows

    def piece(self, rows: Rows) -> Segment:
        """Return some of the rows of a frozen one, at their share of the cost."""
        piece = self.take(rows)
        piece.lane = self.lane
        return piece

    def item(self) -> JsonItem:
        """Return them as one element of the body of a bulk write."""
        return item_of(self.data)

    def encoded(self) -> bytes:
        """Encode that element alone."""
        return encode_items([self.item()])[1:-1]

    def _columns(self) -> SignalData:
        raise NotImplementedError  # a segment without data knows how to make it


class Columns(Segment):
    """Plain columns of one write: ascending int times, finite float values, one type and origin.

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
    ) -> None:
        self._data = None
        self.credit = credit
        self.recovered = False
        self._key = key
        self._grid = grid
        self._value = value
        self._type = type_
        self._origin = origin
        self._unit = unit

    def item(self) -> JsonItem:
        """Return them as one element of the body of a bulk write."""
        rows = len(self._value)
        return plain_item(self._key, self._grid.encodable(), self._value, rows, self._type, self._origin, self._unit)

    def _columns(self) -> SignalData:
        return SignalData.trusted(self._key, self._grid.time, self._value, self._type, self._origin, self._unit)


class Listed(Segment):
    """Plain single readings of distinct times; encoded from their lists, which is faster than making arrays."""

    __slots__ = ("_tail",)
    distinct = True

    def __init__(self, tail: Tail, credit: Credit) -> None:
        super().__init__(None, credit)
        self._tail = tail

    def item(self) -> JsonItem:
        """Return them as one element of the body of a bulk write."""
        tail = self._tail
        return plain_item(tail.key, tail.times, tail.values, len(tail.times), tail.type, tail.origin, tail.unit)

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
        credit = Credit(rows, None, ref, self.epoch, rows * READING_BYTES + self.extra)
        plain = self.plain and self.types is None and (rows == 1 or len(set(self.times)) == rows)
        return Listed(self, credit) if plain else Segment(self.columns(), credit)

    def columns(self) -> SignalData:
        """Return the readings as columns."""
        plain = self.plain
        time = np.array(self.times, np.int64) if plain else plain_array(self.times)
        value = np.array(self.values, np.float64) if plain else plain_array(self.values)
        if self.types is None or self.origins is None:
            return SignalData.trusted(self.key, time, value, self.type, self.origin, self.unit)
        type_, origin = _one_or_all(self.types, object), _one_or_all(self.origins, np.int64)
        return SignalData.trusted(self.key, time, value, type_, origin, self.unit)


Part = Segment | Tail


class Lane:
    """What waits for one signal, and what is being done about it.

    Attributes:
        key: the signal.
        parts: sealed parts in order of acceptance; no list is kept where there are none, since there are many lanes.
        tail: the open part, None if there is none.
        sealed_rows: readings in `parts`.
        since: when the first of them was accepted.
        busy: frozen items of this signal without an outcome; while there are any, the lane sends nothing new.
        flying: whether one of them is under way.
        queued: whether it is in the queue of lanes that may send.
        urgent: whether a flush waits for it.
        holds: readings that must wait, since an old request may still store older values for them.
        withheld: parts that wait for the holds; older than `parts`.
    """

    __slots__ = (
        "busy",
        "flying",
        "holds",
        "key",
        "parts",
        "queued",
        "sealed_rows",
        "since",
        "tail",
        "urgent",
        "withheld",
    )

    def __init__(self, key: SignalKey) -> None:
        self.key = key
        self.parts: list[Part] | tuple[()] = ()
        self.tail: Tail | None = None
        self.sealed_rows = 0
        self.since = 0.0
        self.busy = 0
        self.flying = False
        self.queued = False
        self.urgent = False
        self.holds: Sequence[Hold] = ()
        self.withheld: Sequence[Segment] = ()

    @property
    def rows(self) -> int:
        """Readings that wait, those withheld left out."""
        return self.sealed_rows if self.tail is None else self.sealed_rows + len(self.tail.times)

    def seal(self) -> None:
        """Let no more readings be appended to the open part."""
        if self.tail is not None:
            self.sealed_rows += len(self.tail.times)
            self._append(self.tail)
            self.tail = None

    def _append(self, part: Part) -> None:
        if self.parts:
            self.parts.append(part)
        else:
            self.parts = [part]

    def add(self, part: Part, rows: int) -> None:
        """Append a part with so many readings."""
        if self.tail is not None:
            self.seal()
        self._append(part)
        self.sealed_rows += rows

    def put_back(self, segments: Sequence[Segment]) -> None:
        """Put what was taken, and could not be sent, to the front again."""
        self.seal()
        self.parts = [*segments, *self.parts]
        self.sealed_rows += sum(segment.credit.rows for segment in segments)

    def take(self, rows: int) -> list[Segment]:
        """Take parts from the front: all that waits, or at most `rows`; recovered ones by themselves."""
        if self.tail is not None:
            if not self.parts and len(self.tail.times) <= rows:
                segment, self.tail = self.tail.segment(), None
                return [segment]
            self.seal()
        parts, self.parts = self.parts, ()
        if len(parts) == 1 and self.sealed_rows <= rows:
            self.sealed_rows = 0
            part = parts[0]
            return [part if isinstance(part, Segment) else part.segment()]
        taken: list[Segment] = []
        left = rows
        for number, part in enumerate(parts):
            segment = part if isinstance(part, Segment) else part.segment()
            if taken and segment.recovered is not taken[0].recovered:
                self.parts = [segment, *parts[number + 1 :]]
                break
            size = segment.credit.rows
            if size <= left:
                taken.append(segment)
                left -= size
                continue
            if left:
                taken.append(segment.take(slice(None, left)))
                segment = segment.take(slice(left, None))
            self.parts = [segment, *parts[number + 1 :]]
            break
        self.sealed_rows -= sum(segment.credit.rows for segment in taken)
        return taken

    def release(self, now: float) -> None:
        """Forget the holds that are over; if any were, what waited for them may be taken again."""
        kept = [hold for hold in self.holds if hold.until > now]
        if len(kept) < len(self.holds):
            self.holds = kept
            withheld, self.withheld = self.withheld, ()
            self.put_back(withheld)


@attrs.frozen(eq=False)
class Hold:
    """Readings (time, origin) of one signal whose newer values must wait until `until`."""

    until: float
    time: NDArray[Any]
    origin: int | NDArray[Any] | None

    @property
    def cost(self) -> int:
        """Bytes it is accounted with."""
        return SEGMENT_BYTES + self.time.nbytes

    def covers(self, data: SignalData) -> NDArray[Any]:
        """Return a mask of the rows that are held."""
        mask: NDArray[Any] = np.isin(data.time, self.time)
        if not mask.any():
            return mask
        ours = origins_of(data.origin, len(data))
        if not isinstance(self.origin, np.ndarray):
            exact: NDArray[Any] = mask & (ours == (1 if self.origin is None else self.origin))
            return exact
        held = set(zip(self.time.tolist(), self.origin.tolist(), strict=True))
        for row in np.flatnonzero(mask).tolist():
            mask[row] = (data.time[row].item(), int(ours[row])) in held
        return mask


def columns_cost(data: SignalData) -> int:
    """Estimate the bytes that buffered columns take."""
    cost = SEGMENT_BYTES
    for column in (data.time, data.value, data.type, data.origin):
        if isinstance(column, np.ndarray):
            cost += column.nbytes
            if column.dtype == object and column is not data.type:
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
