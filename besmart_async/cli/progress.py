"""The progress of an ingest or a drain on a terminal. Elsewhere (a pipe, a log) it shows nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from besmart_async.batching.report import DeliveryReport
from besmart_async.ingest.progress import Progress as Step


class _Readings(ProgressColumn):
    """How many readings are done, and how many a second."""

    def render(self, task: Task) -> Text:
        """Show the counts of a task."""
        done = int(task.fields.get("readings", 0))
        rate = f"{done / task.elapsed:,.0f}/s" if task.elapsed and done else "-/s"
        return Text(f"{done:>10,} {rate:>10}", style="progress.percentage")


class ProgressBar:
    """Shows `Step`s on standard error while the block runs."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = _bar(console or Console(stderr=True))
        self._task = self._progress.add_task("reading", total=None, readings=0, note="")
        self._phase = "sending"

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, step: Step) -> None:
        """Show how far it is."""
        if self._progress.disable:
            return
        if step.phase != self._phase:
            self._phase = step.phase
            self._progress.reset(self._task)
        sending = step.phase == "sending"
        self._progress.update(
            self._task,
            description=step.phase,
            completed=step.bytes_read if sending else step.verified,
            total=step.bytes_total if sending else step.to_verify,
            readings=step.accepted if sending else step.verified,
            note=f"{step.rejected:,} rejected" if step.rejected else "",
        )


class DrainBar:
    """Shows how much of a journal is delivered, on standard error, while the block runs.

    Args:
        waiting: readings in the journal at the beginning.
    """

    def __init__(self, waiting: int, console: Console | None = None) -> None:
        self._progress = _bar(console or Console(stderr=True))
        self._task = self._progress.add_task("draining", total=waiting, readings=0, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, report: DeliveryReport) -> None:
        """Show how far it is."""
        note = f"{report.rejected:,} rejected" if report.rejected else ""
        if report.state == "paused":
            note += " the service is away"
        done = report.delivered + report.rejected
        self._progress.update(self._task, completed=done, readings=done, note=note.strip())


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:9}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        _Readings(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("[red]{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
