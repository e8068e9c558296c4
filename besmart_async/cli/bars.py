"""What the progress bars share: standard error, nothing off a terminal, counts with their rate."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Rate(ProgressColumn):
    """How many are done, and how many a second; the time is that of the task.

    Args:
        form: how the two are written, with the places `done` and `rate`.
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
    """Shows a bar while the block runs."""

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
