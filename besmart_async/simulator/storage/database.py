"""The SQLite database of the simulator."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

# `value` and the times have no declared type: SQLite then keeps integers and floats apart, as they were written.
_TABLES = """
CREATE TABLE IF NOT EXISTS sensor_type (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL,
    sensor_state_custom_fields TEXT NOT NULL, sensor_custom_fields TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS client (client_cid INTEGER PRIMARY KEY, next_sensor_mid INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sensor (
    client_cid INTEGER NOT NULL, sensor_mid INTEGER NOT NULL, name TEXT NOT NULL, sensor_type_id INTEGER NOT NULL,
    sensor_eid TEXT, lat REAL, lon REAL, info TEXT, comments TEXT, uncertain INTEGER NOT NULL DEFAULT 0,
    negligible INTEGER NOT NULL DEFAULT 0, balance_calculation INTEGER, node_id INTEGER,
    PRIMARY KEY (client_cid, sensor_mid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meter_type (
    client_cid INTEGER NOT NULL, id INTEGER NOT NULL, meter_type_name TEXT NOT NULL, description TEXT,
    number_of_phases INTEGER NOT NULL, is_balance INTEGER NOT NULL DEFAULT 0, is_ami INTEGER NOT NULL DEFAULT 0,
    is_dcu INTEGER NOT NULL DEFAULT 0, is_remote INTEGER NOT NULL DEFAULT 0, prefix_name TEXT,
    default_cap_period INTEGER, PRIMARY KEY (client_cid, id),
    UNIQUE (client_cid, meter_type_name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sensor_state (
    sensor_state_id INTEGER PRIMARY KEY AUTOINCREMENT, client_cid INTEGER NOT NULL, sensor_mid INTEGER NOT NULL,
    since INTEGER NOT NULL, till INTEGER, meter_eid TEXT, info TEXT, meter_type_name TEXT);
CREATE INDEX IF NOT EXISTS sensor_state_of ON sensor_state (client_cid, sensor_mid, since);
CREATE TABLE IF NOT EXISTS signal_state (
    signal_state_id INTEGER PRIMARY KEY AUTOINCREMENT, sensor_state_id INTEGER NOT NULL,
    signal_type_moid INTEGER NOT NULL, value_for_since, value_for_till, info TEXT);
CREATE INDEX IF NOT EXISTS signal_state_of ON signal_state (sensor_state_id);
CREATE TABLE IF NOT EXISTS signal_type (
    signal_type_moid INTEGER PRIMARY KEY, symbol TEXT NOT NULL, is_incremental INTEGER NOT NULL,
    description TEXT NOT NULL, unit_id INTEGER NOT NULL, group_id INTEGER NOT NULL, group_name TEXT NOT NULL,
    obis_mapping TEXT, chart_expected_unit TEXT, keep_prefix INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS signal (
    id INTEGER PRIMARY KEY, client_cid INTEGER NOT NULL, sensor_mid INTEGER NOT NULL,
    signal_type_moid INTEGER NOT NULL, UNIQUE (client_cid, sensor_mid, signal_type_moid));
CREATE TABLE IF NOT EXISTS reading (
    signal INTEGER NOT NULL, time NOT NULL, sequence INTEGER NOT NULL, value, type TEXT NOT NULL,
    origin INTEGER NOT NULL, acquired NOT NULL, PRIMARY KEY (signal, time, sequence)) WITHOUT ROWID;
"""


_ADDED = {
    "sensor": {"balance_calculation": "INTEGER", "node_id": "INTEGER"},
    "meter_type": {
        "is_remote": "INTEGER NOT NULL DEFAULT 0",
        "prefix_name": "TEXT",
        "default_cap_period": "INTEGER",
    },
}
"""Columns that files of earlier versions do not have."""


class DatabaseFileError(ValueError):
    """The file cannot be the simulator's database; nothing in it was changed."""

    def __init__(self, database: str | Path, problem: str) -> None:
        """Name the file and the problem."""
        super().__init__(f"{database}: {problem}; name another file, or one that does not exist yet")


def connect(database: str | Path) -> sqlite3.Connection:
    """Open the database and create missing tables.

    Durability is traded for speed: a simulator that dies takes its data with it.

    Raises:
        DatabaseFileError: the file cannot be opened, or is something else than a simulator's database.
    """
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if names and "signal_type" not in names:
            listed = ", ".join(sorted(names)[:3])
            raise DatabaseFileError(database, f"is a database of something else (with the tables {listed})")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_TABLES)
        _add_columns(connection)
    except (sqlite3.Error, ValueError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, DatabaseFileError):
            raise
        reason = "is a folder" if Path(database).is_dir() else f"cannot be used as a database: {error}"
        raise DatabaseFileError(database, reason) from None
    return connection


def _add_columns(connection: sqlite3.Connection) -> None:
    for table, columns in _ADDED.items():
        present = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for name, declaration in columns.items():
            if name not in present:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {declaration}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """All or nothing; joins a transaction that is already open."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
