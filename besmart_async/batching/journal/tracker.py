"""Which rows of the journal are still needed, and which outcomes have to be recorded. Pure: no disk, no clock.

Theory of operation. A row is deleted as soon as all its readings are done, in any order of the rows. Of a row with some
readings done, the outcomes are recorded beside it, so the row itself is not written again. What is left after a crash
is therefore exactly what has no recorded outcome. Newer readings of a signal are only sent when the older ones have
their outcome, and outcomes are recorded in the order in which they come, all at once: so an older value never outlasts
a newer one. Readings that were refused, and of which nobody was told yet, have an outcome of their own (`REFUSED`):
newer ones are sent meanwhile, so these must not be sent again.

Deleted rows leave gaps in the positions. The next row that is left claims the gap before it; what lies before the first
row is claimed by the `floor` of a record. A claim is an outcome as well: it is only written along with all others.

A large row in which few readings are left is rewritten without the others (`plan`), if such rows take more room than
everything that is needed. Each rewriting drops at least half of the readings of a row, so all of them together
write less than was ever put into these rows; a row that has become too small for that is never a candidate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import attrs

from besmart_async.batching.journal.database import Row
from besmart_async.batching.journal.records import DONE, OPEN, REFUSED

WASTE_BYTES = 8 << 20
"""Bytes of readings that are done, in rows that are still needed, that are always accepted."""
COMPACT_BYTES = 1 << 20
"""Bytes of rows that are rewritten at once, while writes wait."""

_TO_DONE = bytes([DONE]) * 256
_TO_REFUSED = bytes([REFUSED, DONE, REFUSED]) + bytes(253)


@attrs.frozen
class Note:
    """Outcomes of the readings of a row that is left, to be recorded.

    Attributes:
        seq: the number of the row.
        start: position of its first reading.
        stop: position after its last.
        since: every reading from this position up to `start` is done.
        outcomes: one byte for each reading.
    """

    seq: int
    start: int
    stop: int
    since: int
    outcomes: bytes = attrs.field(repr=False)


@attrs.frozen(eq=False)
class Changes:
    """What is to be recorded at once: all outcomes that are known at a moment, and none that came later.

    Attributes:
        forget: numbers of rows to delete.
        notes: outcomes of readings in rows that are left.
        floor: all readings before this position are done.
        since: those from this position up to `top` are done.
        top: the position after the last reading on disk at that moment.
    """

    forget: Sequence[int]
    notes: Sequence[Note]
    floor: int
    since: int
    top: int


@attrs.define(eq=False)
class _Tracked:
    """A row that is left; `before` and `after` are its neighbours.

    Attributes:
        row: where it is.
        left: readings that are not done.
        held: readings that its record holds.
        outcomes: one byte for each position; None: all open.
        noted: outcomes of it are recorded on disk.
        before: the row before it, of those that are left.
        after: the row after it.
    """

    row: Row
    left: int
    held: int
    outcomes: bytearray | None
    noted: bool
    before: _Tracked | None = None
    after: _Tracked | None = None

    @property
    def waste(self) -> int:
        """How many bytes its readings that are done take, about."""
        return self.row.size * (self.held - self.left) // self.held


class Tracker:
    """The rows on disk, by the positions of their readings.

    Args:
        top: the position after the last reading in the journal.
        forget: numbers of rows to delete.
        waste_bytes: see `WASTE_BYTES`.

    Attributes:
        left: readings without an outcome.
    """

    def __init__(self, top: int, forget: Iterable[int] = (), waste_bytes: int = WASTE_BYTES) -> None:
        self.left = 0
        self._top = top
        self._forget: list[int] = list(forget)
        self._changed: dict[_Tracked, None] = {}
        self._rows: list[_Tracked] = []  # in order of positions, with some that are gone
        self._starts: list[int] = []
        self._gone = 0
        self._first: _Tracked | None = None
        self._last: _Tracked | None = None
        self._bytes = 0
        self._waste = 0
        self._waste_bytes = waste_bytes
        self._candidates: dict[_Tracked, None] = {}

    # -- rows --------------------------------------------------------------------------------------------------------

    def add(
        self, row: Row, since: int, outcomes: bytes | None = None, held: int | None = None, *, noted: bool = False
    ) -> None:
        """Note a row that is on disk now, after all others; one without readings is needed until the next comes.

        Args:
            row: where it is.
            since: its record claims that all readings from this position up to its first are done.
            outcomes: of its readings, as far as they are known.
            held: how many readings its record holds, if not all.
            noted: outcomes of it are recorded on disk.
        """
        self._top = max(self._top, row.stop)
        if row.start == row.stop:
            self._forget.append(row.seq)
            return
        known = None if outcomes is None else bytearray(outcomes)
        readings = row.stop - row.start
        left = readings if known is None else readings - known.count(DONE)
        tracked = _Tracked(row, left, readings if held is None else held, known, noted, before=self._last)
        if self._last is None:
            self._first = tracked
        else:
            self._last.after = tracked
        if self._last is not None and self._last.row.stop < since:
            self._changed[tracked] = None  # there is a larger gap before it than its record claims
        self._last = tracked
        self._rows.append(tracked)
        self._starts.append(row.start)
        self.left += readings if known is None else known.count(OPEN)
        self._bytes += row.size
        self._waste += tracked.waste
        self._judge(tracked)

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def done(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Note readings that need not be kept any longer. A second time does nothing."""
        for start, stop in ranges:
            self._mark(start, stop, _TO_DONE)

    def refused(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Note readings that the service has refused, while nobody has been told."""
        for start, stop in ranges:
            self._mark(start, stop, _TO_REFUSED)

    def _mark(self, start: int, stop: int, to: bytes) -> None:
        number = max(0, bisect_right(self._starts, start) - 1)
        while number < len(self._rows) and self._starts[number] < stop:
            tracked = self._rows[number]
            first, last = max(start, tracked.row.start), min(stop, tracked.row.stop)
            if first < last and tracked.left:
                self._mark_part(tracked, first - tracked.row.start, last - tracked.row.start, to)
            number += 1
        if self._gone > 64 and self._gone * 2 > len(self._rows):
            self._rows = [tracked for tracked in self._rows if tracked.left]
            self._starts = [tracked.row.start for tracked in self._rows]
            self._gone = 0

    def _mark_part(self, tracked: _Tracked, first: int, last: int, to: bytes) -> None:
        if last - first == tracked.row.stop - tracked.row.start and tracked.outcomes is None and to is _TO_DONE:
            self.left -= tracked.left
            self._waste -= tracked.waste
            tracked.left = 0
            self._drop(tracked)
            return
        if tracked.outcomes is None:
            tracked.outcomes = bytearray(tracked.row.stop - tracked.row.start)
        before = tracked.outcomes[first:last]
        after = before.translate(to)
        if after == before:
            return
        tracked.outcomes[first:last] = after
        self._waste -= tracked.waste
        self.left -= before.count(OPEN) - after.count(OPEN)
        tracked.left -= after.count(DONE) - before.count(DONE)
        if not tracked.left:
            self._drop(tracked)
            return
        self._waste += tracked.waste
        self._changed[tracked] = None
        self._judge(tracked)

    def _judge(self, tracked: _Tracked) -> None:
        if tracked.left * 2 <= tracked.held:
            self._candidates[tracked] = None

    def _drop(self, tracked: _Tracked) -> None:
        before, after = tracked.before, tracked.after
        if before is None:
            self._first = after
        else:
            before.after = after
        if after is None:
            self._last = before
        else:
            after.before = before
            if before is not None:
                self._changed[after] = None  # it claims the gap now
        tracked.before = tracked.after = None
        self._gone += 1
        self._bytes -= tracked.row.size
        self._candidates.pop(tracked, None)
        self._changed.pop(tracked, None)
        self._forget += [tracked.row.seq, -tracked.row.seq] if tracked.noted else [tracked.row.seq]

    # -- recording ---------------------------------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether there is anything to record."""
        return bool(self._forget or self._changed)

    def take(self) -> Changes:
        """Return what is to be recorded; if that fails, it must be put back (`put_back`)."""
        notes = [self._note(tracked) for tracked in self._changed]
        floor = self._top if self._first is None else self._first.row.start
        since = self._top if self._last is None else self._last.row.stop
        changes = Changes(self._forget, notes, floor, since, self._top)
        self._forget, self._changed = [], {}
        return changes

    def _note(self, tracked: _Tracked) -> Note:
        tracked.noted = True
        row = tracked.row
        outcomes = bytes(row.stop - row.start) if tracked.outcomes is None else bytes(tracked.outcomes)
        since = row.start if tracked.before is None else tracked.before.row.stop  # the floor claims what is before all
        return Note(row.seq, row.start, row.stop, since, outcomes)

    def put_back(self, changes: Changes) -> None:
        """Take back what could not be recorded."""
        self._forget += changes.forget
        for note in changes.notes:
            if (tracked := self._at(note.start)) is not None:
                self._changed[tracked] = None

    def _at(self, start: int) -> _Tracked | None:
        """Return the row that begins at a position, if it is left."""
        number = bisect_right(self._starts, start) - 1
        if number < 0 or self._starts[number] != start or not self._rows[number].left:
            return None
        return self._rows[number]

    # -- rewriting ---------------------------------------------------------------------------------------------------

    def plan(self, *, large: bool) -> list[tuple[Row, bytes]]:
        """Return rows to be rewritten now, with the outcomes of their readings; none unless much room is wasted.

        Args:
            large: also rows that take long.
        """
        if self._waste <= max(self._waste_bytes, self._bytes - self._waste):
            return []
        plan: list[tuple[Row, bytes]] = []
        size = 0
        for tracked in self._candidates:
            if plan and size + tracked.row.size > COMPACT_BYTES:
                break
            if tracked.row.size <= COMPACT_BYTES or large:
                size += tracked.row.size
                plan.append((tracked.row, bytes(tracked.outcomes or b"")))
        return plan

    def compacted(self, plan: Sequence[tuple[Row, bytes]], rows: Sequence[Row]) -> None:
        """Note where rows of a plan are now; some may be done meanwhile."""
        for (_, outcomes), row in zip(plan, rows, strict=True):
            tracked = self._at(row.start)
            if tracked is None:
                continue
            self._candidates.pop(tracked, None)
            self._bytes += row.size - tracked.row.size
            self._waste -= tracked.waste
            tracked.row = row
            tracked.held = len(outcomes) - outcomes.count(DONE)
            self._waste += tracked.waste
            self._judge(tracked)

    def not_compacted(self) -> None:
        """Note that a plan failed: the next one has to be worth twice as much."""
        self._waste_bytes = 2 * self._waste
