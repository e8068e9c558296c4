"""Rows of a file in arrow columns to chunks of readings, long or wide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.arrow import as_numpy, pa, pc
from besmart_async.ingest.columns import Chunk, Coded, Coder, Column, DaySlots, as_column, as_texts
from besmart_async.ingest.layout import Layout


class Paging:
    """Makes the chunks of one file.

    Args:
        name: what to call the file to people.
        layout: which column is what.
    """

    def __init__(self, name: str, layout: Layout) -> None:
        self._name = name
        self._layout = layout
        self._titles = dict(layout.titles)
        roles = ("meter", "signal", "unit", "origin", "zone", *(("date",) if layout.slots else ()))
        self._coders = {role: Coder() for role in roles if role in layout.titles}

    def rows_at_a_time(self, readings: int) -> int:
        """How many rows have about so many readings."""
        return max(1, readings // len(self._layout.slots)) if self._layout.slots else readings

    def chunk(self, rows: NDArray[np.int64], columns: Mapping[int, Column]) -> Chunk:
        """Return the readings of some rows.

        Args:
            rows: their numbers.
            columns: their columns, by index. A wide row may have more slots than the header.
        """
        positions = self._layout.positions
        coded = {role: coder.encode_column(self._texts(role, columns)) for role, coder in self._coders.items()}
        if self._layout.slots:
            return self._melted(rows, columns, coded)
        time = columns[positions["time"]]
        if "date" in positions:
            time = pc.binary_join_element_wise(as_texts(columns[positions["date"]]), as_texts(time), " ")
        return self._made(rows, time, columns[positions["value"]], coded)

    def _texts(self, role: str, columns: Mapping[int, Column]) -> Column:
        positions = self._layout.positions
        if role in positions:
            return columns[positions[role]]
        client, sensor = (as_texts(columns[positions[part]]) for part in ("client_cid", "sensor_mid"))
        return pc.binary_join_element_wise(client, sensor, ".")

    def _melted(self, rows: NDArray[np.int64], columns: Mapping[int, Column], coded: dict[str, Coded]) -> Chunk:
        slots = self._layout.slots
        assert slots is not None  # noqa: S101 - asked before
        if max(columns) > max(self._layout.used):
            slots = slots.reaching(max(columns) + 1 - slots.positions[0])
        values = as_column(pa.chunked_array([columns[position] for position in slots.positions]))
        texts = pa.types.is_string(values.type)
        present = pc.cast(pc.binary_length(as_texts(values)), pa.bool_()) if texts else pc.is_valid(values)
        kept = np.flatnonzero(as_numpy(present))
        if len(kept) < len(values):
            values = values.filter(present)
        slot, row = np.divmod(kept, len(rows))
        day = coded.pop("date").take(row)
        melted = {role: column.take(row) for role, column in coded.items()}
        return self._made(rows[row], DaySlots(day, slot, slots), values, melted)

    def _made(self, rows: NDArray[np.int64], time: Column, value: Column, coded: Mapping[str, Coded]) -> Chunk:
        signal, unit, origin, zone = (coded.get(role) for role in ("signal", "unit", "origin", "zone"))
        return Chunk(self._name, rows, coded["meter"], time, value, signal, unit, origin, zone, self._titles)
