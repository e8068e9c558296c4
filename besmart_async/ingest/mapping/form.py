"""What the files of a mapping look like: its tables `[file]`, `[preamble]`, `[columns]`, `[[series]]` and `[wide]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from besmart_async.ingest.mapping.toml import TomlTable
from besmart_async.ingest.sources.columns import pa, pc
from besmart_async.ingest.sources.layout import (
    COLUMN_NAMES,
    FileForm,
    LayoutKind,
    PreambleCell,
    TitleKind,
)
from besmart_async.ingest.sources.registry import format_names
from besmart_async.ingest.sources.series import PARTS, SeriesForm, TextPattern

_OWN_COLUMNS = {"origin_column": "origin", "unit_column": "unit", "time": "time", "date": "date"}
"""Keys of `[[series]]` that name a further column, and the role of that column."""


def form_of(whole: TomlTable) -> FileForm:
    """Return what a mapping file says about the form of files.

    Raises:
        MappingError: a key or value is not allowed.
    """
    file, columns, wide = whole.table("file"), whole.table("columns"), whole.table("wide")
    first, last = wide.columns("first"), wide.columns("last")
    titles = {role: columns.columns(role) for role in COLUMN_NAMES}
    found = FileForm(
        format=file.choice("format", format_names()),
        encoding=file.checked("encoding", encoding_of) or "utf-8-sig",
        delimiter=file.checked("delimiter", _delimiter),
        header_row=_header_rows(file),
        optional=_optional(columns),
        kind=file.choice("layout", cast("tuple[LayoutKind, ...]", get_args(LayoutKind))),
        columns={role: names for role, names in titles.items() if names},
        first_slot=first[0] if first else None,
        last_slot=last[0] if last else None,
        slots=wide.choice("slots", cast("tuple[TitleKind, ...]", get_args(TitleKind))),
        step_ms=wide.duration_ms("step"),
        series=tuple(_series(table) for table in whole.tables("series")),
        meter=file.text("meter"),
        name_pattern=file.checked("name", _pattern_of_name),
        preamble=_preamble(whole.table("preamble")),
        skip=_expressions(file, file.texts("skip")),
        footer=_footer(file),
        sheet=file.texts("sheet"),
    )
    for table in (file, columns, wide):
        table.done()
    _check(found, file, columns, wide)
    return found


def encoding_of(name: str) -> str:
    """Return the name of an encoding; UTF-8 becomes the variant that skips a byte-order mark.

    Raises:
        ValueError: there is no encoding of that name.
    """
    try:
        "".encode(name)
    except LookupError:
        raise ValueError("is not a known encoding; give one such as cp1250") from None
    return "utf-8-sig" if name.casefold().replace("-", "").replace("_", "") == "utf8" else name


def _check(form: FileForm, file: TomlTable, columns: TomlTable, wide: TomlTable) -> None:
    """Refuse settings that exclude each other."""
    if form.header_row == 0:
        for role, names in form.columns.items():
            if not all(isinstance(name, int) for name in names):
                raise columns.error(role, "is a title, and file.header_row = 0 says that there are none; give a number")
        if form.preamble:
            raise file.error("header_row", "says that nothing is above the rows, but [preamble] names cells there")
    if form.series and "value" in form.columns:
        raise columns.error("value", "names the column of values, but so does [[series]]; leave out one")
    if form.series and (form.kind == "wide" or form.slots is not None):
        raise file.error("layout", "is that of days in rows, but [[series]] describes columns with times beside them")
    named = [
        *(["file.meter"] if form.meter is not None else []),
        *(["file.name"] if form.name_pattern is not None and "meter" in form.name_pattern.parts else []),
        *(["preamble.meter"] if "meter" in form.preamble else []),
    ]
    if len(named) > 1:
        raise file.error("meter", f"is said by {' and by '.join(named)}; leave out all but one")
    if named and "meter" in form.columns:
        raise columns.error("meter", f"names a column, but {named[0]} says the meter of the whole file; leave out one")


def _optional(columns: TomlTable) -> tuple[str, ...]:
    roles = columns.texts("optional")
    for role in roles:
        if role not in COLUMN_NAMES or not columns.has(role):
            raise columns.error("optional", f"names {role!r}, which is no column of [columns]")
    return roles


def _header_rows(file: TomlTable) -> int | tuple[int, ...] | None:
    rows = file.numbers("header_row", 0)
    if len(rows) > 1 and (0 in rows or list(rows) != sorted(set(rows))):
        raise file.error("header_row", "is not allowed; give the rows from top to bottom, such as [1, 2]")
    return None if not rows else rows[0] if len(rows) == 1 else rows


def _delimiter(text: str) -> str:
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise ValueError('is not a delimiter; give one character such as ";" or "\\t"')
    return text


def _pattern_of_name(text: str) -> TextPattern:
    pattern = TextPattern.of(text)
    if not pattern.parts:
        raise ValueError("finds nothing; mark the meter, such as {meter}_{date}.csv")
    return pattern


def _expressions(file: TomlTable, patterns: Sequence[str], key: str = "skip") -> tuple[str, ...]:
    for pattern in patterns:
        try:
            everything = pc.match_substring_regex(pa.array([""]), pattern)[0].as_py()
        except pa.ArrowInvalid as error:
            raise file.error(key, f"is no regular expression: {error}") from None
        if everything and pattern not in ("^$", r"^\s*$"):
            raise file.error(key, f"matches every line with {pattern!r}; begin with ^ and the text of the lines")
    return tuple(patterns)


def _footer(file: TomlTable) -> int | str | None:
    value = file.number_or_text("footer", 1)
    return value if isinstance(value, int) else _expressions(file, [value], "footer")[0] if value else None


def _preamble(table: TomlTable) -> dict[str, PreambleCell]:
    found: dict[str, PreambleCell] = {}
    for role in PARTS[:3]:
        if not table.has(role):
            continue
        if table.is_table(role):
            place = table.table(role)
            row, column = place.number("row", 1), place.number("column", 1)
            place.done()
            if row is None or column is None:
                raise table.error(role, "needs row and column, counted from 1, such as { row = 3, column = 2 }")
            found[role] = PreambleCell(row=row, column=column)
            continue
        text = table.text(role) or ""
        pattern = table.checked(role, TextPattern.of) if "{" in text else None
        if pattern is not None and set(pattern.parts) != {role}:
            raise table.error(role, f"must have the place {{{role}}} and no other")
        found[role] = PreambleCell(label=None if pattern else text, pattern=pattern)
    table.done()
    return found


def _series(table: TomlTable) -> SeriesForm:
    columns = table.columns("column")
    pattern = table.checked("pattern", TextPattern.of)
    if len(columns) > 1:
        raise table.error("column", "names several columns; write a [[series]] for each, or a pattern")
    if bool(columns) == (pattern is not None):
        raise table.error("column", "is needed, its title or number; or a pattern of several titles; not both")
    said = {role: text for role in PARTS if (text := table.text(role)) is not None}
    beside = {role: found[0] for key, role in _OWN_COLUMNS.items() if (found := table.columns(key))}
    for role in (*beside, *(pattern.parts if pattern else ())):
        if role in said:
            raise table.error(role, f"is said twice: here, and by {'a column' if role in beside else 'the pattern'}")
    series = SeriesForm(
        column=columns[0] if columns else None,
        pattern=pattern,
        said=said,
        beside=beside,
        excluded=table.texts("except"),
        optional=table.flag("optional"),
    )
    table.done()
    return series
