"""The report of an ingest as text."""

from __future__ import annotations

from collections.abc import Iterator

from besmart_async.cli.output import counted, size_text
from besmart_async.ingest.report import IngestReport


def summary(report: IngestReport) -> Iterator[str]:
    """Yield the lines of the report."""
    files = f"{len(report.files)} files" if len(report.files) != 1 else report.files[0]
    yield line("read", report.rows_read, f"rows of {files}")
    if report.skipped:
        before = f", {report.rejected_before:,} of them rejected" if report.rejected_before else ""
        yield line("skipped", report.skipped, f"rows that were sent before{before}")
    signals = f"{counted(report.signals, 'signal')} of {counted(report.meters, 'meter')}"
    yield line("accepted", report.accepted, f"by the service, for {signals}")
    if report.distinct is not None:
        equal, conflicting = report.repeats_equal or 0, report.repeats_conflicting or 0
        yield line("distinct", report.distinct, "readings (signal, time, origin)")
        detail = f"rows: {equal:,} with the same value, {conflicting:,} with another"
        yield line("repeated", equal + conflicting, f"{detail}; the last holds" if conflicting else detail)
    yield line("rejected", report.rejected, "rows")
    if report.in_doubt:
        yield line("in doubt", report.in_doubt, "rows: sent, but it is not known whether they were stored")
    if report.not_sent:
        yield line("not sent", report.not_sent, "rows, as asked for" if report.dry else "rows")
    again = f", {counted(report.retries, 'repetition')} included" if report.retries else ""
    yield line("requests", report.requests, f"of {size_text(report.body_bytes)} in all{again}")
    yield f"seconds   {report.seconds:>12.2f} {report.readings_per_s:,.0f} readings/s"
    if report.verification is not None:
        found = report.verification
        converted = f" ({found.converted:,} of them in another unit)" if found.converted else ""
        what = "sampled readings" if found.sample else "distinct readings"
        yield f"verified {found.verified:,} of {found.expected:,} {what}{converted}"


def problems(report: IngestReport) -> Iterator[str]:
    """Yield what went wrong, one line each."""
    if report.unused_columns:
        yield f"columns not used: {', '.join(report.unused_columns)}"
    yield from map(str, report.rejects)
    if report.rejected > len(report.rejects):
        yield f"and {report.rejected - len(report.rejects):,} more rejected rows; --rejects FILE lists all"
    found = report.verification
    if found is not None and not found.ok:
        yield from map(str, found.differences)
        more = found.expected - found.verified - len(found.differences)
        if more > 0:
            yield f"and {more:,} more differences"
    if report.state == "interrupted":
        yield "interrupted: what is counted as accepted is stored; the same command sends the rest"
    if report.error is not None:
        yield f"failed: {report.error}"


def line(name: str, number: int, text: str) -> str:
    """Return one line: what, how many, of what."""
    return f"{name:<9} {number:>12,} {text}"
