"""Columns of a file as arrow and numpy arrays, with the numbers of the rows they came from.

pyarrow is imported here only, so that one place says how to install it. It has no type information and creates its
functions at import time: a type checker sees `Any`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.sources.layout import Layout, Slots
from besmart_async.ingest.sources.series import ValueColumn

try:
    import pyarrow  # noqa: ICN001 - the short name is the untyped one, below
    import pyarrow.compute
    import pyarrow.csv
except ModuleNotFoundError as error:
    if error.name != "pyarrow":
        raise
    problem = "reading files needs pyarrow: pip install 'besmart-async[files]'"
    raise ModuleNotFoundError(problem, name="pyarrow") from error

pa: Any = pyarrow
pc: Any = pyarrow.compute
pa_csv: Any = pyarrow.csv

Column: TypeAlias = Any
"""An arrow array, or a numpy array that arrow accepts."""

_SHORT_RUN = 4
"""Average length of runs of equal rows up to which looking only at the first row of each run does not pay."""


def as_numpy(column: Any) -> NDArray[Any]:
    """Return an arrow array of numbers or booleans, without nulls, as a read-only numpy array.

    Arrow's own `to_numpy` imports pandas if it is installed, which takes longer than reading a million rows.
    """
    if pa.types.is_boolean(column.type):
        return np.from_dlpack(column.cast(pa.uint8())).view(np.bool_)
    return np.from_dlpack(column)


@attrs.frozen(eq=False)
class Coded:
    """A dictionary-encoded column of few distinct texts: row i holds `names[codes[i]]`.

    Attributes:
        codes: shape (n,), int64, read-only.
        names: the distinct texts. All chunks of a file share this list; it only grows, so a code keeps its meaning.
    """

    codes: NDArray[np.int64]
    names: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def text(self, row: int) -> str:
        """The text of one row."""
        return self.names[int(self.codes[row])]

    def take(self, rows: NDArray[Any]) -> Coded:
        """The column at these rows (a mask or indexes)."""
        return Coded(self.codes[rows], self.names)

    def code(self, name: str) -> int:
        """The code of a text; -1 if the column never held it."""
        return self.names.index(name) if name in self.names else -1


class Coder:
    """Encodes the texts of a column; codes are numbered in the order in which the texts first appear."""

    def __init__(self) -> None:
        self._codes = _Codes()
        self.names: list[str] = self._codes.names

    def encode(self, texts: Iterable[str]) -> Coded:
        """Return texts as codes."""
        codes = self._codes
        return Coded(np.array([codes[text] for text in texts], np.int64), self.names)

    def encode_column(self, column: Column) -> Coded:
        """Return an arrow array of any type as codes of its texts; a null counts as an empty text."""
        if not pa.types.is_dictionary(column.type):  # a sorted file has long runs of one text
            runs = pc.run_end_encode(as_texts(column))
            lengths = np.diff(as_numpy(runs.run_ends), prepend=0)
            return Coded(_in_runs(self.encode_column(runs.values.dictionary_encode()).codes, lengths), self.names)
        names = as_texts(column.dictionary).to_pylist()
        meaning = self.encode([*names, ""] if column.null_count else names).codes
        indices = as_numpy(column.indices.fill_null(len(names)) if column.null_count else column.indices)
        starts = run_starts(indices) if len(indices) else indices
        if len(starts) > len(indices) // _SHORT_RUN:
            return Coded(meaning.take(indices), self.names)
        return Coded(_in_runs(meaning[indices[starts]], np.diff(starts, append=len(indices))), self.names)


class _Codes(dict[str, int]):
    """A dict that gives a missing text the next code; texts that differ only in outer blanks share a code."""

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
    """Repeat each value by its length; a single value is broadcast and takes no memory."""
    return np.repeat(values, lengths) if len(values) != 1 else np.broadcast_to(values, int(lengths[0]))


def run_starts(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indexes at which runs of equal rows start.

    Args:
        columns: equally long, with at least one row.
    """
    first, *others = columns
    changes = first[1:] != first[:-1]
    for column in others:
        changes |= column[1:] != column[:-1]
    return np.append(0, np.flatnonzero(changes) + 1)


def distinct_codes(codes: NDArray[np.int64], limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct codes, ascending, and the index among them of each row: `np.unique` without sorting.

    Args:
        codes: from 0 to `limit` - 1.
        limit: the number of possible codes.
    """
    starts = run_starts(codes) if len(codes) else codes
    if len(starts) < len(codes) // _SHORT_RUN:  # a sorted file: look at one row of each run
        distinct, which = distinct_codes(codes[starts], limit)
        return distinct, np.repeat(which, np.diff(starts, append=len(codes)))
    if limit > 4 * len(codes) + 1000:  # a table of all codes would be larger than the column
        distinct, which = np.unique(codes, return_inverse=True)
        return distinct, which
    present = np.zeros(limit, np.bool_)
    present[codes] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[codes]


def as_column(values: Any) -> Column:
    """Return what a source passed (arrow, numpy, a list) as one arrow array."""
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
    except (OverflowError, ValueError):  # a time outside the calendar, or with nanoseconds
        found = value.value
    return "" if found is None else str(found)


@attrs.frozen(eq=False)
class DaySlots:
    """Times of a wide file: a row is a day, and each of its values has a column (a slot).

    Attributes:
        day: the day of each value, as written, shape (n,).
        slot: index into `slots` of each value, shape (n,), ascending.
        slots: the value columns.
    """

    day: Coded
    slot: NDArray[np.int64]
    slots: Slots

    def __len__(self) -> int:
        return len(self.slot)


@attrs.frozen
class Standard:
    """What the standard of a format fixes for its readings, whatever the options say about times and columns.

    Times are moments, or local times of a plain calendar, at the start of their period. A null is a missing value.

    Attributes:
        signals: signal types by the standard's names of registers, where the user names none.
    """

    signals: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen(eq=False)
class Chunk:
    """Some readings of a file, not yet parsed: columns of equal length.

    Attributes:
        file: the file's name in messages.
        rows: row number of each reading; a header is row 1. A wide row has many readings.
        meter: meter names.
        time: an arrow or numpy array of texts, timestamps with a zone (moments), timestamps without one (local
            times) or numbers (UTC unix milliseconds); or the slots of days.
        value: an arrow or numpy array of texts or numbers. A null or an empty text is a missing value.
        signal: OBIS codes, symbols or ids of signal types; None without such a column.
        unit: unit symbols; None without such a column.
        origin: origins as texts; None without such a column.
        zone: time zone names; None without such a column.
        titles: the file's own column titles, by role.
        column: the title of the column of each value, in files with several readings in a row; else None. Two columns
            of one title have different codes.
        standard: what the file's format fixes; None for a table, which options describe.
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
    column: Coded | None = None
    standard: Standard | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def title(self, role: str, index: int) -> str:
        """The file's title of the column that has this role for a reading."""
        if role in ("value", "slot") and isinstance(self.time, DaySlots):
            return self.time.slots.titles[int(self.time.slot[index])]
        if role == "value" and self.column is not None:
            return self.column.text(index)
        return self.titles.get(role, role)

    def text(self, role: str, index: int) -> str:
        """What that column holds for a reading, as text."""
        if role == "slot":
            return f"{self.text('time', index)} {self.title(role, index)}"
        held = self.time.day if role == "time" and isinstance(self.time, DaySlots) else getattr(self, role)
        if held is None:
            return ""
        if isinstance(held, Coded):
            return held.text(index)
        return _shown(held[index])


class ChunkBuilder:
    """Builds the chunks of one file from its arrow columns.

    Args:
        name: the file's name in messages.
        layout: the role of each column.
    """

    def __init__(self, name: str, layout: Layout) -> None:
        self._name = name
        self._layout = layout
        self._titles = dict(layout.titles)
        self._columns = [column.title for column in layout.series]
        own = {role for column in layout.series for role in (*column.said, *column.beside)}
        named = {*layout.titles, *layout.said, *own}
        roles = ("meter", "signal", "unit", "origin", "zone", *(("date",) if layout.slots else ()))
        self._coders = {role: Coder() for role in roles if role in named}

    def rows_at_a_time(self, readings: int) -> int:
        """The number of rows that hold about this many readings."""
        return max(1, readings // (len(self._layout.slots or ()) or len(self._layout.series) or 1))

    def chunk(self, rows: NDArray[np.int64], columns: Mapping[int, Column]) -> Chunk:
        """Return the readings of some rows.

        Args:
            rows: row numbers.
            columns: the columns by index. A wide row may have more slots than the header.
        """
        positions = self._layout.positions
        coded = {
            role: self._said(role, len(rows)) or coder.encode_column(self._texts(role, columns))
            for role, coder in self._coders.items()
            if role in self._layout.said or role in self._layout.titles
        }
        if self._layout.series:
            return self._gathered(rows, columns, coded)
        if self._layout.slots:
            return self._melted(rows, columns, coded)
        time = _joined(columns, positions.get("date"), positions["time"])
        return self._build(rows, time, columns[positions["value"]], coded)

    def _said(self, role: str, rows: int) -> Coded | None:
        """The column of a role that all rows share."""
        text = self._layout.said.get(role)
        if text is None:
            return None
        coder = self._coders[role]
        return Coded(np.broadcast_to(coder.encode([text]).codes, rows), coder.names)

    def _texts(self, role: str, columns: Mapping[int, Column]) -> Column:
        positions = self._layout.positions
        if role in positions:
            return columns[positions[role]]
        client, sensor = (as_texts(columns[positions[part]]) for part in ("client_cid", "sensor_mid"))
        return pc.binary_join_element_wise(client, sensor, ".")

    def _gathered(self, rows: NDArray[np.int64], columns: Mapping[int, Column], coded: Mapping[str, Coded]) -> Chunk:
        """The readings of all value columns, one column after the other; empty cells hold no reading."""
        parts = [self._of_column(column, rows, columns, coded) for column in self._layout.series]
        lengths = [len(part.kept) for part in parts]
        codes = {
            role: Coded(np.concatenate([part.codes[role] for part in parts]), coder.names)
            for role, coder in self._coders.items()
        }
        return self._build(
            rows[np.concatenate([part.kept for part in parts])],
            as_column(pa.chunked_array(_of_one_type([part.time for part in parts]))),
            as_column(pa.chunked_array(_of_one_type([part.value for part in parts]))),
            codes,
            Coded(np.repeat(np.arange(len(parts)), lengths), self._columns),
        )

    def _of_column(
        self, column: ValueColumn, rows: NDArray[np.int64], columns: Mapping[int, Column], coded: Mapping[str, Coded]
    ) -> _Part:
        value = as_column(columns[column.position])
        present = _present(value)
        kept = np.flatnonzero(as_numpy(present))
        positions = {**self._layout.positions, **column.beside}
        if "time" in column.said:
            time = pa.repeat(pa.scalar(column.said["time"]), len(kept))
        else:
            day = positions.get("date") if "time" in positions else None
            time = _joined(columns, day, positions.get("time", positions.get("date", -1)))
            time = time if len(kept) == len(rows) else time.filter(present)
        codes: dict[str, NDArray[np.int64]] = {}
        for role, coder in self._coders.items():
            if role in column.beside:
                codes[role] = coder.encode_column(columns[column.beside[role]]).codes[kept]
            elif role in column.said or role not in coded:
                code = coder.encode([column.said.get(role, "")]).codes
                codes[role] = np.broadcast_to(code, len(kept))
            else:
                codes[role] = coded[role].codes[kept]
        return _Part(kept, time, value if len(kept) == len(rows) else value.filter(present), codes)

    def _melted(self, rows: NDArray[np.int64], columns: Mapping[int, Column], coded: dict[str, Coded]) -> Chunk:
        slots = self._layout.slots
        assert slots is not None  # noqa: S101 - the caller checked
        if max(columns) > max(self._layout.used):
            slots = slots.reaching(max(columns) + 1 - slots.positions[0])
        values = as_column(pa.chunked_array([columns[position] for position in slots.positions]))
        present = _present(values)
        kept = np.flatnonzero(as_numpy(present))
        if len(kept) < len(values):
            values = values.filter(present)
        slot, row = np.divmod(kept, len(rows))
        day = coded.pop("date").take(row)
        melted = {role: column.take(row) for role, column in coded.items()}
        return self._build(rows[row], DaySlots(day, slot, slots), values, melted)

    def _build(
        self,
        rows: NDArray[np.int64],
        time: Column | DaySlots,
        value: Column,
        coded: Mapping[str, Coded],
        column: Coded | None = None,
    ) -> Chunk:
        signal, unit, origin, zone = (coded.get(role) for role in ("signal", "unit", "origin", "zone"))
        return Chunk(self._name, rows, coded["meter"], time, value, signal, unit, origin, zone, self._titles, column)


@attrs.frozen(eq=False)
class _Part:
    """The readings of one value column: the indexes of their rows, and their columns."""

    kept: NDArray[np.int64]
    time: Column
    value: Column
    codes: Mapping[str, NDArray[np.int64]]


def _joined(columns: Mapping[int, Column], day: int | None, time: int) -> Column:
    """The column of times, with the day from a column of its own in front if there is one."""
    if day is None:
        return as_column(columns[time])
    return pc.binary_join_element_wise(as_texts(as_column(columns[day])), as_texts(as_column(columns[time])), " ")


def _present(values: Column) -> Column:
    """Which values are there: texts that are not empty, and other values that are not null."""
    if pa.types.is_string(values.type):
        return pc.cast(pc.binary_length(as_texts(values)), pa.bool_())
    return pc.is_valid(values)


def _of_one_type(columns: list[Column]) -> list[Column]:
    """Columns of one type: those of a Parquet file may be whole numbers, doubles or texts."""
    if len({column.type for column in columns}) == 1:
        return columns
    if any(pa.types.is_string(column.type) for column in columns):
        return [as_texts(column) for column in columns]
    return [pc.cast(column, pa.float64(), safe=False) for column in columns]
