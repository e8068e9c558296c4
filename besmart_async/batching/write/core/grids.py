"""Times that many signals share.

Meters are read on a grid: the times of a signal usually equal those of the signal before. Such a column is copied,
checked and encoded once for all of them. Comparing the bytes of two columns takes a tenth of the time that this saves.
"""

from __future__ import annotations

import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.models.times import MAX_MS, MIN_MS


def all_true(mask: NDArray[np.bool_]) -> bool:
    """Return the same as `mask.all()`, in a tenth of the time for a hundred rows."""
    return 0 not in mask.tobytes()


class Grid:
    """A column of ascending times and its JSON text.

    Attributes:
        time: UTC unix milliseconds, shape (n,), int64, read-only.
    """

    __slots__ = ("_text", "time")

    def __init__(self, time: NDArray[np.int64]) -> None:
        self.time = time
        self._text: bytes | None = None

    @property
    def text(self) -> bytes:
        """The times as a JSON list, made once."""
        if self._text is None:
            self._text = orjson.dumps(self.time, option=orjson.OPT_SERIALIZE_NUMPY)
        return self._text


class Grids:
    """Finds the grid of a column of times: the last grid, if the times are the same."""

    __slots__ = ("_bytes", "_last")

    def __init__(self) -> None:
        self._bytes = b""
        self._last = Grid(np.empty(0, np.int64))

    def of(self, time: NDArray[np.int64]) -> Grid | None:
        """Return a grid with a copy of these times; None if they do not ascend, or are not in the years 1 to 9999."""
        copied = time.tobytes()
        if copied == self._bytes:
            return self._last
        column: NDArray[np.int64] = np.frombuffer(copied, np.int64)
        if not len(column) or column[0] < MIN_MS or column[-1] > MAX_MS or not all_true(column[1:] > column[:-1]):
            return None
        self._bytes = copied
        self._last = Grid(column)
        return self._last
