"""Where sending a source resumes, and which rows must be sent again after that."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.checkpoint.rows import RowSet
from besmart_async.ingest.mapping.signals import Resolved

Known = Literal["new", "resumed", "grown", "changed", "former"]


@attrs.frozen
class ResumePoint:
    """What earlier runs have done of a source.

    Attributes:
        file: the file's name.
        known: "new"; "resumed": some of it is done; "grown": some of it is done, and it is longer now; "changed":
            another file had that name before, so this one is sent from its start; "former": some of it is done in the
            checkpoint's former scope, which does not count: it is sent from its start.
        done: the rows that are done.
        rows: how many rows are done.
        rejected: how many rejects of them are recorded.
        refused: the row numbers of these rejects, ascending.
        number: the file's id in the checkpoint; None if nothing is recorded.
    """

    file: str
    known: Known = "new"
    done: RowSet = attrs.field(factory=RowSet, repr=False, eq=False)
    rows: int = 0
    rejected: int = 0
    refused: NDArray[np.int64] = attrs.field(factory=lambda: np.empty(0, np.int64), repr=False, eq=False)
    number: int | None = None


Start = ResumePoint
"""The former name of `ResumePoint`."""


class SentSpans:
    """The span of times that this run has sent of each signal, which decides what else must be sent again.

    Of a repeated reading the last row in the files must win. An earlier run may have delivered that row but not the
    row before it, which would win if it was sent alone now. So a row that is done is sent again if an earlier row of
    the same signal and time is sent in this run. Only the span of times of each signal is kept, so a few rows more
    than necessary are sent.
    """

    def __init__(self) -> None:
        self._first = np.empty(0, np.float64)
        self._last = np.empty(0, np.float64)

    def widen(self, resolved: Resolved, done: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Add the readings that are not done to the spans; return which must be sent: these, and done ones within.

        Args:
            resolved: the readings of a page; pages must come in order.
            done: which of them an earlier run has done.
        """
        signal, time = resolved.signals, resolved.readings.time
        missing = int(signal.max(initial=-1)) + 1 - len(self._first)
        if missing > 0:
            self._first = np.append(self._first, np.full(missing, np.inf))
            self._last = np.append(self._last, np.full(missing, -np.inf))
        new = ~done
        np.minimum.at(self._first, signal[new], time[new])
        np.maximum.at(self._last, signal[new], time[new])
        within: NDArray[np.bool_] = (time >= self._first[signal]) & (time <= self._last[signal])
        return new | within
