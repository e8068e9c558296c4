"""The report of an ingest as text.

What a running ingest tells: a person at a terminal, or a program that reads JSON lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import attrs
import orjson

from besmart_async.cli.terminal.output import counted, error_line, size_text, write
from besmart_async.cli.terminal.progress import ProgressBar
from besmart_async.ingest import IngestReport, Progress, Reject, Start


def summary(report: IngestReport) -> Iterator[str]:
    """Yield the lines of the report."""
    files = f"{len(report.files)} files" if len(report.files) != 1 else report.files[0]
    yield line("read", report.rows_read, f"rows of {files}")
    if report.skipped:
        before = f", {report.rejected_before:,} of them rejected" if report.rejected_before else ""
        yield line("skipped", report.skipped, f"rows that were sent before{before}")
    signals = f"{counted(report.signals, 'signal')} of {counted(report.meters, 'meter')}"
    yield line("accepted", report.accepted, f"by the service, for {signals}")
    if report.distinct is not None:
        equal, conflicting = report.repeats_equal or 0, report.repeats_conflicting or 0
        yield line("distinct", report.distinct, "readings (signal, time, origin)")
        detail = f"rows: {equal:,} with the same value, {conflicting:,} with another"
        yield line("repeated", equal + conflicting, f"{detail}; the last holds" if conflicting else detail)
    yield line("rejected", report.rejected, "rows")
    if report.in_doubt:
        yield line("in doubt", report.in_doubt, "rows: sent, but it is not known whether they were stored")
    if report.not_sent:
        yield line("not sent", report.not_sent, "rows, as asked for" if report.dry else "rows")
    again = f", {counted(report.retries, 'repetition')} included" if report.retries else ""
    yield line("requests", report.requests, f"of {size_text(report.body_bytes)} in all{again}")
    yield f"seconds   {report.seconds:>12.2f} {report.readings_per_s:,.0f} readings/s"
    if report.verification is not None:
        found = report.verification
        converted = f" ({found.converted:,} of them in another unit)" if found.converted else ""
        what = "sampled readings" if found.sample else "distinct readings"
        yield f"verified {found.verified:,} of {found.expected:,} {what}{converted}"


def problems(report: IngestReport) -> Iterator[str]:
    """Yield what went wrong, one line each."""
    if report.unused_columns:
        yield f"columns not used: {', '.join(report.unused_columns)}"
    yield from map(str, report.rejects)
    if report.rejected > len(report.rejects):
        yield f"and {report.rejected - len(report.rejects):,} more rejected rows; --rejects FILE lists all"
    found = report.verification
    if found is not None and not found.ok:
        yield from map(str, found.differences)
        more = found.expected - found.verified - len(found.differences)
        if more > 0:
            yield f"and {more:,} more differences"
    if report.state == "interrupted":
        yield "interrupted: what is counted as accepted is stored; the same command sends the rest"
    if report.error is not None:
        yield f"failed: {report.error}"


def line(name: str, number: int, text: str) -> str:
    """Return one line: what, how many, of what."""
    return f"{name:<9} {number:>12,} {text}"


PROGRESS_EVERY_S = 1.0


class Observer(Protocol):
    """Whoever is told what goes on."""

    def start(self, start: Start) -> None:
        """A file is about to be sent."""
        ...

    def progress(self, step: Progress) -> None:
        """Something has changed."""
        ...

    def reject(self, reject: Reject) -> None:
        """A row was rejected."""
        ...

    def stopping(self, text: str) -> None:
        """The user wants it to end."""
        ...

    def report(self, report: IngestReport) -> None:
        """It has ended."""
        ...


class Terminal:
    """Tells people: progress and problems on standard error, the report on standard output."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def start(self, start: Start) -> None:
        """Say what is known of a file, unless it is new."""
        if start.known == "changed":
            self._bar.say(f"{start.file}: is not what was sent before; it is sent from its start")
        elif start.known == "grown":
            self._bar.say(f"{start.file}: has grown; {start.rows:,} rows were sent before")
        elif start.known == "resumed":
            self._bar.say(f"{start.file}: {start.rows:,} rows were sent before")

    def progress(self, step: Progress) -> None:
        """Move the bar."""
        self._bar.show(step)

    def reject(self, reject: Reject) -> None:
        """Nothing: the report lists the first ones."""

    def stopping(self, text: str) -> None:
        """Say it."""
        self._bar.say(text)

    def report(self, report: IngestReport) -> None:
        """Show the report."""
        for line in summary(report):
            write(line)
        for line in problems(report):
            error_line(line)


class JsonLines:
    """Tells programs: one JSON object per line on standard output. The last is the report.

    Args:
        clock: seconds that only go forward; progress is told once a second, and whenever sending pauses or goes on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_at = float("-inf")
        self._last = Progress()

    def start(self, start: Start) -> None:
        """A `file` event."""
        self._write("file", file=start.file, known=start.known, rows=start.rows, rejected=start.rejected)

    def progress(self, step: Progress) -> None:
        """A `progress` event now and then, `paused` and `resumed` events at once."""
        before, self._last = self._last, step
        if step.paused != before.paused:
            if step.paused is None:
                self._write("resumed")
            elif before.paused is None:
                self._write("paused", reason=step.paused)
        if self._clock() - self._told_at >= PROGRESS_EVERY_S or step.phase != before.phase:
            self._told_at = self._clock()
            self._write("progress", **attrs.asdict(step))

    def reject(self, reject: Reject) -> None:
        """A `reject` event."""
        self._write("reject", **attrs.asdict(reject, filter=lambda field, _: field.name != "record"))

    def stopping(self, text: str) -> None:
        """A `stopping` event."""
        self._write("stopping", text=text)

    def report(self, report: IngestReport) -> None:
        """The `report` event."""
        self._write("report", **report.as_dict())

    def _write(self, event: str, **fields: Any) -> None:
        write(orjson.dumps({"event": event} | fields).decode(), flush=True)
