"""The tables of a suggestion that say whose and what the values are."""

from __future__ import annotations

from collections.abc import Sequence

from besmart_async.errors import InvalidInputError
from besmart_async.ingest.mapping.signals import unit_of
from besmart_async.ingest.parse.parser import ORIGINS
from besmart_async.ingest.sources.layout import plain_title
from besmart_async.ingest.suggest.cells import OBIS, is_number, number_writing, plain_word, unit_in
from besmart_async.ingest.suggest.document import Document
from besmart_async.ingest.suggest.known import Told
from besmart_async.ingest.suggest.roles import ColumnFacts, Roles
from besmart_async.ingest.suggest.table import FoundTable
from besmart_async.models.keys import SensorKey

_LISTED = 12
_SENTINELS = ("-9999", "-999", "-99", "-99999", "99999", "999999", "9999999")
_NO_VALUE = [
    "-",
    "--",
    "---",
    "n/a",
    "na",
    "nan",
    "null",
    "none",
    "nil",
    "brak",
    "kein",
    "fehlt",
    "missing",
    "#n/a",
    "#nv",
    ".",
]
_ORIGIN_WORDS = {
    "measured": [
        "real",
        "read",
        "measured",
        "actual",
        "gemessen",
        "valid",
        "wahrerwert",
        "rzeczywisty",
        "reelle",
        "rilevato",
        "effettivo",
    ],
    "estimated": [
        "estimada",
        "estimated",
        "estimate",
        "ersatzwert",
        "geschatzt",
        "substituted",
        "szacowany",
        "estimee",
        "stimato",
    ],
    "corrected": ["corrected", "korrigiert", "corregida", "corrigee"],
    "calculated": ["calculated", "berechnet", "calculada"],
    "predicted": ["predicted", "forecast", "prognose", "vorhergesagt"],
}
"""Labels of origins in several languages, as `plain_word` returns them."""
_LABELS = [
    "meter",
    "zahler",
    "zaehler",
    "zahlpunkt",
    "zaehlpunkt",
    "pod",
    "cups",
    "prm",
    "pdl",
    "ppe",
    "ean",
    "nmi",
    "esiid",
    "licznik",
    "malo",
    "melo",
    "marktlokation",
    "messlokation",
    "serviceid",
]
"""Words with which the label of the meter begins, above the header."""


def write_meter(made: Document, table: FoundTable, roles: Roles, told: Told) -> None:
    """Say which meter it is, if no column does."""
    if told.meter:
        made.set("file", "meter", told.meter, "as --meter says")
        return
    if "meter" in roles.positions or _has_ids(roles):
        return
    if titles_are_meters(roles):
        return
    label = _label_above(table)
    if label is not None:
        made.set("preamble", "meter", label[0], f"above the header: {label[1]}")
    else:
        made.leave("file", "meter", "12.122", "the meter, which no column has; or say --meter")


def titles_are_meters(roles: Roles) -> bool:
    """Whether the columns of values are titled with the names of meters, as far as titles show."""
    titles = [roles.columns[index].title for index in roles.values]
    if len(titles) < 2 or "meter" in roles.positions:
        return False
    starts = {title.rstrip("0123456789") for title in titles}
    plain = all(title[-1:].isdigit() and not unit_in(title) and not OBIS.fullmatch(title) for title in titles)
    return plain and len(starts) == 1 and len(set(titles)) == len(titles)


def _has_ids(roles: Roles) -> bool:
    titles = {plain_title(column.title) for column in roles.columns}
    return {"client_cid", "sensor_mid"} <= titles


def _label_above(table: FoundTable) -> tuple[str, str] | None:
    """The label of the meter above the header, and the meter; None unless exactly one cell fits."""
    found: dict[str, str] = {}
    for row in table.above:
        for place, cell in enumerate(row):
            label, mark, rest = cell.partition(":")
            after = rest.strip() if mark and rest.strip() else next((one for one in row[place + 1 :] if one), "")
            named = any(plain_word(label).startswith(word) for word in _LABELS)
            if named and any(map(str.isdigit, after)):
                found[label.strip()] = after
    return next(iter(found.items())) if len(found) == 1 else None


def write_columns(made: Document, table: FoundTable, roles: Roles) -> None:
    """Write which column is what."""
    if told_in_file(made):
        positions = {role: index for role, index in roles.positions.items() if role != "meter"}
    else:
        positions = roles.positions
    headed = bool(table.header)
    for role in ("meter", "date", "time", "signal", "unit"):
        if role in positions and not (role == "meter" and _has_ids(roles)):
            made.set("columns", role, _shown(roles.columns[positions[role]], table, headed=headed), _why(role, roles))
    origin = roles.facts("origin")
    if origin is not None:
        _write_origin(made, origin, _shown(origin, table, headed=headed))
    if len(roles.values) == 1 and not titles_are_meters(roles):
        made.set("columns", "value", _shown(roles.columns[roles.values[0]], table, headed=headed))
    elif roles.values:
        _write_series(made, table, roles)
    if roles.candidates:
        others = ", ".join(str(roles.columns[index].shown) for index in roles.candidates)
        made.note("columns", f"columns that may have the meter as well: {others}")
    if roles.summer is not None:
        column = roles.columns[roles.summer]
        shown = ", ".join(column.distinct)
        made.leave(
            "columns", "zone", column.title, f"whether it says summer time or the pass of a repeated hour ({shown})"
        )
    used = {*roles.positions.values(), *roles.values, *_slots(roles), *roles.candidates, roles.summer, roles.until}
    unused = [str(one.shown) for one in roles.columns if one.index not in used and one.distinct]
    if unused and headed:
        made.note("columns", f"not used: {', '.join(unused)}")


def told_in_file(made: Document) -> bool:
    """Whether the meter of the whole file is said already."""
    return made.has("file", "meter")


def _slots(roles: Roles) -> Sequence[int]:
    return roles.layout.used if roles.layout is not None else ()


def _shown(column: ColumnFacts, table: FoundTable, *, headed: bool) -> str | int:
    same = sum(plain_title(title) == plain_title(column.title) for title in table.titles)
    return column.title if headed and column.title and same == 1 else column.index + 1


def _why(role: str, roles: Roles) -> str:
    facts = roles.facts(role)
    if facts is None or role not in ("meter", "signal"):
        return ""
    shown = ", ".join(facts.distinct[:2])
    return f"{len(facts.distinct):,} of them: {shown}{' …' if len(facts.distinct) > 2 else ''}"


def _write_origin(made: Document, column: ColumnFacts, shown: str | int) -> None:
    names = {text: _origin_of(text) for text in column.distinct if text.casefold() not in ORIGINS}
    if None in names.values():
        labels = ", ".join(column.distinct[:5])
        made.leave("columns", "origin", shown, f"what its labels mean ({labels}); say that in [origins]")
        return
    made.set("columns", "origin", shown)
    for text, origin in names.items():
        made.set("origins", text, origin, "by the word; check it")


def _origin_of(text: str) -> str | None:
    plain = plain_word(text)
    return next((origin for origin, words in _ORIGIN_WORDS.items() if plain in words), None)


def _write_series(made: Document, table: FoundTable, roles: Roles) -> None:
    values = [roles.columns[index] for index in roles.values]
    if titles_are_meters(roles):
        start = values[0].title.rstrip("0123456789")
        made.note("columns", "a column of values for each meter, as the titles show:")
        for one in values[:_LISTED] if len(values) <= _LISTED else ():
            made.add_series(("column", one.title, ""), ("meter", one.title, ""))
        if len(values) > _LISTED:
            made.add_series(
                ("pattern", "{meter}", f"every title that begins with {start}"), ("except", _others(roles), "")
            )
        return
    for one in values:
        keys: list[tuple[str, object, str]] = [("column", _shown(one, table, headed=bool(table.header)), "")]
        keys.append(("signal", str(one.shown), "" if OBIS.fullmatch(one.title) else "its name; see [signals.names]"))
        unit = unit_in(one.title)
        if unit is not None:
            keys.append(("unit", unit, ""))
        made.add_series(*keys)


def _others(roles: Roles) -> list[str]:
    return [
        one.title
        for one in roles.columns
        if one.index not in roles.values and one.title and one.index not in roles.positions.values()
    ]


def write_values(made: Document, table: FoundTable, roles: Roles, told: Told, *, typed: bool) -> None:
    """Write how values are written, their unit, and which of them mean that there is none."""
    columns = [roles.columns[index] for index in (*roles.values, *_value_slots(roles))]
    texts = list(dict.fromkeys(text for column in columns for text in column.distinct))
    if told.decimal_comma:
        made.set("values", "decimal", ",", "as --decimal-comma says")
    elif not typed:
        _write_decimal(made, texts)
    _write_missing(made, texts, columns, wide=roles.layout is not None or len(roles.values) > 1)
    if "unit" in roles.positions:
        return
    titled = {unit_in(column.title) for column in columns} if roles.layout is None else {None}
    above = _unit_above(table)
    if len(titled) == 1 and (unit := next(iter(titled))) is not None:
        if len(roles.values) == 1 or titles_are_meters(roles):
            made.set("values", "unit", unit, f"the title {columns[0].title!r}")
    elif None in titled and above is not None:
        made.set("values", "unit", above, "above the header")
    elif None in titled:
        made.leave("values", "unit", "kWh", "the unit, which nothing in the file says")


def _value_slots(roles: Roles) -> Sequence[int]:
    if roles.layout is None:
        return ()
    if roles.layout.slots is not None:
        return roles.layout.slots.positions
    return [column.position for column in roles.layout.series]


def _write_decimal(made: Document, texts: Sequence[str]) -> None:
    found = number_writing(texts)
    if found.decimal is None:
        digits = found.example.replace(found.thousands, "")
        other = "." if found.thousands == "," else ","
        made.leave(
            "values",
            "thousands",
            found.thousands,
            f"{found.example} is {digits}; leave it out if it is {found.example.replace(found.thousands, '.')}",
        )
        if found.thousands == ",":
            made.leave("values", "decimal", found.thousands, f"{found.example} is {found.example.replace(',', '.')}")
        else:
            made.leave("values", "decimal", other, f"{found.example} is {digits}")
        return
    if found.decimal == ",":
        made.set("values", "decimal", ",", f"such as {found.example}" if found.example else "")
    if found.thousands:
        made.set("values", "thousands", found.thousands, f"such as {found.example}")


def _write_missing(made: Document, texts: Sequence[str], columns: Sequence[ColumnFacts], *, wide: bool) -> None:
    missing: list[str] = []
    if not wide and any(not text.strip() for column in columns for text in column.texts):
        missing.append("")
    missing += [text for text in texts if not is_number(text) and text.casefold() in _NO_VALUE]
    numbers = [
        float(text.replace(",", "."))
        for text in texts
        if text.replace(",", ".").lstrip("-").replace(".", "", 1).isdigit()
    ]
    for text in texts:
        plain = text.split(".")[0].split(",")[0]
        others = (
            [abs(number) for number in numbers if abs(number) != abs(float(plain or 0))] if plain in _SENTINELS else []
        )
        if others and max(others) * 10 < abs(float(plain)) and (plain[0] == "-" and min(numbers) == float(plain)):
            missing.append(text)
        elif others and max(others) * 10 < abs(float(plain)):
            made.leave("values", "missing", [text], f"whether {text} means that there is no value")
    if missing:
        made.set(
            "values",
            "missing",
            missing,
            "texts without a value; all other values are far from it"
            if any(map(is_number, missing))
            else "cells without a value",
        )


def _unit_above(table: FoundTable) -> str | None:
    units = {
        part.strip()
        for row in table.above
        for cell in row
        for part in (cell, cell.partition(":")[2])
        if len(part.strip()) > 1 and unit_of(part.strip()) is not None
    }
    return units.pop() if len(units) == 1 else None


def write_signals(made: Document, roles: Roles, told: Told) -> None:
    """Write which signal types the names in the file are, as far as they are OBIS codes."""
    column = roles.facts("signal")
    if column is not None:
        names = [text for text in column.distinct if not OBIS.fullmatch(text)]
    elif len(roles.values) > 1 and not titles_are_meters(roles):
        names = [title for index in roles.values if not OBIS.fullmatch(title := str(roles.columns[index].shown))]
    else:
        names = []
        if told.signal_type:
            made.set("signals", "default", told.signal_type, "as --signal-type says")
        else:
            made.leave("signals", "default", "1.29.0", "the signal type of the values; or say --signal-type")
    for name in names[:_LISTED]:
        made.leave("signals.names", name, "1.29.0", "the signal type")
    if len(names) > _LISTED:
        made.note("signals.names", f"and {len(names) - _LISTED} more names")
    meters = roles.facts("meter")
    unknown = [] if meters is None else [name for name in meters.distinct if not _is_key(name)]
    for name in unknown[:3]:
        made.leave("meters.names", name, "12.122", "the sensor of the meter, if no table of meters has it")


def _is_key(name: str) -> bool:
    try:
        SensorKey.parse(name)
    except InvalidInputError:
        return False
    return True
