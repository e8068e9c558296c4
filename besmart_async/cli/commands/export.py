"""`besmart export`: writing signals to a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, cast

from cyclopts import Parameter

from besmart_async.cli.client import client_for, interruptible
from besmart_async.cli.exits import Exit, UsageError
from besmart_async.cli.options import Chosen, Flag, Named, Period, Signals, Wanted, chosen, named, queries, window
from besmart_async.cli.outputs import check_replaceable, check_unused
from besmart_async.cli.terminal.output import TerminalBytes, counted, error_line, json_text, size_text, write_json_text
from besmart_async.cli.terminal.progress import ReadingBar
from besmart_async.errors import BesmartError
from besmart_async.export import ExportJob, ExportReport
from besmart_async.export.files import format_of, is_export

_LISTED = 20
_STANDARD_OUTPUT = Path("-")


def export(
    signals: Signals = None,
    /,
    *,
    period: Period,
    named_in: Named = Named(),  # noqa: B008 - a frozen value
    output: Annotated[Path, Parameter(name=("--output", "-o"), allow_leading_hyphen=True)],
    format: Literal["csv", "jsonl", "parquet"] | None = None,  # noqa: A002 - the option's name
    times: Literal["iso", "ms", "both"] = "iso",
    escape_formulas: Flag = False,
    wanted: Wanted = Wanted(),  # noqa: B008 - a frozen value
    json: Flag = False,
) -> int:
    """Write the readings of signals to a file that besmart ingest can read back.

    Columns: client_cid, sensor_mid, signal_type_moid, time (UTC), value, unit, type, origin. Parquet also has
    value_json, for values that are not numbers. The rows of each signal are ordered by time. The file appears when it
    is complete; an export that fails or is interrupted leaves no file.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some signals could not be read, 4 not authenticated, 5 service
    unavailable, 130 interrupted.

    Parameters
    ----------
    output
        The file, compressed if its name ends with .gz or .zst; - for standard output.
    format
        Format, if the file's name does not show it: csv, jsonl or parquet.
    times
        Times as ISO 8601, as unix milliseconds, or both (then the column unix_ms is added).
    escape_formulas
        Put an apostrophe before texts of a CSV file that a spreadsheet would run: those that begin with =, +, @, a tab
        or a carriage return, or with - if they are no numbers.
    json
        Print the report as JSON (to standard error if the readings go to standard output).
    """
    names = named(signals or [], named_in.signals_from)
    since, till = window(period)
    target = _target(output, format, named_in.signals_from)

    async def run(bar: ReadingBar) -> tuple[Chosen, ExportReport]:
        async with client_for() as client:
            found = await chosen(client, names)
            if not found.keys:
                unknown = ", ".join(map(str, found.unknown))
                raise BesmartError(f"the service gave no answer for {unknown}; is there such a sensor?")
            asked = await queries(client, found.keys, since, till, wanted)
            job = ExportJob(
                client.reader,
                asked,
                target,
                format=format,
                times=times,
                escape_formulas=escape_formulas,
                on_progress=bar.show,
            )
            with interruptible(job.stop):
                return found, await job.run()

    with ReadingBar() as bar:
        found, report = asyncio.run(run(bar))
    if json:
        line = json_text(report.as_dict() | {"unknown_sensors": list(map(str, found.unknown))})
        write_json_text(line, to_stderr=output == _STANDARD_OUTPUT)
    for line in () if json else _summary(report, output, found):
        error_line(line)
    return _exit(report, found)


def _target(output: Path, kind: str | None, signals_from: Path | None) -> Path | BinaryIO:
    """Return where to write; what can be checked before anything is read is checked."""
    if output == _STANDARD_OUTPUT:
        if kind == "parquet" and sys.stdout.isatty():
            raise UsageError("--output -: Parquet is not for a terminal; give a file or a pipe")
        return cast("BinaryIO", TerminalBytes()) if sys.stdout.isatty() else sys.stdout.buffer
    if output.is_dir() or not output.absolute().parent.is_dir():
        problem = "is a folder; name a file in it" if output.is_dir() else f"there is no folder {output.parent}"
        raise UsageError(f"--output {output}: {problem}")
    if kind is None and format_of(output) is None:
        raise UsageError(f"--output {output}: say --format, or a name that ends with .csv, .jsonl, .parquet, .csv.gz …")
    check_unused("--output", output, [("the list of --signals-from", signals_from)])
    check_replaceable("--output", output, is_export)
    return output


def _summary(report: ExportReport, output: Path, found: Chosen) -> Iterator[str]:
    to_file = output != _STANDARD_OUTPUT
    place = str(output) if to_file else "standard output"
    if report.state == "interrupted":
        yield "interrupted: " + ("no file was made" if to_file else "standard output did not get all readings")
        return
    size = f", {size_text(report.bytes_written)}" if to_file else ""
    rate = f"{report.readings / report.seconds:,.0f} readings/s" if report.seconds else ""
    signals = counted(report.with_readings, "signal")
    yield f"{report.readings:,} readings of {signals} to {place}{size}, {report.seconds:.1f} s, {rate}"
    unanswered = {*report.absent, *(key for key, _ in report.failed)}
    empty = report.signals - report.with_readings - len(unanswered)
    if empty and not found.guessed:
        yield f"{counted(empty, 'signal')} without readings in the period"
    problems = list(_problems(report, found))
    yield from problems[:_LISTED]
    if len(problems) > _LISTED:
        yield f"and {len(problems) - _LISTED:,} more signals that could not be read; --json lists all"


def _problems(report: ExportReport, found: Chosen) -> Iterator[str]:
    yield from (f"{name}: {problem}" for name, problem in found.unanswered(report.absent).items())
    yield from (f"{key}: refused: {reason}" for key, reason in report.failed if key not in found.guessed)


def _exit(report: ExportReport, found: Chosen) -> int:
    if report.state == "interrupted":
        return Exit.INTERRUPTED
    return Exit.REJECTED if any(_problems(report, found)) else Exit.OK
