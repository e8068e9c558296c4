"""Which column of a file is what: one reading per row (long), or one meter and day per row (wide)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Self

import attrs

from besmart_async.ingest.slots import SlotKind, Slots, clock_times, counted, slots_of

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
"""The names a header may use, by what the column holds. Case, spaces and hyphens do not matter.

The ids of a sensor in two columns are a meter's name: `12` and `122` are `12.122`.
"""

CODED = ("meter", "client_cid", "sensor_mid", "signal", "unit", "origin", "zone")
"""What has few distinct texts."""

_IDS = ("client_cid", "sensor_mid")

LayoutKind = Literal["long", "wide"]
_FEWEST_TIMES, _FEWEST_COUNTED = 2, 12
"""Fewer columns titled like times, or counted, are taken for something else, unless the form says what they are."""


@attrs.frozen(kw_only=True)
class FileForm:
    """What a file looks like, as far as that is told and not to be found out.

    Attributes:
        format: name of the format; None: by the file's name and first bytes.
        encoding: of texts. UTF-8, with or without a byte-order mark, unless told.
        delimiter: between fields; None: the one its header has most of.
        header_row: row of the header, counted from 1; 0 where there is none, so that columns have numbers only.
        kind: long or wide; None: by the header.
        columns: titles that a column may have, or its number counted from 1, by what it holds (`COLUMN_NAMES`).
        first_slot: title or number of the first value column of a wide file; None: by their titles.
        last_slot: the last one.
        slots: what the value columns tell; None: by their titles.
        step_ms: length of a period of a wide file; None: by their titles or number.
    """

    format: str | None = None
    encoding: str = "utf-8-sig"
    delimiter: str | None = None
    header_row: int = 1
    kind: LayoutKind | None = None
    columns: Mapping[str, tuple[str | int, ...]] = attrs.field(factory=dict[str, tuple[str | int, ...]])
    first_slot: str | int | None = None
    last_slot: str | int | None = None
    slots: SlotKind | None = None
    step_ms: int | None = None


@attrs.frozen
class Layout:
    """Where each column of a file is.

    Attributes:
        width: how many columns it has.
        positions: index of the column by what it holds (`COLUMN_NAMES`).
        titles: what the file calls that column.
        unused: columns that mean nothing here.
        slots: the value columns of a wide file; None for a long one.
    """

    width: int
    positions: Mapping[str, int]
    titles: Mapping[str, str]
    unused: tuple[str, ...]
    slots: Slots | None = None

    @classmethod
    def of(cls, header: Sequence[str], form: FileForm | None = None) -> Self:
        """Find the columns by their names.

        Raises:
            ValueError: saying which column is missing or there twice, and which names it may have.
        """
        form = form or FileForm()
        positions = _positions(header, form)
        if "meter" in positions or not all(role in positions for role in _IDS):
            positions = {role: index for role, index in positions.items() if role not in _IDS}
        free = [index for index in range(len(header)) if index not in positions.values()]
        slots = _slots(header, positions, free, form)
        needed = ("date",) if slots else ("time", "value")
        if slots and "date" not in positions and "time" in positions:
            positions["date"] = positions.pop("time")
        if not slots and "time" not in positions and "date" in positions:
            positions["time"] = positions.pop("date")
        for role in ("meter", *needed):
            if role not in positions and not (role == "meter" and "sensor_mid" in positions):
                wanted = ", ".join(map(str, form.columns.get(role, COLUMN_NAMES[role])))
                raise ValueError(f"no column for the {role} (one of: {wanted}); the header is {_shown(header)}")
        used = {*positions.values(), *(slots.positions if slots else ())}
        unused = tuple(title for index, title in enumerate(header) if index not in used)
        titles = {role: header[index].strip() for role, index in positions.items()}
        if "meter" not in titles:
            titles["meter"] = ".".join(titles[role] for role in _IDS)
        if slots:
            titles["time"] = titles["date"]
        elif "date" in titles:
            titles["time"] = f"{titles['date']} {titles['time']}"
        return cls(len(header), positions, titles, unused, slots)

    @property
    def used(self) -> tuple[int, ...]:
        """Indexes of the columns that are read, ascending."""
        return tuple(sorted({*self.positions.values(), *(self.slots.positions if self.slots else ())}))


def _positions(header: Sequence[str], form: FileForm) -> dict[str, int]:
    roles = {
        _plain(name): role
        for role, names in {**COLUMN_NAMES, **form.columns}.items()
        for name in names
        if isinstance(name, str)
    }
    # A title that the form names goes before the same title as a general name.
    roles |= {_plain(name): role for role, names in form.columns.items() for name in names if isinstance(name, str)}
    positions = _numbered(header, form)
    for index, title in enumerate(header):
        role = roles.get(_plain(title))
        if role is None or index in positions.values():
            continue
        if role in positions and isinstance(form.columns.get(role, ("",))[0], int):
            continue
        if role in positions:
            raise ValueError(f"columns {header[positions[role]]!r} and {title!r} both are the {role}; rename one")
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
    plain = [_plain(title) for title in header]
    if _plain(name) not in plain:
        raise ValueError(f"no column {name!r} for the {what}; the header is {_shown(header)}")
    return plain.index(_plain(name))


def _slots(header: Sequence[str], positions: dict[str, int], free: Sequence[int], form: FileForm) -> Slots | None:
    if form.kind == "long" or (form.kind is None and "value" in positions):
        return None
    if form.first_slot is not None or form.last_slot is not None:
        first = _index(header, form.first_slot, "first slot") if form.first_slot is not None else min(free)
        last = _index(header, form.last_slot, "last slot") if form.last_slot is not None else max(free)
        chosen = list(range(first, last + 1))
    else:
        chosen = _slot_columns(header, free)
        if form.kind is None and len(chosen) < (_FEWEST_TIMES if _are_times(header, chosen) else _FEWEST_COUNTED):
            chosen = []
    if not chosen:
        if form.kind == "wide":
            raise ValueError("no value columns: they are titled 00:15, 00:30, … or 1, 2, …, else say wide.first")
        return None
    return slots_of([header[index].strip() for index in chosen], chosen, form.slots, form.step_ms)


def _slot_columns(header: Sequence[str], free: Sequence[int]) -> list[int]:
    """The longest run of columns that are titled like slots."""
    times = [index for index in free if _are_times(header, [index])]
    if times:
        return times
    best: list[int] = []
    for start in range(len(free)):
        if not counted([header[free[start]]]):
            continue
        end = start + 1
        while end < len(free) and counted([header[index] for index in free[start : end + 1]]):
            end += 1
        if end - start > len(best):
            best = list(free[start:end])
    return best


def _are_times(header: Sequence[str], columns: Sequence[int]) -> bool:
    return clock_times([header[index] for index in columns]) is not None


def _plain(title: str) -> str:
    return title.strip().casefold().replace(" ", "_").replace("-", "_")


def _shown(header: Sequence[str], limit: int = 100) -> str:
    text = ",".join(header)
    return repr(text if len(text) <= limit else f"{text[:limit]}…")
