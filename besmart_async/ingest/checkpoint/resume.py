"""Where the sending of each source begins: what earlier runs have done of it.

Where this run sends something again, so that what an earlier run sent after it must be sent again as well.

Of a reading that comes twice the last one in the files holds. An earlier run may have delivered the later row and not
the one before; sent alone now, that one would hold. So a row that is done is sent again if a row before it, sent in
this run, is of the same signal and the same time. Not each time is kept, but each signal's span: a few rows more than
needed are sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.checkpoint.rows import RowSet
from besmart_async.ingest.mapping.signals import Resolved
from besmart_async.ingest.sources import Source, SourceError

Known = Literal["new", "resumed", "grown", "changed"]


@attrs.frozen
class Start:
    """Where the sending of a file begins.

    Attributes:
        file: the file's name.
        known: "new"; "resumed": some of it is done; "grown": some of it is done, and it is longer now; "changed": the
            file of that name was another before, so it is sent from its start.
        done: the rows that are done.
        rows: how many those are.
        rejected: how many rejects were recorded of them.
        refused: the numbers of their rows, ascending.
        number: the file in the checkpoint; None where nothing is recorded.
    """

    file: str
    known: Known = "new"
    done: RowSet = attrs.field(factory=RowSet, repr=False, eq=False)
    rows: int = 0
    rejected: int = 0
    refused: NDArray[np.int64] = attrs.field(factory=lambda: np.empty(0, np.int64), repr=False, eq=False)
    number: int | None = None


class Memory(Protocol):
    """Who knows what earlier runs have done: `Checkpoint`."""

    def begin(self, path: Path, name: str) -> Start:
        """Look a file up and remember it."""
        ...


def look_up(checkpoint: Memory | None, sources: Sequence[Source]) -> list[Start]:
    """Return what is known of each source. What is no file (standard input) has no checkpoint.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        SourceError: a file cannot be read.
    """
    starts: list[Start] = []
    for source in sources:
        path: Path | None = getattr(source, "path", None)
        try:
            starts.append(
                Start(source.name) if checkpoint is None or path is None else checkpoint.begin(path, source.name)
            )
        except OSError as error:
            raise SourceError(source.name, f"cannot be read: {error.strerror or error}") from None
    return starts


class Overlaps:
    """The span of times that this run has sent of each signal."""

    def __init__(self) -> None:
        self._first = np.empty(0, np.float64)
        self._last = np.empty(0, np.float64)

    def widen(self, resolved: Resolved, done: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Take the readings that are not done into the spans; tell which have to be sent: those, and done ones within.

        Args:
            resolved: the readings of a page; the pages come in their order.
            done: which of them an earlier run has done.
        """
        signal = _signals(resolved)
        time = resolved.readings.time
        self._grow(int(signal.max(initial=-1)) + 1)
        fresh = ~done
        np.minimum.at(self._first, signal[fresh], time[fresh])
        np.maximum.at(self._last, signal[fresh], time[fresh])
        within: NDArray[np.bool_] = (time >= self._first[signal]) & (time <= self._last[signal])
        return fresh | within

    def _grow(self, signals: int) -> None:
        missing = signals - len(self._first)
        if missing > 0:
            self._first = np.append(self._first, np.full(missing, np.inf))
            self._last = np.append(self._last, np.full(missing, -np.inf))


def _signals(resolved: Resolved) -> NDArray[np.int64]:
    return np.array([target.number for target in resolved.targets], np.int64)[resolved.places]
