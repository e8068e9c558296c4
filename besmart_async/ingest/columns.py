"""Columns of a file on their way to the service: arrow and numpy arrays with the numbers of the rows they came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.arrow import as_numpy, pa, pc
from besmart_async.ingest.slots import Slots

Column: TypeAlias = Any
"""An arrow array, or a numpy array that arrow can take: pyarrow has no type information."""

_SHORT_RUN = 4
"""Equal rows in a row, on average, for which it does not pay to look at the first of them alone."""


@attrs.frozen(eq=False)
class Coded:
    """A column of few distinct texts, as arrow's dictionary arrays: row i holds `names[codes[i]]`.

    Attributes:
        codes: shape (n,), int64; must not be written to.
        names: the distinct texts. Shared by all chunks of a file: it only grows, so a code keeps its meaning.
    """

    codes: NDArray[np.int64]
    names: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def text(self, row: int) -> str:
        """The text of one row."""
        return self.names[int(self.codes[row])]

    def take(self, rows: NDArray[Any]) -> Coded:
        """The column at these rows (a mask or numbers)."""
        return Coded(self.codes[rows], self.names)

    def code(self, name: str) -> int:
        """The code of a text, -1 if the column never held it."""
        return self.names.index(name) if name in self.names else -1


class Coder:
    """Gives the distinct texts of a column their codes, in the order in which they appear."""

    def __init__(self) -> None:
        self._codes = _Codes()
        self.names: list[str] = self._codes.names

    def encode(self, texts: Iterable[str]) -> Coded:
        """Return the column as codes."""
        codes = self._codes
        return Coded(np.array([codes[text] for text in texts], np.int64), self.names)

    def encode_column(self, column: Column) -> Coded:
        """Return an arrow array of anything as codes of its texts; a null is an empty text."""
        if not pa.types.is_dictionary(column.type):  # a sorted file has long runs of a text
            runs = pc.run_end_encode(as_texts(column))
            lengths = np.diff(as_numpy(runs.run_ends), prepend=0)
            return Coded(_in_runs(self.encode_column(runs.values.dictionary_encode()).codes, lengths), self.names)
        names = as_texts(column.dictionary).to_pylist()
        meaning = self.encode([*names, ""] if column.null_count else names).codes
        places = as_numpy(column.indices.fill_null(len(names)) if column.null_count else column.indices)
        starts = run_starts(places) if len(places) else places
        if len(starts) > len(places) // _SHORT_RUN:
            return Coded(meaning.take(places), self.names)
        return Coded(_in_runs(meaning[places[starts]], np.diff(starts, append=len(places))), self.names)


class _Codes(dict[str, int]):
    """A dict in which a missing text gets the next code; texts that differ in outer blanks are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, text: str) -> int:
        plain = text.strip()
        if plain != text:
            code = self[plain]
        else:
            code = len(self.names)
            self.names.append(text)
        self[text] = code
        return code


def _in_runs(values: NDArray[np.int64], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """A column of each value so many times; one that is the same everywhere takes no room."""
    return np.repeat(values, lengths) if len(values) != 1 else np.broadcast_to(values, int(lengths[0]))


def run_starts(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tell where runs of equal rows begin.

    Args:
        columns: of one length, at least one row.
    """
    first, *others = columns
    changes = first[1:] != first[:-1]
    for column in others:
        changes |= column[1:] != column[:-1]
    return np.append(0, np.flatnonzero(changes) + 1)


def distinct_codes(codes: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct codes, ascending, and which of them each row has: `np.unique` without sorting.

    Args:
        codes: from 0 to `most` - 1.
        most: how many there may be.
    """
    starts = run_starts(codes) if len(codes) else codes
    if len(starts) < len(codes) // _SHORT_RUN:  # a sorted file: one row of each run will do
        distinct, places = distinct_codes(codes[starts], most)
        return distinct, np.repeat(places, np.diff(starts, append=len(codes)))
    if most > 4 * len(codes) + 1000:  # a table of all would be larger than the column
        distinct, places = np.unique(codes, return_inverse=True)
        return distinct, places
    present = np.zeros(most, np.bool_)
    present[codes] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[codes]


def as_column(values: Any) -> Column:
    """Return what a source gave (arrow, numpy, a list) as one arrow array."""
    if isinstance(values, pa.ChunkedArray):
        whole = values.combine_chunks()
        return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    return values if isinstance(values, pa.Array) else pa.array(values)


def as_texts(column: Column) -> Column:
    """Return an arrow array as texts without nulls."""
    if pa.types.is_null(column.type) or pa.types.is_dictionary(column.type) or not pa.types.is_string(column.type):
        column = pc.cast(column, pa.string())
    return pc.fill_null(column, "") if column.null_count else column


def _shown(value: Any) -> str:
    """A value of an arrow or numpy column as text."""
    if not isinstance(value, pa.Scalar):
        return str(value)
    try:
        found = value.as_py()
    except (OverflowError, ValueError):  # a time that no calendar has, or of nanoseconds
        found = value.value
    return "" if found is None else str(found)


@attrs.frozen(eq=False)
class DaySlots:
    """Times of a wide file: every value stands in a column of its own in the row of a day.

    Attributes:
        day: the day of each value, as written, shape (n,).
        slot: in which of `slots` it stands, shape (n,), ascending.
        slots: the columns of values.
    """

    day: Coded
    slot: NDArray[np.int64]
    slots: Slots

    def __len__(self) -> int:
        return len(self.slot)


@attrs.frozen(eq=False)
class Chunk:
    """Some readings of a file, not yet interpreted. Columns of one length.

    Attributes:
        file: the file's name for people.
        rows: the row each reading stands in; with a header, that is row 1. A wide row has many readings.
        meter: names of the meters.
        time: an arrow or numpy array: texts, moments (timestamps with a zone), times on a clock (timestamps without
            one), or numbers, which are UTC unix milliseconds; or the slots of days.
        value: an arrow or numpy array: texts or numbers. A null or an empty text is a missing value.
        signal: OBIS code, symbol or id of the signal types; None without such a column.
        unit: unit symbols; None without such a column.
        origin: origins as texts; None without such a column.
        zone: names of the time zones; None without such a column.
        titles: what the file calls each column.
    """

    file: str
    rows: NDArray[np.int64]
    meter: Coded
    time: Column | DaySlots
    value: Column
    signal: Coded | None = None
    unit: Coded | None = None
    origin: Coded | None = None
    zone: Coded | None = None
    titles: dict[str, str] = attrs.field(factory=dict[str, str])

    def __len__(self) -> int:
        return len(self.rows)

    def title(self, role: str, place: int) -> str:
        """What the file calls the column at fault for a reading, by its role."""
        if role in ("value", "slot") and isinstance(self.time, DaySlots):
            return self.time.slots.titles[int(self.time.slot[place])]
        return self.titles.get(role, role)

    def text(self, role: str, place: int) -> str:
        """What that column holds there, as text."""
        if role == "slot":
            return f"{self.text('time', place)} {self.title(role, place)}"
        held = self.time.day if role == "time" and isinstance(self.time, DaySlots) else getattr(self, role)
        if held is None:
            return ""
        if isinstance(held, Coded):
            return held.text(place)
        return _shown(held[place])
