"""One export from signals to a file."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, cast

import attrs

from besmart_async.batching.read.core.windows import divisible, parts_of
from besmart_async.batching.read.reader import Reader
from besmart_async.cancellation import unless
from besmart_async.config import ReadPolicy
from besmart_async.errors import ApiError, BesmartError, InvalidInputError
from besmart_async.export.files import (
    Compression,
    Format,
    Sink,
    Valve,
    complete_file,
    compressed,
    compression_of,
    format_of,
    is_export,
    sink_for,
)
from besmart_async.export.report import ExportProgress, ExportReport, OnProgress, refuses_one_signal, unobserved
from besmart_async.export.rows import Times
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

SIGNAL_DAYS = 400
"""The most that one bulk read asks for: 38,400 quarter hours or 576,000 minutes, which is 2 or 25 MB of JSON."""

MAX_SIGNALS = 50
"""Signals in one bulk read."""

CALLS_AHEAD = 16
"""Bulk reads that may be in flight or wait to be written: as many as a reader makes at a time."""

READINGS_AHEAD = 2_000_000
"""Readings in these, which bounds the memory: fewer calls if they hold many."""

_DAY_MS = 86_400_000.0
_NAMED = 10


class OpenReader(Protocol):
    """Makes the reader of an export: `BesmartClient.reader`."""

    def __call__(self, policy: ReadPolicy) -> Reader:
        """Return a new reader."""
        ...


class ExportJob:
    """Reads signals and writes them to a file, in bounded memory. It runs once.

    The rows of each signal come by time. Signals come in the order given, up to 50 of them in turns, some days of each
    at a time; the same call on the same data gives the same file.

    Args:
        reader: makes the reader, such as `client.reader`.
        queries: what to read, each signal once. Long windows are split, except for `get_last`, `delta_t`, units and
            filters, whose windows are asked whole (see `Reader.stream`).
        target: the file, which appears when it is complete and replaces one of that name; or a binary stream, which
            stays open. A file's name tells its compression (`.gz`, `.zst`), and its format unless that is given.
        format: "csv", "jsonl" (a JSON object per line) or "parquet".
        times: "iso", "ms" or "both". The columns: `besmart_async.export.rows`.
        escape_formulas: put an apostrophe before texts of a CSV file that a spreadsheet would run.
        on_progress: called often with the progress.
        clock: a monotonic clock, in seconds.

    Raises:
        InvalidInputError: the format is unknown, or there are no queries, or two for one signal.
    """

    def __init__(
        self,
        reader: OpenReader,
        queries: Sequence[SignalQuery],
        target: Path | BinaryIO,
        *,
        format: Format | None = None,  # noqa: A002 - what users call it
        times: Times = "iso",
        escape_formulas: bool = False,
        on_progress: OnProgress = unobserved,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queries = _checked(queries)
        self._target = target
        self._format: Format = format or _told_format(target)
        self._times: Times = times
        self._escape_formulas = escape_formulas
        self._on_progress = on_progress
        self._clock = clock
        self._policy = policy_for(self._queries)
        self._open_reader = reader
        self._stopped = asyncio.Event()
        self._with_readings: set[SignalKey] = set()
        self._absent: dict[SignalKey, None] = {}
        self._failed: dict[SignalKey, ApiError] = {}
        max_window_ms = self._policy.max_window_s * 1000
        total = sum(1 for query in self._queries for _ in parts_of(query, max_window_ms))
        self._progress = ExportProgress(parts_total=total)

    def stop(self) -> None:
        """Stop at once: no file is made, and `run` returns."""
        self._stopped.set()

    async def run(self) -> ExportReport:
        """Run the export and return its report. Cancelling leaves no file.

        Raises:
            ExportError: the file cannot be written.
            BesmartError: the service cannot be read, or has none of the signals; no file is made.
        """
        started = self._clock()
        reader = self._open_reader(self._policy)
        state: Literal["completed", "interrupted"] = "completed"
        written = 0
        try:
            with self._opened() as stream:
                counted = Valve(stream)
                with compressed(cast("BinaryIO", counted), self._compression) as packed:
                    await self._write_all(reader, packed)
                written = counted.count
        except _StoppedError:
            state = "interrupted"
        finally:
            await reader.aclose()
        return ExportReport(
            state=state,
            signals=len(self._queries),
            with_readings=len(self._with_readings),
            readings=self._progress.readings,
            bytes_written=written,
            seconds=self._clock() - started,
            requests=reader.report.requests,
            absent=tuple(self._absent),
            failed=tuple((key, error.message or str(error)) for key, error in self._failed.items()),
        )

    @property
    def _compression(self) -> Compression | None:
        return compression_of(self._target) if isinstance(self._target, Path) else None

    @contextmanager
    def _opened(self) -> Generator[BinaryIO, None, None]:
        if isinstance(self._target, Path):
            with complete_file(self._target, is_export) as stream:
                yield stream
        else:
            yield self._target

    async def _write_all(self, reader: Reader, stream: BinaryIO) -> None:
        valve = Valve(stream)
        sink = sink_for(cast("BinaryIO", valve), self._format, self._times, escape_formulas=self._escape_formulas)
        try:
            await self._unless_stopped(self._copy(reader, sink))
        except BaseException:
            valve.shut()  # else the Parquet writer would add its footer to half a file
            raise

    async def _copy(self, reader: Reader, sink: Sink) -> None:
        self._on_progress(self._progress)
        async with aclosing(reader.stream(self._queries, in_order=True, on_error=self._refused)) as stream:
            async for data in stream:
                await self._write(data, sink)
        if len(self._absent) + len(self._failed) == len(self._queries) and not self._progress.readings:
            raise self._nothing()
        sink.finish()

    async def _write(self, data: SignalData, sink: Sink) -> None:
        if data.absent:
            self._absent[data.key] = None
        for rows in sink.write(data):
            self._with_readings.add(data.key)
            self._progress = attrs.evolve(self._progress, readings=self._progress.readings + rows)
            await asyncio.sleep(0)  # other tasks of this event loop get a turn after some 50 ms at most
        self._one_done()

    def _refused(self, query: SignalQuery, error: BesmartError) -> None:
        if not isinstance(error, ApiError) or not refuses_one_signal(error):
            raise error
        self._failed.setdefault(query.key, error)
        self._one_done()

    def _one_done(self) -> None:
        failed = len(self._failed) + len(self._absent)
        self._progress = attrs.evolve(self._progress, parts=self._progress.parts + 1, failed=failed)
        self._on_progress(self._progress)

    def _nothing(self) -> BesmartError:
        if self._failed:
            return next(iter(self._failed.values()))
        names = ", ".join(map(str, list(self._absent)[:_NAMED])) + (", …" if len(self._absent) > _NAMED else "")
        return BesmartError(f"the service gave no answer for {names}; is there such a signal?")

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        if not await unless(self._stopped, work):
            raise _StoppedError


def policy_for(queries: Sequence[SignalQuery]) -> ReadPolicy:
    """Return limits that bound the rows of a bulk read, and so the memory."""
    signals = min(len(queries), MAX_SIGNALS)
    if not all(map(divisible, queries)):
        days = max(query.till - query.since for query in queries) / _DAY_MS
        signals = max(1, min(signals, int(SIGNAL_DAYS // max(days, 1))))
    return ReadPolicy(
        max_items=signals,
        max_window_s=SIGNAL_DAYS // signals * 86_400,
        max_outstanding=CALLS_AHEAD * signals,
        max_readings_ahead=READINGS_AHEAD,
        close_timeout_s=0.0,  # an export that ends early does not need the answers in flight
    )


class _StoppedError(Exception):
    """`stop` was called."""


def _checked(queries: Sequence[SignalQuery]) -> Sequence[SignalQuery]:
    keys = Counter(query.key for query in queries)
    if not keys:
        raise InvalidInputError("queries", [], "nothing to export; give at least one")
    key, count = keys.most_common(1)[0]
    if count > 1:
        raise InvalidInputError("queries", str(key), f"asked for {count} times; give each signal once")
    return queries


def _told_format(target: Path | BinaryIO) -> Format:
    told = format_of(target) if isinstance(target, Path) else "csv"
    if told is None:
        wanted = "give a name that ends with .csv, .jsonl or .parquet (.csv.gz and so on), or a format"
        raise InvalidInputError("target", str(target), wanted)
    return told
