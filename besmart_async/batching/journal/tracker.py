"""Which rows of the journal are still needed. Pure: no disk, no clock.

Theory of operation. A row is finished when all its readings have their outcome and whoever is to hear of a rejection
has heard. Rows are forgotten from the oldest on, and only in that order: after a crash the next writer delivers what is
left, in order of acceptance, so an older value must never outlast a newer one. Where an old row cannot be finished (the
service fails for one signal, say), finished rows gather behind it. Once they take too much room, the unfinished ones
are rewritten with the signals they still need, and the finished ones go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from besmart_async.batching.journal.database import Row
from besmart_async.models.keys import SignalKey

WASTE_BYTES = 8 << 20
"""So many bytes of finished rows may wait behind an unfinished one."""


@attrs.define(eq=False)
class _Tracked:
    row: Row
    refs: Sequence[int]
    pending: int
    untold: int = 0
    gone: bool = False

    @property
    def finished(self) -> bool:
        return self.pending <= 0 and self.untold <= 0


class Tracker:
    """The rows on disk, by the refs of the writes in them.

    Args:
        top: the position after the last reading in the journal.
        settled: rows that may be forgotten already.
        waste_bytes: finished rows behind an unfinished one that are put up with.

    Attributes:
        done: everything before this position has had its outcome.
        settled: rows that may be forgotten, by number; whoever does so clears it.
        left: readings without an outcome.
    """

    def __init__(self, top: int, settled: Iterable[int], waste_bytes: int = WASTE_BYTES) -> None:
        self.done = top
        self.settled: list[int] = list(settled)
        self.left = 0
        self._rows: deque[_Tracked] = deque()
        self._by_ref: dict[int, _Tracked] = {}
        self._planned: list[_Tracked] = []
        self._bytes = 0
        self._waste = 0
        self._waste_bytes = waste_bytes

    def add(self, row: Row, refs: Sequence[int], readings: int) -> None:
        """Note a row, and how many readings it holds."""
        if not self._rows:
            self.done = row.start
        tracked = _Tracked(row, refs, readings)
        self._rows.append(tracked)
        for ref in refs:
            self._by_ref[ref] = tracked
        self.left += readings
        self._bytes += row.size

    def settle(self, ref: int, readings: int, *, untold: bool = False) -> None:
        """Note that readings have their outcome; `untold`: it is a rejection that somebody is to be told (`tell`)."""
        tracked = self._by_ref.get(ref)
        if tracked is None:
            return
        tracked.pending -= readings
        tracked.untold += readings if untold else 0
        self.left -= readings
        if tracked.pending <= 0:
            self._look(tracked)

    def tell(self, ref: int, readings: int) -> None:
        """Note that somebody was told of a rejection."""
        tracked = self._by_ref.get(ref)
        if tracked is not None:
            tracked.untold -= readings
            self._look(tracked)

    def _look(self, tracked: _Tracked) -> None:
        if not tracked.finished:
            return
        self._waste += tracked.row.size
        while self._rows and self._rows[0].finished:
            first = self._rows.popleft()
            first.gone = True
            self.done = first.row.stop
            self.settled.append(first.row.seq)
            self._forget(first)

    def _forget(self, tracked: _Tracked) -> None:
        for ref in tracked.refs:
            del self._by_ref[ref]
        self._bytes -= tracked.row.size
        self._waste -= tracked.row.size

    # -- rewriting ---------------------------------------------------------------------------------------------------

    @property
    def wasteful(self) -> bool:
        """Whether finished rows take more room than they should."""
        return self._waste > max(self._waste_bytes, self._bytes - self._waste)

    def plan(self, unsettled: Mapping[int, set[SignalKey]]) -> list[tuple[Row, Collection[SignalKey] | None]]:
        """Return all rows with the signals they still need; None: all of them.

        Args:
            unsettled: by ref, the signals with readings that have no outcome.
        """
        self._planned = list(self._rows)
        return [(tracked.row, self._needed(tracked, unsettled)) for tracked in self._planned]

    def _needed(self, tracked: _Tracked, unsettled: Mapping[int, set[SignalKey]]) -> Collection[SignalKey] | None:
        if tracked is self._planned[-1] or tracked.untold > 0:
            return None
        return set[SignalKey]().union(*[unsettled.get(ref, ()) for ref in tracked.refs])

    def moved(self, rows: Sequence[Row | None]) -> None:
        """Note where the rows of the `plan` are now; some may have been forgotten meanwhile."""
        for tracked, row in zip(self._planned, rows, strict=True):
            if tracked.gone:
                continue
            if row is None:
                self._rows.remove(tracked)
                self._forget(tracked)
                continue
            grown = row.size - tracked.row.size
            self._bytes += grown
            self._waste += grown if tracked.finished else 0
            tracked.row = row
        self._planned = []
