"""A page on its way from its source to the service."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from besmart_async.ingest.columns import Chunk
from besmart_async.ingest.parsing import Readings
from besmart_async.ingest.report import Reject
from besmart_async.ingest.starts import Start


@attrs.define(eq=False)
class Step:
    """A page on its way to the service.

    Attributes:
        source: which source it is of.
        start: what is known of that source.
        chunk: the rows as they were read.
        readings: the readings among them; None if nothing of it concerns this run.
        rejects: the rows that hold none.
        rows: rows read; with `share`, its own only.
        bytes_read: bytes of all sources consumed so far.
        urgent: nobody knows when the next page comes.
    """

    source: int
    start: Start
    chunk: Chunk
    readings: Readings | None
    rejects: Sequence[Reject]
    rows: int
    bytes_read: int
    urgent: bool

    def handed_over(self) -> Readings | None:
        """The readings, which it does not keep: while they are sent, they are sorted by signal, and that is enough."""
        readings, self.readings = self.readings, None
        return readings
