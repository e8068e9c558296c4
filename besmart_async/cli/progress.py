"""The progress of an ingest or a drain on a terminal. Elsewhere (a pipe, a log) it shows nothing."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from besmart_async.cli.bars import Bar, Rate, one_line
from besmart_async.ingest.report import Progress as Step
from besmart_async.models.delivery import DeliveryReport


class _TwoLines(Progress):
    """A bar, and a line of text below it."""

    note = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar, then the text."""
        yield self.make_tasks_table(self.tasks)
        text = Text.from_markup(self.note)
        text.no_wrap, text.overflow = True, "ellipsis"
        yield text


class ProgressBar(Bar):
    """Shows `Step`s on standard error while the block runs: one line, and below it what the requests do."""

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
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, step: Step) -> None:
        """Show how far it is."""
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
    """What the requests do, and what did not go as wished."""
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
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return shown.replace("[", r"\[")


class DrainBar(Bar):
    """Shows how much of a journal is delivered, on standard error, while the block runs.

    Args:
        waiting: readings in the journal at the beginning.
    """

    def __init__(self, waiting: int, console: Console | None = None) -> None:
        super().__init__(one_line(console, Rate()))
        self._task = self._progress.add_task("draining", total=waiting, readings=0, note="")

    def show(self, report: DeliveryReport) -> None:
        """Show how far it is."""
        note = f"{report.rejected:,} rejected" if report.rejected else ""
        if report.state == "paused":
            note += " the service is away"
        done = report.delivered + report.rejected
        self._progress.update(self._task, completed=done, readings=done, note=note.strip())
