"""Repeats, gaps, order and falling registers of readings, found by sorting many signals at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.spill import Records

Kind = Literal["conflict", "gap", "falling", "out of order"]


@attrs.frozen
class Spot:
    """A reading that is part of a finding.

    Attributes:
        kind: kind of the finding.
        series: number of its signal.
        file: index of its file.
        row: its row.
        time: its time, UTC unix milliseconds.
        before: time of the reading before it (a gap), or that reading's value (a falling register, a conflict).
        after: the same of the reading itself.
    """

    kind: Kind
    series: int
    file: int
    row: int
    time: float
    before: float
    after: float


@attrs.define
class Survey:
    """Counts over parts of the readings; all readings of a signal must be in one part.

    Attributes:
        is_register: returns which signals are registers, by their numbers.
        listed: spots kept of each kind.
        spots: the first spots of each kind.

    The other attributes are counts; see `CheckReport`.
    """

    is_register: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
    listed: int = 20
    signals: int = 0
    distinct: int = 0
    repeats_equal: int = 0
    repeats_conflicting: int = 0
    out_of_order: int = 0
    gaps: int = 0
    missing: int = 0
    falling: int = 0
    resolutions: dict[int, int] = attrs.field(factory=dict[int, int])
    spots: list[Spot] = attrs.field(factory=list[Spot])

    def add(self, part: Records) -> None:
        """Add a part, with its readings in the order of the files."""
        if not len(part):
            return
        self._look_at_order(part[np.argsort(part["series"], kind="stable")])
        ordered = part[np.lexsort((part["time"], part["origin"], part["series"]))]  # stable: repeats in file order
        first = _changes(ordered["series"], ordered["origin"], ordered["time"])
        self._count_repeats(ordered, first)
        last = np.append(first[1:], True)  # of repeated readings the last one wins
        held = ordered[last]
        self.distinct += len(held)
        self._look_for_falls(held)
        self._look_for_gaps(held[np.lexsort((held["time"], held["series"]))])

    def _look_at_order(self, part: Records) -> None:
        time = part["time"] - part["time"].min()
        rank = np.cumsum(_changes(part["series"])) - 1
        # Shifted, each signal's times are above those of all signals before it: one running maximum serves all.
        shifted = time + rank * (time.max() + 1)
        late = np.append(False, shifted[1:] < np.maximum.accumulate(shifted)[:-1])
        self.out_of_order += int(late.sum())
        self._list(
            "out of order", part[late], np.maximum.accumulate(shifted)[late] - shifted[late] + part["time"][late]
        )

    def _count_repeats(self, ordered: Records, first: NDArray[np.bool_]) -> None:
        again = np.flatnonzero(~first)
        same = ordered["value"][again] == ordered["value"][again - 1]
        self.repeats_equal += int(same.sum())
        self.repeats_conflicting += int((~same).sum())
        conflicts = again[~same]
        self._list("conflict", ordered[conflicts], ordered["value"][conflicts - 1], ordered["value"][conflicts])

    def _look_for_falls(self, held: Records) -> None:
        within = ~_changes(held["series"], held["origin"])
        falls = np.flatnonzero(within & np.append(False, held["value"][1:] < held["value"][:-1]))
        falls = falls[self.is_register(held["series"][falls])]
        self.falling += len(falls)
        self._list("falling", held[falls], held["value"][falls - 1], held["value"][falls])

    def _look_for_gaps(self, held: Records) -> None:
        first = _changes(held["series"])
        self.signals += int(first.sum())
        step = np.append(0.0, np.diff(held["time"]))
        stepping = np.flatnonzero(~first & (step > 0))  # origins of one time make no step
        number = np.cumsum(first) - 1
        common = _most_common(number[stepping], step[stepping], int(first.sum()))
        for resolution, count in zip(*np.unique(common, return_counts=True), strict=True):
            self.resolutions[int(resolution)] = self.resolutions.get(int(resolution), 0) + int(count)
        usual = common[number[stepping]]
        absent = (step[stepping] // usual).astype(np.int64) - 1
        gaps = stepping[absent > 0]
        self.gaps += len(gaps)
        self.missing += int(absent[absent > 0].sum())
        self._list("gap", held[gaps], held["time"][gaps - 1], held["time"][gaps])

    def _list(
        self, kind: Kind, found: Records, before: NDArray[np.float64], after: NDArray[np.float64] | None = None
    ) -> None:
        room = self.listed - sum(spot.kind == kind for spot in self.spots)
        after = found["time"] if after is None else after
        for record, one, other in zip(found[:room], before[:room], after[:room], strict=True):
            series, file, row = int(record["series"]), int(record["file"]), int(record["row"])
            self.spots.append(Spot(kind, series, file, row, float(record["time"]), float(one), float(other)))


def _changes(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where a row differs from the row before it; the first row does."""
    return np.append(True, np.any([column[1:] != column[:-1] for column in columns], axis=0))


def _most_common(series: NDArray[np.int64], steps: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The most common step of each of `count` signals, the shortest of equally common ones; 0 for none."""
    common = np.zeros(count)
    if not len(steps):
        return common
    order = np.lexsort((steps, series))
    series, steps = series[order], steps[order]
    starts = np.flatnonzero(_changes(series, steps))
    times = np.diff(np.append(starts, len(steps)))
    best = np.lexsort((-steps[starts], times, series[starts]))  # the last of a signal is its most common one
    common[series[starts][best]] = steps[starts][best]
    return common
