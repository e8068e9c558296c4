"""Progress bars on standard error. Where that is not a terminal (a pipe, a log) they show nothing."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from besmart_async.errors import visible
from besmart_async.export.report import ExportProgress
from besmart_async.ingest.report import Progress as Step
from besmart_async.models.delivery import DeliveryReport


class Rate(ProgressColumn):
    """How many rows or readings are done, and how many a second.

    Args:
        form: a format for the two, with the fields `done` and `rate`.
    """

    def __init__(self, form: str = "{done:,} rows {rate}") -> None:
        super().__init__()
        self._form = form

    def render(self, task: Task) -> Text:
        """Show the counts of a task."""
        done = int(task.fields.get("readings", 0))
        rate = f"{done / task.elapsed:,.0f}/s" if task.elapsed and done else "-/s"
        return Text(self._form.format(done=done, rate=rate), style="progress.percentage")


class Bar:
    """A bar that is shown while the block runs."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def one_line(console: Console | None, rate: Rate) -> Progress:
    """Return a bar with a note at its end, for tasks with the fields `readings` and `note`."""
    console = console or Console(stderr=True)
    return Progress(
        TextColumn("{task.description:9}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        rate,
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("[red]{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class _TwoLines(Progress):
    """A bar with a line of text below it."""

    note = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """Return the bar and the text."""
        yield self.make_tasks_table(self.tasks)
        text = Text.from_markup(self.note)
        text.no_wrap, text.overflow = True, "ellipsis"
        yield text


class ProgressBar(Bar):
    """Shows the progress of an ingest: a bar, and below it what the requests do."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._two_lines = _TwoLines(
            TextColumn("{task.description:9}"),
            BarColumn(bar_width=12),
            TextColumn("{task.percentage:>3.0f}% {task.fields[bytes]}"),
            Rate(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        super().__init__(self._two_lines)
        self._task = self._progress.add_task("reading", total=None, readings=0, bytes="")
        self._phase = "sending"

    def say(self, text: str) -> None:
        """Write a line above the bar, on a terminal or not."""
        self._console.print(visible(text), markup=False, soft_wrap=True)

    def show(self, step: Step) -> None:
        """Show the progress."""
        if self._progress.disable:
            return
        if step.phase != self._phase:
            self._phase = step.phase
            if step.phase == "verifying":
                self._progress.reset(self._task)
        verifying = step.phase == "verifying"
        self._progress.update(
            self._task,
            description=step.phase,
            completed=step.verified if verifying else step.bytes_read,
            total=step.to_verify if verifying else step.bytes_total,
            readings=step.verified if verifying else step.accepted,
            bytes="" if verifying else f"{step.bytes_read / 1e6:,.0f} MB",
        )
        self._two_lines.note = note(step)


def note(step: Step) -> str:
    """Return a line about the requests, and about what went wrong."""
    if step.phase == "verifying":
        return ""
    parts = [f"{step.requests:,} requests", f"{step.in_flight} in flight"]
    if step.retries:
        parts.append(f"{step.retries:,} retries")
    if step.skipped:
        parts.append(f"{step.skipped:,} sent before")
    if step.rejected:
        parts.append(f"[red]{step.rejected:,} rejected[/red]")
    if step.paused:
        parts = [f"[red]paused:[/red] {_plain(step.paused)}"]
    return ", ".join(parts)


def _plain(text: str, limit: int = 70) -> str:
    text = visible(text, one_line=True)
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return shown.replace("[", r"\[")


class DrainBar(Bar):
    """Shows how much of a journal is delivered.

    Args:
        waiting: readings in the journal at the start.
    """

    def __init__(self, waiting: int, console: Console | None = None) -> None:
        super().__init__(one_line(console, Rate()))
        self._task = self._progress.add_task("draining", total=waiting, readings=0, note="")

    def show(self, report: DeliveryReport) -> None:
        """Show the progress."""
        note = f"{report.rejected:,} rejected" if report.rejected else ""
        if report.state == "paused":
            note += " the service is away"
        done = report.delivered + report.rejected
        self._progress.update(self._task, completed=done, readings=done, note=note.strip())


class ReadingBar(Bar):
    """Shows the progress of reading."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(one_line(console, Rate("{done:>10,} {rate:>10}")))
        self._task = self._progress.add_task("reading", total=None, readings=0, note="")

    def show(self, step: ExportProgress) -> None:
        """Show the progress."""
        if self._progress.disable:
            return
        self._progress.update(
            self._task,
            completed=step.parts,
            total=step.parts_total,
            readings=step.readings,
            note=f"{step.failed:,} failed" if step.failed else "",
        )
