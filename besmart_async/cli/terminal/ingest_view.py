"""What an ingest shows while it runs and at its end: to people on a terminal, or as JSON lines to programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from besmart_async.cli.exits import explained
from besmart_async.cli.terminal.output import (
    counted,
    counted_line,
    error_line,
    json_text,
    size_text,
    write,
    write_json_text,
)
from besmart_async.cli.terminal.progress import ProgressBar
from besmart_async.errors import visible
from besmart_async.ingest import IngestReport, Progress, Reject, Start


def summary(report: IngestReport) -> Iterator[str]:
    """Yield the lines of a report."""
    files = f"{len(report.files)} files" if len(report.files) != 1 else visible(report.files[0], one_line=True)
    yield counted_line("read", report.rows_read, f"rows of {files}")
    if report.skipped:
        before = f", {report.rejected_before:,} of them rejected" if report.rejected_before else ""
        yield counted_line("skipped", report.skipped, f"rows that were sent before{before}")
    signals = f"{counted(report.signals, 'signal')} of {counted(report.meters, 'meter')}"
    yield counted_line("accepted", report.accepted, f"by the service, for {signals}")
    if report.distinct is not None:
        equal, conflicting = report.repeats_equal or 0, report.repeats_conflicting or 0
        yield counted_line("distinct", report.distinct, "readings (signal, time, origin)")
        detail = f"rows: {equal:,} with the same value, {conflicting:,} with another"
        yield counted_line("repeated", equal + conflicting, f"{detail}; the last one counts" if conflicting else detail)
    yield counted_line("rejected", report.rejected, "rows")
    if report.in_doubt:
        yield counted_line("in doubt", report.in_doubt, "rows: sent, but it is not known whether they were stored")
    if report.not_sent:
        yield counted_line("not sent", report.not_sent, "rows, as asked for" if report.dry else "rows")
    again = f", {counted(report.retries, 'repetition')} included" if report.retries else ""
    yield counted_line("requests", report.requests, f"of {size_text(report.body_bytes)} in all{again}")
    yield f"seconds   {report.seconds:>12.2f} {report.readings_per_s:,.0f} readings/s"
    if report.verification is not None:
        found = report.verification
        converted = f" ({found.converted:,} of them in another unit)" if found.converted else ""
        what = "sampled readings" if found.sample else "distinct readings"
        yield f"verified {found.verified:,} of {found.expected:,} {what}{converted}"


def problems(report: IngestReport) -> Iterator[str]:
    """Yield the problems of an ingest, one line each."""
    if report.unused_columns:
        yield visible(f"columns not used: {', '.join(report.unused_columns)}", one_line=True)
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
        yield f"failed: {explained(report.error)}"


PROGRESS_EVERY_S = 1.0


class Terminal:
    """Shows progress and problems on standard error, and the report on standard output."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def start(self, start: Start) -> None:
        """Say what an earlier run did with the file, unless it is new."""
        if start.known == "changed":
            self._bar.say(f"{start.file}: has changed since it was sent; all of it is sent")
        elif start.known == "former":
            self._bar.say(
                f"{start.file}: an earlier version of besmart recorded rows of it without saying of which account;"
                " all of it is sent, this once"
            )
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
        """Show the text above the bar."""
        self._bar.say(text)

    def report(self, report: IngestReport) -> None:
        """Show the report."""
        for line in summary(report):
            write(line)
        for line in problems(report):
            error_line(line)


class JsonLines:
    """Writes events as JSON, one object per line, to standard output. The last one is the report.

    Args:
        clock: monotonic seconds; progress is written once a second, and whenever sending pauses or resumes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written_at = float("-inf")
        self._last = Progress()

    def start(self, start: Start) -> None:
        """Write a `file` event."""
        self._write("file", file=start.file, known=start.known, rows=start.rows, rejected=start.rejected)

    def progress(self, step: Progress) -> None:
        """Write a `progress` event once a second, and `paused` and `resumed` events at once."""
        before, self._last = self._last, step
        if step.paused != before.paused:
            if step.paused is None:
                self._write("resumed")
            elif before.paused is None:
                self._write("paused", reason=step.paused)
        if self._clock() - self._written_at >= PROGRESS_EVERY_S or step.phase != before.phase:
            self._written_at = self._clock()
            self._write("progress", **attrs.asdict(step))

    def reject(self, reject: Reject) -> None:
        """Write a `reject` event."""
        self._write("reject", **attrs.asdict(reject, filter=lambda field, _: field.name != "record"))

    def stopping(self, text: str) -> None:
        """Write a `stopping` event."""
        self._write("stopping", text=text)

    def report(self, report: IngestReport) -> None:
        """Write the `report` event."""
        error = None if report.error is None else explained(report.error)
        self._write("report", **(report.as_dict() | {"error": error}))

    def _write(self, event: str, **fields: Any) -> None:
        write_json_text(json_text({"event": event} | fields), flush=True)


Observer = Terminal | JsonLines
"""Shows what an ingest does."""
