"""The way of a page: to signals, apart from what is done already, and on to the sender."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.archive import Archive
from besmart_async.ingest.items import items_of
from besmart_async.ingest.mapping import Mapper, Resolved
from besmart_async.ingest.overlaps import Overlaps
from besmart_async.ingest.pages import fresh
from besmart_async.ingest.recorder import Recorder
from besmart_async.ingest.rejected_rows import recorded
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sending import Sender
from besmart_async.ingest.starts import Start
from besmart_async.ingest.steps import Step
from besmart_async.models.keys import SignalKey


class Router:
    """Routes pages, in their order.

    Args:
        mapper: finds the signals.
        sender: sends; None to send nothing.
        recorder: where rows are noted that are done without being sent.
        archive: where readings are kept that earlier runs have sent; None to keep none.
        on_reject: told of rows that are refused here.
        judge: called when those of a page are told, before the page is sent; what it raises ends the job.
        resuming: earlier runs have done some rows.

    Attributes:
        zones: the time zone of each signal's meter, where rows told one.
    """

    def __init__(
        self,
        mapper: Mapper,
        sender: Sender | None,
        recorder: Recorder,
        archive: Archive | None,
        on_reject: Callable[[Reject, Start], object],
        judge: Callable[[], object],
        *,
        resuming: bool,
    ) -> None:
        self._mapper = mapper
        self._sender = sender
        self._recorder = recorder
        self._archive = archive
        self._on_reject = on_reject
        self._judge = judge
        self._overlaps = Overlaps() if resuming else None
        self.zones: dict[SignalKey, str] = {}

    async def route(self, step: Step) -> int:
        """Send a page, waiting while too much is under way; return how many of its rows need not be sent.

        Raises:
            BesmartError: a sensor had to be made and that failed, too much was rejected, or nothing more can be sent.
        """
        readings = step.handed_over()
        if readings is None:
            return step.rows
        resolved, unresolved = await self._mapper.resolve(readings)
        rejects = [*step.rejects, *recorded(fresh(unresolved, step.start), step.chunk)]
        for reject in sorted(rejects, key=lambda reject: reject.row):
            self._on_reject(reject, step.start)
        self._note_zones(resolved)
        resolved = self._fresh(resolved, step)
        skipped = step.rows - len(resolved.readings) - len(rejects)
        if rejects:  # a wide row may hold rejects and readings: it is done with its readings
            rows = np.unique(np.array([reject.row for reject in rejects], np.int64))
            self._recorder.done(step.start, np.setdiff1d(rows, resolved.readings.rows))
        self._judge()
        items = items_of(resolved)
        del readings, resolved
        if self._sender is not None:
            await self._sender.send(step.source, step.chunk, items)
        return skipped

    def _fresh(self, resolved: Resolved, step: Step) -> Resolved:
        """Leave out what an earlier run has sent, except where it must be sent again."""
        if self._overlaps is None:
            return resolved
        rows = resolved.readings.rows
        sent = self._overlaps.widen(resolved, step.start.done.holds(rows))
        if sent.all():
            return resolved
        if self._archive is not None:
            stored = ~sent & ~np.isin(rows, step.start.refused)
            self._archive.add(step.source, items_of(_taken(resolved, stored)))
        return _taken(resolved, sent)

    def _note_zones(self, resolved: Resolved) -> None:
        zone = resolved.readings.zone
        if zone is None:
            return
        places, first = np.unique(resolved.places, return_index=True)
        for place, row in zip(places.tolist(), first.tolist(), strict=True):
            self.zones.setdefault(resolved.targets[place].key, zone.text(row))


def _taken(resolved: Resolved, rows: NDArray[np.bool_]) -> Resolved:
    return Resolved(resolved.readings.take(rows), resolved.targets, resolved.places[rows])
