"""Figures with a bar of their own: not a ratio to another contender, but a rate, a size, or a ratio of two of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs


@attrs.frozen
class Mark:
    """One figure.

    Attributes:
        work: what it is of.
        value: the figure.
        unit: what it counts.
        bar: what it must reach.
        aim: what we are out for.
        at_most: it must stay at or below these, not above.
    """

    work: str
    value: float
    unit: str
    bar: float | None = None
    aim: float | None = None
    at_most: bool = True

    def reaches(self, goal: float) -> bool:
        """Whether it is as good as `goal`."""
        return self.value <= goal if self.at_most else self.value >= goal


@attrs.frozen
class Marks:
    """Figures of one kind."""

    title: str
    marks: Sequence[Mark]

    def lines(self) -> Iterator[str]:
        """The table."""
        judged = any(mark.bar is not None or mark.aim is not None for mark in self.marks)
        yield f"{self.title:60} {'':>18}   bar                aim" if judged else self.title
        for mark in self.marks:
            line = f"  {mark.work:58} {_told(mark.value, mark.unit):>18}"
            if mark.bar is not None:
                line += f"   {_told(mark.bar, ''):>9} {'reached' if mark.reaches(mark.bar) else 'MISSED':8}"
            if mark.aim is not None:
                line += f" {_told(mark.aim, ''):>9} {'reached' if mark.reaches(mark.aim) else 'not yet'}"
            yield line


def _told(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()
