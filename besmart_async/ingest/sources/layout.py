"""The role of each column of a file: one reading per row (long), or one meter and day per row (wide)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Literal, Self

import attrs

from besmart_async.ingest.sources.series import SeriesForm, TextPattern, ValueColumn, filled, same_series

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

SlotKind = Literal["clock", "elapsed"]
"""The meaning of a slot: a local time ("clock"), or the time elapsed since the day began ("elapsed")."""

TitleKind = Literal["clock", "elapsed", "moments"]
"""The meaning of the titles of a wide file: slots of a day, or whole dates and times ("moments")."""

DAYS = (24, 48, 96, 144, 288, 1440)
"""Numbers of slots that a day without a clock change may have."""

_CLOCK = re.compile(
    r"([0-9]{1,2})([AB]?):([0-9]{2})(?::00)?\s*([AB*])?(?:\s*(?:-|\u2013|to)\s*[0-9]{1,2}[AB]?:[0-9]{2}.*)?"
)
_COUNTED = re.compile(r"([^0-9]*)([0-9]{1,4})")
_MARKED = re.compile(r"([^0-9]*)([0-9]{1,4})\s?([ABXabx*])")
_MOMENT = re.compile(
    r"(?:[0-9]{4}[-./][0-9]{1,2}[-./][0-9]{1,2}|[0-9]{1,2}[-./][0-9]{1,2}[-./][0-9]{4})[T ]+[0-9]{1,2}:[0-9]{2}.*"
)
_ELAPSED = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::00)?")
_NUMBERS = re.compile(r"[0-9]+")
_BEGINS_AS_SLOT = re.compile(r"[0-9]{1,2}\s?(?:[A-Za-z*]{1,2}|[A-Za-z]?:[0-9]{2}.{0,3})")
_DISTANCE = re.compile(r"[+-][0-9]+")
_FORMULA = re.compile(r'="(.*)"')


@attrs.frozen
class Slots:
    """The value columns of a wide layout.

    Attributes:
        positions: index of each column.
        titles: title of each column in the file.
        kind: "clock": the titles are local times; "elapsed": the columns are counted from the start of the day, so a
            day on which the clock changes has fewer or more of them.
        starts_ms: start of each slot in milliseconds after midnight, local or elapsed.
        step_ms: length of a slot.
        passes: 0 for a title that names the first pass of a repeated hour, 1 for the second pass, -1 for neither.
        numbered: the titles are numbers of periods (1, 2, …), not times: a period's number is not its end.
        extra: index of the column of the hour that a day of 25 hours has in addition (`2A`, `02X`); None without one.
            On such a day the columns follow each other; on others that column is empty.
    """

    positions: tuple[int, ...]
    titles: tuple[str, ...]
    kind: SlotKind
    starts_ms: tuple[int, ...]
    step_ms: int
    passes: tuple[int, ...]
    numbered: bool = False
    extra: int | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def per_day(self) -> int:
        """Slots of a day without a clock change."""
        return DAY_MS // self.step_ms

    def reaching(self, columns: int) -> Slots:
        """Extend counted slots to this many columns, for a row that is longer than the header."""
        added = range(len(self), columns)
        found = _COUNTED.fullmatch(self.titles[-1].strip())
        prefix, last = (found[1], int(found[2])) if found else ("value ", len(self))
        return attrs.evolve(
            self,
            positions=(*self.positions, *(self.positions[0] + n for n in added)),
            titles=(*self.titles, *(f"{prefix}{last + 1 + n - len(self)}" for n in added)),
            starts_ms=(*self.starts_ms, *(n * self.step_ms for n in added)),
            passes=(*self.passes, *(-1 for _ in added)),
        )


def slots_of(
    titles: Sequence[str], positions: Sequence[int], kind: SlotKind | None = None, step_ms: int | None = None
) -> Slots:
    """Interpret the titles of value columns.

    Args:
        titles: titles of the value columns, in order.
        positions: their indexes.
        kind: the meaning of the slots; None: by the titles.
        step_ms: length of a slot; None: by the titles or their number.

    Raises:
        ValueError: a title cannot be interpreted, or a setting is missing.
    """
    extra = extra_column(titles)
    if extra is not None and kind != "elapsed":
        step_ms = step_ms or _step_ms(len(titles) - 1)
        starts = [(n - (n >= extra)) * step_ms for n in range(len(titles))]
        passes = [int(n == extra) for n in range(len(titles))]
        return Slots(tuple(positions), tuple(titles), "clock", tuple(starts), step_ms, tuple(passes), True, extra)
    counting = _counted_times(titles)
    if counting is not None and kind != "clock":
        starts = [n * counting for n in range(len(titles))]
        return Slots(tuple(positions), tuple(titles), "elapsed", tuple(starts), counting, (-1,) * len(titles), True)
    times = clock_times(titles)
    if times is not None and kind != "elapsed":
        starts, passes = times
        gaps = [after - before for before, after in pairwise(starts) if after > before]
        step_ms = step_ms or (min(gaps) if gaps else None)
        if step_ms is None:
            raise ValueError("the length of a period is not known; say wide.step, such as '15min'")
        return Slots(tuple(positions), tuple(titles), "clock", tuple(starts), step_ms, tuple(passes))
    if kind == "clock" and times is None and step_ms is None and per_day(len(titles)) != len(titles):
        raise ValueError(f"{len(titles)} value columns are not titled with times of the day, such as 00:15")
    step_ms = step_ms or _step_ms(len(titles))
    starts = [n * step_ms for n in range(len(titles))]
    if times is None:
        _check_sequence(titles)
    return Slots(tuple(positions), tuple(titles), kind or "elapsed", tuple(starts), step_ms, (-1,) * len(titles), True)


def extra_column(titles: Sequence[str]) -> int | None:
    """Return the index of the column for the additional hour of a long day.

    It is that of `2A` in `1, 2, 2A, 3, …, 24`, and of `3B` in `1, 2, 3A, 3B, 4, …, 24`.
    """
    marked = [index for index, title in enumerate(titles) if _MARKED.fullmatch(title.strip())]
    if len(marked) not in (1, 2) or marked[0] + len(marked) - 1 != marked[-1]:
        return None
    index = marked[-1]
    plain = [_unmarked(title) for title in titles]
    if not index or plain[index] != plain[index - 1]:
        return None
    if len(marked) == 2 and [titles[place].strip()[-1].upper() for place in marked] != ["A", "B"]:
        return None
    del plain[index]
    return index if counted(plain) and len(plain) in DAYS else None


def _unmarked(title: str) -> str:
    """A numbered title without the mark of a pass: `2` for `2A`."""
    found = _MARKED.fullmatch(title.strip())
    found = found or _COUNTED.fullmatch(title.strip())
    return f"{found[1].casefold()}{int(found[2])}" if found else title.strip().casefold()


def _counted_times(titles: Sequence[str]) -> int | None:
    """The length of a period if titles are `00:15` to `25:00`, or `01:00` to `25:00`: time elapsed; else None."""
    times = [_ELAPSED.fullmatch(title.strip()) for title in titles]
    ends = [int(found[1]) * 60 + int(found[2]) for found in times if found]
    if len(ends) < len(titles) or len(ends) < _FEWEST_TIMES or max(ends) != 25 * 60:
        return None
    return ends[0] * 60_000 if all(end == number * ends[0] for number, end in enumerate(ends, start=1)) else None


def _check_sequence(titles: Sequence[str]) -> None:
    """Refuse value columns that do not count up: the place of a column would be taken for its time."""
    numbers = [[int(number) for number in _NUMBERS.findall(title)] for title in titles]
    if not any(numbers) or len(set(titles)) == 1:
        return  # titles say nothing, or the file has no header
    texts = [_NUMBERS.split(title.casefold()) for title in titles]
    counting = {place for place, number in enumerate(numbers[0]) if number in (0, 1)}
    for index, title in enumerate(titles):
        before = max(index - 1, 0)
        if texts[index] == texts[0]:
            counting = {p for p in counting if numbers[index][p] - numbers[before][p] == (1 if index else 0)}
        if texts[index] != texts[0] or not counting:
            after = f"the number that follows {titles[before]!r}" if index else "number 0 or 1"
            raise ValueError(
                f"the title {title!r} is neither a time of the day nor {after}; title the value columns"
                " 00:15, 00:30, … or 1, 2, …, and leave the others out with wide.first and wide.last"
            )


def clock_times(titles: Sequence[str]) -> tuple[list[int], list[int]] | None:
    """Return (milliseconds after midnight, passes) of titles such as `02:15`, `2A:15` or `02:15B`.

    None if one of them is not a time. A repeated title means the first pass, then the second. `00:00` after other
    times is the end of the day.
    """
    starts: list[int] = []
    passes: list[int] = []
    for title in titles:
        found = _CLOCK.fullmatch(title.strip())
        if found is None or int(found[1]) > 24 or int(found[3]) > 59:
            return None
        start = int(found[1]) * HOUR_MS + int(found[3]) * 60_000
        if start > DAY_MS:
            return None
        mark = found[2] or found[4] or ""
        run = {"A": 0, "B": 1, "*": 1, "": -1}[mark]
        start = DAY_MS if start == 0 and starts and run < 0 else start
        if run < 0 and start in starts:
            passes[starts.index(start)], run = 0, 1
        elif run == 1 and start in starts:
            passes[starts.index(start)] = 0
        starts.append(start)
        passes.append(run)
    return starts, passes


def counted(titles: Sequence[str]) -> bool:
    """Return whether titles count up from 0 or 1 with a common prefix: `1, 2, …`, `Q01, Q02, …`."""
    found = [_COUNTED.fullmatch(title.strip()) for title in titles]
    if not found or None in found:
        return False
    numbers = [int(match[2]) for match in found if match]
    prefixes = {match[1].casefold() for match in found if match}
    return len(prefixes) == 1 and numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def per_day(columns: int) -> int | None:
    """Slots of an ordinary day for this many columns: 92, 96 and 100 columns are quarters of an hour."""
    for slots in DAYS:
        if columns == slots:
            return slots
    return next((slots for slots in DAYS if abs(columns - slots) == slots // 24), None)


def _step_ms(columns: int) -> int:
    slots = per_day(columns)
    if slots is None:
        known = ", ".join(map(str, DAYS))
        raise ValueError(f"{columns} value columns are no day ({known}); say wide.step, such as '15min'")
    return DAY_MS // slots


COLUMN_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "meter": ("meter", "meter_id", "meter_no", "sensor", "sensor_eid"),
        "client_cid": ("client_cid",),
        "sensor_mid": ("sensor_mid",),
        "signal": ("obis", "obis_code", "signal", "signal_type", "signal_type_moid"),
        "date": ("date", "day"),
        "time": ("time", "timestamp", "datetime", "start", "time_ms"),
        "value": ("value", "reading"),
        "unit": ("unit", "unit_symbol"),
        "origin": ("origin", "signal_origin_id"),
        "zone": ("zone", "timezone", "time_zone", "tz"),
    }
)
"""Titles that a header may use, by the role of the column. Case, spaces and hyphens do not matter.

The two ids of a sensor make a meter's name: `12` and `122` are `12.122`.
"""

CODED = ("meter", "client_cid", "sensor_mid", "signal", "unit", "origin", "zone")
"""Roles of columns that have few distinct texts."""

ROLES = ("meter", "signal", "time", "value", "unit", "origin", "zone")
"""Columns of a reject's record, in order. In a row of a day, `time` is the day, and `slot`s follow."""

DAY_ROLES = tuple(role for role in ROLES if role != "value")
"""The same for a row of a day, without its slots."""

TOLD = tuple(f"rejected_{name}" for name in ("file", "row", "column", "value", "reason", "line"))
"""First columns of a file of rejects: what was wrong and where. `ROLES` follow, then the slots of a row of a day."""

_IDS = ("client_cid", "sensor_mid")

LayoutKind = Literal["long", "wide"]
MOST_COLUMNS = 100_000
"""Columns of a file: a year of quarters of an hour in one row has 35,040."""
_FEWEST_TIMES, _FEWEST_COUNTED = 2, 12
"""With fewer columns titled like times, or counted, they are not slots, unless the form says so."""


@attrs.frozen(kw_only=True)
class PreambleCell:
    """Where the lines above the header say something about all readings of a file.

    Attributes:
        label: text of the cell before it, or before it in the same cell: `POD`, `Meter:`; None with a place or pattern.
        row: row of the cell, counted from 1.
        column: column of the cell, counted from 1.
        pattern: pattern of the text of a cell, which has the text at its only place.
    """

    label: str | None = None
    row: int | None = None
    column: int | None = None
    pattern: TextPattern | None = None


@attrs.frozen(kw_only=True, repr=False)
class FileForm:
    """What a file looks like, as far as the user says so; the rest is detected.

    Attributes:
        format: name of the format; None: by the file's name and first bytes.
        encoding: text encoding; the default is UTF-8 with or without a byte-order mark.
        delimiter: field delimiter; None: the candidate that is most frequent in the header.
        header_row: row of the header, counted from 1, or several rows whose titles are joined with ` | `; 0 for a file
            without a header, whose columns have numbers only; None: the first row that has the titles.
        kind: long or wide; None: by the header.
        columns: titles that a column may have, or its number counted from 1, by role (`COLUMN_NAMES`).
        first_slot: title or number of the first value column of a wide file; None: by the titles.
        last_slot: the same for the last one.
        slots: the meaning of the value columns; None: by the titles.
        step_ms: length of a period of a wide file; None: by the titles or their number.
        optional: roles of `columns` that a file may lack.
        series: value columns that say whose and what they are, in files with several readings in a row.
        meter: the meter of all rows.
        name_pattern: pattern of the file's name, which has the meter of all rows, or its signal type or unit.
        preamble: where the lines above the header have the meter, signal type or unit of all rows.
        skip: regular expressions (RE2) of lines that are left out.
        footer: number of lines at the end that are left out, or a regular expression of the first of them.
        sheet: names of sheets of a workbook that are read, or patterns with `*`; empty: the visible ones with a table.
    """

    format: str | None = None
    encoding: str = "utf-8-sig"
    delimiter: str | None = None
    header_row: int | tuple[int, ...] | None = None
    kind: LayoutKind | None = None
    columns: Mapping[str, tuple[str | int, ...]] = attrs.field(factory=dict[str, tuple[str | int, ...]])
    first_slot: str | int | None = None
    last_slot: str | int | None = None
    slots: TitleKind | None = None
    step_ms: int | None = None
    optional: tuple[str, ...] = ()
    series: tuple[SeriesForm, ...] = ()
    meter: str | None = None
    name_pattern: TextPattern | None = None
    preamble: Mapping[str, PreambleCell] = attrs.field(factory=dict[str, PreambleCell])
    skip: tuple[str, ...] = ()
    footer: int | str | None = None
    sheet: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The fields, without the newer ones if they are not set.

        `besmart ingest` digests this text into the scope of its checkpoints: with another text it would not find what
        earlier versions have sent, and send it again.
        """
        shown = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if field.name not in _NEWER or getattr(self, field.name)
        }
        if self.header_row is None:
            shown["header_row"] = 1
        return f"FileForm({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def several_meters_in_a_row(self) -> bool:
        """Whether the columns of one row may belong to several meters."""
        return any(series.names_meter for series in self.series)

    @property
    def has_numbers(self) -> bool:
        """Whether columns are given by number, so that any row looks like a header."""
        named = [*(name for names in self.columns.values() for name in names), self.first_slot, self.last_slot]
        return any(isinstance(name, int) for name in (*named, *(series.column for series in self.series)))


_NEWER = {"optional", "series", "meter", "name_pattern", "preamble", "skip", "footer", "sheet"}


@attrs.frozen
class Layout:
    """The role of each column of a file.

    Attributes:
        width: number of columns.
        positions: index of the column by role (`COLUMN_NAMES`).
        titles: title of the column by role.
        unused: titles of columns without a role.
        slots: the value columns of a wide file; None for a long one.
        series: the value columns of a file with several readings in a row; empty for other files.
        said: texts of roles that all rows share (`PARTS`): the file's name or the lines above its header say them.
    """

    width: int
    positions: Mapping[str, int]
    titles: Mapping[str, str]
    unused: tuple[str, ...]
    slots: Slots | None = None
    series: tuple[ValueColumn, ...] = ()
    said: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @classmethod
    def of(
        cls,
        header: Sequence[str],
        form: FileForm | None = None,
        said: Mapping[str, str] | None = None,
        delimiter: str | None = None,
    ) -> Self:
        """Find the columns by their titles.

        Args:
            header: the titles.
            form: what the user said.
            said: texts of roles that all rows share.
            delimiter: the delimiter between the titles, for messages; None if there is none.

        Raises:
            ValueError: a column is missing or ambiguous; the text says which titles it may have.
        """
        form, said = form or FileForm(), said or {}
        if len(header) > MOST_COLUMNS:
            raise ValueError(f"the header has {len(header):,} columns, and at most {MOST_COLUMNS:,} are read")
        header = _Titles([plain_cell(title) for title in header], delimiter)
        positions, series = _roles(header, form)
        if "meter" in positions or not all(role in positions for role in _IDS):
            positions = {role: index for role, index in positions.items() if role not in _IDS}
        free = [index for index in range(len(header)) if index not in positions.values()]
        series = series or _moments(header, positions, free, form)
        slots = None if series else _slots(header, positions, free, form)
        needed = _needed(slots, series, said)
        if slots and "date" not in positions and "time" in positions:
            positions["date"] = positions.pop("time")
        if not slots and "time" not in positions and "date" in positions:
            positions["time"] = positions.pop("date")
        for role in needed:
            if role not in positions and not (role == "meter" and "sensor_mid" in positions):
                wanted = ", ".join(map(str, form.columns.get(role, COLUMN_NAMES[role])))
                hint = "; if all rows are of one meter, say --meter or file.name" if role == "meter" else ""
                raise ValueError(f"no column for the {role} (one of: {wanted}); the header is {_shown(header)}{hint}")
        _check_named(positions, header, form)
        titles = {role: header[index].strip() for role, index in positions.items()}
        for role, text in said.items():
            if role in titles or (role == "meter" and "sensor_mid" in titles):
                title = titles.get(role) or titles["sensor_mid"]
                raise ValueError(
                    f"the column {title!r} has the {role}, which is {text!r} for the whole file; leave out one"
                )
        if "meter" not in titles and "sensor_mid" in titles:
            titles["meter"] = ".".join(titles[role] for role in _IDS)
        if slots:
            titles["time"] = titles["date"]
        elif "date" in titles:
            titles["time"] = f"{titles['date']} {titles['time']}"
        found = cls(len(header), positions, titles, (), slots, series, said)
        used = set(found.used)
        unused = tuple(
            _with_likely_role(title, found.positions)
            for index, title in enumerate(header)
            if index not in used and title.strip()
        )
        return attrs.evolve(found, unused=unused)

    @property
    def used(self) -> tuple[int, ...]:
        """Indexes of the columns that are read, ascending."""
        own = (index for column in self.series for index in (column.position, *column.beside.values()))
        return tuple(sorted({*self.positions.values(), *(self.slots.positions if self.slots else ()), *own}))


def form_of_rejects(form: FileForm, columns: int) -> FileForm:
    """Return the form of a file of rejects.

    Args:
        form: the form of the files whose rejects it holds.
        columns: its number of columns.
    """
    wide = columns != len(TOLD) + len(ROLES)
    roles = [("date" if role == "time" else role) for role in DAY_ROLES] if wide else ROLES
    return attrs.evolve(
        form,
        kind="wide" if wide else "long",
        columns={role: (number,) for number, role in enumerate(roles, start=len(TOLD) + 1)},
        first_slot=len(TOLD) + len(roles) + 1 if wide else None,
        last_slot=columns if wide else None,
        header_row=1,
        optional=(),
        series=(),
        meter=None,
        name_pattern=None,
        preamble={},
        skip=(),
        footer=None,
    )


def _check_named(positions: Mapping[str, int], header: Sequence[str], form: FileForm) -> None:
    """Refuse a file that lacks a column which the user names, since its values would go without what it says."""
    swapped = {"date", "time"}
    for role, names in form.columns.items():
        found = bool(swapped & positions.keys()) if role in swapped else role in positions
        if role in swapped and swapped <= form.columns.keys():
            found = role in positions
        if not found and role not in form.optional and not (role == "meter" and "sensor_mid" in positions):
            wanted = ", ".join(map(str, names))
            raise ValueError(
                f"no column for the {role} (one of: {wanted}), which [columns] names; the header is {_shown(header)};"
                f' if it may be missing, say columns.optional = ["{role}"]'
            )


def _with_likely_role(title: str, positions: Mapping[str, int]) -> str:
    """A title that is not used, with the role that it seems to have if no column has that one."""
    words = set(re.findall(r"[^\W\d_]+", title.casefold()))
    for role, parts in _LIKELY.items():
        if role not in positions and any(word.startswith(parts) for word in words):
            return f"{title} (the {role}? columns.{role} = {title.strip()!r})"
    return title


_LIKELY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "unit": ("unit", "uom", "einheit", "masseinheit", "jednostka", "unidad", "unit\u00e9", "eenheid"),
        "signal": ("obis", "register", "direction", "richtung", "kennzahl", "channel", "kanal"),
        "zone": ("dst", "timezone", "zeitzone", "offset", "sommerzeit"),
        "origin": ("quality", "qualit", "status", "flag", "estimated", "ersatzwert"),
    }
)
"""Beginnings of words in titles that often mean a role."""


def plain_cell(text: str) -> str:
    """Return the text of a cell that spreadsheets wrote as a formula: `="0012"` is `0012`."""
    found = _FORMULA.fullmatch(text)
    return found[1] if found else text


def titled_roles(header: Sequence[str], form: FileForm) -> int:
    """Return how many columns a row would have by its titles, if it were the header."""
    roles = {
        plain_title(name)
        for names in {**COLUMN_NAMES, **form.columns}.values()
        for name in names
        if isinstance(name, str)
    }
    return len({plain_title(plain_cell(title)) for title in header} & roles)


def _needed(slots: Slots | None, series: Sequence[ValueColumn], said: Mapping[str, str]) -> Sequence[str]:
    """The roles that columns of the file must have."""
    if slots:
        needed = ["date"]
    elif series:
        timed = all({"time", "date"} & {*column.said, *column.beside} for column in series)
        needed = [] if timed else ["time"]
    else:
        needed = ["time", "value"]
    named = "meter" in said or (series and all("meter" in (*column.said, *column.beside) for column in series))
    return needed if named else ["meter", *needed]


def _roles(header: Sequence[str], form: FileForm) -> tuple[dict[str, int], tuple[ValueColumn, ...]]:
    """Return the index of the column by role, and the value columns that `form.series` describes."""
    if not form.series:
        return _positions(header, form), ()
    found: list[ValueColumn] = []
    taken: set[int] = set()
    for series in form.series:
        for column in [] if series.pattern else _named_series(header, series):
            found.append(column)
            taken |= {column.position, *column.beside.values()}
    positions = _positions([("" if index in taken else title) for index, title in enumerate(header)], form)
    if "value" not in form.columns:
        positions.pop("value", None)
    for series in form.series:
        if series.pattern is None:
            continue
        free = set(range(len(header))) - taken - set(positions.values())
        matching = list(_matching_series(header, series, free))
        if not matching and not series.optional:
            raise ValueError(f"no column fits the pattern {series.shown}; the header is {_shown(header)}")
        for column in matching:
            found.append(column)
            taken |= {column.position, *column.beside.values()}
    if not found:
        raise ValueError(f"no column of [[series]] is there; the header is {_shown(header)}")
    found.sort(key=lambda column: column.position)
    twice = same_series(found)
    if twice:
        one, other = (f"{column.title!r} (column {column.position + 1})" for column in twice)
        raise ValueError(f"columns {one} and {other} are the same meter and signal type; say series.signal of each")
    return positions, tuple(found)


def _named_series(header: Sequence[str], series: SeriesForm) -> list[ValueColumn]:
    assert series.column is not None  # noqa: S101 - the caller checked
    plain = [plain_title(title) for title in header]
    if series.optional and isinstance(series.column, str) and plain_title(series.column) not in plain:
        return []
    position = _index(header, series.column, "series")
    return [ValueColumn(position, header[position].strip(), dict(series.said), _beside(header, series, position, {}))]


def _matching_series(header: Sequence[str], series: SeriesForm, free: set[int]) -> Iterator[ValueColumn]:
    excluded = {plain_title(title) for title in series.excluded}
    for position, title in enumerate(header):
        if position not in free or not title.strip() or plain_title(title) in excluded:
            continue
        found = series.pattern.match(title.strip()) if series.pattern else None
        if found is not None:
            yield ValueColumn(
                position, title.strip(), {**series.said, **found}, _beside(header, series, position, found)
            )


def _beside(header: Sequence[str], series: SeriesForm, position: int, found: Mapping[str, str]) -> dict[str, int]:
    """The indexes of a series' own columns. A title may have the places of the pattern: `{meter} status`."""
    beside: dict[str, int] = {}
    for role, name in series.beside.items():
        what = f"{role} of the series {header[position].strip()!r}"
        if isinstance(name, str) and _DISTANCE.fullmatch(name):
            index = position + int(name)
            if not 0 <= index < len(header):
                raise ValueError(
                    f"no column {name} from column {position + 1} for the {what}; the file has {len(header)}"
                )
            beside[role] = index
            continue
        if isinstance(name, str):
            beside[role] = _index(header, filled(name, found), what)
        else:
            beside[role] = _index(header, name, what)
    return beside


def _moments(
    header: Sequence[str], positions: Mapping[str, int], free: Sequence[int], form: FileForm
) -> tuple[ValueColumn, ...]:
    """Return the value columns of a wide file whose titles are dates with times."""
    told = form.slots == "moments"
    named = "meter" in positions or "signal" in positions
    if not told and (form.kind is not None or not named or positions.keys() & {"value", "time", "date"}):
        return ()
    columns = free if form.first_slot is None and form.last_slot is None else _between(header, free, form)
    if not told or (form.first_slot is None and form.last_slot is None):
        columns = [index for index in columns if _MOMENT.fullmatch(header[index].strip())]
    if told and not columns:
        raise ValueError(
            f"no value columns titled with dates and times; say wide.first; the header is {_shown(header)}"
        )
    if len(columns) < (1 if told else _FEWEST_TIMES):
        return ()
    found = tuple(ValueColumn(index, header[index].strip(), {"time": header[index].strip()}) for index in columns)
    twice = same_series(found)
    if twice:
        raise ValueError(f"columns {twice[0].position + 1} and {twice[1].position + 1} both are {twice[0].title!r}")
    return found


def _between(header: Sequence[str], free: Sequence[int], form: FileForm) -> list[int]:
    first = _index(header, form.first_slot, "first slot") if form.first_slot is not None else min(free)
    last = _index(header, form.last_slot, "last slot") if form.last_slot is not None else max(free)
    return list(range(first, last + 1))


def _positions(header: Sequence[str], form: FileForm) -> dict[str, int]:
    roles = {
        plain_title(name): role
        for role, names in {**COLUMN_NAMES, **form.columns}.items()
        for name in names
        if isinstance(name, str)
    }
    # A title that the form names overrides the same title in COLUMN_NAMES.
    roles |= {
        plain_title(name): role for role, names in form.columns.items() for name in names if isinstance(name, str)
    }
    positions = _numbered(header, form)
    for index, title in enumerate(header):
        role = roles.get(plain_title(title))
        if role is None or index in positions.values():
            continue
        if role in positions and isinstance(form.columns.get(role, ("",))[0], int):
            continue
        if role in positions:
            one, other = header[positions[role]], title
            if one == other:
                raise ValueError(
                    f"columns {positions[role] + 1} and {index + 1} both are titled {title!r}; give the number of"
                    f" the one that is the {role}: columns.{role} = {positions[role] + 1}"
                )
            raise ValueError(f"columns {one!r} and {other!r} both are the {role}; rename one")
        positions[role] = index
    return positions


def _numbered(header: Sequence[str], form: FileForm) -> dict[str, int]:
    positions: dict[str, int] = {}
    for role, names in form.columns.items():
        for name in names:
            if isinstance(name, int):
                positions[role] = _index(header, name, role)
    return positions


def _index(header: Sequence[str], name: str | int, what: str) -> int:
    if isinstance(name, int):
        if not 1 <= name <= len(header):
            raise ValueError(f"no column {name} for the {what}; the file has {len(header)}")
        return name - 1
    plain = [plain_title(title) for title in header]
    if plain_title(name) not in plain:
        raise ValueError(f"no column {name!r} for the {what}; the header is {_shown(header)}")
    if plain.count(plain_title(name)) > 1:
        numbers = " and ".join(str(index + 1) for index, title in enumerate(plain) if title == plain_title(name))
        raise ValueError(f"columns {numbers} are all titled {name!r}; give the number of the {what}")
    return plain.index(plain_title(name))


def _slots(header: Sequence[str], positions: dict[str, int], free: Sequence[int], form: FileForm) -> Slots | None:
    if form.kind == "long" or (form.kind is None and "value" in positions):
        return None
    if form.first_slot is not None or form.last_slot is not None:
        chosen = _between(header, free, form)
    else:
        chosen = _slot_columns(header, free)
        if form.kind is None and len(chosen) < (_FEWEST_TIMES if _are_times(header, chosen) else _FEWEST_COUNTED):
            chosen = []
    if not chosen:
        if form.kind == "wide":
            raise ValueError("no value columns titled 00:15, 00:30, … or 1, 2, …; say wide.first")
        return None
    kind = form.slots if form.slots != "moments" else None
    if form.first_slot is None and form.last_slot is None:
        _check_left_out(header, chosen, free)
    return slots_of([header[index].strip() for index in chosen], chosen, kind, form.step_ms)


def _check_left_out(header: Sequence[str], chosen: Sequence[int], free: Sequence[int]) -> None:
    """Refuse a column beside the slots that looks like one, and whose title cannot be read: `02X`, `2h`."""
    for index in free:
        title = header[index].strip()
        if index not in chosen and _BEGINS_AS_SLOT.fullmatch(title):
            raise ValueError(
                f"the title {title!r} is neither a time of the day nor a number in a row; the value columns are"
                f" {header[chosen[0]].strip()!r} to {header[chosen[-1]].strip()!r}; if it is none of them, say"
                " wide.first and wide.last"
            )


def _slot_columns(header: Sequence[str], free: Sequence[int]) -> list[int]:
    """Return all columns that are titled with times; else the longest run of columns that count up."""
    timed = [index for index in free if _ELAPSED.fullmatch(header[index].strip())]
    if _counted_times([header[index] for index in timed]) is not None:
        return timed
    times = [index for index in free if _are_times(header, [index])]
    if times:
        return times
    plain = [title.strip() for title in header]
    numbered = [index for index in free if _COUNTED.fullmatch(plain[index]) or _MARKED.fullmatch(plain[index])]
    if extra_column([header[index] for index in numbered]) is not None:
        return numbered
    best: list[int] = []
    run: list[int] = []
    before: tuple[str, int] | None = None
    for index in free:
        found = _COUNTED.fullmatch(header[index].strip())
        here = (found[1].casefold(), int(found[2])) if found else None
        if here is None or before is None or here != (before[0], before[1] + 1):
            run = []
        if run or counted([header[index]]):
            run.append(index)
        before = here if run else None
        if len(run) > len(best):
            best = run
    return best


def _are_times(header: Sequence[str], columns: Sequence[int]) -> bool:
    return clock_times([header[index] for index in columns]) is not None


def plain_title(title: str) -> str:
    """Return a title without what does not matter: case, outer blanks, and which of blank, hyphen and underscore."""
    return title.strip().casefold().replace(" ", "_").replace("-", "_")


class _Titles(list[str]):
    """Titles that know their delimiter, so that messages show the header as it stands in the file."""

    def __init__(self, titles: Iterable[str], delimiter: str | None) -> None:
        super().__init__(titles)
        self.delimiter = delimiter


def _shown(header: Sequence[str], limit: int = 100) -> str:
    delimiter = header.delimiter if isinstance(header, _Titles) else None
    text = (delimiter or ",").join(header)
    shown = repr(text if len(text) <= limit else f"{text[:limit]}…")
    return f"{shown} (delimiter {delimiter_name(delimiter)})" if delimiter is not None else shown


def delimiter_name(delimiter: str) -> str:
    """Return a delimiter as messages name it."""
    return {"\t": "tab", " ": "blank"}.get(delimiter, delimiter)
