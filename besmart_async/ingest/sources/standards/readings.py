"""Readings of a standard format, gathered into pages.

Such a format says the meter, the signal type, the unit, the quality and the moment of each reading. So options about
times and columns do not hold for it; `Chunk.standard` tells the parser so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np

from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.base import Page
from besmart_async.ingest.sources.columns import Chunk, Coder, Standard, pa

NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
"""A number with a decimal point."""


@attrs.frozen(kw_only=True)
class Series:
    """What the readings of one row share.

    Attributes:
        row: the row's number in the file.
        meter: the meter's name.
        signal: the name of the signal type.
        unit: the unit.
    """

    row: int
    meter: str
    signal: str
    unit: str


class StandardPages:
    """Gathers readings and rejects until a page is taken.

    Args:
        name: the file's name.
        titles: what the standard calls the columns, by role.
        signals: signal types by the standard's names, where the user names none.
        local: times are local where `zone` says nothing, and UTC where it says "UTC"; else all are UTC.
    """

    def __init__(
        self, name: str, titles: Mapping[str, str], signals: Mapping[str, str], *, local: bool = False
    ) -> None:
        self._name = name
        self._titles = dict(titles)
        self._standard = Standard(signals)
        self._local = local
        self._coders = {role: Coder() for role in ("meter", "signal", "unit", "origin", "zone", "column")}
        self._clear()

    def _clear(self) -> None:
        self._rows: list[int] = []
        self._texts: dict[str, list[str]] = {role: [] for role in self._coders}
        self._times: list[int] = []
        self._values: list[float | None] = []
        self._rejects: list[Reject] = []

    def __len__(self) -> int:
        """Readings and rejects of the next page."""
        return len(self._rows) + len(self._rejects)

    def add(
        self,
        series: Series,
        times: Sequence[int],
        values: Sequence[float | None],
        origins: Sequence[str],
        *,
        zone: str = "UTC",
        columns: Sequence[str] = (),
    ) -> None:
        """Add readings of one row.

        Args:
            series: what they share.
            times: milliseconds, of the start of each period.
            values: the values; None for one that is missing, which is left out.
            origins: names of origins.
            zone: "UTC", or an empty text for local times.
            columns: what to call each value, if rows have several; all calls give them, or none.
        """
        count = len(values)
        self._rows += [series.row] * count
        self._times += times
        self._values += values
        for role, text in (("meter", series.meter), ("signal", series.signal), ("unit", series.unit), ("zone", zone)):
            self._texts[role] += [text] * count
        self._texts["origin"] += origins
        self._texts["column"] += columns

    def reject(self, row: int, text: str, reason: str) -> None:
        """Add a row that holds no reading."""
        shown = text if len(text) <= 60 else f"{text[:59]}…"
        self._rejects.append(Reject(self._name, row, None, shown, reason, (("line", "", text),)))

    def take(self, position: int) -> Page:
        """Return what was gathered, and forget it.

        Args:
            position: bytes of the file consumed so far.
        """
        coded = {role: coder.encode(self._texts[role]) for role, coder in self._coders.items()}
        time = pa.array(self._times, pa.int64()).cast(pa.timestamp("ms", None if self._local else "UTC"))
        chunk = Chunk(
            self._name,
            np.array(self._rows, np.int64),
            coded["meter"],
            time,
            pa.array(self._values, pa.float64()),
            coded["signal"],
            coded["unit"],
            coded["origin"],
            coded["zone"] if self._local else None,
            titles=self._titles,
            column=coded["column"] if self._texts["column"] else None,
            standard=self._standard,
        )
        page = Page(chunk, tuple(self._rejects), position)
        self._clear()
        return page
