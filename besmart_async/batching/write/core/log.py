"""Accepted readings in the order of acceptance: the entries of the log.

An entry is a `Run` of single readings, a `Strip` of plain columns or a `Block` of any columns. Runs and strips grow:
they are columns themselves (keys, times, values), without an object for each reading or signal. Single readings that
were taken from a run and wait for their turn are `Singles`.
"""

from __future__ import annotations

from collections import deque
from itertools import compress
from sys import getsizeof
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.grids import Grid
from besmart_async.batching.write.core.provenance import NO_REF, Ranges, numbers_at, ranges_from, refs_at
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import plain_array
from besmart_async.models.values import JsonValue

READING_BYTES = 80
"""Estimate for one buffered single reading: a float, an int and three list slots."""
BLOCK_BYTES = 400
"""Estimate for the objects around the columns of a block."""
VALUE_BYTES = 16
"""A time and a value in a column."""


class Form(NamedTuple):
    """What readings share besides their signal: type, origin and unit."""

    type: str | None
    origin: int | None
    unit: str | None


class Run:
    """Single readings of any signals.

    Attributes:
        keys: the signal of each reading.
        times: UTC unix milliseconds of each.
        values: the value of each.
        type: type of all readings; if they differ, an object that equals no type.
        origin: origin of all readings.
        unit: unit of all readings.
        forms: the form of each reading, where they differ.
        plain: whether all times are ints and all values finite floats.
        first: number of the first reading.
        start: how many readings were taken already.
        marks: (place, time): this reading and those after it were accepted at this time or later.
        extra: memory of values beyond `READING_BYTES`, in bytes.
    """

    __slots__ = (
        "extra",
        "first",
        "forms",
        "keys",
        "marks",
        "origin",
        "plain",
        "start",
        "times",
        "type",
        "unit",
        "values",
    )

    def __init__(self, form: Form, first: int, now: float) -> None:
        self.keys: list[SignalKey] = []
        self.times: list[int | float] = []
        self.values: list[JsonValue] = []
        self.type: Any
        self.origin: Any
        self.unit: Any
        self.type, self.origin, self.unit = form
        self.forms: list[Form] | None = None
        self.plain = True
        self.first = first
        self.start = 0
        self.marks: deque[tuple[int, float]] = deque([(0, now)])
        self.extra = 0

    def __len__(self) -> int:
        return len(self.keys) - self.start

    @property
    def entries(self) -> int:
        """The most items that it can become."""
        return len(self.keys) - self.start

    @property
    def number(self) -> int:
        """Number of the first reading that is left."""
        return self.first + self.start

    @property
    def since(self) -> float:
        """When the first reading that is left was accepted, or a little earlier."""
        marks = self.marks
        while len(marks) > 1 and marks[1][0] <= self.start:
            marks.popleft()
        return marks[0][1]

    def ranges(self) -> Ranges:
        """Return the numbers of the readings that are left."""
        return [(self.number, self.number + len(self))]

    def note(self, form: Form) -> None:
        """Record that the next reading has another form."""
        if self.forms is None:
            self.forms = [Form(self.type, self.origin, self.unit)] * len(self.keys)
            self.type = self.origin = self.unit = _DIFFERENT
        self.forms.append(form)

    def form(self) -> Form:
        """The form of all readings, if they share one."""
        return Form(self.type, self.origin, self.unit)

    def cut(self, rows: int) -> Singles:
        """Take the first readings."""
        start, stop = self.start, self.start + rows
        times, values = self.times[start:stop], self.values[start:stop]
        if self.plain:
            time, value = np.array(times, np.int64), np.array(values, np.float64)
        else:
            time = plain_array(times)
            value = plain_array(values) if len(set(map(type, values))) == 1 else _objects(values)
        forms = self.form() if self.forms is None else self.forms[start:stop]
        cost = rows * READING_BYTES
        if self.extra:
            extra = self.extra if rows == len(self) else self.extra * rows // len(self)
            self.extra -= extra
            cost += extra
        cut = Singles(self.keys[start:stop], time, value, forms, self.number, self.since, cost)
        self.start = stop
        return cut


_DIFFERENT: Any = object()


class Singles:
    """Single readings of any signals, taken from a run: columns that do not grow any more.

    Attributes:
        keys: the signal of each reading.
        time: UTC unix milliseconds, shape (readings,).
        value: the values, shape (readings,).
        forms: the form of all readings, or of each.
        numbers: number of each reading, ascending; an int where they are consecutive from it.
        since: when the first was accepted, or a little earlier.
        cost: bytes of memory that the readings count for that are left.
        start: how many readings were taken already.
    """

    __slots__ = ("cost", "forms", "keys", "numbers", "since", "start", "time", "value")

    def __init__(
        self,
        keys: list[SignalKey],
        time: NDArray[Any],
        value: NDArray[Any],
        forms: Form | list[Form],
        numbers: int | NDArray[np.int64],
        since: float,
        cost: int,
    ) -> None:
        self.keys = keys
        self.time = time
        self.value = value
        self.forms = forms
        self.numbers = numbers
        self.since = since
        self.cost = cost
        self.start = 0

    def __len__(self) -> int:
        return len(self.keys) - self.start

    @property
    def entries(self) -> int:
        """The most items that it can become."""
        return len(self.keys) - self.start

    @property
    def number(self) -> int:
        """Number of the first reading that is left."""
        return self.numbers + self.start if isinstance(self.numbers, int) else int(self.numbers[self.start])

    def cut(self, rows: int) -> Singles:
        """Take the first readings."""
        start, stop = self.start, self.start + rows
        forms, numbers = self.forms, self.numbers
        cost = self.cost if rows == len(self) else self.cost * rows // len(self)
        self.cost -= cost
        self.start = stop
        return Singles(
            self.keys[start:stop],
            self.time[start:stop],
            self.value[start:stop],
            forms[start:stop] if isinstance(forms, list) else forms,
            numbers + start if isinstance(numbers, int) else numbers[start:stop],
            self.since,
            cost,
        )

    def ranges(self) -> Ranges:
        """Return the numbers of the readings that are left."""
        left = self.number if isinstance(self.numbers, int) else self.numbers[self.start :]
        return ranges_from(left, len(self))

    def split(self, mask: NDArray[np.bool_]) -> tuple[Singles, Singles]:
        """Return the readings that the mask selects, and the others; it must select some of each."""
        cost = self.cost * int(np.count_nonzero(mask)) // len(mask)
        return self._part(mask, cost), self._part(~mask, self.cost - cost)

    def _part(self, mask: NDArray[np.bool_], cost: int) -> Singles:
        chosen = mask.tolist()
        return Singles(
            list(compress(self.keys, chosen)),
            self.time[mask],
            self.value[mask],
            list(compress(self.forms, chosen)) if isinstance(self.forms, list) else self.forms,
            numbers_at(self.numbers, np.flatnonzero(mask)),
            self.since,
            cost,
        )


class Strip:
    """Plain columns of any signals: ascending int times, finite float values, one form.

    Attributes:
        keys: the signal of each column.
        grids: its times.
        values: its values, shape (n,), float64.
        refs: the ref of each column.
        form: the form of all readings.
        first: number of the first reading.
        start: how many columns were taken already.
        taken: how many readings they had.
        rows: how many readings are left.
        since: when the first column was accepted.
    """

    __slots__ = ("first", "form", "grids", "keys", "refs", "rows", "since", "start", "taken", "values")

    def __init__(self, form: Form, first: int, now: float) -> None:
        self.keys: list[SignalKey] = []
        self.grids: list[Grid] = []
        self.values: list[NDArray[np.float64]] = []
        self.refs: list[int] = []
        self.form = form
        self.first = first
        self.start = self.taken = self.rows = 0
        self.since = now

    def __len__(self) -> int:
        return self.rows

    @property
    def entries(self) -> int:
        """The most items that it can become."""
        return len(self.keys) - self.start

    @property
    def number(self) -> int:
        """Number of the first reading that is left."""
        return self.first + self.taken

    def ranges(self) -> Ranges:
        """Return the numbers of the readings that are left."""
        return [(self.number, self.number + len(self))]

    def take(self, columns: int, rows: int) -> None:
        """Take the first columns, with this many readings."""
        self.start += columns
        self.taken += rows
        self.rows -= rows

    def pop(self) -> Block:
        """Take the first column."""
        at = self.start
        block = Block.plain(self.keys[at], self.grids[at], self.values[at], self.form, self.number, self.since)
        block.refs = self.refs[at]
        self.take(1, block.rows)
        return block


class Block:
    """Columns of one signal.

    Attributes:
        key: the signal.
        time: UTC unix milliseconds, shape (rows,).
        value: the values, shape (rows,).
        type: type of all rows, or of each.
        origin: origin of all rows, or of each.
        unit: unit of all rows.
        rows: how many readings.
        numbers: number of each reading; an int where they are consecutive from it.
        refs: the ref of each reading, or of all.
        since: when the first was accepted.
        cost: bytes of memory that it counts for.
        grid: its times, if they ascend and others may have the same times.
        recovered: an earlier writer accepted it, and may have sent it.
    """

    __slots__ = (
        "cost",
        "grid",
        "key",
        "numbers",
        "origin",
        "recovered",
        "refs",
        "rows",
        "since",
        "time",
        "type",
        "unit",
        "value",
    )

    def __init__(
        self,
        data: SignalData,
        numbers: int | NDArray[np.int64],
        refs: int | NDArray[np.int64],
        since: float,
        cost: int,
        *,
        recovered: bool = False,
    ) -> None:
        self.key = data.key
        self.time = data.time
        self.value = data.value
        self.type = data.type
        self.origin = data.origin
        self.unit = data.unit
        self.rows = len(data)
        self.numbers = numbers
        self.refs = refs
        self.since = since
        self.cost = cost
        self.grid: Grid | None = None
        self.recovered = recovered

    @classmethod
    def plain(
        cls, key: SignalKey, grid: Grid, value: NDArray[np.float64], form: Form, number: int, since: float
    ) -> Block:
        """Return a column of a strip as a block."""
        data = SignalData.trusted(key, grid.time, value, *form)
        block = cls(data, number, NO_REF, since, strip_cost(len(value)))
        block.grid = grid
        return block

    def __len__(self) -> int:
        return self.rows

    @property
    def entries(self) -> int:
        """The most items that it can become."""
        return 1

    @property
    def number(self) -> int:
        """Number of its first reading."""
        return self.numbers if isinstance(self.numbers, int) else int(self.numbers[0])

    @property
    def data(self) -> SignalData:
        """The readings."""
        return SignalData.trusted(self.key, self.time, self.value, self.type, self.origin, self.unit)

    def ranges(self) -> Ranges:
        """Return the numbers of the readings."""
        return ranges_from(self.numbers, self.rows)

    def take(self, rows: slice | NDArray[Any]) -> Block:
        """Return a selection of the rows, with their share of the cost."""
        data = self.data.take(rows)
        places = np.arange(self.rows)[rows]
        numbers, refs = numbers_at(self.numbers, places), refs_at(self.refs, places)
        cost = self.cost * len(data) // max(self.rows, 1)
        return Block(data, numbers, refs, self.since, cost, recovered=self.recovered)

    def split(self, rows: int) -> tuple[Block, Block]:
        """Return the first rows and the others."""
        head, rest = self.take(slice(None, rows)), self.take(slice(rows, None))
        head.cost = self.cost - rest.cost
        return head, rest


Entry = Run | Singles | Strip | Block


def strip_cost(rows: int) -> int:
    """Estimate the bytes that a column of a strip takes."""
    return BLOCK_BYTES + VALUE_BYTES * rows


def columns_cost(data: SignalData) -> int:
    """Estimate the bytes that buffered columns take."""
    cost = BLOCK_BYTES + data.time.nbytes + data.value.nbytes
    for column in (data.time, data.value):
        if column.dtype.hasobject:
            cost += sum(map(getsizeof, column))
    for kinds in (data.type, data.origin):
        if isinstance(kinds, np.ndarray):
            cost += kinds.nbytes
    return cost


def value_cost(value: JsonValue) -> int:
    """Estimate the bytes of a value that is not a float."""
    return getsizeof(value) if not isinstance(value, list | dict) else len(repr(value)) * 4


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), object)
    column[:] = values
    return column
