"""What stands before the rows of a table: its header, wherever it stands, and cells about the whole file above it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

import attrs

from besmart_async.ingest.sources.layout import (
    TOLD,
    FileForm,
    Layout,
    PreambleCell,
    form_of_rejects,
    plain_cell,
    titled_roles,
)

DELIMITERS = ",;\t|"
SEARCHED_ROWS = 200
"""Rows among which the header is searched for."""

_JOINT = " | "
_SUFFIX = re.compile(r"(?<=.)\.(?:[A-Za-z][A-Za-z0-9]{0,7}|p1)$")
_DIGITS = re.compile(r"[0-9].*[0-9].*[0-9].*[0-9]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*")


@attrs.frozen
class Header:
    """The header of a table.

    Attributes:
        layout: the roles of its columns.
        delimiter: the delimiter of fields.
        rows: number of rows up to its last one; 0 without a header.
        titles: the titles of its columns.
        lines: its lines.
        form: what the user said about the file, as far as it holds: a file of rejects has another form.
    """

    layout: Layout
    delimiter: str
    rows: int
    titles: tuple[str, ...]
    lines: tuple[str, ...]
    form: FileForm


class NoHeaderError(ValueError):
    """No row can be the header; the text says what the row lacks that is most like one."""


def cells(line: str, delimiter: str) -> list[str]:
    """The fields of one line.

    Raises:
        ValueError: the line is not CSV.
    """
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise ValueError(f"is not CSV: {error}") from None


def find_header(lines: Sequence[str], form: FileForm, name: str) -> Header:
    """Find the header among the first lines of a file.

    Args:
        lines: the first lines, without line ends.
        form: what the user said about the file.
        name: the file's name.

    Raises:
        NoHeaderError: none of the lines has the titles.
        ValueError: the form cannot work with this file.
    """
    if lines and lines[0].startswith(TOLD[0]):
        delimiter = form.delimiter or by_frequency(lines[0])[0]
        header = cells(lines[0], delimiter)
        form = form_of_rejects(form, len(header))
        return Header(Layout.of(header, form, delimiter=delimiter), delimiter, 1, tuple(header), (lines[0],), form)
    said = said_by_name(form, name)
    if form.header_row is not None:
        return _told_header(lines, form, said)
    try:
        return _searched_header(lines, form, said)
    except NoHeaderError:
        whole, ends = _records(lines)
        if whole == list(lines):
            raise
    found = _searched_header(whole, form, said)
    first, last = found.rows, ends[found.rows - 1]
    return attrs.evolve(found, rows=last, lines=tuple(lines[first - 1 : last]))


def _records(lines: Sequence[str]) -> tuple[list[str], list[int]]:
    """Join lines within quotes: titles may have line breaks. Return the lines, and the row in which each one ends."""
    whole, ends = list(lines), list(range(1, len(lines) + 1))
    row = 0
    while row < len(lines):
        end = row
        if lines[row].count('"') % 2:
            odd = (after for after in range(row + 1, len(lines)) if lines[after].count('"') % 2)
            end = next(odd, row)
        whole[row : end + 1] = [" ".join(lines[row : end + 1]), *[""] * (end - row)]
        ends[row] = end + 1
        row = end + 1
    return whole, ends


def said_by_name(form: FileForm, name: str) -> dict[str, str]:
    """Return what the user or the file's name says about all rows: the meter, signal type or unit.

    Raises:
        ValueError: the name does not fit the pattern.
    """
    said = {} if form.meter is None else {"meter": form.meter}
    if form.name_pattern is None:
        return said
    pattern = form.name_pattern.text
    tail = "/".join(name.replace("\\", "/").split("/")[-1 - pattern.count("/") :])
    tail = tail if "!" in pattern else tail.partition("!")[0]  # of a workbook: book.xlsx!Sheet
    while (suffix := _SUFFIX.search(tail)) and not pattern.casefold().endswith(suffix[0].casefold()):
        tail = tail[: suffix.start()]
    found = form.name_pattern.match(tail)
    if found is None:
        raise ValueError(f"the name does not fit file.name = {pattern!r}")
    return {**said, **found}


def said_above(rows: Sequence[Sequence[str]], form: FileForm) -> dict[str, str]:
    """Return what the rows above a header say about all rows.

    Args:
        rows: their cells, from the first row of the file.
        form: where to look.

    Raises:
        ValueError: a cell is not there.
    """
    return {role: _cell(rows, role, where) for role, where in form.preamble.items()}


def _cell(rows: Sequence[Sequence[str]], role: str, where: PreambleCell) -> str:
    found: list[str] = []
    if where.row is not None and where.column is not None:
        row = rows[where.row - 1] if where.row <= len(rows) else []
        found = [row[where.column - 1]] if where.column <= len(row) else []
        sought = f"row {where.row}, column {where.column}, which"
    elif where.pattern is not None:
        matches = (where.pattern.match(cell.strip()) for row in rows for cell in (*row, " ".join(filter(None, row))))
        found = [match[role] for match in matches if match]
        sought = f"a cell like {where.pattern.text!r}, which"
    else:
        found = [text for row in rows for text in _after_label(row, where.label or "")]
        sought = f"a cell {where.label!r}, after which a cell"
    texts = list(dict.fromkeys(text for cell in found if (text := plain_cell(cell.strip()).strip())))
    if len(texts) != 1:
        what = f"there are several: {', '.join(texts)}" if texts else "it is not there"
        raise ValueError(f"preamble.{role}: above the header, {sought} has the {role} of the file: {what}")
    return texts[0]


def _after_label(row: Sequence[str], label: str) -> Iterator[str]:
    """Yield the text after a label: in the next cell that is not empty, or after a colon in the same cell."""
    wanted = _label(label)
    for place, cell in enumerate(row):
        if _label(cell) == wanted:
            yield next((after for after in row[place + 1 :] if after.strip()), "")
        for mark in ":=":
            before, found, after = cell.partition(mark)
            if found and after.strip() and _label(before) == wanted:
                yield after


def _label(text: str) -> str:
    return " ".join(plain_cell(text.strip()).strip().rstrip(":=").split()).casefold()


def is_preamble(line: str, delimiter: str, form: FileForm) -> bool:
    """Return whether a line among the rows says again what the lines above the header said."""
    try:
        row = cells(line, delimiter)
    except ValueError:
        return False
    for where in form.preamble.values():
        if where.label is not None and any(_after_label(row, where.label)):
            return True
        if where.pattern is not None and any(where.pattern.match(cell.strip()) for cell in row):
            return True
    return False


def by_frequency(*lines: str) -> list[str]:
    """Return the delimiters, the most frequent one in the lines first; those that do not occur only if none does."""
    counts = {delimiter: sum(line.count(delimiter) for line in lines) for delimiter in DELIMITERS}
    occurring = [delimiter for delimiter in sorted(DELIMITERS, key=lambda one: -counts[one]) if counts[delimiter]]
    return occurring or [DELIMITERS[0]]


def _searched_header(lines: Sequence[str], form: FileForm, said: Mapping[str, str]) -> Header:
    best: tuple[int, ValueError | None] = (-1, None)
    header: Header | None = None
    for row, line in enumerate(lines[:SEARCHED_ROWS], start=1):
        if not line.strip():
            continue
        for delimiter in form.delimiter or by_frequency(line):
            try:
                header = _header(lines, (row,), delimiter, form, said)
                break
            except ValueError as error:
                roles = titled_roles(line.split(delimiter), form)
                if roles > best[0]:
                    best = roles, error
        if header is not None:
            _check_above(lines, row, header)
            return header
        if form.has_numbers:
            break  # any row has a column 1
    raise NoHeaderError(str(best[1]) if best[1] else "is empty; a header such as meter,obis,time,value is expected")


def _looks_like_row(fields: Sequence[str], layout: Layout) -> bool:
    """Whether the columns of times and values hold what rows hold: such a line is not a header, nor text above one."""
    positions = layout.positions
    times = [positions[role] for role in ("date", "time") if role in positions]
    times += [column.beside[role] for column in layout.series for role in ("date", "time") if role in column.beside]
    values = [positions["value"]] if "value" in positions else []
    values += [column.position for column in layout.series] + list(layout.slots.positions if layout.slots else ())
    texts = {index: plain_cell(fields[index].strip()) for index in (*times, *values) if index < len(fields)}
    timed = any(_DIGITS.search(texts.get(index, "")) for index in times)
    return timed and any(_NUMBER.fullmatch(texts.get(index, "")) for index in values)


def _check_above(lines: Sequence[str], row: int, header: Header) -> None:
    """Refuse a header below lines that look like rows: they would be lost.

    Raises:
        ValueError: there is such a line, or the header itself is one.
    """
    for number, line in enumerate(lines[:row], start=1):
        if _looks_like_row(_lenient(line, header.delimiter), header.layout):
            what = "is not a header" if number == row else f"stands above the header in row {row}"
            raise ValueError(
                f"row {number} looks like readings, but {what}; say file.header_row, the row of the header"
                " (0: there is none)"
            )


def _told_header(lines: Sequence[str], form: FileForm, said: Mapping[str, str]) -> Header:
    told = form.header_row if isinstance(form.header_row, tuple) else (form.header_row or 0,)
    if len(lines) < max(1, *told) or not any(lines[max(row, 1) - 1].strip() for row in told):
        raise NoHeaderError("is empty; a header such as meter,obis,time,value is expected")
    titled = [lines[max(row, 1) - 1] for row in told]
    return _header(lines, told, form.delimiter or by_frequency(*titled)[0], form, said)


def _header(
    lines: Sequence[str], rows: tuple[int, ...], delimiter: str, form: FileForm, said: Mapping[str, str]
) -> Header:
    """The header in these rows; row 0: there is none, and columns have numbers."""
    if rows == (0,):
        titles = [str(number) for number in range(1, len(cells(lines[0], delimiter)) + 1)]
        above: list[list[str]] = []
    else:
        titles = _joined([cells(lines[row - 1], delimiter) for row in rows])
        above = [_lenient(line, delimiter) for line in lines[: min(rows) - 1]] if form.preamble else []
    said = {**said, **said_above(above, form)}
    layout = Layout.of(titles, form, said, delimiter)
    last = max(rows)
    return Header(layout, delimiter, last, tuple(titles), tuple(lines[row - 1] for row in rows if row), form)


def _lenient(line: str, delimiter: str) -> list[str]:
    try:
        return cells(line, delimiter)
    except ValueError:
        return line.split(delimiter)


def _joined(rows: Sequence[Sequence[str]]) -> list[str]:
    """Join the titles of several rows. An empty cell above the last row belongs to the cell on its left."""
    if len(rows) == 1:
        return list(rows[0])
    filled: list[list[str]] = []
    for number, row in enumerate(rows):
        texts: list[str] = []
        for cell in row:
            text = plain_cell(cell.strip()).strip()
            texts.append(text or (texts[-1] if texts and number < len(rows) - 1 else ""))
        filled.append(texts)
    return [_JOINT.join(filter(None, titles)) for titles in zip_longest(*filled, fillvalue="")]
