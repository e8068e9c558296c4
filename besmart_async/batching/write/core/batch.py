"""The content of one bulk call: the frozen items (`Payload`), and the history of the call (`Batch`).

A payload holds the rows of all its items in shared columns. Single items are looked at only when a batch must be split,
which is rare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.grids import Grid
from besmart_async.batching.write.core.provenance import Provenance, Rows
from besmart_async.errors import BesmartError
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import plain_array
from besmart_async.wire.bulk import encode_bulk, lists, mixed_tail, one_list, tail

if TYPE_CHECKING:
    from besmart_async.batching.write.core.bisection import Family
    from besmart_async.batching.write.core.log import Form


class Payload:
    """The items of a bulk write: item i belongs to `keys[i]` and has the rows `bounds[i]` to `bounds[i + 1]`.

    Attributes:
        keys: the signal of each item.
        bounds: the first row of each item, and the end of the last.
        type: type of all rows, or a list with the type (or types) of each item.
        origin: origin of all rows, or a list with the origin (or origins) of each item.
        unit: unit of all rows, or a list with the unit of each item.
        provenance: which accepted readings the rows stand for.
        cost: bytes of memory that it counts for.
        recovered: whether an earlier writer accepted it, and may have sent it.
    """

    def __init__(
        self,
        keys: Sequence[SignalKey],
        bounds: Sequence[int],
        time: NDArray[Any] | None,
        value: NDArray[Any] | None,
        provenance: Provenance,
    ) -> None:
        self.keys = keys
        self.bounds = bounds
        if time is not None and value is not None:
            self.time, self.value = time, value
        self.type: Any = None
        self.origin: Any = None
        self.unit: Any = None
        self.provenance = provenance
        self.cost = 0
        self.recovered = False
        self._times: Sequence[NDArray[Any] | Grid] = ()
        self._values: Sequence[NDArray[Any]] = ()

    @classmethod
    def of_columns(
        cls,
        keys: Sequence[SignalKey],
        times: Sequence[NDArray[Any] | Grid],
        values: Sequence[NDArray[Any]],
        provenance: Provenance,
    ) -> Payload:
        """Return a payload of items with separate columns; the columns are joined only when they are needed."""
        bounds = [0, *accumulate(map(len, values))]
        payload = cls(keys, bounds, None, None, provenance)
        payload._times, payload._values = times, values
        return payload

    @cached_property
    def time(self) -> NDArray[Any]:
        """UTC unix milliseconds of all rows."""
        return joined([time.time if isinstance(time, Grid) else time for time in self._times])

    @cached_property
    def value(self) -> NDArray[Any]:
        """The values of all rows."""
        return joined(self._values)

    def set_forms(self, forms: Sequence[Form]) -> None:
        """Set types, origins and units from the form of each row; equal ones of an item become one value."""
        types: list[Any] = []
        origins: list[Any] = []
        for start, stop in pairwise(self.bounds):
            some = set(forms[start:stop])
            types.append(_one_or_each([form.type for form in forms[start:stop]], len(some), object))
            origins.append(_one_or_each([form.origin for form in forms[start:stop]], len(some), np.int64))
        self.type, self.origin = types, origins
        self.unit = [forms[start].unit for start in self.bounds[:-1]]

    @property
    def rows(self) -> int:
        """The number of readings that are sent."""
        return self.bounds[-1]

    @property
    def readings(self) -> int:
        """The number of accepted readings that the rows stand for."""
        return self.provenance.readings

    @cached_property
    def signals(self) -> set[SignalKey]:
        """The distinct signals."""
        return set(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def size(self, item: int) -> int:
        """Return the number of rows of an item."""
        return self.bounds[item + 1] - self.bounds[item]

    def data(self, item: int) -> SignalData:
        """Return the readings of an item."""
        rows = slice(self.bounds[item], self.bounds[item + 1])
        time, value = plain(self.time[rows]), plain(self.value[rows])
        unit = self.unit[item] if isinstance(self.unit, list) else self.unit
        return SignalData.trusted(self.keys[item], time, value, _of(self.type, item), _of(self.origin, item), unit)

    # -- the body ----------------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Return the body of the call."""
        if not self._values:
            times, values = lists(self.time, self.bounds), lists(self.value, self.bounds)
        else:
            times = [time.text if isinstance(time, Grid) else one_list(time) for time in self._times]
            values = [one_list(value) for value in self._values]
        return encode_bulk(self.keys, times, values, self._tails())

    def _tails(self) -> list[bytes]:
        bounds, type_, origin, unit = self.bounds, self.type, self.origin, self.unit
        if not isinstance(type_, list):
            if isinstance(bounds, range):
                return [tail(type_, origin, unit, 1)] * len(self.keys)
            return [tail(type_, origin, unit, stop - start) for start, stop in pairwise(bounds)]
        return [self._tail(item) for item in range(len(self.keys))]

    def _tail(self, item: int) -> bytes:
        type_, origin, rows = self.type[item], self.origin[item], self.size(item)
        unit = self.unit[item]
        if not isinstance(type_, np.ndarray) and not isinstance(origin, np.ndarray):
            return tail(type_, origin, unit, rows)
        types = type_.tolist() if isinstance(type_, np.ndarray) else None if type_ is None else [type_] * rows
        origins = origin.tolist() if isinstance(origin, np.ndarray) else None if origin is None else [origin] * rows
        return mixed_tail(types, origins, unit)

    # -- parts -------------------------------------------------------------------------------------------------------

    def item(self, item: int) -> Payload:
        """Return one item."""
        return self.part([item])

    def part(self, items: Sequence[int]) -> Payload:
        """Return a selection of the items."""
        if len(items) == len(self.keys):
            return self
        spans = [(self.bounds[item], self.bounds[item + 1]) for item in items]
        rows = np.concatenate([np.arange(start, stop) for start, stop in spans])
        bounds = [0, *np.cumsum([stop - start for start, stop in spans]).tolist()]
        part = self._of_rows([self.keys[item] for item in items], bounds, rows)
        for name in ("type", "origin", "unit"):
            column = getattr(self, name)
            setattr(part, name, [column[item] for item in items] if isinstance(column, list) else column)
        return part

    def piece(self, rows: Rows) -> Payload:
        """Return a selection of the rows of a payload with one item."""
        chosen = np.arange(self.rows)[rows]
        piece = self._of_rows(self.keys, [0, len(chosen)], chosen)
        for name in ("type", "origin"):
            column = getattr(self, name)
            if isinstance(column, list) and isinstance(column[0], np.ndarray):
                column = [column[0][chosen]]
            setattr(piece, name, column)
        piece.unit = self.unit
        return piece

    def _of_rows(self, keys: Sequence[SignalKey], bounds: Sequence[int], rows: NDArray[np.intp]) -> Payload:
        provenance = self.provenance.take(rows)
        part = Payload(keys, bounds, self.time[rows], self.value[rows], provenance)
        part.cost = self.cost * provenance.readings // max(self.readings, 1)
        part.recovered = self.recovered
        return part

    def fitted(self, max_bytes: int) -> list[Payload]:
        """Distribute the items over payloads whose bodies have at most `max_bytes`, unless a single row is larger.

        An item that is too large alone is split by rows.
        """
        fitting: list[Payload] = []
        group: list[int] = []
        size = 1
        for item in range(len(self.keys)):
            one = self.item(item)
            bytes_ = len(one.encode()) - 1
            if group and size + bytes_ > max_bytes:
                fitting.append(self.part(group))
                group, size = [], 1
            if 1 + bytes_ > max_bytes and one.rows > 1:
                fitting += one.cut(1 + bytes_, max_bytes)
                continue
            group.append(item)
            size += bytes_
        return [*fitting, self.part(group)] if group else fitting

    def cut(self, size: int, max_bytes: int) -> list[Payload]:
        """Split a payload of one item, whose body has `size` bytes, into payloads that fit if that is possible."""
        count = min(self.rows, size // max_bytes + 1)
        cuts = np.linspace(0, self.rows, count + 1).astype(int).tolist()
        pieces: list[Payload] = []
        for start, stop in pairwise(cuts):
            piece = self.piece(slice(start, stop))
            bytes_ = len(piece.encode())
            pieces += [piece] if bytes_ <= max_bytes or piece.rows == 1 else piece.cut(bytes_, max_bytes)
        return pieces

    def held(self) -> Iterator[tuple[SignalKey, NDArray[Any], Any]]:
        """Yield signal, times and origins of each item, for a hold."""
        for item in range(len(self.keys)):
            yield self.keys[item], self.time[self.bounds[item] : self.bounds[item + 1]], _of(self.origin, item)


def joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join columns; columns of different dtypes become objects: an int stays an int, and a float a float."""
    if len(columns) == 1:
        return columns[0]
    first = columns[0].dtype
    if all([column.dtype == first for column in columns]):
        return np.concatenate(columns)
    return np.concatenate([column.astype(object) for column in columns])


def plain(column: NDArray[Any]) -> NDArray[Any]:
    """Return a part of a joined column with its own dtype: only other parts may need objects."""
    return plain_array(column.tolist()) if column.dtype == object else column


def _of(column: Any, item: int) -> Any:
    return column[item] if isinstance(column, list) else column


def _one_or_each(column: list[Any], forms: int, dtype: Any) -> Any:
    if forms == 1 or column.count(column[0]) == len(column):
        return column[0]
    if None in column:
        dtype = object
    array = np.empty(len(column), dtype)
    array[:] = column
    return array


@attrs.define(eq=False)
class Batch:
    """A payload that is being delivered, and the history of its calls.

    Attributes:
        number: identifies it in events and outcomes.
        payload: the items.
        body: the body of the call.
        family: the search for refused readings that it is a probe of, if any.
        attempts: calls so far.
        first_sent_at: when the first call (or that of the batch it is a part of) was sent.
        sent_at: when the last call was sent.
        maybe_applied: whether a call may have stored it.
        lost_at: when an answer was last lost to a call that may still be applied.
        retry_at: when it may be sent again.
        error: the error of the last call.
        forbidden_after: the number of stored batches when it was first refused with 401 or 403.
        stale: the number of calls that met a dead idle connection.
    """

    number: int
    payload: Payload
    body: bytes = attrs.field(repr=False)
    family: Family | None = None
    attempts: int = 0
    first_sent_at: float | None = None
    sent_at: float = 0.0
    maybe_applied: bool = False
    lost_at: float | None = None
    retry_at: float = 0.0
    error: BesmartError | None = None
    forbidden_after: int | None = None
    stale: int = 0

    @property
    def rows(self) -> int:
        """The number of readings that are sent."""
        return self.payload.rows

    @property
    def items(self) -> int:
        """The number of items that are sent."""
        return len(self.payload)

    def part(self, number: int, payload: Payload, family: Family | None = None) -> Batch:
        """Return a batch for a part of the payload, with the history of this batch."""
        return Batch(
            number,
            payload,
            payload.encode(),
            family,
            first_sent_at=self.first_sent_at,
            maybe_applied=self.maybe_applied,
            lost_at=self.lost_at,
            error=self.error,
            forbidden_after=self.forbidden_after,
        )
