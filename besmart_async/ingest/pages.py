"""Sources to parsed pages, without what is done or another worker's. Runs in the thread of the feed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.columns import Chunk
from besmart_async.ingest.parsing import Parser, Reading, Readings
from besmart_async.ingest.report import Reject
from besmart_async.ingest.shares import Share
from besmart_async.ingest.sources import Page, Source
from besmart_async.ingest.starts import Start

ROLES = ("meter", "signal", "time", "value", "unit", "origin", "zone")
"""What the columns of a reject's record are, in their order."""


@attrs.frozen(eq=False)
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
    """

    source: int
    start: Start
    chunk: Chunk
    readings: Readings | None
    rejects: Sequence[Reject]
    rows: int
    bytes_read: int


class Pages:
    """Reads and parses.

    Args:
        sources: what to read.
        starts: what is known of each.
        reading: how times and values are written.
        share: which meters to leave to others; None for none.
        all_parsed: pages that are done are wanted too, since their readings will be compared.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        starts: Sequence[Start],
        reading: Reading,
        share: Share | None,
        *,
        all_parsed: bool,
    ) -> None:
        self._sources = sources
        self._starts = starts
        self._reading = reading
        self._share = share
        # A rule that counts occurrences needs to see all rows; so does whoever looks for rows to send again.
        self._all_parsed = all_parsed or reading.dst == "infer"

    def steps(self) -> Generator[Step, None, None]:
        """Read everything, page by page.

        Raises:
            SourceError: a source cannot be read on.
        """
        before = 0
        for number, (source, start) in enumerate(zip(self._sources, self._starts, strict=True)):
            parser = Parser(self._reading)
            for page in source.pages():
                yield self._step(number, start, page, parser, before + page.position)
            before += source.size_bytes or 0

    def _step(self, number: int, start: Start, page: Page, parser: Parser, bytes_read: int) -> Step:
        chunk = page.chunk
        own = self._share.own(chunk.meter) if self._share else None
        misfits = [one for one in page.rejects if self._share is None or self._share.owns_row(one.row)]
        rows = (len(chunk) if own is None else int(own[chunk.meter.codes].sum())) + len(misfits)
        if not start.done or not start.done.holds(chunk.rows).all() or fresh(misfits, start):
            self._all_parsed = True
        elif not self._all_parsed:
            return Step(number, start, chunk, None, (), rows, bytes_read)
        readings, rejects = parser.parse(chunk)
        entries = _entries(chunk, rejects)
        if own is not None:
            readings = readings.take(own[readings.meter.codes])
            kept = own[chunk.meter.codes[entries]].tolist()
            rejects = [one for one, owned in zip(rejects, kept, strict=True) if owned]
            entries = entries[kept]
        told = [
            *(_with_titles(one, chunk) for one in misfits),
            *(attrs.evolve(one, record=record(chunk, n)) for one, n in zip(rejects, entries.tolist(), strict=True)),
        ]
        return Step(number, start, chunk, readings, fresh(told, start), rows, bytes_read)


def fresh(rejects: Sequence[Reject], start: Start) -> list[Reject]:
    """Those rejects whose row is not done."""
    if not start.done or not rejects:
        return list(rejects)
    done = start.done.holds(np.array([one.row for one in rejects], np.int64)).tolist()
    return [one for one, known in zip(rejects, done, strict=True) if not known]


def record(chunk: Chunk, entry: int) -> tuple[tuple[str, str, str], ...]:
    """What a row holds, as it is written."""
    return tuple(
        (role, chunk.title(role, entry), chunk.text(role, entry))
        for role in ROLES
        if getattr(chunk, role, None) is not None
    )


def entry_of(chunk: Chunk, row: int) -> int:
    """The place of a row in a chunk; the first where it has many readings."""
    return int(np.searchsorted(chunk.rows, row))


def _with_titles(misfit: Reject, chunk: Chunk) -> Reject:
    named = [(role, chunk.titles[role], "") for role in ROLES if role in chunk.titles]
    return attrs.evolve(misfit, record=(*named, *misfit.record))


def _entries(chunk: Chunk, rejects: Iterable[Reject]) -> NDArray[np.int64]:
    rows = np.array([one.row for one in rejects], np.int64)
    return np.searchsorted(chunk.rows, rows)
