"""Dividing the meters of files between workers, so that no two of them send readings of one signal.

Each worker reads all files and sends its own meters. So the order of a signal's readings is that of the files, whatever
the files are and however they are cut; and no row is of two workers.

A page on its way from its source to the service.

Iterating something slow in a thread, a few steps ahead of the event loop.

Sources to parsed pages, without what is done or another worker's. Runs in the thread of the feed.
"""

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
from besmart_async.ingest.checkpoint.resume import Start
from besmart_async.ingest.mapping.meters import MeterTable
from besmart_async.ingest.parse.parser import Parser, Reading, Readings
from besmart_async.ingest.rejects import Places, recorded, titled
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import Page, Source
from besmart_async.ingest.sources.columns import Chunk, Coded, DaySlots
from besmart_async.models.keys import SensorKey


@attrs.define(eq=False)
class Share:
    """The meters of one worker.

    Attributes:
        number: which worker, from 0.
        of: how many workers there are.
        table: sensors of meters by name: names of one sensor go to one worker.
    """

    number: int
    of: int
    table: MeterTable = attrs.field(factory=dict)
    _names: list[str] = attrs.field(init=False, factory=list[str])
    _own: NDArray[np.bool_] = attrs.field(init=False, factory=lambda: np.empty(0, np.bool_))

    def other(self, number: int) -> Share:
        """The share of another worker."""
        return Share(number, self.of, self.table)

    def own(self, meters: Coded) -> NDArray[np.bool_]:
        """For each name of a column whether it is of this share, shape (len(meters.names),)."""
        if meters.names is not self._names:
            self._names, self._own = meters.names, np.empty(0, np.bool_)
        added = [self.owns(name) for name in meters.names[len(self._own) :]]
        if added:
            self._own = np.append(self._own, np.array(added, np.bool_))
        return self._own

    def owns(self, name: str) -> bool:
        """Whether a meter is of this share."""
        return crc32(self._sensor(name).encode()) % self.of == self.number

    def owns_row(self, row: int) -> bool:
        """Whether a row without a meter is."""
        return row % self.of == self.number

    def _sensor(self, name: str) -> str:
        meter = self.table.get(name)
        if meter is not None:
            return str(meter.sensor)
        try:
            return str(SensorKey.parse(name))
        except InvalidInputError:
            return name


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


T = TypeVar("T")

JOIN_S = 0.5
"""How long leaving waits for the thread: a file is let go at once, a silent standard input is not waited for."""


class Feed(Generic[T]):
    """Asynchronous iteration over `produce()`, which runs in a thread of its own.

    The thread is a daemon, and nothing waits for it for long: reading from a terminal or a pipe cannot be interrupted.

    Args:
        produce: makes the iterator; called in the thread.
        ahead: how many steps the thread may be ahead.
    """

    def __init__(self, produce: Callable[[], Generator[T, None, None]], ahead: int = 2) -> None:
        self._produce = produce
        self._room = threading.Semaphore(ahead)
        self._steps: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._run, name="besmart-feed", daemon=True)
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
        step = await self._steps.get()
        if step is None:
            raise StopAsyncIteration
        if isinstance(step, BaseException):
            raise step
        self._room.release()
        return step[0]

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            with contextlib.closing(self._produce()) as steps:
                for step in steps:
                    self._put((step,))
                    self._room.acquire()
                    if self._stopped:
                        return
        except BaseException as error:  # raised again where the steps are awaited
            end = error
        self._put(end)

    def _put(self, step: tuple[T] | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(self._steps.put_nowait, step)


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
