"""Rule "infer": the pass of times in a repeated hour, from the rows of the same signal around them.

Rows of a signal follow time, from old to new or from new to old. So a run of rows in one repeated hour has a place at
which the other pass begins. That place is certain if there is only one at which times never step back, and no time
comes twice in a pass. Rows that stand several times (copies, versions) do so before or after the run as well; then a
time may come as often in a pass. If no place is certain, nothing is chosen, and the rows are refused.

At the beginning and the end of a file one pass may be missing. It is certain which one if the run continues what is
beside it at the distance of the signal's readings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import tzinfo
from itertools import groupby, pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.parse.zones import Local, Milliseconds, set_backs

_CONTEXT = 6
"""Rows looked at on either side of a run."""
_BESIDE_MS = 12 * 3_600_000
"""Rows within this distance of a change of the clock show how often a row usually stands."""

SeriesOf = Callable[[NDArray[np.int64]], NDArray[np.int64] | int]
"""Returns the signals of rows, as numbers."""


@attrs.define
class SeriesMemory:
    """What is known of one signal from earlier chunks: its last moments, and the run that the chunk ended in."""

    before: list[Milliseconds] = attrs.field(factory=list[Milliseconds])
    run: list[Local] = attrs.field(factory=list[Local])


@attrs.frozen
class RepeatedRows:
    """Rows of a signal in one repeated hour, one after the other, and the moments beside them.

    Attributes:
        times: the two moments that each row can mean.
        before: moments of the rows above, the nearest last.
        after: moments of the rows below, the nearest first.
    """

    times: Sequence[Local]
    before: Sequence[Milliseconds]
    after: Sequence[Milliseconds]

    def passes(self, *, falling: bool) -> list[bool] | None:
        """Return whether each row is in the later pass; None if that is not certain.

        Args:
            falling: the rows of the file go from new to old, as far as the rows beside the run do not say.
        """
        votes = {self.before[-1] >= max(time.later for time in self.times)} if self.before else set[bool]()
        votes |= {self.after[0] <= min(time.earlier for time in self.times)} if self.after else set[bool]()
        falling = votes.pop() if len(votes) == 1 else falling
        if not falling:
            return self._rising()
        found = RepeatedRows(self.times[::-1], self.after[::-1], self.before[::-1])._rising()
        return None if found is None else found[::-1]

    def _rising(self) -> list[bool] | None:
        labels = [time.earlier for time in self.times]
        copies = _copies(self.before, self.after)
        places = [] if copies > 1 else _places(labels, strict=True)
        if not places or copies > 1:
            places = _places(labels, strict=False)
            if len(places) != 1:
                places = _by_copies(labels, copies)
        places = [place for place in places if self._follows(place, strict=copies == 1)]
        if len(places) > 1:
            places = self._continuing(labels)
        return [row >= places[0] for row in range(len(labels))] if len(places) == 1 else None

    def _follows(self, place: int, *, strict: bool) -> bool:
        """Whether the run is after the row above and before the row below, if the later pass begins at this place."""
        first = self.times[0].earlier if place else self.times[0].later
        last = self.times[-1].later if place < len(self.times) else self.times[-1].earlier
        gaps = [*(first - one for one in self.before[-1:]), *(one - last for one in self.after[:1])]
        return all(gap > 0 or (gap == 0 and not strict) for gap in gaps)

    def _continuing(self, labels: Sequence[Milliseconds]) -> list[int]:
        """The place of a run that is one pass only, at the beginning or the end of the file."""
        if bool(self.before) == bool(self.after):
            return []
        steps = [abs(one - other) for part in (self.before, labels, self.after) for one, other in pairwise(part)]
        step = min(filter(None, steps), default=0)
        if not step:
            return []
        if self.before and self.before[-1] + step == self.times[0].earlier:
            return [len(labels)]
        if self.after and self.times[-1].later + step == self.after[0]:
            return [0]
        return []


def _places(labels: Sequence[Milliseconds], *, strict: bool) -> list[int]:
    """The places at which the later pass may begin, so that times rise (or stay, if not strict) in each pass."""
    steps = [other - one for one, other in pairwise(labels)]
    broken = [place for place, step in enumerate(steps, start=1) if step < 0 or (strict and step == 0)]
    if not broken:
        return list(range(len(labels) + 1))
    return broken if len(broken) == 1 else []


def _copies(before: Sequence[Milliseconds], after: Sequence[Milliseconds]) -> int:
    """How often each moment stands beside a run; 1 if they differ in that. The outermost may be cut off."""
    counts = [len(list(rows)) for _, rows in groupby(before)][-1:] + [len(list(rows)) for _, rows in groupby(after)][:1]
    return counts[0] if counts and len(set(counts)) == 1 else 1


def _by_copies(labels: Sequence[Milliseconds], copies: int) -> list[int]:
    """The place in a run of one time, which comes twice as often as the times beside it."""
    groups = [len(list(rows)) for _, rows in groupby(labels)]
    if copies > 1 and all(count in (copies, 2 * copies) for count in groups) and groups.count(2 * copies) == 1:
        return [sum(groups[: groups.index(2 * copies)]) + copies]
    return []


@attrs.define
class Repeats:
    """Chooses the pass of repeated times of one file, chunk by chunk."""

    _memory: dict[int, SeriesMemory] = attrs.field(factory=dict[int, SeriesMemory])
    _falling: bool = False
    _last: dict[int, tuple[float, ...]] = attrs.field(factory=dict[int, tuple[float, ...]])

    def settle(
        self,
        series: NDArray[np.int64],
        moments: NDArray[np.float64],
        twice: dict[int, Local],
    ) -> dict[int, Milliseconds]:
        """Return the moments of those rows that are certain.

        Args:
            series: number of the signal of each row, shape (n,).
            moments: moment of each row; NaN for a row without one, and for a repeated time.
            twice: the repeated times, by row.
        """
        decided: dict[int, Milliseconds] = {}
        rows = np.fromiter(twice, np.int64, len(twice))
        among = np.union1d(series[rows], np.fromiter(self._memory, np.int64, len(self._memory)))
        usable = ~np.isnan(moments)
        self._falling = self._direction(series[usable], moments[usable])
        usable[rows] = True
        usable &= np.isin(series, among)
        chosen = np.flatnonzero(usable)
        order = chosen[np.argsort(series[chosen], kind="stable")]
        bounds = np.flatnonzero(np.diff(series[order])) + 1
        for part in np.split(order, bounds) if len(order) else []:
            self._of_series(int(series[part[0]]), part.tolist(), moments, twice, decided)
        self._remember(series, moments)
        return decided

    def skip(self, series: NDArray[np.int64], moments: NDArray[np.float64]) -> None:
        """Remember the rows of a chunk that has no repeated times; see `settle`."""
        self._falling = self._direction(series, moments)
        for number in self._memory.keys() & set(np.unique(series[~np.isnan(moments)]).tolist()):
            del self._memory[number]
        self._remember(series, moments)

    def _remember(self, series: NDArray[np.int64], moments: NDArray[np.float64]) -> None:
        """Keep the last two moments of each signal, which may be beside a run in the next chunk."""
        usable = np.flatnonzero(~np.isnan(moments))
        order = usable[np.argsort(series[usable], kind="stable")]
        numbers = series[order]
        last = np.flatnonzero(np.append(numbers[1:] != numbers[:-1], True)) if len(order) else order
        before = np.maximum(last - 1, 0)
        two = numbers[before] == numbers[last]
        ends = zip(
            numbers[last].tolist(),
            moments[order[before]].tolist(),
            moments[order[last]].tolist(),
            two.tolist(),
            strict=True,
        )
        self._last |= {number: (one, other) if both else (other,) for number, one, other, both in ends}

    def _direction(self, series: NDArray[np.int64], moments: NDArray[np.float64]) -> bool:
        """Whether the file goes from new to old: so do most neighbours of one signal."""
        order = np.argsort(series, kind="stable")
        steps = np.diff(moments[order])[np.diff(series[order]) == 0]
        up, down = int((steps > 0).sum()), int((steps < 0).sum())
        return down > up if up != down else self._falling

    def _of_series(
        self,
        number: int,
        rows: list[int],
        moments: NDArray[np.float64],
        twice: dict[int, Local],
        decided: dict[int, Milliseconds],
    ) -> None:
        memory = self._memory.get(number)
        if memory is None:
            memory = self._memory[number] = SeriesMemory(list(self._last.get(number, ())))
        at = 0
        while at < len(rows):
            if rows[at] not in twice:
                end = next((place for place in range(at, len(rows)) if rows[place] in twice), len(rows))
                memory.before = [*memory.before, *(float(moments[row]) for row in rows[max(at, end - _CONTEXT) : end])]
                memory.before, memory.run = memory.before[-_CONTEXT:], []
                at = end
                continue
            end = at
            while end < len(rows) and rows[end] in twice and _one_hour(twice[rows[at]], twice[rows[end]]):
                end += 1
            ahead = next((place for place in range(end, len(rows)) if rows[place] in twice), len(rows))
            after = [float(moments[row]) for row in rows[end : min(ahead, end + _CONTEXT)]]
            if memory.run and not _one_hour(memory.run[0], twice[rows[at]]):
                memory.before, memory.run = [], []
            run = [*memory.run, *(twice[row] for row in rows[at:end])]
            passes = RepeatedRows(run, memory.before, after).passes(falling=self._falling)
            if passes is not None:
                for row, later in zip(rows[at:end], passes[len(memory.run) :], strict=True):
                    decided[row] = twice[row].later if later else twice[row].earlier
            memory.run = run
            at = end


@attrs.define
class Doubles:
    """Finds rows of one signal that are the same moment near a change of the clock: two passes taken for one.

    Copies are not found: rows that stand as often as those of their signal beside the change.
    """

    _before: set[tuple[int, Milliseconds]] = attrs.field(factory=set[tuple[int, Milliseconds]])

    def find(
        self, rows: NDArray[np.intp], moments: NDArray[Any], zone: tzinfo, around_ms: int, series: SeriesOf
    ) -> NDArray[np.intp]:
        """Return the rows, by their indexes; a row of the chunk before counts too.

        Args:
            rows: rows with local times, shape (n,).
            moments: their moments.
            zone: their zone.
            around_ms: how far from the change.
            series: returns the signals of rows.
        """
        before, self._before = self._before, set()
        changes = set_backs(zone, float(moments.min()), float(moments.max())) if len(moments) else ()
        if not changes:
            return np.zeros(0, np.intp)
        near = np.concatenate([np.flatnonzero(np.abs(moments - change) <= _BESIDE_MS) for change in changes])
        inside = np.min([np.abs(moments[near] - change) for change in changes], axis=0) <= around_ms
        if not inside.any():
            return np.zeros(0, np.intp)
        numbers = np.broadcast_to(np.asarray(series(rows[near]), np.int64), len(near))
        pairs = list(zip(numbers.tolist(), moments[near].tolist(), strict=True))
        self._before = {pair for pair, one in zip(pairs, inside.tolist(), strict=True) if one}
        counts = Counter(pairs)
        counts.update(before & counts.keys())
        stands = np.array([counts[pair] for pair in pairs])
        double = inside & (stands > 1)
        for number in np.unique(numbers[double]).tolist():
            beside = stands[(numbers == number) & ~inside]
            if len(beside):
                double &= (numbers != number) | (stands > np.median(beside))
        found: NDArray[np.intp] = near[double]
        return found


def _one_hour(one: Local, other: Local) -> bool:
    """Whether two times are in the same repeated hour."""
    return abs(one.earlier - other.earlier) < one.later - one.earlier
