"""The progress of reading on a terminal, in the style of an ingest's. Elsewhere (a pipe, a log) it shows nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from besmart_async.export.report import ExportProgress


class _Readings(ProgressColumn):
    """How many readings are done, and how many a second."""

    def render(self, task: Task) -> Text:
        """Show the counts of a task."""
        done = int(task.fields.get("readings", 0))
        rate = f"{done / task.elapsed:,.0f}/s" if task.elapsed and done else "-/s"
        return Text(f"{done:>10,} {rate:>10}", style="progress.percentage")


class ReadingBar:
    """Shows `ExportProgress` on standard error while the block runs."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("reading  "),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            _Readings(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("[red]{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("reading", total=None, readings=0, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, step: ExportProgress) -> None:
        """Show how far it is."""
        if self._progress.disable:
            return
        self._progress.update(
            self._task,
            completed=step.parts,
            total=step.parts_total,
            readings=step.readings,
            note=f"{step.failed:,} failed" if step.failed else "",
        )
