"""Sources to parsed pages, without what is done or another worker's. Runs in the thread of the feed."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from besmart_async.ingest.columns import DaySlots
from besmart_async.ingest.parsing import Parser, Reading
from besmart_async.ingest.rejected_rows import Places, recorded, titled
from besmart_async.ingest.report import Reject
from besmart_async.ingest.shares import Share
from besmart_async.ingest.sources import Page, Source
from besmart_async.ingest.starts import Start
from besmart_async.ingest.steps import Step


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
        # And what a mapping leaves out is counted as nothing, which only the parser knows.
        leaves_out = bool(reading.missing or reading.ignored)
        self._all_parsed = all_parsed or leaves_out or reading.dst == "infer"

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
        chunk, urgent = page.chunk, self._sources[number].size_bytes is None
        own = self._share.own(chunk.meter) if self._share else None
        misfits = [one for one in page.rejects if self._share is None or self._share.owns_row(one.row)]
        if not start.done or not start.done.holds(chunk.rows).all() or fresh(misfits, start):
            self._all_parsed = True
        elif not self._all_parsed and not isinstance(chunk.time, DaySlots):
            rows = (len(chunk) if own is None else int(own[chunk.meter.codes].sum())) + len(misfits)
            return Step(number, start, chunk, None, (), rows, bytes_read, urgent)
        readings, rejects = parser.parse(chunk)
        if own is not None:
            readings, places = readings.take(own[readings.meter.codes]), Places(chunk)
            rejects = [one for one in rejects if own[chunk.meter.codes[places.of(one)]]]
        rows = len(readings) + len(rejects) + len(misfits)  # what is left out as missing or ignored is no reading
        told = [*(titled(one, chunk) for one in misfits), *recorded(rejects, chunk)]
        return Step(number, start, chunk, readings, fresh(told, start), rows, bytes_read, urgent)


def fresh(rejects: Sequence[Reject], start: Start) -> list[Reject]:
    """Those rejects whose row is not done."""
    if not start.done or not rejects:
        return list(rejects)
    done = start.done.holds(np.array([one.row for one in rejects], np.int64)).tolist()
    return [one for one, known in zip(rejects, done, strict=True) if not known]
