"""What `besmart consume` shows on standard error: a line that moves on a terminal, else a line a minute."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import Progress, TextColumn

from besmart_async.cli.terminal.output import error_line
from besmart_async.cli.terminal.progress import Bar, Rate
from besmart_async.errors import visible
from besmart_async.streams import StreamReport

_LINE_EVERY_S = 60.0


class StreamProgress(Bar):
    """Shows the counters of a stream."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        columns = Rate("{done:,} messages {rate}"), TextColumn("{task.fields[note]}", markup=False)
        super().__init__(Progress(*columns, console=console, transient=True, disable=not console.is_terminal))
        self._task = self._progress.add_task("consuming", total=None, readings=0, note="")
        self._told = time.monotonic()
        self._waiting = ""

    def show(self, report: StreamReport) -> None:
        """Show the counters."""
        note = f"{report.uncommitted:,} under way"
        if report.dead:
            note += f", {report.dead:,} dead letters"
        if report.waiting:
            note += f", waiting: {visible(report.waiting, one_line=True)}"
        self._progress.update(self._task, readings=report.committed, note=note)
        now = time.monotonic()
        if self._progress.disable and (now - self._told >= _LINE_EVERY_S or report.waiting != self._waiting):
            self._told, self._waiting = now, report.waiting
            error_line(f"{report.committed:,} messages, {note}")
