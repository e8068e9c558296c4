"""Which column of a file is what, in the long layout: one reading per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

import attrs

COLUMN_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "meter": ("meter", "meter_id", "meter_no", "sensor", "sensor_eid"),
        "signal": ("obis", "obis_code", "signal", "signal_type", "signal_type_moid"),
        "time": ("time", "timestamp", "datetime", "start", "time_ms"),
        "value": ("value", "reading"),
        "unit": ("unit", "unit_symbol"),
        "origin": ("origin", "signal_origin_id"),
        "zone": ("zone", "timezone", "time_zone", "tz"),
    }
)
"""The names a header may use, by what the column holds. Case, spaces and hyphens do not matter."""

REQUIRED = ("meter", "time", "value")


@attrs.frozen
class LongLayout:
    """Where each column of a long file is.

    Attributes:
        width: how many columns the header has.
        positions: index of the column by what it holds (`COLUMN_NAMES`).
        titles: what the file calls that column.
        unused: columns that mean nothing here.
    """

    width: int
    positions: Mapping[str, int]
    titles: Mapping[str, str]
    unused: tuple[str, ...]

    @classmethod
    def of(cls, header: Sequence[str]) -> Self:
        """Find the columns by their names.

        Raises:
            ValueError: saying which column is missing or there twice, and which names it may have.
        """
        roles = {name: role for role, names in COLUMN_NAMES.items() for name in names}
        positions: dict[str, int] = {}
        unused: list[str] = []
        for index, title in enumerate(header):
            role = roles.get(_plain(title))
            if role is None:
                unused.append(title)
            elif role in positions:
                raise ValueError(f"columns {header[positions[role]]!r} and {title!r} both are the {role}; rename one")
            else:
                positions[role] = index
        for role in REQUIRED:
            if role not in positions:
                wanted = ", ".join(COLUMN_NAMES[role])
                raise ValueError(f"no column for the {role} (one of: {wanted}); the header is {_shown(header)}")
        titles = {role: header[index].strip() for role, index in positions.items()}
        return cls(len(header), positions, titles, tuple(unused))


def _plain(title: str) -> str:
    return title.strip().casefold().replace(" ", "_").replace("-", "_")


def _shown(header: Sequence[str], limit: int = 100) -> str:
    text = ",".join(header)
    return repr(text if len(text) <= limit else f"{text[:limit]}…")
