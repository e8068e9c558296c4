"""The table of meters: a CSV file that says which sensor a meter is, its signal type, and the factor of its values."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from besmart_async.errors import InvalidInputError
from besmart_async.ingest.sources.base import SourceError
from besmart_async.ingest.sources.blocks import blocks
from besmart_async.ingest.sources.header import by_frequency
from besmart_async.ingest.sources.layout import COLUMN_NAMES, plain_cell, plain_title
from besmart_async.models.keys import SensorKey

_COLUMNS = ("meter", "client_cid", "sensor_mid")
_TITLES: Mapping[str, tuple[str, ...]] = {
    **{role: COLUMN_NAMES[role] for role in _COLUMNS},
    "signal_type": ("signal_type", *COLUMN_NAMES["signal"]),
    "factor": ("factor", "ratio", "transformer_ratio", "multiplier"),
}


@attrs.frozen
class Meter:
    """The sensor of a meter.

    Attributes:
        sensor: the sensor's key.
        signal_type: signal type of readings whose row names none: OBIS code, symbol or id.
        factor: what the values in files are multiplied by, such as the ratio of transformers.
    """

    sensor: SensorKey
    signal_type: str | None = None
    factor: float = attrs.field(default=1.0, repr=False)


@attrs.frozen
class _Form:
    """The delimiter of a table, the row of its header, its columns by role, and their number."""

    delimiter: str
    row: int
    positions: Mapping[str, int]
    width: int


def read_meter_table(path: Path) -> dict[str, Meter]:
    """Read a CSV file with the columns `meter,client_cid,sensor_mid[,signal_type][,factor]`, in any order.

    It may have what CSV files of readings may have: another delimiter, their titles (`EAN` only by `meter`;
    `signal_type_moid`, `obis` …), lines above the header, further columns, and blank rows.

    Raises:
        SourceError: the text names the file, the row and the problem.
    """
    lines = _lines(path)
    form = _form(lines, path)
    table: dict[str, Meter] = {}
    for row, fields in _records(lines, form, path):
        texts = {role: fields[index] if index < len(fields) else "" for role, index in form.positions.items()}
        name = texts["meter"]
        if not name or name in table:
            problem = f"meter {name!r} is there twice" if name else "the meter is empty"
            raise SourceError(str(path), f"row {row}: {problem}")
        try:
            table[name] = _meter(texts)
        except ValueError as error:
            raise SourceError(str(path), f"row {row}: {error}") from None
    return table


def append_meter(path: Path, meter: tuple[str, int, int] | None) -> None:
    """Add a meter (name, client_cid, sensor_mid) to a table in the table's own form; None only creates the table.

    Raises:
        SourceError: the table cannot be written, or is not in UTF-8.
    """
    try:
        with path.open("ab+") as file:
            file.seek(0)
            held = file.read()
            form = _form(_lines(path), path) if held.strip() else _Form(",", 1, _numbered(_COLUMNS), len(_COLUMNS))
            added: list[Sequence[object]] = [] if held.strip() else [_COLUMNS]
            if meter is not None:
                fields: list[object] = [""] * form.width
                for role, text in zip(_COLUMNS, meter, strict=True):
                    fields[form.positions[role]] = text
                added.append(fields)
            ended = not held or held.endswith((b"\n", b"\r"))
            file.write(_encoded(added, form.delimiter, b"" if ended else b"\n"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SourceError(str(path), f"cannot be written: {error.strerror or error}") from None


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(names)}


def _encoded(rows: Sequence[Sequence[object]], delimiter: str, start: bytes) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return (start if rows else b"") + text.getvalue().encode()


def _lines(path: Path) -> list[str]:
    """The lines of a table; the first one is row 1."""
    lines: list[str] = []
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(str(path), f"cannot be opened: {error.strerror or error}") from None
    for block in blocks([content], "utf-8-sig", str(path)):
        if block.broken:
            raise SourceError(str(path), f"row {min(block.broken)}: is not UTF-8 text; save the table as UTF-8")
        lines += block.text.decode().split("\n")[:-1]
    return lines


def _form(lines: Sequence[str], path: Path) -> _Form:
    first: str | None = None
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        for delimiter in by_frequency(line):
            titles = [plain_title(field) for field in next(csv.reader([line], delimiter=delimiter), [])]
            found = {role: _position(titles, role, path) for role in _TITLES}
            positions = {role: index for role, index in found.items() if index is not None}
            missing = [role for role in _COLUMNS if role not in positions]
            if not missing:
                return _Form(delimiter, row, positions, len(titles))
            if first is None or len(missing) < len(_COLUMNS):
                first = first if first in _COLUMNS[1:] else missing[0]
    problem = f"no column {first or _COLUMNS[0]}; the header must be {','.join(_COLUMNS)}"
    raise SourceError(str(path), f"{problem}, with any of the delimiters , ; tab |")


def _position(titles: Sequence[str], role: str, path: Path) -> int | None:
    """The index of the column with the first of a role's titles that is there."""
    for name in _TITLES[role]:
        found = [index for index, title in enumerate(titles) if title == plain_title(name)]
        if len(found) > 1:
            raise SourceError(str(path), f"columns {found[0] + 1} and {found[1] + 1} both are titled {name}")
        if found:
            return found[0]
    return None


def _records(lines: Sequence[str], form: _Form, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, fields) of each row that is not blank."""
    reader = csv.reader((f"{line}\n" for line in lines[form.row :]), delimiter=form.delimiter, strict=True)
    row = form.row + 1
    try:
        for fields in reader:
            texts = [plain_cell(field.strip()).strip() for field in fields]
            if any(texts):
                yield row, texts
            row = form.row + reader.line_num + 1
    except csv.Error as error:
        raise SourceError(str(path), f"row {row}: is not CSV: {error}") from None


def _meter(texts: Mapping[str, str]) -> Meter:
    try:
        key = SensorKey.parse(f"{texts['client_cid']}.{texts['sensor_mid']}")
    except InvalidInputError:
        raise ValueError("client_cid and sensor_mid must be whole numbers") from None
    factor = texts.get("factor", "")
    return Meter(key, texts.get("signal_type") or None, _factor(factor) if factor else 1.0)


def _factor(text: str) -> float:
    """The factor of a text such as `4000`, `0.5` or `0,5`; `1,500` could be either number, and is refused."""
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        factor = float(plain)
    except ValueError:
        factor = math.nan
    whole, _, fraction = text.partition(",")
    if not 0 < factor < math.inf or (fraction and len(fraction) == 3 and whole != "0"):
        raise ValueError(f"factor {text!r} is not a number above 0, such as 4000 or 0.5")
    return factor
