"""Checks of written readings, column by column: nothing here runs once per reading unless a column is mixed."""

from __future__ import annotations

from itertools import compress
from typing import Any, NoReturn, cast

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import not_found, unprocessable
from besmart_async.simulator.routing.declarations import INT64_MAX, INT64_MIN
from besmart_async.simulator.signal_data import units
from besmart_async.simulator.storage.readings import ReadingColumns, SignalTriple

DOUBLE = "DBL"
NAMES = ("time", "value", "type", "origin")
_MAX_TIME = 8.64e15  # the span of a JavaScript date: beyond it nothing is a time


def checked_columns(data: Any, *, complete: bool, where: tuple[str | int, ...], name: str) -> ReadingColumns:
    """The columns of a write.

    Args:
        data: What the body holds as columns.
        complete: All four columns must be there; else `type` and `origin` stand for "DBL" and 1 when left out.
        where: The way to the columns in the body.
        name: How to call the item in a message.

    Raises:
        Refusal: 422 naming item and column.
    """
    if not isinstance(data, dict):
        unprocessable(f"{name}: data must be an object", *where)
    found = cast("dict[str, Any]", data)
    for field, column in found.items():
        if field not in NAMES:
            unprocessable(f"{name}: unknown field {field!r} in data", *where, field)
        if not isinstance(column, list):
            unprocessable(f"{name}: {field!r} must be a list", *where, field)
    for field in NAMES if complete else ():
        if field not in found:
            unprocessable(f"{name}: {field!r} is missing in data", *where, field)
    rows = len(found.get("time", ()))
    columns = ReadingColumns(
        found.get("time", []),
        found.get("value", []),
        found.get("type", [DOUBLE] * rows),
        found.get("origin", [1] * rows),
    )
    _check(columns, where, name)
    return columns


def _check(columns: ReadingColumns, where: tuple[str | int, ...], name: str) -> None:
    lengths = {f: len(getattr(columns, f)) for f in NAMES}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{field} {size}" for field, size in lengths.items())
        unprocessable(f"{name}: columns of unequal length: {listed}", *where)
    if not columns.time:
        return
    if not set(map(type, columns.time)) <= {int, float}:
        _bad_row(columns.time, (int, float), "time", "a number", where, name)
    if not (min(columns.time) >= -_MAX_TIME and max(columns.time) <= _MAX_TIME):
        unprocessable(f"{name}: a time is out of range", *where, "time")
    if set(map(type, columns.type)) != {str}:
        _bad_row(columns.type, (str,), "type", "a string", where, name)
    if set(map(type, columns.origin)) != {int}:
        _bad_row(columns.origin, (int,), "origin", "an integer", where, name)
    if not (min(columns.origin) >= INT64_MIN and max(columns.origin) <= INT64_MAX):
        unprocessable(f"{name}: an origin is out of range", *where, "origin")
    _check_values(columns, where, name)


def _check_values(columns: ReadingColumns, where: tuple[str | int, ...], name: str) -> None:
    kinds = set(columns.type)
    doubles = columns.value
    if kinds != {DOUBLE}:
        doubles = list(compress(columns.value, [kind == DOUBLE for kind in columns.type]))
    if not set(map(type, doubles)) <= {int, float}:
        row = next(
            i
            for i, (kind, value) in enumerate(zip(columns.type, columns.value, strict=True))
            if kind == DOUBLE and type(value) not in (int, float)
        )
        unprocessable(
            f"{name}: value {row} must be a number for type DBL, it is {columns.value[row]!r}",
            *where,
            "value",
            row,
        )
    if not set(map(type, columns.value)) <= {float, type(None)}:
        # Integers above int64 are doubles to the service; SQLite could not hold them as integers.
        columns.value = [float(v) if type(v) is int and not INT64_MIN <= v <= INT64_MAX else v for v in columns.value]


def _bad_row(
    column: list[Any],
    accepted: tuple[type, ...],
    field: str,
    expected: str,
    where: tuple[str | int, ...],
    name: str,
) -> NoReturn:
    row = next(i for i, value in enumerate(column) if type(value) not in accepted)
    unprocessable(f"{name}: {field} {row} must be {expected}, it is {column[row]!r}", *where, field, row)


def into_unit_of_type(
    columns: ReadingColumns, symbol: str | None, unit_id: int, where: tuple[str | int, ...], name: str
) -> None:
    """Convert the values to the signal type's unit.

    Raises:
        Refusal: 422 for a unit that is unknown or of another dimension.
    """
    if symbol is None:
        return
    source, target = units.BY_SYMBOL.get(symbol), units.BY_ID[unit_id]
    if source is None:
        unprocessable(f"{name}: unknown unit {symbol!r}", *where, "unit")
    if not units.convertible(source, target):
        unprocessable(f"{name}: unit {symbol!r} cannot be converted to {target.symbol!r}", *where, "unit")
    if source is target:
        return
    kept = [i for i, kind in enumerate(columns.type) if kind != DOUBLE]
    values = units.convert(columns.value, source, target)
    for row in kept:
        values[row] = columns.value[row]
    columns.value = values


@attrs.frozen
class SignalWrite:
    """Readings of one signal, checked and in the unit of its type."""

    key: SignalTriple
    columns: ReadingColumns


_KEY = ("client_cid", "sensor_mid", "signal_type_moid")


def checked_item(context: RequestContext, item: Any, position: int) -> SignalWrite:
    """One item of a bulk write.

    Raises:
        Refusal: 422 naming the item and what is wrong with it.
    """
    name = f"item {position}"
    if not isinstance(item, dict):
        unprocessable(f"{name} must be an object", "body", position)
    found = cast("dict[str, Any]", item)
    for field in found:
        if field not in {*_KEY, "data", "unit"}:
            unprocessable(f"{name}: unknown field {field!r}", "body", position, field)
    for field in _KEY:
        if type(found.get(field)) is not int:
            unprocessable(f"{name}: {field!r} must be an integer", "body", position, field)
    key = (found["client_cid"], found["sensor_mid"], found["signal_type_moid"])
    unit = found.get("unit")
    if "unit" in found and not isinstance(unit, str):
        unprocessable(f"{name}: 'unit' must be a string", "body", position, "unit")
    name = f"item {position} ({'.'.join(map(str, key))})"
    unit_id = _unit_id(context, key)
    if unit_id is None:
        unprocessable(f"{name}: unknown sensor or signal type", "body", position)
    columns = checked_columns(found.get("data"), complete=True, where=("body", position, "data"), name=name)
    into_unit_of_type(columns, unit, unit_id, ("body", position), name)
    _check_poison(context, key, columns, name)
    return SignalWrite(key, columns)


def checked_write(context: RequestContext, params: dict[str, Any], body: Any) -> SignalWrite:
    """The write of one signal. The document requires none of the columns.

    Raises:
        Refusal: 404 for an unknown sensor or signal type, 422 for bad columns.
    """
    key = (params["client_cid"], params["sensor_mid"], params["signal_type_moid"])
    unit_id = _unit_id(context, key)
    if unit_id is None:
        not_found()
    columns = checked_columns(body, complete=False, where=("body",), name="the body")
    into_unit_of_type(columns, params.get("unit"), unit_id, ("query",), "the body")
    _check_poison(context, key, columns, "the body")
    return SignalWrite(key, columns)


def apply(context: RequestContext, writes: list[SignalWrite]) -> None:
    """Store the writes, all acquired now."""
    now = context.now_ms
    for write in writes:
        context.store.readings.append(write.key, write.columns, now)


def _unit_id(context: RequestContext, key: SignalTriple) -> int | None:
    if any(not INT64_MIN <= part <= INT64_MAX for part in key):
        return None
    signal_type = context.store.signal_type(key[2])
    return signal_type["unit_id"] if signal_type and context.store.has_sensor(key[0], key[1]) else None


def _check_poison(context: RequestContext, key: SignalTriple, columns: ReadingColumns, name: str) -> None:
    poison = context.poison
    if not poison:
        return
    bad = key in poison.signals or not poison.readings.get(key, set()).isdisjoint(columns.time)
    if bad:
        unprocessable(f"{name} is refused" if poison.named else "An error occured", "body")
