"""The time series: every acquisition of every reading, in the order of application.

Theory of operation: a reading is identified by its signal, its time and its origin. Writing it again adds a newer
acquisition (a higher sequence number) and takes nothing away. A row of type "RM" marks the reading as deleted: it and
all its older acquisitions are hidden, a later acquisition shows it again. Everything happens on columns; Python only
looks at single rows where a window holds a deletion, or the same reading twice and the newest is asked for.
"""

from __future__ import annotations

import sqlite3
from itertools import count, repeat
from typing import Any, NamedTuple

import attrs
import orjson

SignalTriple = tuple[int, int, int]
REMOVED = "RM"


class StoredReading(NamedTuple):
    """One acquisition, as stored."""

    time: float
    value: Any
    type: str
    origin: int
    acquired: float
    sequence: int


@attrs.define
class ReadingColumns:
    """Readings in columns of one length."""

    time: list[float] = attrs.field(factory=list[float])
    value: list[Any] = attrs.field(factory=list[Any])
    type: list[str] = attrs.field(factory=list[str])
    origin: list[int] = attrs.field(factory=list[int])

    def take(self, positions: list[int]) -> ReadingColumns:
        """The rows at these positions."""
        return ReadingColumns(*([column[i] for i in positions] for column in attrs.astuple(self, recurse=False)))


class ReadingStore:
    """The readings' tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        found = connection.execute("SELECT max(sequence) FROM reading").fetchone()[0]
        self._sequence = count((found or 0) + 1)

    def append(self, key: SignalTriple, columns: ReadingColumns, acquired: float) -> None:
        """Store readings as newly acquired, in their order."""
        values = columns.value
        if not set(map(type, values)) <= {int, float, type(None)}:
            values = [_packed(value) for value in values]
        signal = repeat(self._signal(key))
        # zip asks its iterables from left to right: the sequence comes last, so none is drawn for a row too many.
        rows = zip(
            columns.time,
            values,
            columns.type,
            columns.origin,
            signal,
            repeat(acquired),
            self._sequence,
            strict=False,
        )
        self._connection.executemany(
            "INSERT INTO reading (time, value, type, origin, signal, acquired, sequence) VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def window(
        self, key: SignalTriple, since: float, till: float, *, inclusive: bool, origin: int | None = None
    ) -> ReadingColumns:
        """Every acquisition in a window, ordered by time, then acquisition; deletions included."""
        signal = self._known(key)
        if signal is None:
            return ReadingColumns()
        end = "<=" if inclusive else "<"
        sql = f"SELECT time, value, type, origin FROM reading WHERE signal = ? AND time >= ? AND time {end} ?"  # noqa: S608
        values: list[object] = [signal, since, till]
        if origin is not None:
            sql += " AND origin = ?"
            values.append(origin)
        rows = self._connection.execute(sql + " ORDER BY time, sequence", values).fetchall()
        if not rows:
            return ReadingColumns()
        columns = ReadingColumns(*map(list, zip(*rows, strict=True)))
        if str in set(map(type, columns.value)):
            columns.value = [_unpacked(value) for value in columns.value]
        return columns

    def stored(self, key: SignalTriple) -> list[StoredReading]:
        """Every acquisition of a signal, in the order of application."""
        sql = "SELECT time, value, type, origin, acquired, sequence FROM reading WHERE signal = ? ORDER BY sequence"
        rows = self._connection.execute(sql, (self._known(key),)).fetchall()
        return [StoredReading(row[0], _unpacked(row[1]), *row[2:]) for row in rows]

    def forget(self, client_cid: int, sensor_mid: int) -> None:
        """Drop all readings of a sensor."""
        sql = "SELECT id FROM signal WHERE client_cid = ? AND sensor_mid = ?"
        for (signal,) in self._connection.execute(sql, (client_cid, sensor_mid)).fetchall():
            self._connection.execute("DELETE FROM reading WHERE signal = ?", (signal,))

    def forget_replaced(self) -> None:
        """Drop every acquisition but the newest of each reading."""
        newest = "SELECT max(sequence) FROM reading GROUP BY signal, time, origin"
        self._connection.execute(f"DELETE FROM reading WHERE sequence NOT IN ({newest})")  # noqa: S608

    def count(self) -> int:
        """How many acquisitions are stored."""
        return int(self._connection.execute("SELECT count(*) FROM reading").fetchone()[0])

    def _known(self, key: SignalTriple) -> int | None:
        sql = "SELECT id FROM signal WHERE client_cid = ? AND sensor_mid = ? AND signal_type_moid = ?"
        found = self._connection.execute(sql, key).fetchone()
        return None if found is None else int(found[0])

    def _signal(self, key: SignalTriple) -> int:
        known = self._known(key)
        if known is not None:
            return known
        sql = "INSERT INTO signal (client_cid, sensor_mid, signal_type_moid) VALUES (?, ?, ?)"
        return int(self._connection.execute(sql, key).lastrowid or 0)


def newest(columns: ReadingColumns) -> ReadingColumns:
    """Only the newest acquisition of every (time, origin)."""
    if len(set(columns.time)) == len(columns.time):
        return columns
    last = {reading: i for i, reading in enumerate(zip(columns.time, columns.origin, strict=True))}
    return columns.take(sorted(last.values()))


def without_removed(columns: ReadingColumns) -> ReadingColumns:
    """Without deletions and the acquisitions they hide."""
    if REMOVED not in columns.type:
        return columns
    hidden_up_to = {(columns.time[i], columns.origin[i]): i for i, kind in enumerate(columns.type) if kind == REMOVED}
    readings = zip(columns.time, columns.origin, strict=True)
    return columns.take([i for i, reading in enumerate(readings) if i > hidden_up_to.get(reading, -1)])


def latest(rows: list[StoredReading]) -> list[StoredReading]:
    """One row per (time, origin), the newest, ordered by time, without the deleted ones."""
    last = {(row.time, row.origin): row for row in rows}
    kept = [row for row in last.values() if row.type != REMOVED]
    return sorted(kept, key=lambda row: (row.time, row.sequence))


def _packed(value: Any) -> Any:
    """SQLite holds numbers and null as they are, every other JSON value as its text."""
    return value if value is None or type(value) in (int, float) else orjson.dumps(value).decode()


def _unpacked(value: Any) -> Any:
    return orjson.loads(value) if type(value) is str else value
