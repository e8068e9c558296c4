"""Lines with no more points than can be seen, and with gaps where nothing was read."""

from __future__ import annotations

from itertools import pairwise

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.plots.curves import Curve


@attrs.frozen(eq=False)
class DrawnLine:
    """What to draw of a curve.

    Attributes:
        curve: the curve.
        rows: which of its readings, growing.
        segment: number of the unbroken piece each of them belongs to.
        thinned: not all of them are there: of each pixel column the first, lowest, highest and last.
    """

    curve: Curve
    rows: NDArray[np.int64]
    segment: NDArray[np.int64]
    thinned: bool

    def pieces(self, shown: NDArray[np.float64]) -> NDArray[np.int64]:
        """Number the unbroken pieces, given what the wall clock shows at each reading.

        Where the clock was set back, a line would go back too: there it starts anew.
        """
        back = np.append(0, np.cumsum(np.diff(shown) <= 0))[: len(shown)]
        return self.segment + back.astype(np.int64)

    @property
    def alone(self) -> NDArray[np.bool_]:
        """Tell which readings are a piece of their own, and no line without a dot."""
        counts = np.bincount(self.segment)
        alone: NDArray[np.bool_] = counts[self.segment] == 1
        return alone


def line_of(curve: Curve, since_ms: float, till_ms: float, columns: int) -> DrawnLine:
    """Thin a curve out to a number of pixel columns, so that the line looks as if every reading were drawn.

    Each column keeps its first, lowest, highest and last reading: no peak is lost and none is made up. Gaps narrower
    than a column cannot be seen and do not break the line.
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
