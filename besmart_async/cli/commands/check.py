"""`besmart check`: reading and judging files without sending anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.client import client_for
from besmart_async.cli.exits import Exit, UsageError, explained
from besmart_async.cli.ingest_inputs import FileOptions, Inputs, inputs_of
from besmart_async.cli.options import Flag
from besmart_async.cli.suggesting import suggest as suggestion
from besmart_async.cli.terminal.output import counted, counted_line, error_line, json_text, write, write_json_text
from besmart_async.cli.terminal.progress import ProgressBar
from besmart_async.cli.terminal.reject_file import reject_file
from besmart_async.errors import visible
from besmart_async.ingest import Reject, SourceError
from besmart_async.ingest.check import CheckJob
from besmart_async.ingest.check.ends import ends_tried
from besmart_async.ingest.check.report import CheckReport, distance, iso
from besmart_async.ingest.mapping import Mapper, SignalTypes
from besmart_async.ingest.parse.parser import ParseOptions

OnReject = Callable[[Reject], object]

_SHOWN = 5
"""Findings of a kind that are shown; the JSON has more."""
_HEADINGS = {
    "conflict": "repeated with another value",
    "gap": "gaps",
    "falling": "registers that fall",
    "out of order": "out of order",
}


def check(
    files: Annotated[list[str], Parameter(allow_leading_hyphen=True, negative="")],
    /,
    *,
    options: FileOptions = FileOptions(),  # noqa: B008 - a frozen value
    online: Flag = False,
    json: Flag = False,
    suggest: Flag = False,
) -> int:
    """Read files as ingest does, and report what is in them: rows, meters, period, resolution, and what is wrong.

    Nothing is sent. Rejected rows would not be delivered. Repeats, gaps, registers that fall and rows out of order are
    reported, but would be delivered. Memory does not grow with the files: beyond a million readings they go to disk.

    Exit codes: 0 every row can be delivered, 1 a file cannot be read to its end, 2 wrong usage, 3 some rows are
    rejected, 4 not authenticated, 5 service unavailable (both with --online only), 130 interrupted.

    Parameters
    ----------
    files
        CSV files (plain, .gz, .zst), Parquet, Excel, P1 telegrams, NEM12, MSCONS, Green Button; zip archives and
        folders of them, patterns; - for standard input.
    online
        Ask the service for its signal types and for the meters. Rows of unknown meters, and values in a unit that
        cannot be converted, are rejected.
    json
        Print the report as JSON and nothing else.
    suggest
        Print a mapping file for the files instead of a report: what they show, and what only you can know as comments.
    """
    if suggest:
        if online or json:
            raise UsageError(f"--suggest prints a mapping file; leave out {'--online' if online else '--json'}")
        return suggestion(files, options)
    inputs = inputs_of(files, options)
    try:
        others = [("the mapping file", options.mapping)]
        with reject_file(options.rejects, inputs, others, escape_formulas=options.escape_formulas) as rejects:
            report = asyncio.run(_check(inputs, online, None if rejects is None else rejects.add))
        report = asyncio.run(_with_ends(inputs, report))
    except SourceError as error:
        raise UsageError(str(error)) from None
    if json:
        write_json_text(json_text(report.as_dict(), indent=True))
    for text in () if json else _summary(report, online=online):
        write(text)
    for text in (*(visible(text, one_line=True) for text in inputs.left_out), *_problems(report)):
        error_line(text)
    incomplete = None if rejects is None else rejects.error
    if incomplete is not None:
        error_line(f"failed: {incomplete}")
    if report.error is not None or incomplete is not None:
        return Exit.ERROR
    return Exit.REJECTED if report.rejected else Exit.OK


async def _check(inputs: Inputs, online: bool, on_reject: OnReject | None) -> CheckReport:
    if not online:
        return await _run(inputs, inputs.reading, None, on_reject)
    async with client_for() as client:
        types = SignalTypes(await client.signals.types())
        meters = inputs.meters(client.sensors, create=False)
        return await _run(inputs, inputs.reading, Mapper(meters, types, inputs.signal_type), on_reject)


async def _with_ends(inputs: Inputs, report: CheckReport) -> CheckReport:
    """Add which `time.ends` fits; of pipes that is not known, which can be read only once."""
    if len(inputs.paths) < len(inputs.sources):
        return report
    found = await ends_tried(report, inputs.reading, lambda reading: _run(inputs, reading, None, None))
    return attrs.evolve(report, rejected_by_ends=found)


async def _run(inputs: Inputs, reading: ParseOptions, mapper: Mapper | None, on_reject: OnReject | None) -> CheckReport:
    with ProgressBar() as bar:
        return await CheckJob(
            inputs.sources,
            reading=reading,
            signal_type=inputs.signal_type,
            mapper=mapper,
            on_progress=bar.show,
            on_reject=on_reject,
        ).run()


def _summary(report: CheckReport, *, online: bool) -> Iterator[str]:
    files = f"{len(report.files)} files" if len(report.files) != 1 else visible(report.files[0], one_line=True)
    yield counted_line("rows", report.rows, f"of {files}")
    signals = f"{counted(report.signals, 'signal')} of {counted(report.meters, 'meter')}"
    yield counted_line("good", report.readings, f"for {signals}")
    yield counted_line("rejected", report.rejected, "rows that would not be delivered")
    if report.left_out:
        yield counted_line("left out", report.left_out, "values that are missing or ignored")
    if report.since_ms is not None and report.till_ms is not None:
        yield f"period       from {iso(report.since_ms)} to {iso(report.till_ms)} (UTC)"
    for resolution, many in report.resolutions.items():
        yield f"every        {distance(resolution):<11} {counted(many, 'signal')}"
    yield counted_line("distinct", report.distinct, "readings (signal, time, origin)")
    yield counted_line("repeated", report.repeats_equal, "rows with the same value")
    yield counted_line("conflicts", report.repeats_conflicting, "rows with another value; the last one counts")
    yield counted_line("gaps", report.gaps, f"with {report.missing:,} readings missing")
    yield counted_line("disorder", report.out_of_order, "rows after a later reading of their signal")
    yield counted_line("falling", report.falling, "readings of a register lower than the one before")
    if report.rejected_by_ends:
        yield _ends_line(report.rejected_by_ends)
    if not online:
        yield "Meters and signal types were not looked up; --online asks the service."
    for kind, found in groupby(report.findings, lambda finding: finding.kind):
        listed = list(found)
        yield f"\n{_HEADINGS[kind]}"
        for finding in listed[:_SHOWN]:
            place = f"row {finding.row}" if len(report.files) == 1 else f"{Path(finding.file).name} row {finding.row}"
            yield visible(f"  {place}: {finding.meter} {finding.signal} {finding.time}", one_line=True)
            yield f"      {finding.detail}"
        if len(listed) > _SHOWN:
            yield "  …"


def _ends_line(rejected: dict[str, int]) -> str:
    """Say which `time.ends` fits the hour that repeats."""
    fits, other = sorted(rejected, key=rejected.__getitem__)
    if rejected[fits] == rejected[other]:
        return "time.ends    the rows do not show whether the labels of the repeated hour are clock or elapsed"
    rows = counted(rejected[other] - rejected[fits], "more row")
    return f'time.ends    "{fits}" fits the hour that repeats (dst = "infer"); "{other}" would reject {rows}'


def _problems(report: CheckReport) -> Iterator[str]:
    if report.unused_columns:
        yield visible(f"columns not used: {', '.join(report.unused_columns)}", one_line=True)
    yield from map(str, report.rejects)
    if report.rejected > len(report.rejects):
        yield f"and {report.rejected - len(report.rejects):,} more rejected rows; --rejects FILE lists all"
    if report.error is not None:
        yield f"failed: {explained(report.error)}"
