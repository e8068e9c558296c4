"""What a running ingest tells: a person at a terminal, or a program that reads JSON lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import orjson

from besmart_async.cli.output import error_line, write
from besmart_async.cli.progress import ProgressBar
from besmart_async.cli.summary import problems, summary
from besmart_async.ingest import IngestReport, Progress, Reject, Start

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
