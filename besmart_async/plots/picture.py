"""The content of a picture, independent of what draws it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Literal

import attrs

from besmart_async.models.times import from_ms
from besmart_async.plots.curves import Curve
from besmart_async.plots.days import LocalDays

Kind = Literal["line", "heatmap", "completeness"]
"""What a chart shows: the values over time, the mean of each hour by day, or the share of the expected readings."""
KINDS: tuple[Kind, ...] = ("line", "heatmap", "completeness")
"""Every kind of chart, in the order in which a picture has them."""

MAX_LINES = 14
"""Lines that can be distinguished: seven colours, solid and dashed."""
MAX_HEATMAPS = 6
MAX_ROWS = 60

THINNED = "lines: of each pixel column the first, lowest, highest and last reading"
NO_HEATMAP = "readings that are more than a day apart have no heat map"
_NAMED = 6


@attrs.frozen(eq=False)
class Picture:
    """Curves over a period.

    Attributes:
        curves: the curves to show.
        since_ms: start of the period.
        till_ms: its end (exclusive).
        zone: the time zone of days and hours.
        kinds: the charts, in order.
        heading: title; by default the names of the signals.
    """

    curves: Sequence[Curve]
    since_ms: float
    till_ms: float
    zone: tzinfo
    kinds: Sequence[Kind] = KINDS
    heading: str | None = None

    @property
    def days(self) -> LocalDays:
        """The days of the period."""
        return LocalDays.of(self.since_ms, self.till_ms, self.zone)

    @property
    def title(self) -> str:
        """The title: the heading, or the names of the signals."""
        if self.heading:
            return self.heading
        names = ", ".join(curve.name for curve in self.curves[:_NAMED])
        return f"{names} and {len(self.curves) - _NAMED} more" if len(self.curves) > _NAMED else names

    @property
    def period(self) -> str:
        """The period and its time zone."""
        since, till = (from_ms(edge).astimezone(self.zone) for edge in (self.since_ms, self.till_ms))
        return f"{since:%Y-%m-%d %H:%M} to {till:%Y-%m-%d %H:%M}, {self.zone}"

    def panels(self) -> list[list[Curve]]:
        """Return the curves to draw as lines, by axis: one for each unit, and separate ones for registers."""
        found: dict[tuple[str, bool], list[Curve]] = {}
        for curve in self.curves[:MAX_LINES]:
            found.setdefault((curve.unit, curve.incremental), []).append(curve)
        return list(found.values())

    def notes(self) -> Iterator[str]:
        """Yield what the viewer has to know about the picture."""
        for kind, most, what in (
            ("line", MAX_LINES, "lines"),
            ("heatmap", MAX_HEATMAPS, "heat maps"),
            ("completeness", MAX_ROWS, "rows of the completeness map"),
        ):
            if kind in self.kinds and len(self.curves) > most:
                yield f"only the first {most} of {len(self.curves)} signals have {what}"
        several = sum(curve.several for curve in self.curves)
        if several:
            yield f"{several:,} times have readings of several origins: the last is drawn; --origin picks one"
        left_out = sum(curve.left_out for curve in self.curves)
        if left_out:
            yield f"{left_out:,} readings are no numbers, or are removed: they are left out"


def axis_title(curves: Sequence[Curve]) -> str:
    """Return what the values of a panel are: the unit, and for energies the period."""
    unit = curves[0].unit or "value"
    steps = {curve.step_ms for curve in curves if curve.step_ms}
    if curves[0].incremental:
        return f"{unit}, register"
    if not curves[0].stepped or len(steps) != 1:
        return unit
    minutes = steps.pop() / 60_000
    return f"{unit} in {minutes / 60:g} h" if minutes % 60 == 0 else f"{unit} in {minutes:g} min"


def missing_text(missing: int, expected: int) -> str:
    """Return the number of missing readings as a text."""
    if not missing:
        return "complete"
    share = missing / expected
    return f"{missing:,} missing, {'under 0.1%' if share < 0.001 else f'{share:.1%}'}"
