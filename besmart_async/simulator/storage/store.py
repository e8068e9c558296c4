"""Rows of entities: sensors, meter types, states and the types behind them. Readings are in `readings.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from besmart_async.simulator.storage.database import transaction
from besmart_async.simulator.storage.readings import ReadingStore

Row = dict[str, Any]


class EntityStore:
    """The tables of entities. The endpoints decide what a request may do."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.readings = ReadingStore(connection)

    def rows(self, sql: str, *values: object) -> list[Row]:
        """All rows of a query."""
        cursor = self.connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def row(self, sql: str, *values: object) -> Row | None:
        """The first row of a query, None without one."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def insert(self, table: str, row: Mapping[str, object], *, replace: bool = False) -> int:
        """Insert a row and return its id. Table and column names are the program's own, never a request's."""
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        cursor = self.connection.execute(
            f"{verb} INTO {table} ({columns}) VALUES ({marks})",  # names, not values
            tuple(row.values()),
        )
        return cursor.lastrowid or 0

    def update(self, table: str, changes: Mapping[str, object], **where: object) -> int:
        """Change the rows that match and return how many there are."""
        condition = " AND ".join(f"{name} = ?" for name in where)
        if not changes:
            found = self.connection.execute(
                f"SELECT count(*) FROM {table} WHERE {condition}",  # noqa: S608  # names, not values
                tuple(where.values()),
            )
            return int(found.fetchone()[0])
        assignments = ", ".join(f"{name} = ?" for name in changes)
        cursor = self.connection.execute(
            f"UPDATE {table} SET {assignments} WHERE {condition}",  # noqa: S608  # names, not values
            (*changes.values(), *where.values()),
        )
        return cursor.rowcount

    def delete(self, table: str, **where: object) -> int:
        """Delete the rows that match and return how many there were."""
        condition = " AND ".join(f"{name} = ?" for name in where)
        cursor = self.connection.execute(
            f"DELETE FROM {table} WHERE {condition}",  # noqa: S608  # names, not values
            tuple(where.values()),
        )
        return cursor.rowcount

    def sensor(self, client_cid: int, sensor_mid: int) -> Row | None:
        """One sensor with its type."""
        return self.row(
            "SELECT sensor.*, sensor_type.name AS sensor_type_name, sensor_type.description AS"
            " sensor_type_description FROM sensor LEFT JOIN sensor_type ON sensor_type.id = sensor_type_id"
            " WHERE client_cid = ? AND sensor_mid = ?",
            client_cid,
            sensor_mid,
        )

    def has_sensor(self, client_cid: int, sensor_mid: int) -> bool:
        """Whether a sensor exists."""
        sql = "SELECT 1 FROM sensor WHERE client_cid = ? AND sensor_mid = ?"
        return self.connection.execute(sql, (client_cid, sensor_mid)).fetchone() is not None

    def add_sensor(self, client_cid: int, sensor_mid: int | None, row: Mapping[str, object]) -> int:
        """Insert a sensor; without a `sensor_mid` the client's next one is taken, which is never one used before."""
        with transaction(self.connection):
            client = self.row("SELECT next_sensor_mid FROM client WHERE client_cid = ?", client_cid)
            following = client["next_sensor_mid"] if client else 1
            mid = following if sensor_mid is None else sensor_mid
            self.insert("sensor", {"client_cid": client_cid, "sensor_mid": mid, **row})
            record = {"client_cid": client_cid, "next_sensor_mid": max(following, mid + 1)}
            self.insert("client", record, replace=True)
        return int(mid)

    def delete_sensor(self, client_cid: int, sensor_mid: int) -> bool:
        """Delete a sensor with its states and readings; False if it does not exist."""
        with transaction(self.connection):
            if not self.delete("sensor", client_cid=client_cid, sensor_mid=sensor_mid):
                return False
            sql = "SELECT sensor_state_id FROM sensor_state WHERE client_cid = ? AND sensor_mid = ?"
            for state in self.rows(sql, client_cid, sensor_mid):
                self.delete_state(state["sensor_state_id"])
            self.readings.forget(client_cid, sensor_mid)
        return True

    def delete_state(self, sensor_state_id: int) -> bool:
        """Delete a sensor state with its signal states; False if it does not exist."""
        with transaction(self.connection):
            self.delete("signal_state", sensor_state_id=sensor_state_id)
            return self.delete("sensor_state", sensor_state_id=sensor_state_id) > 0

    def signal_type(self, signal_type_moid: int) -> Row | None:
        """One signal type."""
        return self.row("SELECT * FROM signal_type WHERE signal_type_moid = ?", signal_type_moid)
