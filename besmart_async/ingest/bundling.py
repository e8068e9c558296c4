"""Thin pages joined: those of files sorted by time, in which each of very many signals has a row or two.

What a reading costs depends on how many there are in an item, since an item costs as much as ten of them; a page of
200,000 rows of 100,000 meters is 100,000 items. Pages are therefore joined, before they are grouped by signal, as long
as they are thin: a million rows of these are 100,000 items as well.

Pages in which signals have many rows stay as they are: files sorted by meter, and those of few meters. So do wide
files, whose rows are of days. Nobody may wait for rows that come slowly: only pages of sources whose size is known,
which are files, are to be joined.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import attrs
import numpy as np

from besmart_async.ingest.arrow import pa
from besmart_async.ingest.columns import Chunk, Coded, DaySlots, distinct_codes, run_starts
from besmart_async.ingest.parsing import Readings
from besmart_async.ingest.steps import Step

_Part = TypeVar("_Part", Chunk, Readings)

FEW_ROWS = 20
"""Signals with fewer rows each, on average, make a page thin: 500 items of 20 fill a call of 10,000 readings."""
MANY_SIGNALS = 1_000
"""A page of fewer signals makes few items, however short they are."""
MOST_ROWS = 1_000_000
"""Rows that are joined at most: some 100 bytes each, of two at a time."""


def bundled(steps: Iterable[Step], most_rows: int = MOST_ROWS) -> Generator[Step, None, None]:
    """Join neighbouring pages that are thin, and pass on the others.

    Args:
        steps: pages of one source.
        most_rows: rows that are joined at most, unless a page has more.

    Raises:
        Exception: what `steps` raises, after the pages before.
    """
    bundle: list[Step] = []
    rows = 0
    try:
        for step in steps:
            thin = _is_thin(step)
            if bundle and (not thin or rows + len(step.chunk) > most_rows or _form(step) != _form(bundle[0])):
                yield _joined(bundle)
                bundle, rows = [], 0
            if thin:
                bundle.append(step)
                rows += len(step.chunk)
            else:
                yield step
    except Exception:
        if bundle:
            yield _joined(bundle)
        raise
    if bundle:
        yield _joined(bundle)


def _is_thin(step: Step) -> bool:
    readings = step.readings
    if readings is None or isinstance(step.chunk.time, DaySlots) or len(readings) < MANY_SIGNALS:
        return False
    width = len(readings.signal.names) if readings.signal is not None else 1
    codes = readings.meter.codes * width + readings.signal.codes if readings.signal is not None else readings.meter.codes
    if len(run_starts(codes)) * FEW_ROWS <= len(readings):  # sorted by meter: there is nothing to count
        return False
    signals = len(distinct_codes(codes, len(readings.meter.names) * width)[0])
    return signals >= MANY_SIGNALS and len(readings) < FEW_ROWS * signals


_COLUMNS = ("rows", "meter", "time", "value", "signal", "unit", "origin", "zone")


def _form(step: Step) -> tuple[object, ...]:
    """What pages have in common that can be joined."""
    columns = [getattr(part, name) for part in (step.chunk, step.readings) for name in _COLUMNS]
    return (step.chunk.titles, *map(_kind, columns))


def _kind(column: Any) -> object:
    if isinstance(column, Coded):
        return id(column.names)  # codes of one list of names
    if isinstance(column, np.ndarray):
        return column.dtype
    return None if column is None else column.type


def _joined(steps: Sequence[Step]) -> Step:
    last = steps[-1]
    if len(steps) == 1:
        return last
    join = _Join()
    return Step(
        last.source,
        last.start,
        join.parts([step.chunk for step in steps]),
        join.parts([step.readings for step in steps if step.readings is not None]),
        list(chain.from_iterable(step.rejects for step in steps)),
        sum(step.rows for step in steps),
        last.bytes_read,
    )


class _Join:
    """Joins columns; what chunks and readings share stays shared."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, ...], Any] = {}

    def parts(self, parts: Sequence[_Part]) -> _Part:
        """Join neighbouring rows, column by column."""
        columns = {name: self._column([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return attrs.evolve(parts[0], **columns)

    def _column(self, columns: Sequence[Any]) -> Any:
        if columns[0] is None:
            return None
        if isinstance(columns[0], Coded):
            return Coded(self._column([column.codes for column in columns]), columns[0].names)
        key = tuple(map(id, columns))
        if key not in self._made:
            plain = isinstance(columns[0], np.ndarray)
            self._made[key] = np.concatenate(columns) if plain else pa.chunked_array(columns)
        return self._made[key]
