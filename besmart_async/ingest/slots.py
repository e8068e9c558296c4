"""The value columns of a wide file, one row per meter and day: which time of the day each of them is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import attrs

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

SlotKind = Literal["clock", "elapsed"]
"""What a slot tells: a time on the wall clock ("clock"), or how long the day has lasted ("elapsed")."""

DAYS = (24, 48, 96, 144, 288, 1440)
"""How many slots an ordinary day may have."""

_CLOCK = re.compile(
    r"([0-9]{1,2})([AB]?):([0-9]{2})(?::00)?\s*([AB*])?(?:\s*(?:-|\u2013|to)\s*[0-9]{1,2}[AB]?:[0-9]{2}.*)?"
)
_COUNTED = re.compile(r"([^0-9]*)([0-9]{1,4})")


@attrs.frozen
class Slots:
    """The value columns of a wide layout.

    Attributes:
        positions: index of each column.
        titles: what the file calls it.
        kind: "clock": the titles are times on the wall clock; "elapsed": the columns are counted from the start of
            the day, so that a day has fewer or more of them when clocks are changed.
        starts_ms: milliseconds after midnight of each, on the clock or elapsed.
        step_ms: length of a period.
        passes: 0 for a title that is the first pass of an hour that comes twice, 1 for the second, -1 for any.
    """

    positions: tuple[int, ...]
    titles: tuple[str, ...]
    kind: SlotKind
    starts_ms: tuple[int, ...]
    step_ms: int
    passes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def per_day(self) -> int:
        """Slots of a day without a change of the clock."""
        return DAY_MS // self.step_ms

    def reaching(self, columns: int) -> Slots:
        """The same with so many columns, for a row that is longer than the header; counted slots only."""
        added = range(len(self), columns)
        found = _COUNTED.fullmatch(self.titles[-1].strip())
        prefix, last = (found[1], int(found[2])) if found else ("value ", len(self))
        return attrs.evolve(
            self,
            positions=(*self.positions, *(self.positions[0] + n for n in added)),
            titles=(*self.titles, *(f"{prefix}{last + 1 + n - len(self)}" for n in added)),
            starts_ms=(*self.starts_ms, *(n * self.step_ms for n in added)),
            passes=(*self.passes, *(-1 for _ in added)),
        )


def slots_of(
    titles: Sequence[str], positions: Sequence[int], kind: SlotKind | None = None, step_ms: int | None = None
) -> Slots:
    """Make sense of the titles of value columns.

    Args:
        titles: titles of the value columns, in their order.
        positions: where they are.
        kind: what they tell; from the titles unless given.
        step_ms: length of a period; from the titles or their number unless given.

    Raises:
        ValueError: saying which title makes no sense, or what has to be told.
    """
    times = clock_times(titles)
    if times is not None and kind != "elapsed":
        starts, passes = times
        gaps = [after - before for before, after in pairwise(starts) if after > before]
        step_ms = step_ms or (min(gaps) if gaps else None)
        if step_ms is None:
            raise ValueError("the length of a period is not known; say wide.step, such as '15min'")
        return Slots(tuple(positions), tuple(titles), "clock", tuple(starts), step_ms, tuple(passes))
    if kind == "clock" and times is None and step_ms is None and per_day(len(titles)) != len(titles):
        raise ValueError(f"{len(titles)} value columns that are no times of the day, such as 00:15")
    step_ms = step_ms or _step_ms(len(titles))
    starts = [n * step_ms for n in range(len(titles))]
    return Slots(tuple(positions), tuple(titles), kind or "elapsed", tuple(starts), step_ms, (-1,) * len(titles))


def clock_times(titles: Sequence[str]) -> tuple[list[int], list[int]] | None:
    """Return (milliseconds after midnight, pass) of each title such as `02:15`, `2A:15`, `02:15B`; None if one is none.

    A title that comes twice is first the one pass, then the other. `00:00` after other times is the end of the day.
    """
    starts: list[int] = []
    passes: list[int] = []
    for title in titles:
        found = _CLOCK.fullmatch(title.strip())
        if found is None or int(found[1]) > 24 or int(found[3]) > 59:
            return None
        start = int(found[1]) * HOUR_MS + int(found[3]) * 60_000
        if start > DAY_MS:
            return None
        mark = found[2] or found[4] or ""
        run = {"A": 0, "B": 1, "*": 1, "": -1}[mark]
        start = DAY_MS if start == 0 and starts and run < 0 else start
        if run < 0 and start in starts:
            passes[starts.index(start)], run = 0, 1
        elif run == 1 and start in starts:
            passes[starts.index(start)] = 0
        starts.append(start)
        passes.append(run)
    return starts, passes


def counted(titles: Sequence[str]) -> bool:
    """Tell whether titles are numbers in a row, with one prefix: `1, 2, …`, `Q01, Q02, …`."""
    found = [_COUNTED.fullmatch(title.strip()) for title in titles]
    if not found or None in found:
        return False
    numbers = [int(match[2]) for match in found if match]
    prefixes = {match[1].casefold() for match in found if match}
    return len(prefixes) == 1 and numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def per_day(columns: int) -> int | None:
    """Slots of an ordinary day if there are so many columns: 92, 96 and 100 are quarters of an hour."""
    for slots in DAYS:
        if columns == slots:
            return slots
    return next((slots for slots in DAYS if abs(columns - slots) == slots // 24), None)


def _step_ms(columns: int) -> int:
    slots = per_day(columns)
    if slots is None:
        known = ", ".join(map(str, DAYS))
        raise ValueError(f"{columns} value columns are no day ({known}); say wide.step, such as '15min'")
    return DAY_MS // slots
