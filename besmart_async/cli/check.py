"""`besmart check`: files read and judged without sending anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import orjson
from cyclopts import Parameter

from besmart_async.cli.exits import Exit, UsageError
from besmart_async.cli.inputs import Inputs, inputs_of
from besmart_async.cli.output import counted, error_line, write
from besmart_async.cli.progress import ProgressBar
from besmart_async.cli.reject_file import reject_file
from besmart_async.cli.session import client_for
from besmart_async.ingest import DstRule, Reject, SourceError
from besmart_async.ingest.check.job import CheckJob
from besmart_async.ingest.check.report import CheckReport, distance, iso
from besmart_async.ingest.mapping.signals import Mapper, SignalTypes

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
    mapping: Path | None = None,
    file_format: Annotated[str | None, Parameter(name="--format")] = None,
    meters: Path | None = None,
    signal_type: str | None = None,
    time_zone: str | None = None,
    dst: DstRule | None = None,
    decimal_comma: Annotated[bool, Parameter(negative="")] = False,
    encoding: str | None = None,
    rejects: Path | None = None,
    online: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Read files as ingest does, and tell what is in them: rows, meters, period, resolution, and what is wrong.

    Nothing is sent. Rejected rows would not be delivered; repeats, gaps, registers that fall and rows out of order are
    told and would be delivered. Memory does not grow with the files: beyond a million readings they go to disk.

    Exit codes: 0 every row can be delivered, 1 a file cannot be read to its end, 2 wrong usage, 3 some rows are
    rejected, 4 not authenticated, 5 service unavailable (both with --online only), 130 interrupted.

    Parameters
    ----------
    files
        CSV files (plain, .gz, .zst), Parquet files, P1 telegrams; folders of them, patterns; - for standard input.
    mapping
        TOML file that tells what the files look like and mean; options go before it.
    file_format
        Format of the files, where neither their names nor their first bytes tell: csv, parquet, dsmr, or one that an
        installed package adds.
    meters
        CSV file with the columns meter, client_cid, sensor_mid and, if wanted, signal_type; used with --online.
    signal_type
        OBIS code, symbol or id for rows that do not tell it.
    time_zone
        Zone of times without an offset, such as Europe/Warsaw.
    dst
        Which moment a local time means that comes twice or never, when clocks are changed. Without it such rows are
        rejected. infer: the first occurrence is the earlier moment, the second the later one. standard: the clock is
        on winter time all the year.
    decimal_comma
        Values are written 1,5.
    encoding
        Encoding of the files.
    rejects
        Write all rejected rows to this CSV file; mended, it ingests.
    online
        Ask the service for its signal types, and look the meters up: rows of unknown ones are rejected, and values
        in a unit that cannot be converted.
    json
        Print the report as JSON and nothing else.
    """
    inputs = inputs_of(
        files,
        mapping=mapping,
        file_format=file_format,
        meters=meters,
        signal_type=signal_type,
        time_zone=time_zone,
        dst=dst,
        decimal_comma=decimal_comma,
        encoding=encoding,
    )
    try:
        with reject_file(rejects, inputs) as refused:
            report = asyncio.run(_check(inputs, online, None if refused is None else refused.add))
    except SourceError as error:
        raise UsageError(str(error)) from None
    if json:
        write(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2).decode())
    for line in () if json else _summary(report, online=online):
        write(line)
    for line in _problems(report):
        error_line(line)
    if report.error is not None:
        return Exit.ERROR
    return Exit.REJECTED if report.rejected else Exit.OK


async def _check(inputs: Inputs, online: bool, on_reject: OnReject | None) -> CheckReport:
    if not online:
        return await _run(inputs, None, on_reject)
    async with client_for() as client:
        types = SignalTypes(await client.signals.types())
        meters = inputs.meters(client.sensors, create=False)
        return await _run(inputs, Mapper(meters, types, inputs.signal_type), on_reject)


async def _run(inputs: Inputs, mapper: Mapper | None, on_reject: OnReject | None) -> CheckReport:
    with ProgressBar() as bar:
        return await CheckJob(
            inputs.sources,
            reading=inputs.reading,
            signal_type=inputs.signal_type,
            mapper=mapper,
            on_progress=bar.show,
            on_reject=on_reject,
        ).run()


def _summary(report: CheckReport, *, online: bool) -> Iterator[str]:
    files = f"{len(report.files)} files" if len(report.files) != 1 else report.files[0]
    yield _line("rows", report.rows, f"of {files}")
    signals = f"{counted(report.signals, 'signal')} of {counted(report.meters, 'meter')}"
    yield _line("good", report.readings, f"for {signals}")
    yield _line("rejected", report.rejected, "rows that would not be delivered")
    if report.left_out:
        yield _line("left out", report.left_out, "values that are missing or ignored")
    if report.since_ms is not None and report.till_ms is not None:
        yield f"period       from {iso(report.since_ms)} to {iso(report.till_ms)} (UTC)"
    for resolution, many in report.resolutions.items():
        yield f"every        {distance(resolution):<11} {counted(many, 'signal')}"
    yield _line("distinct", report.distinct, "readings (signal, time, origin)")
    yield _line("repeated", report.repeats_equal, "rows with the same value")
    yield _line("conflicts", report.repeats_conflicting, "rows that repeat another value; the last would hold")
    yield _line("gaps", report.gaps, f"with {report.missing:,} readings missing")
    yield _line("disorder", report.out_of_order, "rows below a later reading of their signal")
    yield _line("falling", report.falling, "readings of a register below the one before")
    if not online:
        yield "Meters and signal types were not looked up; --online asks the service."
    for kind, found in groupby(report.findings, lambda finding: finding.kind):
        listed = list(found)
        yield f"\n{_HEADINGS[kind]}"
        for finding in listed[:_SHOWN]:
            place = f"row {finding.row}" if len(report.files) == 1 else f"{Path(finding.file).name} row {finding.row}"
            yield f"  {place}: {finding.meter} {finding.signal} {finding.time}"
            yield f"      {finding.detail}"
        if len(listed) > _SHOWN:
            yield "  …"


def _problems(report: CheckReport) -> Iterator[str]:
    if report.unused_columns:
        yield f"columns not used: {', '.join(report.unused_columns)}"
    yield from map(str, report.rejects)
    if report.rejected > len(report.rejects):
        yield f"and {report.rejected - len(report.rejects):,} more rejected rows; --rejects FILE lists all"
    if report.error is not None:
        yield f"failed: {report.error}"


def _line(name: str, number: int, text: str) -> str:
    return f"{name:<9} {number:>12,} {text}"
