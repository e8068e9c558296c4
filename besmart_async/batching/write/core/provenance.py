"""Which accepted readings the rows of a batch stand for.

Every accepted reading has a number, in the order of acceptance. If a reading is replaced by a later one while both
wait, the later row stands for both.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

NO_REF = -1
"""The ref of readings that nobody waits for; others are at least 0 (`Settled`)."""

Ranges = Sequence[tuple[int, int]]
"""Numbers of readings as half-open ranges, ascending and disjoint."""

Rows = slice | NDArray[np.intp] | NDArray[np.bool_]


@attrs.frozen(eq=False)
class Provenance:
    """The accepted readings behind some rows.

    Attributes:
        rows: how many rows.
        row_of: for each accepted reading the row that stands for it; None: reading i is row i.
        numbers: for each accepted reading its number; an int where they are consecutive from it.
        refs: for each accepted reading the ref it was accepted with; an int where they are all equal.
    """

    rows: int
    row_of: NDArray[np.intp] | None
    numbers: int | NDArray[np.int64]
    refs: int | NDArray[np.int64]

    @property
    def readings(self) -> int:
        """The number of accepted readings."""
        return self.rows if self.row_of is None else len(self.row_of)

    @property
    def times_written(self) -> NDArray[np.intp]:
        """For each row, the number of accepted readings that it stands for."""
        return np.ones(self.rows, np.intp) if self.row_of is None else np.bincount(self.row_of, minlength=self.rows)

    def take(self, rows: Rows) -> Provenance:
        """Return the provenance of the chosen rows, in that order."""
        chosen = np.arange(self.rows)[rows]
        if self.row_of is None:
            readings, row_of = chosen, None
        else:
            place = np.full(self.rows, -1)
            place[chosen] = np.arange(len(chosen))
            readings = np.flatnonzero(place[self.row_of] >= 0)
            row_of = place[self.row_of[readings]]
        return Provenance(len(chosen), row_of, numbers_at(self.numbers, readings), refs_at(self.refs, readings))

    def ranges(self) -> Ranges:
        """Return the numbers of the accepted readings."""
        return ranges_from(self.numbers, self.readings)

    @property
    def all_refs(self) -> frozenset[int]:
        """The refs, including `NO_REF` if a reading has none."""
        return frozenset([self.refs]) if isinstance(self.refs, int) else frozenset(np.unique(self.refs).tolist())

    def by_ref(self) -> list[tuple[int, int]]:
        """Count the accepted readings of each ref; readings without a ref are not counted."""
        if isinstance(self.refs, int):
            return [] if self.refs == NO_REF else [(self.refs, self.readings)]
        refs = self.refs
        if not len(refs):
            return []
        starts = np.concatenate([[0], np.flatnonzero(refs[1:] != refs[:-1]) + 1])  # equal refs are adjacent: no sort
        counts: dict[int, int] = {}
        for ref, count in zip(refs[starts].tolist(), np.diff(starts, append=len(refs)).tolist(), strict=True):
            counts[ref] = counts.get(ref, 0) + count
        counts.pop(NO_REF, None)
        return list(counts.items())


def numbers_at(numbers: int | NDArray[np.int64], places: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the numbers of some readings, of numbers that may be consecutive."""
    return places + numbers if isinstance(numbers, int) else numbers[places]


def refs_at(refs: int | NDArray[np.int64], places: NDArray[np.intp]) -> int | NDArray[np.int64]:
    """Return the refs of some readings, of refs that may be equal."""
    return refs if isinstance(refs, int) else refs[places]


def ranges_from(numbers: int | NDArray[np.int64], readings: int) -> Ranges:
    """Return the numbers of so many readings as ranges, of numbers that may be consecutive."""
    if isinstance(numbers, int):
        return [(numbers, numbers + readings)] if readings else []
    return ranges_of(numbers)


def ranges_of(numbers: NDArray[np.int64]) -> Ranges:
    """Return distinct numbers, in any order, as ranges."""
    if not len(numbers):
        return []
    if not (numbers[1:] > numbers[:-1]).all():
        numbers = np.sort(numbers)
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    starts = numbers[np.concatenate([[0], breaks + 1])]
    stops = numbers[np.concatenate([breaks, [len(numbers) - 1]])] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


class Watermark:
    """The number below which every accepted reading has its final outcome.

    The cost of settling a range does not depend on how many others are open.
    """

    def __init__(self, low: int = 0) -> None:
        self.low = low
        self._above: dict[int, int] = {}

    def settle(self, ranges: Ranges) -> None:
        """Record readings that have their final outcome; each reading once."""
        above, low = self._above, self.low
        for start, stop in ranges:
            if start == low:
                low = stop
            else:
                above[start] = stop
        while low in above:
            low = above.pop(low)
        self.low = low
