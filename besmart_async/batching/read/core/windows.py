"""Cutting a long window into parts whose rows add up to exactly those of the whole. Pure functions.

Rules:
- Whether a window's ends are inclusive is not documented, so no seam may depend on it: each part is asked 1 ms further
  than its inner boundaries, and of the answer the rows with `m_i <= t < m_{i+1}` are kept. A row belongs to the part
  that its time *as answered* falls into, and that part was asked for it under every convention, also where the service
  compares or answers truncated or rounded times: those are less than 1 ms off, the margin is 1 ms.
- The caller's own ends get no margin and are not trimmed: what lies there is what the service would return uncut.
- Boundaries are whole milliseconds and divide the window evenly, so that no sliver is left over at its end.
- Only windows are cut whose rows stand for themselves. `delta_t` makes one row of many; `get_last`, `filters` (of which
  the document says nothing), and conversions (`output_unit_id`, `is_chart`: a power asked of an energy register is a
  difference of neighbours) may depend on what else is in the window. Those are asked whole, however long.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice

import attrs

from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

_MARGIN_MS = 1


@attrs.frozen
class Part:
    """One piece of a query.

    Attributes:
        whole: the query it was cut from.
        query: what to ask for this piece, margins included.
        keep_from: rows before it belong to the piece before; None in the first piece.
        keep_before: rows from it on belong to the next piece; None in the last one.
    """

    whole: SignalQuery
    query: SignalQuery
    keep_from: int | None = None
    keep_before: int | None = None

    def kept(self, data: SignalData) -> SignalData:
        """Return the rows of the answer that belong to this piece, in their order."""
        keep = None
        if self.keep_from is not None:
            keep = data.time >= self.keep_from
        if self.keep_before is not None:
            before = data.time < self.keep_before
            keep = before if keep is None else keep & before
        # An answer without rows is passed on as it is: "absent" must stay that.
        return data if keep is None or keep.all() else data.take(keep)


def divisible(query: SignalQuery) -> bool:
    """Return whether every row of the answer stands for itself, so that the window may be cut."""
    together = query.get_last or query.is_chart or query.filters
    return not together and query.delta_t is None and query.output_unit_id is None


def parts_of(query: SignalQuery, max_window_ms: float) -> Iterator[Part]:
    """Cut a query into pieces of at most `max_window_ms` (and the margins), by time; one piece if it may not be cut.

    Args:
        query: what was asked.
        max_window_ms: at least 1,000; `math.inf` to cut nothing.
    """
    first, last = math.floor(query.since), math.floor(query.till)
    count = math.ceil((last - first) / max_window_ms)
    if count <= 1 or not divisible(query):
        yield Part(query, query)
        return
    boundaries = (first + (last - first) * number // count for number in range(1, count))
    start: int | None = None
    for end in boundaries:
        yield _part(query, start, end)
        start = end
    yield _part(query, start, None)


def in_turns(queries: Iterable[SignalQuery], max_window_ms: float) -> Iterator[tuple[SignalQuery, Part | None]]:
    """Cut several queries and take their pieces in turns: neighbours are of different signals and share a bulk call.

    Returns:
        What to ask, and which piece that is: None for a window that is short enough, most often all of them.
    """
    cut: list[Iterator[Part]] = []
    for query in queries:
        if query.till - query.since <= max_window_ms:
            yield query, None
            continue
        parts = parts_of(query, max_window_ms)
        part = next(parts)
        yield part.query, part
        cut.append(parts)
    while cut:
        unfinished: list[Iterator[Part]] = []
        for parts in cut:
            for part in islice(parts, 1):
                yield part.query, part
                unfinished.append(parts)
        cut = unfinished


def _part(query: SignalQuery, start: int | None, end: int | None) -> Part:
    since = query.since if start is None else start - _MARGIN_MS
    till = query.till if end is None else end + _MARGIN_MS
    return Part(query, query.within(since, till), start, end)
