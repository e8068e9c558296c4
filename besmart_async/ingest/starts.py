"""Where the sending of each source begins: what earlier runs have done of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.row_sets import RowSet
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
