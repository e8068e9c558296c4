"""`besmart journal`: showing and delivering what is in the journal of a writer."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from besmart_async.batching.journal.inspection import Inspection, inspect
from besmart_async.batching.write.core.events import BatchAcknowledged, BatchRetried, SendingPaused, WriterEvent
from besmart_async.batching.write.dead_letters import OnReject
from besmart_async.batching.write.writer import Writer
from besmart_async.cli.client import client_for, interruptible
from besmart_async.cli.exits import Exit, UsageError, exit_of, explained
from besmart_async.cli.options import Flag
from besmart_async.cli.outputs import check_unused, opened_anew
from besmart_async.cli.terminal.output import (
    cell,
    counted_line,
    error_line,
    plain,
    size_text,
    write,
    write_json,
    write_table,
)
from besmart_async.cli.terminal.progress import DrainBar
from besmart_async.client import BesmartClient
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, JournalError, UndeliveredError
from besmart_async.export.text import escaped, rows_to
from besmart_async.models.delivery import DeliveryReport, Rejection
from besmart_async.models.times import from_ms

_SHOW_EVERY_S = 0.2
_PATIENCE_S = 60.0
"""A run without a time limit gives up when the service has been unavailable for this long."""
_CLOSE_S = 5.0
"""How long calls under way may take after giving up."""


@attrs.frozen
class Drained:
    """The outcome of a drain.

    Attributes:
        report: the writer's numbers.
        left: readings that stay in the journal.
        error: why some stay; None if none do.
        interrupted: the user stopped it (Ctrl-C).
    """

    report: DeliveryReport
    left: int
    error: BesmartError | None
    interrupted: bool


class GaveUpError(BesmartError):
    """The service was unavailable, or the time was over; the cause is the last error."""


class Draining:
    """Delivers a journal: opens a writer on it, flushes, and decides when to give up.

    Args:
        client: a client of the service.
        path: the journal.
        timeout_s: give up after this long; None: when the service has been unavailable for a minute.
        on_reject: called with rejected readings; after that they are no longer in the journal.
        show: called with the numbers several times a second.
    """

    def __init__(
        self,
        client: BesmartClient,
        path: Path,
        timeout_s: float | None,
        on_reject: OnReject,
        show: Callable[[DeliveryReport], object],
    ) -> None:
        self._last_error: BesmartError | None = None
        self._timeout_s = timeout_s
        self._show = show
        self._gave_up: BesmartError | None = None
        self._on_reject = on_reject
        self._interrupted = False
        self._writer = client.writer(
            BatchPolicy(close_timeout_s=_CLOSE_S), journal=path, on_reject=self._reject, hooks=[self._on_event]
        )

    def stop(self) -> None:
        """Send nothing more; wait a moment for the calls under way."""
        self._interrupted = True
        self._give_up(GaveUpError("interrupted"), self._last_error)

    def _give_up(self, error: BesmartError, cause: Exception | None) -> None:
        if self._gave_up is None:
            self._gave_up = error
            self._gave_up.__cause__ = cause
            self._writer.stop(self._gave_up)

    def _reject(self, rejection: Rejection) -> Awaitable[object] | object:
        try:
            return self._on_reject(rejection)
        except OSError as error:  # the disk with the file of rejects is full: send no more that may be rejected
            failed = BesmartError(f"rejected readings cannot be written down: {error.strerror or error}")
            asyncio.get_running_loop().call_soon(self._give_up, failed, None)
            raise

    async def run(self) -> Drained:
        """Deliver everything, or give up.

        Raises:
            JournalError: the journal cannot be opened.
        """
        error: BesmartError | None = None
        left = 0
        try:
            async with self._writer:
                error = await self._flushed(self._writer)
        except UndeliveredError as undelivered:
            left = undelivered.journaled
        except GaveUpError:
            raise KeyboardInterrupt from None  # stopped before the journal was open
        except ExceptionGroup:
            error = self._gave_up  # `_reject` has raised it
        self._show(self._writer.report)
        return Drained(self._writer.report, left, error, self._interrupted)

    async def _flushed(self, writer: Writer) -> BesmartError | None:
        time = asyncio.get_running_loop().time
        flushing = asyncio.ensure_future(writer.flush())
        begun = moved = time()
        delivered = 0
        while not flushing.done() and self._gave_up is None:
            await asyncio.wait([flushing], timeout=_SHOW_EVERY_S)
            report = writer.report
            self._show(report)
            if report.delivered > delivered or report.state == "open":
                delivered, moved = report.delivered, time()
            if self._timeout_s is not None and time() - begun > self._timeout_s:
                self._give_up(
                    GaveUpError(f"not everything was delivered within {self._timeout_s:g} s"), self._last_error
                )
            elif self._timeout_s is None and time() - moved > _PATIENCE_S:
                self._give_up(GaveUpError(f"the service has been unavailable for {_PATIENCE_S:g} s"), self._last_error)
        if not flushing.done():
            flushing.cancel()  # closing the writer waits for calls under way
        try:
            await flushing
        except BesmartError as error:
            return error
        except asyncio.CancelledError:
            if self._gave_up is None:
                raise
        return self._gave_up

    def _on_event(self, event: WriterEvent) -> None:
        if isinstance(event, SendingPaused | BatchRetried):
            self._last_error = event.error
        elif isinstance(event, BatchAcknowledged):
            self._last_error = None


def status(path: Path, /, *, json: Flag = False) -> None:
    """Show what is in the journal of a writer. Nothing is changed, and the writer may be running.

    Parameters
    ----------
    path
        The journal: the path that was given to the writer.
    json
        Print JSON.
    """
    found = _inspected(path)
    if json:
        write_json({**plain(found), "path": str(path), "damaged": found.problem is not None})
    else:
        write_table(("journal", str(path)), _status(found))


def drain(
    path: Path,
    /,
    *,
    timeout: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    rejects: Path | None = None,
    escape_formulas: Flag = False,
    json: Flag = False,
) -> int:
    """Deliver the readings in the journal of a writer, for example after a crash.

    Readings that the service rejects are listed with the reason, and removed from the journal. Readings that could not
    be delivered stay in it: run the command again.

    Exit codes: 0 all delivered, 1 failed, 2 wrong usage, 3 some rejected, 4 not authenticated, 5 service unavailable or
    time over, 130 interrupted.

    Parameters
    ----------
    path
        The journal: the path that was given to the writer.
    timeout
        Give up after this many seconds. Without it: when the service has been unavailable for a minute.
    rejects
        Write rejected readings to this CSV file.
    escape_formulas
        Put an apostrophe before texts in that file that a spreadsheet would run.
    json
        Print the report as JSON and nothing else.
    """
    waiting = _inspected(path).readings
    begun = monotonic()
    with _rejected_to(rejects, path, escape_formulas=escape_formulas) as on_reject:
        drained = asyncio.run(_drain(path, timeout, waiting, on_reject))
    if json:
        write_json({**plain(drained.report), "left": drained.left})
    for text in () if json else _report(drained, monotonic() - begun):
        write(text)
    for text in _problems(drained, rejects):
        error_line(text)
    return _exit(drained)


def _inspected(path: Path) -> Inspection:
    try:
        return inspect(path)
    except JournalError as error:
        raise UsageError(str(error)) from None


def _status(found: Inspection) -> Iterator[tuple[str, str]]:
    yield "readings waiting", f"{found.readings:,}"
    if found.refused:
        yield "refused, not reported", f"{found.refused:,}"
    yield "signals", f"{found.signals:,}"
    yield "commits", f"{found.commits:,}"
    if found.oldest is not None and found.newest is not None:
        yield "oldest", _moment(found.oldest)
        yield "newest", _moment(found.newest)
    yield "open", "no" if found.owner is None else f"yes, by process {found.owner or '(unknown)'}"
    yield "damaged", "no" if found.problem is None else f"yes: {found.problem}"
    if found.problem is not None:
        pieces = f", {found.unreadable:,} unreadable pieces" if found.unreadable else ""
        yield "", f"the readings above can be salvaged, {found.lost:,} are known to be lost{pieces}"
        yield "", "the next writer salvages them and keeps the damaged file"
    for name, length in found.files.items():
        yield "file", f"{name}, {size_text(length)}"
    for name, length in found.set_aside.items():
        yield "damaged file", f"{name}, {size_text(length)}"


async def _drain(path: Path, timeout: float | None, waiting: int, on_reject: Callable[[Rejection], object]) -> Drained:
    async with client_for() as client:
        await client.signals.types()  # fails at once if credentials are wrong or the service is unavailable
        with DrainBar(waiting) as bar:
            draining = Draining(client, path, timeout, on_reject, bar.show)
            with interruptible(draining.stop):
                return await draining.run()


@contextmanager
def _rejected_to(
    path: Path | None, journal: Path, *, escape_formulas: bool
) -> Generator[Callable[[Rejection], object], None, None]:
    """Yield a function that writes rejected readings to a file, or to standard error."""
    if path is None:
        yield _show
        return
    beside = [journal.with_name(journal.name + end) for end in ("", "-wal", "-shm")]
    check_unused("--rejects", path, [("of the journal", one) for one in beside])
    raw = opened_anew("--rejects", path, [b"signal,time,value,type,origin,unit,reason"])
    file = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", newline="")
    writer = rows_to(file)
    writer.writerow(("signal", "time", "value", "type", "origin", "unit", "reason"))

    def take(rejection: Rejection) -> None:
        writer.writerows(map(escaped, _rows(rejection)) if escape_formulas else _rows(rejection))
        file.flush()  # after this the journal no longer has them

    try:
        yield take
    finally:
        try:
            file.close()
        except OSError as error:
            error_line(f"{path} is not complete: {error.strerror or error}")


def _show(rejection: Rejection) -> None:
    for *words, reason in _rows(rejection):
        error_line(f"rejected {' '.join(filter(None, words))}: {reason}")


def _rows(rejection: Rejection) -> Iterator[tuple[str, ...]]:
    data = rejection.data
    for time, value, kind, origin in data.rows():
        unit = data.unit or ""
        yield str(data.key), _moment(time), cell(value), cell(kind), cell(origin), unit, str(rejection.error)


def _report(drained: Drained, seconds: float) -> Iterator[str]:
    report = drained.report
    yield counted_line("delivered", report.delivered, "readings")
    yield counted_line("rejected", report.rejected, "readings")
    if report.in_doubt:
        yield counted_line("in doubt", report.in_doubt, "readings: sent, but it is not known whether they were stored")
    yield counted_line("left", drained.left, "readings in the journal")
    yield counted_line("requests", report.requests, f"of {size_text(report.bytes)} in all")
    yield f"seconds   {seconds:>12.2f} {report.delivered / seconds if seconds else 0:,.0f} readings/s"


def _problems(drained: Drained, rejects: Path | None) -> Iterator[str]:
    if drained.report.rejected and rejects is not None:
        yield f"rejected readings were written to {rejects}"
    if drained.interrupted:
        yield "interrupted"
    elif drained.error is not None:
        cause = drained.error.__cause__
        yield (
            f"failed: {drained.error}: {explained(cause)}"
            if cause is not None
            else f"failed: {explained(drained.error)}"
        )
    if drained.left:
        yield f"{drained.left:,} readings stay in the journal; run the command again to deliver them"


def _exit(drained: Drained) -> int:
    if drained.interrupted:
        return Exit.INTERRUPTED
    if drained.error is not None:
        code = exit_of(drained.error.__cause__ or drained.error)
        return Exit.UNAVAILABLE if isinstance(drained.error, GaveUpError) and code == Exit.ERROR else code
    return Exit.REJECTED if drained.report.rejected else Exit.OK


def _moment(time: float) -> str:
    return from_ms(time).isoformat().replace("+00:00", "Z")
