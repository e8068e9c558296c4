"""Lines with only as many points as can be seen, and with gaps where there are no readings."""

from __future__ import annotations

from itertools import pairwise

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.plots.curves import Curve


@attrs.frozen(eq=False)
class DrawnLine:
    """The points of a curve to draw.

    Attributes:
        curve: the curve.
        rows: indices of its readings, ascending.
        segment: number of the unbroken piece of each reading.
        thinned: whether some readings are left out: each pixel column keeps its first, lowest, highest and last one.
    """

    curve: Curve
    rows: NDArray[np.int64]
    segment: NDArray[np.int64]
    thinned: bool

    def pieces(self, shown: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the number of the unbroken piece of each reading, given its local time.

        Where the clock was set back, a line would go back too: a new piece starts there.
        """
        back = np.append(0, np.cumsum(np.diff(shown) <= 0))[: len(shown)]
        return self.segment + back.astype(np.int64)

    @property
    def alone(self) -> NDArray[np.bool_]:
        """Return which readings are a piece of one reading, which only a dot shows."""
        counts = np.bincount(self.segment)
        alone: NDArray[np.bool_] = counts[self.segment] == 1
        return alone


def line_of(curve: Curve, since_ms: float, till_ms: float, columns: int) -> DrawnLine:
    """Thin a curve out to a number of pixel columns; the line looks as if every reading were drawn.

    Each column keeps its first, lowest, highest and last reading: no peak is lost or invented. Gaps narrower than a
    column cannot be seen and do not break the line.
    """
    count = len(curve)
    if count <= 4 * columns:
        return DrawnLine(curve, np.arange(count), _segments(curve.gaps())[:count], thinned=False)
    width = (till_ms - since_ms) / columns
    column = ((curve.time - since_ms) // width).astype(np.int64)
    starts = np.append(np.flatnonzero(np.append(True, column[1:] != column[:-1])), count)
    rows: list[int] = []
    for start, stop in pairwise(starts.tolist()):
        value = curve.value[start:stop]
        rows += sorted({start, start + int(value.argmin()), start + int(value.argmax()), stop - 1})
    kept = np.array(rows)
    return DrawnLine(curve, kept, _segments(curve.gaps(width))[kept], thinned=True)


def _segments(gaps: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.append(0, np.cumsum(gaps)).astype(np.int64)
