"""Sources to parsed pages, a page ahead of the event loop, without the rows that other workers send."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar
from zlib import crc32

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.mapping.meters import MeterTable
from besmart_async.ingest.parse.parser import ParsedReadings, ParseOptions, Parser
from besmart_async.ingest.rejects import RowRecords
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import Page, Source, SourceError
from besmart_async.ingest.sources.columns import Chunk, Coded, DaySlots
from besmart_async.models.keys import SensorKey

T = TypeVar("T")

MOST_MALFORMED = 25_000
"""Rows that are not rows of the table at all, beyond `PER_GOOD_ROW`, after which a source is given up."""
MOST_BAD = 1_000_000
"""The same for rows of the table that hold no reading."""
PER_GOOD_ROW = 10
"""Bad rows for each good one that are named whatever their number: the work stays proportional to what is accepted."""

JOIN_S = 0.5
"""How long to wait for the thread at the end: files are closed promptly, a silent standard input is not waited for."""


@attrs.define(eq=False)
class Partition:
    """The meters of one worker; each meter belongs to exactly one worker.

    Each worker reads all files and sends its own meters. So the readings of a signal are sent in the order of the
    files, however these are cut, and no row belongs to two workers.

    Attributes:
        number: the worker, from 0.
        count: the number of workers.
        table: meters by name: all names of one sensor belong to one worker.
    """

    number: int
    count: int
    table: MeterTable = attrs.field(factory=dict)
    _names: list[str] = attrs.field(init=False, factory=list[str])
    _owned: NDArray[np.bool_] = attrs.field(init=False, factory=lambda: np.empty(0, np.bool_))

    def owned(self, meters: Coded) -> NDArray[np.bool_]:
        """Whether each name of a column belongs to this worker, shape (len(meters.names),)."""
        if meters.names is not self._names:
            self._names, self._owned = meters.names, np.empty(0, np.bool_)
        added = [self.owns(name) for name in meters.names[len(self._owned) :]]
        if added:
            self._owned = np.append(self._owned, np.array(added, np.bool_))
        return self._owned

    def owns(self, name: str) -> bool:
        """Whether a meter belongs to this worker."""
        return crc32(self._sensor(name).encode()) % self.count == self.number

    def owns_row(self, row: int) -> bool:
        """Whether a row without a meter belongs to this worker."""
        return row % self.count == self.number

    def _sensor(self, name: str) -> str:
        meter = self.table.get(name)
        if meter is not None:
            return str(meter.sensor)
        try:
            return str(SensorKey.parse(name))
        except InvalidInputError:
            return name


@attrs.define(eq=False)
class ParsedPage:
    """A page on its way to the service.

    Attributes:
        source: index of its source.
        resume: what earlier runs have done of that source.
        chunk: the rows as they were read.
        readings: the parsed readings; None if this run need not send any of them.
        rejects: the rows that hold no reading.
        rows: rows read; those of other workers are not counted.
        bytes_read: bytes of all sources consumed so far.
        urgent: the source is a stream, so the next page may come at any time or never.
        left_out: missing values and readings of ignored signals, of all workers; they are not counted as rows.
    """

    source: int
    resume: ResumePoint
    chunk: Chunk
    readings: ParsedReadings | None
    rejects: Sequence[Reject]
    rows: int
    bytes_read: int
    urgent: bool
    left_out: int = 0

    def release_readings(self) -> ParsedReadings | None:
        """Return the readings and forget them: a copy sorted by signal exists while they are sent, and is enough."""
        readings, self.readings = self.readings, None
        return readings


class PageReader:
    """Reads and parses sources; runs in the thread of `Prefetch`.

    Args:
        sources: what to read.
        resume_points: what earlier runs have done of each source.
        options: how to parse times and values.
        partition: the meters to read; None for all.
        all_parsed: parse pages that are done as well, because their readings will be compared.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        resume_points: Sequence[ResumePoint],
        options: ParseOptions,
        partition: Partition | None,
        *,
        all_parsed: bool,
    ) -> None:
        self._sources = sources
        self._resume_points = resume_points
        self._options = options
        self._partition = partition
        # Rule "infer" counts repeated times, so it must see all rows. And only the parser knows which values are left
        # out as missing or ignored, and therefore not counted.
        leaves_out = bool(options.missing or options.ignored)
        self._all_parsed = all_parsed or leaves_out or options.dst == "infer"

    def pages(self) -> Generator[ParsedPage, None, None]:
        """Read everything, page by page.

        Raises:
            SourceError: reading a source failed.
        """
        before = 0
        for number, (source, resume) in enumerate(zip(self._sources, self._resume_points, strict=True)):
            parser = Parser(self._options)
            limit = _BadRows(source.name)
            for page in source.pages():
                parsed = self._parse(number, resume, page, parser, before + page.position)
                limit.add(parsed, len(page.rejects))
                yield parsed
                limit.check()
            before += source.size_bytes or 0

    def _parse(self, number: int, resume: ResumePoint, page: Page, parser: Parser, bytes_read: int) -> ParsedPage:
        chunk, urgent, partition = page.chunk, self._sources[number].size_bytes is None, self._partition
        owned = partition.owned(chunk.meter) if partition else None
        misfits = [one for one in page.rejects if partition is None or partition.owns_row(one.row)]
        if not resume.done or not resume.done.holds(chunk.rows).all() or not_done(misfits, resume):
            self._all_parsed = True  # from here on: what is sent may overlap with later rows that are done
        elif not self._all_parsed and not isinstance(chunk.time, DaySlots):
            rows = (len(chunk) if owned is None else int(owned[chunk.meter.codes].sum())) + len(misfits)
            return ParsedPage(number, resume, chunk, None, (), rows, bytes_read, urgent)
        readings, rejects = parser.parse(chunk)
        left_out = len(chunk) - len(readings) - len(rejects)
        if rejects or misfits:
            records = RowRecords(chunk)
            if owned is not None:
                rejects = [one for one in rejects if owned[chunk.meter.codes[records.index_of(one)]]]
            rejects = [*map(records.add_to_misfit, misfits), *map(records.add_to, rejects)]
        if owned is not None:
            readings = readings.take(owned[readings.meter.codes])
        rows = len(readings) + len(rejects)
        return ParsedPage(
            number, resume, chunk, readings, not_done(rejects, resume), rows, bytes_read, urgent, left_out
        )


def not_done(rejects: Sequence[Reject], resume: ResumePoint) -> list[Reject]:
    """Return the rejects whose row no earlier run has done."""
    if not resume.done or not rejects:
        return list(rejects)
    done = resume.done.holds(np.array([one.row for one in rejects], np.int64)).tolist()
    return [one for one, known in zip(rejects, done, strict=True) if not known]


@attrs.define
class _BadRows:
    """Counts the bad rows of a source, each of which costs more than a good one."""

    name: str
    good: int = 0
    malformed: int = 0
    bad: int = 0
    last: Reject | None = None

    def add(self, page: ParsedPage, malformed: int) -> None:
        """Count the rows of a page, of which so many were malformed."""
        self.good += page.rows - len(page.rejects)
        self.malformed += malformed
        self.bad += len(page.rejects)
        self.last = page.rejects[-1] if page.rejects else self.last

    def check(self) -> None:
        """Give the source up if there are too many of them.

        Raises:
            SourceError: the text names the last of them.
        """
        allowed = self.good * PER_GOOD_ROW
        if self.last is not None and (self.malformed > MOST_MALFORMED + allowed or self.bad > MOST_BAD + allowed):
            last = f"row {self.last.row:,}{f', {self.last.column}' if self.last.column else ''}"
            raise SourceError(
                self.name,
                f"{self.bad:,} rows are bad and {self.good:,} good, up to {last}: {self.last.reason}; correct the"
                " cause, or cut off this part of the file",
            )


class Prefetch(Generic[T]):
    """Asynchronous iteration over `produce()`, which runs in a thread a few steps ahead of the event loop.

    The thread is a daemon and is not joined for long, because reading a terminal or pipe cannot be interrupted.

    Args:
        produce: creates the iterator; called in the thread.
        ahead: how many items the thread may be ahead.
    """

    def __init__(self, produce: Callable[[], Generator[T, None, None]], ahead: int = 2) -> None:
        self._produce = produce
        self._room = threading.Semaphore(ahead)
        self._items: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._run, name="besmart-prefetch", daemon=True)
        self._stopped = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        self._room.release()
        self._thread.join(JOIN_S)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        item = await self._items.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, BaseException):
            raise item
        self._room.release()
        return item[0]

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            with contextlib.closing(self._produce()) as items:
                for item in items:
                    self._put((item,))
                    self._room.acquire()
                    if self._stopped:
                        return
        except BaseException as error:  # raised again in `__anext__`
            end = error
        self._put(end)

    def _put(self, item: tuple[T] | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
