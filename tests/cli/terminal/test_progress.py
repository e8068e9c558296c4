"""The progress of reading."""

import io

from rich.console import Console

from besmart_async.cli.terminal.progress import ReadingBar
from besmart_async.export import ExportProgress


def shown(terminal: bool) -> str:
    output = io.StringIO()
    with ReadingBar(Console(file=output, force_terminal=terminal, width=100)) as bar:
        bar.show(ExportProgress(parts=0, parts_total=8))
        bar.show(ExportProgress(parts=2, parts_total=8, readings=12_345, failed=3))
    return output.getvalue()


def test_a_terminal_sees_share_readings_and_failures() -> None:
    text = shown(terminal=True)
    for words in ("reading", "25%", "12,345", "3 failed"):
        assert words in text


def test_a_pipe_sees_nothing() -> None:
    assert shown(terminal=False) == ""
