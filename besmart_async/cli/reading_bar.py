"""The progress of reading on a terminal, in the style of an ingest's. Elsewhere (a pipe, a log) it shows nothing."""

from __future__ import annotations

from rich.console import Console

from besmart_async.cli.bars import Bar, Rate, one_line
from besmart_async.export.report import ExportProgress


class ReadingBar(Bar):
    """Shows `ExportProgress` on standard error while the block runs."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(one_line(console, Rate("{done:>10,} {rate:>10}")))
        self._task = self._progress.add_task("reading", total=None, readings=0, note="")

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
